//! Keys whose resources are deleted.

use crate::support::world::{World, key_spec};
use keysmith::emulator::{Effect, Rule};
use serde_json::json;
use std::time::Duration;

const ORPHAN: &str = "keysmith.dev/force-orphan";

async fn orphan(world: &World, kind: &str, name: &str) {
    let patch = json!({"metadata": {"annotations": {ORPHAN: "yes"}}});
    world.edit(kind, name, patch).await.unwrap();
}

async fn retain(world: &World, name: &str) {
    let patch = json!({"spec": {"deletionPolicy": "Retain"}});
    world.edit("GatewayApiKey", name, patch).await.unwrap();
}

pub async fn a_retained_key_still_works_and_is_reported(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"deletionPolicy": "Retain"})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.accepts(&secret));
    let note = world.event("LeftBehind").await;
    assert!(note.contains(&world.only_key().id) && note.contains("deletionPolicy"), "{note}");
    let metrics = world.metrics.text();
    assert!(metrics.contains("left_behind_total{kind=\"GatewayApiKey\"} 1"), "{metrics}");
}

pub async fn a_key_that_is_to_be_disabled_stays_and_does_not_work(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"deletionPolicy": "Disable"})).await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(!world.only_key().active);
    assert!(world.event("LeftBehind").await.contains("switched off"));
}

pub async fn a_deletion_during_a_rotation_removes_both_keys(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"trigger": "a"}})).await;
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"rotation": {"trigger": "b"}}})).await.unwrap();
    world
        .eventually("there are two keys", async || {
            let status = world.status("GatewayApiKey", "checkout").await;
            if world.keys().len() == 2 && status["previous"][0]["id"].is_string() {
                Ok(())
            } else {
                Err(status.to_string())
            }
        })
        .await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
}

pub async fn a_blocked_deletion_is_reported_in_time_and_can_be_forced(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    for method in ["GET", "DELETE"] {
        world.fail(method, Effect::Delay { millis: 600_000 });
    }
    world.delete("GatewayApiKey", "checkout").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
    assert_eq!(ready.1, "DeletionBlocked", "{ready:?}");
    assert!(ready.2.contains("has not answered") && ready.2.contains(ORPHAN), "{ready:?}");
    orphan(world, "GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    let note = world.event("LeftBehind").await;
    assert!(note.contains("force-orphan") && note.contains(&world.only_key().id), "{note}");
}

pub async fn a_deletion_without_a_console_token_can_be_forced_by_policy(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.stop().await;
    world.lose_secret("edgee-console").await;
    world.start().await;
    world.delete("ConsoleToken", "edgee").await;
    world.delete("GatewayApiKey", "checkout").await;
    let message = world.reason("GatewayApiKey", "checkout", "DeletionBlocked").await;
    assert!(message.contains("deletionPolicy: Retain"), "{message}");
    retain(world, "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    world.gone("ConsoleToken", "edgee").await;
    assert_eq!(world.keys().len(), 1);
    world.event("LeftBehind").await;
}

pub async fn a_token_and_a_provider_key_can_be_retained_too(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.write_secret("openai", &[("api_key", "canary-credential-for-tests")]).await;
    let provider_key = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "openai", "credentialsRef": {"name": "openai"},
        "gatewayKeyRefs": [{"name": "checkout"}],
    });
    world.create("ProviderKey", "openai", provider_key).await;
    world.ready("ProviderKey", "openai").await;
    for method in ["GET", "POST", "DELETE"] {
        let down = Effect::Status { code: 503, retry_after: None };
        world.emulator.faults().add(Rule::always(method, "/", down));
    }
    for (kind, name) in [("ProviderKey", "openai"), ("GatewayApiKey", "checkout"), ("ConsoleToken", "edgee")]
    {
        world.delete(kind, name).await;
    }
    for (kind, name) in [("ConsoleToken", "edgee"), ("ProviderKey", "openai"), ("GatewayApiKey", "checkout")]
    {
        orphan(world, kind, name).await;
        world.gone(kind, name).await;
    }
}

pub async fn a_foreign_key_id_in_status_is_not_revoked(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let theirs = world.vendor().add_key("somebodys-key").id;
    world.stop().await;
    let patch = kube::api::Patch::Merge(json!({"status": {"id": theirs}}));
    world
        .api("GatewayApiKey")
        .patch_status("checkout", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    world.delete("GatewayApiKey", "checkout").await;
    world.start().await;
    world.gone("GatewayApiKey", "checkout").await;
    assert_eq!(world.only_key().id, theirs, "ours is gone, theirs is there");
}

pub async fn a_key_that_never_was_leaves_nothing_and_says_nothing(world: &mut World) {
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    world.reason("GatewayApiKey", "checkout", "ConsoleTokenMissing").await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    let events = world.events().await;
    assert!(!events.iter().any(|(reason, _)| reason == "Revoked" || reason == "LeftBehind"), "{events:?}");
}
