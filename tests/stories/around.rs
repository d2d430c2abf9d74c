//! Secrets that are written without a change of the key, dry runs before a key is created, and Secrets that are left
//! alone because another controller reverts them.

use super::rotating::trigger;
use crate::support::cluster::{Effect, Rule};
use crate::support::drivers::Driver;
use crate::support::world::{World, key_spec};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

async fn patch(world: &World, patch: Value) {
    world.secrets().patch("checkout", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

async fn ask(world: &World, kind: &str, name: &str) {
    let now = world.clock.now().to_string();
    let patch = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": now}}});
    world.edit(kind, name, patch).await.unwrap();
}

async fn labelled(world: &World, label: &str, value: &str) {
    world
        .eventually(&format!("label {label} is {value}"), async || {
            let labels = world.secrets().get("checkout").await.unwrap().metadata.labels.unwrap_or_default();
            if labels.get(label).is_some_and(|it| it == value) { Ok(()) } else { Err(format!("{labels:?}")) }
        })
        .await;
}

pub async fn a_secret_is_rewritten_around_its_unchanged_key(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let key = world.served("checkout", "key").await;
    let managed = "app.kubernetes.io/managed-by";
    world
        .edit(
            "GatewayApiKey",
            "checkout",
            json!({"spec": {"secret": {"template": {"metadata": {"labels": {"team": "a"}}}}}}),
        )
        .await
        .unwrap();
    labelled(world, "team", "a").await;
    patch(world, json!({"stringData": {"EXTRA": "x"}})).await;
    world
        .eventually("the entry that was added is gone", async || {
            let data = world.secrets().get("checkout").await.unwrap().data.unwrap_or_default();
            if data.len() == 1 { Ok(()) } else { Err(format!("{:?}", data.keys())) }
        })
        .await;
    patch(world, json!({"metadata": {"labels": {managed: "Helm"}}})).await;
    labelled(world, managed, "keysmith").await;
    // A preset, and a gateway URL that only the preset uses.
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"secret": {"preset": "OpenAI"}}})).await.unwrap();
    world.edit("ConsoleToken", "edgee", json!({"spec": {"gatewayUrl": "https://gw.example"}})).await.unwrap();
    world
        .eventually("the preset has the new address", async || {
            let url = world.entry("checkout", "OPENAI_BASE_URL").await.unwrap_or_default();
            if url.starts_with("https://gw.example") { Ok(()) } else { Err(url) }
        })
        .await;
    assert_eq!(world.served("checkout", "OPENAI_API_KEY").await, key);
    assert_eq!(world.creations(), 1, "one key, all the time");
    let reveals = world.emulator.calls().iter().filter(|it| it.path.ends_with("/reveal")).count();
    assert_eq!(reveals, 0, "the key stood in the Secret");
}

/// A Secret as version 0.1 wrote it: without an annotation that says which entry holds the key.
pub async fn a_secret_of_an_earlier_version_keeps_its_key(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let key = world.served("checkout", "key").await;
    let none = json!({"keysmith.dev/key-at": null, "keysmith.dev/rendered-from": null});
    patch(world, json!({"metadata": {"annotations": none}})).await;
    let labels = json!({"spec": {"secret": {"template": {"metadata": {"labels": {"team": "a"}}}}}});
    world.edit("GatewayApiKey", "checkout", labels).await.unwrap();
    labelled(world, "team", "a").await;
    assert_eq!(world.served("checkout", "key").await, key);
    let annotations = world.secrets().get("checkout").await.unwrap().metadata.annotations.unwrap_or_default();
    assert!(annotations.contains_key("keysmith.dev/key-at"), "{annotations:?}");
    assert_eq!(world.creations(), 1);
}

pub async fn a_gateway_that_no_entry_names_changes_no_secret(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let before = world.secrets().get("checkout").await.unwrap().metadata.resource_version;
    world.edit("ConsoleToken", "edgee", json!({"spec": {"gatewayUrl": "https://gw.example"}})).await.unwrap();
    world.pass(Duration::from_secs(1200), Duration::from_secs(5)).await;
    assert_eq!(world.secrets().get("checkout").await.unwrap().metadata.resource_version, before);
    assert_eq!(world.creations(), 1);
}

