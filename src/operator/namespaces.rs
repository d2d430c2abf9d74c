//! Namespaces that the operator should watch and that do not exist. They are watched once they are created, so a
//! missing one does not make the operator unready: it is logged at the start, and shown in the response of `/readyz`.

use crate::cluster::{brief, is_missing};
use crate::runtime::server::Readiness;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

/// Interval between two checks for missing namespaces.
const AGAIN: Duration = Duration::from_secs(60);

/// Reports missing namespaces, until all exist.
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

/// The namespaces that do not exist. A namespace that RBAC does not allow to read counts as existing.
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
