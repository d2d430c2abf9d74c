//! Keys that are declared leaked.

use super::around::refuse_secrets;
use super::rotating::rotate;
use crate::support::drivers::Driver;
use crate::support::world::World;
use keysmith::emulator::Effect;
use serde_json::json;
use std::time::Duration;

pub async fn a_leaked_key_is_revoked_at_once_and_never_restored(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"secret": {"keepPrevious": true}})).await;
    let leaked = world.only_key();
    let leaked_secret = world.entry("checkout", "key").await.unwrap();
    rotate(world, "checkout", json!({"metadata": {"annotations": {"keysmith.dev/leaked": "2026-11-21"}}}))
        .await;
    let id = world.served("checkout", "key").await;
    assert_ne!(id, leaked.id);
    assert!(!world.accepts(&leaked_secret));
    let secret = world.secrets().get("checkout").await.unwrap();
    assert_eq!(secret.data.unwrap().len(), 1, "nothing of the leaked key stays");
    assert_eq!(world.status("GatewayApiKey", "checkout").await["lastRotation"]["reason"], "Leaked");
    world.pass(Duration::from_secs(3600), Duration::from_secs(3)).await;
    assert_eq!(world.served("checkout", "key").await, id);
}

/// The overlap is not for a leaked key: also when the answer to the creation of its successor is lost, so that another pass
/// delivers it, no version of the Secret has an entry of the leaked key beside those of the new one.
pub async fn a_leaked_key_is_not_kept_beside_a_successor_whose_answer_was_lost(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"secret": {"keepPrevious": true}})).await;
    world.fail_once("POST", Effect::DropAfter);
    declare(world).await;
    world
        .eventually("another key is served", async || {
            let status = world.status("GatewayApiKey", "checkout").await;
            let replaced = status["lastRotation"]["reason"] == "Leaked";
            if replaced { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    world.ready("GatewayApiKey", "checkout").await;
    for secret in world.cluster().secret_history().into_iter().filter_map(|it| it.object) {
        let entries = secret["data"].as_object().into_iter().flatten().map(|it| it.0.clone());
        let kept: Vec<_> = entries.filter(|it| it.starts_with("previous_")).collect();
        assert!(kept.is_empty(), "{kept:?}");
    }
}

pub async fn a_leaked_key_is_revoked_while_no_successor_can_be_created(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let refuse = Effect::Status { code: 400, retry_after: None };
    world.fail("POST", refuse);
    let leak = json!({"metadata": {"annotations": {"keysmith.dev/leaked": "yes"}}});
    world.edit("GatewayApiKey", "checkout", leak).await.unwrap();
    world
        .eventually("the leaked key is gone", async || {
            if world.keys().is_empty() { Ok(()) } else { Err("still there".to_owned()) }
        })
        .await;
    let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
    assert_eq!(ready.0, "False", "{ready:?}");
    world.emulator.faults().clear();
    ask(world).await;
    world.served("checkout", "key").await;
    world.ready("GatewayApiKey", "checkout").await;
}

pub async fn a_leaked_key_is_revoked_while_its_specification_is_refused(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let (field, value) = world.vendor_id.refused();
    world.edit("GatewayApiKey", "checkout", json!({"spec": {field: value}})).await.unwrap();
    world.reason("GatewayApiKey", "checkout", "Unsupported").await;
    let leak = json!({"metadata": {"annotations": {"keysmith.dev/leaked": "yes"}}});
    world.edit("GatewayApiKey", "checkout", leak).await.unwrap();
    world
        .eventually("the leaked key is gone", async || {
            if world.keys().is_empty() { Ok(()) } else { Err("still there".to_owned()) }
        })
        .await;
    world.reason("GatewayApiKey", "checkout", "Unsupported").await;
    world.edit("GatewayApiKey", "checkout", json!({"spec": {field: null}})).await.unwrap();
    world.served("checkout", "key").await;
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(world.status("GatewayApiKey", "checkout").await["lastRotation"]["reason"], "Leaked");
}

const LEAK: &str = "keysmith.dev/leaked";

async fn declare(world: &World) {
    let patch = json!({"metadata": {"annotations": {LEAK: "yes"}}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
}

/// Waits until status reports an open leak. Returns the message.
async fn open(world: &World, words: &str) -> String {
    world
        .eventually("the leak is open", async || {
            let found = world.condition("GatewayApiKey", "checkout", "LeakOpen").await;
            match found {
                Some(it) if it.0 == "True" && it.2.contains(words) => Ok(it.2),
                other => Err(format!("{other:?} {}", world.status("GatewayApiKey", "checkout").await)),
            }
        })
        .await
}

async fn dead(world: &World, secret: &str) {
    world
        .eventually("the leaked key is dead", async || {
            if world.accepts(secret) { Err("it works".to_owned()) } else { Ok(()) }
        })
        .await;
}

async fn closed(world: &World) {
    world
        .eventually("the leak is closed", async || {
            match world.condition("GatewayApiKey", "checkout", "LeakOpen").await {
                None => Ok(()),
                Some(it) => Err(format!("{it:?}")),
            }
        })
        .await;
    assert!(world.metrics.text().contains("keysmith_leaks_open 0"));
}

pub async fn a_leak_is_reported_until_the_key_is_revoked_although_the_token_is_refused(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let (leaked, secret) = (world.only_key(), world.entry("checkout", "key").await.unwrap());
    assert!(world.vendor().revoke_token(crate::support::world::TOKEN));
    world.pass(Duration::from_secs(400), Duration::from_secs(3)).await;
    declare(world).await;
    let message = open(world, "Keysmith could not").await;
    assert!(message.contains(&leaked.id) && message.contains("console now"), "{message}");
    let note = world.event("LeakOpen").await;
    assert!(note.contains(&leaked.id) && note.contains("still WORKS"), "{note}");
    let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
    assert_eq!(ready.0, "False", "{ready:?}");
    assert!(world.metrics.text().contains("keysmith_leaks_open 1"));
    world.vendor().add_token(crate::support::world::TOKEN);
    dead(world, &secret).await;
    world.ready("GatewayApiKey", "checkout").await;
    closed(world).await;
}

pub async fn a_leaked_key_is_revoked_although_its_resource_is_suspended(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"suspend": true}})).await.unwrap();
    world.reason("GatewayApiKey", "checkout", "Suspended").await;
    declare(world).await;
    dead(world, &secret).await;
    world.event("LeakOpen").await;
    world.reason("GatewayApiKey", "checkout", "Suspended").await;
    let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
    assert_eq!((ready.0.as_str(), world.creations()), ("False", 1), "{ready:?}");
    closed(world).await;
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"suspend": null}})).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    world.served("checkout", "key").await;
}

