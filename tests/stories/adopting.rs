//! Keys that exist before their resources.

use crate::support::classes::Class;
use crate::support::drivers::Driver;
use crate::support::world::{World, key_spec, merged};
use keysmith::plan::naming::{Mark, NameStyle};
use kube::ResourceExt;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::Duration;

/// A key that a human created.
fn existing(world: &World) -> (String, String) {
    let key = world.vendor().add_key("checkout");
    (key.id, key.secret)
}

/// The key, with a policy that the vendor supports: a key whose name is fixed cannot be marked as ours, and is only
/// observed.
fn manageable(world: &World) -> Value {
    match world.vendor_id.capabilities().names {
        NameStyle::Title => json!({}),
        NameStyle::Slug => json!({"managementPolicy": "Observe"}),
    }
}

fn naming(id: &str, more: Value) -> Value {
    merged(json!({"externalId": id}), more)
}

pub async fn a_key_that_exists_is_taken_over_with_its_secret(world: &mut World) {
    world.token().await;
    let (id, secret) = existing(world);
    world.key("checkout", naming(&id, json!({}))).await;
    assert_eq!(world.served("checkout", "key").await, id);
    assert_eq!(world.entry("checkout", "key").await, Some(secret));
    assert!(world.only_key().name.contains("[ks-"), "{}", world.only_key().name);
    world.event("TakenOver").await;
    let patch = json!({"spec": {"models": ["anthropic/claude-opus-4-6"]}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(world.only_edgee_key().models, ["anthropic/claude-opus-4-6"]);
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
}

pub async fn a_key_that_is_shown_once_is_taken_over_and_replaced(world: &mut World) {
    if world.vendor_id.reveals() {
        world.stop().await;
        Class::Once.switch(&world.emulator);
        world.vendors = Class::Once.vendors();
        world.start().await;
    }
    world.token().await;
    let (id, secret) = existing(world);
    let overlap = if world.is_simulated() { "1h" } else { "6s" };
    world.key("checkout", naming(&id, json!({"rotation": {"overlap": overlap, "brownOut": "0s"}}))).await;
    assert_eq!(world.keys().len(), 2);
    assert!(world.accepts(&secret), "the overlap");
    world.pass(Duration::from_secs(7200), Duration::from_secs(6)).await;
    assert_ne!(world.served("checkout", "key").await, id);
}

pub async fn a_key_that_is_not_there_is_named(world: &mut World) {
    world.token().await;
    let spec = naming("key_nobody", manageable(world));
    world.create("GatewayApiKey", "checkout", key_spec(spec)).await;
    let message = world.reason("GatewayApiKey", "checkout", "ExternalKeyMissing").await;
    assert!(message.contains("spec.externalId"), "{message}");
    assert!(world.keys().is_empty());
}

pub async fn a_key_of_another_resource_or_cluster_is_not_taken_away(world: &mut World) {
    world.token().await;
    world.key("first", json!({})).await;
    let mine = world.only_key();
    world.create("GatewayApiKey", "second", key_spec(naming(&mine.id, json!({})))).await;
    let message = world.reason("GatewayApiKey", "second", "OwnershipConflict").await;
    assert!(message.contains("another resource"), "{message}");
    let elsewhere = Mark::read("ks-aaaaaa-bbbbbbbbbbbbbbbb").unwrap();
    let name = world.vendor_id.name_of(&elsewhere, "x");
    let theirs = world.vendor().add_key(&name).id;
    world.create("GatewayApiKey", "third", key_spec(naming(&theirs, json!({})))).await;
    let message = world.reason("GatewayApiKey", "third", "OwnershipConflict").await;
    assert!(message.contains("another cluster"), "{message}");
    for name in ["second", "third"] {
        world.delete("GatewayApiKey", name).await;
        world.gone("GatewayApiKey", name).await;
    }
    assert_eq!(world.keys().len(), 2);
    assert!(world.keys().iter().any(|key| key.name == name));
}

pub async fn an_observed_key_is_shown_and_left_alone(world: &mut World) {
    world.token().await;
    let (id, _) = existing(world);
    let writes = world.vendor_writes().len();
    let wish = world.vendor_id.full(json!({"models": ["a/b"]}));
    world.key("checkout", naming(&id, merged(json!({"managementPolicy": "Observe"}), wish))).await;
    world.reason("GatewayApiKey", "checkout", "Observed").await;
    assert_eq!(world.status("GatewayApiKey", "checkout").await["id"], json!(id));
    assert_eq!(world.entry("checkout", "key").await, None);
    if world.vendor_id.capabilities().disable {
        assert!(world.vendor().switch_off(&id));
        world
            .eventually("status follows the key", async || {
                let status = world.status("GatewayApiKey", "checkout").await;
                if status["active"] == false { Ok(()) } else { Err(status.to_string()) }
            })
            .await;
    }
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert_eq!(world.vendor_writes().len(), writes);
    assert_eq!(world.only_key().name, "checkout");
}

/// Taking a key over removes no limit: what the specification does not name stays, also for its successor; what it names
/// once is the specification's from then on.
pub async fn a_key_that_is_taken_over_keeps_the_limits_that_the_specification_does_not_name(
    world: &mut World,
) {
    world.token().await;
    let (id, _) = existing(world);
    let limited = |key: &mut keysmith::emulator::edgee::KeyRecord| {
        key.models = vec!["a/b".to_owned()];
        key.max_usage = Some(50);
        key.active = false;
    };
    assert!(world.edgee().edit_key(&id, limited));
    world.key("checkout", naming(&id, json!({"managementPolicy": "Observe"}))).await;
    world.reason("GatewayApiKey", "checkout", "Observed").await;
    let shown = world.status("GatewayApiKey", "checkout").await["observed"].clone();
    let expected =
        json!({"models": ["a/b"], "budget": {"amount": "50", "period": "Monthly"}, "active": false});
    assert_eq!(shown, expected);
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"managementPolicy": null}})).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    let holds = |world: &World| {
        let key = world.only_edgee_key();
        (key.models.clone(), key.max_usage, key.active)
    };
    assert_eq!(holds(world), (vec!["a/b".to_owned()], Some(50), false));
    world.pass(Duration::from_secs(900), Duration::ZERO).await;
    assert_eq!(holds(world), (vec!["a/b".to_owned()], Some(50), false));
    // A successor has them, too.
    let rotate = json!({"metadata": {"annotations": {"keysmith.dev/rotate-requested-at": "1"}}, "spec": {"rotation": {"overlap": "0s", "brownOut": "0s"}}});
    world.edit("GatewayApiKey", "checkout", rotate).await.unwrap();
    world
        .eventually("the key is replaced", async || {
            let keys = world.keys();
            if keys.len() == 1 && keys[0].id != id { Ok(()) } else { Err(format!("{keys:?}")) }
        })
        .await;
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(holds(world), (vec!["a/b".to_owned()], Some(50), false));
    // What the specification names is the specification's, also when it is taken out again.
    let named =
        json!({"spec": {"models": ["c/d"], "active": true, "budget": {"amount": "60", "period": "Monthly"}}});
    world.edit("GatewayApiKey", "checkout", named).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(holds(world), (vec!["c/d".to_owned()], Some(60), true));
    let none = json!({"spec": {"models": null, "active": null, "budget": null}});
    world.edit("GatewayApiKey", "checkout", none).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(holds(world), (Vec::new(), None, true));
}

