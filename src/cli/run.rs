//! `keysmith run`: the flags, and the operator that is built from them.

use crate::cluster::lease::LeaseClient;
use crate::cluster::measured;
use crate::controller::context::Settings;
use crate::flags;
use crate::flags::network::NetworkArguments;
use crate::gateway::Vendors;
use crate::operator::Operator;
use crate::operator::leadership::Election;
use crate::output::{Failure, WrongFlag};
use crate::plan::class::ControllerClass;
use crate::plan::duration;
use crate::plan::leadership::Times;
use crate::plan::rotation::KEYS_PER_DAY;
use crate::plan::shard::Shard;
use crate::plan::token::{Endpoints, Gateways};
use crate::plan::turns::Limits;
use crate::runtime::clock::Clock;
use crate::runtime::memory;
use crate::runtime::server::{self, Part, Readiness, State};
use crate::runtime::telemetry::{self, Filter, LogFormat};
use crate::session::kubeconfig;
use clap::Args;
use jiff::SignedDuration;
use kube::Config;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
#[cfg(feature = "otlp")]
use {
    crate::gateway::transport::{AtMost, Transport},
    crate::runtime::otlp::{self, Export, Post},
    futures::FutureExt,
};

const OTLP: &str = "Send traces of passes to this collector, over OTLP by HTTP, such as http://collector:4318; none when left out. Takes a build with \
                    the feature otlp";

/// The arguments of `keysmith run`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Namespaces to watch, separated by commas; all of them when left out.
    #[arg(long, env = "KEYSMITH_NAMESPACES", value_delimiter = ',', value_parser = flags::namespace)]
    namespaces: Vec<String>,
    #[command(flatten)]
    network: NetworkArguments,
    #[arg(long, env = "KEYSMITH_ALLOWED_GATEWAY_URLS", value_name = "ORIGINS", help = flags::ALLOWED_GATEWAY_URLS)]
    allowed_gateway_urls: Option<String>,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "KEYSMITH_METRICS_ADDRESS", default_value = "0.0.0.0:8080")]
    metrics_address: SocketAddr,
    /// Reconciles at once, per account at a vendor, or half as many as its calls per second where that is more; four times as many per
    /// namespace, and eight times as many in all.
    #[arg(long, env = "KEYSMITH_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// No more keys than this are made for one resource within a day; more say that something is wrong.
    #[arg(long, env = "KEYSMITH_MAX_KEYS_PER_DAY", default_value_t = KEYS_PER_DAY, value_parser = clap::value_parser!(u64).range(1..))]
    max_keys_per_day: u64,
    /// Time between two looks at a vendor: how long a change made in its console may go unnoticed.
    #[arg(long, env = "KEYSMITH_POLL_INTERVAL", default_value = "5m", value_parser = flags::interval)]
    poll_interval: SignedDuration,
    /// Time between two sweeps for orphaned keys; 0s for none. There are none with --namespaces either.
    #[arg(long, env = "KEYSMITH_SWEEP_INTERVAL", default_value = "1h", value_parser = flags::interval_or_none)]
    sweep_interval: SignedDuration,
    /// Namespace of the ConfigMap keysmith-ledger, which lists what was left behind; the pod's own when left out, or
    /// the kubeconfig's.
    #[arg(long, env = "KEYSMITH_LEDGER_NAMESPACE", value_parser = flags::namespace)]
    ledger_namespace: Option<String>,
    /// Namespace of the Secrets that ClusterConsoleTokens name; the pod's own when left out, or the kubeconfig's.
    #[arg(long, env = "KEYSMITH_CLUSTER_RESOURCE_NAMESPACE", value_parser = flags::namespace)]
    cluster_resource_namespace: Option<String>,
    /// Watch Secrets. With false they are read by name only, once per poll: it takes no list and watch on Secrets, and a
    /// Secret that was deleted or edited is noticed with the next poll.
    #[arg(long, env = "KEYSMITH_WATCH_SECRETS", default_value_t = true, action = clap::ArgAction::Set, value_parser = clap::builder::BoolishValueParser::new())]
    watch_secrets: bool,
    /// Refuse ConsoleTokens: keys are made with ClusterConsoleTokens only, and what exists keeps working.
    #[arg(long, env = "KEYSMITH_CLUSTER_TOKENS_ONLY", value_parser = clap::builder::BoolishValueParser::new())]
    cluster_tokens_only: bool,
    /// Work for a part of the accounts only, beside other operators with the other parts: 1/3 is the first of three. Each shard has
    /// a Lease of its own; it takes --leader-elect.
    #[arg(long, env = "KEYSMITH_SHARD", value_name = "NUMBER/COUNT", default_value = "1/1", value_parser = Shard::parse)]
    shard: Shard,
    /// Work only for console tokens whose spec.controllerClass is this, and for what is made with them; when left out, for those
    /// without one. Operators of different classes work side by side.
    #[arg(long, env = "KEYSMITH_CONTROLLER_CLASS", value_name = "NAME", default_value = "", hide_default_value = true, value_parser = ControllerClass::parse)]
    controller_class: ControllerClass,
    #[arg(long, env = "KEYSMITH_OTLP_ENDPOINT", value_name = "URL", help = OTLP, value_parser = flags::collector)]
    otlp_endpoint: Option<Url>,
    #[command(flatten)]
    election: ElectionArguments,
}

