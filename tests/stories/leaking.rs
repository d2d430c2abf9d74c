//! Keys that were declared leaked.

use super::rotating::rotate;
use crate::support::drivers::Driver;
use crate::support::world::World;
use keysmith::emulator::Effect;
use serde_json::json;
use std::time::Duration;

pub async fn a_leaked_key_is_dead_at_once_and_never_comes_back(world: &mut World) {
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

pub async fn a_leaked_key_dies_even_while_no_other_can_be_made(world: &mut World) {
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

pub async fn a_leaked_key_dies_even_while_its_specification_is_refused(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let (field, value) = world.surface.refused();
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

async fn ask(world: &World) {
    let now = world.clock.now().to_string();
    let patch = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": now}}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
}
