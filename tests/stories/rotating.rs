//! Rotations: keys that replace other keys.

use crate::support::classes::Class;
use crate::support::drivers::Driver;
use crate::support::world::World;
use k8s_openapi::api::apps::v1::Deployment;
use keysmith::emulator::{Effect, Seen};
use keysmith::plan::capability::Support;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use std::time::Duration;

pub const DAY: u64 = 86_400;

pub async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Requests a rotation, and waits until the Secret holds the new key. Returns it as the vendor has it.
pub async fn rotate(world: &World, name: &str, patch: Value) -> Seen {
    let before = world.status("GatewayApiKey", name).await["serial"].clone();
    world.edit("GatewayApiKey", name, patch).await.unwrap();
    rotated(world, name, &before).await
}

async fn rotated(world: &World, name: &str, before: &Value) -> Seen {
    let id = world
        .eventually(&format!("{name} has a new key"), async || {
            let status = world.status("GatewayApiKey", name).await;
            if status["serial"] == *before { Err(status.to_string()) } else { Ok(status["id"].clone()) }
        })
        .await;
    world.keys().into_iter().find(|key| json!(key.id) == id).unwrap()
}

/// Whether the gateway accepts the key in the Secret.
pub async fn works(world: &World, name: &str) -> bool {
    world.accepts(&world.entry(name, "key").await.unwrap())
}

/// Verifies at every check for that long that the key is Ready and works.
pub async fn works_for(world: &World, name: &str, seconds: u64) {
    let step = (seconds / 200).max(1);
    for _ in 0..seconds / step {
        assert!(works(world, name).await, "{name}");
        let ready = world.condition("GatewayApiKey", name, "Ready").await.unwrap();
        assert_eq!(ready.0, "True", "{ready:?}");
        pass(step).await;
    }
}

pub fn trigger(value: &str) -> Value {
    json!({"spec": {"rotation": {"trigger": value}}})
}

pub async fn a_new_trigger_replaces_the_key_once_and_the_old_one_works_on(world: &mut World) {
    world.token().await;
    let rotation = json!({"overlap": "2s", "brownOut": "1s", "trigger": "a"});
    world.key("checkout", world.vendor_id.rotation(rotation)).await;
    let first = world.only_key();
    let writes = world.vendor_writes().len();
    let old_secret = world.entry("checkout", "key").await.unwrap();
    let new = rotate(world, "checkout", trigger("b")).await;
    assert_ne!(new.id, first.id);
    assert_eq!(world.vendor_writes().len(), writes + 1, "one create call");
    assert!(works(world, "checkout").await);
    assert!(world.accepts(&old_secret), "the overlap");
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["lastRotation"]["reason"], "Trigger", "{status}");
    assert_eq!(status["previous"][0]["id"], json!(first.id), "{status}");
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
    let rotating = world.condition("GatewayApiKey", "checkout", "Rotating").await.unwrap();
    assert_eq!((rotating.0.as_str(), rotating.1.as_str()), ("True", "Overlap"));
    assert_eq!(world.served("checkout", "key").await, new.id, "the old one is gone in the end");
    world
        .eventually("no rotation is going on", async || {
            match world.condition("GatewayApiKey", "checkout", "Rotating").await {
                None => Ok(()),
                some => Err(format!("{some:?}")),
            }
        })
        .await;
    let writes = world.vendor_writes().len();
    world.pass(Duration::from_secs(3600), Duration::from_secs(5)).await;
    assert_eq!(world.vendor_writes().len(), writes, "once");
}

pub async fn a_rotation_costs_three_writes_and_one_call(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"trigger": "a"}})).await;
    world.pass(Duration::from_secs(60), Duration::from_secs(1)).await;
    let (writes, calls) = (world.writes().len(), world.vendor_writes().len());
    rotate(world, "checkout", trigger("b")).await;
    world.ready("GatewayApiKey", "checkout").await;
    world.pass(Duration::from_secs(60), Duration::from_secs(1)).await;
    let mut writes = world.writes()[writes..].to_vec();
    // With the next poll the ConsoleToken stores the number of created keys for the next process.
    writes.retain(|it| it != "patch consoletokens/status");
    // Claim, fence, key, status.
    assert_eq!(
        writes,
        ["patch gatewayapikeys", "update secrets", "update secrets", "patch gatewayapikeys/status"]
    );
    assert_eq!(world.vendor_writes()[calls..], [world.creation()]);
}

pub async fn the_first_value_of_a_trigger_replaces_nothing(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.served("checkout", "key").await;
    world.edit("GatewayApiKey", "checkout", trigger("a")).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    world.pass(Duration::from_secs(60), Duration::from_secs(3)).await;
    assert_eq!(world.only_key().id, id);
    assert_ne!(rotate(world, "checkout", trigger("b")).await.id, id);
}