pub async fn a_leaked_key_is_revoked_during_a_retry_after_pause(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    let wait = Effect::Status { code: 429, retry_after: Some("3000".to_owned()) };
    world.fail("POST", wait);
    world.create("GatewayApiKey", "other", crate::support::world::key_spec(json!({}))).await;
    world.reason("GatewayApiKey", "other", "VendorThrottled").await;
    let start = world.clock.now();
    declare(world).await;
    dead(world, &secret).await;
    let took = world.clock.now().duration_since(start);
    assert!(took < jiff::SignedDuration::from_secs(300), "{took:#}");
}

pub async fn a_leaked_key_is_revoked_although_no_secret_can_hold_a_successor(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    refuse_secrets(world);
    declare(world).await;
    dead(world, &secret).await;
    world.reason("GatewayApiKey", "checkout", "SecretRefused").await;
    closed(world).await;
    assert_eq!(world.creations(), 1, "no other is made that could not be stored");
    world.cluster().clear_faults();
    let asked = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "now"}}});
    world.edit("GatewayApiKey", "checkout", asked).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    world.served("checkout", "key").await;
}

pub async fn a_leaked_key_is_revoked_although_the_first_revocation_fails_and_no_successor_can_be_created(
    world: &mut World,
) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    world.fail("POST", Effect::Status { code: 400, retry_after: None });
    world.fail_once("DELETE", Effect::Status { code: 502, retry_after: None });
    declare(world).await;
    dead(world, &secret).await;
    closed(world).await;
}

pub async fn a_leak_that_is_declared_while_a_deletion_waits_is_dealt_with(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    let wait = Effect::Status { code: 429, retry_after: Some("3000".to_owned()) };
    world.fail_once("DELETE", wait);
    world.delete("GatewayApiKey", "checkout").await;
    world.reason("GatewayApiKey", "checkout", "DeletionBlocked").await;
    let start = world.clock.now();
    declare(world).await;
    dead(world, &secret).await;
    let took = world.clock.now().duration_since(start);
    assert!(took < jiff::SignedDuration::from_secs(300), "{took:#}");
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.metrics.text().contains("keysmith_leaks_open 0"));
}

pub async fn a_key_that_leaked_is_not_retained_with_its_resource(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"deletionPolicy": "Retain"})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    world.fail("DELETE", Effect::Status { code: 503, retry_after: None });
    world.fail("POST", Effect::Status { code: 400, retry_after: None });
    declare(world).await;
    open(world, &world.only_key().id.clone()).await;
    world.delete("GatewayApiKey", "checkout").await;
    world.reason("GatewayApiKey", "checkout", "DeletionBlocked").await;
    assert!(world.accepts(&secret));
    world.emulator.faults().clear();
    world.gone("GatewayApiKey", "checkout").await;
    assert!(!world.accepts(&secret));
}

/// An observed key is not revoked, and no revocation is announced.
pub async fn a_leak_of_an_observed_key_is_reported_and_left_to_people(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let key = world.only_key();
    let observed = json!({"externalId": key.id, "managementPolicy": "Observe"});
    world.create("GatewayApiKey", "watcher", crate::support::world::key_spec(observed)).await;
    world.reason("GatewayApiKey", "watcher", "Observed").await;
    world
        .edit(
            "GatewayApiKey",
            "watcher",
            json!({"metadata": {"annotations": {"keysmith.dev/leaked": "yes"}}}),
        )
        .await
        .unwrap();
    let message = world.reason("GatewayApiKey", "watcher", "Leaked").await;
    assert!(message.contains("NOT revoke") && message.contains("console"), "{message}");
    let open = world.condition("GatewayApiKey", "watcher", "LeakOpen").await.unwrap();
    assert_eq!(open.2, message);
    assert_eq!(world.only_key().id, key.id);
}

async fn ask(world: &World) {
    let now = world.clock.now().to_string();
    let patch = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": now}}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
}