/// The expiry of the key that was taken over is a limit as well: its successor has the same lifetime.
pub async fn a_successor_of_a_key_that_was_taken_over_lives_as_long(world: &mut World) {
    world.token().await;
    let (id, _) = existing(world);
    let day = jiff::SignedDuration::from_hours(24);
    let expires =
        |key: &mut keysmith::emulator::edgee::KeyRecord| key.expires_at = Some(key.created_at + day * 30);
    assert!(world.edgee().edit_key(&id, expires));
    world.key("checkout", naming(&id, json!({}))).await;
    world.ready("GatewayApiKey", "checkout").await;
    let rotate = json!({"metadata": {"annotations": {"keysmith.dev/rotate-requested-at": "1"}}, "spec": {"rotation": {"overlap": "0s", "brownOut": "0s"}}});
    world.edit("GatewayApiKey", "checkout", rotate).await.unwrap();
    world
        .eventually("the key is replaced", async || {
            let keys = world.keys();
            if keys.len() == 1 && keys[0].id != id { Ok(()) } else { Err(format!("{keys:?}")) }
        })
        .await;
    let key = world.only_edgee_key();
    let lifetime = key.expires_at.expect("an expiry").duration_since(key.created_at);
    assert_eq!(lifetime.as_hours() / 24, 30, "{lifetime:?}");
    // It is replaced in time, and so on.
    world.pass(Duration::from_secs(3600 * 24 * 40), Duration::from_secs(3600)).await;
    world.ready("GatewayApiKey", "checkout").await;
}

/// Restores an object from a backup: everything but UID and status.
async fn restore(world: &World, object: &DynamicObject) {
    let restored = json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "spec": object.data["spec"],
        "metadata": {
            "name": object.name_any(), "namespace": world.namespace,
            "annotations": object.annotations(), "finalizers": object.finalizers(),
        },
    });
    let restored = serde_json::from_value(restored).unwrap();
    world.api("GatewayApiKey").create(&PostParams::default(), &restored).await.unwrap();
}

