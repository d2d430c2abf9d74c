//! The custom resource definitions: there at the start, and still there while the operator runs.
//!
//! A definition that goes takes its watches along, so a watch that breaks is what makes the operator look: at rest this costs
//! no request. An API server that does not answer is no reason not to be ready: every replica would say so at once, nothing
//! could be sent elsewhere, and the Service of the metrics would have no endpoint just when they are needed.

use crate::api::{self, GROUP, VERSION};
use crate::cluster::is_missing;
use crate::runtime::server::{Part, Readiness};
use kube::Client;
use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// Time between two looks while watches break: discovery is told of a change a moment after its watches are.
const APART: Duration = Duration::from_secs(2);
/// Time between two looks while a definition is missing.
const AGAIN: Duration = Duration::from_secs(10);

/// A sentence for each definition that the API server does not serve.
pub async fn missing(client: &Client) -> kube::Result<Vec<String>> {
    let served: HashSet<String> = match client.list_api_group_resources(&format!("{GROUP}/{VERSION}")).await {
        Ok(list) => list.resources.into_iter().map(|it| it.name).collect(),
        Err(error) if is_missing(&error) => HashSet::new(),
        Err(error) => return Err(error),
    };
    let missing = api::plurals().into_iter().filter(|plural| !served.contains(plural));
    let sentence = |plural: String| {
        format!("CustomResourceDefinition {plural}.{GROUP} is missing: kubectl apply --server-side -f crds/")
    };
    Ok(missing.map(sentence).collect())
}

/// Looks whenever a watch broke, and until everything is served again.
pub async fn look_after_trouble(client: &Client, readiness: &Readiness, trouble: &Notify) -> Infallible {
    let mut known = Vec::new();
    loop {
        tokio::select! {
            () = trouble.notified() => {}
            () = sleep(AGAIN), if !known.is_empty() => {}
        }
        match missing(client).await {
            Ok(now) => {
                report(&known, &now);
                readiness.missing(Part::Definitions, now.clone());
                known = now;
            }
            Err(error) => {
                tracing::debug!(error = crate::cluster::brief(&error), "what is served cannot be asked");
            }
        }
        sleep(APART).await;
    }
}

fn report(before: &[String], now: &[String]) {
    if now.is_empty() && !before.is_empty() {
        tracing::info!("ready again: all CustomResourceDefinitions are served");
    } else if now != before {
        tracing::warn!("not ready: {}; looked at again in {} s", now.join("; "), AGAIN.as_secs());
    }
}
