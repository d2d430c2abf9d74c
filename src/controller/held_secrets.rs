//! Releases Secrets that have our finalizer and that no console token names any more.

use super::context::Context;
use crate::api::{ClusterConsoleToken, ConsoleToken};
use crate::cluster;
use crate::cluster::object;
use crate::plan::class::ControllerClass;
use crate::plan::identity::ObjectName;
use crate::protocol::console_token::{ignore_missing, is_refused};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// Interval at which the release of a Secret is retried.
const LATER: Duration = Duration::from_secs(30);

/// Releases such Secrets until `stop`.
pub async fn release_unneeded(
    mut secrets: UnboundedReceiver<ObjectName>,
    context: Arc<Context>,
    stop: &CancellationToken,
) {
    let filled = &context.stores.filled;
    for filled in [&filled.tokens, &filled.cluster_tokens, &filled.keys] {
        tokio::select! {
            () = filled.cancelled() => {}
            () = stop.cancelled() => return,
        }
    }
    loop {
        let secret = tokio::select! {
            secret = secrets.recv() => secret,
            () = stop.cancelled() => return,
        };
        let Some(secret) = secret else { return };
        if let Err(error) = let_go_if_unnamed(&context, &secret).await {
            if !is_refused(&error) {
                let (queues, again) = (context.queues.clone(), secret.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(LATER).await;
                    queues.enqueue_secret(again);
                });
            }
            let (ObjectName { namespace, name }, error) = (secret, cluster::brief(&error));
            tracing::warn!(
                kind = "Secret",
                namespace,
                name,
                error,
                "it may be held although no console token names it"
            );
        }
    }
}

async fn let_go_if_unnamed(context: &Context, secret: &ObjectName) -> kube::Result<()> {
    let ObjectName { namespace, name } = secret;
    // The operator of another class has a finalizer of its own.
    let is_ours = |class: Option<&str>| ControllerClass::of_spec(class) == context.settings.class;
    let is_ours_too = |it: &ConsoleToken| is_ours(it.spec.controller_class.as_deref());
    let names = |it: &ConsoleToken| {
        it.namespace().as_ref() == Some(namespace) && it.spec.secret_name() == name && is_ours_too(it)
    };
    // A pass over that console token releases the Secret.
    let readers = context.stores.tokens.readers(secret, false);
    if readers.iter().any(|it| context.stores.tokens.get(it).is_none_or(|it| is_ours_too(&it))) {
        return Ok(());
    }
    let tokens: Api<ConsoleToken> = object::within(&context.client, Some(namespace));
    if tokens.list(&ListParams::default()).await?.iter().any(names) {
        return Ok(());
    }
    if context.sees_all && *namespace == context.settings.home {
        let names = |it: &ClusterConsoleToken| {
            it.spec.token.secret_name() == name && is_ours(it.spec.token.controller_class.as_deref())
        };
        let tokens: Api<ClusterConsoleToken> = Api::all(context.client.clone());
        if tokens.list(&ListParams::default()).await?.iter().any(names) {
            return Ok(());
        }
    }
    let secrets = cluster::secret::Secrets::new(context.client.clone(), namespace);
    let secrets = secrets.of_class(&context.settings.class);
    if secrets.holding(name).await?.is_some_and(|it| it.held) {
        secrets.let_go(name).await.or_else(ignore_missing)?;
    }
    Ok(())
}
