//! From a decision to what users see.

use super::desired::Desired;
use super::drift;
use super::duration;
use super::facts::{Facts, KeyId};
use super::fault::{Fault, FaultKind};
use super::issuance::{Decision, Step, Why};
use super::policy::Policy;
use super::removal::{Left, LeftWhy};
use super::rotation::Cause;
use crate::api::condition::{
    self, EXPIRY_UNCONFIRMED, LEAK_OPEN, PREVIOUS_KEY_IN_USE, ROTATING, ROTATION_OVERDUE, SECRET_CONTESTED,
};
use crate::api::rotation::DeletionPolicy;
use crate::api::{GatewayApiKeyStatus, Reason, Verdict};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// An event: one per transition, dropped first under load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// A warning, or ordinary news.
    pub warning: bool,
    /// Why, CamelCase.
    pub reason: &'static str,
    /// One clause.
    pub note: String,
}

impl Notice {
    /// Ordinary news.
    pub fn news(reason: &'static str, note: impl Into<String>) -> Self {
        Self { warning: false, reason, note: note.into() }
    }

    /// Something somebody should look at.
    pub fn warning(reason: &'static str, note: impl Into<String>) -> Self {
        Self { warning: true, reason, note: note.into() }
    }
}

/// A time as users read it: whole seconds, UTC.
pub fn clock(time: Timestamp) -> String {
    to_the_second(time).to_string()
}

/// Whole seconds, which is what Kubernetes keeps.
pub fn to_the_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// When a key was last used, in steps of an hour: finer ones would be a write for every call.
pub fn to_the_hour(shown: Option<Timestamp>, used: Option<Timestamp>) -> Option<Timestamp> {
    let hour =
        used.and_then(|it| Timestamp::from_second(it.as_second() - it.as_second().rem_euclid(3600)).ok());
    shown.max(hour)
}

/// What status says when a decision is to rest.
pub fn resting(decision: &Decision, secret: &str, active: bool) -> Option<Verdict> {
    let until = match decision.step {
        Step::Rest(Some(until)) => clock(until),
        _ => "something changes".to_owned(),
    };
    Some(match &decision.why {
        Why::Fresh if !active => Verdict::settled(
            Reason::Disabled,
            format!("Secret {secret} holds the key; spec.active: false makes the vendor refuse it"),
        ),
        Why::Fresh => Verdict::settled(Reason::Issued, format!("Secret {secret} holds the key")),
        Why::Suspended => Verdict {
            ready: false,
            ..Verdict::settled(
                Reason::Suspended,
                "spec.suspend: nothing is made, changed or replaced until it is taken away; an expiry is not stopped by it",
            )
        },
        Why::Observed => Verdict::settled(
            Reason::Observed,
            "the key is looked at and left alone; set managementPolicy: Manage to take it over",
        ),
        Why::ExternalMissing => Verdict::stalled(
            Reason::ExternalKeyMissing,
            "spec.externalId: the vendor knows no key with that id; delete this resource and create one that names another key, or none \
             to have one made; looked at again every ten minutes",
        ),
        Why::OwnedElsewhere(here) => {
            let whose = if *here { "another resource of this cluster" } else { "another cluster" };
            Verdict::stalled(
                Reason::OwnershipConflict,
                format!(
                    "spec.externalId: the key carries the mark of {whose}, and Keysmith does not take it away; \
                     where that resource is gone or lets go of the key with deletionPolicy: Retain, take the mark out of the key's \
                     name in the vendor's console; looked at again every ten minutes"
                ),
            )
        }
        Why::KeyMissing => Verdict::reconciling(
            Reason::KeyMissing,
            format!(
                "the vendor does not show the key any more, and one look is no proof: looked at again at {until}; if it is still gone a new key is made"
            ),
        ),
        Why::AccountDoubted => Verdict::reconciling(
            Reason::AccountSuspicious,
            format!(
                "the vendor does not show this key, and the account cannot be trusted to be the one it was made in: nothing is made or revoked; \
                 look at the ConsoleToken; looked at again at {until}"
            ),
        ),
        Why::MintingStopped(at) => Verdict::stalled(
            Reason::MintingStopped,
            format!(
                "too many keys were made for this resource within a day, which says that something is wrong; no other is made before {}; \
                 look at its events; where keys or Secrets were lost, mend the cause and set the annotation \
                 keysmith.dev/reconcile-requested-at to a new value; raise --max-keys-per-day if this many are meant",
                clock(*at)
            ),
        ),
        Why::AnswerLost => Verdict::reconciling(
            Reason::Recovering,
            format!(
                "the answer to the last create call was lost and no key of it is listed; a new one is made after {until} unless it turns up"
            ),
        ),
        Why::NotApplied(fields) => Verdict::reconciling(
            Reason::NotApplied,
            format!(
                "the vendor accepted a change of {} and does not show it; compare the key in its console, \
                 tried again ever more rarely, and when the specification changes",
                drift::paths(fields)
            ),
        ),
        Why::Deleting => Verdict::reconciling(
            Reason::Deleting,
            format!(
                "a create call without a known outcome may still turn up; the end of it is awaited until {until}"
            ),
        ),
        why => return unwritten(why, secret, &until),
    })
}