/// A user who may write a ConsoleToken would have the keys of all applications of its namespace sent elsewhere.
pub async fn a_gateway_that_is_not_admitted_changes_no_secret(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"secret": {"preset": "OpenAI"}})).await;
    let before = world.entry("checkout", "OPENAI_BASE_URL").await.unwrap();
    world
        .edit("ConsoleToken", "edgee", json!({"spec": {"gatewayUrl": "https://attacker.test"}}))
        .await
        .unwrap();
    let message = world.reason("ConsoleToken", "edgee", "EndpointNotAdmitted").await;
    assert!(message.contains("spec.gatewayUrl: https://attacker.test is not admitted"), "{message}");
    assert!(message.contains("applications keep the address that they have"), "{message}");
    // Neither an edit of the key nor a lost Secret brings the address into a Secret, and none is made with it.
    let label =
        json!({"spec": {"secret": {"preset": "OpenAI", "template": {"metadata": {"labels": {"a": "b"}}}}}});
    world.edit("GatewayApiKey", "checkout", label).await.unwrap();
    world.create("GatewayApiKey", "second", key_spec(json!({"secret": {"preset": "OpenAI"}}))).await;
    world.pass(Duration::from_secs(900), Duration::from_secs(3)).await;
    assert_eq!(world.entry("checkout", "OPENAI_BASE_URL").await.unwrap(), before);
    assert_eq!(world.entry("second", "OPENAI_BASE_URL").await, None);
    // Taken back, it goes on.
    let back = world.token_spec()["gatewayUrl"].clone();
    world.edit("ConsoleToken", "edgee", json!({"spec": {"gatewayUrl": back}})).await.unwrap();
    world.ready("GatewayApiKey", "second").await;
    assert_eq!(world.entry("second", "OPENAI_BASE_URL").await.unwrap(), before);
    // Nor does a ConsoleToken that is being deleted, whose keys it is still needed for.
    world
        .edit("ConsoleToken", "edgee", json!({"spec": {"gatewayUrl": "https://attacker.test"}}))
        .await
        .unwrap();
    world.reason("ConsoleToken", "edgee", "EndpointNotAdmitted").await;
    world.delete("ConsoleToken", "edgee").await;
    world.pass(Duration::from_secs(900), Duration::from_secs(3)).await;
    world.stop().await;
    world.start().await;
    world.pass(Duration::from_secs(900), Duration::from_secs(3)).await;
    for key in ["checkout", "second"] {
        assert_eq!(world.entry(key, "OPENAI_BASE_URL").await.unwrap(), before);
        world.delete("GatewayApiKey", key).await;
    }
    world.gone("ConsoleToken", "edgee").await;
}

/// The API server now refuses every Secret of Keysmith, also in a dry run.
pub fn refuse_secrets(world: &World) {
    let effect = Effect::Status { code: 403, reason: "Forbidden".to_owned() };
    let rule = Rule {
        verb: "rehearse".to_owned(),
        resource: "secrets".to_owned(),
        times: usize::MAX,
        ..Rule::next(effect)
    };
    world.cluster().fault(rule);
}

pub async fn a_secret_that_cannot_be_stored_costs_no_key(world: &mut World) {
    world.token().await;
    refuse_secrets(world);
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let message = world.reason("GatewayApiKey", "checkout", "SecretRefused").await;
    assert!(message.contains("no key is made"), "{message}");
    world.pass(Duration::from_secs(7200), Duration::from_secs(5)).await;
    assert_eq!(world.creations(), 0);
    world.cluster().clear_faults();
    ask(world, "GatewayApiKey", "checkout").await;
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(world.creations(), 1);
    // A rotation into a Secret that would be refused: the working key stays, and is Ready.
    let id = world.served("checkout", "key").await;
    world.edit("GatewayApiKey", "checkout", trigger("a")).await.unwrap();
    world.pass(Duration::from_secs(10), Duration::from_secs(3)).await;
    refuse_secrets(world);
    world.edit("GatewayApiKey", "checkout", trigger("b")).await.unwrap();
    world.reason("GatewayApiKey", "checkout", "SecretRefused").await;
    world.pass(Duration::from_secs(7200), Duration::from_secs(5)).await;
    assert_eq!(world.creations(), 1);
    let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
    assert_eq!(ready.0, "True", "{ready:?}");
    assert_eq!(world.served("checkout", "key").await, id);
}