pub async fn an_annotation_replaces_the_key_once_for_each_value(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"overlap": "1s", "brownOut": "0s"}})).await;
    let ask = |value: &str| json!({"metadata": {"annotations": {"keysmith.dev/rotate-requested-at": value}}});
    rotate(world, "checkout", ask("1")).await;
    assert_eq!(world.status("GatewayApiKey", "checkout").await["lastHandledRotateAt"], "1");
    let id = world.served("checkout", "key").await;
    world.edit("GatewayApiKey", "checkout", ask("1")).await.unwrap();
    world.pass(Duration::from_secs(60), Duration::from_secs(3)).await;
    assert_eq!(world.only_key().id, id);
    rotate(world, "checkout", ask("2")).await;
}

pub async fn a_field_that_is_fixed_at_creation_replaces_the_key(world: &mut World) {
    world.token().await;
    world
        .key("checkout", json!({"expiresInDays": 30, "rotation": {"overlap": "2s", "brownOut": "0s"}}))
        .await;
    let edits = [
        ("expiresInDays", json!({"expiresInDays": 60})),
        ("displayName", json!({"displayName": "Other"})),
        ("codingAssistant", json!({"type": "CodingAgent", "codingAssistant": "codex"})),
        ("type", json!({"type": "Sandbox"})),
    ];
    let capabilities = world.vendor_id.capabilities();
    let fixed = edits.into_iter().filter(|(field, value)| {
        let known = value["type"].is_null() || capabilities.types.iter().any(|it| json!(it) == value["type"]);
        known && world.vendor_id.support(field) == Support::AtCreation
    });
    let mut replaced = 0;
    let fixed: Vec<_> = fixed.collect();
    if fixed.is_empty() {
        return;
    }
    for (field, value) in fixed {
        let before = world.served("checkout", "key").await;
        let new = rotate(world, "checkout", json!({"spec": value})).await;
        assert_ne!(new.id, before, "{field}");
        if field == "expiresInDays" {
            assert_eq!(new.expires_at.unwrap().duration_since(new.created_at).as_hours() / 24, 60);
        }
        assert_eq!(world.status("GatewayApiKey", "checkout").await["lastRotation"]["reason"], "Changed");
        assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
        assert_eq!(world.served("checkout", "key").await, new.id);
        if field == "codingAssistant" {
            assert_eq!(world.only_edgee_key().coding_assistant.as_deref(), Some("codex"));
        }
        replaced += 1;
    }
    assert!(replaced > 0);
}

pub async fn a_previous_key_still_in_use_is_waited_for_and_then_reported(world: &mut World) {
    world.token().await;
    let rotation = json!({"trigger": "a", "overlap": "2h", "maxOverlap": "6h", "brownOut": "1h"});
    world.key("checkout", json!({"rotation": rotation})).await;
    let old = world.entry("checkout", "key").await.unwrap();
    rotate(world, "checkout", trigger("b")).await;
    // A consumer that did not read the Secret again.
    let first = world.keys().into_iter().find(|key| key.secret == old).unwrap().id;
    let now = world.clock.clone();
    let used = || world.edgee().edit_key(&first, |key| key.last_used_at = Some(now.now()));
    for _ in 0..5 * 6 {
        assert!(used());
        assert!(world.accepts(&old));
        pass(600).await;
    }
    assert_eq!(world.condition("GatewayApiKey", "checkout", "PreviousKeyInUse").await, None);
    for _ in 0..7 {
        assert!(used());
        pass(600).await;
    }
    assert!(!world.accepts(&old), "the bound ends the wait");
    let condition = world.condition("GatewayApiKey", "checkout", "PreviousKeyInUse").await.unwrap();
    assert_eq!(condition.0, "True", "{condition:?}");
    world.event("PreviousKeyInUse").await;
    assert_eq!(world.keys().len(), 2, "off, and not deleted yet");
    pass(3700).await;
    world.served("checkout", "key").await;
}

pub async fn a_longer_overlap_brings_a_key_back_that_was_switched_off(world: &mut World) {
    world.token().await;
    let rotation = json!({"trigger": "a", "overlap": "2h", "brownOut": "1h"});
    world.key("checkout", json!({"rotation": rotation})).await;
    let old = world.entry("checkout", "key").await.unwrap();
    rotate(world, "checkout", trigger("b")).await;
    pass(2 * 3600 + 600).await;
    assert!(!world.accepts(&old), "the brown-out");
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"rotation": {"overlap": "12h"}}})).await.unwrap();
    pass(60).await;
    assert!(world.accepts(&old));
    pass(14 * 3600).await;
    world.served("checkout", "key").await;
}

