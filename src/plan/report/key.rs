//! Messages about a GatewayApiKey: the verdicts for `Ready`, and the events of steps.

mod resting;

use super::super::decision::{Decision, Step, Why};
use super::super::facts::{Facts, Target};
use super::super::fault::{Fault, Occurrence};
use super::super::listing::KeyId;
use super::super::requests::Cause;
use super::super::{drift, duration, money};
use super::call_purpose::{CallPurpose, because};
use super::{Notice, some};
use crate::api::{EventReason, GatewayApiKeyStatus, Reason, Verdict};
use crate::plan::time::clock;
use jiff::{SignedDuration, Timestamp};
pub use resting::resting;

/// The context of a decision that a message needs.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// Name of the Secret.
    pub secret: &'a str,
    /// Whether the key is active according to the specification.
    pub active: bool,
    /// The fault of the last create call with an unknown outcome, if it is remembered.
    pub unanswered: Option<Fault>,
    /// What the Secret holds for applications.
    pub found: Found,
    /// Expiry of the served key, if it has one.
    pub expires: Option<Timestamp>,
    /// Whether that expiry has passed.
    pub expired: bool,
    /// Whether the vendor reveals a key again, so that a lost Secret gets the same key.
    pub reveals: bool,
}

/// What the Secret holds for applications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// The served key.
    #[default]
    Key,
    /// The Secret exists without the served key.
    Other,
    /// The Secret does not exist.
    Nothing,
    /// No key was issued yet.
    Unissued,
}

impl Found {
    /// What the Secret holds according to the facts.
    pub fn of(facts: &Facts) -> Self {
        match (&facts.record.serial, &facts.target) {
            (None, _) => Self::Unissued,
            (Some(_), Target::Absent) => Self::Nothing,
            (Some(_), _) if facts.serves() => Self::Key,
            (Some(_), _) => Self::Other,
        }
    }
}

impl Found {
    /// What this means for applications, for messages.
    fn served(self, secret: &str) -> String {
        match self {
            Self::Key => format!("Secret {secret} keeps the key that it holds"),
            Self::Other | Self::Nothing => "applications have no key that works".to_owned(),
            Self::Unissued => "applications have no key yet".to_owned(),
        }
    }
}

impl<'a> Scene<'a> {
    /// A Secret that holds the served key.
    pub fn new(secret: &'a str, active: bool) -> Self {
        Self {
            secret,
            active,
            unanswered: None,
            found: Found::Key,
            expires: None,
            expired: false,
            reveals: true,
        }
    }
}

/// Appended to an event about a key that was deleted or switched off, where the vendor's gateway may lag behind.
pub fn lingering(lag: SignedDuration) -> Option<String> {
    let after = || {
        format!(
            "; where several instances of the gateway run, others may accept it for {} more",
            duration::format(lag)
        )
    };
    (!lag.is_zero()).then(after)
}

