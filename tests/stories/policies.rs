//! Admission policies and quotas of a real API server that refuse or change Secrets, at every vendor: no key or one key
//! is created, and a message names the cause.

use crate::support::world::{World, key_spec};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use std::time::Duration;

const GROUP: &str = "admissionregistration.k8s.io";

fn api(world: &World, kind: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", kind));
    Api::all_with(world.user.clone(), &kind)
}

/// Matches Secrets of the story's namespace, except the console token's.
fn matched(world: &World) -> Value {
    json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
        "resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["CREATE", "UPDATE"],
        }],
    })
}

fn is_target() -> Value {
    json!([{"name": "target", "expression": "object.metadata.name in ['checkout', 'probe']"}])
}

/// Creates a policy and its binding, and waits until they are in force. `kind` is `Validating` or `Mutating`.
async fn enforce(world: &World, kind: &str, mut spec: Value) {
    spec["matchConstraints"] = matched(world);
    spec["matchConditions"] = is_target();
    spec["failurePolicy"] = json!("Fail");
    let mut binding = json!({"policyName": world.namespace});
    if kind == "Validating" {
        binding["validationActions"] = json!(["Deny"]);
    } else {
        spec["reinvocationPolicy"] = json!("Never");
    }
    for (kind, spec) in
        [(format!("{kind}AdmissionPolicy"), spec), (format!("{kind}AdmissionPolicyBinding"), binding)]
    {
        let object = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": {"name": world.namespace}, "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        api(world, &kind).create(&PostParams::default(), &object).await.unwrap();
    }
    let probe = json!({"metadata": {"name": "probe"}, "stringData": {"key": "probe"}});
    world
        .eventually("the policy is in force", async || {
            let params = PostParams { dry_run: true, ..PostParams::default() };
            let probe = serde_json::from_value(probe.clone()).unwrap();
            match world.secrets().create(&params, &probe).await {
                Err(_) => Ok(()),
                Ok(stored) => {
                    let labels = stored.metadata.labels.unwrap_or_default();
                    let data = stored.data.unwrap_or_default();
                    let changed = !labels.is_empty() || data.len() != 1 || data["key"].0 != b"probe";
                    if changed { Ok(()) } else { Err("not yet".to_owned()) }
                }
            }
        })
        .await;
}

async fn repeal(world: &World, kind: &str) {
    for kind in [format!("{kind}AdmissionPolicyBinding"), format!("{kind}AdmissionPolicy")] {
        api(world, &kind).delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    }
    // Waits until the policy is no longer in force; requests that it refused meanwhile are retried.
    tokio::time::sleep(Duration::from_secs(3)).await;
}

async fn ask(world: &World) {
    let now = world.clock.now().to_string();
    let patch = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": now}}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
}

