//! Keys that take another's place.

use crate::support::classes::Class;
use crate::support::drivers::Driver;
use crate::support::world::World;
use k8s_openapi::api::apps::v1::Deployment;
use keysmith::emulator::{Effect, Seen};
use keysmith::plan::capability::Support;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;

const DAY: u64 = 86_400;

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Asks for a new key, and waits until the Secret holds it. Returns it as the vendor has it.
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
async fn works(world: &World, name: &str) -> bool {
    world.accepts(&world.entry(name, "key").await.unwrap())
}

/// The key is Ready and works, at every look for that long.
async fn works_for(world: &World, name: &str, seconds: u64) {
    let step = (seconds / 200).max(1);
    for _ in 0..seconds / step {
        assert!(works(world, name).await, "{name}");
        let ready = world.condition("GatewayApiKey", name, "Ready").await.unwrap();
        assert_eq!(ready.0, "True", "{ready:?}");
        pass(step).await;
    }
}

fn trigger(value: &str) -> Value {
    json!({"spec": {"rotation": {"trigger": value}}})
}

pub async fn a_new_trigger_replaces_the_key_once_and_the_old_one_works_on(world: &mut World) {
    world.token().await;
    let rotation = json!({"overlap": "2s", "brownOut": "1s", "trigger": "a"});
    world.key("checkout", world.surface.rotation(rotation)).await;
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
    let writes = world.writes()[writes..].to_vec();
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
    let capabilities = world.surface.capabilities();
    let fixed = edits.into_iter().filter(|(field, value)| {
        let known = value["type"].is_null() || capabilities.types.iter().any(|it| json!(it) == value["type"]);
        known && capabilities.support(field) == Support::AtCreation
    });
    let mut replaced = 0;
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
    assert!(replaced > 0, "every vendor fixes something when a key is made");
}

pub async fn a_key_is_replaced_before_it_expires_and_its_readers_never_notice(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"expiresInDays": 30})).await;
    let first = world.only_key();
    let next = world.status("GatewayApiKey", "checkout").await["nextRotationTime"].clone();
    let next: jiff::Timestamp = next.as_str().unwrap().parse().unwrap();
    let left = first.expires_at.unwrap().duration_since(next).as_hours() / 24;
    assert!((10..=11).contains(&left), "a third of thirty days, and up to a tenth of that: {left}");
    works_for(world, "checkout", 22 * DAY).await;
    assert_eq!(world.status("GatewayApiKey", "checkout").await["lastRotation"]["reason"], "Expiry");
    assert_ne!(world.served("checkout", "key").await, first.id);
    assert_eq!(world.creations(), 2);
}

pub async fn a_key_without_expiry_is_replaced_at_its_age(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"maxAge": "240h", "overlap": "1h"}})).await;
    let first = world.only_key();
    works_for(world, "checkout", 9 * DAY - 60).await;
    assert_eq!(world.only_key().id, first.id);
    works_for(world, "checkout", 2 * DAY).await;
    assert_ne!(world.served("checkout", "key").await, first.id);
    assert_eq!(world.status("GatewayApiKey", "checkout").await["lastRotation"]["reason"], "MaxAge");
}

pub async fn a_replacement_waits_for_its_window(world: &mut World) {
    world.token().await;
    let window = json!({"days": ["Sun"], "from": "02:00", "until": "04:00", "timeZone": "Europe/Berlin"});
    world.key("checkout", json!({"expiresInDays": 60, "rotation": {"windows": [window]}})).await;
    let first = world.only_key();
    let next = world.status("GatewayApiKey", "checkout").await["nextRotationTime"].clone();
    let next: jiff::Timestamp = next.as_str().unwrap().parse().unwrap();
    let local = next.in_tz("Europe/Berlin").unwrap();
    assert_eq!((local.weekday(), local.hour()), (jiff::civil::Weekday::Sunday, 2), "{local}");
    works_for(world, "checkout", 61 * DAY).await;
    assert_ne!(world.served("checkout", "key").await, first.id);
}

pub async fn an_old_key_that_is_still_used_is_waited_for_and_then_told_about(world: &mut World) {
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
    let told = world.condition("GatewayApiKey", "checkout", "PreviousKeyInUse").await.unwrap();
    assert_eq!(told.0, "True", "{told:?}");
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

pub async fn the_old_key_stays_beside_the_new_one_where_that_is_asked_for(world: &mut World) {
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

pub async fn a_failed_replacement_keeps_the_old_key_and_says_when_it_is_overdue(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"expiresInDays": 9, "rotation": {"renewBefore": "72h"}})).await;
    let id = world.only_key().id;
    let refuse = Effect::Status { code: 503, retry_after: None };
    world.fail("POST", refuse);
    works_for(world, "checkout", 8 * DAY).await;
    let status = world.status("GatewayApiKey", "checkout").await;
    let failures = status["rotationFailures"].as_u64().unwrap();
    assert!(failures > 5, "{status}");
    let overdue = world.condition("GatewayApiKey", "checkout", "RotationOverdue").await.unwrap();
    assert!(overdue.2.contains("stops working"), "{overdue:?}");
    world.event("RotationOverdue").await;
    assert!(world.metrics.text().contains("keysmith_rotations_overdue 1"));
    // A restart shortens no wait.
    let posts = world.creations();
    world.stop().await;
    world.start().await;
    pass(30).await;
    assert_eq!(world.creations(), posts);
    world.emulator.faults().clear();
    pass(3600).await;
    assert_ne!(world.status("GatewayApiKey", "checkout").await["id"], json!(id));
    assert_eq!(world.condition("GatewayApiKey", "checkout", "RotationOverdue").await, None);
    assert!(world.metrics.text().contains("keysmith_rotations_overdue 0"));
    works_for(world, "checkout", 2 * DAY).await;
    world.served("checkout", "key").await;
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
    assert!(template().await.is_empty(), "a first key restarts nobody");
    rotate(world, "checkout", trigger("b")).await;
    world.event("ConsumersRestarted").await;
    let restarted = template().await;
    assert_eq!(restarted.len(), 1, "{restarted:?}");
    assert!(world.event("ConsumersMissing").await.contains("StatefulSet/nobody"));
    world.stop().await;
    world.start().await;
    world.pass(Duration::from_secs(60), Duration::from_secs(3)).await;
    assert_eq!(template().await, restarted, "a start restarts nobody");
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