pub async fn a_secret_that_no_api_server_takes_is_refused_by_its_field(world: &mut World) {
    world.token().await;
    let template = |fields: Value| json!({"secret": {"template": fields}});
    let labels = |team: &str| template(json!({"metadata": {"labels": {"team": team}}}));
    for (name, spec, field) in [
        ("label", labels("Search and Ads"), "spec.secret.template.metadata.labels[team]: "),
        (
            "annotation",
            template(json!({"metadata": {"annotations": {"bad key": "x"}}})),
            "spec.secret.template.metadata.annotations[bad key]: ",
        ),
        ("type", template(json!({"type": "kubernetes.io/tls"})), "spec.secret.template.type: "),
        ("name", json!({"secret": {"name": "a..b"}}), "spec.secret.name: "),
    ] {
        world.create("GatewayApiKey", name, key_spec(spec)).await;
        let message = world.reason("GatewayApiKey", name, "InvalidSpec").await;
        assert!(message.starts_with(field), "{message}");
    }
    world.pass(Duration::from_secs(3600), Duration::from_secs(5)).await;
    assert_eq!(world.creations(), 0);
    world.edit("GatewayApiKey", "label", json!({"spec": labels("search-and-ads")})).await.unwrap();
    world.ready("GatewayApiKey", "label").await;
    assert_eq!(world.creations(), 1);
}

pub async fn an_immutable_secret_keeps_its_key_until_it_is_deleted(world: &mut World) {
    world.token().await;
    let rotation = json!({"overlap": "1s", "brownOut": "0s", "trigger": "a"});
    world.key("checkout", world.vendor_id.rotation(rotation)).await;
    let id = world.served("checkout", "key").await;
    patch(world, json!({"immutable": true})).await;
    world.edit("GatewayApiKey", "checkout", trigger("b")).await.unwrap();
    let message = world.reason("GatewayApiKey", "checkout", "SecretImmutable").await;
    assert!(message.contains("delete the Secret"), "{message}");
    world.pass(Duration::from_secs(7200), Duration::from_secs(5)).await;
    let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
    assert_eq!((ready.0.as_str(), world.creations()), ("True", 1), "{ready:?}");
    assert_eq!(world.served("checkout", "key").await, id);
    world.lose_secret("checkout").await;
    // The rotation request is carried out into a Secret of the present version.
    world
        .eventually("another key is served", async || {
            let status = world.status("GatewayApiKey", "checkout").await;
            if status["id"].is_string() && status["id"] != id.as_str() {
                Ok(())
            } else {
                Err(status.to_string())
            }
        })
        .await;
    world.served("checkout", "key").await;
    assert_eq!(world.creations(), 2);
}

/// Another controller, which sets a label or an entry to a value of its own.
async fn fight(world: &World, change: &Value, times: usize) {
    for _ in 0..times {
        patch(world, change.clone()).await;
        world.pass(Duration::from_secs(20), Duration::from_secs(2)).await;
    }
}