/// What is said while the Secret is not written.
fn unwritten(why: &Why, secret: &str, until: &str) -> Option<Verdict> {
    Some(match why {
        Why::SecretTaken(owner) => Verdict::stalled(
            Reason::SecretConflict,
            format!(
                "spec.secret.name: Secret {secret} belongs to {owner}, and Keysmith does not touch it; \
                 delete that Secret, or create another GatewayApiKey with another spec.secret.name; looked at again every minute"
            ),
        ),
        Why::TypeFixed => Verdict::stalled(
            Reason::InvalidSpec,
            format!(
                "spec.secret.template.type: Secret {secret} has another type, and Kubernetes does not let it change; \
                 delete the Secret: it is made again, with the same key where the vendor shows a key again, and with a new one elsewhere"
            ),
        ),
        Why::Contested => Verdict::stalled(
            Reason::SecretContested,
            format!(
                "Secret {secret} lost the key again, shortly after it was put there: something in the cluster changes the Secret, see condition \
                 SecretContested and the events; exempt the Secret there; no new key is made before {until}, or before you set the annotation \
                 keysmith.dev/reconcile-requested-at to a new value"
            ),
        ),
        Why::SecretImmutable => Verdict::stalled(
            Reason::SecretImmutable,
            format!(
                "Secret {secret} is immutable, and has to be written; no key is made for it; delete the Secret, and Keysmith makes it again at once"
            ),
        ),
        _ => return None,
    })
}

/// What status says after a vendor call failed. `doing` completes "could not …".
pub fn failed(fault: &Fault, doing: &str, next: Timestamp) -> Verdict {
    let next = clock(next);
    let message = match &fault.kind {
        FaultKind::Rejected { status: 405 | 415, .. } => format!(
            "could not {doing}: {fault}; no specification changes that: look at spec.endpoint of the ConsoleToken and at what stands between; \
             tried again at {next}"
        ),
        FaultKind::Rejected { .. } => {
            format!("could not {doing}: {fault}; change the specification, otherwise tried again at {next}")
        }
        FaultKind::RejectedOurs { .. } => format!(
            "could not {doing}: {fault}: no field of the specification sets it, so that the vendor's API or Keysmith has to change; look for a \
             newer version of Keysmith; tried again at {next}"
        ),
        FaultKind::KeyLimit { .. } => format!(
            "could not {doing}: {fault}; delete keys that nobody needs or raise the plan's limit, and look at what the \
             console token may do; tried again at {next}"
        ),
        _ => format!("could not {doing}: {fault}; tried again at {next}"),
    };
    if fault.needs_a_person() {
        return Verdict::stalled(fault.reason(), message);
    }
    Verdict::reconciling(fault.reason(), message)
}

