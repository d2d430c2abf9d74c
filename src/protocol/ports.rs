//! Ports: what the engine needs from outside. The live adapter (`controller::live`) implements them with Kubernetes and
//! vendors; the tests implement them with a model, so that random histories, searches and mutants run the code that ships.
//!
//! The engine is generic over its ports with static dispatch. Futures are not required to be `Send` here: that is checked
//! where the engine meets the live adapter, whose tasks may change threads.

use super::Error;
use super::key::issue::{Issue, Issued};
use super::memory::Remembered;
use super::provider_key::store::{Store, Stored};
use super::token::TokenState;
use crate::api::rotation::KeyCount;
use crate::api::project_settings::ProjectValues;
use crate::api::{self, ConsoleToken, GatewayApiKey, ProjectSettings, ProviderKey};
use crate::cluster::ledger;
use crate::cluster::object::Managed;
use crate::cluster::workloads::{Outcome, Restart, Target};
use crate::gateway::account::Listing;
use crate::gateway::{Amendment, CreatedProviderKey, Minted, Order, Project, ProviderKeyOrder};
use crate::plan::capability::Capabilities;
use crate::plan::claim::Claim;
use crate::plan::credentials::Entries;
use crate::plan::facts::{KeyId, Listed};
use crate::plan::fault::Fault;
use crate::plan::identity::TokenRef;
use crate::plan::ledger::{Book, Entry, Place};
use crate::plan::naming::{ClusterId, Identity, Mark};
use crate::plan::provider_key::ProviderKeyListing;
use crate::plan::report::Notice;
use crate::plan::report::conditions::Looked;
use crate::plan::rotation::Cause;
use crate::plan::usage::Spent;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;

/// Something that happened and that is counted or shown as a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure<'a> {
    /// A key took another's place.
    Rotated(Cause),
    /// An attempt to replace a key failed.
    RotationFailed(Cause),
    /// Whether the replacement of the key of the resource with that UID is overdue.
    RotationOverdue(&'a str, bool),
    /// Whether a key of the resource with that UID was declared leaked and is not revoked yet.
    LeakOpen(&'a str, bool),
    /// So many workloads were restarted.
    Restarted(usize),
    /// So many keys of that kind stay at their vendor.
    LeftBehind(&'static str, usize),
}

/// One account at a vendor, reached with one token.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait VendorPort: Sized + 'static {
    /// Proof that the budget of calls admits the call that makes something.
    type Permit: Sized;

    /// What the vendor can do.
    fn capabilities(&self) -> &'static Capabilities;
    /// Whether a call has a chance now.
    fn usable(&self) -> Result<(), Fault>;
    /// The newest listing of keys, if there is one.
    fn latest(&self) -> Option<Arc<Listing>>;
    /// The spending that was read last, if any was.
    fn latest_spent(&self) -> Option<Arc<Spent>>;
    /// Waits until the budget admits a call that is made after a claim.
    async fn permit(&self) -> Result<Self::Permit, Fault>;
    /// A listing of keys that was begun after `since`.
    async fn list(&self, since: Timestamp) -> Result<Arc<Listing>, Fault>;
    /// One key. `None`: the vendor says that it is gone.
    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault>;
    /// The same, as part of a revocation, which waits for no pause.
    async fn get_to_revoke(&self, id: &KeyId) -> Result<Option<Listed>, Fault>;
    /// Makes a key: one request, whatever happens.
    async fn mint(&self, order: &Order, permit: &Self::Permit) -> Result<Minted, Fault>;
    /// Makes the key of an order out of one that was never delivered. `None`: it cannot be used for that.
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
    /// Removes a key; one that is gone already is a success.
    async fn revoke(&self, id: &KeyId) -> Result<(), Fault>;

    /// The newest listing of provider keys, if there is one.
    fn latest_provider_keys(&self) -> Option<Arc<ProviderKeyListing>>;
    /// A listing of provider keys.
    async fn list_provider_keys(&self) -> Result<ProviderKeyListing, Fault>;
    /// Stores a provider credential: one request, whatever happens.
    async fn create_provider_key(
        &self,
        order: &ProviderKeyOrder,
        permit: &Self::Permit,
    ) -> Result<CreatedProviderKey, Fault>;
    /// Tries to change what a provider key is assigned to.
    async fn assign_provider_key(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault>;
    /// Tries to remove a provider key.
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
    /// Creates a Secret, or requests whether it would be created. Returns what the API server stored, or would.
    async fn create(&self, secret: &Secret, write: Write) -> kube::Result<Secret>;
    /// Replaces the very version of a Secret that was read, or requests whether it would be replaced.
    async fn replace(&self, name: &str, secret: &Secret, write: Write) -> kube::Result<Secret>;
}

/// Whether a write counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It is stored.
    Stored,
    /// It is only asked whether it would be.
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
    /// Writes status, which differs from what is stored.
    async fn publish(&self, object: &K, status: &K::Status) -> kube::Result<K>;
    /// Takes the finalizer off.
    async fn release(&self, object: &K) -> kube::Result<K>;
    /// Remembers what a write of the engine returned: the watch may be behind.
    fn wrote(&self, object: &Arc<K>);
    /// Sends an event some time, or drops it.
    fn notify(&self, object: &K, notice: Notice);
    /// A decision of a pass, for logs at the finest level.
    fn decided(&self, object: &K, decision: &dyn std::fmt::Debug);
}

/// What every pass needs.
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
    /// Waits beside a call that should have ended by then, so that it can be said that it has not.
    async fn lose_patience(&self, time: Duration);
    /// The cluster, which is in every mark.
    fn cluster(&self) -> &ClusterId;
    /// Time between two listings of an account.
    fn poll(&self) -> SignedDuration;
    /// What a vendor can do. `None`: no driver is known for it.
    fn capabilities(&self, vendor: &api::console_token::Vendor) -> Option<&'static Capabilities>;
    /// Whether absence from a cache means anything yet.
    fn caches_filled(&self) -> bool;
    /// The Secrets of a namespace. There is no way to another namespace from there.
    fn secrets(&self, namespace: &str) -> Self::Secrets;
    /// That console token, if it exists and can be decoded.
    fn token(&self, token: &TokenRef) -> Option<Arc<ConsoleToken>>;
    /// What that console token is good for. `None`: its controller has not looked at it yet.
    fn token_state(&self, token: &TokenRef) -> Option<TokenState<Self::Vendor>>;
    /// Has that console token looked at.
    fn enqueue_token(&self, token: &TokenRef);
    /// Where a console token leads, as the ledger has it.
    fn place(&self, token: &ConsoleToken) -> Place;
    /// What is remembered between passes of the resource with that UID.
    fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Remembered) -> T) -> T;
    /// Forgets the resource with that UID.
    fn forget(&self, uid: &str);
    /// Counts something.
    fn measure(&self, what: Measure<'_>);
    /// The ledger.
    async fn ledger(&self) -> Result<Book, ledger::Error>;
    /// Writes entries into the ledger.
    async fn enter(&self, entries: &[Entry]) -> Result<(), ledger::Error>;
    /// Takes an entry out of the ledger.
    async fn strike(&self, entry: &Entry) -> Result<(), ledger::Error>;
}

