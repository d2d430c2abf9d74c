//! What the controllers share.

use super::accounts::Accounts;
use super::kinds::{Queues, Stores};
use super::memory::Memory;
use super::minted::MintedKeys;
use super::sweep::Sweeps;
use crate::api::ConsoleToken;
use crate::cluster::events::Events;
use crate::cluster::ledger::Ledger;
use crate::cluster::object::{self, Managed};
use crate::cluster::secret::Secrets;
use crate::gateway::Vendors;
use crate::gateway::shares::Shares;
use crate::gateway::transport::Transport;
use crate::plan::identity::TokenRef;
use crate::plan::naming::{ClusterId, Mark};
use crate::plan::report::Notice;
use crate::plan::token::Endpoints;
use crate::runtime::clock::Clock;
use crate::runtime::critical::Critical;
use crate::runtime::liveness::Liveness;
use crate::runtime::metrics::Metrics;
use jiff::SignedDuration;
use kube::{Client, ResourceExt};
use std::ops::Deref;
use std::sync::Arc;

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

/// What belongs to the process, whatever namespaces it watches and however often it comes to lead: accounts and their
/// budgets, what is remembered of objects, what sweeps found. One account that several namespaces use is one account.
pub struct Process {
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
    /// The objects of all watched namespaces, one entry for each namespace or one for all.
    pub everywhere: Vec<Stores>,
}

impl Process {
    /// Another leadership period begins: nothing is believed that another replica may have changed since. Budgets and the
    /// pauses that vendors asked for stay, for they are this process's own.
    pub fn begin_leadership(&self) {
        self.accounts.forget_all();
        self.memory.forget_all();
        self.minted_keys.forget_all();
        self.sweeps.forget_all();
        self.shares.forget_listings();
    }
}

/// What the controllers of one watched namespace share, or those of all: what the process has, its objects and its queues.
pub struct Context {
    /// What belongs to the process.
    pub process: Arc<Process>,
    /// The objects.
    pub stores: Stores,
    /// Ways to have them looked at.
    pub queues: Queues,
}

impl Deref for Context {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Context {
    /// The Secrets of the object's own namespace: there is no way to another's.
    pub fn secrets<K: Managed>(&self, object: &K) -> Secrets {
        Secrets::new(self.client.clone(), &object::namespace(object))
    }

    /// Marks everything at a vendor that is this object's.
    pub fn mark<K: Managed>(&self, object: &K) -> Mark {
        Mark::new(&self.cluster, &object.uid().unwrap_or_default())
    }

    /// That console token, if it can be decoded.
    pub fn token(&self, token: &TokenRef) -> Option<Arc<ConsoleToken>> {
        self.stores.token(token)
    }

    /// Sends an event some time, or drops it.
    pub fn notify<K: Managed>(&self, object: &K, notice: Notice) {
        self.events.notify(object.object_ref(&()), Managed::serial(object), notice);
    }
}
