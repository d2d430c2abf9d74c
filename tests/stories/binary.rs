//! The real binary, as users run it.

use crate::support::plane;
use crate::support::process::{self, Keysmith, free_port};
use crate::support::rights::Account;
use crate::support::world::{ORG, World, key_spec, merged};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use keysmith::emulator::{Effect, serve};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpListener;

/// The story's vendor on a port of its own. The task ends with the story's runtime.
pub async fn serve_vendor(world: &World) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(world.emulator.clone(), listener, std::future::pending()));
    port
}

/// Runs the binary under the service account of the story's operator, as in a pod.
async fn run(world: &World, name: &str, vendor: u16, metrics: u16, level: &str) -> Keysmith {
    let kubeconfig = plane::kubeconfig_of(&Account::namespaced(&world.namespace)).await;
    let (endpoints, metrics) = (format!("http://127.0.0.1:{vendor}"), format!("127.0.0.1:{metrics}"));
    let arguments = [
        "run",
        "--namespaces",
        &world.namespace,
        "--allowed-endpoints",
        &endpoints,
        "--metrics-address",
        &metrics,
        "--poll-interval",
        "2s",
        "--log-level",
        level,
    ];
    Keysmith::start_as(name, &kubeconfig, &arguments, &[])
}

pub async fn token_at(world: &World, port: u16) {
    world.write_secret("edgee-console", &[("token", crate::support::world::TOKEN)]).await;
    let at = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    let (api, gateway) = (world.vendor_id.path(), world.vendor_id.gateway_path());
    let endpoint = json!({"endpoint": at(api), "gatewayUrl": at(gateway)});
    world.create("ConsoleToken", "edgee", merged(world.token_spec(), endpoint)).await;
}

pub async fn get(port: u16, path: &str) -> Option<(u16, String)> {
    process::get(&format!("127.0.0.1:{port}"), path).await
}

pub async fn two_hundred_keys_survive_a_sigkill_in_the_middle(world: &mut World) {
    keys_survive_a_sigkill(world, 200).await;
}

pub async fn forty_keys_survive_a_sigkill_in_the_middle(world: &mut World) {
    keys_survive_a_sigkill(world, 40).await;
}

async fn keys_survive_a_sigkill(world: &mut World, keys: usize) {
    world.stop().await;
    let vendor = serve_vendor(world).await;
    // Slow enough that calls are under way at the kill.
    world.fail("POST", Effect::DelayAfter { millis: 100 });
    token_at(world, vendor).await;
    for number in 0..keys {
        world.create("GatewayApiKey", &format!("key-{number}"), key_spec(json!({}))).await;
    }
    let first = run(world, "sigkill", vendor, free_port(), "info").await;
    world
        .eventually("a part of the keys exists", async || {
            if world.keys().len() * 10 < keys * 3 { Err("not yet".to_owned()) } else { Ok(()) }
        })
        .await;
    first.kill();
    assert!(world.keys().len() < keys, "the kill came too late to tell anything");
    let second = run(world, "sigkill", vendor, free_port(), "info").await;
    world.at_rest(&(0..keys).map(|number| format!("key-{number}")).collect::<Vec<_>>()).await;
    second.assert_silent();
    // Cleared early, so that the namespace can be deleted.
    world.emulator.faults().clear();
    for number in 0..keys {
        world.delete("GatewayApiKey", &format!("key-{number}")).await;
    }
    world
        .eventually("all keys are revoked", async || match world.keys().len() {
            0 => Ok(()),
            other => Err(format!("{other} keys")),
        })
        .await;
    assert!(second.terminate().await.success());
}

