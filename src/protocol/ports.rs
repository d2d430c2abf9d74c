//! Ports: what the engine needs from outside. The live adapter (`controller::live`) implements them with Kubernetes
//! and vendors. The tests implement them with a model, so that random histories, searches and mutants run the code
//! that ships.
//!
//! The engine is generic over its ports with static dispatch. Futures are not required to be `Send` here: that is
//! checked where the engine meets the live adapter, whose tasks may move between threads.

use super::memory::Remembered;
use crate::api;
use crate::api::project_settings::ProjectValues;
use crate::cluster::ledger;
use crate::cluster::object::Managed;
pub use crate::cluster::secret::Write;
use crate::gateway::account::Listing;
use crate::gateway::{Amendment, CreatedProviderKey, Minted, Order, Project, ProviderKeyOrder};
use crate::plan::capability::Capabilities;
use crate::plan::claim::Claim;
use crate::plan::fault::Fault;
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::ledger::{Book, Entry, Place};
use crate::plan::listing::{KeyId, Listed};
use crate::plan::models::Catalog;
use crate::plan::naming::{ClusterId, Identity, Serial};
use crate::plan::provider_key::ProviderKeyListing;
use crate::plan::report::Notice;
use crate::plan::requests::Cause;
use crate::plan::usage::Spent;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use std::collections::BTreeMap;
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
    /// Base URL for applications, as it was admitted last: a `gatewayUrl` that is not admitted changes no Secret.
    fn gateway_url(&self) -> &str;
    /// Whether a call may succeed now, or which fault prevents it (such as an open circuit breaker).
    fn usable(&self) -> Result<(), Fault>;
    /// The newest listing of keys, if there is one.
    fn latest(&self) -> Option<Arc<Listing>>;
    /// The newest reading of usage, if there is one.
    fn latest_spent(&self) -> Option<Arc<Spent>>;
    /// The newest listing of models, if there is one.
    fn latest_models(&self) -> Option<Arc<Catalog>>;
    /// Whether the models were asked for, whatever the answer was.
    fn models_asked(&self) -> bool;
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
    /// The newest resourceVersion of the Secret of that name, if it is known without a request: from the watch, or from an
    /// own write. `None`: it is not known.
    fn version(&self, name: &str) -> Option<u64>;
    /// The Secret of that name. `None`: there is none.
    async fn get(&self, name: &str) -> kube::Result<Option<Secret>>;
    /// Creates a Secret, or checks by a dry run whether it would be created. Returns what the API server stored or
    /// would store.
    async fn create(&self, secret: &Secret, write: Write) -> kube::Result<Secret>;
    /// Replaces exactly the version of a Secret that was read, or checks by a dry run whether it would be replaced.
    async fn replace(&self, name: &str, secret: &Secret, write: Write) -> kube::Result<Secret>;
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
    /// Adds the finalizer, without a claim.
    async fn hold(&self, object: &K) -> kube::Result<K>;
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
    /// A timer: completes after `time`, by which a call that runs beside it is reported as slow.
    async fn slow_call(&self, time: Duration);
    /// The namespace of the Secrets of ClusterConsoleTokens, usually the operator's own.
    fn home(&self) -> &str;
    /// Whether this operator uses ClusterConsoleTokens: it watches all namespaces.
    fn shares_tokens(&self) -> bool;
    /// Labels of a namespace. `None`: they are not known.
    fn namespace_labels(&self, namespace: &str) -> Option<BTreeMap<String, String>>;
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
    fn token(&self, token: &TokenRef) -> Option<AnyToken>;
    /// State of that console token. `None`: its controller has not verified it yet.
    fn token_state(&self, token: &TokenRef) -> Option<TokenState<Self::Vendor>>;
    /// Enqueues that console token.
    fn enqueue_token(&self, token: &TokenRef);
    /// The account coordinates of a console token for the ledger.
    fn place(&self, token: &AnyToken) -> Place;
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
    /// Records that these entries could not be written into the ledger, although their keys stay at the vendor.
    async fn note_missing(&self, entries: &[Entry]) -> Result<(), ledger::Error>;
    /// Stops all sweeps of this process: the ledger lacks a key, and could not be marked.
    fn stop_sweeps(&self);
    /// Removes an entry from the ledger.
    async fn strike(&self, entry: &Entry) -> Result<(), ledger::Error>;
}

/// State of a console token.
pub struct TokenState<V> {
    /// The account at the vendor: kept while the token is not Ready, so that keys made with it can be cleaned up.
    pub account: Option<Arc<V>>,
    /// Why this may not be the account that the keys were made in: then nothing is created and nothing is revoked.
    pub doubt: Option<String>,
    /// Whether new work may start, and if not, why.
    pub ready: Result<(), String>,
    /// Whether only a user can make it ready.
    pub stalled: bool,
    /// The token is lost for good: the Secret went with its namespace, which is being deleted.
    pub lost: bool,
    /// UID of the console token: a later one of the same name is a different one.
    pub uid: String,
    /// Its `metadata.generation`: a change of its limits concerns its dependents.
    pub generation: Option<i64>,
    /// Serial of the token, where Keysmith minted it.
    pub serial: Option<Serial>,
    /// Fingerprint of the token, endpoint and account id that the connection was made with.
    pub fingerprint: String,
}

impl<V> Clone for TokenState<V> {
    fn clone(&self) -> Self {
        Self {
            account: self.account.clone(),
            doubt: self.doubt.clone(),
            ready: self.ready.clone(),
            stalled: self.stalled,
            lost: self.lost,
            uid: self.uid.clone(),
            generation: self.generation,
            serial: self.serial,
            fingerprint: self.fingerprint.clone(),
        }
    }
}

impl<V: VendorPort> TokenState<V> {
    /// The account, if keys made with it may be deleted: not while the account is in doubt.
    pub fn trusted(&self) -> Result<&Arc<V>, String> {
        self.doubt.clone().map_or(Ok(()), Err)?;
        self.account.as_ref().ok_or_else(|| "it has not been verified".to_owned())
    }

    /// The account, if new work may start with it now.
    pub fn usable(&self) -> Result<&Arc<V>, String> {
        self.doubt.clone().map_or(Ok(()), Err)?;
        self.ready.clone()?;
        let account = self.account.as_ref().ok_or("it has not been verified")?;
        account.usable().map_err(|fault| fault.to_string())?;
        Ok(account)
    }
}
