//! The command line.

use crate::cluster::lease::Seat;
use crate::controller::context::Settings;
use crate::gateway::Vendors;
use crate::gateway::transport::Https;
use crate::operator::Operator;
use crate::plan::leadership::Times;
use crate::plan::token::Endpoints;
use crate::runtime::clock::Clock;
use crate::runtime::leadership::Election;
use crate::runtime::server::{self, Readiness, State};
use crate::runtime::telemetry::{self, LogFormat};
use crate::{api, explain, orphans, uninstall, usage};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use kube::core::Duration;
use kube::{Client, Config, ResourceExt};
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// LLM-gateway keys as Kubernetes resources.
#[derive(Debug, Parser)]
#[command(name = "keysmith", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Level, or a list of target=level.
    #[arg(long, global = true, env = "KEYSMITH_LOG_LEVEL", default_value = "info,kube_runtime=warn")]
    log_level: String,
    /// How logs are written, to standard error.
    #[arg(long, global = true, env = "KEYSMITH_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Run(RunArgs),
    /// Print the custom resource definitions, or write them to a folder.
    Crds {
        /// Write one file per kind to this folder instead.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Tell what each vendor can do with a GatewayApiKey.
    Explain {
        /// Only this vendor.
        vendor: Option<String>,
        /// How to tell it.
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// List keys at the vendors that no resource accounts for, and those left behind on purpose; remove them on request.
    Orphans(orphans::command::Arguments),
    /// Tell what keys spent, by key, namespace or label, as a table, CSV or JSON.
    Usage(usage::command::Arguments),
    /// Tell whether resources are left that need the operator; the chart asks before it is uninstalled.
    UninstallCheck(uninstall::Arguments),
    /// Run the vendors as a local server, with faults on request, to try things without an account.
    #[cfg(feature = "emulator")]
    Emulate(EmulateArgs),
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Namespaces to watch, separated by commas; all of them when left out.
    #[arg(long, env = "KEYSMITH_NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Origins that console tokens may be sent to beside the vendors' own, such as <https://llm.example.com>, separated by
    /// commas. Plain http is possible here only.
    #[arg(long, env = "KEYSMITH_ALLOWED_ENDPOINTS", default_value = "")]
    allowed_endpoints: String,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "KEYSMITH_METRICS_ADDRESS", default_value = "0.0.0.0:8080")]
    metrics_address: SocketAddr,
    /// Reconciles at once, per kind.
    #[arg(long, env = "KEYSMITH_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// No more keys than this are made for one resource within a day; more say that something is wrong.
    #[arg(long, env = "KEYSMITH_MAX_KEYS_PER_DAY", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    max_keys_per_day: u64,
    /// Time between two looks at a vendor: how long a change made in its console may go unnoticed.
    #[arg(long, env = "KEYSMITH_POLL_INTERVAL", default_value = "5m")]
    poll_interval: Duration,
    /// Time between two sweeps for orphaned keys; 0s for none. There are none with --namespaces either.
    #[arg(long, env = "KEYSMITH_SWEEP_INTERVAL", default_value = "1h")]
    sweep_interval: Duration,
    /// Namespace of the ConfigMap keysmith-ledger, which lists what was left behind; the pod's own when left out, or
    /// the kubeconfig's.
    #[arg(long, env = "KEYSMITH_LEDGER_NAMESPACE")]
    ledger_namespace: Option<String>,
    #[command(flatten)]
    election: ElectionArgs,
}

#[derive(Debug, Args)]
struct ElectionArgs {
    /// Agree with other replicas, by a Lease, on one that acts; the others stand by with filled caches.
    #[arg(long, env = "KEYSMITH_LEADER_ELECT", value_parser = clap::builder::BoolishValueParser::new())]
    leader_elect: bool,
    /// Namespace of the Lease keysmith; the pod's own when left out, or the kubeconfig's.
    #[arg(long, env = "KEYSMITH_LEADER_ELECTION_NAMESPACE")]
    leader_election_namespace: Option<String>,
    /// Without a sign of life for so long, a leader has lost the Lease.
    #[arg(long, env = "KEYSMITH_LEASE_DURATION", default_value = "15s")]
    lease_duration: Duration,
    /// A leader that could not renew for so long ceases to act.
    #[arg(long, env = "KEYSMITH_RENEW_DEADLINE", default_value = "10s")]
    renew_deadline: Duration,
    /// Time between two renewals.
    #[arg(long, env = "KEYSMITH_RETRY_PERIOD", default_value = "2s")]
    retry_period: Duration,
}

