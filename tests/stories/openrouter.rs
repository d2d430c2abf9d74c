//! What only OpenRouter has: provider keys by its own words, restricted to keys by their hashes.

use crate::support::world::World;
use keysmith::emulator::openrouter::ProviderKeyRecord;
use keysmith::emulator::{Effect, Rule};
use serde_json::{Value, json};
use std::time::Duration;

async fn stored(
    world: &World,
    what: &str,
    check: impl Fn(&[ProviderKeyRecord]) -> bool,
) -> Vec<ProviderKeyRecord> {
    world
        .eventually(what, async || {
            let stored = world.emulator.openrouter().provider_keys();
            if check(&stored) { Ok(stored) } else { Err(format!("{stored:?}")) }
        })
        .await
}

fn spec(fields: &Value) -> Value {
    let mut spec = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "amazon-bedrock", "credentialsRef": {"name": "byok"},
    });
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    spec
}

const DOCUMENT: &str = "{\n  \"accessKeyId\": \"canary-id\",\n  \"secretAccessKey\": \"canary-secret\"\n}";

pub async fn a_provider_key_follows_its_keys_and_its_credential_and_ends_with_its_resource(
    world: &mut World,
) {
    world.token().await;
    world.key("one", json!({"rotation": {"overlap": "0s", "brownOut": "0s", "trigger": "a"}})).await;
    world.write_secret("byok", &[("api_key", DOCUMENT)]).await;
    world.emulator.faults().add(Rule::once("POST", "/v1/byok", Effect::DropAfter));
    world.create("ProviderKey", "aws", spec(&json!({"gatewayKeyRefs": [{"name": "one"}]}))).await;
    world.ready("ProviderKey", "aws").await;
    let first = stored(world, "the lost answer left one", |it| it.len() == 1).await.remove(0);
    assert_eq!((first.key.as_str(), first.provider.as_str()), (DOCUMENT, "amazon-bedrock"));
    assert_eq!(first.allowed, Some(vec![world.only_key().id]));
    assert_eq!(world.emulator.count("POST", "/v1/byok"), 1);
    // A replaced key takes the credential along.
    let new = super::rotating::rotate(world, "one", json!({"spec": {"rotation": {"trigger": "b"}}})).await;
    let moved = |it: &[ProviderKeyRecord]| it.len() == 1 && it[0].allowed == Some(vec![new.id.clone()]);
    assert_eq!(stored(world, "assigned to the new key", moved).await[0].id, first.id, "in place");
    world.write_secret("byok", &[("api_key", "canary-word")]).await;
    let changed = |it: &[ProviderKeyRecord]| it.len() == 1 && it[0].key == "canary-word";
    stored(world, "the new credential, and only that", changed).await;
    world
        .edit("ProviderKey", "aws", json!({"spec": {"gatewayKeyRefs": null, "scope": "Organization"}}))
        .await
        .unwrap();
    stored(world, "every key may use it", |it| it.len() == 1 && it[0].allowed.is_none()).await;
    world.ready("ProviderKey", "aws").await;
    world.delete("ProviderKey", "aws").await;
    world.gone("ProviderKey", "aws").await;
    assert!(world.emulator.openrouter().provider_keys().is_empty());
    world.pass(Duration::from_secs(60), Duration::from_secs(2)).await;
    assert!(world.accepts(&world.entry("one", "key").await.unwrap()));
}

pub async fn a_provider_that_the_vendor_does_not_know_is_refused_by_its_field(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-word")]).await;
    let of_another_vendor = json!({"provider": "google_vertex_ai", "scope": "Organization"});
    world.create("ProviderKey", "vertex", spec(&of_another_vendor)).await;
    let message = world.reason("ProviderKey", "vertex", "VendorRejected").await;
    assert!(message.contains("spec.provider"), "{message}");
}
