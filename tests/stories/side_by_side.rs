//! Operators of different classes side by side: each works for the console tokens of its class, and for what is made with them.

use crate::stories::leadership::until_it_leads;
use crate::support::drivers::Driver;
use crate::support::replica::Replica;
use crate::support::world::{TOKEN, World, key_spec, merged};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Namespace;
use keysmith::plan::class::ControllerClass;
use keysmith::plan::naming::{ClusterId, Mark};
use keysmith::runtime::metrics::Metrics;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::Duration;

const CANARY: &str = "canary";

fn class() -> ControllerClass {
    ControllerClass::parse(CANARY).unwrap()
}

/// An operator of the class, with a ledger of its own.
async fn canary(world: &World) -> Replica {
    let replica = world.replica_with(CANARY, Metrics::default(), |settings| {
        settings.class = class();
        if world.is_simulated() {
            CANARY.clone_into(&mut settings.ledger_namespace);
        }
    });
    let replica = replica.await;
    until_it_leads(world, &replica).await;
    replica
}

async fn plain(world: &World) -> Replica {
    let replica = world.replica("plain", Metrics::default()).await;
    until_it_leads(world, &replica).await;
    replica
}

/// A console token for each: `edgee` and, of the class, `canary`; both of the same account.
async fn tokens(world: &World) {
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.create("ConsoleToken", "edgee", world.token_spec()).await;
    let of_class = merged(world.token_spec(), json!({"controllerClass": CANARY}));
    world.create("ConsoleToken", CANARY, of_class).await;
}

async fn make(world: &World, name: &str, token: &str) {
    let spec = merged(key_spec(json!({})), json!({"consoleTokenRef": {"name": token}}));
    world.create("GatewayApiKey", name, spec).await;
}

async fn finalizers(world: &World, name: &str) -> Vec<String> {
    world.api("GatewayApiKey").get(name).await.unwrap().finalizers().to_vec()
}

/// Whose mark is in the name of a resource's key.
async fn is_marked_for(world: &World, name: &str, cluster: &ClusterId) -> bool {
    let id = world.status("GatewayApiKey", name).await["id"].as_str().unwrap().to_owned();
    let key = world.keys().into_iter().find(|it| it.id == id).unwrap();
    Mark::parse(&key.name).unwrap().0.is_of(cluster)
}

pub async fn each_operator_works_for_its_class_alone(world: &mut World) {
    world.stop().await;
    let (plain, canary) = (plain(world).await, canary(world).await);
    tokens(world).await;
    make(world, "one", "edgee").await;
    make(world, "two", CANARY).await;
    for name in ["one", "two"] {
        world.ready("GatewayApiKey", name).await;
    }
    assert!(plain.leads() && canary.leads(), "each has a Lease of its own");
    assert_eq!(world.creations(), 2);
    assert!(plain.calls() > 0 && canary.calls() > 0);
    let base = world.cluster_id().await;
    let of_class = base.clone().of_class(&class());
    for (name, finalizer, own, other) in [
        ("one", "keysmith.dev/cleanup", &base, &of_class),
        ("two", "keysmith.dev/cleanup-canary", &of_class, &base),
    ] {
        assert_eq!(finalizers(world, name).await, [finalizer]);
        assert!(is_marked_for(world, name, own).await && !is_marked_for(world, name, other).await, "{name}");
    }
    for (replica, own, other) in [(&plain, "one", "two"), (&canary, "two", "one")] {
        let (_, metrics) = replica.serves("/metrics").await;
        let shown = |name: &str| metrics.contains(&format!("resource_name=\"{name}\""));
        assert!(shown(own) && !shown(other), "{metrics}");
    }
    // Nobody works for a class without an operator, and what was made under it waits for one.
    canary.stop().await;
    make(world, "late", CANARY).await;
    world.delete("GatewayApiKey", "two").await;
    world.pass(Duration::from_secs(600), Duration::from_secs(5)).await;
    assert_eq!((world.creations(), world.keys().len()), (2, 2));
    let canary = self::canary(world).await;
    world.gone("GatewayApiKey", "two").await;
    world.ready("GatewayApiKey", "late").await;
    world.delete("GatewayApiKey", "one").await;
    world.gone("GatewayApiKey", "one").await;
    assert_eq!((world.creations(), world.keys().len()), (3, 1));
    canary.stop().await;
    plain.stop().await;
}

