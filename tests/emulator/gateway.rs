//! The data plane, by state of the key.

use jiff::SignedDuration;
use keysmith::emulator::edgee::{DataPlaneAnswer, KeyRecord, NewKey};
use serde_json::{Value, json};

use super::support::{KEYS, ORG, World, parsed, request, with_header, world};

fn with_key(new: NewKey) -> (World, KeyRecord) {
    let world = world();
    let key = world.emulator.edgee().add_key(ORG, new);
    (world, key)
}

fn asked() -> Value {
    json!({ "model": "openai/gpt-5.2", "messages": [{ "role": "user", "content": "Hi" }] })
}

fn refusal(code: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

#[tokio::test(start_paused = true)]
async fn a_good_key_is_served_and_shows_its_use() {
    let (world, key) = with_key(NewKey::named("a"));
    let (status, answer) = world.chat(&key.secret, asked(), &[]).await;
    assert_eq!((status, &answer["object"]), (200, &json!("chat.completion")));
    let used = world.only_key();
    assert_eq!((used.last_used_at, used.spent_micros), (Some(used.created_at), 1_000));
    let (_, read) = world.get(&format!("{KEYS}/{}", key.id)).await;
    assert_eq!(read["last_used_at"], "2026-11-21T08:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn messages_take_the_key_in_either_header() {
    let (world, key) = with_key(NewKey::named("a"));
    let path = "/edgee-gateway/v1/messages";
    for (name, value) in
        [("x-api-key", key.secret.clone()), ("authorization", format!("Bearer {}", key.secret))]
    {
        let request = with_header(request("POST", path, asked()), name, &value);
        let (status, answer) = parsed(&world.raw(request).await.unwrap());
        assert_eq!((status, &answer["type"]), (200, &json!("message")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_key_is_unknown_and_moves_nothing() {
    let (world, key) = with_key(NewKey::named("a"));
    assert!(world.emulator.edgee().delete_key(&key.id));
    let (status, answer) = world.chat(&key.secret, asked(), &[]).await;
    assert_eq!((status, answer), (401, refusal("unauthorized", "Invalid API key")));
    assert_eq!(world.chat("sk-edgee-emulated-1-0000000000000000", asked(), &[]).await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn an_inactive_key_is_forbidden_until_it_is_active_again() {
    let (world, key) = with_key(NewKey { active: false, ..NewKey::named("a") });
    let (status, answer) = world.chat(&key.secret, asked(), &[]).await;
    assert_eq!((status, answer), (403, refusal("forbidden", "API key is inactive")));
    world.post(&format!("{KEYS}/{}", key.id), json!({ "active": true })).await;
    assert_eq!(world.chat(&key.secret, asked(), &[]).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn an_expired_key_is_forbidden_and_stays_readable() {
    let lifetime = Some(SignedDuration::from_hours(24));
    let (world, key) = with_key(NewKey { lifetime, ..NewKey::named("a") });
    assert_eq!(world.chat(&key.secret, asked(), &[]).await.0, 200);
    world.emulator.advance(SignedDuration::from_hours(24));
    let (status, answer) = world.chat(&key.secret, asked(), &[]).await;
    assert_eq!((status, answer), (403, refusal("forbidden", "API key has expired")));
    let (status, read) = world.get(&format!("{KEYS}/{}", key.id)).await;
    assert_eq!((status, &read["expires_at"]), (200, &json!("2026-11-22T08:00:00Z")));
}

#[tokio::test(start_paused = true)]
async fn a_restricted_key_serves_its_models_only_and_lists_them() {
    let models = vec!["openai/gpt-5.2".to_owned()];
    let (world, key) = with_key(NewKey { models, ..NewKey::named("a") });
    assert_eq!(world.chat(&key.secret, asked(), &[]).await.0, 200);
    let mut other = asked();
    other["model"] = json!("anthropic/claude-opus-4-6");
    assert_eq!(world.chat(&key.secret, other, &[]).await.0, 403);
    let list = with_header(request("GET", "/edgee-gateway/v1/models", json!(null)), "x-api-key", &key.secret);
    let (status, list) = parsed(&world.raw(list).await.unwrap());
    assert_eq!((status, &list["data"]), (200, &json!([{ "id": "openai/gpt-5.2", "object": "model" }])));
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_is_refused_until_the_next_calendar_month() {
    let (world, key) = with_key(NewKey { max_usage: Some(2), ..NewKey::named("a") });
    let pay = |usd: &'static str| {
        let (world, key) = (&world, &key);
        async move { world.chat(&key.secret, asked(), &[("x-emulator-cost-usd", usd)]).await }
    };
    assert_eq!(pay("1.25").await.0, 200);
    assert_eq!(pay("0.75").await.0, 200);
    let (status, answer) = pay("0.01").await;
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("usage_limit_exceeded")));
    assert_eq!(world.only_key().spent_micros, 2_000_000);
    world.emulator.advance(SignedDuration::from_hours(24 * 9));
    assert_eq!(pay("0.01").await.0, 429);
    world.emulator.advance(SignedDuration::from_hours(16));
    assert_eq!(world.only_key().spent_micros, 0);
    assert_eq!(pay("0.01").await.0, 200);
    assert_eq!(world.only_key().spent_micros, 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_model_and_an_unknown_path_are_refused_in_the_gateways_shape() {
    let (world, key) = with_key(NewKey::named("a"));
    assert_eq!(world.chat(&key.secret, json!({}), &[]).await.0, 400);
    let (status, answer) = world.get("/edgee-gateway/v1/nothing").await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!("not_found")));
}

#[tokio::test(start_paused = true)]
async fn a_check_says_what_a_call_would_and_moves_nothing() {
    let lifetime = Some(SignedDuration::from_hours(1));
    let models = vec!["m".to_owned()];
    let (world, key) = with_key(NewKey { lifetime, models, max_usage: Some(0), ..NewKey::named("a") });
    let edgee = world.emulator.edgee();
    assert_eq!(edgee.check("nonsense", None), DataPlaneAnswer::UnknownKey);
    assert_eq!(edgee.check(&key.secret, Some("n")), DataPlaneAnswer::ModelNotAllowed);
    assert_eq!(edgee.check(&key.secret, Some("m")), DataPlaneAnswer::OverBudget);
    assert!(edgee.edit_key(&key.id, |key| key.max_usage = None));
    assert_eq!(edgee.check(&key.secret, None), DataPlaneAnswer::Accepted);
    assert_eq!((world.only_key().spent_micros, world.only_key().last_used_at), (0, None));
    world.emulator.advance(SignedDuration::from_hours(1));
    assert_eq!(edgee.check(&key.secret, None), DataPlaneAnswer::Expired);
    assert!(edgee.edit_key(&key.id, |key| key.active = false));
    assert_eq!(edgee.check(&key.secret, None), DataPlaneAnswer::Inactive);
    assert!(world.emulator.calls().is_empty());
}
