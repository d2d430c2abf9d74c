//! Eden AI v3: inference keys and their usage.

use jiff::SignedDuration;
use keysmith::emulator::edenai::Form;
use keysmith::emulator::edenai::v3::{NewKey, Switches};
use keysmith::emulator::{EdenAiV3, Effect, Rule};
use serde_json::{Value, json};

use super::support::{World, names, world};

const TOKEN: &str = "mgmt-eden-emulated-console-token";
const KEYS: &str = "/edenai/v3/manage/keys/";
const USAGE: &str = "/edenai/v3/manage/usage/";
const CHAT: &str = "/edenai-gateway/v3/llm/chat/completions";

async fn create(world: &World, body: Value) -> (u16, Value) {
    world.call(TOKEN, ("POST", KEYS), body).await
}

async fn get(world: &World, path: &str) -> (u16, Value) {
    world.call(TOKEN, ("GET", path), Value::Null).await
}

/// A new key: its path, and its secret.
async fn made(world: &World, name: &str) -> (String, String) {
    let (status, key) = create(world, json!({ "name": name })).await;
    assert_eq!(status, 201, "{key}");
    (format!("{KEYS}{}/", key["id"].as_str().unwrap()), key["secret"].as_str().unwrap().to_owned())
}

fn switched(change: impl FnOnce(&mut Switches)) -> (World, EdenAiV3) {
    let world = world();
    let v3 = world.emulator.edenai().v3();
    v3.set_switches(change);
    (world, v3)
}