/// The event of a step that was taken, if it is worth one.
pub fn taken(decision: &Decision, secret: &str) -> Option<Notice> {
    let note = match (&decision.step, &decision.why) {
        (Step::Issue(_), Why::NeverIssued | Why::AttemptFailed) | (Step::Adopt(..) | Step::Commit(..), _) => {
            Notice::news("Issued", format!("a key was made and put into Secret {secret}"))
        }
        (Step::Issue(_), Why::Rotation(Cause::KeyLost)) => Notice::warning(
            "KeyLost",
            format!(
                "two looks a minute apart did not show the key at the vendor; a new one was made and put into Secret {secret}; \
                 the old one works for spec.rotation.overlap should it show up again"
            ),
        ),
        (Step::Issue(_), Why::Rotation(Cause::Expired)) => Notice::warning(
            "KeyExpired",
            format!("the key expired; a new one was made and put into Secret {secret}"),
        ),
        (Step::Issue(_), Why::Rotation(cause)) => Notice::news(
            "Rotated",
            format!("a new key is in Secret {secret}, because {}; {}", because(*cause), afterwards(*cause)),
        ),
        (Step::Retire(_), Why::Leaked) => {
            Notice::warning("LeakedKeyRevoked", "the key that leaked is revoked at the vendor".to_owned())
        }
        (Step::Retire(id), Why::TooMany) => Notice::warning(
            "PreviousKeyRevoked",
            format!(
                "the oldest key {id} is revoked at the vendor before its overlap is over: more than spec.rotation.maxPrevious old keys worked"
            ),
        ),
        (Step::Retire(_), _) => {
            Notice::news("PreviousKeyRevoked", "the old key is revoked at the vendor".to_owned())
        }
        (Step::Switch(_, false), _) => Notice::news(
            "PreviousKeyDisabled",
            "the old key is switched off and will be deleted; raise spec.rotation.overlap to switch it on again"
                .to_owned(),
        ),
        (Step::Switch(_, true), _) => {
            Notice::news("PreviousKeyEnabled", "the old key works again: its overlap was made longer".to_owned())
        }
        (Step::Recognise(..), Why::Relinked) => Notice::news(
            "Relinked",
            "the key of the resource this one was restored from was found again by its mark".to_owned(),
        ),
        (Step::Recognise(..), _) => {
            Notice::news("TakenOver", "the key named in spec.externalId is managed from here".to_owned())
        }
        (Step::Restore(..), Why::SecretDeleted) => Notice::warning(
            "SecretRestored",
            format!("Secret {secret} was deleted and is restored with the same key"),
        ),
        (Step::Rewrite(..), Why::SecretEdited) => Notice::warning(
            "SecretRestored",
            format!("Secret {secret} was edited and is written anew around the key that stands in it"),
        ),
        (Step::Restore(..), Why::SecretEdited) => Notice::warning(
            "SecretRestored",
            format!("Secret {secret} was edited by somebody else and is restored with the same key"),
        ),
        (Step::Restore(..) | Step::Rewrite(..), _) => {
            Notice::news("SecretUpdated", format!("Secret {secret} follows the changed template"))
        }
        (Step::Amend(_, fields), Why::Drift(_)) => Notice::warning(
            "DriftCorrected",
            format!("the key was changed at the vendor and is set right: {}", drift::paths(fields)),
        ),
        (Step::Amend(_, fields), _) => {
            Notice::news("Updated", format!("the key was changed in place: {}", drift::paths(fields)))
        }
        (Step::Revoke(ids), Why::Spare) => Notice::news(
            "SpareRevoked",
            format!("{} of our keys that nothing uses revoked at the vendor", ids.len()),
        ),
        _ => return None,
    };
    Some(note)
}

const fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::Expiry => "the old one is near its expiry",
        Cause::MaxAge => "the old one reached spec.rotation.maxAge",
        Cause::Trigger => "spec.rotation.trigger changed",
        Cause::Requested => "the annotation asked for it",
        Cause::Leaked => "the old one was declared leaked",
        Cause::Changed => "a field changed that is fixed when a key is made",
        Cause::SecretLost => "its content was lost and the vendor does not show a key twice",
        Cause::KeyLost => "the vendor did not show the old one any more",
        Cause::Expired => "the old one expired",
    }
}

const fn afterwards(cause: Cause) -> &'static str {
    match cause {
        Cause::Leaked => "the old one is revoked now",
        Cause::Expired => "the old one does not work any more",
        Cause::KeyLost => "the old one works for spec.rotation.overlap should it show up again",
        _ => "the old one works on for spec.rotation.overlap",
    }
}