/// The event of a step, if it deserves one.
/// `tells_use`: whether the vendor tells when a key was last used.
pub fn taken(decision: &Decision, secret: &str, until: Option<Timestamp>, tells_use: bool) -> Option<Notice> {
    let note = match (&decision.step, &decision.why) {
        (Step::Issue(_), Why::NeverIssued | Why::AttemptFailed)
        | (Step::Recover(..) | Step::Commit(..), _) => {
            Notice::news(Reason::Issued, format!("a key was made and put into Secret {secret}"))
        }
        (Step::Issue(_), Why::Rotation(Cause::KeyLost)) => Notice::warning(
            EventReason::KeyLost,
            format!(
                "two looks a minute apart did not find the key at the vendor; a new one was made and put into Secret {secret}; {}",
                afterwards(Cause::KeyLost, until, tells_use)
            ),
        ),
        (Step::Issue(_), Why::Rotation(Cause::Expired)) => Notice::warning(
            EventReason::KeyExpired,
            format!(
                "the key expired before it was replaced; a new one is in Secret {secret}: applications fail until they read it"
            ),
        ),
        (Step::Issue(_), Why::Rotation(cause)) => Notice::news(
            EventReason::Rotated,
            format!(
                "a new key is in Secret {secret}, because {}; {}",
                because(*cause),
                afterwards(*cause, until, tells_use)
            ),
        ),
        (Step::Retire(id), Why::Leaked) => Notice::warning(
            EventReason::LeakedKeyRevoked,
            format!("key {id}, which leaked, is revoked at the vendor"),
        ),
        (Step::Retire(id), Why::TooMany) => Notice::warning(
            EventReason::PreviousKeyRevoked,
            format!(
                "the oldest key {id} is revoked at the vendor before its overlap is over: more old keys worked than spec.rotation.maxPrevious, or the limits of the console token, permit"
            ),
        ),
        (Step::Retire(id), _) => Notice::news(
            EventReason::PreviousKeyRevoked,
            format!("the old key {id} is revoked at the vendor"),
        ),
        (Step::Switch(id, false), _) => Notice::news(
            EventReason::PreviousKeyDisabled,
            format!(
                "the old key {id} is switched off and will be deleted; raise spec.rotation.overlap to switch it on again"
            ),
        ),
        (Step::Switch(id, true), _) => Notice::news(
            EventReason::PreviousKeyEnabled,
            format!("the old key {id} works again, because its overlap was made longer"),
        ),
        (Step::RecordKey(..), Why::Relinked) => Notice::news(
            EventReason::Relinked,
            "this resource was restored from a backup: the key that it had is found again by its mark"
                .to_owned(),
        ),
        (Step::RecordKey(..), _) => Notice::news(
            EventReason::TakenOver,
            "the key named in spec.externalId is managed by this resource from now on".to_owned(),
        ),
        (Step::Restore(..), Why::SecretDeleted) => Notice::warning(
            EventReason::SecretRestored,
            format!("Secret {secret} was deleted and is restored with the same key"),
        ),
        (Step::Rewrite(..), Why::SecretEdited) => Notice::warning(
            EventReason::SecretRestored,
            format!("Secret {secret} was edited: the key in it is kept, and everything else is written anew"),
        ),
        (Step::Restore(..), Why::SecretEdited) => Notice::warning(
            EventReason::SecretRestored,
            format!("Secret {secret} was edited and is restored with the same key"),
        ),
        (Step::Restore(..) | Step::Rewrite(..), _) => {
            Notice::news(EventReason::SecretUpdated, format!("Secret {secret} follows the changed template"))
        }
        (Step::Amend(_, fields), Why::Drift(_)) => Notice::warning(
            EventReason::DriftCorrected,
            format!("the key was changed at the vendor and is set right: {}", drift::paths(fields)),
        ),
        (Step::Amend(_, fields), _) => Notice::news(
            EventReason::Updated,
            format!("the key was changed in place: {}", drift::paths(fields)),
        ),
        (Step::Revoke(ids), Why::Unused) => Notice::news(
            EventReason::UnusedKeyRevoked,
            format!(
                "{} revoked at the vendor: neither the Secret nor the status of this resource knew it",
                some(ids.iter().map(|id| id.0.as_str()))
            ),
        ),
        _ => return None,
    };
    Some(note)
}

/// What happens to the previous key, for messages. `until`: the end of its overlap.
fn afterwards(cause: Cause, until: Option<Timestamp>, tells_use: bool) -> String {
    let until =
        until.map_or_else(|| "for spec.rotation.overlap".to_owned(), |it| format!("until {}", clock(it)));
    match cause {
        Cause::Leaked => "the old one WORKS until event LeakedKeyRevoked says that it is revoked".to_owned(),
        Cause::Expired => "the old one does not work any more".to_owned(),
        Cause::KeyLost => format!("should the old one show up again, it works {until}"),
        _ if tells_use => {
            format!("the old one works {until}, and longer while it is used (spec.rotation.maxOverlap)")
        }
        _ => format!("the old one works {until}, and is revoked then, whether it is used or not"),
    }
}

/// The verdict after a failed vendor call, including what it means for applications.
pub fn failed(
    fault: &Fault,
    purpose: CallPurpose,
    next: Timestamp,
    occurrence: Occurrence,
    scene: &Scene<'_>,
) -> Verdict {
    let verdict = super::failed(fault, purpose, next, occurrence);
    let message = format!("{}; {}", verdict.message, scene.found.served(scene.secret));
    Verdict { message, ..verdict }
}

/// The verdict after a failed rotation of the served key; the failure is already recorded in `status`.
pub fn replacement_failed(
    fault: &Fault,
    cause: Cause,
    status: &GatewayApiKeyStatus,
    occurrence: Occurrence,
) -> Verdict {
    let next = status.next_rotation_time.unwrap_or_default();
    let expires = status.expires_at.map(|at| format!(" until {}", clock(at))).unwrap_or_default();
    let verdict = super::failed(fault, CallPurpose::ReplaceKey(cause), next, occurrence);
    let message = format!("{}; the Secret keeps the old key, which works{expires}", verdict.message);
    Verdict { message, ..verdict }
}

/// The verdict when the vendor does not show the served key for the first time.
pub fn key_missing(id: &KeyId, since: Timestamp) -> Verdict {
    let message = format!(
        "the vendor did not list key {id} at {}, so that it may not work any more; a second look, at least a minute later, decides; if the \
         key is still missing then, a new one is made",
        clock(since)
    );
    Verdict::reconciling(Reason::KeyMissing, message)
}

