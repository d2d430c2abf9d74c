//! The answer of `/readyz` while the operator runs.

use crate::support::cluster::{Effect, Rule};
use crate::support::world::World;
use keysmith::api;
use kube::core::crd::CustomResourceExt;
use serde_json::json;
use std::time::Duration;

async fn says(world: &World, code: u16, text: &str) {
    world
        .eventually(&format!("/readyz says {code} {text}"), async || {
            match world.alone().serves("/readyz").await {
                (answer, said) if answer == code && said.contains(text) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

pub async fn a_definition_that_goes_missing_is_named_by_readyz_until_it_is_back(world: &mut World) {
    says(world, 200, "ready").await;
    let before = world.cluster().requests().len();
    world.pass(Duration::from_secs(1800), Duration::ZERO).await;
    let asked = world.cluster().requests().split_off(before);
    assert!(!asked.iter().any(|it| it.resource.starts_with("/apis")), "at rest nothing is asked");
    let definitions =
        [("gatewayapikeys", api::GatewayApiKey::crd()), ("providerkeys", api::ProviderKey::crd())];
    for (plural, _) in &definitions {
        world.cluster().withdraw("keysmith.dev", plural);
        says(world, 503, &format!("CustomResourceDefinition {plural}.keysmith.dev is missing")).await;
    }
    says(world, 503, "gatewayapikeys.keysmith.dev is missing").await;
    // The answer does not flap, and names no other cause.
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (code, text) = world.alone().serves("/readyz").await;
        assert!(code == 503 && !text.contains("consoletokens") && !text.contains("caches"), "{code} {text}");
    }
    assert_eq!(world.alone().serves("/healthz").await.0, 200, "it is not ill: a restart would not help");
    for (_, definition) in definitions {
        world.cluster().install(serde_json::to_value(definition).unwrap());
    }
    says(world, 200, "ready").await;
    world.token().await;
    world.key("checkout", json!({})).await;
}

pub async fn an_api_server_that_refuses_everything_leaves_replicas_ready(world: &mut World) {
    says(world, 200, "ready").await;
    for verb in ["list", "watch"] {
        let refused = Effect::Status { code: 500, reason: "InternalError".to_owned() };
        let (actor, verb) = ("operator".to_owned(), verb.to_owned());
        world.cluster().fault(Rule { actor, verb, times: usize::MAX, ..Rule::next(refused) });
    }
    world.cluster().stop_watches();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(world.alone().serves("/readyz").await, (200, "ready\n".to_owned()));
    }
    world.cluster().clear_faults();
}

pub async fn a_missing_namespace_is_reported_and_watched_once_it_exists(world: &mut World) {
    world.stop().await;
    "late".clone_into(&mut world.namespace);
    world.start().await;
    says(world, 200, "ready\nnamespace late of --namespaces does not exist").await;
    world.cluster().add_namespace("late");
    world.token().await;
    world.key("checkout", json!({})).await;
    world.pass(Duration::from_secs(120), Duration::ZERO).await;
    assert_eq!(world.alone().serves("/readyz").await, (200, "ready\n".to_owned()));
}