/// What status says after an attempt to replace the served key failed; it is in `status` already.
pub fn replacement_failed(fault: &Fault, cause: Cause, status: &GatewayApiKeyStatus) -> Verdict {
    let next = status.next_rotation_time.map(clock).unwrap_or_default();
    let expires = status.expires_at.map(|at| format!(" until {}", clock(at))).unwrap_or_default();
    let message = format!(
        "could not replace the key, although {}: {fault}; the Secret keeps the old key, which works{expires}; \
         tried again at {next}",
        because(cause)
    );
    Verdict::reconciling(fault.reason(), message)
}

/// Brings the conditions that tell of replacements in line with the rest of status. Returns news.
pub fn tell_of_rotation(
    status: &mut GatewayApiKeyStatus,
    overdue: bool,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let conditions = &mut status.conditions;
    let mut news = None;
    let wanted = match (status.rotation_failures, status.previous.iter().map(|key| key.retire_after).max()) {
        (Some(failures), _) => {
            let next = status.next_rotation_time.map(clock).unwrap_or_default();
            let message =
                format!("replacing the key failed {failures} times in a row; tried again at {next}");
            Some(condition::condition(ROTATING, true, Reason::Replacing, &message, generation))
        }
        (None, Some(until)) => {
            let message = if status.previous.iter().any(|key| key.disabled_at.is_some()) {
                "the old key is switched off and is deleted soon".to_owned()
            } else {
                format!(
                    "the old key works beside the new one until {}, and longer while it is used",
                    clock(until)
                )
            };
            Some(condition::condition(ROTATING, true, Reason::Overlap, &message, generation))
        }
        (None, None) => None,
    };
    match wanted {
        Some(wanted) => drop(condition::set(conditions, wanted, now)),
        None => conditions.retain(|it| it.type_ != ROTATING),
    }
    if overdue {
        let expires = status.expires_at.map(|at| format!("; the key stops working at {}", clock(at)));
        let message = format!(
            "the key should have been replaced by now and every attempt failed, see Ready{}",
            expires.unwrap_or_default()
        );
        let wanted = condition::condition(ROTATION_OVERDUE, true, Reason::Replacing, &message, generation);
        if condition::set(conditions, wanted, now) {
            news = Some(Notice::warning(ROTATION_OVERDUE, message));
        }
    } else {
        conditions.retain(|it| it.type_ != ROTATION_OVERDUE);
    }
    news
}

/// Says that the old key was retired although it was used shortly before.
pub fn still_in_use(policy: &Policy, generation: Option<i64>) -> Condition {
    let message = format!(
        "at the last replacement the old key was used less than {} before it was switched off, {} after the new one was in \
         the Secret; \
         look for a consumer that did not read the Secret again",
        duration::format(super::retirement::quiet(policy)),
        duration::format(policy.max_overlap)
    );
    condition::condition(PREVIOUS_KEY_IN_USE, true, Reason::StillInUse, &message, generation)
}

/// What is said of consumers that were restarted, or not.
pub fn restarted(restarted: &[String], missing: &[String], forbidden: &[String]) -> Vec<Notice> {
    let mut notices = Vec::new();
    if !restarted.is_empty() {
        notices.push(Notice::news(
            "ConsumersRestarted",
            format!("restarted for the new content of the Secret: {}", restarted.join(", ")),
        ));
    }
    if !missing.is_empty() {
        let note =
            format!("spec.rotation.restart names what does not exist: {}; correct it", missing.join(", "));
        notices.push(Notice::warning("ConsumersMissing", note));
    }
    if !forbidden.is_empty() {
        let note = format!(
            "Kubernetes refused to restart {}; grant Keysmith patch on workloads (rbac.restartWorkloads in the chart) and look at \
             admission webhooks, then restart them by hand: it is not tried again for this content",
            forbidden.join(", ")
        );
        notices.push(Notice::warning("ConsumersForbidden", note));
    }
    notices
}

/// What status says when the vendor does not show the served key for the first time.
pub fn key_missing(id: &KeyId, since: Timestamp, facts: &Facts) -> Verdict {
    let message = format!(
        "the vendor did not show key {id} at {}, and one look is no proof: a second one, at least a minute later, decides; \
         if the key is still gone then a new one is made, and should it show up again it has its overlap",
        clock(since)
    );
    Verdict::reconciling(Reason::KeyMissing, message).still_ready(facts.doubted && facts.serves())
}

