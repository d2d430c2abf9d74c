//! Messages about a resource that is being deleted.

use super::super::deletion::{Left, LeftWhy};
use super::call_purpose::CallPurpose;
use super::{Notice, some};
use crate::api::rotation::DeletionPolicy;
use crate::api::{EventReason, GatewayApiKeyStatus, Reason, Verdict};
use crate::plan::fault::Fault;
use crate::plan::listing::KeyId;
use crate::plan::time::clock;
use jiff::Timestamp;
use std::fmt;

/// The event when a GatewayApiKey is deleted. `revoked`: a key of it was revoked.
pub fn released(left: &[Left], revoked: bool) -> Option<Notice> {
    let Some(first) = left.first() else {
        return revoked.then(|| Notice::news(EventReason::Revoked, "the key is revoked at the vendor"));
    };
    let ids = left.iter().map(|it| it.id.0.as_str());
    let ids = some(ids);
    let note = match first.why {
        LeftWhy::Policy(DeletionPolicy::Disable) => {
            format!("{ids} stays at the vendor, switched off, as spec.deletionPolicy says")
        }
        LeftWhy::Policy(_) => format!("{ids} stays at the vendor and WORKS, as spec.deletionPolicy says"),
        LeftWhy::Forced => format!(
            "{ids} stays at the vendor and WORKS, because keysmith.dev/force-orphan was set; revoke it in the vendor's console or, once a \
             console token of the account works, with keysmith orphans --delete"
        ),
        LeftWhy::NotOurs => format!(
            "{ids} stays at the vendor and WORKS, because its name does not carry Keysmith's mark any more; revoke it in the vendor's console if \
             no application uses it"
        ),
    };
    Some(Notice::warning(EventReason::LeftBehind, note))
}

/// The keys of a resource, for messages.
fn keys(status: &GatewayApiKeyStatus) -> Option<String> {
    let previous = status.previous.iter().map(|key| key.id.as_str());
    let ids: Vec<_> = status.id.as_deref().into_iter().chain(previous).collect();
    (!ids.is_empty()).then(|| some(ids.into_iter()))
}

/// What happens next, and when.
fn next(why: &DeletionBlocker, token: &str, retry: Option<Timestamp>) -> String {
    match (why, retry) {
        (_, Some(retry)) => format!("tried again at {}", clock(retry)),
        (DeletionBlocker::Slow(_), None) => "the call is still waited for".to_owned(),
        _ => format!("goes on by itself when {token} works again"),
    }
}

/// What holds up the deletion of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletionBlocker {
    /// The console token does not work, or was not verified yet.
    TokenUnusable,
    /// The console token may lead to another account; why.
    Doubted(String),
    /// The vendor has not answered for that many seconds.
    Slow(u64),
    /// The console token is refused, or calls are paused, and its own status says more.
    Paused(Fault),
    /// A call failed.
    Failed(CallPurpose, Fault),
    /// The ledger cannot record what stays at the vendor.
    Unrecorded {
        /// The keys that stay.
        keys: Vec<KeyId>,
        /// Why the ledger cannot record them.
        error: String,
    },
}

impl fmt::Display for DeletionBlocker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenUnusable => formatter.write_str("its console token is not usable"),
            Self::Doubted(doubt) => formatter.write_str(doubt),
            Self::Slow(seconds) => write!(formatter, "the vendor has not answered for {seconds} s"),
            Self::Paused(fault) => fault.fmt(formatter),
            Self::Failed(purpose, fault) => write!(formatter, "could not {purpose}: {fault}"),
            Self::Unrecorded { error, .. } => formatter.write_str(error),
        }
    }
}

/// A deletion of a GatewayApiKey that is blocked.
#[derive(Clone, Copy, Debug)]
pub struct Blocked<'a> {
    /// What holds it up.
    pub why: &'a DeletionBlocker,
    /// Kind and name of the console token.
    pub token: &'a str,
    /// When it is tried again. `None`: when the console token works again.
    pub retry: Option<Timestamp>,
    /// The status of the key.
    pub status: &'a GatewayApiKeyStatus,
    /// Whether a leak is open.
    pub leaked: bool,
}