#[tokio::test(start_paused = true)]
async fn the_data_plane_is_where_the_old_and_the_new_documentation_say() {
    let world = world();
    let (_, secret) = made(&world, "checkout").await;
    for path in [CHAT, "/edenai-gateway/v3/chat/completions"] {
        assert_eq!(world.ask(&secret, path, "0").await.0, 200, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_answers_201_with_the_documented_fields_and_the_secret_once() {
    let world = world();
    let (status, key) =
        create(&world, json!({ "name": "production-v1", "member": "owner@example.com" })).await;
    assert_eq!(status, 201);
    let id = key["id"].as_str().unwrap();
    let secret = key["secret"].as_str().unwrap();
    assert!(secret.starts_with("sk-eden-emulated-"));
    let shape: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(shape, [8, 4, 4, 4, 12]);
    let expected = json!({
        "id": id,
        "name": "production-v1",
        "token_type": "api_token",
        "member": "owner@example.com",
        "masked": format!("sk-eden-…{}", &secret[secret.len() - 4..]),
        "active_balance": true,
        "balance": null,
        "expire_time": null,
        "revoked": false,
        "revoked_at": null,
    });
    assert_eq!(get(&world, &format!("{KEYS}{id}/")).await, (200, expected));
}

#[tokio::test(start_paused = true)]
async fn ids_and_secrets_are_the_same_in_every_run() {
    let (first, second) = (world(), world());
    let key = made(&first, "a").await;
    assert_eq!(made(&second, "a").await, key);
    let (path, secret) = made(&first, "b").await;
    assert!(path != key.0 && secret != key.1);
}

#[tokio::test(start_paused = true)]
async fn a_page_holds_a_hundred_at_most_and_says_how_many_there_are() {
    let (world, v3) = switched(|_| {});
    for number in 0..101 {
        v3.add_key(NewKey::named(&format!("k{number}")));
    }
    let (status, page) = get(&world, KEYS).await;
    let envelope = [&page["limit"], &page["offset"], &page["total_count"], &page["previous"]];
    assert_eq!((status, envelope), (200, [&json!(100), &json!(0), &json!(101), &json!(null)]));
    assert_eq!(page["next"], format!("{KEYS}?limit=100&offset=100"));
    let (_, last) = get(&world, &format!("{KEYS}?limit=500&offset=100")).await;
    assert_eq!(
        (names(&last["results"]), &last["next"], &last["limit"]),
        (vec!["k0"], &json!(null), &json!(100))
    );
    let (_, middle) = get(&world, &format!("{KEYS}?limit=2&offset=3")).await;
    assert_eq!(names(&middle["results"]), ["k97", "k96"]);
    assert_eq!(middle["previous"], format!("{KEYS}?limit=2&offset=1"));
    for query in ["limit=0", "limit=x", "offset=-1"] {
        assert_eq!(get(&world, &format!("{KEYS}?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_the_order_the_page_and_the_form_of_a_balance_are_switches() {
    let (world, _) = switched(|switches| {
        switches.count = true;
        switches.oldest_first = true;
        switches.page_size = 2;
        switches.balance = Form::Text;
        switches.create_status = 200;
    });
    for name in ["a", "b", "c"] {
        let (status, key) = create(&world, json!({ "name": name, "balance": "1.5" })).await;
        assert_eq!((status, &key["balance"]), (200, &json!("1.500000000")));
    }
    let (_, page) = get(&world, KEYS).await;
    assert_eq!((names(&page["results"]), &page["count"]), (vec!["a", "b"], &json!(3)));
    assert!(page.get("total_count").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_name_is_taken_while_an_active_key_of_the_same_owner_has_it() {
    let world = world();
    let (path, _) = made(&world, "a").await;
    let (status, error) = create(&world, json!({ "name": "a" })).await;
    assert_eq!((status, error["detail"].is_string()), (409, true));
    assert_eq!(create(&world, json!({ "name": "a", "member": "b@example.com" })).await.0, 201);
    world.call(TOKEN, ("DELETE", &path), Value::Null).await;
    assert_eq!(create(&world, json!({ "name": "a" })).await.0, 201);
    assert_eq!(world.emulator.edenai().v3().counts().created_total, 3);
}

#[tokio::test(start_paused = true)]
async fn a_plan_admits_so_many_active_keys() {
    let (world, _) = switched(|switches| switches.key_limit = Some(1));
    let (path, _) = made(&world, "a").await;
    assert_eq!(create(&world, json!({ "name": "b" })).await.0, 403);
    world.call(TOKEN, ("DELETE", &path), Value::Null).await;
    assert_eq!(create(&world, json!({ "name": "b" })).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_per_field_or_in_one_detail() {
    let (world, v3) = switched(|_| {});
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": "x".repeat(201) }), "name"),
        (json!({ "name": "a", "balance": 5 }), "balance"),
        (json!({ "name": "a", "token_type": "other" }), "token_type"),
        (json!({ "name": "a", "expire_time": "2026-11-22T07:59:59Z" }), "expire_time"),
        (json!({ "name": "a", "balance_reset_period": "weekly" }), "balance_reset_amount"),
    ] {
        let (status, error) = create(&world, body).await;
        assert_eq!((status, error[field].is_array()), (400, true), "{field}: {error}");
    }
    v3.set_switches(|switches| switches.flat_errors = true);
    assert_eq!(create(&world, json!({})).await, (400, json!({ "detail": "name is required." })));
    assert!(v3.keys().is_empty());
    let body = json!({ "name": "a", "expire_time": "2026-11-22T08:00:00Z" });
    assert_eq!(create(&world, body).await.1["expire_time"], "2026-11-22T08:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn an_update_changes_what_it_names_and_ignores_what_is_fixed() {
    let world = world();
    let (path, _) = made(&world, "a").await;
    made(&world, "taken").await;
    let amend = async |body: Value| world.call(TOKEN, ("PATCH", &path), body).await;
    let body =
        json!({ "name": "b", "token_type": "sandbox_api_token", "revoked_at": "2026-01-01T00:00:00Z" });
    let (status, key) = amend(body).await;
    let shown = [&key["name"], &key["token_type"], &key["revoked"]];
    assert_eq!((status, shown), (200, [&json!("b"), &json!("api_token"), &json!(false)]));
    assert!(key.get("secret").is_none());
    assert_eq!(amend(json!({ "name": "taken" })).await.0, 409);
    assert_eq!(amend(json!({ "name": "" })).await.0, 400);
    let (_, key) = amend(json!({ "balance": "2.5", "expire_time": "2027-01-01T00:00:00Z" })).await;
    assert_eq!((&key["name"], &key["balance"]), (&json!("b"), &json!(2.5)));
    let (_, key) = amend(json!({ "balance": null, "expire_time": null })).await;
    assert_eq!((&key["balance"], &key["expire_time"]), (&json!(null), &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_dead_at_once_stays_listed_and_cannot_come_back() {
    let (world, v3) = switched(|_| {});
    let (path, secret) = made(&world, "a").await;
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 200);
    let (status, revoked) = world.call(TOKEN, ("DELETE", &path), Value::Null).await;
    let shown = [&revoked["revoked"], &revoked["revoked_at"]];
    assert_eq!((status, shown), (200, [&json!(true), &json!("2026-11-21T08:00:00Z")]));
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 401);
    assert_eq!(get(&world, KEYS).await.1["results"][0]["revoked"], true);
    assert_eq!(get(&world, &path).await.0, 200);
    assert_eq!(world.call(TOKEN, ("POST", &format!("{path}rotate/")), Value::Null).await.0, 404);
    assert_eq!(world.call(TOKEN, ("PATCH", &path), json!({ "name": "b" })).await.0, 400);
    v3.set_switches(|switches| switches.delete_no_content = true);
    assert_eq!(world.call(TOKEN, ("DELETE", &path), Value::Null).await, (204, json!("")));
    assert_eq!(v3.counts().revoked_total, 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_keeps_the_key_and_kills_its_old_secret_at_once() {
    let world = world();
    let (path, old) = made(&world, "a").await;
    let (status, rotated) = world.call(TOKEN, ("POST", &format!("{path}rotate/")), Value::Null).await;
    let new = rotated["secret"].as_str().unwrap();
    let masked = format!("sk-eden-…{}", &new[new.len() - 4..]);
    assert_eq!((status, &rotated), (200, &json!({ "secret": new, "masked": masked, "name": "a" })));
    assert_ne!(new, old);
    assert_eq!((world.ask(&old, CHAT, "0").await.0, world.ask(new, CHAT, "0").await.0), (401, 200));
    assert_eq!(get(&world, &path).await.1["masked"], masked);
    assert_eq!(get(&world, KEYS).await.1["total_count"], 1);
}

#[tokio::test(start_paused = true)]
async fn an_expired_key_is_refused_and_not_revoked() {
    let world = world();
    let (_, key) = create(&world, json!({ "name": "a", "expire_time": "2026-11-23T00:00:00Z" })).await;
    world.emulator.advance(SignedDuration::from_hours(40));
    let (status, error) = world.ask(key["secret"].as_str().unwrap(), CHAT, "0").await;
    assert_eq!((status, error), (401, json!({ "detail": "This API key has expired." })));
    assert_eq!(get(&world, KEYS).await.1["results"][0]["revoked"], false);
}

#[tokio::test(start_paused = true)]
async fn a_legacy_key_is_listed_without_an_id_and_cannot_be_addressed() {
    let (world, v3) = switched(|_| {});
    let legacy = v3.add_key(NewKey { legacy: true, ..NewKey::named("old") });
    let (_, page) = get(&world, KEYS).await;
    assert_eq!((&page["results"][0]["id"], &page["results"][0]["name"]), (&json!(null), &json!("old")));
    for id in [&legacy.id, "null", "None"] {
        assert_eq!(get(&world, &format!("{KEYS}{id}/")).await.0, 404, "{id}");
    }
    assert_eq!(create(&world, json!({ "name": "old" })).await.0, 409);
    assert_eq!(world.ask(&legacy.secret, CHAT, "0").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_organization_is_not_found_and_not_listed() {
    let (world, v3) = switched(|_| {});
    let foreign = v3.add_key(NewKey { organization: "org_other".to_owned(), ..NewKey::named("a") });
    assert_eq!(
        get(&world, &format!("{KEYS}{}/", foreign.id)).await,
        (404, json!({ "detail": "Not found." }))
    );
    assert_eq!(get(&world, KEYS).await.1["total_count"], 0);
    assert_eq!(create(&world, json!({ "name": "a" })).await.0, 201);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_listing_omits_the_new_and_does_not_know_what_was_revoked() {
    let world = world();
    let (path, _) = made(&world, "old").await;
    world.emulator.advance(SignedDuration::from_secs(60));
    world.emulator.faults().add(Rule::always("GET", "/keys/", Effect::LagListing { millis: 5_000 }));
    made(&world, "new").await;
    world.call(TOKEN, ("DELETE", &path), Value::Null).await;
    let (_, page) = get(&world, KEYS).await;
    assert_eq!((names(&page["results"]), &page["results"][0]["revoked"]), (vec!["old"], &json!(false)));
    assert_eq!(get(&world, &path).await.1["revoked"], true);
    world.emulator.advance(SignedDuration::from_secs(5));
    let (_, page) = get(&world, KEYS).await;
    assert_eq!((names(&page["results"]), &page["results"][1]["revoked"]), (vec!["new", "old"], &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn a_fault_speaks_in_one_detail_on_both_planes() {
    let world = world();
    for path in [KEYS, CHAT] {
        let effect = Effect::Status { code: 503, retry_after: None };
        world.emulator.faults().add(Rule { method: None, ..Rule::once("", path, effect) });
    }
    assert_eq!(get(&world, KEYS).await, (503, json!({ "detail": "Service Unavailable" })));
    let (status, body) = world.ask("x", CHAT, "0").await;
    assert_eq!((status, body["detail"].is_string()), (503, true));
}

#[tokio::test(start_paused = true)]
async fn usage_of_a_key_is_by_day_week_month_or_year() {
    let world = world();
    let (path, secret) = made(&world, "a").await;
    world.ask(&secret, CHAT, "11.25").await;
    for (step, start) in [(1, "2026-11-21"), (2, "2026-11-16"), (3, "2026-11-01"), (4, "2026-01-01")] {
        let (status, report) = get(&world, &format!("{path}usage/?step={step}")).await;
        let sums = json!({ "total_cost": 11.25, "details": 1, "cost_per_provider": { "openai": 11.25 } });
        let expected = json!({ "usage": [{ "token": "a", "data": { start: { "text__chat": sums } } }] });
        assert_eq!((status, report), (200, expected), "{step}");
    }
    world.emulator.advance(SignedDuration::from_hours(7 * 24));
    assert_eq!(get(&world, &format!("{path}usage/?step=1")).await.1, json!({ "usage": [] }));
    let range = "step=1&begin=2026-11-21&end=2026-11-22";
    assert_eq!(get(&world, &format!("{path}usage/?{range}")).await.1["usage"][0]["token"], "a");
}

#[tokio::test(start_paused = true)]
async fn usage_of_the_organization_is_filtered_and_grouped() {
    let world = world();
    let (path, a) = made(&world, "a").await;
    let (_, owned) = create(&world, json!({ "name": "b", "member": "b@example.com" })).await;
    world.ask(&a, CHAT, "1").await;
    world.ask(owned["secret"].as_str().unwrap(), CHAT, "2").await;
    let tokens = async |query: &str| {
        let (status, report) = get(&world, &format!("{USAGE}?step=1&{query}")).await;
        assert_eq!(status, 200, "{query}");
        let usage = report["usage"].as_array().unwrap();
        usage.iter().map(|row| row["token"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tokens("").await, ["a", "b"]);
    let id = path.split('/').rev().nth(1).unwrap();
    assert_eq!(tokens(&format!("key_id={id}")).await, ["a"]);
    assert_eq!(tokens("token=b").await, ["b"]);
    assert_eq!(tokens("user=b@example.com").await, ["b"]);
    assert_eq!(tokens("provider=openai&feature=text&subfeature=chat&billing=eden").await, ["a", "b"]);
    for nothing in ["provider=mistral", "feature=image", "subfeature=ocr", "billing=own_keys", "phase=x"] {
        assert!(tokens(nothing).await.is_empty(), "{nothing}");
    }
    let (_, report) = get(&world, &format!("{USAGE}?step=1&group_by=user")).await;
    let users = json!([{ "user": null, "total_cost": 1.0 }, { "user": "b@example.com", "total_cost": 2.0 }]);
    assert_eq!(report["usage"], users);
}

#[tokio::test(start_paused = true)]
async fn a_usage_query_that_makes_no_sense_is_refused() {
    let world = world();
    for query in [
        "",
        "step=5",
        "step=1&begin=2026-11-01",
        "step=1&begin=2026-11-02&end=2026-11-01",
        "step=1&begin=2025-01-01&end=2026-11-01",
        "step=1&begin=now&end=then",
        "step=1&group_by=team",
        "step=1&billing=me",
    ] {
        assert_eq!(get(&world, &format!("{USAGE}?{query}")).await.0, 400, "{query}");
    }
}
