//! Messages about `ProjectSettings`.

use super::super::fault::Occurrence;
use super::super::project::paths;
use super::Notice;
use super::call_purpose::CallPurpose;
use crate::api::{EventReason, Reason, Verdict};
use crate::plan::time::clock;
use jiff::Timestamp;

/// `spec.suspend`.
pub fn suspended() -> Verdict {
    let message = "spec.suspend is true: nothing is read or changed until it is taken away";
    Verdict { ready: false, ..Verdict::settled(Reason::Suspended, message) }
}

/// The project is as specified.
pub fn applied() -> Verdict {
    Verdict::settled(Reason::Applied, "the project's settings are as specified")
}

/// The event of a change.
pub fn updated(fields: &[&str]) -> Notice {
    Notice::news(EventReason::Updated, format!("changed at the vendor and read back: {}", paths(fields)))
}

/// The message of the condition `Drifted`.
pub fn drifted(fields: &[&str]) -> String {
    if fields.is_empty() {
        String::new()
    } else {
        format!("the vendor shows something else: {}", paths(fields))
    }
}

/// The settings differ and are only observed.
pub fn observed(fields: &[&str]) -> Verdict {
    let message = format!(
        "the vendor has other settings, and managementPolicy: Observe leaves them: {}; set managementPolicy: Manage to have them changed",
        paths(fields)
    );
    Verdict::settled(Reason::Observed, message)
}

/// The vendor accepted a change but does not show it.
pub fn not_applied(fields: &[&str], next: Timestamp) -> Verdict {
    let message = format!(
        "the vendor accepted a change and does not show it: {}; compare the project in its console, tried again at {}",
        paths(fields),
        clock(next)
    );
    Verdict::reconciling(Reason::NotApplied, message)
}

/// The vendor does not support project settings. `able`: the vendors that do.
pub fn unsupported<'a>(title: &str, able: impl Iterator<Item = &'a str>) -> String {
    let able = able.collect::<Vec<_>>().join(" or ");
    format!("{title} has no settings of whole projects; name a ConsoleToken of {able}, or delete this")
}

/// Another resource manages the same project.
pub fn overruled(name: &str, namespace: &str) -> Verdict {
    let message = format!(
        "ProjectSettings {name} in namespace {namespace} was made before this and manages the same project; put everything there and delete this"
    );
    Verdict::stalled(Reason::OwnershipConflict, message)
}

/// The token's user is not an administrator of the project.
pub fn forbidden(purpose: CallPurpose, token: &str, next: Timestamp, occurrence: Occurrence) -> Verdict {
    let message = format!(
        "could not {purpose}: the user of {token} is no administrator of the project (403); name a ConsoleToken of one, or set \
         managementPolicy: Observe; tried again at {}",
        clock(next)
    );
    Verdict::reconciling(Reason::Forbidden, message).stalled_if(occurrence == Occurrence::Repeated)
}
