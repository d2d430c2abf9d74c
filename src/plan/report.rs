//! From a decision to what users see.

use super::drift;
use super::duration;
use super::fault::{Fault, FaultKind};
use super::issuance::{Decision, Step, Why};
use super::policy::Policy;
use super::removal::{Left, LeftWhy};
use super::rotation::Cause;
use crate::api::condition::{self, PREVIOUS_KEY_IN_USE, ROTATING, ROTATION_OVERDUE};
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
                 delete the Secret, and it is made again with the same key"
            ),
        ),
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
        Why::MintingStopped(at) => Verdict::stalled(
            Reason::MintingStopped,
            format!(
                "too many keys were made for this resource within a day, which says that something is wrong; no other is made before {}; \
                 look at its events, and raise --max-keys-per-day if this many are meant",
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
        _ => return None,
    })
}

/// What status says after a vendor call failed. `doing` completes "could not …".
pub fn failed(fault: &Fault, doing: &str, next: Timestamp) -> Verdict {
    let next = clock(next);
    let message = match &fault.kind {
        FaultKind::Rejected { .. } => {
            format!("could not {doing}: {fault}; change the specification, otherwise tried again at {next}")
        }
        FaultKind::KeyLimit { .. } => format!(
            "could not {doing}: {fault}; delete keys that nobody needs or raise the plan's limit, and look at what the \
             console token may do; tried again at {next}"
        ),
        _ => format!("could not {doing}: {fault}; tried again at {next}"),
    };
    match fault.kind {
        FaultKind::Rejected { .. } | FaultKind::KeyLimit { .. } => Verdict::stalled(fault.reason(), message),
        _ => Verdict::reconciling(fault.reason(), message),
    }
}

/// The event of a step that was taken, if it is worth one.
pub fn taken(decision: &Decision, secret: &str) -> Option<Notice> {
    let note = match (&decision.step, &decision.why) {
        (Step::Issue(_), Why::NeverIssued | Why::AttemptFailed) | (Step::Adopt(..) | Step::Commit(..), _) => {
            Notice::news("Issued", format!("a key was made and put into Secret {secret}"))
        }
        (Step::Issue(_), Why::Rotation(Cause::KeyLost)) => Notice::warning(
            "KeyLost",
            format!("the key was deleted at the vendor; a new one was made and put into Secret {secret}"),
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
        (Step::Restore(..), Why::SecretEdited) => Notice::warning(
            "SecretRestored",
            format!("Secret {secret} was edited by somebody else and is restored with the same key"),
        ),
        (Step::Restore(..), _) => {
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
        Cause::KeyLost => "the old one was deleted at the vendor",
        Cause::Expired => "the old one expired",
    }
}

const fn afterwards(cause: Cause) -> &'static str {
    match cause {
        Cause::Leaked => "the old one is revoked now",
        Cause::KeyLost | Cause::Expired => "the old one does not work any more",
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
