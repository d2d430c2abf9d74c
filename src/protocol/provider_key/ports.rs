//! What a pass over a ProviderKey needs besides what every pass needs.

use super::store::{Store, Stored};
use crate::api::{GatewayApiKey, ProviderKey};
use crate::plan::credentials::Entries;
use crate::protocol::Error;
use crate::protocol::ports::{ObjectPort, Ports};
use std::sync::Arc;

/// Additional ports of a pass over a ProviderKey.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait ProviderKeyPorts: Ports + ObjectPort<ProviderKey> {
    /// The entries of a user's Secret. `None`: there is no Secret of that name.
    async fn entries(&self, namespace: &str, secret: &str) -> kube::Result<Option<Entries>>;
    /// The GatewayApiKey of that name, at least as new as the engine's own last write.
    fn gateway_key(&self, namespace: &str, name: &str) -> Option<Arc<GatewayApiKey>>;
    /// The titles of the vendors that support provider keys, for an error message.
    fn vendors_with_provider_keys(&self) -> Vec<&'static str>;
    /// Runs the critical section of a provider key to its end, even if the pass is dropped. `None`: it panicked.
    async fn store(&self, section: Store<Self>) -> Option<Result<Stored, Error>>;
}
