//! The protocol: observe → decide → act → report, generic over its ports. The decisions are in `plan`; every effect
//! goes through `ports`. Nothing here depends on a Kubernetes client, an HTTP client or a clock.

pub mod console_token;
pub mod doubt;
pub mod key;
pub mod memory;
pub mod ports;
pub mod project_settings;
pub mod provider_key;
pub mod secret;
pub mod sweep;

use crate::cluster;
use crate::cluster::object::{self, Managed};
use crate::plan::fault::Fault;
use crate::plan::identity::TokenRef;
use crate::plan::ledger::{Entry, Owner, Place, Why};
use crate::plan::naming::Mark;
use crate::plan::report::call_purpose::CallPurpose;
use jiff::Timestamp;
use kube::ResourceExt;
use ports::{ObjectPort, Ports};
use std::sync::Arc;

/// A pass that failed; the controller retries it with backoff.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server rejected a request or did not answer.
    #[error("the API server: {}", crate::cluster::brief(.0))]
    Kubernetes(#[from] kube::Error),
    /// The pass exceeded its timeout.
    #[error("not finished within {seconds} s")]
    Deadline {
        /// The timeout of a pass.
        seconds: u64,
    },
    /// A critical section panicked.
    #[error("a critical section panicked")]
    Panicked,
}

/// How one pass over a resource ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Requeue at this time, or when something changes.
    Rest(Option<Timestamp>),
    /// A concurrent write got in between (conflict): requeue soon.
    Stale,
    /// The pass reached its limit of steps: requeue soon. No resource should need that many.
    Unfinished,
}

/// How one step of a pass ended.
enum Done {
    /// The step succeeded: send its event and decide again.
    Taken,
    /// Decide again.
    Again,
    /// The pass is over.
    Pass(Pass),
    /// The vendor call that was made for this failed.
    Failed(Fault, CallPurpose),
}

impl Pass {
    /// `Rest(time)` instead of any other `Rest`; other results stay.
    #[must_use]
    pub const fn until(self, time: Option<Timestamp>) -> Self {
        match self {
            Self::Rest(_) => Self::Rest(time),
            other => other,
        }
    }

    /// `Rest` at the earliest of these times, if that is earlier than its own; other results stay.
    #[must_use]
    pub fn or_at<const N: usize>(self, times: [Option<Timestamp>; N]) -> Self {
        match self {
            Self::Rest(time) => Self::Rest(times.into_iter().chain([time]).flatten().min()),
            other => other,
        }
    }
}

/// A conflict or a missing object makes the pass stale; every other error is returned.
pub fn stale_or(error: kube::Error) -> Result<Pass, Error> {
    if cluster::is_conflict(&error) || cluster::is_missing(&error) {
        Ok(Pass::Stale)
    } else {
        Err(error.into())
    }
}

/// Writes status if it differs. `None`: nothing to write. A status that was stored in an older layout with the same
/// content is not rewritten.
pub async fn publish<K: Managed, P: ObjectPort<K>>(
    ports: &P,
    object: &Arc<K>,
    status: &K::Status,
) -> kube::Result<Option<Arc<K>>> {
    if object.status().is_some_and(|stored| K::moved(stored.clone()) == *status) {
        return Ok(None);
    }
    ports.publish(object, status).await.map(|written| Some(Arc::new(written)))
}

/// The mark of everything at a vendor that belongs to this resource.
fn mark<K: Managed, P: Ports>(ports: &P, object: &K) -> Mark {
    Mark::new(ports.cluster(), &object.uid().unwrap_or_default())
}

/// A ledger entry for what this resource leaves at the vendor of the console token. It covers every key with the
/// resource's mark; the caller narrows it to one key by `key_id` and `serial`.
pub fn leaving<K: Managed, P: Ports>(ports: &P, object: &K, token: &TokenRef, why: Why) -> Entry {
    let place = ports.token(token).map_or_else(|| Place::unknown(token), |token| ports.place(&token));
    let uid = object.uid().unwrap_or_default();
    let (kind, namespace, name) = object::coordinates(object);
    Entry {
        time: ports.now(),
        owner: Owner { kind: kind.to_owned(), namespace, name, uid },
        place,
        key_id: None,
        mark: Some(mark(ports, object).to_string()),
        serial: None,
        why,
    }
}
