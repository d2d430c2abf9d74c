//! What a pass over a GatewayApiKey needs besides what every pass needs.

use super::issue::{Issue, Issued};
use crate::api::GatewayApiKey;
use crate::api::rotation::KeyCount;
use crate::cluster::workloads::{Outcome, Restart, Target};
use crate::plan::naming::Mark;
use crate::plan::report::conditions::Looked;
use crate::protocol::Error;
use crate::protocol::doubt::DoubtPorts;
use crate::protocol::ports::ObjectPort;

/// Additional ports of a pass over a GatewayApiKey.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait KeyPorts: DoubtPorts + ObjectPort<GatewayApiKey> {
    /// Limit of keys that are created for one resource within a day.
    fn keys_per_day(&self) -> u64;
    /// The keys that were created today under the name of this resource, including those of deleted resources of that
    /// name.
    fn made_today(&self, key: &GatewayApiKey) -> Option<KeyCount>;
    /// Counts a key that was created for this resource.
    fn count_made(&self, key: &GatewayApiKey);
    /// Whether the resource with that mark may exist, as far as the caches show.
    fn may_exist(&self, mark: &Mark) -> bool;
    /// The number of keys created within a day for the namespace of that resource with its console token.
    fn made_in_namespace(&self, key: &GatewayApiKey) -> Option<KeyCount>;
    /// Visits the other keys of the namespace with the same console token, as they were written last.
    fn each_key_beside(&self, key: &GatewayApiKey, visit: impl FnMut(&GatewayApiKey));
    /// Enqueues the provider keys that refer to this gateway key.
    fn enqueue_provider_keys(&self, key: &GatewayApiKey);
    /// Whether these workloads exist.
    async fn find_workloads(&self, namespace: &str, targets: &[Target]) -> Looked;
    /// Restarts workloads.
    async fn restart(&self, restart: &Restart<'_>) -> Outcome;
    /// Whether the engine removed the finalizer of the resource with that UID: further events about it come from a
    /// cache that lags.
    fn is_released(&self, uid: &str) -> bool;
    /// Records that the engine removed the finalizer.
    fn released(&self, uid: &str);
    /// Runs the critical section of a key to its end, even if the pass is dropped. `None`: it panicked.
    async fn issue(&self, section: Issue<Self>) -> Option<Result<Issued, Error>>;
}
