//! Eden AI v2: custom tokens, and their management since September 2026.

use jiff::SignedDuration;
use keysmith::emulator::edenai::DataPlaneAnswer;
use keysmith::emulator::edenai::v2::{NewToken, Switches};
use keysmith::emulator::{EdenAiV2, Effect, Rule};
use serde_json::{Value, json};

use super::support::{World, names, world};

const TOKEN: &str = "eden-v2-emulated-console-token";
const TOKENS: &str = "/edenai/v2/user/custom_token/";
const COST: &str = "/edenai/v2/cost_management/";
const CREDITS: &str = "/edenai/v2/cost_management/credits/";
const CHAT: &str = "/edenai-gateway/v3/llm/chat/completions";

async fn create(world: &World, body: Value) -> (u16, Value) {
    world.call(TOKEN, ("POST", TOKENS), body).await
}

async fn get(world: &World, path: &str) -> (u16, Value) {
    world.call(TOKEN, ("GET", path), Value::Null).await
}

async fn secret_of(world: &World, name: &str) -> String {
    create(world, json!({ "name": name })).await;
    let (_, token) = get(world, &format!("{TOKENS}{name}/")).await;
    token["token"].as_str().unwrap().to_owned()
}

fn switched(change: impl FnOnce(&mut Switches)) -> (World, EdenAiV2) {
    let world = world();
    let v2 = world.emulator.edenai().v2();
    v2.set_switches(change);
    (world, v2)
}

#[tokio::test(start_paused = true)]
async fn a_create_answers_201_with_the_defaults_a_balance_as_text_and_no_token() {
    let (world, _) = switched(|switches| switches.resets = false);
    let (status, body) = create(&world, json!({ "name": "production-api-token" })).await;
    let expected = json!({
        "name": "production-api-token",
        "token_type": "api_token",
        "balance": "50.000000000",
        "active_balance": false,
        "expire_time": null,
    });
    assert_eq!((status, body), (201, expected));
}

#[tokio::test(start_paused = true)]
async fn a_create_shows_the_token_when_the_switch_says_so() {
    let (world, v2) = switched(|switches| switches.token_in_create = true);
    let (_, body) = create(&world, json!({ "name": "a" })).await;
    assert_eq!(body["token"], json!(v2.keys()[0].secret));
}

#[tokio::test(start_paused = true)]
async fn a_read_by_name_shows_the_token_and_a_balance_as_number() {
    let world = world();
    create(&world, json!({ "name": "a b", "balance": "87.45", "active_balance": true })).await;
    let (status, read) = get(&world, &format!("{TOKENS}a%20b/")).await;
    assert_eq!((status, &read["balance"], &read["active_balance"]), (200, &json!(87.45), &json!(true)));
    assert!(read["token"].as_str().unwrap().starts_with("eden-v2-emulated-"));
    assert_eq!(world.emulator.edenai().v2().counts().reveals_total, 1);
}

