//! The Secret of a token is held as long as a cleanup may need it, and no longer.

use crate::support::cluster::{Effect, Rule};
use crate::support::world::{TOKEN, World};
use k8s_openapi::api::core::v1::Namespace;
use keysmith::api::TOKEN_IN_USE;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::Duration;

const ORPHAN: &str = "keysmith.dev/force-orphan";

/// Whether the Secret is held; `None` if there is none.
async fn is_held(world: &World, secret: &str) -> Option<bool> {
    let secret = world.secrets().get_opt(secret).await.unwrap()?;
    Some(secret.finalizers().iter().any(|it| it == TOKEN_IN_USE))
}

async fn held(world: &World, secret: &str, expected: Option<bool>) {
    world
        .eventually(&format!("whether Secret {secret} is held: {expected:?}"), async || {
            let now = is_held(world, secret).await;
            if now == expected { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
}

fn namespaces(world: &World) -> Api<Namespace> {
    Api::all(world.user.clone())
}

async fn delete_namespace(world: &World) {
    namespaces(world).delete(&world.namespace, &DeleteParams::default()).await.unwrap();
}

async fn namespace_gone(world: &World) {
    world
        .eventually("the namespace is gone", async || {
            match namespaces(world).get_opt(&world.namespace).await.unwrap() {
                None => Ok(()),
                Some(namespace) => Err(format!("{:?}", namespace.status.and_then(|it| it.conditions))),
            }
        })
        .await;
}

pub async fn a_namespace_deleted_while_no_operator_runs_ends_and_leaves_no_key(world: &mut World) {
    world.token().await;
    for name in ["one", "two"] {
        world.key(name, json!({})).await;
    }
    held(world, "edgee-console", Some(true)).await;
    world.stop().await;
    delete_namespace(world).await;
    world.pass(Duration::from_secs(60), Duration::from_secs(8)).await;
    assert_eq!(world.keys().len(), 2);
    world.start().await;
    namespace_gone(world).await;
    assert!(world.keys().is_empty(), "{:?}", world.keys());
}

pub async fn a_namespace_deleted_while_the_operator_runs_ends_as_well(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    held(world, "edgee-console", Some(true)).await;
    delete_namespace(world).await;
    namespace_gone(world).await;
    assert!(world.keys().is_empty(), "{:?}", world.keys());
}

pub async fn a_secret_deleted_alone_goes_at_once(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    held(world, "edgee-console", Some(true)).await;
    world.secrets().delete("edgee-console", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(is_held(world, "edgee-console").await, None);
    world.reason("ConsoleToken", "edgee", "SecretMissing").await;
    // The token in memory is still used for the cleanup.
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.reason("ConsoleToken", "edgee", "Verified").await;
}

pub async fn a_secret_is_held_while_something_depends_on_its_token(world: &mut World) {
    world.token().await;
    world.pass(Duration::from_secs(900), Duration::from_secs(3)).await;
    assert_eq!(is_held(world, "edgee-console").await, Some(false), "nothing depends on it");
    world.key("checkout", json!({})).await;
    held(world, "edgee-console", Some(true)).await;
    // As `kubectl replace` does.
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    held(world, "edgee-console", Some(true)).await;
    // The token is moved to another Secret.
    world.write_secret("other", &[("token", TOKEN)]).await;
    let elsewhere = json!({"spec": {"secretRef": {"name": "other"}}});
    world.edit("ConsoleToken", "edgee", elsewhere).await.unwrap();
    held(world, "other", Some(true)).await;
    held(world, "edgee-console", Some(false)).await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    held(world, "other", Some(false)).await;
}

pub async fn a_secret_of_two_tokens_is_held_for_both(world: &mut World) {
    world.token().await;
    world.create("ConsoleToken", "second", world.token_spec()).await;
    world.ready("ConsoleToken", "second").await;
    world.key("one", json!({})).await;
    world.key("two", json!({"consoleTokenRef": {"name": "second"}})).await;
    held(world, "edgee-console", Some(true)).await;
    for (kind, name) in [("GatewayApiKey", "one"), ("ConsoleToken", "edgee")] {
        world.delete(kind, name).await;
        world.gone(kind, name).await;
    }
    world.pass(Duration::from_secs(900), Duration::from_secs(3)).await;
    assert_eq!(is_held(world, "edgee-console").await, Some(true), "the second one needs it");
    world.delete("GatewayApiKey", "two").await;
    world.gone("GatewayApiKey", "two").await;
    held(world, "edgee-console", Some(false)).await;
}

pub async fn a_secret_that_no_token_names_loses_its_finalizer_at_startup(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    held(world, "edgee-console", Some(true)).await;
    world.stop().await;
    for (kind, name) in [("GatewayApiKey", "checkout"), ("ConsoleToken", "edgee")] {
        world.edit(kind, name, json!({"metadata": {"finalizers": null}})).await.unwrap();
        world.delete(kind, name).await;
        world.gone(kind, name).await;
    }
    world.secrets().delete("edgee-console", &DeleteParams::default()).await.unwrap();
    assert_eq!(is_held(world, "edgee-console").await, Some(true));
    world.start().await;
    held(world, "edgee-console", None).await;
}

pub async fn a_token_that_went_with_its_namespace_promises_nothing(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    held(world, "edgee-console", Some(true)).await;
    world.stop().await;
    let stripped = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.secrets().patch("edgee-console", &PatchParams::default(), &stripped).await.unwrap();
    delete_namespace(world).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(is_held(world, "edgee-console").await, None);
    world.start().await;
    let message = world.reason("GatewayApiKey", "checkout", "DeletionBlocked").await;
    assert!(message.contains("cannot come back") && message.contains(ORPHAN), "{message}");
    assert!(!message.contains("goes on by itself"), "{message}");
    let message = world.reason("ConsoleToken", "edgee", "InUse").await;
    assert!(message.contains("cannot come back"), "{message}");
    let (ready, ..) = world.condition("ConsoleToken", "edgee", "Ready").await.unwrap();
    assert_eq!(ready, "False", "there is no token");
    let orphan = json!({"metadata": {"annotations": {ORPHAN: "yes"}}});
    world.edit("GatewayApiKey", "checkout", orphan).await.unwrap();
    namespace_gone(world).await;
}

pub async fn a_token_secret_that_may_not_be_held_is_reported_once_and_reconciliation_goes_on(
    world: &mut World,
) {
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    let forbidden = Effect::Status { code: 403, reason: "Forbidden".to_owned() };
    world.cluster().fault(Rule {
        actor: "operator".to_owned(),
        verb: "update".to_owned(),
        resource: "secrets".to_owned(),
        name_contains: "edgee-console".to_owned(),
        times: usize::MAX,
        ..Rule::next(forbidden)
    });
    world.create("ConsoleToken", "edgee", world.token_spec()).await;
    world.key("checkout", json!({})).await;
    world.event("SecretNotHeld").await;
    world.pass(Duration::from_secs(3600), Duration::from_secs(3)).await;
    let count = world.events().await.into_iter().filter(|(reason, _)| reason == "SecretNotHeld").count();
    assert_eq!(count, 1);
    world.ready("ConsoleToken", "edgee").await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
}
