//! Messages about ConsoleTokens, and about resources that wait for one.

use super::super::fault::{Fault, FaultKind, Occurrence};
use super::super::identity::{AnyToken, TokenKind, TokenRef};
use super::super::spec_error::SpecError;
use super::{Notice, on_the_way};
use crate::api::condition::{self, EXPIRING_SOON};
use crate::api::{EventReason, Reason, Verdict};
use crate::plan::retry::plus;
use crate::plan::time::clock;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// How long before a declared expiry the warning begins.
pub const WARN_AHEAD: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The vendor accepts the token.
pub fn verified(token: &AnyToken) -> Verdict {
    let message = format!("the vendor accepts the token in Secret {}", token.spec().secret_name());
    Verdict::settled(Reason::Verified, message)
}

/// The verification of the token failed. `hint`: the driver's explanation of a refusal.
pub fn refused(
    fault: &Fault,
    token: &AnyToken,
    hint: &str,
    next: Timestamp,
    occurrence: Occurrence,
) -> Verdict {
    let place = super::super::token::place(token);
    // A failure that may be the vendor's mistake must happen twice before it counts.
    let tried = if fault.stalls(occurrence) || !fault.stalls(Occurrence::Repeated) {
        format!("tried again at {}", clock(next))
    } else {
        format!("a second look at {} confirms or clears it", clock(next))
    };
    let message = match &fault.kind {
        FaultKind::TokenRefused | FaultKind::Forbidden if !hint.is_empty() => {
            format!("{fault}; {hint} (read from {place}); {tried}")
        }
        FaultKind::TokenRefused if token.spec().mint.is_some() => format!(
            "{fault}; have another one made: set the annotation keysmith.dev/rotate-requested-at of this token to a new value; \
             {tried}"
        ),
        FaultKind::TokenRefused => format!(
            "{fault}; create a new token in the vendor's console and put it into {place}; picked up at once, otherwise {tried}"
        ),
        FaultKind::Forbidden => format!(
            "{fault}; check that spec.vendor names the organization the token in {place} belongs to, and what the token may do; {tried}"
        ),
        FaultKind::NotFound => {
            format!("{fault}; check spec.vendor and spec.endpoint; {tried}")
        }
        kind => match on_the_way(kind, "spec.endpoint") {
            Some(cure) => format!("{fault}; {cure}; {tried}"),
            None => format!("{fault}; {tried}"),
        },
    };
    Verdict::reconciling(fault.reason(), message).stalled_if(fault.stalls(occurrence))
}

/// The key of a minted token is not ready. `said`: the message of its `Ready`.
pub fn minting(key: &str, said: Option<&str>) -> Verdict {
    let said = said.unwrap_or("it is being made");
    Verdict::reconciling(Reason::Progressing, format!("the token is being made; GatewayApiKey {key}: {said}"))
}

/// The name of the GatewayApiKey for a minted token is taken by another GatewayApiKey.
pub fn mint_taken(key: &str) -> Verdict {
    let message = format!(
        "spec.mint: GatewayApiKey {key} would stand for this token, and one of that name exists that is not Keysmith's; delete it, or create \
         a token of another name"
    );
    Verdict::stalled(Reason::OwnershipConflict, message)
}

/// A minted token in deletion for which no key was ever created.
pub fn never_minted() -> Verdict {
    Verdict::reconciling(Reason::Deleting, "no token is left at the vendor; this resource goes next")
}

/// The console token of a resource does not exist. `shares`: whether this operator uses ClusterConsoleTokens.
pub fn missing(token: &TokenRef, shares: bool) -> Verdict {
    if token.kind == TokenKind::ClusterConsoleToken && !shares {
        let message = "this operator watches listed namespaces only (--namespaces; chart: namespaces), and uses no ClusterConsoleTokens; name a ConsoleToken of this \
                       namespace in another resource, and delete this one";
        return SpecError::unsupported("spec.consoleTokenRef.kind", message).verdict();
    }
    let place = token.namespace.as_ref().map(|it| format!(" in namespace {it}")).unwrap_or_default();
    let message = format!(
        "spec.consoleTokenRef.name: there is no {}{place}; create it, Keysmith then goes on by itself",
        token.titled()
    );
    Verdict::waiting(Reason::ConsoleTokenMissing, message)
}

/// The console token of a resource is not ready. `stalled`: only a person can fix it.
pub fn not_ready(token: &TokenRef, why: &str, stalled: bool) -> Verdict {
    let message = format!("{} is not Ready: {why}; goes on by itself when it is", token.titled());
    Verdict::reconciling(Reason::ConsoleTokenNotReady, message).stalled_if(stalled)
}

