//! `keysmith status`: console tokens, the keys made with them, their Secrets, the workloads that read those, and what
//! happens next and when.

mod next;
mod text;
pub(super) mod view;
pub(super) mod workloads;

use super::select::{Selection, unfit};
use crate::cluster::object;
use crate::output::{Failure, print, tell};
use crate::plan::identity::ObjectName;
use crate::runtime::clock::Clock;
use crate::session::Kubernetes;
use crate::session::objects::{self, FoundToken};
use clap::{Args, ValueEnum};
use kube::ResourceExt;
use std::process::ExitCode;
pub use view::Health;
use view::View;
use workloads::Readers;

/// Exit code: something is not Ready.
const NOT_READY: u8 = 3;

/// The arguments of `keysmith status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 everything shown is Ready, 3 something is not, 2 a flag or its value is wrong, 1 a key does not \
    exist or something else went wrong."
)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
    Yaml,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let kubernetes = arguments.selection.connect().await?;
    let view = read(&kubernetes, &arguments.selection).await?;
    print(&match arguments.output {
        Output::Text => text::text(&view),
        Output::Json => serde_json::to_string_pretty(&view)? + "\n",
        Output::Yaml => serde_yaml::to_string(&view)?,
    })?;
    view.unfit.iter().chain(&view.notes).for_each(|it| tell(it));
    Ok(if view.is_ready() { ExitCode::SUCCESS } else { ExitCode::from(NOT_READY) })
}

/// Reads what is selected.
pub(super) async fn read(kubernetes: &Kubernetes, selection: &Selection) -> Result<View, Failure> {
    let (client, namespace) = (&kubernetes.client, selection.namespace(kubernetes));
    let selected = selection.keys(kubernetes).await?;
    let mut view = View::new(Clock::system().now());
    view.unfit.extend(selected.unfit.iter().map(|it| unfit("GatewayApiKey", it)));
    let mut tokens = objects::tokens(client, namespace, None).await?;
    // A person who may read one namespace only still sees its keys.
    let mut unread = None;
    if namespace.is_some() {
        match objects::cluster_tokens(client).await {
            Ok(shared) => tokens.extend(shared),
            Err(error) => unread = Some(error),
        }
    }
    let mut provider_keys = Vec::new();
    if !selection.is_narrow() {
        for guard in objects::provider_keys(client, namespace).await? {
            let name = ObjectName::new(&object::namespace(&guard), &guard.name_any());
            match guard.0 {
                Ok(key) => provider_keys.push(key),
                Err(_) => view.unfit.push(unfit("ProviderKey", &name)),
            }
        }
    }
    let readers = match workloads::readers(client, namespace).await {
        Ok(readers) => readers,
        Err(kind) => {
            view.notes.push(format!("workloads are not shown: {kind} cannot be listed"));
            Readers::default()
        }
    };
    for key in &selected.keys {
        view.add_key(key, &readers);
    }
    for key in &provider_keys {
        view.add_provider_key(key);
    }
    // In one namespace, ClusterConsoleTokens that none of its keys uses are of others.
    let always =
        |it: &FoundToken| !selection.is_narrow() && (namespace.is_none() || it.reference.namespace.is_some());
    for token in &tokens {
        view.describe_token(token, always(token));
    }
    if let Some(unread) = unread {
        view.cannot_read_cluster_tokens();
        if view.tokens.values().any(|it| it.unreadable) {
            view.notes.push(unread.to_string());
        }
    }
    Ok(view)
}
