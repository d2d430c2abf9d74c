//! Lists of keys: envelope, pages, order, raw array, and what a lagging listing shows.

use keysmith::emulator::{Effect, Rule};
use serde_json::{Value, json};

use super::support::{KEYS, ORG, PROVIDER_KEYS, World, names, world};

async fn with_keys(count: usize) -> World {
    let world = world();
    for number in 1..=count {
        world.post(KEYS, json!({ "name": format!("k{number}") })).await;
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_list_is_an_envelope_newest_first_without_secrets() {
    let world = with_keys(2).await;
    let (status, list) = world.get(KEYS).await;
    assert_eq!((status, names(&list["data"])), (200, vec!["k2", "k1"]));
    let envelope = (&list["object"], &list["url"], &list["has_more"], &list["last_key"]);
    let url = json!("/v1/organizations/org_demo/api_keys");
    assert_eq!(envelope, (&json!("list"), &url, &json!(false), &json!("key_000001")));
    assert!(list["data"].as_array().unwrap().iter().all(|key| key.get("key").is_none()));
}

#[tokio::test(start_paused = true)]
async fn pages_follow_the_cursor_to_the_end_without_gap_or_repeat() {
    let world = with_keys(7).await;
    world.emulator.edgee().set_switches(|switches| switches.page_size = 3);
    let mut seen = Vec::new();
    let mut path = KEYS.to_owned();
    loop {
        let (_, list) = world.get(&path).await;
        seen.extend(names(&list["data"]).into_iter().map(str::to_owned));
        if list["has_more"] == json!(false) {
            break;
        }
        path = format!("{KEYS}?start_key={}", list["last_key"].as_str().unwrap());
    }
    assert_eq!(seen, ["k7", "k6", "k5", "k4", "k3", "k2", "k1"]);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_survives_the_deletion_of_its_key() {
    let world = with_keys(3).await;
    assert!(world.emulator.edgee().delete_key("key_000002"));
    let (_, list) = world.get(&format!("{KEYS}?start_key=key_000002")).await;
    assert_eq!(names(&list["data"]), ["k1"]);
}

#[tokio::test(start_paused = true)]
async fn limit_and_order_are_obeyed_and_checked() {
    let world = with_keys(3).await;
    let (_, list) = world.get(&format!("{KEYS}?limit=2&order_direction=ASC")).await;
    assert_eq!((names(&list["data"]), &list["has_more"]), (vec!["k1", "k2"], &json!(true)));
    let (_, list) = world.get(&format!("{KEYS}?limit=2&order_direction=ASC&start_key=key_000002")).await;
    assert_eq!((names(&list["data"]), &list["has_more"]), (vec!["k3"], &json!(false)));
    let (_, list) = world.get(&format!("{KEYS}?limit=3")).await;
    assert_eq!((names(&list["data"]).len(), &list["has_more"]), (3, &json!(false)));
    world.emulator.edgee().set_switches(|switches| switches.page_size = 1);
    assert_eq!(names(&world.get(&format!("{KEYS}?limit=50")).await.1["data"]), ["k3"]);
    for query in ["limit=0", "limit=x", "order_direction=UP", "start_key=what"] {
        assert_eq!(world.get(&format!("{KEYS}?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_page_has_100_keys_and_an_empty_list_is_no_error() {
    let world = with_keys(101).await;
    let (_, list) = world.get(KEYS).await;
    assert_eq!((list["data"].as_array().unwrap().len(), &list["has_more"]), (100, &json!(true)));
    let (_, list) = world.get(&format!("{KEYS}?start_key=key_000001")).await;
    assert_eq!((&list["data"], &list["last_key"]), (&json!([]), &json!("")));
}

#[tokio::test(start_paused = true)]
async fn a_list_may_be_a_raw_array_of_everything() {
    let world = with_keys(3).await;
    world.emulator.edgee().set_switches(|switches| {
        switches.raw_list = true;
        switches.page_size = 1;
    });
    assert_eq!(names(&world.get(KEYS).await.1), ["k3", "k2", "k1"]);
}

#[tokio::test(start_paused = true)]
async fn a_lagging_listing_omits_the_new_and_still_shows_the_deleted() {
    let world = with_keys(2).await;
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    world.emulator.faults().add(Rule::always("GET", "api_keys", Effect::LagListing { millis: 5_000 }));
    world.post(KEYS, json!({ "name": "new" })).await;
    world.delete(&format!("{KEYS}/key_000001")).await;
    assert_eq!(names(&world.get(KEYS).await.1["data"]), ["k2", "k1"]);
    assert_eq!(world.get(&format!("{KEYS}/key_000003")).await.0, 200);
    assert_eq!(world.get(&format!("{KEYS}/key_000001")).await.0, 404);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(names(&world.get(KEYS).await.1["data"]), ["new", "k2"]);
}

#[tokio::test(start_paused = true)]
async fn only_listings_use_up_a_lag() {
    let world = with_keys(1).await;
    world.emulator.faults().add(Rule::once("GET", "api_keys", Effect::LagListing { millis: 5_000 }));
    world.get(&format!("{KEYS}/key_000001")).await;
    world.get(&format!("{KEYS}/key_000001/reveal")).await;
    assert_eq!(world.get(KEYS).await.1["data"], json!([]));
    assert_eq!(names(&world.get(KEYS).await.1["data"]), ["k1"]);
}

#[tokio::test(start_paused = true)]
async fn provider_keys_lag_too_and_another_fault_may_hit_the_same_listing() {
    let world = world();
    let body = json!({ "provider": "openai", "provider_key": "k", "name": "p", "api_key_ids": [] });
    world.post(PROVIDER_KEYS, body).await;
    let faults = world.emulator.faults();
    faults.add(Rule::always("GET", "provider-keys", Effect::LagListing { millis: 1_000 }));
    faults.add(Rule::once("GET", "provider-keys", Effect::Status { code: 503, retry_after: None }));
    assert_eq!(world.get(PROVIDER_KEYS).await.0, 503);
    assert_eq!(world.get(PROVIDER_KEYS).await, (200, Value::Array(vec![])));
    world.emulator.advance(jiff::SignedDuration::from_secs(1));
    assert_eq!(names(&world.get(PROVIDER_KEYS).await.1), ["p"]);
    assert_eq!(world.emulator.edgee().provider_keys(ORG).len(), 1);
}