/// The event for keys that carry a resource's mark and that nothing uses.
pub fn spares_found(ids: &[KeyId], facts: &Facts) -> Notice {
    let named = ids.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = ids.len().saturating_sub(5);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Notice::warning(
        "SpareFound",
        format!(
            "nothing uses {named}{more} at the vendor, which carries the mark of this resource: a late answer to a create call, or a copy \
             that a person made; revoked after {}; to keep it, take the mark out of its name",
            clock(super::retry::plus(facts.now, facts.poll))
        ),
    )
}

/// What status says of a Secret in which the key would not arrive.
pub fn altered(secret: &str, what: &str) -> Verdict {
    Verdict::stalled(
        Reason::SecretContested,
        format!(
            "an admission policy or webhook changes {what} of Secret {secret} while it is written, so that the key would not be in it; no key \
             is made; exempt Secrets with the label app.kubernetes.io/managed-by=keysmith from it; tried again ever more rarely, and when asked"
        ),
    )
}

/// What can be spent in all while old keys work beside the new one, to be appended to the event of a replacement.
pub fn spendable(status: &GatewayApiKeyStatus, currency: &str) -> Option<String> {
    let limit = status.budget.as_ref().and_then(super::money::limit)?;
    let working = u64::try_from(status.previous.iter().filter(|key| !key.leaked).count()).unwrap_or(u64::MAX);
    let told = status.last_rotation.as_ref().is_some_and(|it| it.budget.as_deref() == Some("CarriedOver"));
    (working > 0).then(|| {
        let keys = working.saturating_add(1);
        if told {
            return format!(
                "; the {keys} keys share what is left of the budget of {} {currency}",
                super::money::decimal(limit.micros)
            );
        }
        let all = super::money::decimal(limit.micros.saturating_mul(keys));
        format!("; until then {keys} keys can spend up to {all} {currency} in all")
    })
}

/// Whether a key was declared leaked that is not revoked yet: by an annotation that is not handled, or as a previous key.
pub fn leak_is_open(status: &GatewayApiKeyStatus, asked: Option<&String>) -> bool {
    let asked = asked.is_some() && asked != status.last_handled_leaked.as_ref() && status.id.is_some();
    asked || status.previous.iter().any(|key| key.leaked)
}

/// The leaked key that is not revoked yet.
pub fn leaked_key(status: &GatewayApiKeyStatus) -> Option<String> {
    let previous = status.previous.iter().find(|key| key.leaked).map(|key| key.id.clone());
    previous.or_else(|| status.id.clone())
}

/// What status says while nothing else is wrong and a leaked key still works.
pub fn leak_pending(id: &str, observed: bool) -> Verdict {
    if observed {
        return Verdict::stalled(Reason::Leaked, leak_observed(id));
    }
    Verdict::reconciling(
        Reason::Leaked,
        format!("key {id} was declared leaked and still WORKS at the vendor; it is being revoked"),
    )
}

fn leak_observed(id: &str) -> String {
    format!(
        "key {id} was declared leaked and is only looked at (managementPolicy: Observe), so that Keysmith does NOT revoke it: revoke it in the \
         vendor's console, or set managementPolicy: Manage; then take the annotation keysmith.dev/leaked away"
    )
}

/// Brings the condition `LeakOpen` in line with status, whose `Ready` says what is in the way. Returns news.
pub fn tell_of_leak(
    status: &mut GatewayApiKeyStatus,
    (open, observed): (bool, bool),
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let Some(id) = leaked_key(status).filter(|_| open) else {
        status.conditions.retain(|it| it.type_ != LEAK_OPEN);
        return None;
    };
    let ready = condition::find(&status.conditions, condition::READY);
    let hindrance = ready.filter(|it| it.reason != Reason::Leaked.as_str() && it.status != "True");
    let cannot = hindrance.map(|it| {
        format!(
            "; revoke it in the vendor's console now, Keysmith cannot at the moment because: {}",
            it.message
        )
    });
    let tried = || {
        let cannot = cannot.unwrap_or_default();
        format!(
            "key {id} was declared leaked and still WORKS at the vendor until it is revoked, which is tried all the time{cannot}"
        )
    };
    let message = if observed { leak_observed(&id) } else { tried() };
    let wanted = condition::condition(LEAK_OPEN, true, Reason::Leaked, &message, generation);
    condition::set(&mut status.conditions, wanted, now).then(|| Notice::warning(LEAK_OPEN, message))
}