pub async fn reloader_is_told_where_that_is_asked_for(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"reloader": true}})).await;
    let annotations = world.secrets().get("checkout").await.unwrap().metadata.annotations.unwrap();
    assert_eq!(annotations.get("reloader.stakater.com/match").map(String::as_str), Some("true"));
}

pub async fn a_budget_starts_anew_with_a_new_key_where_the_vendor_tells_no_spend_and_status_says_so(
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

/// Vendors that no driver is written for, which differ in what they show of a key.
pub async fn every_class_of_vendor_rotates_and_recovers(world: &mut World) {
    for class in [Class::Reveal, Class::Named, Class::Once] {
        world.stop().await;
        class.switch(&world.emulator);
        world.vendors = class.vendors();
        world.start().await;
        rotates_and_recovers(world, class != Class::Once).await;
    }
}

pub async fn what_is_lost_in_the_middle_of_rotations_is_found_or_made_again(world: &mut World) {
    rotates_and_recovers(world, world.surface.reveals()).await;
}

async fn rotates_and_recovers(world: &World, reveals: bool) {
    if world.api("ConsoleToken").get_opt("edgee").await.unwrap().is_none() {
        world.token().await;
    }
    let rotation = json!({"trigger": "a", "overlap": "1h", "brownOut": "10m"});
    world.key("checkout", world.surface.rotation(rotation)).await;
    let first = world.served("checkout", "key").await;
    // The answer to the second key's create call is lost.
    world.fail_once("POST", Effect::DropAfter);
    world.edit("GatewayApiKey", "checkout", trigger("b")).await.unwrap();
    works_for(world, "checkout", 3 * 3600).await;
    let second = world.served("checkout", "key").await;
    assert_ne!(first, second);
    // Its Secret is lost.
    world.secrets().delete("checkout", &DeleteParams::default()).await.unwrap();
    pass(3 * 3600).await;
    let third = world.served("checkout", "key").await;
    assert_eq!(third == second, reveals);
    world.ready("GatewayApiKey", "checkout").await;
    // It is edited.
    let patch = kube::api::Patch::Merge(json!({"data": {"key": "Zm9v"}}));
    world.secrets().patch("checkout", &kube::api::PatchParams::default(), &patch).await.unwrap();
    pass(3 * 3600).await;
    world.served("checkout", "key").await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
}

pub async fn ninety_days_end_with_the_right_keys_and_no_idle_hour_has_a_write(world: &mut World) {
    world.look_rarely().await;
    world.token().await;
    world.key("expiring", json!({"expiresInDays": 30})).await;
    world.key("aging", json!({"rotation": {"maxAge": "480h"}})).await;
    world.key("settled", json!({})).await;
    let names = ["expiring", "aging", "settled"];
    for half_day in 0..180 {
        for name in names {
            assert!(works(world, name).await, "{name} on day {}", half_day / 2);
        }
        pass(DAY / 2).await;
    }
    let mut created = Vec::new();
    let mut live = 0;
    for name in names {
        let status = world.status("GatewayApiKey", name).await;
        created.push(status["serial"].as_u64().unwrap());
        live += 1 + status["previous"].as_array().map_or(0, Vec::len);
        let id = status["id"].as_str().unwrap().to_owned();
        assert!(world.keys().iter().any(|key| key.id == id), "{status}");
    }
    assert_eq!(world.keys().len(), live, "served and previous keys, and no others");
    // Replaced after 19 to 20 days of 30, and after 18 to 20 of 20.
    assert_eq!(created, [5, 5, 1]);
    assert_eq!(world.creations(), 5 + 5 + 1, "one create call per key");
    let replaced = 4 + 4;
    let deleted = world.calls("DELETE");
    assert!((replaced - 1..=replaced).contains(&deleted), "each is deleted once: {deleted}");
    if world.surface.capabilities().disable {
        let switched = world.calls("POST") - world.creations();
        assert!((replaced - 1..=replaced).contains(&switched), "and switched off once before: {switched}");
    }
    assert_quiet(world);
}

/// Whatever is written is written in an hour in which something happened at the vendor.
fn assert_quiet(world: &World) {
    let hour = |at: jiff::Timestamp| at.as_second() / 3600;
    let calls = world.emulator.calls();
    let busy: HashSet<i64> =
        calls.iter().filter(|call| call.method != "GET").map(|call| hour(call.at)).collect();
    let writes = world.cluster().writes("operator");
    let idle: Vec<_> = writes.iter().filter(|write| !busy.contains(&hour(write.at))).collect();
    assert!(idle.is_empty(), "{idle:?}");
    assert!(busy.len() < 40, "{} of 2160 hours", busy.len());
}
