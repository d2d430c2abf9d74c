//! Releases Secrets that have our finalizer and that no console token names any more.

use super::context::Context;
use crate::api::{ClusterConsoleToken, ConsoleToken};
use crate::cluster;
use crate::cluster::object;
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
    let names =
        |it: &ConsoleToken| it.namespace().as_ref() == Some(namespace) && it.spec.secret_name() == name;
    // A pass over that console token releases the Secret.
    if !context.stores.tokens.readers(secret, false).is_empty() {
        return Ok(());
    }
    let tokens: Api<ConsoleToken> = object::within(&context.client, Some(namespace));
    if tokens.list(&ListParams::default()).await?.iter().any(names) {
        return Ok(());
    }
    if context.sees_all && *namespace == context.settings.home {
        let names = |it: &ClusterConsoleToken| it.spec.token.secret_name() == name;
        let tokens: Api<ClusterConsoleToken> = Api::all(context.client.clone());
        if tokens.list(&ListParams::default()).await?.iter().any(names) {
            return Ok(());
        }
    }
    let secrets = cluster::secret::Secrets::new(context.client.clone(), namespace);
    if secrets.holding(name).await?.is_some_and(|it| it.held) {
        secrets.let_go(name).await.or_else(ignore_missing)?;
    }
    Ok(())
}
