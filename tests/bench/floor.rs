//! The floor client: only the requests that nothing can do without, with the same HTTP stack and no operator around them.
//! For a new key these are three writes (claim, Secret, status) and one vendor call; for a restart, the lists.

use super::stage::{CONCURRENCY, Stage, floor_organization, token};
use futures::{StreamExt, stream};
use http::Method;
use k8s_openapi::api::core::v1::Secret;
use keysmith::api::GatewayApiKey;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Page size of the lists, as in the operator.
const PAGE: u32 = keysmith::cluster::watch::PAGE;

/// Makes a key for every resource. Returns how long that took. `rehearsed`: with the dry run of each Secret that the promise
/// costs that no key is made which could not be stored.
pub async fn make_keys(stage: &Stage, rehearsed: bool) -> Duration {
    let began = Instant::now();
    let keys = super::stage::list(&stage.client, PAGE).await;
    stream::iter(&keys).for_each_concurrent(CONCURRENCY, |key| make_key(stage, key, rehearsed)).await;
    began.elapsed()
}

async fn make_key(stage: &Stage, key: &GatewayApiKey, rehearsed: bool) {
    let (namespace, name) = (key.namespace().expect("a namespace"), key.name_any());
    let keys: Api<GatewayApiKey> = Api::namespaced(stage.client.clone(), &namespace);
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &namespace);
    if rehearsed {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        secrets.create(&dry, &secret(&namespace, &name, key, "fake-placeholder")).await.expect("the dry run");
    }
    let params = PatchParams { field_manager: Some("keysmith".to_owned()), ..PatchParams::default() };
    let claim = json!({"serial": 1, "at": "2026-11-30T06:00:00.000000Z", "purpose": "Create", "mark": "abcdefghijklmnop"});
    let metadata = json!({"resourceVersion": key.resource_version(), "annotations": {"keysmith.dev/claim": claim.to_string()}});
    let claimed =
        keys.patch(&name, &params, &Patch::Merge(json!({"metadata": metadata}))).await.expect("the claim");
    let account: usize =
        key.spec.console_token_ref.name.trim_start_matches("account-").parse().expect("an account");
    let path = format!("/edgee/v1/organizations/{}/api_keys", floor_organization(account));
    let order = json!({"name": format!("Checkout backend [ks-abcdefgh-{name}-1]"), "type": "api"});
    let minted = stage.call(Method::POST, &path, &token(account), Some(order)).await;
    let secret =
        secret(&namespace, &name, key, minted["secret"].as_str().unwrap_or("fake-secret-of-the-floor"));
    secrets.create(&PostParams::default(), &secret).await.expect("the Secret");
    let status =
        json!({"metadata": {"resourceVersion": claimed.resource_version()}, "status": status(&name)});
    keys.patch_status(&name, &params, &Patch::Merge(status)).await.expect("the status");
}

fn secret(namespace: &str, name: &str, key: &GatewayApiKey, value: &str) -> Secret {
    let annotations: Value = ["content", "fence", "key-at", "key-id", "rendered", "serial", "template"]
        .map(|it| (format!("keysmith.dev/{it}"), Value::from("abcdefghijklmnopqrstuvwxyz")))
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into();
    let owner = json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "name": name, "uid": key.uid(), "controller": true,
        "blockOwnerDeletion": true,
    });
    let metadata = json!({
        "name": name, "namespace": namespace, "labels": {"bench": "floor"}, "annotations": annotations,
        "ownerReferences": [owner],
    });
    serde_json::from_value(json!({"metadata": metadata, "stringData": {"key": value}})).expect("a Secret")
}

/// A status of the size that the operator writes.
fn status(name: &str) -> Value {
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "Issued", "observedGeneration": 1,
            "lastTransitionTime": "2026-11-30T06:00:00Z", "message": "the key works, and Secret has it",
        })
    };
    json!({
        "id": "key_000001", "serial": 1, "mark": "abcdefgh-abcdefgh", "active": true, "observedGeneration": 1,
        "createdAt": "2026-11-30T06:00:00Z", "binding": {"name": name}, "secretName": name,
        "conditions": [condition("Ready", "True"), condition("Stalled", "False"), condition("Reconciling", "False")],
        "internal": {"appliedGeneration": 1, "settledSerial": 1, "immutableFieldsHash": "abcdefghijklmnop",
            "keyCount": {"serial": 0, "made": 1, "since": "2026-11-30T06:00:00Z"}, "lastPass": {"generation": 1, "works": true}},
    })
}

/// Lists what an operator has to know after a restart: every GatewayApiKey, and the metadata of every Secret.
pub async fn list_all(stage: &Stage) -> Duration {
    let began = Instant::now();
    let secrets: Api<Secret> = Api::all(stage.client.clone());
    tokio::join!(super::stage::list(&stage.client, PAGE), async {
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let found: kube::core::ObjectList<PartialObjectMeta<Secret>> =
                secrets.list_metadata(&params).await.expect("a list");
            match found.metadata.continue_.filter(|it| !it.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return,
            }
        }
    });
    began.elapsed()
}