#[derive(Debug, Args)]
struct ElectionArguments {
    /// Agree with other replicas, by a Lease, on one that acts; the others stand by with filled caches.
    #[arg(long, env = "KEYSMITH_LEADER_ELECT", value_parser = clap::builder::BoolishValueParser::new())]
    leader_elect: bool,
    /// Namespace of the Lease keysmith; the pod's own when left out, or the kubeconfig's.
    #[arg(long, env = "KEYSMITH_LEADER_ELECTION_NAMESPACE", value_parser = flags::namespace)]
    leader_election_namespace: Option<String>,
    /// A leader that does not renew the Lease for so long has lost it, and another replica takes it.
    #[arg(long, env = "KEYSMITH_LEASE_DURATION", default_value = "15s", value_parser = flags::time)]
    lease_duration: SignedDuration,
    /// A leader that could not renew the Lease for so long stops acting.
    #[arg(long, env = "KEYSMITH_RENEW_DEADLINE", default_value = "10s", value_parser = flags::time)]
    renew_deadline: SignedDuration,
    /// Time between two renewals.
    #[arg(long, env = "KEYSMITH_RETRY_PERIOD", default_value = "2s", value_parser = flags::time)]
    retry_period: SignedDuration,
}

/// Runs the operator until the process receives a signal to stop.
pub async fn run(arguments: Arguments, format: LogFormat, level: &Filter) -> Result<(), Failure> {
    let traces = traces(&arguments)?;
    telemetry::start(format, level, traces.as_ref())?;
    let (endpoints, transport) = arguments.network.connect()?;
    let gateways = flags::gateways(arguments.allowed_gateway_urls.as_deref())?;
    let times = election_times(&arguments.election)?;
    refuse_unelected_shard(&arguments)?;
    let config = kubeconfig::config().await?;
    let ledger_namespace = or_default(arguments.ledger_namespace.as_deref(), &config);
    let home = or_default(arguments.cluster_resource_namespace.as_deref(), &config);
    for what in memory::protect() {
        tracing::warn!(
            what,
            "the memory of this process, which holds tokens, can be read by a core dump or another process of this user"
        );
    }
    announce(&arguments, &endpoints, &gateways, level, &config, &ledger_namespace);
    let election = arguments.election.leader_elect.then(|| elect(&arguments, times, &config));
    let election = election.transpose()?;
    let state = State::default();
    let namespace = config.default_namespace.clone();
    let client = measured::measured(kubeconfig::client(config)?, &namespace, state.metrics.clone());
    let listener = TcpListener::bind(arguments.metrics_address)
        .await
        .map_err(|error| cannot_listen("--metrics-address", arguments.metrics_address, &error))?;
    let stop = CancellationToken::new();
    let serving = CancellationToken::new();
    let router = server::router(state.clone());
    let server = tokio::spawn(server::serve(listener, router, serving.clone()));
    let sweep = arguments.sweep_interval;
    let operator = Operator {
        client,
        transport: Arc::new(transport),
        clock: Clock::system(),
        settings: Settings {
            limits: Limits::per_account(arguments.concurrency.into()),
            endpoints,
            gateways,
            poll: arguments.poll_interval,
            keys_per_day: arguments.max_keys_per_day,
            vendors: Vendors::default(),
            sweep: (!sweep.is_zero()).then_some(sweep),
            ledger_namespace,
            home,
            watch_secrets: arguments.watch_secrets,
            cluster_tokens_only: arguments.cluster_tokens_only,
            shard: arguments.shard,
            class: arguments.controller_class.clone(),
        },
        namespaces: watched(&arguments.namespaces),
        metrics: state.metrics,
        readiness: state.readiness.clone(),
        liveness: state.liveness,
        election,
    };
    tokio::spawn(stop_on_signal(stop.clone(), state.readiness));
    operator.run(stop).await;
    serving.cancel();
    server.await?;
    #[cfg(feature = "otlp")]
    if let Some(traces) = traces {
        traces.end().await;
    }
    Ok(())
}

/// The collector that traces are sent to, if there is one.
#[cfg(feature = "otlp")]
fn traces(arguments: &Arguments) -> Result<Option<Export>, Failure> {
    let Some(endpoint) = &arguments.otlp_endpoint else { return Ok(None) };
    let transport = Arc::new(arguments.network.inside(endpoint.host_str().unwrap_or_default())?);
    let post: Post = Arc::new(move |mut request| {
        request.extensions_mut().insert(AtMost(otlp::ANSWER));
        let transport = Arc::clone(&transport);
        async move { transport.send(request).await.map_err(|fault| fault.to_string()) }.boxed()
    });
    Ok(Some(Export::new(endpoint, post).map_err(WrongFlag)?))
}