pub async fn the_old_key_works_beside_the_new_one_during_a_requested_overlap(world: &mut World) {
    world.token().await;
    let rotation = json!({"trigger": "a", "overlap": "3s", "brownOut": "0s"});
    world.key("checkout", json!({"rotation": rotation, "secret": {"keepPrevious": true}})).await;
    let old = world.entry("checkout", "key").await.unwrap();
    rotate(world, "checkout", trigger("b")).await;
    assert_eq!(world.entry("checkout", "previous_key").await.as_ref(), Some(&old));
    assert!(world.accepts(&old));
    world.served("checkout", "key").await;
    world
        .eventually("the old entry is gone", async || match world.entry("checkout", "previous_key").await {
            None => Ok(()),
            Some(_) => Err("still there".to_owned()),
        })
        .await;
    assert!(works(world, "checkout").await);
}

pub async fn an_own_entry_with_the_name_of_an_old_one_stays_when_old_keys_are_not_kept_any_more(
    world: &mut World,
) {
    world.token().await;
    let rotation = json!({"trigger": "a", "overlap": "1h", "brownOut": "0s"});
    world.key("checkout", json!({"rotation": rotation, "secret": {"keepPrevious": true}})).await;
    rotate(world, "checkout", trigger("b")).await;
    let data = json!({"key": "{{ key }}", "previous_notice": "mine"});
    let both = json!({"spec": {"secret": {"template": {"data": data.clone()}}}});
    world.edit("GatewayApiKey", "checkout", both).await.unwrap();
    let message = world.reason("GatewayApiKey", "checkout", "InvalidSpec").await;
    assert!(message.starts_with("spec.secret.template.data[previous_notice]: "), "{message}");
    world
        .edit("GatewayApiKey", "checkout", json!({"spec": {"secret": {"keepPrevious": false}}}))
        .await
        .unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    for _ in 0..4 {
        pass(3600).await;
        assert_eq!(world.entry("checkout", "previous_notice").await.as_deref(), Some("mine"));
        assert_eq!(world.entry("checkout", "previous_key").await, None);
    }
    assert!(works(world, "checkout").await);
}

pub async fn making_keys_stops_when_there_are_too_many_in_a_day(world: &mut World) {
    world.keys_per_day = 4;
    world.stop().await;
    world.start().await;
    world.token().await;
    world.key("checkout", json!({"rotation": {"trigger": "0", "overlap": "1m", "brownOut": "0s"}})).await;
    for count in 1..4 {
        rotate(world, "checkout", trigger(&count.to_string())).await;
    }
    world.edit("GatewayApiKey", "checkout", trigger("one too many")).await.unwrap();
    let message = world.reason("GatewayApiKey", "checkout", "MintingStopped").await;
    assert!(message.contains("max-keys-per-day"), "{message}");
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
    let id = world.served("checkout", "key").await;
    works_for(world, "checkout", DAY - 3600).await;
    assert_eq!(world.only_key().id, id);
    pass(2 * 3600).await;
    assert_ne!(world.served("checkout", "key").await, id);
    world.reason("GatewayApiKey", "checkout", "Issued").await;
}

pub async fn consumers_are_restarted_once_for_each_key_and_never_at_a_start(world: &mut World) {
    world.token().await;
    let deployments: Api<Deployment> = Api::namespaced(world.user.clone(), &world.namespace);
    let pod = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "example.com/web"}]},
    });
    let deployment = json!({
        "metadata": {"name": "web", "labels": {"team": "shop"}},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pod},
    });
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment).unwrap()).await.unwrap();
    let restart = json!([
        {"kind": "Deployment", "selector": {"matchLabels": {"team": "shop"}}},
        {"kind": "StatefulSet", "name": "nobody"},
    ]);
    world.key("checkout", json!({"rotation": {"trigger": "a", "restart": restart}})).await;
    let template = async || {
        let template = deployments.get("web").await.unwrap().spec.template;
        template.metadata.unwrap().annotations.unwrap_or_default()
    };
    world.pass(Duration::from_secs(60), Duration::from_secs(2)).await;
    assert!(template().await.is_empty(), "a first key restarts no workload");
    rotate(world, "checkout", trigger("b")).await;
    world.event("ConsumersRestarted").await;
    let restarted = template().await;
    assert_eq!(restarted.len(), 1, "{restarted:?}");
    assert!(world.event("ConsumersMissing").await.contains("StatefulSet/nobody"));
    world.stop().await;
    world.start().await;
    world.pass(Duration::from_secs(60), Duration::from_secs(3)).await;
    assert_eq!(template().await, restarted, "a restart of the operator restarts no workload");
    let version = deployments.get("web").await.unwrap().metadata.resource_version;
    world.secrets().delete("checkout", &DeleteParams::default()).await.unwrap();
    world
        .eventually("the Secret is back", async || {
            world.entry("checkout", "key").await.map(drop).ok_or_else(|| "no Secret".to_owned())
        })
        .await;
    world.pass(Duration::from_secs(60), Duration::from_secs(3)).await;
    assert_eq!(deployments.get("web").await.unwrap().metadata.resource_version, version, "the same key");
    assert!(world.metrics.text().contains("keysmith_consumer_restarts_total 1"));
}

