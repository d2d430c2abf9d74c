//! Ports: what the engine needs from outside. The live adapter (`controller::live`) implements them with Kubernetes
//! and vendors. The tests implement them with a model, so that random histories, searches and mutants run the code
//! that ships.
//!
//! The engine is generic over its ports with static dispatch. Futures are not required to be `Send` here: that is
//! checked where the engine meets the live adapter, whose tasks may move between threads.

use super::Error;
use super::key::issue::{Issue, Issued};
use super::memory::Remembered;
use super::provider_key::store::{Store, Stored};
use super::token::TokenState;
use crate::api::project_settings::ProjectValues;
use crate::api::rotation::KeyCount;
use crate::api::{self, ConsoleToken, GatewayApiKey, ProjectSettings, ProviderKey};
use crate::cluster::ledger;
use crate::cluster::object::Managed;
use crate::cluster::workloads::{Outcome, Restart, Target};
use crate::gateway::account::Listing;
use crate::gateway::{Amendment, CreatedProviderKey, Minted, Order, Project, ProviderKeyOrder};
use crate::plan::capability::Capabilities;
use crate::plan::claim::Claim;
use crate::plan::credentials::Entries;
use crate::plan::fault::Fault;
use crate::plan::identity::TokenRef;
use crate::plan::ledger::{Book, Entry, Place};
use crate::plan::listing::{KeyId, Listed};
use crate::plan::naming::{ClusterId, Identity, Mark};
use crate::plan::provider_key::ProviderKeyListing;
use crate::plan::report::Notice;
use crate::plan::report::conditions::Looked;
use crate::plan::requests::Cause;
use crate::plan::usage::Spent;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;

/// An event that is counted or exported as a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure<'a> {
    /// A key replaced another.
    Rotated(Cause),
    /// An attempt to replace a key failed.
    RotationFailed(Cause),
    /// Whether the replacement of the key of the resource with that UID is overdue.
    RotationOverdue(&'a str, bool),
    /// Whether a key of the resource with that UID was declared leaked and is not revoked yet.
    LeakOpen(&'a str, bool),
    /// That many workloads were restarted.
    Restarted(usize),
    /// That many keys of that kind stay at their vendor.
    LeftBehind(&'static str, usize),
}

/// One account at a vendor, accessed with one token.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait VendorPort: Sized + 'static {
    /// Permit of the rate limit for one call that creates something.
    type Permit: Sized;

    /// Capabilities of the vendor.
    fn capabilities(&self) -> &'static Capabilities;
    /// Whether a call may succeed now, or which fault prevents it (such as an open circuit breaker).
    fn usable(&self) -> Result<(), Fault>;
    /// The newest listing of keys, if there is one.
    fn latest(&self) -> Option<Arc<Listing>>;
    /// The newest reading of usage, if there is one.
    fn latest_spent(&self) -> Option<Arc<Spent>>;
    /// Waits for a rate-limit permit for a call that is made after a claim.
    async fn permit(&self) -> Result<Self::Permit, Fault>;
    /// A listing of keys that began after `since`.
    async fn list(&self, since: Timestamp) -> Result<Arc<Listing>, Fault>;
    /// One key. `None`: the vendor says that it is gone.
    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault>;
    /// `get` as part of a revocation, which does not wait for a pause.
    async fn get_to_revoke(&self, id: &KeyId) -> Result<Option<Listed>, Fault>;
    /// Creates a key: exactly one request, without retry.
    async fn mint(&self, order: &Order, permit: &Self::Permit) -> Result<Minted, Fault>;
    /// Creates the key of an order out of an undelivered one. `None`: that key cannot be reused.
    async fn reissue(
        &self,
        id: &KeyId,
        order: &Order,
        permit: &Self::Permit,
    ) -> Result<Option<Minted>, Fault>;
    /// The secret of an existing key. `None`: the vendor says that the key is gone.
    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault>;
    /// Changes settings of a key.
    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault>;
    /// Revokes a key; a key that is already gone is a success.
    async fn revoke(&self, id: &KeyId) -> Result<(), Fault>;

    /// The newest listing of provider keys, if there is one.
    fn latest_provider_keys(&self) -> Option<Arc<ProviderKeyListing>>;
    /// A listing of provider keys.
    async fn list_provider_keys(&self) -> Result<ProviderKeyListing, Fault>;
    /// Stores a provider credential: exactly one request, without retry.
    async fn create_provider_key(
        &self,
        order: &ProviderKeyOrder,
        permit: &Self::Permit,
    ) -> Result<CreatedProviderKey, Fault>;
    /// Tries to change the gateway keys that a provider key is assigned to.
    async fn assign_provider_key(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault>;
    /// Tries to delete a provider key.
    async fn delete_provider_key(&self, id: &KeyId) -> Result<(), Fault>;

    /// The settings of the project.
    async fn project(&self) -> Result<Project, Fault>;
    /// Changes settings of the project that was just read.
    async fn change_project(&self, project: Project, wanted: &ProjectValues) -> Result<(), Fault>;
}

/// The Secrets of one namespace.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait SecretPort: Clone + 'static {
    /// The namespace.
    fn namespace(&self) -> &str;
    /// The Secret of that name. `None`: there is none.
    async fn get(&self, name: &str) -> kube::Result<Option<Secret>>;
    /// Creates a Secret, or checks by a dry run whether it would be created. Returns what the API server stored or
    /// would store.
    async fn create(&self, secret: &Secret, write: Write) -> kube::Result<Secret>;
    /// Replaces exactly the version of a Secret that was read, or checks by a dry run whether it would be replaced.
    async fn replace(&self, name: &str, secret: &Secret, write: Write) -> kube::Result<Secret>;
}

/// Whether a write is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The write is stored.
    Stored,
    /// The API server only validates the write (dry run).
    DryRun,
}

