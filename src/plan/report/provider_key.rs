//! Messages about ProviderKeys.

use super::super::fault::Fault;
use super::super::provider_key::ProviderKeyWhy as Why;
use super::Notice;
use crate::api::{EventReason, Reason, Verdict};
use crate::plan::time::clock;
use jiff::Timestamp;

/// The verdict when nothing is left to do. `left`: earlier provider keys that the vendor did not delete.
pub fn at_rest(left: &[String]) -> Verdict {
    if left.is_empty() {
        return Verdict::settled(Reason::Deposited, "the credential is at the vendor");
    }
    let message = format!(
        "the credential is at the vendor, and so are earlier ones that it did not remove: {}; remove them in its console",
        left.join(", ")
    );
    Verdict::settled(Reason::Deposited, message)
}

/// The provider key is not in the vendor's listing.
pub fn missing(since: Timestamp) -> Verdict {
    let message = format!(
        "the vendor's listing has not shown the credential since {}; it is sent again if a look more than a minute later does not show it either",
        clock(since)
    );
    Verdict::reconciling(Reason::Progressing, message).still_ready(true)
}

/// The outcome of the last create call is unknown. `why`: its fault, if it is remembered.
pub fn unanswered(why: Option<&Fault>, until: &str) -> Verdict {
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    let message = format!(
        "the last call may have stored the credential{why}, and the vendor does not list it yet; sent again after {until} unless it turns up"
    );
    Verdict::reconciling(Reason::Recovering, message)
}

/// A superseded provider key is still listed.
pub fn superseded(until: &str) -> Verdict {
    let message = format!(
        "the vendor still lists an earlier credential, perhaps only for a while; looked at again at {until}"
    );
    Verdict::reconciling(Reason::Progressing, message).still_ready(true)
}

/// The event when a provider key was created.
pub fn sent(why: Why) -> Notice {
    match why {
        Why::Lost => Notice::warning(
            EventReason::Redeposited,
            "the credential was removed at the vendor and is sent again",
        ),
        Why::ContentChanged => Notice::news(
            Reason::Deposited,
            "the changed credential is at the vendor; the earlier one is removed next",
        ),
        _ => Notice::news(Reason::Deposited, "the credential is at the vendor"),
    }
}

/// The verdict between two steps of a change.
pub fn assigned() -> Verdict {
    Verdict::reconciling(
        Reason::Progressing,
        "the gateway keys were assigned to the credential, which is looked up at the vendor next",
    )
}

/// The verdict after superseded provider keys were deleted.
pub fn settled() -> Verdict {
    Verdict::reconciling(
        Reason::Progressing,
        "earlier credentials are removed; the credential is looked up at the vendor next",
    )
    .still_ready(true)
}

/// The verdict while superseded provider keys are deleted.
pub fn replacing() -> Verdict {
    let message = "the credential is at the vendor; the earlier one is removed next";
    Verdict::reconciling(Reason::Progressing, message).still_ready(true)
}

/// The event when drift of the assigned keys was corrected.
pub fn set_right() -> Notice {
    let note = "the keys that use the credential were changed at the vendor and are set right";
    Notice::warning(EventReason::DriftCorrected, note)
}

/// The event when the assigned keys were changed because the specification changed.
pub fn reassigned() -> Notice {
    Notice::news(EventReason::Reassigned, "the keys that use the credential were changed in place")
}

/// The event when the provider key was deleted together with its resource.
pub fn removed() -> Notice {
    Notice::news(EventReason::Removed, "the credential is removed at the vendor")
}

/// The event when the vendor may not have deleted some provider keys.
pub fn left_behind(ids: &[String]) -> Notice {
    let note = format!(
        "the vendor did not remove {}, or does not show whether it did; remove it in the vendor's console",
        ids.join(", ")
    );
    Notice::warning(EventReason::LeftBehind, note)
}

/// The ConsoleToken's vendor does not support provider keys. `able`: the vendors that do.
pub fn unsupported<'a>(token: &str, able: impl Iterator<Item = &'a str>) -> String {
    format!(
        "the vendor of {token} has no provider keys; name a ConsoleToken of {}, or delete this",
        able.collect::<Vec<_>>().join(" or ")
    )
}

/// A referenced GatewayApiKey cannot be used yet. `missing`: it does not exist.
pub fn gateway_key(name: &str, what: &str, missing: bool) -> Verdict {
    let message =
        format!("spec.gatewayKeyRefs: GatewayApiKey {name} {what}; goes on by itself when that changes");
    if missing {
        Verdict::waiting(Reason::GatewayKeyNotReady, message)
    } else {
        Verdict::reconciling(Reason::GatewayKeyNotReady, message)
    }
}