async fn asked_until_ready(world: &World) {
    world
        .eventually("it is Ready when it is asked for", async || {
            ask(world).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let ready = world.condition("GatewayApiKey", "checkout", "Ready").await;
            match ready {
                Some(it) if it.0 == "True" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

pub async fn a_policy_that_refuses_a_secret_is_quoted_and_no_key_is_made(world: &mut World) {
    world.token().await;
    let validations = json!([{
        "expression": "'team' in (has(object.metadata.labels) ? object.metadata.labels : {})", "message": "every Secret has a team",
    }]);
    enforce(world, "Validating", json!({"validations": validations})).await;
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let message = world.reason("GatewayApiKey", "checkout", "SecretRefused").await;
    assert!(message.contains("policy") && message.contains("every Secret has a team"), "{message}");
    world.pass(Duration::ZERO, Duration::from_secs(5)).await;
    assert_eq!(world.creations(), 0);
    let team = json!({"spec": {"secret": {"template": {"metadata": {"labels": {"team": "shop"}}}}}});
    world.edit("GatewayApiKey", "checkout", team).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(world.creations(), 1);
    repeal(world, "Validating").await;
}

pub async fn an_exceeded_quota_is_reported_and_costs_no_key(world: &mut World) {
    world.token().await;
    let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": {"count/secrets": "1"}}});
    let quotas: Api<k8s_openapi::api::core::v1::ResourceQuota> =
        Api::namespaced(world.user.clone(), &world.namespace);
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    let status = json!({"status": {"hard": {"count/secrets": "1"}, "used": {"count/secrets": "1"}}});
    quotas.patch_status("few", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    let probe = json!({"metadata": {"name": "probe"}});
    world
        .eventually("the quota is in force", async || {
            let params = PostParams { dry_run: true, ..PostParams::default() };
            let probe = serde_json::from_value(probe.clone()).unwrap();
            world.secrets().create(&params, &probe).await.err().map(drop).ok_or_else(|| "not yet".to_owned())
        })
        .await;
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let message = world.reason("GatewayApiKey", "checkout", "SecretRefused").await;
    assert!(message.contains("ResourceQuota") && message.contains("few"), "{message}");
    world.pass(Duration::ZERO, Duration::from_secs(5)).await;
    assert_eq!(world.creations(), 0);
    quotas.delete("few", &DeleteParams::default()).await.unwrap();
    asked_until_ready(world).await;
    assert_eq!(world.creations(), 1);
}

/// kaniop#935, and the same with a label.
pub async fn a_policy_that_adds_to_a_secret_costs_one_key_and_no_loop(world: &mut World) {
    world.token().await;
    let add = "[JSONPatch{op: 'add', path: '/data/client-secret', value: object.data.key}, \
        JSONPatch{op: 'add', path: '/metadata/labels/app.kubernetes.io~1managed-by', value: 'platform'}]";
    let probed = "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'probed': 'yes'}}]";
    let when = format!("has(object.metadata.labels) ? {add} : {probed}");
    let mutations = json!([{"patchType": "JSONPatch", "jsonPatch": {"expression": when}}]);
    enforce(world, "Mutating", json!({"mutations": mutations})).await;
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let contested = world
        .eventually("it is contested", async || {
            let found = world.condition("GatewayApiKey", "checkout", "SecretContested").await;
            found.filter(|it| it.0 == "True").ok_or_else(|| "not yet".to_owned())
        })
        .await;
    assert!(contested.2.contains("entry client-secret added"), "{contested:?}");
    let version = world.secrets().get("checkout").await.unwrap().metadata.resource_version;
    let reveals = || world.emulator.calls().iter().filter(|it| it.path.ends_with("/reveal")).count();
    let before = reveals();
    world.pass(Duration::ZERO, Duration::from_secs(8)).await;
    assert_eq!(world.secrets().get("checkout").await.unwrap().metadata.resource_version, version, "no loop");
    assert_eq!((world.creations(), reveals()), (1, before));
    let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
    assert_eq!(ready.0, "True", "the key works: {ready:?}");
    world.served("checkout", "key").await;
    repeal(world, "Mutating").await;
    world
        .eventually("asked for, it is set right", async || {
            ask(world).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            let data = world.secrets().get("checkout").await.unwrap().data.unwrap_or_default();
            if data.len() == 1 { Ok(()) } else { Err(format!("{:?}", data.keys())) }
        })
        .await;
    assert_eq!(world.creations(), 1);
}

pub async fn a_policy_that_takes_the_key_out_costs_no_key(world: &mut World) {
    world.token().await;
    let strip = "[JSONPatch{op: 'replace', path: '/data/key', value: 'c3RyaXBwZWQ='}]";
    let mutations = json!([{"patchType": "JSONPatch", "jsonPatch": {"expression": strip}}]);
    enforce(world, "Mutating", json!({"mutations": mutations})).await;
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let message = world.reason("GatewayApiKey", "checkout", "SecretContested").await;
    assert!(message.contains("entry key") && message.contains("no key is made"), "{message}");
    world.pass(Duration::ZERO, Duration::from_secs(5)).await;
    assert_eq!(world.creations(), 0);
    repeal(world, "Mutating").await;
    asked_until_ready(world).await;
    assert_eq!(world.creations(), 1);
}