pub async fn a_controller_that_changes_a_secret_back_is_left_alone_after_the_second_time(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let key = world.served("checkout", "key").await;
    let change = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "platform"}}});
    fight(world, &change, 3).await;
    let contested = world
        .eventually("it is contested", async || {
            let found = world.condition("GatewayApiKey", "checkout", "SecretContested").await;
            found.filter(|it| it.0 == "True").ok_or_else(|| "not yet".to_owned())
        })
        .await;
    assert!(contested.2.contains("label app.kubernetes.io/managed-by"), "{contested:?}");
    world.event("SecretContested").await;
    let version = world.secrets().get("checkout").await.unwrap().metadata.resource_version;
    world.pass(Duration::from_secs(1800), Duration::from_secs(5)).await;
    assert_eq!(world.secrets().get("checkout").await.unwrap().metadata.resource_version, version, "no fight");
    let ready = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
    assert_eq!(ready.0, "True", "the key works: {ready:?}");
    assert_eq!((world.served("checkout", "key").await, world.creations()), (key, 1));
    // The way out needs no flag of the operator.
    ask(world, "GatewayApiKey", "checkout").await;
    labelled(world, "app.kubernetes.io/managed-by", "keysmith").await;
    world
        .eventually("nothing is contested any more", async || {
            match world.condition("GatewayApiKey", "checkout", "SecretContested").await {
                None => Ok(()),
                Some(it) => Err(format!("{it:?}")),
            }
        })
        .await;
}

pub async fn a_controller_that_takes_the_key_out_costs_one_key_and_no_endless_reveals(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"overlap": "1h"}})).await;
    let change = json!({"data": {"key": "bm90LXRoZS1rZXk="}});
    fight(world, &change, 4).await;
    world.reason("GatewayApiKey", "checkout", "SecretContested").await;
    let calls = world.emulator.calls().len();
    world.pass(Duration::from_secs(1500), Duration::from_secs(5)).await;
    assert!(world.creations() <= 2, "{} keys", world.creations());
    let polls = world.emulator.calls()[calls..].iter().filter(|it| it.path.ends_with("/reveal")).count();
    assert_eq!(polls, 0, "no reveals while it is contested");
    ask(world, "GatewayApiKey", "checkout").await;
    world.ready("GatewayApiKey", "checkout").await;
    assert!(world.accepts(&world.entry("checkout", "key").await.unwrap()));
    assert!(world.creations() <= if world.vendor_id.reveals() { 1 } else { 3 });
}

pub async fn a_replaced_manifest_gets_finalizer_and_claim_back(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let secret = world.entry("checkout", "key").await.unwrap();
    let api = world.api("GatewayApiKey");
    let mut object = api.get("checkout").await.unwrap();
    object.metadata.finalizers = None;
    object.metadata.annotations = None;
    object.metadata.managed_fields = None;
    api.replace("checkout", &kube::api::PostParams::default(), &object).await.unwrap();
    world
        .eventually("finalizer and claim are back", async || {
            let meta = api.get("checkout").await.unwrap().metadata;
            let held = meta.finalizers.unwrap_or_default().iter().any(|it| it == "keysmith.dev/cleanup");
            let claimed = meta.annotations.unwrap_or_default().contains_key("keysmith.dev/claim");
            if held && claimed { Ok(()) } else { Err(format!("finalizer {held}, claim {claimed}")) }
        })
        .await;
    assert_eq!(world.creations(), 1);
    world.delete("GatewayApiKey", "checkout").await;
    world
        .eventually("the key is dead", async || {
            if world.accepts(&secret) { Err("it works".to_owned()) } else { Ok(()) }
        })
        .await;
    if world.is_simulated() {
        // The lost claim may have been for a create call that is still under way, for which the deletion waits three
        // minutes.
        world.gone("GatewayApiKey", "checkout").await;
    }
}

/// For example, a controller that writes the time of its last pass.
pub async fn a_secret_reverted_in_a_different_way_each_time_is_left_alone_too(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.served("checkout", "key").await;
    let mut visits = 0;
    while world.condition("GatewayApiKey", "checkout", "SecretContested").await.is_none() {
        visits += 1;
        assert!(visits < 20, "it goes on and on");
        patch(world, json!({"stringData": {"visited": visits.to_string()}})).await;
        world.pass(Duration::from_secs(3), Duration::from_secs(3)).await;
    }
    let before = world.secrets().get("checkout").await.unwrap().metadata.resource_version;
    world.pass(Duration::from_secs(1200), Duration::from_secs(5)).await;
    assert_eq!(world.secrets().get("checkout").await.unwrap().metadata.resource_version, before);
    world.served("checkout", "key").await;
    assert_eq!(world.creations(), 1);
}
