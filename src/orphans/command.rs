//! The command line of `keysmith orphans`: flags, the confirmation, the exit code.

use super::{Choice, Findings, Removal, Survey, table};
use crate::cluster::ledger::Ledger;
use crate::flags;
use crate::flags::network::NetworkArguments;
use crate::gateway::Vendors;
use crate::output::{Failure, can_confirm, confirm, print, tell};
use crate::plan::class::ControllerClass;
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;
use crate::session::kubeconfig::ClusterArguments;
use crate::session::{self, Kubernetes, Session};
use clap::{Args, ValueEnum};
use kube::Client;
use std::process::ExitCode;
use std::sync::Arc;

/// Exit code: keys are left.
const REMAINS: u8 = 3;

/// The arguments of `keysmith orphans`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing is left, 3 keys are left, 2 a flag or its value is wrong, 1 a ConsoleToken could not \
    be asked, what -n, --console-token, --key or --ledger-namespace names does not exist, or something else went wrong."
)]
pub struct Arguments {
    /// Only ConsoleTokens of this namespace, and no ClusterConsoleTokens; resources are read in all namespaces nevertheless.
    #[arg(short, long, value_parser = flags::namespace)]
    namespace: Option<String>,
    /// Only the ConsoleTokens of this name.
    #[arg(long, value_name = "NAME", value_parser = flags::name)]
    console_token: Option<String>,
    /// Only this key, by the vendor's id; may be repeated.
    #[arg(long = "key", value_name = "ID", value_parser = flags::key_id)]
    keys: Vec<String>,
    /// Only ConsoleTokens of this controller class; when left out, those without one. Each class has a ledger of its own.
    #[arg(long, env = "KEYSMITH_CONTROLLER_CLASS", value_name = "NAME", default_value = "", hide_default_value = true, value_parser = ControllerClass::parse)]
    controller_class: ControllerClass,
    /// How to show them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Remove the keys shown, also those left on purpose: asks first, and lists them once more before each removal.
    #[arg(long)]
    delete: bool,
    /// Do not ask.
    #[arg(long, requires = "delete")]
    yes: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
    #[command(flatten)]
    network: NetworkArguments,
    /// The operator's namespace, where the ledger is; looked for when left out.
    #[arg(long, env = "KEYSMITH_LEDGER_NAMESPACE", value_name = "NAMESPACE", value_parser = flags::namespace)]
    ledger_namespace: Option<String>,
    /// Namespace of the Secrets that ClusterConsoleTokens name, usually the operator's; looked for when left out.
    #[arg(long, env = "KEYSMITH_CLUSTER_RESOURCE_NAMESPACE", value_name = "NAMESPACE", value_parser = flags::namespace)]
    cluster_resource_namespace: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    // Checked before anything else, so that a script does not wait for a survey that ends in a refusal.
    if arguments.delete && !arguments.yes {
        can_confirm("--delete")?;
    }
    let survey = survey(&arguments).await?;
    let choice = Choice {
        namespace: arguments.namespace.clone().filter(|it| !it.is_empty()),
        console_token: arguments.console_token.clone(),
        keys: arguments.keys.clone(),
        class: arguments.controller_class.clone(),
    };
    let findings = survey.look(&choice).await?;
    print(&match arguments.output {
        Output::Text => table::text(&findings),
        Output::Json => table::json(&findings)?,
    })?;
    for why in &findings.unmatched {
        tell(why);
    }
    if findings.others > 0 {
        tell(&format!(
            "{} ConsoleTokens of another controller class are left out: --controller-class",
            findings.others
        ));
    }
    for unasked in &findings.unasked {
        tell(&unasked.sentence());
    }
    let mut left = findings.rows.len();
    if left > 0 && !findings.has_ledger {
        tell(&format!("keys that were kept on purpose look like orphans: {}", survey.no_ledger()));
    }
    if arguments.delete && left > 0 && (arguments.yes || confirm(&question(left)).await?) {
        left = remove(&survey, &findings).await?;
    }
    let whole = findings.unasked.is_empty() && findings.unmatched.is_empty();
    Ok(match (left, whole) {
        (_, false) => ExitCode::FAILURE,
        (0, true) => ExitCode::SUCCESS,
        _ => ExitCode::from(REMAINS),
    })
}

async fn survey(arguments: &Arguments) -> Result<Survey, Failure> {
    let (endpoints, transport) = arguments.network.connect()?;
    let kubernetes = Kubernetes::connect(&arguments.cluster).await?;
    if let Some(namespace) = arguments.namespace.as_ref().filter(|it| !it.is_empty()) {
        kubernetes.check_namespace("--namespace", namespace).await?;
    }
    let namespace = match arguments.ledger_namespace.clone().filter(|it| !it.is_empty()) {
        Some(namespace) => {
            kubernetes.check_namespace("--ledger-namespace", &namespace).await?;
            namespace
        }
        None => {
            find_ledger(&kubernetes.client, &arguments.controller_class, kubernetes.namespace.clone()).await?
        }
    };
    let home =
        session::home(&kubernetes, &arguments.controller_class, arguments.cluster_resource_namespace.clone())
            .await;
    let client = kubernetes.client;
    Ok(Survey {
        ledger: Ledger::new(client.clone(), &namespace, Metrics::default())
            .of_class(&arguments.controller_class),
        session: Session {
            client,
            transport: Arc::new(transport),
            clock: Clock::system(),
            endpoints,
            vendors: Vendors::default(),
            home,
            class: arguments.controller_class.clone(),
        },
    })
}

/// The namespace of the ledger. Without the right to look into other namespaces, it is the present one or none.
async fn find_ledger(client: &Client, class: &ControllerClass, default: String) -> Result<String, Failure> {
    let found = Ledger::namespaces(client, class).await.unwrap_or_default();
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

/// Removes the keys that were shown. Returns how many are left.
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

fn question(keys: usize) -> String {
    format!(
        "{keys} of them will be revoked at the vendor at once, and whatever still uses one is refused from then on"
    )
}
