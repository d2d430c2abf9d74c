//! The wiring: one set of controllers per watched namespace, or one for all of them.

use crate::api::{self, ConsoleToken, GROUP, GatewayApiKey, ProjectSettings, ProviderKey, VERSION};
use crate::cluster::events::Events;
use crate::cluster::ledger::Ledger;
use crate::cluster::object::Managed;
use crate::cluster::watch::{self, Touched};
use crate::controller::accounts::Accounts;
use crate::controller::context::{Context, Settings, Stores, Wakers};
use crate::controller::memory::Memory;
use crate::controller::sweep::Sweeps;
use crate::controller::{self, Source};
use crate::gateway::transport::Transport;
use crate::plan::naming::ClusterId;
use crate::runtime::clock::Clock;
use crate::runtime::critical::Critical;
use crate::runtime::metrics::Metrics;
use crate::runtime::server::Readiness;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What an operator is made of.
pub struct Operator {
    /// Kubernetes, with its own silent retries off.
    pub client: Client,
    /// How bytes reach vendors.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Clock,
    /// What it was told at its start.
    pub settings: Settings,
    /// Namespaces to watch; all of them when empty.
    pub namespaces: Vec<String>,
    /// Counters.
    pub metrics: Metrics,
    /// What keeps it from being ready.
    pub readiness: Readiness,
}

/// Looks again for missing definitions this often.
const MISSING: Duration = Duration::from_secs(2);

impl Operator {
    /// Runs until `stop`; what is under way then is finished first.
    pub async fn run(self, stop: CancellationToken) {
        let Some(cluster) = self.identify(&stop).await else {
            return;
        };
        let (events, sending) = Events::new(self.client.clone(), self.metrics.clone());
        let events_stop = CancellationToken::new();
        let sending = tokio::spawn(Events::until(sending, events_stop.clone()));
        let critical = Critical::default();
        let scopes: Vec<Option<String>> = if self.namespaces.is_empty() {
            vec![None]
        } else {
            self.namespaces.iter().cloned().map(Some).collect()
        };
        let scopes =
            scopes.into_iter().map(|namespace| self.scope(namespace, &cluster, (&events, &critical), &stop));
        self.readiness.missing(Vec::new());
        tracing::info!(cluster = %crate::plan::naming::Mark::new(&cluster, ""), "keysmith is running");
        futures::future::join_all(scopes).await;
        critical.drained().await;
        events_stop.cancel();
        // The task ends by itself once it is told to.
        let _ = sending.await;
        tracing::info!("keysmith has stopped; everything that was under way is finished");
    }

