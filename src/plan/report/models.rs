//! The condition `ModelUnknown`: which models of the specification the vendor does not list.

use super::super::models::{Found, Unknown};
use super::Notice;
use crate::api::condition::{self, MODEL_UNKNOWN};
use crate::api::{EventReason, GatewayApiKeyStatus, Reason};
use jiff::Timestamp;

/// How many unknown models a message names.
const NAMED: usize = 3;

/// Updates the condition, and what the patterns stand for. `None`: the specification names no models, or the vendor's list is not
/// known. Returns an event if one is due.
pub fn tell(
    status: &mut GatewayApiKeyStatus,
    found: Option<(&Found, &str)>,
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Notice> {
    let Some((found, vendor)) = found else {
        status.conditions.retain(|it| it.type_ != MODEL_UNKNOWN);
        status.resolved_models.clear();
        return None;
    };
    status.resolved_models.clone_from(&found.resolved);
    let message = message(found, vendor);
    let unknown = !found.unknown.is_empty();
    let reason = if unknown { Reason::ModelNotListed } else { Reason::ModelsListed };
    let wanted = condition::condition(MODEL_UNKNOWN, unknown, reason, &message, generation);
    let news = condition::find(&status.conditions, MODEL_UNKNOWN).is_none_or(|it| it.message != message);
    condition::set(&mut status.conditions, wanted, now);
    (unknown && news).then(|| Notice::warning(EventReason::ModelUnknown, message))
}

/// Whether status says the same already.
pub fn is_told(status: &GatewayApiKeyStatus, found: &Found, vendor: &str) -> bool {
    let said = condition::find(&status.conditions, MODEL_UNKNOWN);
    said.is_some_and(|it| it.message == message(found, vendor)) && status.resolved_models == found.resolved
}

fn message(found: &Found, vendor: &str) -> String {
    let Some(_) = found.unknown.first() else {
        return format!("{vendor} lists every model in spec.models");
    };
    let names: Vec<_> = found.unknown.iter().take(NAMED).map(named).collect();
    let more = match found.unknown.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{vendor} does not list {}{more}, so its gateway may refuse calls with it; correct spec.models, or leave it if the vendor is \
         still to add it",
        names.join(", ")
    )
}

fn named(unknown: &Unknown) -> String {
    match unknown.nearest.as_slice() {
        [] => unknown.name.clone(),
        nearest => format!("{} (nearest: {})", unknown.name, nearest.join(", ")),
    }
}
