//! The custom resource definitions: checked at the start, and while the operator runs.
//!
//! When a CRD is deleted, its watches break. A watch that breaks therefore triggers the check; otherwise the check
//! costs no request. An unreachable API server does not make the operator unready: every replica would be unready at
//! once, traffic could go nowhere else, and the metrics Service would have no endpoints when they are needed most.

use crate::api::{self, GROUP, VERSION};
use crate::cluster::is_missing;
use crate::runtime::server::{Part, Readiness};
use kube::Client;
use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// Interval between two checks while watches break: discovery learns of a change a moment after the watches do.
const APART: Duration = Duration::from_secs(2);
/// Interval between two checks while a CRD is missing.
const AGAIN: Duration = Duration::from_secs(10);

/// One sentence per CRD that the API server does not serve.
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

/// Checks whenever a watch breaks, and repeatedly until all CRDs are served again.
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
