//! `keysmith plan -f`: what applying files would do to keys. The API server checks the resources by a dry run, with schema,
//! rules and admission policies; the rest is the operator's own decision (`plan::preview`). Nothing is changed, and no
//! vendor is called.

mod dry_run;
mod text;

use super::manifests::{self, Document};
use crate::api::GatewayApiKey;
use crate::flags;
use crate::gateway::Vendors;
use crate::output::{Failure, WrongFlag, print, tell};
use crate::plan::facts::{Bounds, Refusal};
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::limits::{self, Share};
use crate::plan::preview::{Edit, Effect, Preview, preview};
use crate::plan::rotation::KEYS_PER_DAY;
use crate::runtime::clock::Clock;
use crate::session::kubeconfig::ClusterArguments;
use crate::session::{Kubernetes, Unread, objects};
use clap::{Args, ValueEnum};
use dry_run::Answer;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use text::Line;

/// Exit code: a key that applications use would be replaced.
const REPLACED: u8 = 3;
/// Exit code: something would be refused.
const REFUSED: u8 = 4;

/// The arguments of `keysmith plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "It takes the rights to get the resources and, for the check by the API server, to create and update them; nothing is \
    changed. Exit codes: 0 no key in use is replaced and nothing refused, 3 a key in use would be replaced, 4 something would be \
    refused, or what a file holds is no resource, 2 a flag or its value is wrong, or no file has a resource of Keysmith, 1 something could \
    not be found out, or else went wrong."
)]
pub struct Arguments {
    /// A file or folder with resources, or - for standard input; may be repeated.
    #[arg(short, long, required = true, value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// The namespace of resources that name none; that of the kubeconfig's context when left out.
    #[arg(short, long, value_parser = flags::namespace)]
    namespace: Option<String>,
    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    cluster: ClusterArguments,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let manifests = manifests::read(&arguments.filename)?;
    let kubernetes = Kubernetes::connect(&arguments.cluster).await?;
    let written = arguments.namespace.filter(|it| !it.is_empty());
    let planner = Planner {
        namespace: written.unwrap_or_else(|| kubernetes.namespace.clone()),
        kubernetes,
        documents: &manifests.documents,
        vendors: Vendors::default(),
    };
    let mut lines: Vec<_> = manifests.broken.iter().map(|it| Line::broken(it)).collect();
    for document in &manifests.documents {
        lines.push(planner.line(document).await?);
    }
    print(&match arguments.output {
        Output::Text => text::text(&lines),
        Output::Json => serde_json::to_string_pretty(&lines)? + "\n",
    })?;
    if let Some(left_out) = manifests.left_out() {
        tell(&left_out);
    }
    if lines.is_empty() {
        return Err(WrongFlag(manifests::NONE.to_owned()).into());
    }
    Ok(if lines.iter().any(Line::is_refused) {
        ExitCode::from(REFUSED)
    } else if lines.iter().any(Line::is_unknown) {
        ExitCode::FAILURE
    } else if lines.iter().any(Line::replaces) {
        ExitCode::from(REPLACED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Whether two times are not about the same: status has whole seconds.
fn differ(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.duration_since(other).abs() >= SignedDuration::from_secs(60),
        (one, other) => one.is_some() != other.is_some(),
    }
}

struct Planner<'a> {
    kubernetes: Kubernetes,
    namespace: String,
    documents: &'a [Document],
    vendors: Vendors,
}

impl Planner<'_> {
    async fn line(&self, document: &Document) -> Result<Line, Failure> {
        let found = dry_run::ask(&self.kubernetes, document, &self.namespace).await?;
        let mut line = Line::new(document, found.namespace.as_deref(), found.before.as_ref());
        let after = match found.answer {
            Answer::Refused(why) => {
                line.refuse(&why);
                return Ok(line);
            }
            Answer::Unread(why) => {
                line.cannot_tell(&format!("what is stored cannot be read: {why}"));
                return Ok(line);
            }
            Answer::Stored(after) => after,
            Answer::Unasked(why, after) => {
                line.notes.push(format!("the API server did not check it: {why}"));
                after
            }
        };
        line.compare(found.before.as_ref(), &after);
        if document.kind != "GatewayApiKey" {
            line.describe(found.before.is_some());
            return Ok(line);
        }
        let read = serde_json::from_value::<GatewayApiKey>(after);
        let Ok(after) = read else {
            line.refuse("it does not fit the definition of this version");
            return Ok(line);
        };
        let Ok(before) = found.before.map(serde_json::from_value::<GatewayApiKey>).transpose() else {
            line.cannot_tell("what is stored does not fit the definition of this version");
            return Ok(line);
        };
        // A person who may not read the console token still learns what the API server says.
        if let Err(unread) = self.foresee(&mut line, before.as_ref(), &after).await {
            line.cannot_tell(&format!("what the operator would do cannot be foreseen: {unread}"));
        }
        Ok(line)
    }

    /// What the operator would do about a key.
    async fn foresee(
        &self,
        line: &mut Line,
        before: Option<&GatewayApiKey>,
        after: &GatewayApiKey,
    ) -> Result<(), Unread> {
        let reference = TokenRef::named_by(after);
        let Some(token) = self.token(&reference).await? else {
            line.notes.push(format!(
                "{} {reference} does not exist, neither in the cluster nor in these files: nothing is done before it does",
                reference.kind.name()
            ));
            return Ok(());
        };
        let Some(driver) = self.vendors.driver(&token.spec().vendor) else {
            line.notes.push("this version does not know the vendor of its console token".to_owned());
            return Ok(());
        };
        let edit = Edit {
            before,
            after,
            capabilities: driver.capabilities,
            bounds: self.bounds(&token, after).await?,
            now: Clock::system().now(),
            keys_per_day: KEYS_PER_DAY,
        };
        let Preview { effects, next_rotation } = preview(&edit);
        line.foreseen(&effects, before, after, driver.capabilities);
        let moved = before.and_then(|it| it.status.as_ref()).and_then(|it| it.next_rotation_time);
        let replaced = effects.iter().any(|it| matches!(it, Effect::Replaced(_) | Effect::FirstKey));
        if before.is_some() && !replaced && !line.is_refused() && differ(moved, next_rotation) {
            line.moves_rotation(moved, next_rotation);
        }
        Ok(())
    }

    /// The console token as the files have it, or else the cluster.
    async fn token(&self, reference: &TokenRef) -> Result<Option<AnyToken>, Unread> {
        if let Some(found) = manifests::token(self.documents, reference, &self.namespace) {
            return Ok(found.token());
        }
        objects::token(&self.kubernetes.client, reference).await
    }

    /// The keys of that namespace in the files.
    fn keys_in(&self, namespace: &str) -> impl Iterator<Item = GatewayApiKey> {
        let here = move |it: &&Document| {
            it.kind == "GatewayApiKey" && it.namespace.as_deref().unwrap_or(&self.namespace) == namespace
        };
        let read = |it: &Document| serde_json::from_value::<GatewayApiKey>(it.value.clone()).ok();
        self.documents.iter().filter(here).filter_map(read)
    }

    /// What the limits of a ClusterConsoleToken mean for the key.
    async fn bounds(&self, token: &AnyToken, key: &GatewayApiKey) -> Result<Bounds, Unread> {
        let Some(sharing) = token.sharing() else { return Ok(Bounds::default()) };
        let (client, namespace) = (&self.kubernetes.client, key.namespace().unwrap_or_default());
        let namespaces: Api<Namespace> = Api::all(client.clone());
        // Labels that cannot be read count as none, as for the operator.
        let labels = namespaces.get_metadata(&namespace).await.ok().map(|it| it.labels().clone());
        let reference = TokenRef::named_by(key);
        let stored =
            objects::keys(client, Some(&namespace), None).await?.into_iter().filter_map(|it| it.0.ok());
        let mut beside: BTreeMap<String, GatewayApiKey> = stored.map(|it| (it.name_any(), it)).collect();
        // As the files want them, those that are new among them.
        for mut wanted in self.keys_in(&namespace) {
            if let Some(stored) = beside.get(&wanted.name_any()) {
                wanted.metadata = stored.metadata.clone();
                wanted.status.clone_from(&stored.status);
            }
            beside.insert(wanted.name_any(), wanted);
        }
        beside.retain(|name, it| *name != key.name_any() && TokenRef::named_by(it) == reference);
        let exceeded = limits::exceeds(token, key, labels.as_ref(), |limits| {
            beside.values().map(|it| Share::of(limits, &reference, it)).collect()
        });
        let limits = sharing.limits.as_ref();
        let secret = limits.map_or(Ok(()), |limits| limits::check_secret(limits, &reference, key));
        Ok(Bounds {
            refusal: exceeded.and(secret).err().map(|error| Refusal { error, until: None, freezes: true }),
            least_apart: limits.map(limits::least_apart).unwrap_or_default(),
            most_previous: limits.map_or(usize::MAX, limits::most_previous),
        })
    }
}
