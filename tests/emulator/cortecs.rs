//! Cortecs: keys, balance, usage and the data plane.

use jiff::SignedDuration;
use keysmith::emulator::cortecs::{Budget, Period, Person, Switches};
use keysmith::emulator::{Cortecs, Effect, Rule};
use serde_json::{Value, json};

use super::support::{World, names, world};

const TOKEN: &str = "cortecs-emulated-console-token";
const KEYS: &str = "/cortecs/v1/manage/api-keys";
const BALANCE: &str = "/cortecs/v1/manage/users/balance";
const USAGE: &str = "/cortecs/v1/manage/usage";
const CHAT: &str = "/cortecs-gateway/v1/chat/completions";

async fn create(world: &World, body: Value) -> (u16, Value) {
    world.call(TOKEN, ("POST", KEYS), body).await
}

async fn delete(world: &World, body: Value) -> (u16, Value) {
    world.call(TOKEN, ("DELETE", KEYS), body).await
}

async fn get(world: &World, path: &str) -> (u16, Value) {
    world.call(TOKEN, ("GET", path), Value::Null).await
}

/// Names of the keys that are no management keys, newest first.
async fn listed(world: &World) -> Vec<String> {
    let (status, list) = get(world, KEYS).await;
    assert_eq!(status, 200);
    let keys = list["api_keys"].as_array().unwrap().iter();
    let keys = keys.filter(|key| key["is_management_key"] == false);
    keys.map(|key| key["name"].as_str().unwrap().to_owned()).collect()
}

fn switched(change: impl FnOnce(&mut Switches)) -> (World, Cortecs) {
    let world = world();
    let cortecs = world.emulator.cortecs();
    cortecs.set_switches(change);
    (world, cortecs)
}