    /// Waits for the custom resource definitions, and learns which cluster this is.
    async fn identify(&self, stop: &CancellationToken) -> Option<ClusterId> {
        loop {
            match self.look_around().await {
                Ok(cluster) => return Some(cluster),
                Err(missing) => {
                    tracing::warn!(
                        "not ready: {}; looked at again in {} s",
                        missing.join("; "),
                        MISSING.as_secs()
                    );
                    self.readiness.missing(missing);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(MISSING) => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    async fn look_around(&self) -> Result<ClusterId, Vec<String>> {
        let group = format!("{GROUP}/{VERSION}");
        let served: HashSet<String> = match self.client.list_api_group_resources(&group).await {
            Ok(list) => list.resources.into_iter().map(|it| it.name).collect(),
            Err(error) if crate::cluster::is_missing(&error) => HashSet::new(),
            Err(error) => return Err(vec![format!("the API server: {}", crate::cluster::brief(&error))]),
        };
        let missing: Vec<_> = api::plurals()
            .into_iter()
            .filter(|plural| !served.contains(plural))
            .map(|plural| {
                format!("CustomResourceDefinition {plural}.{GROUP} is missing: kubectl apply --server-side -f crds/")
            })
            .collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        match namespaces.get("kube-system").await {
            Ok(namespace) => Ok(ClusterId(namespace.uid().unwrap_or_default())),
            Err(error) => {
                Err(vec![format!("namespace kube-system cannot be read: {}", crate::cluster::brief(&error))])
            }
        }
    }

    async fn scope(
        &self,
        namespace: Option<String>,
        cluster: &ClusterId,
        (events, critical): (&Events, &Critical),
        stop: &CancellationToken,
    ) {
        let place = namespace.as_deref();
        let (tokens, tokens_store) = watch::objects::<ConsoleToken>(&self.client, place);
        let (keys, keys_store) = watch::objects::<GatewayApiKey>(&self.client, place);
        let (deposits, deposits_store) = watch::objects::<ProviderKey>(&self.client, place);
        let (projects, projects_store) = watch::objects::<ProjectSettings>(&self.client, place);
        let (wake_tokens, tokens_wakes) = mpsc::unbounded_channel();
        let (wake_keys, keys_wakes) = mpsc::unbounded_channel();
        let (wake_deposits, deposits_wakes) = mpsc::unbounded_channel();
        let (wake_projects, projects_wakes) = mpsc::unbounded_channel();
        let context = Arc::new(Context {
            client: self.client.clone(),
            clock: self.clock.clone(),
            cluster: cluster.clone(),
            settings: self.settings.clone(),
            transport: Arc::clone(&self.transport),
            accounts: Accounts::default(),
            memory: Memory::default(),
            critical: critical.clone(),
            events: events.clone(),
            ledger: Ledger::new(self.client.clone(), &self.settings.ledger_namespace, self.metrics.clone()),
            // Who sees a part of the cluster cannot tell what nobody accounts for.
            sees_all: namespace.is_none(),
            sweeps: Sweeps::new(self.settings.sweep.filter(|_| namespace.is_none())),
            metrics: self.metrics.clone(),
            stores: Stores {
                tokens: tokens_store.clone(),
                keys: keys_store.clone(),
                deposits: deposits_store.clone(),
                projects: projects_store.clone(),
            },
            wakers: Wakers {
                tokens: wake_tokens,
                keys: wake_keys,
                deposits: wake_deposits,
                projects: wake_projects,
            },
        });
        let run_tokens = controller::run(
            Source { stream: tokens, store: tokens_store, wakes: tokens_wakes },
            Arc::clone(&context),
            stop.clone(),
        );
        let run_keys = controller::run(
            Source { stream: keys, store: keys_store, wakes: keys_wakes },
            Arc::clone(&context),
            stop.clone(),
        );
        let run_deposits = controller::run(
            Source { stream: deposits, store: deposits_store, wakes: deposits_wakes },
            Arc::clone(&context),
            stop.clone(),
        );
        let run_projects = controller::run(
            Source { stream: projects, store: projects_store, wakes: projects_wakes },
            Arc::clone(&context),
            stop.clone(),
        );
        let beginning = begin_ledger(Arc::clone(&context));
        let watching = watch_secrets(self.client.clone(), namespace, context, stop.clone());
        tokio::join!(run_tokens, run_keys, run_deposits, run_projects, watching, beginning);
    }
}

/// The ledger vouches for keys made after it was begun, so it is begun before any is.
async fn begin_ledger(context: Arc<Context>) {
    if context.sweeps.are_on()
        && let Err(error) = context.ledger.open().await
    {
        tracing::warn!(%error, "no sweep for orphaned keys as long as the ledger cannot be read and begun");
    }
}

/// Wakes whoever a Secret matters to: its owner, and those that read it by name.
async fn watch_secrets(
    client: Client,
    namespace: Option<String>,
    context: Arc<Context>,
    stop: CancellationToken,
) {
    let mut touched = Box::pin(watch::secrets(&client, namespace.as_deref()));
    while let Some(secret) = tokio::select! {
        secret = touched.next() => secret,
        () = stop.cancelled() => None,
    } {
        wake_for(&secret, &context);
    }
}

fn wake_for(secret: &Touched, context: &Context) {
    // The receivers live as long as the operator.
    let own = |name: &str| ObjectRef::new(name).within(&secret.namespace);
    match &secret.owner {
        Some((kind, name)) if kind == GatewayApiKey::KIND => {
            let _ = context.wakers.keys.send(own(name));
        }
        _ => {}
    }
    let here = |place: Option<String>| place.as_deref() == Some(&secret.namespace);
    let reads = |it: &ConsoleToken| here(it.namespace()) && it.spec.secret_name() == secret.name;
    for token in watch::select(&context.stores.tokens, reads) {
        let _ = context.wakers.tokens.send(token);
    }
    if secret.owner.is_some() {
        return;
    }
    let reads = |it: &ProviderKey| here(it.namespace()) && it.spec.credentials_ref.name == secret.name;
    for deposit in watch::select(&context.stores.deposits, reads) {
        let _ = context.wakers.deposits.send(deposit);
    }
    // A key that waits for this name to become free, or whose Secret was taken from it.
    let names = |it: &GatewayApiKey| here(it.namespace()) && it.secret_name() == secret.name;
    for key in watch::select(&context.stores.keys, names) {
        let _ = context.wakers.keys.send(key);
    }
}
