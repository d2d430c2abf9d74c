//! State that the controllers share.

use super::Subject;
use super::accounts::Accounts;
use super::kinds::{Queues, Stores};
use super::memory::Memory;
use super::minted::MintedKeys;
use super::sweeps::Sweeps;
use crate::api::ConsoleTokenStatus;
use crate::api::console_token::MintedToday;
use crate::api::rotation::KeyCount;
use crate::cluster::events::Events;
use crate::cluster::ledger::Ledger;
use crate::cluster::namespaces::Namespaces;
use crate::cluster::object::{self, Managed};
use crate::cluster::versions::Versions;
use crate::gateway::Vendors;
use crate::gateway::shares::Shares;
use crate::gateway::transport::Transport;
use crate::plan::class::ControllerClass;
use crate::plan::identity::{AnyToken, ObjectName, TokenRef};
use crate::plan::naming::{ClusterId, Mark};
use crate::plan::report::Notice;
use crate::plan::shard::Shard;
use crate::plan::token::{Endpoints, Gateways};
use crate::plan::turns::{Lane, Limits};
use crate::runtime::clock::Clock;
use crate::runtime::critical::Critical;
use crate::runtime::liveness::Liveness;
use crate::runtime::metrics::Metrics;
use crate::runtime::turns::{Gate, Waiting};
use jiff::{SignedDuration, Timestamp};
use kube::{Client, ResourceExt};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Settings from the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Limits of concurrent passes.
    pub limits: Limits,
    /// Origins, besides the vendors' own, that tokens may be sent to.
    pub endpoints: Endpoints,
    /// Origins, besides the vendors' own, that applications may be sent to.
    pub gateways: Gateways,
    /// Interval between two listings of an account.
    pub poll: SignedDuration,
    /// Limit of keys created for one resource within a day.
    pub keys_per_day: u64,
    /// The vendor registry.
    pub vendors: Vendors,
    /// Interval between two sweeps for orphaned keys; `None` is never.
    pub sweep: Option<SignedDuration>,
    /// The namespace of the ledgers, which is usually the operator's own.
    pub ledger_namespace: String,
    /// The namespace of the Secrets of ClusterConsoleTokens, which is usually the operator's own.
    pub home: String,
    /// Whether Secrets are watched. Otherwise they are read by name only, at every poll.
    pub watch_secrets: bool,
    /// Whether ConsoleTokens are refused, so that keys are made with ClusterConsoleTokens only.
    pub cluster_tokens_only: bool,
    /// The shard that this operator is.
    pub shard: Shard,
    /// The class of this operator.
    pub class: ControllerClass,
}

/// State of the process, across watched namespaces and leadership periods: accounts and their rate limits, what is
/// remembered of objects, results of sweeps. An account that several namespaces use is one account here.
pub struct Process {
    /// The Kubernetes client.
    pub client: Client,
    /// The clock.
    pub clock: Clock,
    /// The id of this cluster.
    pub cluster: ClusterId,
    /// Settings from the command line.
    pub settings: Settings,
    /// The HTTP transport to vendors.
    pub transport: Arc<dyn Transport>,
    /// Accounts by console token.
    pub accounts: Accounts,
    /// Rate limits and listings that the tokens of one account share.
    pub shares: Arc<Shares>,
    /// What is remembered of objects between passes.
    pub memory: Arc<Memory>,
    /// Number of keys created today, by the names of their resources.
    pub minted_keys: MintedKeys,
    /// Whose pass is next.
    pub gate: Gate,
    /// Critical sections, which run to their end.
    pub critical: Critical,
    /// Liveness of the controllers' loops.
    pub liveness: Liveness,
    /// The queue of events.
    pub events: Events,
    /// The ledger.
    pub ledger: Ledger,
    /// Whether the stores contain the objects of all namespaces.
    pub sees_all: bool,
    /// Results of earlier sweeps.
    pub sweeps: Sweeps,
    /// The metrics.
    pub metrics: Metrics,
    /// The objects of all watched namespaces: one entry per namespace, or one for all.
    pub everywhere: Vec<Stores>,
    /// Labels of all namespaces, where the operator watches all.
    pub namespaces: Namespaces,
}

impl Process {
    /// Whether this operator works for an object, by its class and its shard.
    pub fn works_for<K: Subject>(&self, stores: &Stores, object: &K) -> bool {
        let token = object.token_or_self();
        let named = stores.token(&token);
        let class = named.as_ref().map(AnyToken::class);
        self.settings.class.works_for(class.as_ref(), object::holder(object).as_ref())
            && self.is_of_this_shard(stores, token, named)
    }