/// A program without the feature says so, instead of running without traces.
#[cfg(not(feature = "otlp"))]
fn traces(arguments: &Arguments) -> Result<Option<std::convert::Infallible>, Failure> {
    if arguments.otlp_endpoint.is_none() {
        return Ok(None);
    }
    let what = "--otlp-endpoint: this program was built without traces; build it with `cargo build --release --features otlp`, or the image \
                with FEATURES=otlp";
    Err(WrongFlag(what.to_owned()).into())
}

/// Removes duplicates: two watches of one namespace would be two operators of that namespace.
fn watched(namespaces: &[String]) -> Vec<String> {
    let mut watched: Vec<String> = Vec::new();
    for namespace in namespaces.iter().filter(|it| !it.is_empty()) {
        if !watched.contains(namespace) {
            watched.push(namespace.clone());
        }
    }
    watched
}

fn or_default(namespace: Option<&str>, config: &Config) -> String {
    namespace.filter(|it| !it.is_empty()).unwrap_or(&config.default_namespace).to_owned()
}

/// Logs the first line: the version of this process and the settings in effect, whether they come from flags, variables
/// or defaults.
fn announce(
    arguments: &Arguments,
    endpoints: &Endpoints,
    gateways: &Gateways,
    level: &Filter,
    config: &Config,
    ledger_namespace: &str,
) {
    let namespaces = watched(&arguments.namespaces);
    let election = &arguments.election;
    let sweep = arguments.sweep_interval;
    let none = || "none".to_owned();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespaces = if namespaces.is_empty() { "all".to_owned() } else { namespaces.join(",") },
        api_server = kubeconfig::shown(config),
        metrics_address = %arguments.metrics_address,
        poll_interval = duration::format(arguments.poll_interval),
        sweep_interval = if sweep.is_zero() || !namespaces.is_empty() { none() } else { duration::format(sweep) },
        concurrency = arguments.concurrency,
        max_keys_per_day = arguments.max_keys_per_day,
        allowed_endpoints = endpoints.shown(),
        https_proxy = arguments.network.shown_proxy(),
        allowed_gateway_urls = gateways.shown(),
        ledger_namespace,
        leader_elect = election.leader_elect,
        shard = %arguments.shard,
        controller_class = %arguments.controller_class,
        leader_election_namespace = or_default(election.leader_election_namespace.as_deref(), config),
        lease_duration = duration::format(election.lease_duration),
        renew_deadline = duration::format(election.renew_deadline),
        retry_period = duration::format(election.retry_period),
        log_level = %level,
        "keysmith starts"
    );
}

fn election_times(arguments: &ElectionArguments) -> Result<Times, WrongFlag> {
    Times::new(arguments.lease_duration, arguments.renew_deadline, arguments.retry_period).map_err(WrongFlag)
}

/// Without a Lease, nothing would keep two operators from being the same shard, or shards of different numbers from meeting.
fn refuse_unelected_shard(arguments: &Arguments) -> Result<(), WrongFlag> {
    if arguments.shard.is_whole() || arguments.election.leader_elect {
        return Ok(());
    }
    Err(WrongFlag(format!(
        "--shard {}: add --leader-elect, which gives each shard a Lease, so that no account has two",
        arguments.shard
    )))
}

/// The Lease has a connection of its own.
fn elect(arguments: &Arguments, times: Times, config: &Config) -> Result<Election, Failure> {
    let namespace = or_default(arguments.election.leader_election_namespace.as_deref(), config);
    let lease = LeaseClient::new(
        kubeconfig::client(config.clone())?,
        &namespace,
        &arguments.controller_class,
        arguments.shard,
    );
    Ok(Election { lease, identity: identity(), times })
}

/// The identity of this process in the Lease: the pod's name, for people, and a suffix that no other process ever had.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|it| !it.is_empty());
    // The operating system seeds each `RandomState`.
    let random = RandomState::new().build_hasher().finish();
    format!("{}_{random:016x}", host.as_deref().unwrap_or("keysmith"))
}

/// The error when the server cannot listen at the address of a flag.
pub(super) fn cannot_listen(flag: &str, address: SocketAddr, error: &std::io::Error) -> String {
    let why = match error.kind() {
        std::io::ErrorKind::AddrInUse => "another program uses it; choose another port",
        std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        std::io::ErrorKind::PermissionDenied => "permission denied; choose a port above 1023",
        _ => "cannot be listened at",
    };
    format!("{flag} {address}: {why}")
}

async fn stop_on_signal(stop: CancellationToken, readiness: Readiness) {
    signalled().await;
    tracing::info!("asked to stop; what is under way is finished first");
    readiness.missing(Part::Stopping, vec!["stopping".to_owned()]);
    stop.cancel();
}

/// Waits for the signal to stop.
pub(super) async fn signalled() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be watched");
            return;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
