//! Outages of the vendor.

use super::replica::Replica;
use super::stage::Stage;
use super::wires::{Act, Side};
use crate::support::report::{self, thorough};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(90);
/// Long enough for a few retries.
const OUTAGE: Duration = Duration::from_secs(4);
const NAMES: [&str; 2] = ["checkout", "search"];

/// A namespace with keys is deleted, with the Secret of its console token, while the vendor does not answer.
pub async fn a_namespace_goes_once_the_vendor_is_back() {
    let outages: &[Act] = &[Act::Refuse(503), Act::LoseRequest, Act::LoseAnswer];
    let outages = if thorough() { outages } else { &outages[..1] };
    let mut violations = Vec::new();
    for act in outages {
        if let Err(error) = outlived(act.clone()).await {
            violations.push(format!("a namespace deleted while the vendor is down: {error}"));
        }
    }
    report::add(&[("faults", outages.len())]);
    report::conclude(&violations);
}

/// The same outage; in addition, the operator dies, and a user removes the finalizer from the token's Secret. Without
/// that Secret no key can be revoked any more. Then every resource reports that, and the namespace is deleted after a
/// user forces the deletion of the resources.
pub async fn a_namespace_whose_token_is_lost_goes_by_force_deletion() {
    let result = let_go().await;
    let violations: Vec<_> = result.err().map(|error| format!("a token lost: {error}")).into_iter().collect();
    report::add(&[("faults", 1)]);
    report::conclude(&violations);
}

async fn let_go() -> Result<(), String> {
    let (mut stage, operator) = with_keys().await?;
    stage.wires.always(Side::Vendor, Act::Refuse(503));
    let namespaces: Api<Namespace> = Api::all(stage.user.clone());
    namespaces.delete(&stage.namespace, &DeleteParams::default()).await.unwrap();
    operator.kill();
    let no_finalizers = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    stage.secrets().patch("edgee-console", &PatchParams::default(), &no_finalizers).await.unwrap();
    stage.until(PATIENCE, async || token_is_gone(&stage).await).await?;
    stage.wires.clear();
    let _successor = stage.operator();
    for name in NAMES {
        let message = stage.until(PATIENCE, async || blocked(&stage, name).await).await?;
        if !message.contains("keysmith.dev/force-orphan") {
            return Err(format!("{name} does not say how to let go: {message}"));
        }
    }
    for name in NAMES {
        let annotation = json!({"metadata": {"annotations": {"keysmith.dev/force-orphan": "true"}}});
        stage.edit_key(name, annotation).await;
    }
    stage.until(PATIENCE, async || gone(&namespaces, &stage.namespace).await).await?;
    match (stage.keys().len(), in_ledger(&stage).await) {
        (2, 2) => stage.check_protocol(),
        (keys, retained) => Err(format!("{keys} keys of two were left, and {retained} are in the ledger")),
    }
}

/// The number of retained keys of the namespace in the ledger. The ledger is in the namespace of the kubeconfig.
async fn in_ledger(stage: &Stage) -> usize {
    let ledgers: Api<ConfigMap> = Api::namespaced(stage.user.clone(), "default");
    let name = format!("keysmith-ledger-{}", stage.namespace);
    let ledger = ledgers.get_opt(&name).await.unwrap().unwrap_or_default();
    let entries = ledger.data.unwrap_or_default();
    entries.values().filter(|entry| entry.contains(&stage.namespace)).count()
}

async fn token_is_gone(stage: &Stage) -> Result<(), String> {
    let secret = stage.secrets().get_opt("edgee-console").await.unwrap();
    secret.map_or(Ok(()), |_| Err("the token's Secret is there".to_owned()))
}

/// The message of a resource that reports a blocked deletion.
async fn blocked(stage: &Stage, name: &str) -> Result<String, String> {
    let object = stage.api("GatewayApiKey").get(name).await.map_err(|error| error.to_string())?;
    let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|it| it["type"] == "Ready" && it["reason"] == "DeletionBlocked");
    let message = found.and_then(|it| it["message"].as_str()).map(str::to_owned);
    message.ok_or_else(|| format!("{name} is not blocked: {conditions:?}"))
}

async fn with_keys() -> Result<(Stage, Replica), String> {
    let mut stage = Stage::set().await;
    let operator = stage.operator();
    for name in NAMES {
        stage.create_key(name, json!({})).await;
    }
    for name in NAMES {
        stage.until(PATIENCE, async || stage.one_key(name).await).await?;
    }
    Ok((stage, operator))
}

async fn outlived(act: Act) -> Result<(), String> {
    let (stage, mut operator) = with_keys().await?;
    let removes_nothing = !matches!(act, Act::LoseAnswer);
    stage.wires.always(Side::Vendor, act);
    let namespaces: Api<Namespace> = Api::all(stage.user.clone());
    namespaces.delete(&stage.namespace, &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(OUTAGE).await;
    if removes_nothing {
        for name in NAMES {
            stage.until(PATIENCE, async || says_why(&stage, name).await).await?;
        }
    }
    stage.wires.clear();
    stage.until(PATIENCE, async || gone(&namespaces, &stage.namespace).await).await?;
    if !stage.keys().is_empty() {
        return Err(format!("it left {} keys", stage.keys().len()));
    }
    if !operator.runs() {
        return Err("the operator ended by itself".to_owned());
    }
    stage.check_protocol()
}

/// A resource whose key still exists reports that.
async fn says_why(stage: &Stage, name: &str) -> Result<(), String> {
    let object = stage.api("GatewayApiKey").get_opt(name).await.unwrap();
    let object = object.ok_or_else(|| format!("{name} is gone, and its key is not"))?;
    let conditions = &object.data["status"]["conditions"];
    let mut ready = conditions.as_array().into_iter().flatten().filter(|it| it["type"] == "Ready");
    match ready.next() {
        Some(it) if it["status"] == "False" => Ok(()),
        _ => Err(format!("{name} does not say what it waits for: {conditions}")),
    }
}

async fn gone(namespaces: &Api<Namespace>, name: &str) -> Result<(), String> {
    match namespaces.get_opt(name).await.unwrap() {
        None => Ok(()),
        Some(namespace) => Err(format!("{:?}", namespace.status.and_then(|it| it.conditions))),
    }
}
