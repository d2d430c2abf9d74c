//! What the controllers share.

use super::accounts::Accounts;
use super::memory::Memory;
use super::minted::MintedKeys;
use super::sweep::Sweeps;
use crate::api::{ConsoleToken, GatewayApiKey, ProjectSettings, ProviderKey};
use crate::cluster::events::Events;
use crate::cluster::ledger::Ledger;
use crate::cluster::object::Managed;
use crate::cluster::secret::Secrets;
use crate::cluster::watch;
use crate::gateway::Vendors;
use crate::gateway::shares::Shares;
use crate::gateway::transport::Transport;
use crate::plan::ledger::{Entry, Owner, Place, Why};
use crate::plan::naming::{ClusterId, Mark};
use crate::plan::report::Notice;
use crate::plan::token::Endpoints;
use crate::runtime::clock::Clock;
use crate::runtime::critical::Critical;
use crate::runtime::liveness::Liveness;
use crate::runtime::metrics::Metrics;
use jiff::SignedDuration;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

/// What the operator was told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Reconciles at once, per kind.
    pub concurrency: u16,
    /// Origins that credentials may be sent to, beside the vendors' own.
    pub endpoints: Endpoints,
    /// Time between two listings of an account.
    pub poll: SignedDuration,
    /// No more keys than this are made for one resource within a day.
    pub keys_per_day: u64,
    /// The vendors.
    pub vendors: Vendors,
    /// Time between two sweeps for orphaned keys; `None` is never.
    pub sweep: Option<SignedDuration>,
    /// The namespace of the ledger, which is the operator's own.
    pub ledger_namespace: String,
}

/// Stores of every kind.
#[derive(Clone)]
pub struct Stores {
    /// ConsoleTokens.
    pub tokens: Store<DeserializeGuard<ConsoleToken>>,
    /// GatewayApiKeys.
    pub keys: Store<DeserializeGuard<GatewayApiKey>>,
    /// ProviderKeys.
    pub deposits: Store<DeserializeGuard<ProviderKey>>,
    /// `ProjectSettings`.
    pub projects: Store<DeserializeGuard<ProjectSettings>>,
    /// Each cancelled when that store is filled: of tokens, and of keys.
    pub filled: [CancellationToken; 2],
}

impl Stores {
    /// Whether absence from a store means anything yet.
    pub fn filled(&self) -> bool {
        self.filled.iter().all(CancellationToken::is_cancelled)
    }
}

/// Ways to have an object looked at.
#[derive(Clone)]
pub struct Wakers {
    /// ConsoleTokens.
    pub tokens: UnboundedSender<ObjectRef<DeserializeGuard<ConsoleToken>>>,
    /// GatewayApiKeys.
    pub keys: UnboundedSender<ObjectRef<DeserializeGuard<GatewayApiKey>>>,
    /// ProviderKeys.
    pub deposits: UnboundedSender<ObjectRef<DeserializeGuard<ProviderKey>>>,
    /// `ProjectSettings`.
    pub projects: UnboundedSender<ObjectRef<DeserializeGuard<ProjectSettings>>>,
    /// Secrets that are held and that no ConsoleToken may need any more: namespace and name.
    pub secrets: UnboundedSender<(String, String)>,
}

/// What the controllers of one scope share.
pub struct Context {
    /// Kubernetes.
    pub client: Client,
    /// The time.
    pub clock: Clock,
    /// Which cluster we are.
    pub cluster: ClusterId,
    /// What the operator was told at its start.
    pub settings: Settings,
    /// How bytes reach vendors.
    pub transport: Arc<dyn Transport>,
    /// Accounts at vendors.
    pub accounts: Accounts,
    /// What the tokens of one account share.
    pub shares: Arc<Shares>,
    /// What is remembered between passes.
    pub memory: Memory,
    /// How many keys were made today, by the names of their resources.
    pub minted_keys: MintedKeys,
    /// Sections that run to their end.
    pub critical: Critical,
    /// Whether the controllers turn.
    pub liveness: Liveness,
    /// Events.
    pub events: Events,
    /// What was left behind.
    pub ledger: Ledger,
    /// Whether the stores hold the objects of all namespaces.
    pub sees_all: bool,
    /// What sweeps remember.
    pub sweeps: Sweeps,
    /// Counters.
    pub metrics: Metrics,
    /// The objects.
    pub stores: Stores,
    /// Ways to have them looked at.
    pub wakers: Wakers,
}

impl Context {
    /// The Secrets of the object's own namespace: there is no way to another's.
    pub fn secrets<K: Managed>(&self, object: &K) -> Secrets {
        Secrets::new(self.client.clone(), &object.namespace().unwrap_or_default())
    }

    /// Marks everything at a vendor that is this object's.
    pub fn mark<K: Managed>(&self, object: &K) -> Mark {
        Mark::new(&self.cluster, &object.uid().unwrap_or_default())
    }

    /// A ledger entry for what this object leaves behind through the ConsoleToken of that name. It speaks of every
    /// key with the object's mark; the caller narrows it to one by `key_id` and `serial`.
    pub fn leaving<K: Managed>(&self, object: &K, token: &str, why: Why) -> Entry {
        let namespace = object.namespace().unwrap_or_default();
        let place = match watch::find(&self.stores.tokens, &namespace, token) {
            Some(token) => self.settings.vendors.place(&token).place,
            None => Place { console_token: token.to_owned(), ..Place::default() },
        };
        let uid = object.uid().unwrap_or_default();
        Entry {
            time: self.clock.now(),
            owner: Owner { kind: K::KIND.to_owned(), namespace, name: object.name_any(), uid },
            place,
            key_id: None,
            mark: Some(self.mark(object).to_string()),
            serial: None,
            why,
        }
    }

    /// Sends an event some time, or drops it.
    pub fn notify<K: Managed>(&self, object: &K, notice: Notice) {
        self.events.notify(object.object_ref(&()), object.serial(), notice);
    }
}
