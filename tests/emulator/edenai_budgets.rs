//! Eden AI: budgets of keys, on both APIs.

use jiff::{SignedDuration, Timestamp};
use keysmith::emulator::edenai::DataPlaneAnswer;
use serde_json::{Value, json};

use super::support::{World, world};

const V2: &str = "/edenai/v2/user/custom_token/";
const V3: &str = "/edenai/v3/manage/keys/";
const CHAT: &str = "/edenai-gateway/v3/llm/chat/completions";

/// A key of v3 with this budget: its path and its secret.
async fn key(world: &World, mut body: Value) -> (String, String) {
    body["name"] = json!("a");
    let (status, key) = world.call("mgmt-eden-emulated-console-token", ("POST", V3), body).await;
    assert_eq!(status, 201, "{key}");
    (format!("{V3}{}/", key["id"].as_str().unwrap()), key["secret"].as_str().unwrap().to_owned())
}

async fn patched(world: &World, path: &str, body: Value) -> Value {
    world.call("mgmt-eden-emulated-console-token", ("PATCH", path), body).await.1
}

async fn balance(world: &World, path: &str) -> Value {
    world.call("mgmt-eden-emulated-console-token", ("GET", path), Value::Null).await.1["balance"].clone()
}

/// Sets the emulated clock.
fn at(world: &World, time: &str) {
    let time: Timestamp = time.parse().unwrap();
    world.emulator.advance(time.duration_since(world.emulator.now()));
}