/// The resources of one kind. Every write fails with 409 if the resource changed since it was read.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait ObjectPort<K: Managed> {
    /// The resource as it is stored now. `None`: there is none of its name.
    async fn read(&self, object: &K) -> kube::Result<Option<K>>;
    /// Writes a claim, and the finalizer with it.
    async fn claim(&self, object: &K, claim: &Claim, identity: &Identity) -> kube::Result<K>;
    /// Writes status; the caller made sure that it differs.
    async fn publish(&self, object: &K, status: &K::Status) -> kube::Result<K>;
    /// Removes the finalizer.
    async fn release(&self, object: &K) -> kube::Result<K>;
    /// Caches the object that a write of the engine returned: the watch cache may lag.
    fn wrote(&self, object: &Arc<K>);
    /// Queues an event; it may be dropped.
    fn notify(&self, object: &K, notice: Notice);
    /// Logs a decision of a pass, at the finest level.
    fn decided(&self, object: &K, decision: &dyn std::fmt::Debug);
}

/// Ports of every pass.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait Ports: Clone + 'static {
    /// Accounts at vendors.
    type Vendor: VendorPort;
    /// Secrets.
    type Secrets: SecretPort;

    /// The time.
    fn now(&self) -> Timestamp;
    /// Waits before another attempt.
    async fn sleep(&self, time: Duration);
    /// Ends when a call that runs beside it should have ended, so that the delay can be reported.
    async fn lose_patience(&self, time: Duration);
    /// The cluster, which is in every mark.
    fn cluster(&self) -> &ClusterId;
    /// Interval between two listings of an account.
    fn poll(&self) -> SignedDuration;
    /// Capabilities of a vendor. `None`: there is no driver for it.
    fn capabilities(&self, vendor: &api::console_token::Vendor) -> Option<&'static Capabilities>;
    /// Whether the caches are filled; before that, absence from a cache means nothing.
    fn caches_filled(&self) -> bool;
    /// The Secrets of one namespace. They give no access to another namespace.
    fn secrets(&self, namespace: &str) -> Self::Secrets;
    /// That console token, if it exists and can be decoded.
    fn token(&self, token: &TokenRef) -> Option<Arc<ConsoleToken>>;
    /// State of that console token. `None`: its controller has not verified it yet.
    fn token_state(&self, token: &TokenRef) -> Option<TokenState<Self::Vendor>>;
    /// Enqueues that console token.
    fn enqueue_token(&self, token: &TokenRef);
    /// The account coordinates of a console token for the ledger.
    fn place(&self, token: &ConsoleToken) -> Place;
    /// Accesses what is remembered between passes of the resource with that UID.
    fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Remembered) -> T) -> T;
    /// Forgets the resource with that UID.
    fn forget(&self, uid: &str);
    /// Counts an event or sets a metric.
    fn measure(&self, what: Measure<'_>);
    /// The ledger.
    async fn ledger(&self) -> Result<Book, ledger::Error>;
    /// Writes entries into the ledger.
    async fn enter(&self, entries: &[Entry]) -> Result<(), ledger::Error>;
    /// Removes an entry from the ledger.
    async fn strike(&self, entry: &Entry) -> Result<(), ledger::Error>;
}

/// Additional ports of a pass over a GatewayApiKey.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait KeyPorts: Ports + ObjectPort<GatewayApiKey> {
    /// Limit of keys that are created for one resource within a day.
    fn keys_per_day(&self) -> u64;
    /// The keys that were created today under the name of this resource, including those of deleted resources of that
    /// name.
    fn made_today(&self, key: &GatewayApiKey) -> Option<KeyCount>;
    /// Counts a key that was created for this resource.
    fn count_made(&self, key: &GatewayApiKey);
    /// Whether the resource with that mark may exist, as far as the caches show.
    fn may_exist(&self, mark: &Mark) -> bool;
    /// Why that ConsoleToken may point to a different account, by its status or by this listing.
    fn doubt(&self, token: &ConsoleToken, listing: &Listing) -> Option<String>;
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

/// What a pass over a `ProjectSettings` needs besides.
pub trait ProjectPorts: Ports + ObjectPort<ProjectSettings> {
    /// The resources of this kind that satisfy a condition.
    fn projects(&self, condition: impl Fn(&ProjectSettings) -> bool) -> Vec<Arc<ProjectSettings>>;
    /// The titles of the vendors that have settings of projects, for a refusal.
    fn vendors_with_projects(&self) -> Vec<&'static str>;
}
