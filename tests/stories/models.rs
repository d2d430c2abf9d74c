//! Models that the vendor does not list are told, and nothing is refused for them.

use crate::support::drivers::Driver;
use crate::support::world::World;
use keysmith::emulator::{Effect, Rule};
use serde_json::{Value, json};
use std::time::Duration;

/// A model that the vendor lists.
fn known(world: &World) -> &'static str {
    if world.vendor_id.capabilities().models.patterns { "gpt-small" } else { "openai/gpt-5.2" }
}

async fn said(world: &World, name: &str, expected: &str) -> String {
    world
        .eventually(&format!("ModelUnknown of {name} is {expected}"), async || {
            match world.condition("GatewayApiKey", name, "ModelUnknown").await {
                Some((status, _, message)) if status == expected => Ok(message),
                other => Err(format!("{other:?}")),
            }
        })
        .await
}

/// Adds models to those that the emulated vendor lists.
fn add(world: &World, models: &[&str]) {
    let models: Vec<String> = models.iter().map(|it| (*it).to_owned()).collect();
    world.emulator.edgee().set_switches(|it| it.more_models.clone_from(&models));
    world.emulator.litellm().set_switches(|it| it.more_models = models);
}

pub async fn a_model_that_the_vendor_does_not_list_is_named_with_those_most_like_it(world: &mut World) {
    world.token().await;
    let (known, wrong) = (known(world), format!("{}-turbo", known(world)));
    world.key("checkout", json!({"models": [known, wrong]})).await;
    let message = said(world, "checkout", "True").await;
    assert!(message.contains(&format!("does not list {wrong} (nearest: {known}")), "{message}");
    assert!(world.event("ModelUnknown").await.contains(&wrong));
    assert!(world.accepts(&world.entry("checkout", "key").await.unwrap()), "the key works on");
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
    let id = world.served("checkout", "key").await;
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"models": [known]}})).await.unwrap();
    said(world, "checkout", "False").await;
    assert_eq!(world.served("checkout", "key").await, id, "changed in place");
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"models": null}})).await.unwrap();
    world
        .eventually("nothing is said of no models", async || {
            let said = world.condition("GatewayApiKey", "checkout", "ModelUnknown").await;
            said.map_or(Ok(()), |it| Err(format!("{it:?}")))
        })
        .await;
}

pub async fn a_model_that_the_vendor_adds_later_is_seen_with_the_next_poll(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"models": [known(world), "soon-to-come"]})).await;
    said(world, "checkout", "True").await;
    add(world, &["soon-to-come"]);
    said(world, "checkout", "False").await;
    world.pass(Duration::from_secs(1800), Duration::from_secs(2)).await;
    // One reading for each poll, whatever the number of keys, and no write.
    for number in 0..3 {
        world.key(&format!("more-{number}"), json!({"models": [known(world)]})).await;
        said(world, &format!("more-{number}"), "False").await;
    }
    world.pass(Duration::from_secs(600), Duration::from_secs(2)).await;
    let (writes, calls) = (world.writes().len(), world.emulator.calls().len());
    world.pass(Duration::from_secs(3600), Duration::from_secs(2)).await;
    assert_eq!(world.writes()[writes..], Vec::<String>::new());
    let calls = &world.emulator.calls()[calls..];
    let is_models = |path: &str| path.contains("/v1/models") || path.contains("/model/info");
    let (collection, beside) =
        (world.vendor_id.call("GET").1, |path: &str| world.vendor_id.asks_beside(path));
    let listings = calls.iter().filter(|it| it.path.contains(collection) && !beside(&it.path)).count();
    let readings = calls.iter().filter(|it| is_models(&it.path)).count();
    assert!(readings > 0 && readings <= listings, "{readings} readings of models in {listings} polls");
}

pub async fn a_pattern_is_shown_with_what_it_stands_for(world: &mut World) {
    if !world.vendor_id.capabilities().models.patterns {
        return;
    }
    world.token().await;
    world.key("checkout", json!({"models": ["gpt-*", "all-proxy-models"]})).await;
    said(world, "checkout", "False").await;
    let status = world.status("GatewayApiKey", "checkout").await;
    let resolved = &status["resolvedModels"];
    assert_eq!(resolved.as_array().map(Vec::len), Some(1), "{resolved}");
    assert_eq!(resolved[0]["pattern"], "gpt-*");
    let names = resolved[0]["names"].as_array().unwrap();
    assert!(names.iter().any(|it| it == "gpt-small"), "{resolved}");
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"models": ["claude-*"]}})).await.unwrap();
    let message = said(world, "checkout", "True").await;
    assert!(message.contains("claude-*"), "{message}");
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"models": ["gpt-small"]}})).await.unwrap();
    said(world, "checkout", "False").await;
    assert_eq!(world.status("GatewayApiKey", "checkout").await["resolvedModels"], Value::Null);
}

pub async fn models_that_cannot_be_read_are_no_reason_for_anything(world: &mut World) {
    for path in ["/v1/models", "/model/info"] {
        for effect in [Effect::Status { code: 403, retry_after: None }, Effect::Truncate, Effect::Html] {
            world.emulator.faults().add(Rule { times: Some(1), ..Rule::always("GET", path, effect) });
        }
        world.emulator.faults().add(Rule::always(
            "GET",
            path,
            Effect::Status { code: 500, retry_after: None },
        ));
    }
    world.token().await;
    world.key("checkout", json!({"models": [known(world), "nonsense"]})).await;
    world.pass(Duration::from_secs(7200), Duration::from_secs(2)).await;
    assert!(world.condition("GatewayApiKey", "checkout", "ModelUnknown").await.is_none());
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
    assert_eq!(world.condition("ConsoleToken", "edgee", "Ready").await.unwrap().0, "True");
    world.emulator.faults().clear();
    said(world, "checkout", "True").await;
}

pub async fn what_a_vendor_calls_a_model_is_repeated_only_if_it_can_be_a_name(world: &mut World) {
    add(world, &["nonsens CANARY", "nonsens<script>", "nonsens-1"]);
    world.token().await;
    world.key("checkout", json!({"models": ["nonsense"]})).await;
    let message = said(world, "checkout", "True").await;
    assert!(message.contains("(nearest: nonsens-1)"), "{message}");
}