pub async fn keys_that_one_class_left_on_purpose_are_no_orphans_of_the_other(world: &mut World) {
    world.stop().await;
    world.everywhere = true;
    world.sweep = SignedDuration::from_mins(10);
    let own = json!({"metadata": {"name": CANARY}});
    let namespaces: Api<Namespace> = Api::all(world.user.clone());
    namespaces.create(&PostParams::default(), &serde_json::from_value(own).unwrap()).await.unwrap();
    let hours = async |hours: u64| world.pass(Duration::from_secs(hours * 3600), Duration::ZERO).await;
    let (plain, canary) = (plain(world).await, canary(world).await);
    tokens(world).await;
    make(world, "one", "edgee").await;
    make(world, "left", CANARY).await;
    for name in ["one", "left"] {
        world.ready("GatewayApiKey", name).await;
    }
    // Both ledgers are there before the keys that follow, so that only marks and entries are between a key and its sweep.
    hours(1).await;
    make(world, "kept", CANARY).await;
    world.ready("GatewayApiKey", "kept").await;
    let secret = world.entry("kept", "key").await.unwrap();
    world.edit("GatewayApiKey", "kept", json!({"spec": {"deletionPolicy": "Retain"}})).await.unwrap();
    world.delete("GatewayApiKey", "kept").await;
    world.gone("GatewayApiKey", "kept").await;
    // A key whose resource is gone, of the class: its own operator revokes it, and no other.
    let cluster = world.cluster_id().await.of_class(&class());
    let planted =
        world.vendor().add_key(&world.vendor_id.name_of(&Mark::new(&cluster, "gone"), "planted")).id;
    canary.stop().await;
    hours(2).await;
    assert!(world.accepts(&secret), "a key that was kept on purpose works on");
    assert!(world.keys().iter().any(|it| it.id == planted), "and an orphan of the class is not the other's");
    let canary = self::canary(world).await;
    hours(2).await;
    assert!(world.accepts(&secret) && !world.keys().iter().any(|it| it.id == planted));
    canary.stop().await;
    plain.stop().await;
}

pub async fn what_is_made_with_a_token_follows_it_to_another_class(world: &mut World) {
    world.stop().await;
    let (plain, canary) = (plain(world).await, canary(world).await);
    tokens(world).await;
    make(world, "one", "edgee").await;
    world.ready("GatewayApiKey", "one").await;
    let secret = world.entry("one", "key").await.unwrap();
    // A class cannot be changed; a token that is made anew may have another one.
    if !world.is_simulated() {
        let refused = world.edit("ConsoleToken", "edgee", json!({"spec": {"controllerClass": CANARY}})).await;
        assert!(refused.unwrap_err().to_string().contains("controllerClass is immutable"));
    }
    plain.stop().await;
    world.edit("ConsoleToken", "edgee", json!({"metadata": {"finalizers": []}})).await.unwrap();
    world.delete("ConsoleToken", "edgee").await;
    world.gone("ConsoleToken", "edgee").await;
    let of_class = merged(world.token_spec(), json!({"controllerClass": CANARY}));
    world.create("ConsoleToken", "edgee", of_class).await;
    world.ready("ConsoleToken", "edgee").await;
    let plain = self::plain(world).await;
    // To the other operator, the key is that of another cluster: it leaves it as it is.
    let message = world.reason("GatewayApiKey", "one", "OwnershipConflict").await;
    assert!(message.contains("another cluster") && message.contains("nothing is changed"), "{message}");
    assert!(world.creations() == 1 && world.accepts(&secret), "the key works on");
    // A finalizer that a person writes takes nothing away from the operator of the console token.
    let forged = json!({"metadata": {"finalizers": ["keysmith.dev/cleanup-nobody"],
        "annotations": {"keysmith.dev/force-orphan": "yes"}}});
    world.edit("GatewayApiKey", "one", forged).await.unwrap();
    world.delete("GatewayApiKey", "one").await;
    world.gone("GatewayApiKey", "one").await;
    canary.stop().await;
    plain.stop().await;
}

/// Two operators whose ClusterConsoleTokens have their Secrets in namespaces of their own.
pub async fn the_secrets_of_shared_tokens_are_held_by_their_own_operator(world: &mut World) {
    world.stop().await;
    world.everywhere = true;
    let plain = world
        .replica_with("plain", Metrics::default(), |settings| "elsewhere".clone_into(&mut settings.home));
    let plain = plain.await;
    until_it_leads(world, &plain).await;
    let canary = world.replica_with(CANARY, Metrics::default(), |settings| {
        settings.class = class();
        settings.home.clone_from(&world.namespace);
    });
    let canary = canary.await;
    until_it_leads(world, &canary).await;
    tokens(world).await;
    let shared = json!({"controllerClass": CANARY, "allowedNamespaces": {"names": [world.namespace]}});
    world.create("ClusterConsoleToken", "shared", merged(world.token_spec(), shared)).await;
    let reference = json!({"consoleTokenRef": {"name": "shared", "kind": "ClusterConsoleToken"}});
    world.create("GatewayApiKey", "one", merged(key_spec(json!({})), reference)).await;
    world.ready("GatewayApiKey", "one").await;
    let held = async || {
        let secret = world.secrets().get("edgee-console").await.unwrap();
        secret.finalizers().iter().any(|it| it == "keysmith.dev/token-in-use-canary")
    };
    world
        .eventually("its Secret is held", async || if held().await { Ok(()) } else { Err(String::new()) })
        .await;
    let version = async || world.secrets().get("edgee-console").await.unwrap().metadata.resource_version;
    let before = version().await;
    world.pass(Duration::from_secs(900), Duration::ZERO).await;
    assert!(held().await && version().await == before, "the operators do not write it in turns");
    canary.stop().await;
    plain.stop().await;
}