#[cfg(feature = "emulator")]
#[derive(Debug, Args)]
struct EmulateArgs {
    /// Where to listen.
    #[arg(long, env = "KEYSMITH_EMULATOR_ADDRESS", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Cli {
    /// Does what was asked.
    pub async fn execute(self) -> Result<ExitCode, Failure> {
        telemetry::start(self.log_format, &self.log_level)?;
        let done = match self.command {
            Command::Run(arguments) => run(arguments).await,
            Command::Crds { dir } => crds(dir),
            Command::Explain { vendor, output } => {
                let vendor = vendor.as_deref();
                print(&match output {
                    Output::Text => explain::text(vendor)?,
                    Output::Json => explain::json(vendor)? + "\n",
                })
            }
            Command::Orphans(arguments) => return orphans::command::run(arguments).await,
            Command::Usage(arguments) => return usage::command::run(arguments).await,
            Command::UninstallCheck(arguments) => return uninstall::run(arguments).await,
            #[cfg(feature = "emulator")]
            Command::Emulate(arguments) => emulate(arguments).await,
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

#[expect(clippy::print_stdout, reason = "this is what was asked for")]
#[expect(clippy::unnecessary_wraps, reason = "every command returns the same")]
fn print(text: &str) -> Result<(), Failure> {
    print!("{text}");
    Ok(())
}

/// The custom resource definitions: file name and YAML.
pub fn crd_files() -> Result<Vec<(String, String)>, serde_yaml::Error> {
    api::crds()
        .into_iter()
        .map(|mut crd| {
            // One version for crate, chart and definitions, so that a cluster tells whose it has.
            let version = ("app.kubernetes.io/version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
            let name = ("app.kubernetes.io/name".to_owned(), "keysmith".to_owned());
            crd.labels_mut().extend([name, version]);
            let yaml = serde_yaml::to_string(&crd)?;
            let text = format!(
                "# Written by `keysmith crds`; edit src/api instead, then run `make generate`.\n{yaml}"
            );
            Ok((format!("{}.yaml", crd.name_any()), text))
        })
        .collect()
}

fn crds(dir: Option<PathBuf>) -> Result<(), Failure> {
    let files = crd_files()?;
    let Some(dir) = dir else {
        let documents: Vec<_> = files.into_iter().map(|(_, text)| text).collect();
        return print(&documents.join("---\n"));
    };
    std::fs::create_dir_all(&dir)?;
    for (name, text) in files {
        std::fs::write(dir.join(name), text)?;
    }
    Ok(())
}

async fn run(arguments: RunArgs) -> Result<(), Failure> {
    let endpoints = Endpoints::parse(arguments.allowed_endpoints.split(','))
        .map_err(|error| format!("--allowed-endpoints: {error}"))?;
    let poll = SignedDuration::try_from(std::time::Duration::from(arguments.poll_interval))?;
    if poll < SignedDuration::from_secs(1) {
        return Err("--poll-interval: must be at least 1s".into());
    }
    let sweep = SignedDuration::try_from(std::time::Duration::from(arguments.sweep_interval))?;
    if !sweep.is_zero() && sweep < SignedDuration::from_secs(1) {
        return Err("--sweep-interval: must be at least 1s, or 0s for none".into());
    }
    let times = election_times(&arguments.election)?;
    let mut config = Config::infer().await?;
    let ledger_namespace = arguments.ledger_namespace.filter(|it| !it.is_empty());
    let ledger_namespace = ledger_namespace.unwrap_or_else(|| config.default_namespace.clone());
    // A retried create would meet its own object as "already exists", a retried compare-and-swap its own write as a
    // conflict; retries are decided where that is understood.
    config.default_retry = false;
    let election = arguments.election.leader_elect.then(|| elect(&arguments.election, times, &config));
    let election = election.transpose()?;
    let client = Client::try_from(config)?;
    let told = State::default();
    let listener = TcpListener::bind(arguments.metrics_address)
        .await
        .map_err(|error| format!("--metrics-address {}: {error}", arguments.metrics_address))?;
    let stop = CancellationToken::new();
    let serving = CancellationToken::new();
    let router = server::router(told.clone());
    let server = axum::serve(listener, router).with_graceful_shutdown(serving.clone().cancelled_owned());
    let server = tokio::spawn(server.into_future());
    let operator = Operator {
        client,
        transport: Arc::new(Https::new()?),
        clock: Clock::system(),
        settings: Settings {
            concurrency: arguments.concurrency,
            endpoints,
            poll,
            keys_per_day: arguments.max_keys_per_day,
            vendors: Vendors::default(),
            sweep: (!sweep.is_zero()).then_some(sweep),
            ledger_namespace,
        },
        namespaces: arguments
            .namespaces
            .iter()
            .map(|it| it.trim().to_owned())
            .filter(|it| !it.is_empty())
            .collect(),
        metrics: told.metrics,
        readiness: told.readiness.clone(),
        liveness: told.liveness,
        election,
    };
    tokio::spawn(stop_on_signal(stop.clone(), told.readiness));
    operator.run(stop).await;
    serving.cancel();
    server.await??;
    Ok(())
}

fn election_times(arguments: &ElectionArgs) -> Result<Times, Failure> {
    let [lease, renew, retry] = [arguments.lease_duration, arguments.renew_deadline, arguments.retry_period]
        .map(|it| SignedDuration::try_from(std::time::Duration::from(it)));
    Ok(Times::new(lease?, renew?, retry?)?)
}

/// The Lease has a connection of its own.
fn elect(arguments: &ElectionArgs, times: Times, config: &Config) -> Result<Election, Failure> {
    let namespace = arguments.leader_election_namespace.as_deref().filter(|it| !it.is_empty());
    let namespace = namespace.unwrap_or(&config.default_namespace);
    let seat = Seat::new(Client::try_from(config.clone())?, namespace);
    Ok(Election { seat, identity: identity(), times })
}

/// The pod's name, for people, and what no other process ever had.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|it| !it.is_empty());
    // Each state is seeded by the operating system.
    let random = RandomState::new().build_hasher().finish();
    format!("{}_{random:016x}", host.as_deref().unwrap_or("keysmith"))
}

async fn stop_on_signal(stop: CancellationToken, readiness: Readiness) {
    signalled().await;
    tracing::info!("told to stop; what is under way is finished first");
    readiness.missing(vec!["stopping".to_owned()]);
    stop.cancel();
}

async fn signalled() {
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

#[cfg(feature = "emulator")]
async fn emulate(arguments: EmulateArgs) -> Result<(), Failure> {
    use crate::emulator::{Emulator, serve};
    let clock = Clock::system();
    let emulator = Emulator::new(move || clock.now());
    let seed = emulator.seed_demo();
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("--listen {}: {error}", arguments.listen))?;
    let address = listener.local_addr()?;
    print(&format!(
        "The vendors, emulated, at http://{address}\n\n\
         Edgee console API  http://{address}/edgee           (endpoint of a ConsoleToken)\n\
         Edgee gateway      http://{address}/edgee-gateway   (gatewayUrl of a ConsoleToken)\n\
         organization       {}\n\
         console token      {}\n\n\
         Eden AI            http://{address}/edenai          (endpoint, v2 and v3)\n\
         Eden AI gateway    http://{address}/edenai-gateway  (gatewayUrl)\n\
         auth key, v3       {}\n\
         issuer key, v3     {}\n\
         API key, v2        {}\n\n\
         Cortecs            http://{address}/cortecs         (endpoint)\n\
         Cortecs gateway    http://{address}/cortecs-gateway (gatewayUrl)\n\
         management key     {}\n\n\
         control            http://{address}/_emulator/state\n\n\
         Start the operator with --allowed-endpoints=http://{address}\n",
        seed.organization, seed.token, seed.edenai_v3, seed.edenai_issuer, seed.edenai_v2, seed.cortecs,
    ))?;
    serve(emulator, listener, signalled()).await?;
    Ok(())
}
