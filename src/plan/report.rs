//! From a decision to what users see.

use super::drift;
use super::fault::{Fault, FaultKind};
use super::issuance::{Decision, Step, Why};
use crate::api::{Reason, Verdict};
use jiff::Timestamp;

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
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
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
                 choose another name or delete that Secret; looked at again every minute"
            ),
        ),
        Why::TypeFixed => Verdict::stalled(
            Reason::InvalidSpec,
            format!(
                "spec.secret.template.type: Secret {secret} has another type, and Kubernetes does not let it change; \
                 delete the Secret, and it is made again with the same key"
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
        _ => format!("could not {doing}: {fault}; tried again at {next}"),
    };
    match fault.kind {
        FaultKind::Rejected { .. } => Verdict::stalled(fault.reason(), message),
        _ => Verdict::reconciling(fault.reason(), message),
    }
}

/// The event of a step that was taken, if it is worth one.
pub fn taken(decision: &Decision, secret: &str) -> Option<Notice> {
    let note = match (&decision.step, &decision.why) {
        (Step::Issue(_), Why::NeverIssued | Why::AttemptFailed) | (Step::Adopt(..) | Step::Commit(..), _) => {
            Notice::news("Issued", format!("a key was made and put into Secret {secret}"))
        }
        (Step::Issue(_), Why::KeyLost) => Notice::warning(
            "KeyLost",
            format!("the key was deleted at the vendor; a new one was made and put into Secret {secret}"),
        ),
        (Step::Issue(_), Why::Expired) => Notice::warning(
            "KeyExpired",
            format!("the key expired; a new one was made and put into Secret {secret}"),
        ),
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
