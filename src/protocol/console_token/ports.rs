//! What a pass over a console token needs from outside, besides the ports of every pass.

use crate::api::console_token::{CaBundleRef, MintedToday};
use crate::api::shared::SecretKeyRef;
use crate::api::{
    ClusterConsoleToken, ConsoleToken, ConsoleTokenSpec, GatewayApiKey, GatewayApiKeySpec, ProviderKey,
};
use crate::cluster::hold::Hold;
use crate::gateway::account::Listing;
use crate::gateway::authorities::Authorities;
use crate::gateway::shares::ListingId;
use crate::plan::fault::Fault;
use crate::plan::identity::{AnyToken, ObjectName, TokenRef};
use crate::plan::listing::KeyId;
use crate::plan::models::Catalog;
use crate::plan::provider_key::ProviderKeyListing;
use crate::plan::spec_error::SpecError;
use crate::plan::token::{Endpoints, Gateways};
use crate::plan::usage::{KeySpending, Money, Span, Spent};
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::{ObjectPort, SecretPort, TokenState, VendorPort};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use url::Url;

/// What a console token needs of its account at the vendor, besides what keys need of it.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait AccountPort: VendorPort {
    /// The listing that the console tokens of the account share, where each of them lists the whole account.
    fn lists(&self) -> Arc<ListingId>;
    /// Until when the last listing of this token proves that the vendor accepts the token. `None`: it is not proven.
    fn proven_until(&self, poll: SignedDuration) -> Option<Timestamp>;
    /// A listing with this token, although the vendor may have refused the token before.
    async fn probe(&self) -> Result<Arc<Listing>, Fault>;
    /// Whether calls are not held back any more because the vendor refused the token, since this was asked last.
    fn take_recovered(&self) -> bool;
    /// Joins the listing and the budget of calls of the account, once the vendor says whose account the token leads to.
    async fn join(&self) -> Result<(), Fault>;
    /// Sets how many calls per second the account gets according to this token. `None`: the driver's number.
    fn give_rate(&self, calls_per_second: Option<u32>);
    /// Records that the keys of this token were compared with this listing.
    fn has_compared(&self, listing: &Arc<Listing>);
    /// The id of the account, where the vendor returns it.
    async fn whose(&self) -> Result<Option<String>, Fault>;
    /// The id of the account, as known from status.
    fn set_whose(&self, id: &str);
    /// A listing of provider keys that began after `since`.
    async fn provider_keys_since(&self, since: Timestamp) -> Result<Arc<ProviderKeyListing>, Fault>;
    /// Reads the models that the vendor lists, unless a reading that began after `since` is known. `None`: the vendor does not show
    /// them.
    async fn models_since(&self, since: Timestamp) -> Result<Option<Arc<Catalog>>, Fault>;
    /// Records that the keys of this token were compared with this listing of models. Returns whether they were before.
    fn has_compared_models(&self, catalog: &Arc<Catalog>) -> bool;
    /// When usage is due, if not now. A reading counts from now on as made.
    fn usage_due(&self, every: SignedDuration) -> Option<Timestamp>;
    /// What these keys spent. `None`: the vendor does not show it.
    async fn spending(&self, span: Span, keys: &[KeyId]) -> Result<Option<Arc<Spent>>, Fault>;
    /// What the account has left. `None`: the vendor does not show it.
    async fn balance(&self) -> Result<Option<Money>, Fault>;
}

/// What a console token needs of the Secrets of its namespace, besides what keys need of them.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait TokenSecretPort: SecretPort {
    /// The token in an entry of a Secret, or why there is none.
    async fn token(&self, place: &SecretKeyRef) -> kube::Result<Result<SecretString, SpecError>>;
    /// Whether the Secret of that name has our finalizer; `None`: there is no such Secret.
    async fn holding(&self, name: &str) -> kube::Result<Option<Hold>>;
    /// Adds our finalizer, and changes nothing else.
    async fn hold(&self, name: &str) -> kube::Result<()>;
    /// Removes our finalizer, and changes nothing else.
    async fn let_go(&self, name: &str) -> kube::Result<()>;
    /// Whether the namespace is terminating.
    async fn is_namespace_ending(&self) -> kube::Result<bool>;
}

/// The rules of the installation for console tokens.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Origins, besides the vendors' own, that tokens may be sent to.
    pub endpoints: &'a Endpoints,
    /// Origins, besides the vendors' own, that applications may be sent to.
    pub gateways: &'a Gateways,
    /// Whether ConsoleTokens are refused, so that keys are made with ClusterConsoleTokens only.
    pub cluster_tokens_only: bool,
}

/// Everything that a connection to a vendor is made of.
pub struct Connect<'a> {
    /// The token that connects.
    pub token: &'a TokenRef,
    /// Its specification.
    pub spec: &'a ConsoleTokenSpec,
    /// The URL of the management API.
    pub base: Url,
    /// The credential.
    pub secret: SecretString,
    /// Base URL for applications.
    pub gateway_url: String,
    /// Certificate authorities that are trusted besides those of the installation.
    pub authorities: Authorities,
}

