//! Listings that lack keys which work, or show rows that no key has; and rules with an end.

use jiff::SignedDuration;
use keysmith::emulator::{Effect, Rule};
use serde_json::{Value, json};

use super::support::{KEYS, PROVIDER_KEYS, World, names, world};

const V3: &str = "/edenai/v3/manage/keys/";
const V3_TOKEN: &str = "mgmt-eden-emulated-console-token";
const CORTECS: &str = "/cortecs/v1/manage/api-keys";
const CORTECS_TOKEN: &str = "cortecs-emulated-console-token";

async fn with_keys() -> World {
    let world = world();
    for name in ["a", "b"] {
        world.post(KEYS, json!({ "name": name })).await;
        world.call(V3_TOKEN, ("POST", V3), json!({ "name": name })).await;
        world.call(CORTECS_TOKEN, ("POST", CORTECS), json!({ "name": name })).await;
    }
    world
}

async fn v3(world: &World) -> Value {
    world.call(V3_TOKEN, ("GET", V3), Value::Null).await.1
}

async fn cortecs(world: &World) -> Value {
    world.call(CORTECS_TOKEN, ("GET", CORTECS), Value::Null).await.1
}

#[tokio::test(start_paused = true)]
async fn a_listing_lacks_the_named_keys_until_the_rule_ends() {
    let world = with_keys().await;
    let rule = json!({ "seconds": 20, "effect": { "kind": "hideListed", "keys": ["key_000001", "a"] } });
    assert_eq!(world.post("/_emulator/faults", rule).await.0, 204);
    assert_eq!(names(&world.get(KEYS).await.1["data"]), ["b"]);
    let page = v3(&world).await;
    assert_eq!((names(&page["results"]), &page["total_count"]), (vec!["b"], &json!(1)));
    assert!(!names(&cortecs(&world).await["api_keys"]).contains(&"a"));
    // The key itself exists.
    assert_eq!(world.get(&format!("{KEYS}/key_000001")).await.0, 200);
    world.emulator.advance(SignedDuration::from_secs(20));
    assert_eq!(names(&world.get(KEYS).await.1["data"]), ["b", "a"]);
    assert_eq!(v3(&world).await["total_count"], json!(2));
    assert_eq!(world.get("/_emulator/faults").await.1, json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_empty_while_every_key_works() {
    let world = with_keys().await;
    let hide = Effect::HideListed { keys: Vec::new() };
    world.emulator.faults().add_for(Rule::always("GET", "", hide), SignedDuration::from_secs(5));
    assert_eq!(world.get(KEYS).await.1["data"], json!([]));
    let page = v3(&world).await;
    assert_eq!((&page["results"], &page["total_count"]), (&json!([]), &json!(0)));
    assert_eq!(cortecs(&world).await, json!({ "api_keys": [] }));
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(names(&world.get(KEYS).await.1["data"]).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn rows_that_no_key_has_are_listed_as_they_are_beside_another_fault() {
    let world = with_keys().await;
    let odd = json!({ "id": "key_x", "name": "theirs", "max_usage": "a lot" });
    let rows = vec![odd.clone(), json!(7)];
    let faults = world.emulator.faults();
    faults.add(Rule::always("GET", "/", Effect::ExtraRows { rows }));
    faults.add(Rule::once("GET", "/api_keys", Effect::Status { code: 503, retry_after: None }));
    assert_eq!(world.get(KEYS).await.0, 503);
    let data = world.get(KEYS).await.1["data"].clone();
    assert_eq!((data.as_array().unwrap().len(), &data[2], &data[3]), (4, &odd, &json!(7)));
    assert_eq!(world.get(PROVIDER_KEYS).await.1, json!([odd, 7]));
    assert_eq!(v3(&world).await["total_count"], json!(4));
    assert_eq!(cortecs(&world).await["api_keys"].as_array().unwrap().len(), 5);
    // Only listings have rows.
    let key = world.get(&format!("{KEYS}/key_000001")).await.1;
    assert_eq!(key["name"], json!("a"));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_not_found_while_it_works() {
    let world = with_keys().await;
    let rule = json!({ "method": "GET", "pathContains": "/api_keys/key_000001", "seconds": 7,
        "effect": { "kind": "status", "code": 404 } });
    assert_eq!(world.post("/_emulator/faults", rule).await.0, 204);
    assert_eq!(world.get(&format!("{KEYS}/key_000001")).await.0, 404);
    assert_eq!(names(&world.get(KEYS).await.1["data"]).len(), 2);
    world.emulator.advance(SignedDuration::from_secs(7));
    assert_eq!(world.get(&format!("{KEYS}/key_000001")).await.0, 200);
    let wrong = json!({ "seconds": "soon", "effect": { "kind": "hang" } });
    assert_eq!(world.post("/_emulator/faults", wrong).await.0, 400);
}
