//! The command line of `keysmith usage`: flags, the reading, the exit code.

use super::table::{self, By};
use super::{Choice, Reading, read};
use crate::flags;
use crate::flags::network::NetworkArguments;
use crate::gateway::Vendors;
use crate::output::{Failure, WrongFlag, print, tell};
use crate::plan::class::ControllerClass;
use crate::plan::usage::Span;
use crate::runtime::clock::Clock;
use crate::session::kubeconfig::ClusterArguments;
use crate::session::{self, Kubernetes, Session};
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::process::ExitCode;
use std::sync::Arc;

/// The arguments of `keysmith usage`.
#[derive(Debug, Args)]
#[command(
    after_help = "What keys spent that were replaced meanwhile counts where the vendor tells it by name, or while they still exist. \
    Exit codes: 0 everything was read, 2 a flag or its value is wrong, 1 a ConsoleToken could not be asked, -n, --console-token \
    or -l selects nothing, or something else went wrong."
)]
pub struct Arguments {
    /// Only this namespace.
    #[arg(short, long, value_parser = flags::namespace)]
    namespace: Option<String>,
    /// Only keys of the ConsoleTokens of this name.
    #[arg(long, value_name = "NAME", value_parser = flags::name)]
    console_token: Option<String>,
    /// Only keys with these labels, such as team=shop.
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = flags::selector)]
    selector: Option<String>,
    /// What is added up: key, namespace, or label=NAME.
    #[arg(long, default_value = "key")]
    by: By,
    /// From this day on, in UTC; the first of the running month when left out.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    since: Option<Date>,
    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    cluster: ClusterArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// Namespace of the Secrets that ClusterConsoleTokens name, usually the operator's; looked for when left out.
    #[arg(long, env = "KEYSMITH_CLUSTER_RESOURCE_NAMESPACE", value_name = "NAMESPACE", value_parser = flags::namespace)]
    cluster_resource_namespace: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Csv,
    Json,
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("{text:?} is no day; write such as 2026-11-01"))
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let (endpoints, transport) = arguments.network.connect()?;
    let clock = Clock::system();
    let span = span(arguments.since, &clock)?;
    let choice = Choice {
        namespace: arguments.namespace.filter(|it| !it.is_empty()),
        console_token: arguments.console_token,
        selector: arguments.selector,
    };
    let kubernetes = Kubernetes::connect(&arguments.cluster).await?;
    if let Some(namespace) = &choice.namespace {
        kubernetes.check_namespace("--namespace", namespace).await?;
    }
    let home =
        session::home(&kubernetes, &ControllerClass::default(), arguments.cluster_resource_namespace).await;
    let client = kubernetes.client;
    let session = Session {
        client,
        transport: Arc::new(transport),
        clock,
        endpoints,
        vendors: Vendors::default(),
        home,
        class: ControllerClass::default(),
    };
    let reading = read(&session, &choice, &span).await?;
    let by = &arguments.by;
    print(&match arguments.output {
        Output::Text => table::text(&reading, by, &span),
        Output::Csv => table::csv(&table::sums(&reading.rows, by), by)?,
        Output::Json => table::json(&reading, by, &span)?,
    })?;
    if matches!(arguments.output, Output::Csv)
        && let Some(answers) = table::completeness(&reading)
    {
        tell(&answers);
    }
    report(&reading);
    Ok(if reading.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reports what the result lacks.
fn report(reading: &Reading) {
    for unasked in &reading.unasked {
        tell(&unasked.sentence());
    }
    reading.uncounted.iter().chain(&reading.unmatched).for_each(|it| tell(it));
}

fn span(since: Option<Date>, clock: &Clock) -> Result<Span, Failure> {
    let month = Span::month(clock.now());
    let Some(since) = since else {
        return Ok(month);
    };
    let since = since.to_zoned(TimeZone::UTC)?.timestamp();
    if since > month.until {
        return Err(WrongFlag("--since: must not be in the future".to_owned()).into());
    }
    Ok(Span { since, ..month })
}
