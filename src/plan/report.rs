//! Turns a decision into what users see: conditions and events with their messages. Every message is written here
//! or beside the check that refuses a field; `tests/written/messages.txt` has one example of each.

pub mod budget;
pub mod call_purpose;
pub mod conditions;
pub mod deletion;
pub mod key;
pub mod models;
pub mod project;
pub mod provider_key;
pub mod token;

use super::fault::{Fault, FaultKind, Occurrence, Unreachable};
use crate::api::condition::{self, Condition, READY, STALLED};
use crate::api::verdict::Course;
use crate::api::{EventReason, LastPass, Reason, Verdict};
use crate::plan::time::clock;
use call_purpose::CallPurpose;
use jiff::Timestamp;

/// An event: one per transition. Events are the first to be dropped under load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Type `Warning` instead of `Normal`.
    pub warning: bool,
    /// Its reason.
    pub reason: EventReason,
    /// Its message, one clause.
    pub note: String,
}

impl Notice {
    /// An event of type `Normal`.
    pub fn news(reason: impl Into<EventReason>, note: impl Into<String>) -> Self {
        Self { warning: false, reason: reason.into(), note: note.into() }
    }

    /// An event of type `Warning`.
    pub fn warning(reason: impl Into<EventReason>, note: impl Into<String>) -> Self {
        Self { warning: true, reason: reason.into(), note: note.into() }
    }
}

/// Applies a verdict to the conditions and to the record of the last pass. Returns the event of a transition: the reason changed, or a wait became too
/// long.
pub fn transition(
    conditions: &mut Vec<Condition>,
    last: &mut Option<LastPass>,
    verdict: &Verdict,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let before = condition::find(conditions, READY).map(|it| it.reason.clone());
    let was_stalled = condition::is_true(conditions, STALLED);
    verdict.apply(conditions, last, generation, now);
    let stalled = condition::is_true(conditions, STALLED);
    let gave_up = verdict.course == Course::Waiting && stalled && !was_stalled;
    if before.as_deref() == Some(verdict.reason.as_str()) && !gave_up {
        return None;
    }
    let quiet = match verdict.course {
        Course::Settled => verdict.reason != Reason::Verified,
        // A spent budget has an event of its own.
        _ => matches!(verdict.reason, Reason::Progressing | Reason::BudgetSpent),
    };
    let ordinary = matches!(verdict.reason, Reason::Verified | Reason::GatewayKeyNotReady | Reason::Deleting)
        || verdict.course == Course::Waiting;
    let notice = Notice { warning: stalled || !ordinary, ..Notice::news(verdict.reason, &verdict.message) };
    (!quiet).then_some(notice)
}

/// Whether the last pass ended with the same fault.
pub fn occurrence(last: Option<&LastPass>, fault: &Fault) -> Occurrence {
    match last {
        Some(last) if last.fault.as_deref() == Some(fault.name()) => Occurrence::Repeated,
        _ => Occurrence::First,
    }
}

/// The verdict after a failed vendor call.
pub fn failed(fault: &Fault, purpose: CallPurpose, next: Timestamp, occurrence: Occurrence) -> Verdict {
    let next = clock(next);
    let message = match &fault.kind {
        FaultKind::Rejected { status: 405 | 415, .. } => format!(
            "could not {purpose}: {fault}; no specification changes that: look at spec.endpoint of the ConsoleToken and at what answers there; \
             tried again at {next}"
        ),
        FaultKind::Rejected { fields, .. } if fields.is_empty() => format!(
            "could not {purpose}: {fault}; compare the specification with `keysmith explain`, and look for this call in the \
             vendor's console; tried again at {next}"
        ),
        FaultKind::Rejected { .. } => {
            format!("could not {purpose}: {fault}; change the specification, otherwise tried again at {next}")
        }
        FaultKind::RejectedOurs { .. } => format!(
            "could not {purpose}: {fault}: no field of the specification sets it, so that the vendor's API or Keysmith has to change; look for a \
             newer version of Keysmith; tried again at {next}"
        ),
        FaultKind::KeyLimit { .. } => format!(
            "could not {purpose}: {fault}; delete keys that are not needed or raise the plan's limit, and look at what the \
             console token may do; tried again at {next}"
        ),
        FaultKind::TokenRefused => {
            format!(
                "could not {purpose}: {fault}; replace the token as its ConsoleToken says; tried again at {next}"
            )
        }
        FaultKind::Forbidden => format!(
            "could not {purpose}: {fault}; give the console token that right in the vendor's console, or use another token; tried \
             again at {next}"
        ),
        kind => match on_the_way(kind, "spec.endpoint of the ConsoleToken") {
            Some(cure) => format!("could not {purpose}: {fault}; {cure}; tried again at {next}"),
            None => format!("could not {purpose}: {fault}; tried again at {next}"),
        },
    };
    Verdict::reconciling(fault.reason(), message).stalled_if(fault.stalls(occurrence)).about(fault.name())
}

/// What to check if a call does not reach the vendor, or reaches another server.
fn on_the_way(kind: &FaultKind, endpoint: &str) -> Option<String> {
    Some(match kind {
        FaultKind::Unreachable(Unreachable::Certificate) => {
            format!(
                "check {endpoint} and the certificate; a certificate authority of your own goes into spec.caBundleRef of the ConsoleToken, or into \
                 --ca-bundle (chart: caBundle)"
            )
        }
        FaultKind::Unreachable(Unreachable::Private) => format!(
            "no token is sent there; if the vendor is reached through a network of yours, list the origin of {endpoint} in --allowed-endpoints (chart: allowedEndpoints), \
             otherwise look at what answers for that name in DNS"
        ),
        FaultKind::Unreachable(_) => {
            format!(
                "check {endpoint}, DNS, NetworkPolicies and firewalls; where vendors are reached through a proxy, check --https-proxy (chart: \
                 httpsProxy): Keysmith does not read HTTPS_PROXY"
            )
        }
        FaultKind::NotFound
        | FaultKind::Redirected { .. }
        | FaultKind::Malformed(_)
        | FaultKind::MalformedField { .. }
        | FaultKind::TooLarge { .. } => format!("check {endpoint} and what answers there"),
        _ => return None,
    })
}

/// A list of ids, cut so that the line stays readable.
fn some<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let more = ids.len().saturating_sub(SHOWN);
    let text = ids.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}