/// A namespace created as many keys within a day as the limits of its ClusterConsoleToken permit.
pub fn namespace_stopped(token: &TokenRef, namespace: &str, until: Timestamp) -> SpecError {
    let message = format!(
        "as many keys were made for namespace {namespace} within a day as limits.keys.perNamespaceAndDay of {} permits; no other key is made \
         before {}; look for the cause in the events, or have the limit raised",
        token.titled(),
        clock(until)
    );
    SpecError {
        reason: Reason::LimitExceeded,
        tolerated: true,
        ..SpecError::invalid(SpecError::SEVERAL, message)
    }
}

/// The event when another account was accepted in place of the one in which the keys were created.
pub fn account_accepted(old: &str, new: &str, left: usize) -> Notice {
    let note = format!(
        "account {new} takes the place of account {old}, as keysmith.dev/accept-account says: {left} keys stay there and WORK; the ledger names them"
    );
    Notice::warning(EventReason::AccountAccepted, note)
}

/// The event when the Secret of a token could not be protected from deletion. `code`: HTTP status of the API
/// server.
pub fn secret_not_held(secret: &str, code: u16) -> Notice {
    let note = format!(
        "no finalizer could be put on Secret {secret} ({code}): should the namespace be deleted while Keysmith is down, the keys stay at the \
         vendor and WORK; grant Keysmith's ServiceAccount update on Secrets in this namespace"
    );
    Notice::warning(EventReason::SecretNotHeld, note)
}

/// The message of `LowBalance`.
pub fn balance(low: bool, threshold: &str, currency: &str) -> String {
    if low {
        format!(
            "the account has less than {threshold} {currency} left; its keys stop working when nothing is left; add credit in the vendor's console"
        )
    } else {
        format!("the account has {threshold} {currency} or more")
    }
}

/// Reason and message of `UsageRead` after a failed reading; `None`: it did not fail. The retry time is left out,
/// because it would mean a status write per failure.
pub fn unread(spending: Option<&Fault>, balance: Option<&Fault>) -> Option<(Reason, String)> {
    let failed = match (spending, balance) {
        (None, None) => return None,
        (Some(one), Some(other)) if one == other => {
            format!("neither the spending of keys nor the balance of the account could be read: {one}")
        }
        (Some(spending), Some(balance)) => format!(
            "the spending of keys could not be read: {spending}; nor could the balance of the account: {balance}"
        ),
        (Some(spending), None) => format!("the spending of keys could not be read: {spending}"),
        (None, Some(balance)) => format!("the balance of the account could not be read: {balance}"),
    };
    let message = format!(
        "{failed}; keys are not affected, and what is said of balance or budgets may be out of date; tried again every spec.usage.interval"
    );
    Some((Reason::UsageUnknown, message))
}

/// The condition `ExpiringSoon`, if the token declares an expiry, and when to update it.
pub fn expiry(token: &AnyToken, now: Timestamp) -> Option<(Condition, Option<Timestamp>)> {
    let at = token.spec().expires_at?;
    let warn_from = plus(at, -WARN_AHEAD);
    let shown = clock(at);
    let hint = format!(
        "create a new one in the vendor's console, put it into {} and move spec.expiresAt",
        crate::plan::token::place(token)
    );
    let make = |status, reason, message: String| {
        condition::condition(EXPIRING_SOON, status, reason, &message, token.meta().generation)
    };
    Some(if now >= at {
        (make(true, Reason::Expired, format!("the token expired at {shown} by spec.expiresAt; {hint}")), None)
    } else if now >= warn_from {
        (make(true, Reason::ExpiryNear, format!("the token expires at {shown}; {hint}")), Some(at))
    } else {
        (make(false, Reason::ExpiryFar, format!("the token expires at {shown}")), Some(warn_from))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_named_with_its_cause() {
        let (forbidden, failed) = (FaultKind::Forbidden, FaultKind::Failed { status: 503, until: None });
        let [forbidden, failed] = [forbidden, failed].map(Fault::without_effect);
        let said = |spending, balance| unread(spending, balance).map(|it| it.1).unwrap_or_default();
        assert_eq!(unread(None, None), None);
        let both = said(Some(&forbidden), Some(&failed));
        assert!(
            both.contains("spending")
                && both.contains("403")
                && both.contains("balance")
                && both.contains("503"),
            "{both}"
        );
        let same = said(Some(&failed), Some(&failed));
        assert!(same.contains("neither") && same.matches("503").count() == 1, "{same}");
        let spending = said(Some(&forbidden), None);
        assert!(spending.starts_with("the spending of keys could not"), "{spending}");
        assert!(!spending.contains("the balance of the account"), "{spending}");
        let balance = said(None, Some(&failed));
        assert!(balance.starts_with("the balance of the account could not"), "{balance}");
        assert!(!balance.contains("spending"), "{balance}");
    }
}