async fn secret_of(world: &World, name: &str) -> String {
    let (_, body) = create(world, json!({ "name": name })).await;
    body["api_key"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_created_key_shows_its_secret_once_and_is_listed_with_seconds_and_without_it() {
    let world = world();
    let (status, body) = create(&world, json!({ "name": "my-new-key" })).await;
    assert_eq!(status, 201);
    assert!(body["api_key"].as_str().unwrap().starts_with("cortecs-emulated-"));
    let (_, list) = get(&world, KEYS).await;
    let expected = json!({ "name": "my-new-key", "created_at": 1_795_248_000, "is_management_key": false });
    assert_eq!(list["api_keys"][0], expected);
    assert_eq!(names(&list["api_keys"]), ["my-new-key", "console-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_create_may_answer_200_with_the_secret_alone() {
    let (world, _) = switched(|switches| {
        switches.create_status = 200;
        switches.create_key_only = true;
    });
    let (status, body) = create(&world, json!({ "name": "a" })).await;
    assert_eq!((status, body.as_object().unwrap().len()), (200, 1));
    assert!(body["api_key"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_taken_name_a_bad_name_and_a_reached_limit_are_all_the_same_status() {
    let (world, cortecs) = switched(|switches| switches.key_limit = Some(3));
    assert_eq!(create(&world, json!({ "name": "a" })).await.0, 201);
    let error = |why: &str| (400, json!({ "error": why }));
    let taken = error("An API key with this name already exists");
    assert_eq!(create(&world, json!({ "name": "a" })).await, taken);
    let long = "x".repeat(64);
    for name in ["", "Upper", "under_score", "a b", &long] {
        assert_eq!(create(&world, json!({ "name": name })).await.0, 400, "{name}");
    }
    assert_eq!(create(&world, json!({ "name": "b" })).await.0, 201);
    assert_eq!(create(&world, json!({ "name": "c" })).await, error("API key limit reached"));
    cortecs.set_switches(|switches| {
        switches.key_limit = None;
        switches.any_name = true;
    });
    assert_eq!(create(&world, json!({ "name": "Upper case" })).await.0, 201);
    assert_eq!(create(&world, json!({ "name": "a", "is_management_key": "yes" })).await.0, 400);
    assert_eq!(cortecs.counts().created_total, 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_deleted_by_the_name_in_a_body() {
    let world = world();
    let secret = secret_of(&world, "my-old-key").await;
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 200);
    let (status, body) = delete(&world, Value::Null).await;
    assert_eq!((status, body), (400, json!({ "error": "name is required." })));
    let by_query = format!("{KEYS}?name=my-old-key");
    assert_eq!(world.call(TOKEN, ("DELETE", &by_query), Value::Null).await.0, 400);
    let deleted = (200, json!({ "success": true, "deleted": "my-old-key" }));
    assert_eq!(delete(&world, json!({ "name": "my-old-key" })).await, deleted);
    let gone = (404, json!({ "error": "API key not found" }));
    assert_eq!(delete(&world, json!({ "name": "my-old-key" })).await, gone);
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 401);
    assert!(listed(&world).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_name_is_free_again_and_has_another_secret() {
    let world = world();
    let first = secret_of(&world, "a").await;
    delete(&world, json!({ "name": "a" })).await;
    assert_ne!(secret_of(&world, "a").await, first);
    assert_eq!(world.ask(&first, CHAT, "0").await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_key_may_linger_for_a_while() {
    let (world, _) = switched(|switches| switches.deleted_keys_linger_millis = 5_000);
    let secret = secret_of(&world, "a").await;
    delete(&world, json!({ "name": "a" })).await;
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 200);
    world.emulator.advance(SignedDuration::from_secs(5));
    assert_eq!(world.ask(&secret, CHAT, "0").await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_minted_management_key_authenticates_until_it_is_deleted_with_another() {
    let world = world();
    let (_, minted) = create(&world, json!({ "name": "ci", "is_management_key": true })).await;
    let minted = minted["api_key"].as_str().unwrap();
    let own = json!({ "name": "ci" });
    assert_eq!(world.call(minted, ("GET", KEYS), Value::Null).await.0, 200);
    let refused = json!({ "error": "You cannot delete the management key in use" });
    assert_eq!(world.call(minted, ("DELETE", KEYS), own.clone()).await, (400, refused.clone()));
    world.emulator.cortecs().set_switches(|switches| switches.delete_own_status = 403);
    assert_eq!(world.call(minted, ("DELETE", KEYS), own.clone()).await, (403, refused));
    assert_eq!(delete(&world, own).await.0, 200);
    assert_eq!(world.call(minted, ("GET", KEYS), Value::Null).await.0, 401);
    let counts = world.emulator.cortecs().counts();
    assert_eq!((counts.created_total, counts.management_created_total), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn the_first_management_key_can_be_replaced_by_a_minted_one() {
    let world = world();
    let (_, minted) = create(&world, json!({ "name": "ci", "is_management_key": true })).await;
    let minted = minted["api_key"].as_str().unwrap();
    assert_eq!(world.call(minted, ("DELETE", KEYS), json!({ "name": "console-1" })).await.0, 200);
    assert_eq!(get(&world, KEYS).await.0, 401);
    assert_eq!(world.call(minted, ("GET", KEYS), Value::Null).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_are_unauthorized_and_keys_for_applications_forbidden() {
    let world = world();
    let unauthorized = (401, json!({ "error": "Invalid or missing token" }));
    assert_eq!(world.anonymous(KEYS).await, unauthorized);
    assert_eq!(world.call("cortecs-emulated-1-0", ("GET", KEYS), Value::Null).await, unauthorized);
    let secret = secret_of(&world, "a").await;
    let forbidden = (403, json!({ "error": "A management API key is required" }));
    assert_eq!(world.call(&secret, ("GET", KEYS), Value::Null).await, forbidden);
    assert!(world.emulator.cortecs().revoke_token(TOKEN));
    assert_eq!(get(&world, KEYS).await, unauthorized);
}

#[tokio::test(start_paused = true)]
async fn a_user_in_another_project_has_other_keys_and_may_use_the_same_names() {
    let world = world();
    let other = Person { project: "project_two".to_owned(), ..Person::default() };
    world.emulator.cortecs().add_token_of("cortecs-emulated-two", other);
    create(&world, json!({ "name": "a" })).await;
    let two = "cortecs-emulated-two";
    assert_eq!(world.call(two, ("POST", KEYS), json!({ "name": "a" })).await.0, 201);
    assert_eq!(world.call(two, ("DELETE", KEYS), json!({ "name": "a" })).await.0, 200);
    assert_eq!(listed(&world).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn unknown_paths_and_methods_are_refused_in_the_vendors_shape() {
    let world = world();
    assert_eq!(get(&world, "/cortecs/v1/manage/nothing").await, (404, json!({ "error": "Not found" })));
    assert_eq!(get(&world, &format!("{KEYS}/a")).await.0, 404);
    assert_eq!(world.call(TOKEN, ("PATCH", KEYS), json!({})).await.0, 405);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_listing_omits_the_new_and_still_shows_the_deleted() {
    let world = world();
    create(&world, json!({ "name": "old" })).await;
    world.emulator.advance(SignedDuration::from_secs(60));
    world.emulator.faults().add(Rule::always("GET", "/api-keys", Effect::LagListing { millis: 5_000 }));
    create(&world, json!({ "name": "new" })).await;
    delete(&world, json!({ "name": "old" })).await;
    assert_eq!(listed(&world).await, ["old"]);
    world.emulator.advance(SignedDuration::from_secs(5));
    assert_eq!(listed(&world).await, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_fault_speaks_in_the_vendors_shape_on_both_planes() {
    let world = world();
    for path in [KEYS, CHAT] {
        let effect = Effect::Status { code: 429, retry_after: None };
        world.emulator.faults().add(Rule { method: None, ..Rule::once("", path, effect) });
    }
    assert_eq!(get(&world, KEYS).await, (429, json!({ "error": "Too Many Requests" })));
    let (status, body) = world.ask("x", CHAT, "0").await;
    assert_eq!((status, body["error"].is_string()), (429, true));
    world.emulator.faults().add(Rule::once("POST", KEYS, Effect::AppliedStatus { code: 502 }));
    assert_eq!(create(&world, json!({ "name": "a" })).await.0, 502);
    assert_eq!(listed(&world).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_balance_falls_with_every_call_and_may_come_wrapped() {
    let world = world();
    assert_eq!(get(&world, BALANCE).await, (200, json!({ "current_balance": 1000.0, "currency": "EUR" })));
    let secret = secret_of(&world, "a").await;
    assert_eq!(world.ask(&secret, CHAT, "0.25").await.0, 200);
    assert_eq!(get(&world, BALANCE).await.1["current_balance"], 999.75);
    assert!(world.emulator.cortecs().spend("a", 9_750_000));
    world.emulator.cortecs().set_switches(|switches| switches.wrapped_balance = true);
    let wrapped = json!({ "data": { "current_balance": 990.0, "currency": "EUR" } });
    assert_eq!(get(&world, BALANCE).await, (200, wrapped));
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_the_console_blocks_until_the_next_day_and_goes_with_the_key() {
    let world = world();
    let cortecs = world.emulator.cortecs();
    let secret = secret_of(&world, "a").await;
    let budget = Budget::new(500_000, Period::Daily);
    assert!(cortecs.edit_key("a", |key| key.budget = Some(budget)));
    assert_eq!(world.ask(&secret, CHAT, "0.5").await.0, 200);
    assert_eq!(world.ask(&secret, CHAT, "0.5").await, (402, json!({ "error": "Budget exceeded" })));
    cortecs.set_switches(|switches| switches.over_budget_status = 429);
    assert_eq!(world.ask(&secret, CHAT, "0.5").await.0, 429);
    world.emulator.advance(SignedDuration::from_hours(16));
    assert_eq!(world.ask(&secret, CHAT, "0.5").await.0, 200);
    delete(&world, json!({ "name": "a" })).await;
    let secret = secret_of(&world, "a").await;
    assert_eq!(world.ask(&secret, CHAT, "9").await.0, 200);
    assert_eq!(world.ask(&secret, CHAT, "9").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn usage_is_summed_per_key_and_day() {
    let world = world();
    let (a, b) = (secret_of(&world, "a").await, secret_of(&world, "b").await);
    world.ask(&a, CHAT, "0.25").await;
    world.ask(&a, CHAT, "0.5").await;
    world.emulator.advance(SignedDuration::from_hours(24));
    world.ask(&b, CHAT, "0.125").await;
    let (status, report) = get(&world, &format!("{USAGE}?from=2026-11-21&group_by=user_key")).await;
    assert_eq!(
        (status, &report["bucket"], &report["from"]),
        (200, &json!("1d"), &json!("2026-11-21T00:00:00Z"))
    );
    let rows: Vec<_> = report["rows"].as_array().unwrap().iter().collect();
    let row = |row: &Value| {
        (row["bucket"].clone(), row["key_name"].clone(), row["requests"].clone(), row["cost"].clone())
    };
    assert_eq!(rows.len(), 2);
    assert_eq!(row(rows[0]), (json!("2026-11-21T00:00:00Z"), json!("a"), json!(2), json!(0.75)));
    assert_eq!(row(rows[1]), (json!("2026-11-22T00:00:00Z"), json!("b"), json!(1), json!(0.125)));
    assert!(rows[0]["tokens"].as_u64().unwrap() > 0);
    assert_eq!(rows[0]["user_id"], "user_demo");
}

#[tokio::test(start_paused = true)]
async fn usage_is_of_today_without_a_range_and_groups_as_asked() {
    let world = world();
    let secret = secret_of(&world, "a").await;
    world.ask(&secret, CHAT, "1").await;
    world.emulator.advance(SignedDuration::from_hours(24));
    assert_eq!(get(&world, USAGE).await.1["rows"], json!([]));
    world.ask(&secret, CHAT, "2").await;
    for (query, key, value) in [
        ("group_by=provider", "provider", "openai"),
        ("group_by=model", "model", "openai/gpt-5.2"),
        ("group_by=user", "user_id", "user_demo"),
        ("bucket=6h", "bucket", "2026-11-22T06:00:00Z"),
        ("bucket=1w&from=2026-01-01", "bucket", "2026-11-16T00:00:00Z"),
        ("bucket=1M&from=2026-01-01", "bucket", "2026-11-01T00:00:00Z"),
        ("bucket=1Y&from=2026-01-01", "bucket", "2026-01-01T00:00:00Z"),
    ] {
        let (_, report) = get(&world, &format!("{USAGE}?{query}")).await;
        assert_eq!(
            (report["rows"].as_array().unwrap().len(), &report["rows"][0][key]),
            (1, &json!(value)),
            "{query}"
        );
    }
    for query in ["group_by=key", "bucket=2d", "from=yesterday"] {
        assert_eq!(get(&world, &format!("{USAGE}?{query}")).await.0, 400, "{query}");
    }
    let other = Person { project: "project_two".to_owned(), ..Person::default() };
    world.emulator.cortecs().add_token_of("cortecs-emulated-two", other);
    let (_, report) = world.call("cortecs-emulated-two", ("GET", USAGE), Value::Null).await;
    assert_eq!(report["rows"], json!([]));
    world.emulator.cortecs().set_switches(|switches| switches.usage = false);
    assert_eq!(get(&world, USAGE).await.0, 404);
}