#[tokio::test(start_paused = true)]
async fn the_list_is_a_raw_array_of_everything() {
    let world = world();
    for name in ["a", "b", "c"] {
        create(&world, json!({ "name": name })).await;
    }
    let (status, list) = get(&world, TOKENS).await;
    assert_eq!((status, names(&list)), (200, vec!["c", "b", "a"]));
    assert!(list[0]["balance"].is_number() && list[0]["token"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_is_a_400_with_an_object_of_arrays() {
    let world = world();
    create(&world, json!({ "name": "a" })).await;
    let message = json!({ "name": ["Token with this name already exists."] });
    let error = json!({ "error": { "type": "validation_error", "message": message } });
    assert_eq!(create(&world, json!({ "name": "a" })).await, (400, error));
    assert_eq!(world.emulator.edenai().v2().counts().created_total, 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_the_documented_form_is_refused() {
    let world = world();
    for body in [
        json!({}),
        json!({ "name": "x".repeat(201) }),
        json!({ "name": "a", "token_type": "other" }),
        json!({ "name": "a", "balance": 50 }),
        json!({ "name": "a", "balance": "123456" }),
        json!({ "name": "a", "balance": "1.0000000001" }),
        json!({ "name": "a", "balance": "a lot" }),
        json!({ "name": "a", "active_balance": "yes" }),
        json!({ "name": "a", "expire_time": "soon" }),
        json!({ "name": "a", "expire_time": "2026-11-22T07:59:59Z" }),
        json!({ "name": "a", "balance_reset_period": "hourly", "balance_reset_amount": "1" }),
        json!({ "name": "a", "balance_reset_period": "daily" }),
        json!({ "name": "a", "balance_reset_period": "daily", "balance_reset_amount": "-1" }),
        json!([]),
    ] {
        let (status, answer) = create(&world, body.clone()).await;
        assert_eq!((status, answer["error"]["message"].is_object()), (400, true), "{body}");
    }
    assert!(world.emulator.edenai().v2().keys().is_empty());
    let soon = json!({ "name": "a", "expire_time": "2026-11-21T09:00:00Z" });
    world.emulator.edenai().v2().set_switches(|switches| switches.day_ahead = false);
    assert_eq!(create(&world, soon).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn an_update_takes_a_number_and_leaves_name_kind_and_the_rest_alone() {
    let world = world();
    let path = format!("{TOKENS}a/");
    create(&world, json!({ "name": "a", "balance": "5", "active_balance": true })).await;
    let body = json!({ "balance": 12.5, "name": "b", "token_type": "sandbox_api_token" });
    let (status, updated) = world.call(TOKEN, ("PATCH", &path), body).await;
    let shown = [&updated["name"], &updated["token_type"], &updated["balance"], &updated["active_balance"]];
    assert_eq!((status, shown), (200, [&json!("a"), &json!("api_token"), &json!(12.5), &json!(true)]));
    assert!(updated.get("token").is_none());
    let expiry = json!({ "expire_time": "2027-01-01T00:00:00Z" });
    let (_, updated) = world.call(TOKEN, ("PATCH", &path), expiry).await;
    assert_eq!(updated["expire_time"], "2027-01-01T00:00:00Z");
    let (_, updated) = world.call(TOKEN, ("PATCH", &path), json!({ "expire_time": null })).await;
    assert_eq!((&updated["expire_time"], &updated["balance"]), (&json!(null), &json!(12.5)));
    assert_eq!(world.call(TOKEN, ("PATCH", &path), json!({ "balance": "7" })).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_token_is_dead_at_once_and_its_name_is_free() {
    let (world, v2) = switched(|_| {});
    let path = format!("{TOKENS}a/");
    let secret = secret_of(&world, "a").await;
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 200);
    let answer = world.call(TOKEN, ("DELETE", &path), Value::Null).await;
    assert_eq!(answer, (204, json!("")));
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 401);
    for method in ["GET", "DELETE", "PATCH"] {
        let answer = world.call(TOKEN, (method, &path), Value::Null).await;
        assert_eq!(answer, (404, json!({ "details": "Not Found" })), "{method}");
    }
    v2.set_switches(|switches| switches.delete_ok = true);
    assert_ne!(secret_of(&world, "a").await, secret);
    assert_eq!(world.call(TOKEN, ("DELETE", &path), Value::Null).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_path_without_its_slash_is_not_there() {
    let world = world();
    create(&world, json!({ "name": "a" })).await;
    for path in ["user/custom_token", "user/custom_token/a", "cost_management", "cost_management/credits"] {
        let answer = get(&world, &format!("/edenai/v2/{path}")).await;
        assert_eq!(answer, (404, json!({ "details": "Not Found" })), "{path}");
    }
    assert_eq!(world.call(TOKEN, ("PUT", TOKENS), json!({})).await.0, 405);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_token_is_unauthorized_and_a_custom_token_manages_nothing() {
    let world = world();
    let missing = json!({ "detail": "Authentication credentials were not provided." });
    assert_eq!(world.anonymous(TOKENS).await, (401, missing));
    let unknown = json!({ "detail": "Invalid token." });
    assert_eq!(world.call("eden-v2-emulated-9-0", ("GET", TOKENS), Value::Null).await, (401, unknown));
    let secret = secret_of(&world, "a").await;
    let error = json!({ "error": {
        "type": "permission_error",
        "message": "You do not have permission to manage tokens",
    } });
    assert_eq!(world.call(&secret, ("GET", TOKENS), Value::Null).await, (403, error));
    assert!(world.emulator.edenai().v2().revoke_token(TOKEN));
    assert_eq!(get(&world, TOKENS).await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_refused_and_stays() {
    let world = world();
    let body = json!({ "name": "a", "expire_time": "2026-11-23T00:00:00Z" });
    create(&world, body).await;
    let v2 = world.emulator.edenai().v2();
    let secret = v2.keys()[0].secret.clone();
    assert_eq!(v2.check(&secret), DataPlaneAnswer::Accepted);
    world.emulator.advance(SignedDuration::from_hours(40));
    assert_eq!(v2.check(&secret), DataPlaneAnswer::Expired);
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 401);
    assert_eq!(get(&world, &format!("{TOKENS}a/")).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn in_september_2026_api_keys_are_refused_and_sessions_see_no_token() {
    let (world, v2) = switched(|switches| *switches = Switches::september_2026());
    v2.add_key(NewToken::named("a"));
    for (status, method) in [(401, "GET"), (403, "GET"), (401, "POST"), (403, "POST")] {
        v2.set_switches(|switches| switches.refusal_status = status);
        assert_eq!(world.call(TOKEN, (method, TOKENS), json!({ "name": "b" })).await.0, status);
    }
    v2.add_session("eden-v2-emulated-session");
    let (status, list) = world.call("eden-v2-emulated-session", ("GET", TOKENS), Value::Null).await;
    assert_eq!(status, 200);
    assert!(list[0].get("token").is_none());
    for field in ["label", "masked", "key_prefix", "last4", "revoked", "legacy", "synthesized"] {
        assert!(list[0].get(field).is_some(), "{field}");
    }
    assert_eq!(get(&world, CREDITS).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn in_september_2026_a_session_rotates_a_token_and_a_key_looks_at_itself() {
    let (world, v2) = switched(|switches| *switches = Switches::september_2026());
    v2.add_session("eden-v2-emulated-session");
    let old = v2.add_key(NewToken::named("a")).secret;
    let path = format!("{TOKENS}a/rotate/");
    assert_eq!(world.call(TOKEN, ("POST", &path), json!({})).await.0, 401);
    let (status, rotated) = world.call("eden-v2-emulated-session", ("POST", &path), json!({})).await;
    let new = rotated["secret"].as_str().unwrap();
    assert_eq!(status, 200);
    assert_eq!((world.ask(&old, CHAT, "0").await.0, world.ask(new, CHAT, "0").await.0), (401, 200));
    let me = format!("{TOKENS}me/");
    let (status, seen) = world.call(new, ("GET", &me), Value::Null).await;
    assert_eq!((status, &seen["label"], &seen["balance"]), (200, &json!("a"), &json!(50.0)));
    assert_eq!(get(&world, &me).await.0, 200);
    v2.set_switches(|switches| *switches = Switches::default());
    assert_eq!(get(&world, &me).await.0, 404);
    assert_eq!(world.call(TOKEN, ("POST", &path), json!({})).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_list_omits_the_new_and_still_shows_the_deleted_but_a_read_by_name_does_not_lag() {
    let world = world();
    create(&world, json!({ "name": "old" })).await;
    world.emulator.advance(SignedDuration::from_secs(60));
    world.emulator.faults().add(Rule::always("GET", "custom_token", Effect::LagListing { millis: 5_000 }));
    create(&world, json!({ "name": "new" })).await;
    world.call(TOKEN, ("DELETE", &format!("{TOKENS}old/")), Value::Null).await;
    assert_eq!(names(&get(&world, TOKENS).await.1), ["old"]);
    assert_eq!(get(&world, &format!("{TOKENS}new/")).await.0, 200);
    world.emulator.advance(SignedDuration::from_secs(5));
    assert_eq!(names(&get(&world, TOKENS).await.1), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_has_the_shape_of_its_status() {
    let world = world();
    for (code, shape) in [
        (401, json!({ "detail": "Invalid token." })),
        (404, json!({ "details": "Not Found" })),
        (503, json!({ "error": { "type": "emulated_fault", "message": "Service Unavailable" } })),
    ] {
        world.emulator.faults().add(Rule::once("GET", TOKENS, Effect::Status { code, retry_after: None }));
        assert_eq!(get(&world, TOKENS).await, (code, shape));
    }
}

#[tokio::test(start_paused = true)]
async fn costs_are_reported_per_token_and_day_and_credits_fall() {
    let world = world();
    let (a, b) = (secret_of(&world, "a").await, secret_of(&world, "b").await);
    world.ask(&a, CHAT, "1.5").await;
    world.ask(&a, CHAT, "0.5").await;
    world.ask(&b, CHAT, "1").await;
    let range = "begin=2026-11-21&end=2026-11-22&step=1";
    let (status, report) = get(&world, &format!("{COST}?{range}&token=a")).await;
    let sums = json!({ "total_cost": 2.0, "details": 2, "cost_per_provider": { "openai": 2.0 } });
    let data = json!({ "2026-11-21": { "text__chat": sums } });
    assert_eq!((status, report), (200, json!({ "response": [{ "token": "a", "data": data }] })));
    assert_eq!(get(&world, &format!("{COST}?{range}")).await.1["response"].as_array().unwrap().len(), 2);
    assert_eq!(get(&world, CREDITS).await, (200, json!({ "credits": 9_997.0 })));
}

#[tokio::test(start_paused = true)]
async fn the_query_for_costs_needs_its_range_and_may_count_the_last_day_or_refuse_what_it_does_not_know() {
    let (world, v2) = switched(|_| {});
    let secret = secret_of(&world, "a").await;
    world.ask(&secret, CHAT, "1").await;
    for query in ["", "begin=2026-11-21&end=2026-11-22", "begin=2026-11-21&step=1", "step=5"] {
        assert_eq!(get(&world, &format!("{COST}?{query}")).await.0, 400, "{query}");
    }
    let today = format!("{COST}?begin=2026-11-21&end=2026-11-21&step=1&colour=red");
    assert_eq!(get(&world, &today).await, (200, json!({ "response": [] })));
    v2.set_switches(|switches| switches.end_inclusive = true);
    assert_eq!(get(&world, &today).await.1["response"][0]["token"], "a");
    v2.set_switches(|switches| switches.strict_query = true);
    assert_eq!(get(&world, &today).await.0, 400);
}
