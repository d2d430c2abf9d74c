//! `keysmith whose`: which resource a found key belongs to, by the hash that the annotation of its Secret holds; or which
//! resource a name in a vendor's console belongs to, by its mark. The key is never printed, logged or sent anywhere.

use crate::api::{GatewayApiKey, KEY_AT, MANAGED_BY_LABEL, MANAGER};
use crate::cli::flags;
use crate::cluster::{object, sentence};
use crate::output::{Failure, WrongFlag, print, tell};
use crate::plan::identity::ObjectName;
use crate::plan::naming::{ClusterId, Mark, Serial};
use crate::protocol::secret::imprinted;
use crate::session::kubeconfig::ClusterArguments;
use crate::session::{Kubernetes, objects};
use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use std::io::{IsTerminal, Read};
use std::process::ExitCode;

/// Exit code: it belongs to no resource.
const NOBODYS: u8 = 3;
/// Nothing longer is a key.
const LONGEST_KEY: u64 = 16 * 1024;
/// Page size of a list. It is small because a page determines the peak memory.
const PAGE: u32 = 250;

/// The arguments of `keysmith whose`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --name, the key is read from standard input, so that it is in no history of a shell: keysmith whose < FILE. \
    Only the key that a Secret holds now is found; the metadata of Secrets is read, not their content. Exit codes: 0 found, 3 it \
    belongs to no resource of this cluster, 2 a flag or its value is wrong, 1 something else went wrong."
)]
pub struct Arguments {
    /// The name of a key in a vendor's console, such as 'checkout [ks-abcdef-abcdefghijklmnop-1]'.
    #[arg(long)]
    name: Option<String>,
    /// Only this namespace; all of them when left out.
    #[arg(short, long, value_parser = flags::namespace)]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let wanted = match &arguments.name {
        Some(name) => Wanted::Mark(mark(name)?),
        None => Wanted::Key(key().await?),
    };
    let kubernetes = Kubernetes::connect(&arguments.cluster).await?;
    let namespace = arguments.namespace.as_deref().filter(|it| !it.is_empty());
    if let Some(namespace) = namespace {
        kubernetes.check_namespace("--namespace", namespace).await?;
    }
    let found = match wanted {
        Wanted::Mark((mark, serial)) => by_mark(&kubernetes, namespace, &mark, serial).await?,
        Wanted::Key(key) => by_key(&kubernetes, namespace, &key).await?,
    };
    match found {
        Ok(sentence) => {
            print(&format!("{sentence}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(sentence) => {
            tell(&sentence);
            Ok(ExitCode::from(NOBODYS))
        }
    }
}

enum Wanted {
    Mark((Mark, Serial)),
    Key(String),
}

/// The sentence on the owner, or on why there is none.
type Found = Result<String, String>;

fn mark(name: &str) -> Result<(Mark, Serial), WrongFlag> {
    Mark::parse(name.trim()).ok_or_else(|| {
        let why = "--name: has no mark of Keysmith; write the whole name, such as 'checkout [ks-abcdef-abcdefghijklmnop-1]'";
        WrongFlag(why.to_owned())
    })
}

async fn key() -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        tell(
            "type or paste the key, and end with Enter and Ctrl-D; it is not printed, but a terminal shows what is typed",
        );
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        std::io::stdin().take(LONGEST_KEY).read_to_string(&mut text).map(|_| text)
    });
    let text = read.await?.map_err(|_| WrongFlag("standard input is not the text of a key".to_owned()))?;
    match text.trim() {
        "" => {
            Err(WrongFlag("standard input is empty; give the key, such as keysmith whose < FILE".to_owned())
                .into())
        }
        key => Ok(key.to_owned()),
    }
}

async fn by_mark(
    kubernetes: &Kubernetes,
    namespace: Option<&str>,
    mark: &Mark,
    serial: Serial,
) -> Result<Found, Failure> {
    let cluster = objects::cluster(&kubernetes.client).await?;
    if !mark.is_of(&cluster) {
        return Ok(Err(
            "the key belongs to another cluster: the first part of the mark is not of this one".to_owned()
        ));
    }
    let api: Api<GatewayApiKey> = object::within(&kubernetes.client, namespace);
    let mut page = Some(ListParams::default().limit(PAGE));
    while let Some(params) = page {
        let list = api.list_metadata(&params).await.map_err(|error| unlisted("gatewayapikeys", &error))?;
        let owner = list.items.iter().find(|it| is_of(&it.metadata, &cluster, mark));
        if let Some(owner) = owner {
            let owner = ObjectName::new(&object::namespace(owner), &owner.name_any());
            return Ok(Ok(format!("GatewayApiKey {owner}, serial {serial}")));
        }
        page = list
            .metadata
            .continue_
            .filter(|it| !it.is_empty())
            .map(|it| ListParams::default().limit(PAGE).continue_token(&it));
    }
    let what = "no GatewayApiKey has this mark: its resource was deleted; keysmith orphans lists what is left at the vendors";
    Ok(Err(what.to_owned()))
}

fn is_of(metadata: &ObjectMeta, cluster: &ClusterId, mark: &Mark) -> bool {
    metadata.uid.as_ref().is_some_and(|uid| Mark::new(cluster, uid) == *mark)
}

async fn by_key(kubernetes: &Kubernetes, namespace: Option<&str>, key: &str) -> Result<Found, Failure> {
    let api: Api<Secret> = object::within(&kubernetes.client, namespace);
    let ours = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGER}")).limit(PAGE);
    let mut page = Some(ours.clone());
    while let Some(params) = page {
        let list = api.list_metadata(&params).await.map_err(|error| unlisted("secrets", &error))?;
        for secret in &list.items {
            if let Some((owner, serial)) = owner(&secret.metadata, key) {
                let place = ObjectName::new(&object::namespace(secret), &secret.name_any());
                return Ok(Ok(format!("{owner}, serial {serial}, in Secret {place}")));
            }
        }
        page = list.metadata.continue_.filter(|it| !it.is_empty()).map(|it| ours.clone().continue_token(&it));
    }
    let what = "no Secret of Keysmith holds this key now: it may be a previous key, or of another cluster; its name in the vendor's \
                console has a mark, which keysmith whose --name reads";
    Ok(Err(what.to_owned()))
}

/// The owner of a Secret, if it holds this key.
fn owner(metadata: &ObjectMeta, key: &str) -> Option<(String, Serial)> {
    let owner = metadata.owner_references.iter().flatten().find(|it| it.controller == Some(true))?;
    let serial = imprinted(metadata.annotations.as_ref()?.get(KEY_AT)?, key, &owner.uid)?;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    Some((format!("{} {}", owner.kind, ObjectName::new(namespace, &owner.name)), serial))
}

fn unlisted(resource: &str, error: &kube::Error) -> Failure {
    format!(
        "{resource} cannot be listed: {}; it takes the right to list them, or choose a namespace with -n",
        sentence(error)
    )
    .into()
}