/// Brings the condition `SecretContested` in line with status. Returns news.
pub fn tell_of_contest(
    status: &mut GatewayApiKeyStatus,
    secret: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let Some(contest) = status.secret_contest.clone() else {
        status.conditions.retain(|it| it.type_ != SECRET_CONTESTED);
        return None;
    };
    let message = format!(
        "something in the cluster changes Secret {secret} back ({}): it was set right twice and is left as it is; an admission policy, webhook or \
         controller should leave Secrets with the label app.kubernetes.io/managed-by=keysmith alone; set right again after {}, or when you set the \
         annotation keysmith.dev/reconcile-requested-at to a new value",
        contest.differs.join(", "),
        clock(super::retry::plus(contest.since, super::contest::AGAIN))
    );
    let wanted = condition::condition(SECRET_CONTESTED, true, Reason::SecretContested, &message, generation);
    condition::set(&mut status.conditions, wanted, now).then(|| Notice::warning(SECRET_CONTESTED, message))
}

/// Brings the condition `ExpiryUnconfirmed` in line with status: a key was ordered with an expiry, and the vendor shows
/// none. Returns news.
pub fn tell_of_expiry(
    status: &mut GatewayApiKeyStatus,
    desired: &Desired,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let Some(days) = desired.expires_in_days.filter(|_| status.id.is_some() && status.expires_at.is_none())
    else {
        status.conditions.retain(|it| it.type_ != EXPIRY_UNCONFIRMED);
        return None;
    };
    let message = format!(
        "spec.expiresInDays: {days} was sent, and the vendor shows no expiry of the key: it may never stop working, or stop without notice; \
         it is replaced as if it expired {days} days after it was made; look at it in the vendor's console"
    );
    let wanted = condition::condition(EXPIRY_UNCONFIRMED, true, Reason::ExpiryNotShown, &message, generation);
    condition::set(&mut status.conditions, wanted, now).then(|| Notice::warning(EXPIRY_UNCONFIRMED, message))
}

/// What is said when a resource goes.
pub fn released(left: &[Left], revoked: bool) -> Option<Notice> {
    let Some(first) = left.first() else {
        return revoked.then(|| Notice::news("Revoked", "the key is revoked at the vendor"));
    };
    let ids: Vec<_> =
        left.iter().map(|it| it.id.as_ref().map_or("one of an unknown id", |id| &id.0)).collect();
    let why = match first.why {
        LeftWhy::Policy(DeletionPolicy::Disable) => "switched off, as spec.deletionPolicy says",
        LeftWhy::Policy(_) => "as spec.deletionPolicy says",
        LeftWhy::Forced => "because keysmith.dev/force-orphan was set",
        LeftWhy::NotOurs => "because Keysmith's mark is gone from its name",
    };
    Some(Notice::warning("LeftBehind", format!("left at the vendor, {why}: {}", ids.join(", "))))
}

/// What status says of a deletion that does not get on.
pub fn deletion_blocked(why: &str, token: &str, next: Option<Timestamp>) -> Verdict {
    let next = match next {
        Some(next) => format!("tried again at {}", clock(next)),
        None => format!("goes on by itself once ConsoleToken {token} works again"),
    };
    let message = format!(
        "the key cannot be removed: {why}; {next}; \
         to let go of the key instead set spec.deletionPolicy: Retain or the annotation keysmith.dev/force-orphan"
    );
    Verdict::reconciling(Reason::DeletionBlocked, message)
}

/// What status says of a deletion that nothing but its author can end, because the token is gone for good.
pub fn deletion_hopeless(why: &str) -> Verdict {
    let message =
        format!("what was made at the vendor cannot be removed: {why}; it is then written into the ledger");
    Verdict::reconciling(Reason::DeletionBlocked, message)
}
