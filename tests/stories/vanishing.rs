//! Keys that the vendor does not show, for a while or for good: one listing is no proof of a loss, and a key that has
//! to be revoked gets its DELETE whatever a listing shows.

use super::rotating::rotate;
use crate::support::drivers::Driver;
use crate::support::world::World;
use keysmith::emulator::{Effect, Rule};
use keysmith::plan::naming::NameStyle;
use serde_json::{Value, json};
use std::time::Duration;

const GONE: Effect = Effect::Status { code: 404, retry_after: None };

/// Listings lack the key, and a read of the key answers 404, although it works.
fn hide(world: &World, id: &str) {
    world.fail("GET", Effect::HideListed { keys: vec![id.to_owned()] });
    if !listed_only(world) {
        world.emulator.faults().add(Rule::always("GET", id, GONE));
    }
}

/// Whether a listing is the only way to read a key.
fn listed_only(world: &World) -> bool {
    world.vendor_id.capabilities().name == "cortecs"
}

/// Two keys, so that not all keys of the account are missing.
async fn settled(world: &mut World) -> (String, String) {
    world.token().await;
    world.key("other", json!({})).await;
    let other = world.only_key();
    world.key("checkout", json!({"rotation": {"overlap": "2h"}})).await;
    world.pass(Duration::from_secs(120), Duration::from_secs(35)).await;
    let id = world.keys().into_iter().map(|key| key.id).find(|id| *id != other.id).unwrap();
    (id, world.entry("checkout", "key").await.unwrap())
}

async fn look(world: &World) {
    let now = world.clock.now().to_string();
    let patch = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": now}}});
    for (kind, name) in [("ConsoleToken", "edgee"), ("GatewayApiKey", "checkout")] {
        world.edit(kind, name, patch.clone()).await.unwrap();
    }
}

async fn previous(world: &World) -> Value {
    world.status("GatewayApiKey", "checkout").await["previous"].clone()
}

pub async fn a_key_that_vanishes_for_half_a_minute_is_kept(world: &mut World) {
    let (id, secret) = settled(world).await;
    let creations = world.creations();
    hide(world, &id);
    look(world).await;
    world
        .eventually("the next look is announced", async || {
            // The result of the first check is written before the time of the next one is known.
            let message = world.reason("GatewayApiKey", "checkout", "KeyMissing").await;
            if message.contains("looked at again at") { Ok(()) } else { Err(message) }
        })
        .await;
    world.pass(Duration::from_secs(30), Duration::from_secs(20)).await;
    world.emulator.faults().clear();
    world.ready("GatewayApiKey", "checkout").await;
    world.pass(Duration::from_secs(3600), Duration::from_secs(5)).await;
    assert_eq!(world.creations(), creations, "nothing is made");
    assert!(world.accepts(&secret));
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["id"], id.as_str());
    assert!(status["missingSince"].is_null(), "{status}");
}

pub async fn a_key_that_comes_back_after_it_was_replaced_has_its_overlap(world: &mut World) {
    let (id, secret) = settled(world).await;
    hide(world, &id);
    look(world).await;
    world
        .eventually("it is replaced", async || {
            let status = world.status("GatewayApiKey", "checkout").await;
            if status["lastRotation"]["reason"] == "KeyLost" { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    let old = previous(world).await;
    assert_eq!(old[0]["id"], id.as_str(), "{old}");
    assert!(old[0]["missingSince"].is_string(), "{old}");
    world.emulator.faults().clear();
    world.pass(Duration::from_secs(3600), Duration::from_secs(5)).await;
    assert!(world.accepts(&secret), "it has its overlap");
    let old = previous(world).await;
    assert!(old[0]["missingSince"].is_null(), "it is shown again: {old}");
    world.pass(Duration::from_secs(3 * 3600), Duration::ZERO).await;
    if world.is_simulated() {
        assert!(!world.accepts(&secret), "and no more than that");
        assert_eq!(world.keys().len(), 2);
    }
    let events = world.events().await;
    assert!(!events.iter().any(|(reason, _)| reason == "UnusedKeyRevoked"), "{events:?}");
}

pub async fn a_deletion_revokes_a_key_that_no_listing_shows(world: &mut World) {
    let (id, secret) = settled(world).await;
    hide(world, &id);
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(!world.accepts(&secret), "it got its DELETE");
    world.event("Revoked").await;
}

pub async fn a_leaked_key_that_no_listing_shows_is_revoked(world: &mut World) {
    let (id, secret) = settled(world).await;
    hide(world, &id);
    rotate(world, "checkout", json!({"metadata": {"annotations": {"keysmith.dev/leaked": "now"}}})).await;
    world
        .eventually(
            "it is dead",
            async || if world.accepts(&secret) { Err("it works".to_owned()) } else { Ok(()) },
        )
        .await;
    world.event("LeakedKeyRevoked").await;
    assert!(previous(world).await.is_null());
}

pub async fn an_unused_copy_of_a_key_is_announced_one_poll_before_it_is_revoked(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let key = world.only_key();
    let name = match world.vendor_id.capabilities().names {
        NameStyle::Title => key.name.clone(),
        // Names are unique: a copy has another text in front of the mark.
        NameStyle::Slug => format!("c-{}", key.name),
    };
    let copy = world.vendor().add_key(&name);
    look(world).await;
    let note = world.event("UnusedKeyFound").await;
    assert!(note.contains(&copy.id) && note.contains("take the mark out"), "{note}");
    // On a real control plane the poll may be over before the check.
    assert!(!world.is_simulated() || world.accepts(&copy.secret), "announced, and not revoked yet");
    world
        .eventually("then it goes", async || {
            if world.accepts(&copy.secret) { Err("it works".to_owned()) } else { Ok(()) }
        })
        .await;
    assert_eq!(world.only_key().id, key.id);
    // Status is written after the call.
    world
        .eventually("status forgets it", async || {
            let status = world.status("GatewayApiKey", "checkout").await;
            if status["unused"].is_null() { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
}