#[tokio::test(start_paused = true)]
async fn a_balance_that_counts_falls_with_every_call_until_the_key_is_refused() {
    let world = world();
    let (path, secret) = key(&world, json!({ "balance": "1" })).await;
    assert_eq!(world.ask(&secret, CHAT, "0.25").await.0, 200);
    assert_eq!(balance(&world, &path).await, json!(0.75));
    assert_eq!(world.ask(&secret, CHAT, "0.75").await.0, 200);
    let refusal = json!({ "detail": "The balance of this API key is exhausted." });
    assert_eq!(world.ask(&secret, CHAT, "0").await, (402, refusal));
    patched(&world, &path, json!({ "balance": "2" })).await;
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_balance_that_does_not_count_neither_falls_nor_refuses() {
    let world = world();
    let (path, secret) = key(&world, json!({ "balance": "1", "active_balance": false })).await;
    assert_eq!(world.ask(&secret, CHAT, "5").await.0, 200);
    assert_eq!(world.ask(&secret, CHAT, "5").await.0, 200);
    assert_eq!(balance(&world, &path).await, json!(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_v2_token_counts_its_balance_only_with_its_flag_set() {
    let world = world();
    let account = "eden-v2-emulated-console-token";
    world.call(account, ("POST", V2), json!({ "name": "a", "balance": "1" })).await;
    let v2 = world.emulator.edenai().v2();
    assert!(v2.spend("a", 2_000_000));
    assert_eq!(v2.check(&v2.keys()[0].secret), DataPlaneAnswer::Accepted);
    world.call(account, ("PATCH", &format!("{V2}a/")), json!({ "active_balance": true })).await;
    assert!(v2.spend("a", 2_000_000));
    assert_eq!(v2.check(&v2.keys()[0].secret), DataPlaneAnswer::OverBudget);
    world.call(account, ("PATCH", &format!("{V2}a/")), json!({ "active_balance": false })).await;
    assert_eq!(v2.check(&v2.keys()[0].secret), DataPlaneAnswer::Accepted);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_key_costs_nothing_and_is_counted_all_the_same() {
    let world = world();
    let body = json!({ "balance": "1", "token_type": "sandbox_api_token" });
    let (path, secret) = key(&world, body).await;
    world.ask(&secret, CHAT, "5").await;
    assert_eq!(balance(&world, &path).await, json!(1.0));
    world.emulator.edenai().set_credits(0);
    assert_eq!(world.ask(&secret, CHAT, "5").await.0, 200);
    let usage = format!("{path}usage/?step=1");
    let (_, report) = world.call("mgmt-eden-emulated-console-token", ("GET", &usage), Value::Null).await;
    assert_eq!(report["usage"][0]["data"]["2026-11-21"]["text__chat"]["details"], 2);
}

#[tokio::test(start_paused = true)]
async fn without_credits_on_the_account_no_key_works() {
    let world = world();
    let (_, secret) = key(&world, json!({})).await;
    world.emulator.edenai().set_credits(1);
    assert_eq!(world.ask(&secret, CHAT, "1").await.0, 200);
    assert_eq!(world.ask(&secret, CHAT, "1").await, (402, json!({ "detail": "Insufficient credits." })));
    assert!(world.emulator.edenai().credits() < 0);
}

#[tokio::test(start_paused = true)]
async fn a_periodic_key_starts_full_and_its_balance_counts() {
    let world = world();
    let body = json!({
        "active_balance": false, "balance_reset_period": "monthly", "balance_reset_amount": "10.5",
    });
    let (path, secret) = key(&world, body).await;
    assert_eq!(balance(&world, &path).await, json!(10.5));
    world.ask(&secret, CHAT, "10.5").await;
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 402);
}

#[tokio::test(start_paused = true)]
async fn a_budget_begins_anew_at_midnight_in_paris() {
    // Paris is one hour ahead in November; 21 November 2026 is a Saturday.
    for (period, before, after) in [
        ("daily", "2026-11-21T22:59:59Z", "2026-11-21T23:00:00Z"),
        ("weekly", "2026-11-22T22:59:59Z", "2026-11-22T23:00:00Z"),
        ("monthly", "2026-11-30T22:59:59Z", "2026-11-30T23:00:00Z"),
    ] {
        let world = world();
        let body = json!({ "balance_reset_period": period, "balance_reset_amount": "3" });
        let (path, secret) = key(&world, body).await;
        world.ask(&secret, CHAT, "3").await;
        at(&world, before);
        assert_eq!(
            (world.ask(&secret, CHAT, "1").await.0, balance(&world, &path).await),
            (402, json!(0.0)),
            "{period}"
        );
        at(&world, after);
        assert_eq!(balance(&world, &path).await, json!(3.0), "{period}");
        assert_eq!(world.ask(&secret, CHAT, "1").await.0, 200, "{period}");
        assert_eq!(balance(&world, &path).await, json!(2.0), "{period}");
    }
}

#[tokio::test(start_paused = true)]
async fn setting_the_period_to_none_clears_the_amount_and_ends_the_resets() {
    let world = world();
    world.emulator.edenai().v3().set_switches(|switches| switches.all_fields = true);
    let body = json!({ "balance_reset_period": "daily", "balance_reset_amount": "3" });
    let (path, secret) = key(&world, body).await;
    world.ask(&secret, CHAT, "1").await;
    let shown = patched(&world, &path, json!({ "balance_reset_period": "none" })).await;
    let fields = [&shown["balance_reset_period"], &shown["balance_reset_amount"], &shown["balance"]];
    assert_eq!(fields, [&json!("none"), &json!(null), &json!(2.0)]);
    world.emulator.advance(SignedDuration::from_hours(48));
    assert_eq!(balance(&world, &path).await, json!(2.0));
}

#[tokio::test(start_paused = true)]
async fn an_update_changes_the_amount_for_the_next_period_only() {
    let world = world();
    let body = json!({ "balance_reset_period": "daily", "balance_reset_amount": "3" });
    let (path, secret) = key(&world, body).await;
    world.ask(&secret, CHAT, "1").await;
    assert_eq!(patched(&world, &path, json!({ "balance_reset_amount": "7" })).await["balance"], 2.0);
    world.emulator.advance(SignedDuration::from_hours(24));
    assert_eq!(balance(&world, &path).await, json!(7.0));
}
