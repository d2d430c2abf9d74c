//! Provider credentials, and the three undocumented endpoints.

use keysmith::emulator::edgee::{Support, Switches};
use serde_json::{Value, json};

use super::support::{ORG, PROVIDER_KEYS, World, world};

fn body(provider: &str, provider_key: &str) -> Value {
    json!({ "provider": provider, "provider_key": provider_key, "name": "main", "api_key_ids": ["key_1"] })
}

async fn with_one() -> (World, String) {
    let world = world();
    world.post(PROVIDER_KEYS, body("openai", "sk-canary")).await;
    (world, format!("{PROVIDER_KEYS}/pk_000001"))
}

#[tokio::test(start_paused = true)]
async fn a_created_provider_key_answers_without_its_credential() {
    let world = world();
    let (status, created) = world.post(PROVIDER_KEYS, body("openai", "sk-canary")).await;
    let expected = json!({
        "id": "pk_000001", "provider": "openai", "name": "main",
        "created_at": "2026-11-21T08:00:00Z", "created_by": "user_000001",
    });
    assert_eq!((status, created), (200, expected));
    let stored = world.emulator.edgee().provider_keys(ORG);
    assert_eq!(stored[0].provider_key, "sk-canary");
    assert!(!format!("{stored:?}").contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn the_list_is_a_raw_array_full_or_bare() {
    let (world, _) = with_one().await;
    let (_, list) = world.get(PROVIDER_KEYS).await;
    let expected = json!([{
        "id": "pk_000001", "provider": "openai", "name": "main", "api_key_ids": ["key_1"],
        "created_at": "2026-11-21T08:00:00Z", "created_by": "user_000001", "active": true,
    }]);
    assert_eq!(list, expected);
    world.emulator.edgee().set_switches(|switches| switches.bare_provider_keys = true);
    assert_eq!(world.get(PROVIDER_KEYS).await.1, json!([{ "provider": "openai", "active": true }]));
}

#[tokio::test(start_paused = true)]
async fn names_are_at_most_100_characters_and_nothing_may_be_missing() {
    let world = world();
    let mut long = body("openai", "k");
    long["name"] = json!("é".repeat(100));
    assert_eq!(world.post(PROVIDER_KEYS, long.clone()).await.0, 200);
    long["name"] = json!("é".repeat(101));
    assert_eq!(world.post(PROVIDER_KEYS, long).await.0, 400);
    let (status, error) = world.post(PROVIDER_KEYS, json!({})).await;
    let params = error["error"]["params"].as_array().unwrap();
    let params: Vec<_> = params.iter().map(|param| param["param"].as_str().unwrap()).collect();
    assert_eq!((status, params), (400, vec!["provider", "provider_key", "name", "api_key_ids"]));
    let not_a_string = json!({ "provider": "x", "provider_key": {}, "name": "n", "api_key_ids": [] });
    assert_eq!(world.post(PROVIDER_KEYS, not_a_string).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_json_are_checked_for_their_shape() {
    let world = world();
    let cases = [
        ("google_vertex_ai", r#"{"type":"service_account","project_id":"p","private_key":"k"}"#, 200),
        ("google_vertex_ai", r#"{"type":"service_account","project_id":"p"}"#, 400),
        ("google_vertex_ai", "AIza", 400),
        ("azure", r#"{"endpoint":"https://x.example.com","api_key":"k"}"#, 200),
        ("azure", r#"{"api_key":"k"}"#, 400),
        ("bedrock", r#"{"global":{"access_key_id":"a","secret_access_key":"s"}}"#, 200),
        ("bedrock", r#"{"access_key_id":"a","secret_access_key":"s"}"#, 400),
        ("bedrock", "{}", 400),
        ("a_new_provider", "anything", 200),
    ];
    for (provider, credential, status) in cases {
        let (answered, answer) = world.post(PROVIDER_KEYS, body(provider, credential)).await;
        assert_eq!(answered, status, "{provider} {credential}");
        assert!(!answer.to_string().contains("secret_access_key"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_keeps_the_credential_unless_one_is_given() {
    let (world, path) = with_one().await;
    let (status, read) = world.post(&path, json!({ "name": "b", "provider_key": "", "provider": "x" })).await;
    assert_eq!((status, &read["name"], &read["provider"]), (200, &json!("b"), &json!("openai")));
    assert_eq!(world.emulator.edgee().provider_keys(ORG)[0].provider_key, "sk-canary");
    world.post(&path, json!({ "provider_key": "sk-next", "api_key_ids": [], "active": false })).await;
    let stored = &world.emulator.edgee().provider_keys(ORG)[0];
    assert_eq!(
        (stored.provider_key.as_str(), stored.api_key_ids.len(), stored.active),
        ("sk-next", 0, false)
    );
    assert_eq!(world.get(&path).await.1["active"], false);
    assert_eq!(world.post(&path, json!({ "name": "" })).await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_provider_key_is_gone() {
    let (world, path) = with_one().await;
    assert_eq!(world.delete(&path).await.1["deleted"], true);
    assert_eq!((world.get(&path).await.0, world.delete(&path).await.0), (404, 404));
    assert!(world.emulator.edgee().provider_keys(ORG).is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_undocumented_endpoint_may_be_missing_or_do_nothing() {
    type Set = fn(&mut Switches, Support);
    let endpoints: [(&str, Set); 3] = [
        ("GET", |switches, support| switches.provider_key_get = support),
        ("POST", |switches, support| switches.provider_key_update = support),
        ("DELETE", |switches, support| {
            switches.provider_key_delete = support;
        }),
    ];
    let (world, path) = with_one().await;
    for (method, set) in endpoints {
        let call = || world.json(method, &path, json!({ "name": "changed" }));
        world.emulator.edgee().set_switches(|switches| set(switches, Support::UnknownPath));
        assert_eq!(call().await.0, 404, "{method}");
        world.emulator.edgee().set_switches(|switches| set(switches, Support::DoesNothing));
        assert_eq!(call().await, (200, json!({})), "{method}");
    }
    assert_eq!(world.emulator.edgee().provider_keys(ORG)[0].name, "main");
}

#[tokio::test(start_paused = true)]
async fn a_human_edits_and_deletes_provider_keys() {
    let (world, path) = with_one().await;
    let edgee = world.emulator.edgee();
    assert!(edgee.edit_provider_key("pk_000001", |record| record.active = false));
    assert_eq!(world.get(&path).await.1["active"], false);
    assert!(edgee.delete_provider_key("pk_000001") && !edgee.delete_provider_key("pk_000001"));
    assert_eq!(world.get(&path).await.0, 404);
}
