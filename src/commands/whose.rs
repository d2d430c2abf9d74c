//! `keysmith whose`: which resource a found key belongs to, by the hash in the annotation of its Secret; or which resource
//! a name in a vendor's console belongs to, by its mark. The key is never printed, logged or sent anywhere.

use crate::api::{KEY_AT, MANAGED_BY_LABEL, MANAGER};
use crate::cluster::{inventory, object, sentence};
use crate::columns::printable;
use crate::flags;
use crate::output::{Failure, WrongFlag, print, program, tell};
use crate::plan::identity::ObjectName;
use crate::plan::naming::{Mark, Serial};
use crate::protocol::secret::serial_in;
use crate::session::kubeconfig::ClusterArguments;
use crate::session::{Kubernetes, objects};
use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::ListParams;
use secrecy::SecretString;
use std::io::{IsTerminal, Read};
use std::process::ExitCode;

/// Exit code: it belongs to no resource.
const OF_NO_RESOURCE: u8 = 3;
/// Longest input. It may be a line of a log or a file of variables, but not a whole log.
const LONGEST: u64 = 64 * 1024;
/// Page size of a list. It is small because a page determines the peak memory.
const PAGE: u32 = 250;

/// The arguments of `keysmith whose`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --name, standard input is the key, or a text that has the key in it, so that no history of a shell has it: \
    keysmith whose < FILE. Only the key that a Secret holds now is found; the metadata of Secrets is read, not their content. Exit \
    codes: 0 found, 3 not found, 2 a flag, its value or the input is wrong, 1 something else went wrong."
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
        None => Wanted::Key(input().await?),
    };
    let kubernetes = Kubernetes::connect(&arguments.cluster).await?;
    let namespace = arguments.namespace.as_deref().filter(|it| !it.is_empty());
    if let Some(namespace) = namespace {
        kubernetes.check_namespace("--namespace", namespace).await?;
    }
    let found = match wanted {
        Wanted::Mark((mark, serial)) => by_mark(&kubernetes, namespace, &mark, serial).await?,
        Wanted::Key(text) => by_key(&kubernetes, namespace, &text).await?,
    };
    match found {
        Ok(sentence) => {
            print(&format!("{sentence}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(sentence) => {
            tell(&sentence);
            Ok(ExitCode::from(OF_NO_RESOURCE))
        }
    }
}

enum Wanted {
    Mark((Mark, Serial)),
    Key(SecretString),
}

/// The sentence on the owner, or on why there is none.
type Found = Result<String, String>;

fn mark(name: &str) -> Result<(Mark, Serial), WrongFlag> {
    Mark::parse(name.trim()).ok_or_else(|| {
        let why = "--name: has no mark of Keysmith; write the whole name, such as 'checkout [ks-abcdef-abcdefghijklmnop-1]'";
        WrongFlag(why.to_owned())
    })
}

async fn input() -> Result<SecretString, Failure> {
    if std::io::stdin().is_terminal() {
        let how = "type or paste the key, and end with Enter and Ctrl-D; it is not printed, but a terminal shows what is typed";
        tell(how);
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        std::io::stdin().take(LONGEST + 1).read_to_string(&mut text).map(|_| text)
    });
    let wrong = |why: &str| Failure::from(WrongFlag(format!("standard input {why}")));
    let text = read.await?.map_err(|_| wrong("is no text"))?;
    if text.trim().is_empty() {
        return Err(wrong("is empty; give the key, such as keysmith whose < FILE"));
    }
    if text.len() as u64 > LONGEST {
        return Err(wrong("is longer than 64 KiB; give the line with the key"));
    }
    Ok(SecretString::from(text))
}

async fn by_mark(
    kubernetes: &Kubernetes,
    namespace: Option<&str>,
    mark: &Mark,
    serial: Serial,
) -> Result<Found, Failure> {
    let cluster = objects::cluster(&kubernetes.client).await?;
    let owner = inventory::owner(&kubernetes.client, &cluster, namespace, mark).await;
    let owner = owner.map_err(|error| unlisted("gatewayapikeys and providerkeys", &error))?;
    Ok(match (owner, namespace) {
        (Some(owner), _) => Ok(format!("{}, serial {serial}", printable(&owner.to_string()))),
        (None, Some(namespace)) => Err(format!(
            "no resource in namespace {namespace} has this mark; without -n all namespaces are looked at"
        )),
        (None, None) if !mark.is_of(&cluster) => Err(
            "no resource has this mark, and its first part is not of this cluster: the key was made in another one, or by an operator of a \
             controller class for a resource that is gone. After a restore from a backup it may be of a resource here: status.id and \
             status.previous have the ids of keys"
                .to_owned(),
        ),
        (None, None) => Err(format!(
            "no resource has this mark: that of the key was deleted; {} orphans lists what is left at the vendors, also on purpose",
            program()
        )),
    })
}

async fn by_key(
    kubernetes: &Kubernetes,
    namespace: Option<&str>,
    text: &SecretString,
) -> Result<Found, Failure> {
    let api: Api<Secret> = object::within(&kubernetes.client, namespace);
    let ours = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGER}")).limit(PAGE);
    let mut page = Some(ours.clone());
    while let Some(params) = page {
        let list = api.list_metadata(&params).await.map_err(|error| unlisted("secrets", &error))?;
        for secret in &list.items {
            if let Some(sentence) = owner(kubernetes, &secret.metadata, text).await? {
                return Ok(Ok(sentence));
            }
        }
        let token = list.metadata.continue_.filter(|it| !it.is_empty());
        page = token.map(|it| ours.clone().continue_token(&it));
    }
    let place = namespace.map_or_else(String::new, |it| format!(" of namespace {it}"));
    Ok(Err(format!(
        "no Secret of Keysmith{place} holds a key of this text as its present key. That proves nothing: it may be a previous key, the key \
         of another cluster, or in a Secret whose template changes its letters. A name in the vendor's console leads to the resource: \
         {} whose --name NAME",
        program()
    )))
}

/// The sentence on a Secret, if this text has its key. A Secret may name any owner, so the owner is looked at.
async fn owner(
    kubernetes: &Kubernetes,
    metadata: &ObjectMeta,
    text: &SecretString,
) -> Result<Option<String>, Failure> {
    let owner = metadata.owner_references.iter().flatten().find(|it| it.controller == Some(true));
    let annotation = metadata.annotations.as_ref().and_then(|it| it.get(KEY_AT));
    let Some((owner, annotation)) = owner.zip(annotation) else { return Ok(None) };
    let Some(serial) = serial_in(text, annotation, &owner.uid) else { return Ok(None) };
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let found = inventory::with_uid(&kubernetes.client, Some(namespace), &owner.uid).await;
    let found = found.map_err(|error| unlisted("gatewayapikeys", &error))?;
    let place = ObjectName::new(namespace, metadata.name.as_deref().unwrap_or_default());
    Ok(found.map(|it| printable(&format!("{it}, serial {serial}, in Secret {place}"))))
}

fn unlisted(resource: &str, error: &kube::Error) -> Failure {
    let why = sentence(error);
    format!(
        "{resource} cannot be listed: {why}; it takes the right to list them, or choose a namespace with -n"
    )
    .into()
}