/// The event for unused keys that carry a resource's mark.
pub fn unused_found(ids: &[KeyId], until: Timestamp) -> Notice {
    let named = some(ids.iter().map(|id| id.0.as_str()));
    Notice::warning(
        EventReason::UnusedKeyFound,
        format!(
            "{named} at the vendor carries the mark of this resource, and neither its Secret nor its status knows it: a late create call made \
             it, or a person copied a key; it WORKS and is revoked after {}; to keep it, take the mark out of its name in the vendor's console",
            clock(until)
        ),
    )
}

/// The verdict for a Secret that would not hold the key as written, because something changes it on the way.
pub fn altered(secret: &str, what: &str) -> Verdict {
    Verdict::stalled(
        Reason::SecretContested,
        format!(
            "an admission policy or webhook changes {what} of Secret {secret} while it is written, so that the key would not be in it; no key \
             is made; exempt Secrets with the label app.kubernetes.io/managed-by=keysmith from it; tried again within twenty minutes"
        ),
    )
}

/// The amount that all keys together can spend during an overlap, to be appended to the event of a rotation.
pub fn spendable(status: &GatewayApiKeyStatus, currency: &str) -> Option<String> {
    let limit = status.budget.as_ref().and_then(money::limit)?;
    let working = u64::try_from(status.previous.iter().filter(|key| !key.leaked).count()).unwrap_or(u64::MAX);
    let told = status.last_rotation.as_ref().is_some_and(|it| it.budget.as_deref() == Some("CarriedOver"));
    (working > 0).then(|| {
        let keys = working.saturating_add(1);
        if told {
            return format!(
                "; the {keys} keys share what is left of the budget of {} {currency}",
                money::decimal(limit.micros)
            );
        }
        let all = money::decimal(limit.micros.saturating_mul(keys));
        format!("; while they work, {keys} keys can spend up to {all} {currency} together")
    })
}

/// The verdict while settings are sent that the vendor accepts only after creation.
pub fn applying() -> Verdict {
    Verdict::reconciling(Reason::Progressing, "the settings of the key are being applied")
}

/// The verdict while a key that another pass wrote into the Secret is looked up at the vendor.
pub fn checking() -> Verdict {
    Verdict::reconciling(
        Reason::Progressing,
        "the Secret holds a key that status does not know; it is looked up at the vendor",
    )
}

/// The verdict while an existing key is adopted.
pub fn taking_over() -> Verdict {
    Verdict::reconciling(Reason::Progressing, "a key that existed already is taken over")
}

/// The verdict for the key of a minted token that is deleted before its ConsoleToken.
pub fn token_needed(token: &str) -> Verdict {
    let message =
        format!("this key is the token of {token}, and is revoked after that is deleted; delete {token}");
    Verdict::reconciling(Reason::InUse, message)
}

/// The verdict for a stored resource that does not fit the current type. `error`: what is wrong, with the field's
/// name.
pub fn undecodable(error: &str) -> Verdict {
    let message = format!(
        "the stored resource cannot be read: {error}; correct that field, nothing was done or undone meanwhile"
    );
    Verdict::stalled(Reason::Undecodable, message)
}

/// The event when a previous key is left alone because it does not carry Keysmith's mark any more.
pub fn not_ours(id: &KeyId) -> Notice {
    let note = format!(
        "the old key {id} no longer carries Keysmith's mark in its name and still WORKS at the vendor; revoke it in the vendor's console"
    );
    Notice::warning(EventReason::LeftBehind, note)
}

/// The verdict while a leaked key is revoked although it cannot be replaced yet.
pub fn given_up() -> Verdict {
    let message = "the key was declared leaked and is being revoked; APPLICATIONS HAVE NO KEY until a new one is made: at once and \
                   again and again, unless spec.suspend or a refused specification is in the way";
    Verdict::reconciling(Reason::Leaked, message)
}

/// The verdict if the API server refuses to return the Secret. `error`: its response, shortened.
pub fn secret_unreadable(secret: &str, namespace: &str, error: &str) -> Verdict {
    let message = format!(
        "Secret {secret} cannot be read: {error}; nothing is made or changed until it can; grant Keysmith's ServiceAccount get on Secrets in \
         namespace {namespace}"
    );
    Verdict::stalled(Reason::SecretRefused, message)
}

/// Added to messages about a previous key that the vendor does not show: its deletion is not certain.
pub const UNSEEN: &str = "; the vendor did not show it any more, so that it is perhaps gone for long, or in another account: see keysmith orphans";