pub async fn the_reloader_annotation_is_written_where_requested(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"reloader": true}})).await;
    let annotations = world.secrets().get("checkout").await.unwrap().metadata.annotations.unwrap();
    assert_eq!(annotations.get("reloader.stakater.com/match").map(String::as_str), Some("true"));
}

pub async fn a_budget_starts_anew_with_a_new_key_where_the_vendor_reports_no_spend_and_status_says_so(
    world: &mut World,
) {
    world.token().await;
    let budget = json!({"amount": "250", "period": "Monthly"});
    world.key("checkout", json!({"budget": budget, "rotation": {"trigger": "a"}})).await;
    rotate(world, "checkout", trigger("b")).await;
    assert_eq!(world.status("GatewayApiKey", "checkout").await["lastRotation"]["budget"], "Restarted");
}

pub async fn nothing_is_replaced_while_it_is_suspended_and_all_of_it_after(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"trigger": "a", "overlap": "1s", "brownOut": "0s"}})).await;
    let id = world.served("checkout", "key").await;
    world
        .edit("GatewayApiKey", "checkout", json!({"spec": {"suspend": true, "rotation": {"trigger": "b"}}}))
        .await
        .unwrap();
    world.reason("GatewayApiKey", "checkout", "Suspended").await;
    world.ready("GatewayApiKey", "checkout").await;
    world.pass(Duration::from_secs(600), Duration::from_secs(3)).await;
    assert_eq!(world.only_key().id, id);
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"suspend": false}})).await.unwrap();
    world
        .eventually("the key is replaced", async || {
            if world.only_key_id() == Some(id.clone()) { Err("not yet".to_owned()) } else { Ok(()) }
        })
        .await;
    world.served("checkout", "key").await;
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"suspend": true}})).await.unwrap();
    world.reason("GatewayApiKey", "checkout", "Suspended").await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty(), "a deletion works all the same");
}

/// Classes of vendors without a driver, which differ in what they show of a key.
pub async fn every_class_of_vendor_rotates_and_recovers(world: &mut World) {
    for class in [Class::Reveal, Class::Named, Class::Once] {
        world.stop().await;
        class.switch(&world.emulator);
        world.vendors = class.vendors();
        world.start().await;
        rotates_and_recovers(world, class != Class::Once).await;
    }
}

pub async fn lost_answers_and_secrets_during_rotations_are_recovered(world: &mut World) {
    rotates_and_recovers(world, world.vendor_id.reveals()).await;
}

async fn rotates_and_recovers(world: &World, reveals: bool) {
    if world.api("ConsoleToken").get_opt("edgee").await.unwrap().is_none() {
        world.token().await;
    }
    let rotation = json!({"trigger": "a", "overlap": "1h", "brownOut": "10m"});
    world.key("checkout", world.vendor_id.rotation(rotation)).await;
    let first = world.served("checkout", "key").await;
    // The answer to the second key's create call is lost.
    world.fail_once("POST", Effect::DropAfter);
    world.edit("GatewayApiKey", "checkout", trigger("b")).await.unwrap();
    works_for(world, "checkout", 3 * 3600).await;
    let second = world.served("checkout", "key").await;
    assert_ne!(first, second);
    // The Secret is deleted.
    world.secrets().delete("checkout", &DeleteParams::default()).await.unwrap();
    pass(3 * 3600).await;
    let third = world.served("checkout", "key").await;
    assert_eq!(third == second, reveals);
    world.ready("GatewayApiKey", "checkout").await;
    // The Secret is edited.
    let patch = kube::api::Patch::Merge(json!({"data": {"key": "Zm9v"}}));
    world.secrets().patch("checkout", &kube::api::PatchParams::default(), &patch).await.unwrap();
    pass(3 * 3600).await;
    world.served("checkout", "key").await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
}