pub async fn health_readiness_and_metrics_are_served_and_sigterm_ends_it_well(world: &mut World) {
    world.stop().await;
    let vendor = serve_vendor(world).await;
    let port = free_port();
    let process = run(world, "health", vendor, port, "info").await;
    world
        .eventually("it is ready", async || match get(port, "/readyz").await {
            Some((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    assert_eq!(get(port, "/healthz").await.unwrap().0, 200);
    token_at(world, vendor).await;
    world.key("checkout", json!({})).await;
    let lines = [
        "keysmith_vendor_calls_total{vendor=\"edgee\",call=\"mint\",outcome=\"ok\"} 1",
        "keysmith_reconciles_total{kind=\"GatewayApiKey\",outcome=\"ok\"}",
        "keysmith_console_token_ready{",
    ];
    // A reconciliation is counted when it has ended, which is a moment after its status can be read.
    world
        .eventually("everything is counted", async || {
            let (_, metrics) = get(port, "/metrics").await.ok_or("no answer")?;
            match lines.iter().find(|line| !metrics.contains(**line)) {
                None => Ok(()),
                Some(line) => Err(format!("{line} is not in:\n{metrics}")),
            }
        })
        .await;
    assert!(process.terminate().await.success());
}

pub async fn what_the_binary_prints_at_trace_level_holds_no_secret(world: &mut World) {
    world.stop().await;
    let vendor = serve_vendor(world).await;
    // Libraries are included; they have to be named in the level.
    let level = "trace,kube=trace,hyper=trace,tower=trace,reqwest=trace,rustls=trace,tokio=trace,axum=trace";
    let process = run(world, "trace", vendor, free_port(), level).await;
    token_at(world, vendor).await;
    world.write_secret("byok", &[("api_key", "canary-credential")]).await;
    let provider_key = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "openai", "credentialsRef": {"name": "byok"}, "scope": "Organization",
    });
    world.create("ProviderKey", "openai", provider_key).await;
    world.fail_once("POST", Effect::Truncate);
    world.create("GatewayApiKey", "checkout", key_spec(json!({"secret": {"preset": "OpenAI"}}))).await;
    world.ready("GatewayApiKey", "checkout").await;
    world.ready("ProviderKey", "openai").await;
    world.secrets().delete("checkout", &DeleteParams::default()).await.unwrap();
    world.served("checkout", "OPENAI_API_KEY").await;
    let patch = json!({"data": {"OPENAI_API_KEY": "bm90IGEga2V5"}});
    world.secrets().patch("checkout", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    world.served("checkout", "OPENAI_API_KEY").await;
    assert!(process.printed().contains("TRACE"), "the level is what was asked for");
    process.assert_silent();
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    process.assert_silent();
}

pub async fn a_namespace_with_everything_in_it_goes(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-credential")]).await;
    world.key("checkout", json!({})).await;
    let provider_key = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "openai",
        "credentialsRef": {"name": "byok"}, "gatewayKeyRefs": [{"name": "checkout"}],
    });
    world.create("ProviderKey", "openai", provider_key).await;
    world.ready("ProviderKey", "openai").await;
    let namespaces: Api<Namespace> = Api::all(world.user.clone());
    namespaces.delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    world
        .eventually("the namespace is gone", async || {
            match namespaces.get_opt(&world.namespace).await.unwrap() {
                None => Ok(()),
                Some(namespace) => Err(format!("{:?}", namespace.status.and_then(|it| it.conditions))),
            }
        })
        .await;
    assert!(world.keys().is_empty() && world.edgee().provider_keys(ORG).is_empty());
}

/// The definition of another version of Keysmith may admit a field that this version cannot decode.
pub async fn a_field_that_cannot_be_decoded_is_reported(world: &mut World) {
    let definitions: Api<CustomResourceDefinition> = Api::all(world.user.clone());
    let name = "providerkeys.keysmith.dev";
    let original = definitions.get(name).await.unwrap();
    let mut loose = serde_json::to_value(&original).unwrap();
    let scope = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/scope";
    *loose.pointer_mut(scope).unwrap() = json!({"type": "string"});
    loose["metadata"] = json!({"name": name});
    let force = PatchParams::apply("test").force();
    definitions.patch(name, &force, &Patch::Apply(&loose)).await.unwrap();
    let spec = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "openai",
        "credentialsRef": {"name": "byok"}, "scope": "Galaxy",
    });
    world
        .eventually("the loosened definition is served", async || {
            world
                .try_create("ProviderKey", "odd", spec.clone())
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await;
    let message = world.reason("ProviderKey", "odd", "Undecodable").await;
    assert!(message.contains("Galaxy"), "{message}");
    world.delete("ProviderKey", "odd").await;
    world.gone("ProviderKey", "odd").await;
    let mut strict = serde_json::to_value(&original).unwrap();
    strict["metadata"] = json!({"name": name});
    strict.as_object_mut().unwrap().remove("status");
    definitions.patch(name, &force, &Patch::Apply(&strict)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
}