/// A Secret with our finalizer for a console token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Its name.
    pub secret: String,
    /// RBAC did not allow the finalizer, which is reported once.
    pub refused: bool,
}

/// A metric of a console token.
#[derive(Clone, Debug)]
pub enum TokenMeasure {
    /// What the account has left.
    Balance(Money),
    /// What the keys of the token with that UID spent.
    Spending(String, Vec<KeySpending>),
    /// The token is gone.
    Forgotten,
}

/// A GatewayApiKey for a minted token, as it should be.
pub struct WantedKey<'a> {
    /// Namespace and name.
    pub name: ObjectName,
    /// The specification.
    pub spec: &'a GatewayApiKeySpec,
    /// Annotations that request a rotation.
    pub annotations: &'a BTreeMap<String, String>,
    /// Whether a GatewayApiKey of that name exists.
    pub exists: bool,
}

/// Ports of a pass over a console token.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait TokenPorts:
    KeyPorts<Vendor: AccountPort, Secrets: TokenSecretPort>
    + ObjectPort<ConsoleToken>
    + ObjectPort<ClusterConsoleToken>
{
    /// The rules of the installation.
    fn rules(&self) -> Rules<'_>;
    /// The fields of `spec.vendor` that this version knows.
    fn vendor_fields(&self) -> Vec<&'static str>;
    /// The bundle of certificate authorities in that entry, or why there is none.
    async fn ca_bundle(
        &self,
        namespace: &str,
        place: &CaBundleRef,
    ) -> kube::Result<Result<Vec<u8>, SpecError>>;
    /// Connects to the vendor; no call is made. `None`: there is no driver for it.
    fn connect(&self, connect: Connect<'_>) -> Option<Arc<Self::Vendor>>;
    /// Records the state of a token. Returns whether it changed in a field that dependents react to.
    fn set_token_state(&self, token: &TokenRef, state: TokenState<Self::Vendor>) -> bool;
    /// Forgets the state of a token that is gone, and the results of its account if no other token leads there.
    fn forget_token(&self, token: &TokenRef);
    /// Seed of the jitter of polls of a listing: the same for all tokens that share the listing.
    fn seed(&self, listing: &ListingId, uid: &str) -> String;
    /// Whether that token is the next to list, of those that share its listing.
    fn is_first(&self, token: &TokenRef, account: &Self::Vendor, poll: SignedDuration) -> bool;
    /// Records which Secret has our finalizer for the token with that UID. Returns the previous record.
    fn holds(&self, uid: &str, holds: Option<Holds>) -> Option<Holds>;
    /// Records that the keys of the token with that UID are compared with a listing that began at this time. Returns
    /// the time before.
    fn compared(&self, uid: &str, as_of: Timestamp) -> Option<Timestamp>;
    /// The verification of the token with that UID failed: how long to wait before the next.
    fn verification_failed(&self, uid: &str) -> SignedDuration;
    /// The verification of the token with that UID succeeded.
    fn verification_succeeded(&self, uid: &str);
    /// Sets a metric of a token.
    fn measure_token(&self, token: &TokenRef, what: TokenMeasure);
    /// The tokens that satisfy a condition, from the cache.
    fn tokens(&self, condition: impl Fn(&AnyToken) -> bool) -> Vec<AnyToken>;
    /// Visits the keys that are made with that token, from the cache.
    fn each_key_of(&self, token: &TokenRef, visit: impl FnMut(&GatewayApiKey));
    /// That key, from the cache.
    fn key(&self, name: &ObjectName) -> Option<Arc<GatewayApiKey>>;
    /// The provider keys that are made with that token, from the cache.
    fn provider_keys_of(&self, token: &TokenRef) -> Vec<Arc<ProviderKey>>;
    /// Whether a resource needs that token for its cleanup, as far as the cache shows.
    fn is_needed(&self, token: &TokenRef) -> bool;
    /// Resources that need that token for their cleanup, read from the API server and not from a cache.
    async fn dependants(&self, token: &TokenRef) -> kube::Result<Vec<String>>;
    /// Enqueues every resource that is made with that token.
    fn enqueue_dependants(&self, token: &TokenRef);
    /// Enqueues a key.
    fn enqueue_key(&self, name: &ObjectName);
    /// Enqueues a provider key.
    fn enqueue_provider_key(&self, key: &ProviderKey);
    /// Enqueues a Secret that no console token may need any more.
    fn enqueue_secret(&self, secret: ObjectName);
    /// Writes the GatewayApiKey of a minted token.
    async fn write_key(&self, token: &AnyToken, wanted: WantedKey<'_>) -> kube::Result<GatewayApiKey>;
    /// The counts of keys created today for the status of that token, if they exceed those in it.
    fn made_today_with(&self, token: &AnyToken) -> Option<Vec<MintedToday>>;
    /// Looks for orphaned keys in a listing, if that is due.
    async fn sweep(&self, token: &AnyToken, account: &Self::Vendor, listing: &Listing);
    /// The number of orphaned keys, for status. `shown`: the number that status shows.
    fn orphans(&self, listing: Option<&ListingId>, shown: Option<u32>) -> Option<u32>;
}
