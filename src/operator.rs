//! Wiring: watches that always run, and controllers that run while this replica leads; one set of each per watched
//! namespace, or one for all.

mod definitions;
pub mod leadership;
mod namespaces;
pub mod scope;

use crate::api::EventReason;
use crate::cluster::events::Events;
use crate::cluster::ledger::Ledger;
use crate::cluster::namespaces::Namespaces;
use crate::controller;
use crate::controller::accounts::Accounts;
use crate::controller::context::{Context, Process, Settings};
use crate::controller::exported::Exported;
use crate::controller::memory::Memory;
use crate::controller::minted::MintedKeys;
use crate::controller::sweeps::Sweeps;
use crate::gateway::transport::Transport;
use crate::operator::leadership::{Election, ElectionDeps, Leadership};
use crate::plan::naming::ClusterId;
use crate::plan::report::Notice;
use crate::runtime::clock::Clock;
use crate::runtime::critical::Critical;
use crate::runtime::liveness::Liveness;
use crate::runtime::metrics::Metrics;
use crate::runtime::server::{Part, Readiness};
use crate::runtime::turns::Gate;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use futures::stream::{self, BoxStream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use scope::{Scope, Secrets, Shared};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Inputs of an operator.
pub struct Operator {
    /// The Kubernetes client, with its own silent retries off.
    pub client: Client,
    /// The HTTP transport to vendors.
    pub transport: Arc<dyn Transport>,
    /// The clock.
    pub clock: Clock,
    /// Settings from the command line.
    pub settings: Settings,
    /// Namespaces to watch; all of them when empty.
    pub namespaces: Vec<String>,
    /// The metrics.
    pub metrics: Metrics,
    /// Readiness of the operator.
    pub readiness: Readiness,
    /// Liveness of its loops.
    pub liveness: Liveness,
    /// Leader election; `None` for a single replica.
    pub election: Option<Election>,
}

/// Interval at which missing CRDs are looked up again.
const MISSING: Duration = Duration::from_secs(2);

/// What the process shares with its watches and its sender of events.
struct ProcessParts {
    events: Events,
    namespaces: Namespaces,
    memory: Arc<Memory>,
}

/// State that outlasts a leadership period, besides the controllers' own.
struct Lasting {
    process: Arc<Process>,
    scopes: Vec<Arc<Scope>>,
    /// Cancelled when every cache is filled.
    filled: CancellationToken,
}

impl Operator {
    /// Runs until `stop`; what is in progress then is finished first.
    pub async fn run(self, stop: CancellationToken) {
        let Some(cluster) = self.identify(&stop).await else {
            return;
        };
        let (events, sending) = Events::new(self.client.clone(), self.metrics.clone());
        let events_stop = CancellationToken::new();
        let sending = tokio::spawn(Events::until(sending, events_stop.clone()));
        let trouble = Arc::new(Notify::new());
        let memory: Arc<Memory> = Arc::default();
        let shared = Shared { liveness: &self.liveness, trouble: &trouble, memory: &memory };
        let (scopes, watching): (Vec<_>, Vec<_>) = self
            .watched()
            .into_iter()
            .map(|namespace| Scope::new(&self.client, namespace, self.secrets(), &shared))
            .unzip();
        tracing::info!(cluster = %crate::plan::naming::Mark::new(&cluster, ""), "watching begins");
        let (namespaces, labels) = self.labels();
        let process = Arc::new(self.process(cluster, ProcessParts { events, namespaces, memory }, &scopes));
        self.metrics.export(Exported::of(&process));
        self.metrics.shards(self.settings.shard.count());
        let labelled = scopes.clone();
        let follow = labels.for_each(move |namespace| {
            for scope in &labelled {
                scope.enqueue_shared(&namespace);
            }
            std::future::ready(())
        });
        let lasting = Lasting { process, scopes, filled: CancellationToken::new() };
        let watching = async {
            tokio::join!(join_all(watching), self.warm_up(&lasting), follow);
            self.liveness.died("the watch");
            std::future::pending::<()>().await;
        };
        let leadership = tokio::select! {
            leadership = self.lead(&lasting, &stop) => leadership,
            () = watching => None,
            never = definitions::look_after_trouble(&self.client, &self.readiness, &trouble) => match never {},
            never = namespaces::note_missing(&self.client, &self.readiness, &self.namespaces) => match never {},
        };
        lasting.process.critical.drained().await;
        if let Some(leadership) = leadership {
            leadership.release().await;
        }
        events_stop.cancel();
        // The task ends by itself after `events_stop`.
        let _ = sending.await;
        tracing::info!("keysmith has stopped; everything that was under way is finished");
    }

    /// How changes of Secrets are noticed.
    fn secrets(&self) -> Secrets {
        if self.settings.watch_secrets {
            return Secrets::Watched;
        }
        Secrets::ReadEvery(Duration::try_from(self.settings.poll).unwrap_or(Duration::from_secs(300)))
    }

    /// Labels of namespaces and their changes. An operator of listed namespaces has no right to watch them, and uses
    /// no ClusterConsoleTokens.
    fn labels(&self) -> (Namespaces, BoxStream<'static, String>) {
        if self.namespaces.is_empty() {
            let (namespaces, changes) = Namespaces::watch(&self.client);
            (namespaces, changes.boxed())
        } else {
            (Namespaces::unknown(), stream::empty().boxed())
        }
    }

    /// One entry for each watched namespace, or one for all.
    fn watched(&self) -> Vec<Option<String>> {
        if self.namespaces.is_empty() {
            return vec![None];
        }
        self.namespaces.iter().cloned().map(Some).collect()
    }

    /// Reports unfilled caches as not ready, until every cache is filled.
    async fn warm_up(&self, lasting: &Lasting) {
        let mut filling: FuturesUnordered<_> = lasting.scopes.iter().flat_map(|it| it.filled()).collect();
        while !filling.is_empty() {
            let unfilled = format!("{} of the caches are not filled yet", filling.len());
            self.readiness.missing(Part::Caches, vec![unfilled]);
            filling.next().await;
        }
        lasting.filled.cancel();
        self.readiness.missing(Part::Caches, Vec::new());
    }

    /// Runs the controllers whenever this replica leads, until `stop`.
    async fn lead(&self, lasting: &Lasting, stop: &CancellationToken) -> Option<Leadership> {
        let mut leadership = self.candidate(lasting, stop).await?;
        loop {
            tokio::select! {
                () = leadership.won() => {}
                () = stop.cancelled() => return Some(leadership),
            }
            self.announce(&leadership, &lasting.process.events);
            lasting.process.begin_leadership();
            let controllers = lasting.scopes.iter().map(|scope| act(scope, &lasting.process, stop));
            tokio::select! {
                _ = join_all(controllers) => {
                    // The controllers end at `stop`; if they end earlier, the liveness check reports it.
                    stop.cancelled().await;
                    return Some(leadership);
                }
                // Reconciles are dropped at once; critical sections are finished, which is safe beside a second
                // operator.
                () = leadership.lost() => {}
            }
        }
    }

    /// Joins the election when the caches are filled: a leader with empty caches would keep out a replica that could
    /// work. Wait at most one lease duration: a cache that never fills must not block the election.
    async fn candidate(&self, lasting: &Lasting, stop: &CancellationToken) -> Option<Leadership> {
        let Some(election) = self.election.clone() else {
            return Some(Leadership::alone(&self.metrics));
        };
        let patience = Duration::try_from(election.times.lease).unwrap_or_default();
        tokio::select! {
            () = lasting.filled.cancelled() => {}
            () = tokio::time::sleep(patience) => {}
            () = stop.cancelled() => return None,
        }
        let deps = ElectionDeps {
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            liveness: self.liveness.clone(),
        };
        Some(Leadership::join(election, deps))
    }

    fn announce(&self, leadership: &Leadership, events: &Events) {
        if let (Some(election), Some(lease)) = (&self.election, leadership.reference()) {
            let note = format!("{} leads", election.identity);
            events.notify(lease, None, Notice::news(EventReason::LeaderElection, note));
        }
    }

    /// Waits for the custom resource definitions, and reads the id of the cluster.
    async fn identify(&self, stop: &CancellationToken) -> Option<ClusterId> {
        loop {
            match self.look_around().await {
                Ok(cluster) => {
                    self.readiness.missing(Part::Definitions, Vec::new());
                    return Some(cluster);
                }
                Err(missing) => {
                    tracing::warn!(
                        "not ready: {}; looked at again in {} s",
                        missing.join("; "),
                        MISSING.as_secs()
                    );
                    self.readiness.missing(Part::Definitions, missing);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(MISSING) => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    async fn look_around(&self) -> Result<ClusterId, Vec<String>> {
        let missing = definitions::missing(&self.client).await;
        let missing =
            missing.map_err(|error| vec![format!("the API server: {}", crate::cluster::brief(&error))])?;
        if !missing.is_empty() {
            return Err(missing);
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        match namespaces.get("kube-system").await {
            Ok(namespace) => {
                let cluster = ClusterId(namespace.uid().unwrap_or_default());
                Ok(cluster.of_class(&self.settings.class))
            }
            Err(error) => {
                let why = crate::cluster::brief(&error);
                Err(vec![format!(
                    "namespace kube-system cannot be read: {why}; its UID says which cluster this is: grant the right to get it"
                )])
            }
        }
    }

    /// The state that the controllers of all scopes share.
    fn process(&self, cluster: ClusterId, parts: ProcessParts, scopes: &[Arc<Scope>]) -> Process {
        let ProcessParts { events, namespaces, memory } = parts;
        // Without all namespaces, the operator cannot know which keys no resource accounts for, so it does not sweep.
        let sees_all = self.namespaces.is_empty();
        Process {
            client: self.client.clone(),
            clock: self.clock.clone(),
            cluster,
            settings: self.settings.clone(),
            transport: Arc::clone(&self.transport),
            accounts: Accounts::default(),
            shares: Arc::default(),
            memory,
            minted_keys: MintedKeys::default(),
            gate: Gate::new(self.settings.limits),
            critical: Critical::default(),
            liveness: self.liveness.clone(),
            events,
            ledger: Ledger::new(self.client.clone(), &self.settings.ledger_namespace, self.metrics.clone())
                .of_class(&self.settings.class),
            sees_all,
            sweeps: Sweeps::new(self.settings.sweep.filter(|_| sees_all)),
            metrics: self.metrics.clone(),
            everywhere: scopes.iter().map(|scope| scope.stores.clone()).collect(),
            namespaces,
        }
    }
}

/// Runs the controllers of one scope.
async fn act(scope: &Scope, process: &Arc<Process>, stop: &CancellationToken) {
    let (queues, sources) = scope.begin();
    let context = Context {
        process: Arc::clone(process),
        stores: scope.stores.clone(),
        queues,
        versions: scope.versions.clone(),
        waiting: Mutex::default(),
    };
    tokio::join!(controller::run_all(sources, Arc::new(context), stop), begin_ledger(process));
}

/// The ledger accounts only for keys that were created after the ledger itself, so it is created before any key.
async fn begin_ledger(process: &Process) {
    if process.sweeps.are_on()
        && let Err(error) = process.ledger.open().await
    {
        tracing::warn!(%error, "no sweep for orphaned keys as long as the ledger cannot be read and begun");
    }
}