pub async fn a_resource_restored_from_a_backup_finds_its_key_again(world: &mut World) {
    // An operator of one namespace cannot know whether a resource in another namespace owns the key.
    world.everywhere = true;
    world.stop().await;
    world.start().await;
    world.token().await;
    world.key("checkout", json!({"rotation": {"trigger": "a", "overlap": "1s", "brownOut": "0s"}})).await;
    let id = world.served("checkout", "key").await;
    let secret = world.entry("checkout", "key").await;
    let backup = world.api("GatewayApiKey").get("checkout").await.unwrap();
    world.stop().await;
    // The cluster was lost, and no key was revoked.
    world.delete("GatewayApiKey", "checkout").await;
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.api("GatewayApiKey").patch("checkout", &PatchParams::default(), &patch).await.unwrap();
    world.gone("GatewayApiKey", "checkout").await;
    world
        .eventually("its Secret is collected", async || match world.entry("checkout", "key").await {
            None => Ok(()),
            Some(_) => Err("still there".to_owned()),
        })
        .await;
    restore(world, &backup).await;
    world.start().await;
    world.ready("GatewayApiKey", "checkout").await;
    world.event("Relinked").await;
    // A key whose secret cannot be revealed is replaced, and works during the overlap.
    let found = world.served("checkout", "key").await;
    assert_eq!(found == id, world.vendor_id.reveals());
    assert_eq!(world.entry("checkout", "key").await == secret, world.vendor_id.reveals());
    let id = found;
    let patch = json!({"spec": {"rotation": {"trigger": "b"}}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
    world
        .eventually("it rotates", async || {
            if world.only_key_id().is_some_and(|it| it != id) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
}

/// A copy whose original is in another namespace, which the operator does not see.
pub async fn an_operator_of_some_namespaces_takes_no_key_for_a_copied_annotation(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.served("checkout", "key").await;
    let copy = world.api("GatewayApiKey").get("checkout").await.unwrap();
    world.cluster().add_namespace("elsewhere");
    world.stop().await;
    "elsewhere".clone_into(&mut world.namespace);
    world.start().await;
    world.token().await;
    restore(world, &copy).await;
    world.ready("GatewayApiKey", "checkout").await;
    assert_ne!(world.status("GatewayApiKey", "checkout").await["id"], json!(id));
    assert_eq!(world.keys().len(), 2);
    let original = world.keys().into_iter().find(|key| key.id == id).unwrap();
    assert!(original.active, "{original:?}");
}

pub async fn a_copy_of_a_resource_does_not_get_the_key_of_the_original(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.served("checkout", "key").await;
    let mut copy = world.api("GatewayApiKey").get("checkout").await.unwrap();
    copy.metadata.name = Some("copy".to_owned());
    restore(world, &copy).await;
    world.ready("GatewayApiKey", "copy").await;
    let other = world.status("GatewayApiKey", "copy").await["id"].clone();
    assert_ne!(other, json!(id));
    world.pass(Duration::from_secs(1200), Duration::from_secs(5)).await;
    assert_eq!(world.keys().len(), 2);
    assert_eq!(world.status("GatewayApiKey", "checkout").await["id"], json!(id));
}

/// A limit whose size the vendor does not show stays on the key that was taken over, and no key without one replaces it.
pub async fn no_key_without_a_limit_replaces_one_whose_limit_is_not_shown(world: &mut World) {
    world.token().await;
    let (id, _) = existing(world);
    let fortnightly = |key: &mut keysmith::emulator::litellm::KeyRecord| {
        (key.budget, key.rhythm) = (Some(9_000_000), Some("14d".to_owned()));
    };
    assert!(world.emulator.litellm().edit_key(&id, fortnightly));
    world.create("GatewayApiKey", "checkout", key_spec(naming(&id, json!({})))).await;
    let said = world
        .eventually("the budget is asked for", async || {
            match world.condition("GatewayApiKey", "checkout", "Ready").await {
                Some((status, _, message)) if status == "False" && message.contains("spec.budget") => {
                    Ok(message)
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    assert!(said.contains("does not show"), "{said}");
    world.pass(Duration::from_secs(3600), Duration::ZERO).await;
    let keys = world.emulator.litellm().keys();
    let kept = keys.iter().find(|key| key.id == id).expect("the key is there");
    assert_eq!((kept.budget, kept.rhythm.as_deref()), (Some(9_000_000), Some("14d")));
    assert_eq!(world.keys().len(), 1);
    let budget = json!({"spec": {"budget": {"amount": "9", "period": "Monthly"}}});
    world.edit("GatewayApiKey", "checkout", budget).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    let served = world.entry("checkout", "key").await.expect("a new key is in the Secret");
    let new = world.keys().into_iter().find(|key| key.secret == served).unwrap();
    assert_ne!(new.id, id);
    assert_eq!(new.budget_micros, Some(9_000_000));
}
