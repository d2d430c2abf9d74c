//! The command line of `keysmith orphans`: flags, the question, the exit code.

use super::{Choice, Findings, Removal, Survey, table};
use crate::cluster::ledger::Ledger;
use crate::gateway::transport::Https;
use crate::plan::token::Endpoints;
use crate::reach::Reach;
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;
use clap::{Args, ValueEnum};
use kube::{Client, Config};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

/// Something is left.
const REMAINS: u8 = 3;

/// What `keysmith orphans` can be told.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 nothing is left, 3 keys are left, 2 the flags are wrong, \
    1 something else went wrong or a ConsoleToken could not be asked.")]
pub struct Arguments {
    /// Only ConsoleTokens of this namespace; resources are read in all namespaces nevertheless.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Only the ConsoleTokens of this name.
    #[arg(long, value_name = "NAME")]
    console_token: Option<String>,
    /// Only this key, by the vendor's id; may be repeated.
    #[arg(long = "key", value_name = "ID")]
    keys: Vec<String>,
    /// How to show them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Remove what is shown, those that were left on purpose as well: asks first, and looks once more before each.
    #[arg(long)]
    delete: bool,
    /// Do not ask.
    #[arg(long, requires = "delete")]
    yes: bool,
    /// Origins that console tokens may be sent to beside the vendors' own, as the operator's.
    #[arg(long, env = "KEYSMITH_ALLOWED_ENDPOINTS", default_value = "")]
    allowed_endpoints: String,
    /// The operator's namespace, where the ledger is; looked for when left out.
    #[arg(long, env = "KEYSMITH_LEDGER_NAMESPACE", value_name = "NAMESPACE")]
    ledger_namespace: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Does what was asked.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    // Asked before anything else, so that a script does not wait for a survey that ends in a refusal.
    if arguments.delete && !arguments.yes && !std::io::stdin().is_terminal() {
        return Err("--delete asks first, and there is no terminal to ask on; add --yes".into());
    }
    let survey = survey(&arguments).await?;
    let choice = Choice {
        namespace: arguments.namespace.clone(),
        console_token: arguments.console_token.clone(),
        keys: arguments.keys.clone(),
    };
    let findings = survey.look(&choice).await?;
    print(&match arguments.output {
        Output::Text => table::text(&findings.rows),
        Output::Json => table::json(&findings.rows)?,
    });
    for (token, why) in &findings.unasked {
        tell(&format!("ConsoleToken {token} could not be asked: {why}"));
    }
    let mut left = findings.rows.len();
    if left > 0 && !findings.has_ledger {
        tell(&format!("keys that were kept on purpose look like orphans: {}", survey.no_ledger()));
    }
    if arguments.delete && left > 0 && (arguments.yes || confirmed(left).await?) {
        left = remove(&survey, &findings).await?;
    }
    Ok(match (left, findings.unasked.is_empty()) {
        (_, false) => ExitCode::FAILURE,
        (0, true) => ExitCode::SUCCESS,
        _ => ExitCode::from(REMAINS),
    })
}

async fn survey(arguments: &Arguments) -> Result<Survey, Failure> {
    let endpoints = Endpoints::parse(arguments.allowed_endpoints.split(','))
        .map_err(|error| format!("--allowed-endpoints: {error}"))?;
    let mut config = Config::infer().await?;
    config.default_retry = false;
    let default = config.default_namespace.clone();
    let client = Client::try_from(config)?;
    let namespace = match arguments.ledger_namespace.clone().filter(|it| !it.is_empty()) {
        Some(namespace) => namespace,
        None => find_ledger(&client, default).await?,
    };
    Ok(Survey {
        ledger: Ledger::new(client.clone(), &namespace, Metrics::default()),
        reach: Reach { client, transport: Arc::new(Https::new()?), clock: Clock::system(), endpoints },
    })
}

/// The namespace that has a ledger. Where one may not look into others, it is the present one or none.
async fn find_ledger(client: &Client, default: String) -> Result<String, Failure> {
    let found = Ledger::namespaces(client).await.unwrap_or_default();
    match found.as_slice() {
        [] => Ok(default),
        [namespace] => Ok(namespace.clone()),
        several => {
            let several = several.join(", ");
            Err(format!(
                "several namespaces have a ledger: {several}; name the operator's with --ledger-namespace"
            )
            .into())
        }
    }
}

/// Removes what was shown. Returns how many are left.
async fn remove(survey: &Survey, findings: &Findings) -> Result<usize, Failure> {
    let mut left = 0;
    for row in &findings.rows {
        let shown = row.key_id.as_deref().unwrap_or("an entry without a key");
        match survey.remove(row, findings).await? {
            Removal::Removed => tell(&format!("{shown}: removed")),
            Removal::Forgotten => {
                tell(&format!("{shown}: gone at the vendor already; its entry is taken out of the ledger"));
            }
            Removal::Left(why) => {
                left += 1;
                tell(&format!("{shown}: left alone; {why}"));
            }
        }
    }
    Ok(left)
}

async fn confirmed(keys: usize) -> Result<bool, Failure> {
    tell(&format!(
        "{keys} of them will be revoked at the vendor at once, and whatever still uses one is refused from then on"
    ));
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        let mut stderr = std::io::stderr();
        write!(stderr, "type yes to go on: ")?;
        stderr.flush()?;
        std::io::stdin().read_line(&mut answer).map(|_| answer)
    });
    Ok(answer.await??.trim() == "yes")
}

#[expect(clippy::print_stdout, reason = "this is what was asked for")]
fn print(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "what is no result does not go into a pipe")]
fn tell(text: &str) {
    eprintln!("{text}");
}