/// The verdict while the deletion of a GatewayApiKey is blocked.
pub fn blocked(blocked: &Blocked<'_>) -> Verdict {
    let (why, next) = (blocked.why, next(blocked.why, blocked.token, blocked.retry));
    if let DeletionBlocker::Unrecorded { keys, error } = why {
        return Verdict::reconciling(Reason::DeletionBlocked, unrecorded(keys, error, &next));
    }
    let message = match keys(blocked.status) {
        // A leaked key is revoked whatever the policy says.
        Some(keys) if blocked.leaked => format!(
            "{keys} cannot be removed at the vendor: {why}; {next}; a leaked key is revoked whatever spec.deletionPolicy says: to delete the \
             resource all the same and leave {keys} WORKING at the vendor, set the annotation keysmith.dev/force-orphan=yes"
        ),
        Some(keys) => format!(
            "{keys} cannot be removed at the vendor: {why}; {next}; to delete the resource all the same and leave {keys} WORKING at the vendor, \
             set spec.deletionPolicy: Retain or the annotation keysmith.dev/force-orphan=yes"
        ),
        None => format!(
            "no key of this resource is known, and whether there is one at the vendor cannot be looked up: {why}; {next}; to delete the \
             resource without that look set the annotation keysmith.dev/force-orphan=yes: a key that is there all the same stays WORKING"
        ),
    };
    Verdict::reconciling(Reason::DeletionBlocked, message)
}

/// The message while the ledger cannot record the keys that stay at the vendor.
fn unrecorded(keys: &[KeyId], error: &str, next: &str) -> String {
    let keys = some(keys.iter().map(|it| it.0.as_str()));
    format!(
        "kept at the vendor and WORKING: {keys}; the resource waits until the ledger names what is kept: {error}; {next}; to delete the resource \
         without an entry, which stops the sweeps of this account until the annotation keysmith.dev/ledger-lacks is removed from the ledger, set \
         the annotation keysmith.dev/force-orphan=yes"
    )
}

/// The verdict, where the limits of the console token do not permit the annotation that it names.
#[must_use]
pub fn without_force(verdict: &Verdict, token: &str) -> Verdict {
    let message = format!(
        "{}; the limits of {token} do not permit keysmith.dev/force-orphan: have ForceOrphan added to its limits.permitted first",
        verdict.message
    );
    Verdict { message, ..verdict.clone() }
}

/// The verdict for a deletion that only a person can complete, because the console token is lost.
pub fn token_lost(why: &str) -> Verdict {
    let message = format!(
        "what was made at the vendor cannot be removed: {why}; this resource and its namespace wait until you set the annotation \
         keysmith.dev/force-orphan=yes here; what is at the vendor stays WORKING after that, and the ledger names it: revoke it in the vendor's console"
    );
    Verdict::stalled(Reason::DeletionBlocked, message)
}

/// The verdict while the deletion of a ProviderKey is blocked. `retry`: when it is tried again; `None`: when the console token works
/// again.
pub fn provider_key_blocked(why: &DeletionBlocker, token: &str, retry: Option<Timestamp>) -> Verdict {
    let message = format!(
        "the credential cannot be removed at the vendor: {why}; {}; to delete the resource all the same and leave the credential in \
         use at the vendor, set the annotation keysmith.dev/force-orphan=yes",
        next(why, token, retry)
    );
    Verdict::reconciling(Reason::DeletionBlocked, message)
}

/// The verdict while the deletion of a ProviderKey waits for its confirmation.
pub fn provider_key_awaited(until: Option<Timestamp>) -> Verdict {
    let until = until.map(clock).unwrap_or_default();
    let message = format!(
        "the vendor still lists the credential, or may still carry out a call for it; looked at again at {until}"
    );
    Verdict::reconciling(Reason::Deleting, message)
}

/// The verdict for a ConsoleToken in deletion that other resources still need. `missing`: why it does not work.
pub fn token_in_use(dependants: &[String], missing: Option<&str>) -> Verdict {
    let shown = dependants.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    let more = dependants.len().saturating_sub(3);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let missing = missing.map_or_else(String::new, |missing| format!("; {missing}"));
    let message = format!(
        "kept until these are deleted, because their keys can only be revoked with this token: {shown}{more}{missing}; delete them, or set the \
         annotation keysmith.dev/force-orphan=yes here: this token goes at once, and their keys keep WORKING at the vendor"
    );
    Verdict::reconciling(Reason::InUse, message)
}
