//! The operator has exactly the rights that it uses. This test proves that no granted right is unused. The end of every
//! story, and the API server during it, prove that no right is missing.

use crate::support::drivers::Driver;
use crate::support::plane;
use crate::support::rights::{Account, Right};
use crate::support::world::{TOKEN, World, key_spec, merged};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::coordination::v1::Lease;
use keysmith::cluster::ledger::Ledger;
use keysmith::emulator::edgee::DataPlaneAnswer;
use keysmith::emulator::{Effect, VendorId};
use keysmith::runtime::metrics::Metrics;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::time::Duration;

async fn workload<K>(world: &World, name: &str)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let pod = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "x", "image": "example.com/x"}]}});
    let mut object = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name, "labels": {"team": "shop"}},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": pod},
    });
    if K::kind(&()) == "StatefulSet" {
        object["spec"]["serviceName"] = name.into();
    }
    let api: Api<K> = Api::namespaced(world.user.clone(), &world.namespace);
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

/// A kind that only one vendor has.
async fn project(world: &World) {
    let vendor = VendorId::Cortecs;
    world.emulator.vendor(vendor).add_token(TOKEN);
    let secret = json!({"secretRef": {"name": "edgee-console", "key": "token"}});
    world.create("ConsoleToken", "cortecs", merged(vendor.token_spec(), secret)).await;
    let settings = json!({"consoleTokenRef": {"name": "cortecs"}, "settings": {"euNative": true}});
    world.create("ProjectSettings", "eu", settings).await;
    world.ready("ProjectSettings", "eu").await;
    // A token to be minted is a key that the operator requests for itself.
    let mut minted = vendor.token_spec();
    minted["mint"] = json!({"issuerRef": {"name": "cortecs"}, "secret": {"name": "minted"}});
    world.create("ConsoleToken", "minted", minted).await;
    world.ready("ConsoleToken", "minted").await;
    for (kind, name) in [
        ("ConsoleToken", "minted"),
        ("GatewayApiKey", "minted-console-token"),
        ("ProjectSettings", "eu"),
        ("ConsoleToken", "cortecs"),
    ] {
        if name == "minted-console-token" {
            world.gone(kind, name).await;
            continue;
        }
        world.delete(kind, name).await;
        world.gone(kind, name).await;
    }
}

/// One operator leads, one is a candidate, and another writer changes the Lease: it is created, watched, updated and
/// read again.
async fn election(world: &mut World) {
    world.stop().await;
    let replicas =
        [world.replica("first", Metrics::default()).await, world.replica("second", Metrics::default()).await];
    let leases: Api<Lease> = Api::namespaced(world.user.clone(), &world.namespace);
    world
        .eventually("every right on the Lease is used", async || {
            let touched = json!({"metadata": {"annotations": {"touched": world.clock.now().to_string()}}});
            let _ = leases.patch("keysmith", &PatchParams::default(), &Patch::Merge(touched)).await;
            let unused = unused(world, |right| right.resource == "leases");
            if unused.is_empty() { Ok(()) } else { Err(unused.join(", ")) }
        })
        .await;
    for replica in replicas {
        replica.stop().await;
    }
    world.start().await;
}

/// Rights that no request has used yet.
fn unused(world: &World, which: impl Fn(&Right) -> bool) -> Vec<String> {
    let asked = world.requests();
    Account::cluster(&world.namespace)
        .rights()
        .into_iter()
        // `claim` is asked for by the admission policy, and is no request; ledgers are listed by sweeps.
        .filter(|right| {
            right.verb != "claim" && (right.resource.as_str(), right.verb.as_str()) != ("configmaps", "list")
        })
        .filter(|right| which(right))
        .filter(|right| !asked.iter().any(|it| right.covers(it)))
        .map(|right| format!("{} {} {}", right.verb, right.group, right.resource))
        .collect()
}

pub async fn every_right_is_used(world: &mut World) {
    election(world).await;
    world.token().await;
    project(world).await;
    workload::<Deployment>(world, "web").await;
    workload::<StatefulSet>(world, "db").await;
    workload::<DaemonSet>(world, "agent").await;
    let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
    let named =
        kinds.iter().zip(["web", "db", "agent"]).map(|(kind, name)| json!({"kind": kind, "name": name}));
    let chosen =
        kinds.iter().map(|kind| json!({"kind": kind, "selector": {"matchLabels": {"team": "shop"}}}));
    let restart: Vec<_> = named.chain(chosen).collect();
    world
        .key(
            "checkout",
            json!({"rotation": {"trigger": "a", "restart": restart}, "deletionPolicy": "Retain"}),
        )
        .await;
    world.write_secret("byok", &[("api_key", "canary-credential")]).await;
    let provider_key = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "openai", "credentialsRef": {"name": "byok"},
        "gatewayKeyRefs": [{"name": "checkout"}],
    });
    world.create("ProviderKey", "openai", provider_key).await;
    world.ready("ProviderKey", "openai").await;
    let trigger = json!({"spec": {"rotation": {"trigger": "b"}}});
    world.edit("GatewayApiKey", "checkout", trigger).await.unwrap();
    world.event("ConsumersRestarted").await;
    // A repeated event is patched.
    for edited in ["bm90IGEga2V5", "bmVpdGhlcg=="] {
        let patch = json!({"data": {"key": edited}});
        world.secrets().patch("checkout", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        world
            .eventually("the Secret is set right", async || {
                let value = world.entry("checkout", "key").await.unwrap_or_default();
                match world.edgee().check(&value, None) {
                    DataPlaneAnswer::Accepted => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
    }
    // The first retained key creates the ledger, and the second one updates it. Its status write meets a concurrent
    // edit, so the resource is read once more.
    world.fail_once("POST", Effect::Delay { millis: 1500 });
    world.create("GatewayApiKey", "second", key_spec(json!({"deletionPolicy": "Retain"}))).await;
    world
        .eventually("the call is under way", async || match world.creations() {
            3 => Ok(()),
            other => Err(format!("{other} calls")),
        })
        .await;
    let edit = json!({"metadata": {"labels": {"edited": "meanwhile"}}});
    world.edit("GatewayApiKey", "second", edit).await.unwrap();
    world.ready("GatewayApiKey", "second").await;
    world.delete("ProviderKey", "openai").await;
    world.gone("ProviderKey", "openai").await;
    for key in ["checkout", "second"] {
        world.delete("GatewayApiKey", key).await;
        world.gone("GatewayApiKey", key).await;
    }
    // Sweeps read all ledgers; they need an operator of all namespaces, which this one is not.
    let operator = plane::client_of(&Account::cluster(&world.namespace)).await;
    let book = Ledger::new(operator, &world.namespace, Metrics::default()).open().await.unwrap();
    assert!(!book.entries.is_empty());
    world.delete("ConsoleToken", "edgee").await;
    world.gone("ConsoleToken", "edgee").await;
    world.pass(Duration::ZERO, Duration::from_secs(1)).await;
    assert_eq!(unused(world, |_| true), Vec::<String>::new(), "granted, and not used");
}
