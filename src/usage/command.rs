//! The command line of `keysmith usage`: flags, the question, the exit code.

use super::table::{self, By};
use super::{Choice, read};
use crate::gateway::transport::Https;
use crate::plan::token::Endpoints;
use crate::plan::usage::Span;
use crate::reach::Reach;
use crate::runtime::clock::Clock;
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kube::{Client, Config};
use std::process::ExitCode;
use std::sync::Arc;

/// What `keysmith usage` can be told.
#[derive(Debug, Args)]
#[command(
    after_help = "What keys spent that were replaced meanwhile counts where the vendor tells it by name, or while they still exist. \
    Exit codes: 0 everything was read, 2 the flags are wrong, 1 something else went wrong or a ConsoleToken could not be asked."
)]
pub struct Arguments {
    /// Only this namespace.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Only keys of the ConsoleTokens of this name.
    #[arg(long, value_name = "NAME")]
    console_token: Option<String>,
    /// Only keys with these labels, such as team=shop.
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// What is added up: key, namespace, or label=NAME.
    #[arg(long, default_value = "key")]
    by: By,
    /// From this day on, in UTC; the first of the running month when left out.
    #[arg(long, value_name = "YYYY-MM-DD")]
    since: Option<Date>,
    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Origins that console tokens may be sent to beside the vendors' own, as the operator's.
    #[arg(long, env = "KEYSMITH_ALLOWED_ENDPOINTS", default_value = "")]
    allowed_endpoints: String,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Csv,
    Json,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Does what was asked.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let endpoints = Endpoints::parse(arguments.allowed_endpoints.split(','))
        .map_err(|error| format!("--allowed-endpoints: {error}"))?;
    let clock = Clock::system();
    let span = span(arguments.since, &clock)?;
    let mut config = Config::infer().await?;
    config.default_retry = false;
    let client = Client::try_from(config)?;
    let reach = Reach { client, transport: Arc::new(Https::new()?), clock, endpoints };
    let choice = Choice {
        namespace: arguments.namespace,
        console_token: arguments.console_token,
        selector: arguments.selector,
    };
    let reading = read(&reach, &choice, &span).await?;
    let sums = table::sums(&reading.rows, &arguments.by);
    print(&match arguments.output {
        Output::Text => table::text(&sums, &arguments.by, &span),
        Output::Csv => table::csv(&sums, &arguments.by)?,
        Output::Json => table::json(&sums, &span)?,
    });
    for (token, why) in &reading.unasked {
        tell(&format!("ConsoleToken {token} could not be asked: {why}"));
    }
    Ok(if reading.unasked.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn span(since: Option<Date>, clock: &Clock) -> Result<Span, Failure> {
    let month = Span::month(clock.now());
    let Some(since) = since else {
        return Ok(month);
    };
    let since = since.to_zoned(TimeZone::UTC)?.timestamp();
    if since > month.until {
        return Err("--since: must not be in the future".into());
    }
    Ok(Span { since, ..month })
}

#[expect(clippy::print_stdout, reason = "this is what was asked for")]
fn print(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "what is no result does not go into a pipe")]
fn tell(text: &str) {
    eprintln!("{text}");
}
