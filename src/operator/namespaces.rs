//! Namespaces that the operator is to watch and that do not exist. They may come later and are watched from then on, so this
//! keeps nobody from working: it is said at the start, and beside the answer of `/readyz`.

use crate::cluster::{brief, is_missing};
use crate::runtime::server::Readiness;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

/// Time between two looks for those that do not exist yet.
const AGAIN: Duration = Duration::from_secs(60);

/// Says which of them do not exist, until all do.
pub async fn note_missing(client: &Client, readiness: &Readiness, namespaces: &[String]) -> Infallible {
    let mut missing = absent(client, namespaces).await;
    for namespace in &missing {
        tracing::warn!(
            namespace,
            "--namespaces names a namespace that does not exist; it is watched as soon as it does"
        );
    }
    while !missing.is_empty() {
        readiness.note(missing.iter().map(|it| note(it)).collect());
        tokio::time::sleep(AGAIN).await;
        let still = absent(client, &missing).await;
        for namespace in missing.iter().filter(|it| !still.contains(it)) {
            tracing::info!(namespace, "the namespace exists now");
        }
        missing = still;
    }
    readiness.note(Vec::new());
    pending().await
}

fn note(namespace: &str) -> String {
    format!("namespace {namespace} of --namespaces does not exist; it is watched as soon as it does")
}

/// Those that the API server says do not exist. Of one that may not be read nothing is known.
async fn absent(client: &Client, namespaces: &[String]) -> Vec<String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let mut absent = Vec::new();
    for namespace in namespaces {
        match api.get_metadata(namespace).await {
            Ok(_) => {}
            Err(error) if is_missing(&error) => absent.push(namespace.clone()),
            Err(error) => {
                tracing::debug!(
                    namespace,
                    error = brief(&error),
                    "whether the namespace exists cannot be told"
                );
            }
        }
    }
    absent
}
