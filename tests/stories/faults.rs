//! Lost answers, refused calls and outages of the vendor.

use crate::support::drivers::Driver;
use crate::support::world::{World, key_spec};
use keysmith::emulator::Effect;
use keysmith::plan::capability::Recovery;
use serde_json::json;
use std::time::Duration;

/// A create call with an unknown outcome ends with exactly one key, which is in the Secret.
async fn one_key_after(world: &mut World, effect: Effect) {
    world.token().await;
    let shown = format!("{effect:?}");
    world.fail_once("POST", effect);
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    world.served("checkout", "key").await;
    world.ready("GatewayApiKey", "checkout").await;
    world.pass(Duration::from_secs(3600), Duration::ZERO).await;
    assert_eq!(world.keys().len(), 1, "{shown}");
}

/// The same if the vendor did create the key: it is found, and there was one create call for each serial.
async fn found_again_after(world: &mut World, effect: Effect) {
    one_key_after(world, effect).await;
    // A key whose secret was shown once, in a lost answer, is useless: it is revoked, and another one is created.
    let calls = if world.vendor_id.capabilities().recovery == Recovery::Once { 2 } else { 1 };
    assert_eq!(world.creations(), calls);
    assert_eq!(world.vendor().created_total(), calls as u64);
    // If the key is given another secret, it belongs to the next serial.
    let serial = if world.vendor_id.reveals() { 1 } else { 2 };
    assert_eq!(world.status("GatewayApiKey", "checkout").await["serial"], serial);
}

pub async fn a_lost_answer_to_a_create_call_is_found_again_and_not_sent_twice(world: &mut World) {
    found_again_after(world, Effect::DropAfter).await;
}

pub async fn a_create_call_that_never_arrived_is_made_again_under_the_next_serial(world: &mut World) {
    one_key_after(world, Effect::DropBefore).await;
    assert_eq!(world.status("GatewayApiKey", "checkout").await["serial"], 2);
}

pub async fn a_500_after_the_key_was_made_is_no_failure(world: &mut World) {
    found_again_after(world, Effect::AppliedStatus { code: 500 }).await;
}

pub async fn a_truncated_answer_to_a_create_call_is_recovered(world: &mut World) {
    found_again_after(world, Effect::Truncate).await;
}

pub async fn a_page_of_html_instead_of_an_answer_is_recovered(world: &mut World) {
    one_key_after(world, Effect::Html).await;
}

pub async fn an_answer_that_never_comes_is_recovered(world: &mut World) {
    found_again_after(world, Effect::HangAfter).await;
}

pub async fn a_listing_that_lags_makes_no_second_key(world: &mut World) {
    world.fail("GET", Effect::LagListing { millis: 20_000 });
    found_again_after(world, Effect::DropAfter).await;
}

pub async fn a_refused_create_call_is_reported_with_the_field_and_backs_off(world: &mut World) {
    world.token().await;
    world.fail_once("POST", Effect::Status { code: 422, retry_after: None });
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let message = world.reason("GatewayApiKey", "checkout", "VendorRejected").await;
    assert!(message.contains("422") && message.contains("compare the specification"), "{message}");
    world.pass(Duration::from_secs(600), Duration::from_secs(5)).await;
    assert_eq!(world.creations(), 1);
    // A change of the specification ends the backoff.
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"displayName": "Other"}})).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    world.served("checkout", "key").await;
}

pub async fn an_account_without_credit_is_reported_and_retried_every_hour(world: &mut World) {
    world.token().await;
    world.fail("POST", Effect::Status { code: 402, retry_after: None });
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let message = world.reason("GatewayApiKey", "checkout", "NoCredit").await;
    assert!(message.contains("no credit left (402)") && message.contains("add credit"), "{message}");
    assert!(!message.contains("specification"), "{message}");
    let status = world.status("GatewayApiKey", "checkout").await;
    let stalled = status["conditions"].as_array().unwrap().iter().any(|it| it["type"] == "Stalled");
    assert!(stalled, "{status}");
    world.pass(Duration::from_secs(3000), Duration::from_secs(60)).await;
    assert_eq!(world.creations(), 1);
    world.emulator.faults().clear();
    world.pass(Duration::from_secs(1200), Duration::from_secs(60)).await;
    world.ready("GatewayApiKey", "checkout").await;
}

pub async fn a_vendor_that_is_down_is_tried_ever_more_rarely_and_then_all_is_well(world: &mut World) {
    world.token().await;
    let down = Effect::Status { code: 429, retry_after: None };
    world.fail("POST", down);
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    world.reason("GatewayApiKey", "checkout", "VendorThrottled").await;
    world.pass(Duration::from_secs(3600), Duration::from_secs(4)).await;
    let attempts = world.creations();
    assert!((2..=14).contains(&attempts), "{attempts} attempts");
    let status = world.status("GatewayApiKey", "checkout").await;
    assert!(status["failures"].as_u64().unwrap() >= 2 && status["nextAttemptAt"].is_string(), "{status}");
    world.emulator.faults().clear();
    world.served("checkout", "key").await;
    world.ready("GatewayApiKey", "checkout").await;
    let status = world.status("GatewayApiKey", "checkout").await;
    assert!(status["failures"].is_null() && status["nextAttemptAt"].is_null(), "{status}");
}

pub async fn a_vendor_that_loses_every_answer_is_asked_ever_more_rarely(world: &mut World) {
    world.token().await;
    world.fail("POST", Effect::Status { code: 503, retry_after: None });
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    tokio::time::sleep(Duration::from_secs(4 * 3600)).await;
    let attempts = world.creations();
    assert!((5..=25).contains(&attempts), "{attempts} attempts in four hours");
    world.emulator.faults().clear();
    world.served("checkout", "key").await;
    world.ready("GatewayApiKey", "checkout").await;
}

pub async fn a_restart_does_not_shorten_a_wait(world: &mut World) {
    world.token().await;
    world.fail("POST", Effect::Status { code: 422, retry_after: None });
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    world.reason("GatewayApiKey", "checkout", "VendorRejected").await;
    for _ in 0..5 {
        world.stop().await;
        world.start().await;
        world.pass(Duration::from_secs(60), Duration::from_secs(1)).await;
    }
    assert_eq!(world.creations(), 1);
}

pub async fn the_vendor_may_ask_for_a_pause(world: &mut World) {
    world.token().await;
    let pause = Effect::Status { code: 429, retry_after: Some("120".to_owned()) };
    world.fail_once("POST", pause);
    let start = world.clock.now();
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    world.served("checkout", "key").await;
    let waited = world.clock.now().duration_since(start).as_secs();
    assert!((120..=130).contains(&waited), "{waited} s");
}

pub async fn a_deletion_waits_for_a_vendor_that_is_down(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.fail("DELETE", Effect::Status { code: 503, retry_after: None });
    world.delete("GatewayApiKey", "checkout").await;
    let message = world.reason("GatewayApiKey", "checkout", "DeletionBlocked").await;
    assert!(message.contains("revoke") && message.contains("force-orphan"), "{message}");
    assert_eq!(world.keys().len(), 1);
    world.emulator.faults().clear();
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
}

pub async fn deleting_while_an_answer_is_lost_leaves_no_key(world: &mut World) {
    world.token().await;
    // The call lands after the resource was deleted, and before the deletion may end.
    world.fail_once("POST", Effect::Delay { millis: 45_000 });
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    tokio::time::sleep(Duration::from_secs(32)).await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(world.keys().is_empty(), "{:?}", world.keys());
}