/// What a pass over a GatewayApiKey needs besides.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait KeyPorts: Ports + ObjectPort<GatewayApiKey> {
    /// How many keys are made for one resource within a day at most.
    fn keys_per_day(&self) -> u64;
    /// The keys that were made today under the name of this resource, whatever became of earlier resources of the name.
    fn made_today(&self, key: &GatewayApiKey) -> Option<KeyCount>;
    /// A key was made for this resource.
    fn count_made(&self, key: &GatewayApiKey);
    /// Whether the resource with that mark may exist, as far as the caches tell.
    fn may_exist(&self, mark: &Mark) -> bool;
    /// Why the account of that ConsoleToken is in doubt, by its status or by this listing.
    fn doubt(&self, token: &ConsoleToken, listing: &Listing) -> Option<String>;
    /// Has the provider keys looked at that name this gateway key.
    fn enqueue_provider_keys(&self, key: &GatewayApiKey);
    /// Whether these workloads exist.
    async fn find_workloads(&self, namespace: &str, targets: &[Target]) -> Looked;
    /// Restarts workloads.
    async fn restart(&self, restart: &Restart<'_>) -> Outcome;
    /// Whether the engine took the finalizer off the resource with that UID: what still enqueues it comes from a cache
    /// that is behind.
    fn is_released(&self, uid: &str) -> bool;
    /// The engine took the finalizer off.
    fn released(&self, uid: &str);
    /// Runs the critical section of a key to its end, also when the pass is dropped. `None`: it panicked.
    async fn issue(&self, section: Issue<Self>) -> Option<Result<Issued, Error>>;
}

/// What a pass over a ProviderKey needs besides.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait ProviderKeyPorts: Ports + ObjectPort<ProviderKey> {
    /// The entries of a Secret that a user wrote. `None`: there is none of that name.
    async fn entries(&self, namespace: &str, secret: &str) -> kube::Result<Option<Entries>>;
    /// The GatewayApiKey of that name, as new as the engine's own last write.
    fn gateway_key(&self, namespace: &str, name: &str) -> Option<Arc<GatewayApiKey>>;
    /// The titles of the vendors that store provider keys, for a refusal.
    fn vendors_with_provider_keys(&self) -> Vec<&'static str>;
    /// Runs the critical section of a provider key to its end, also when the pass is dropped. `None`: it panicked.
    async fn store(&self, section: Store<Self>) -> Option<Result<Stored, Error>>;
}

/// What a pass over a `ProjectSettings` needs besides.
pub trait ProjectPorts: Ports + ObjectPort<ProjectSettings> {
    /// The resources of this kind that satisfy a condition.
    fn projects(&self, condition: impl Fn(&ProjectSettings) -> bool) -> Vec<Arc<ProjectSettings>>;
    /// The titles of the vendors that have settings of projects, for a refusal.
    fn vendors_with_projects(&self) -> Vec<&'static str>;
}
