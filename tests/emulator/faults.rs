//! Fault effects that drivers do not see: their form on the wire, their rules, and the log. The effect of each fault on
//! the vendor and on the caller is tested with every driver, in `tests/support/driver_contract/faults.rs`.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use keysmith::emulator::{Dropped, Effect, Rule};
use serde_json::json;
use tokio::time::timeout;

use super::support::{CHAT, KEYS, ORG, World, parsed, request, world};

/// An emulator in which the next create has this fault.
fn with(effect: Effect) -> World {
    let world = world();
    world.emulator.faults().add(Rule::once("POST", "/api_keys", effect));
    world
}

async fn create(world: &World) -> Result<http::Response<bytes::Bytes>, Dropped> {
    world.raw(request("POST", KEYS, json!({ "name": "a" }))).await
}

fn keys(world: &World) -> usize {
    world.emulator.edgee().keys(ORG).len()
}

fn logged(world: &World) -> (Option<u16>, bool) {
    let call = world.emulator.calls().pop().unwrap();
    (call.status, call.applied)
}

#[tokio::test(start_paused = true)]
async fn a_status_is_answered_in_the_vendors_shape_and_nothing_happens() {
    let world = with(Effect::Status { code: 429, retry_after: Some("7".to_owned()) });
    let answer = create(&world).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(parsed(&answer).1["error"]["message"], "Too Many Requests");
    assert_eq!((keys(&world), logged(&world)), (0, (Some(429), false)));
    assert_eq!(create(&world).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_html_page_may_have_a_success_status() {
    let world = with(Effect::Html);
    let answer = create(&world).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert_eq!(keys(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_gzip_bomb_is_small_and_expands() {
    let world = with(Effect::GzipBomb);
    let answer = create(&world).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert!(answer.body().len() < 1 << 20);
    let mut decoder = GzDecoder::new(answer.body().as_ref());
    let expanded = std::io::copy(&mut decoder.by_ref(), &mut std::io::sink()).unwrap();
    assert_eq!((expanded, keys(&world)), (32 << 20, 0));
}

#[tokio::test(start_paused = true)]
async fn a_redirect_keeps_the_method_and_points_elsewhere() {
    let world = with(Effect::Redirect { location: "https://attacker.example/".to_owned() });
    let answer = create(&world).await.unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.headers()["location"], "https://attacker.example/");
    assert_eq!(keys(&world), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rule_skips_then_hits_then_rests_and_clearing_ends_it() {
    let world = world();
    let effect = Effect::Status { code: 500, retry_after: None };
    let rule = Rule { skip: 1, times: Some(2), ..Rule::always("get", "/api_keys", effect.clone()) };
    world.emulator.faults().add(rule);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(world.get(KEYS).await.0);
    }
    assert_eq!(seen, [200, 500, 500, 200, 200]);
    assert_eq!(world.emulator.faults().rules()[0].times, Some(0));
    world.emulator.faults().add(Rule { method: None, ..Rule::always("", "", effect) });
    assert_eq!(world.get(KEYS).await.0, 500);
    world.emulator.faults().clear();
    assert_eq!(world.get(KEYS).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn the_first_rule_that_hits_decides_and_later_ones_do_not_count_the_call() {
    let world = world();
    for code in [500, 503] {
        let effect = Effect::Status { code, retry_after: None };
        world.emulator.faults().add(Rule::once("GET", "/api_keys", effect));
    }
    let seen = [world.get(KEYS).await.0, world.get(KEYS).await.0, world.get(KEYS).await.0];
    assert_eq!(seen, [500, 503, 200]);
}

#[tokio::test(start_paused = true)]
async fn the_data_plane_fails_in_its_own_shape() {
    let world = world();
    world.emulator.faults().add(Rule::once("POST", CHAT, Effect::Status { code: 503, retry_after: None }));
    let (status, answer) = world.post(CHAT, json!({})).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("emulated_fault")));
}

#[tokio::test(start_paused = true)]
async fn calls_are_logged_in_order_with_their_query_and_counted() {
    let world = world();
    world.get(&format!("{KEYS}?limit=5")).await;
    create(&world).await.unwrap();
    world.get("/edgee/v1/nothing").await;
    let calls = world.emulator.calls();
    let seen: Vec<_> = calls.iter().map(|call| (call.sequence, call.method.as_str(), call.status)).collect();
    assert_eq!(seen, [(1, "GET", Some(200)), (2, "POST", Some(200)), (3, "GET", Some(404))]);
    assert_eq!(calls[0].path, format!("{KEYS}?limit=5"));
    assert_eq!(world.emulator.count("GET", ""), 2);
    assert_eq!((world.emulator.count("post", "/api_keys"), world.emulator.count("DELETE", "")), (1, 0));
    world.emulator.clear_calls();
    create(&world).await.unwrap();
    assert_eq!(world.emulator.calls()[0].sequence, 4);
}

#[tokio::test(start_paused = true)]
async fn the_call_log_says_whether_a_call_without_an_answer_was_applied() {
    for (effect, expected) in [
        (Effect::DropBefore, (None, false)),
        (Effect::DropAfter, (None, true)),
        (Effect::AppliedStatus { code: 502 }, (Some(502), true)),
        (Effect::Truncate, (Some(200), true)),
        (Effect::Hang, (None, false)),
        (Effect::HangAfter, (None, true)),
        (Effect::DelayAfter { millis: 100_000 }, (None, true)),
    ] {
        let shown = format!("{effect:?}");
        let world = with(effect);
        let _ = timeout(Duration::from_secs(10), create(&world)).await;
        assert_eq!(logged(&world), expected, "{shown}");
    }
}

#[test]
fn rules_read_and_write_as_camel_case_json() {
    let text = json!({
        "method": "POST", "pathContains": "/api_keys", "skip": 0, "times": 1,
        "effect": { "kind": "status", "code": 429, "retryAfter": "3" },
    });
    let rule: Rule = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&rule).unwrap(), text);
    let short: Rule = serde_json::from_value(json!({ "effect": { "kind": "dropAfter" } })).unwrap();
    assert_eq!((short.method, short.times, short.effect), (None, None, Effect::DropAfter));
    assert!(serde_json::from_value::<Rule>(json!({ "effect": { "kind": "explode" } })).is_err());
}
