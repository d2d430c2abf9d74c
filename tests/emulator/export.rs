//! The export of usage and cost.

use jiff::SignedDuration;
use keysmith::emulator::edgee::NewKey;
use serde_json::{Value, json};

use super::support::{ORG, World, request, world};

const EXPORT: &str = "/edgee/v1/organizations/org_demo/logs/export";

/// Two keys; one call of each, a day apart.
async fn with_usage() -> World {
    let world = world();
    let edgee = world.emulator.edgee();
    let first = edgee.add_key(ORG, NewKey::named("first, \"quoted\""));
    let second = edgee.add_key(ORG, NewKey::named("second"));
    let body = json!({ "model": "openai/gpt-5.2", "tags": ["batch"] });
    world.chat(&first.secret, body, &[("x-emulator-cost-usd", "0.25"), ("x-edgee-tags", "prod, eu")]).await;
    world.emulator.advance(SignedDuration::from_hours(24));
    world.chat(&second.secret, json!({ "model": "mistral/mistral-large" }), &[]).await;
    world
}

async fn keys_in(world: &World, query: &str) -> Vec<String> {
    let (status, records) = world.get(&format!("{EXPORT}?format=json&{query}")).await;
    assert_eq!(status, 200, "{query}");
    let records = records.as_array().unwrap();
    records.iter().map(|record| record["api_key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_default_is_csv_with_the_documented_columns() {
    let world = with_usage().await;
    let answer = world.raw(request("GET", &format!("{EXPORT}?period=7d"), Value::Null)).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "Timestamp,API Key,Model,Provider,Input Tokens,Output Tokens,Cost,Tags");
    let first = "2026-11-21T08:00:00Z,\"first, \"\"quoted\"\"\",openai/gpt-5.2,openai,11,16,0.250000,\"prod,eu,batch\"";
    assert_eq!(lines[1], first);
    assert_eq!(lines.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn json_records_carry_numbers() {
    let world = with_usage().await;
    let (_, records) = world.get(&format!("{EXPORT}?format=json&period=30d")).await;
    assert_eq!((&records[0]["cost"], &records[0]["output_tokens"]), (&json!(0.25), &json!(16)));
    assert_eq!((&records[1]["provider"], &records[1]["tags"]), (&json!("mistral"), &json!([])));
}

#[tokio::test(start_paused = true)]
async fn records_are_filtered_by_time_key_and_tag() {
    let world = with_usage().await;
    let (first, second) = ("first, \"quoted\"", "second");
    assert_eq!(keys_in(&world, "period=1h").await, [second]);
    assert_eq!(keys_in(&world, "period=7d").await, [first, second]);
    assert_eq!(keys_in(&world, "to_date=2026-11-21").await, [first]);
    assert_eq!(keys_in(&world, "from_date=2026-11-22&period=30d").await, [second]);
    assert_eq!(keys_in(&world, "from_date=2026-11-21T07:00:00Z&to_date=2026-11-21T09:00:00Z").await, [first]);
    assert_eq!(keys_in(&world, "period=7d&api_key_id%5B%5D=key_000002").await, [second]);
    let both = "period=7d&api_key_id[]=key_000001&api_key_id[]=key_000002";
    assert_eq!(keys_in(&world, both).await, [first, second]);
    assert_eq!(keys_in(&world, "period=7d&tags[]=eu&tags[]=us").await, [first]);
}

#[tokio::test(start_paused = true)]
async fn records_may_name_the_key_by_its_id() {
    let world = with_usage().await;
    world.emulator.edgee().set_switches(|switches| switches.export_key_ids = true);
    assert_eq!(keys_in(&world, "period=7d").await, ["key_000001", "key_000002"]);
}

#[tokio::test(start_paused = true)]
async fn unknown_periods_dates_and_formats_are_refused() {
    let world = with_usage().await;
    for query in ["period=2h", "from_date=yesterday", "to_date=2026-13-01", "format=xml"] {
        assert_eq!(world.get(&format!("{EXPORT}?{query}")).await.0, 400, "{query}");
    }
}
