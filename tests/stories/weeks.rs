//! Weeks of rotations by the calendar. They take seconds to run, so they run at one vendor.

use super::rotating::{DAY, pass, works, works_for};
use crate::support::drivers::Driver;
use crate::support::world::World;
use keysmith::emulator::Effect;
use serde_json::json;
use std::collections::HashSet;

pub async fn a_key_is_rotated_before_it_expires_and_its_readers_never_notice(world: &mut World) {
    world.look_rarely().await;
    world.token().await;
    world.key("checkout", json!({"expiresInDays": 30})).await;
    let first = world.only_key();
    let next = world.status("GatewayApiKey", "checkout").await["nextRotationTime"].clone();
    let next: jiff::Timestamp = next.as_str().unwrap().parse().unwrap();
    let left = first.expires_at.unwrap().duration_since(next).as_hours() / 24;
    assert!((10..=11).contains(&left), "a third of thirty days, and up to a tenth of that: {left}");
    works_for(world, "checkout", 22 * DAY).await;
    assert_eq!(world.status("GatewayApiKey", "checkout").await["lastRotation"]["reason"], "Expiry");
    assert_ne!(world.served("checkout", "key").await, first.id);
    assert_eq!(world.creations(), 2);
}

pub async fn a_key_without_expiry_is_replaced_at_its_age(world: &mut World) {
    world.look_rarely().await;
    world.token().await;
    world.key("checkout", json!({"rotation": {"maxAge": "240h", "overlap": "1h"}})).await;
    let first = world.only_key();
    works_for(world, "checkout", 9 * DAY - 60).await;
    assert_eq!(world.only_key().id, first.id);
    works_for(world, "checkout", 2 * DAY).await;
    assert_ne!(world.served("checkout", "key").await, first.id);
    assert_eq!(world.status("GatewayApiKey", "checkout").await["lastRotation"]["reason"], "MaxAge");
}

pub async fn a_replacement_waits_for_its_window(world: &mut World) {
    world.look_rarely().await;
    world.token().await;
    let window = json!({"days": ["Sun"], "from": "02:00", "until": "04:00", "timeZone": "Europe/Berlin"});
    world.key("checkout", json!({"expiresInDays": 60, "rotation": {"windows": [window]}})).await;
    let first = world.only_key();
    let next = world.status("GatewayApiKey", "checkout").await["nextRotationTime"].clone();
    let next: jiff::Timestamp = next.as_str().unwrap().parse().unwrap();
    let local = next.in_tz("Europe/Berlin").unwrap();
    assert_eq!((local.weekday(), local.hour()), (jiff::civil::Weekday::Sunday, 2), "{local}");
    works_for(world, "checkout", 61 * DAY).await;
    assert_ne!(world.served("checkout", "key").await, first.id);
}

pub async fn a_failed_replacement_keeps_the_old_key_and_says_when_it_is_overdue(world: &mut World) {
    world.look_rarely().await;
    world.token().await;
    world.key("checkout", json!({"expiresInDays": 9, "rotation": {"renewBefore": "72h"}})).await;
    let id = world.only_key().id;
    let refuse = Effect::Status { code: 503, retry_after: None };
    world.fail("POST", refuse);
    works_for(world, "checkout", 8 * DAY).await;
    let status = world.status("GatewayApiKey", "checkout").await;
    let failures = status["rotationFailures"].as_u64().unwrap();
    assert!(failures > 5, "{status}");
    let overdue = world.condition("GatewayApiKey", "checkout", "RotationOverdue").await.unwrap();
    assert!(overdue.2.contains("stops working"), "{overdue:?}");
    world.event("RotationOverdue").await;
    assert!(world.metrics.text().contains("keysmith_rotations_overdue 1"));
    // A restart does not shorten a wait.
    let posts = world.creations();
    world.stop().await;
    world.start().await;
    pass(30).await;
    assert_eq!(world.creations(), posts);
    world.emulator.faults().clear();
    pass(3600).await;
    assert_ne!(world.status("GatewayApiKey", "checkout").await["id"], json!(id));
    assert_eq!(world.condition("GatewayApiKey", "checkout", "RotationOverdue").await, None);
    assert!(world.metrics.text().contains("keysmith_rotations_overdue 0"));
    works_for(world, "checkout", 2 * DAY).await;
    world.served("checkout", "key").await;
}

pub async fn ninety_days_end_with_the_right_keys_and_no_idle_hour_has_a_write(world: &mut World) {
    world.look_rarely().await;
    world.token().await;
    world.key("expiring", json!({"expiresInDays": 30})).await;
    world.key("aging", json!({"rotation": {"maxAge": "480h"}})).await;
    world.key("settled", json!({})).await;
    let names = ["expiring", "aging", "settled"];
    for half_day in 0..180 {
        for name in names {
            assert!(works(world, name).await, "{name} on day {}", half_day / 2);
        }
        pass(DAY / 2).await;
    }
    let mut created = Vec::new();
    let mut live = 0;
    for name in names {
        let status = world.status("GatewayApiKey", name).await;
        created.push(status["serial"].as_u64().unwrap());
        live += 1 + status["previous"].as_array().map_or(0, Vec::len);
        let id = status["id"].as_str().unwrap().to_owned();
        assert!(world.keys().iter().any(|key| key.id == id), "{status}");
    }
    assert_eq!(world.keys().len(), live, "served and previous keys, and no others");
    // Rotated after 19 to 20 days of 30, and after 18 to 20 of 20.
    assert_eq!(created, [5, 5, 1]);
    assert_eq!(world.creations(), 5 + 5 + 1, "one create call per key");
    let replaced = 4 + 4;
    let deleted = world.calls("DELETE");
    assert!((replaced - 1..=replaced).contains(&deleted), "each is deleted once: {deleted}");
    if world.vendor_id.capabilities().disable {
        let switched = world.calls("POST") - world.creations();
        assert!((replaced - 1..=replaced).contains(&switched), "and switched off once before: {switched}");
    }
    assert_quiet(world);
}

/// Verifies that writes happen only in an hour with a change at the vendor.
fn assert_quiet(world: &World) {
    let hour = |at: jiff::Timestamp| at.as_second() / 3600;
    let calls = world.emulator.calls();
    let busy: HashSet<i64> =
        calls.iter().filter(|call| call.method != "GET").map(|call| hour(call.at)).collect();
    let writes = world.cluster().writes("operator");
    let idle: Vec<_> = writes.iter().filter(|write| !busy.contains(&hour(write.at))).collect();
    assert!(idle.is_empty(), "{idle:?}");
    assert!(busy.len() < 40, "{} of 2160 hours", busy.len());
}