    /// Whether this shard works for what is made with that console token of these objects, or for the token itself.
    fn is_of_this_shard(&self, stores: &Stores, token: TokenRef, named: Option<AnyToken>) -> bool {
        let shard = self.settings.shard;
        if shard.is_whole() {
            return true;
        }
        // A minted token is made, proven and replaced with its issuer.
        let issuer = |it: &AnyToken| Some(token.sibling(&it.spec().mint.as_ref()?.issuer_ref.name));
        let (issuer, issuing) = match named.as_ref().and_then(issuer) {
            Some(issuer) => (issuer.clone(), stores.token(&issuer)),
            None => (token, named),
        };
        match issuing {
            Some(found) => shard.works_at(&self.settings.vendors.division(&found)),
            None => shard.works_for(&issuer),
        }
    }

    /// Starts a leadership period: forgets everything that another replica may have changed since. Rate limits and
    /// the pauses that vendors asked for stay, because they belong to this process.
    pub fn begin_leadership(&self) {
        self.accounts.forget_all();
        self.memory.forget_all();
        self.minted_keys.forget_all();
        self.sweeps.forget_all();
        self.shares.forget_listings();
    }
}

/// What the controllers of one watched namespace, or of all, share: the state of the process, the objects, and the
/// queues.
pub struct Context {
    /// State of the process.
    pub process: Arc<Process>,
    /// The objects.
    pub stores: Stores,
    /// The queues of the controllers.
    pub queues: Queues,
    /// Versions of our Secrets.
    pub versions: Versions,
    /// Objects that wait for their turn, by kind and name.
    pub waiting: Mutex<HashMap<(&'static str, ObjectName), Waiting>>,
}

impl Deref for Context {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Context {
    /// Objects that wait for their turn, by kind and name.
    pub fn waiting(&self) -> MutexGuard<'_, HashMap<(&'static str, ObjectName), Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back the turn of an object that has no pass, and forgets its trace.
    pub fn forget_turn(&self, kind: &'static str, object: ObjectName) {
        drop(self.queues.traces.take(kind, &object));
        self.waiting().remove(&(kind, object));
    }

    /// The mark of everything at a vendor that belongs to this object.
    pub fn mark<K: Managed>(&self, object: &K) -> Mark {
        Mark::new(&self.cluster, &object.uid().unwrap_or_default())
    }

    /// That console token, if it can be decoded and is of the class of this operator. A token whose finalizer a pass
    /// removed counts as deleted, although the cache may still show it: what waits for the deletion is enqueued by that pass, and by
    /// no later event.
    pub fn token(&self, token: &TokenRef) -> Option<AnyToken> {
        let gone = |it: &AnyToken| it.uid().is_some_and(|uid| self.memory.is_released(&uid));
        self.stores
            .token(token)
            .filter(|it| it.class() == self.settings.class && !(it.is_deleted() && gone(it)))
    }

    /// Whether this operator works for an object, by its class and its shard.
    pub fn works_for<K: Subject>(&self, object: &K) -> bool {
        self.process.works_for(&self.stores, object)
    }

    /// What passes share slots of that are made with this console token, and how many: those of its account, once it is
    /// known.
    pub fn lane(&self, token: TokenRef) -> (Lane, Option<usize>) {
        match self.accounts.state(&token).and_then(|it| it.account) {
            Some(account) => {
                let slots = self.settings.limits.slots(account.calls_per_second());
                (Lane::Account(account.lists().account.clone()), Some(slots))
            }
            None => (Lane::Token(token), None),
        }
    }

    /// How long the vendor of this console token wants no ordinary calls. `None`: it takes them.
    pub fn pause(&self, token: &TokenRef) -> Option<Duration> {
        let until = self.accounts.state(token)?.account?.paused_until()?;
        Duration::try_from(until.duration_since(self.clock.now())).ok().filter(|it| !it.is_zero())
    }

    /// Queues an event; it may be dropped.
    pub fn notify<K: Managed>(&self, object: &K, notice: Notice) {
        self.events.notify(object.object_ref(&()), Managed::serial(object), notice);
    }

    /// The keys created within a day for a resource of that name with that console token, including those of deleted
    /// resources.
    pub fn minted(&self, token: &TokenRef, name: &str) -> Option<KeyCount> {
        let now = self.clock.now();
        self.minted_keys.with(token, || self.remembered(token), |it| it.of(name, now))
    }

    /// Counts a key created for the resource of that name.
    pub fn count_minted(&self, token: &TokenRef, name: &str) {
        let now = self.clock.now();
        let known = || self.remembered(token).or_else(|| Some(Vec::new()));
        self.minted_keys.with(token, known, |it| it.count(name, now));
    }

    /// The counts for the status of that ConsoleToken, if they exceed those in it.
    pub fn minted_today(&self, token: &AnyToken, now: Timestamp) -> Option<Vec<MintedToday>> {
        let stands = token.status().map(ConsoleTokenStatus::keys_today).unwrap_or_default();
        let known = stands.clone();
        self.minted_keys.with(&token.reference(), || Some(known), |it| it.to_keep(&stands, now))
    }

    fn remembered(&self, token: &TokenRef) -> Option<Vec<MintedToday>> {
        let token = self.stores.token(token)?;
        Some(token.status().map(ConsoleTokenStatus::keys_today).unwrap_or_default())
    }
}
