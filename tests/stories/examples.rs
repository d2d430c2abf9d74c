//! The manifests in `deploy/examples` work: every folder is applied unchanged, at the emulator, does what its comments
//! say, and is deleted without a rest.

use crate::support::vendor::InProcess;
use crate::support::world::World;
use bytes::Bytes;
use keysmith::emulator::{Seed, VendorId};
use keysmith::plan::class::ControllerClass;
use keysmith::plan::token::Endpoints;
use keysmith::plan::usage::Span;
use keysmith::session::Session;
use keysmith::usage::{self, Choice};
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, ValidationDirective};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;

/// The address in the overlays for the emulator, and the address of the story's emulator.
const ADDRESSES: (&str, &str) = ("http://127.0.0.1:8787", "http://emulator.test");

pub async fn those_for_edgee_become_ready_and_work(world: &mut World) {
    let played = play(world, "edgee", VendorId::Edgee).await;
    assert_eq!(played.of("ProviderKey").len(), 1);
    end(world, &played).await;
}

pub async fn those_for_eden_ai_v3_become_ready_and_work(world: &mut World) {
    let played = play(world, "edenai", VendorId::EdenAiV3).await;
    assert_eq!(world.vendor_of(&played).credentials().len(), 1, "the token is minted");
    end(world, &played).await;
}

pub async fn those_for_eden_ai_v2_become_ready_and_work(world: &mut World) {
    let played = play(world, "edenai-v2", VendorId::EdenAiV2).await;
    let said = world.condition("ConsoleToken", "edenai", "LowBalance").await;
    assert!(said.is_some_and(|it| it.0 == "False"), "the balance is read");
    end(world, &played).await;
}

pub async fn those_for_cortecs_become_ready_and_work(world: &mut World) {
    let played = play(world, "cortecs", VendorId::Cortecs).await;
    assert_eq!(world.vendor_of(&played).credentials().len(), 1, "the token is minted");
    let said = world.condition("ConsoleToken", "cortecs", "LowBalance").await;
    assert!(said.is_some_and(|it| it.0 == "False"), "the balance is read");
    let project = world.emulator.cortecs().project("project_demo").unwrap().fields;
    let inference = &project["inference_config"];
    assert_eq!((&inference["eu_native"], &inference["preference"]), (&json!(true), &json!("cost")));
    assert_eq!(project["allow_overwrite"], false);
    end(world, &played).await;
}

pub async fn those_for_litellm_become_ready_and_work(world: &mut World) {
    let played = play(world, "litellm", VendorId::LiteLlm).await;
    assert_eq!(world.vendor_of(&played).credentials().len(), 1, "the token is minted");
    let keys = world.emulator.litellm().keys();
    let checkout =
        keys.iter().find(|key| key.alias.as_ref().is_some_and(|it| it.starts_with("Checkout"))).unwrap();
    assert_eq!((checkout.rates.requests, checkout.rates.parallel), (Some(6000), Some(20)));
    end(world, &played).await;
}

pub async fn those_for_openrouter_become_ready_and_work(world: &mut World) {
    let played = play(world, "openrouter", VendorId::OpenRouter).await;
    let said = world.condition("ConsoleToken", "openrouter", "LowBalance").await;
    assert!(said.is_some_and(|it| it.0 == "False"), "the balance is read");
    let (keys, credentials) =
        (world.emulator.openrouter().keys(), world.emulator.openrouter().provider_keys());
    let checkout = keys.iter().find(|key| key.name.starts_with("Checkout")).unwrap();
    assert_eq!(credentials[0].allowed, Some(vec![checkout.hash.clone()]));
    end(world, &played).await;
}

/// An applied folder whose resources are Ready.
struct Played {
    vendor_id: VendorId,
    objects: Vec<Value>,
    /// The keys that its Secrets hold.
    keys: Vec<String>,
}

impl Played {
    fn of(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|it| it["kind"] == kind).collect()
    }
}

impl World {
    fn vendor_of(&self, played: &Played) -> keysmith::emulator::VendorHandle {
        self.emulator.vendor(played.vendor_id)
    }
}

async fn play(world: &World, folder: &str, vendor_id: VendorId) -> Played {
    let seed = world.emulator.seed_demo();
    let mut played = Played { vendor_id, objects: rendered(folder), keys: Vec::new() };
    for object in &played.objects {
        secrets_of_people(world, object, (vendor_id, &seed)).await;
    }
    for object in &played.objects {
        apply(world, object, true).await;
    }
    for object in &played.objects {
        apply(world, object, false).await;
    }
    for object in &played.objects {
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        world.ready(kind, name).await;
        if kind == "GatewayApiKey" {
            played.keys.push(working_key(world, name, vendor_id).await);
        }
        if !object["spec"]["usage"].is_null() {
            usage_is_read(world, name).await;
        }
        if !object["spec"]["mint"].is_null() {
            let minted = world.status(kind, name).await["mintedBy"]["name"].clone();
            assert_eq!(minted, format!("{name}-console-token"));
        }
    }
    assert!(played.keys.len() >= 3, "the folder is not the one that was meant");
    spending_is_reported(world).await;
    played
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The resources of a folder, at the emulator.
fn rendered(folder: &str) -> Vec<Value> {
    let path = format!("{}/deploy/examples/emulator/{folder}", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("kubectl").args(["kustomize", &path]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = String::from_utf8(output.stdout).unwrap().replace(ADDRESSES.0, ADDRESSES.1);
    let documents = serde_yaml::Deserializer::from_str(&manifest);
    let objects = documents.map(|it| serde::Deserialize::deserialize(it).unwrap());
    // A story has a namespace of its own.
    objects.filter(|it: &Value| it["kind"] != "Namespace").collect()
}

/// Creates the Secrets that the comments of the examples ask users to create.
async fn secrets_of_people(world: &World, object: &Value, (vendor_id, seed): (VendorId, &Seed)) {
    let spec = &object["spec"];
    let token = match vendor_id {
        VendorId::Edgee => &seed.token,
        VendorId::EdenAiV2 => &seed.edenai_v2,
        VendorId::EdenAiV3 if spec["vendor"]["edenAi"]["tier"] == "Issuer" => &seed.edenai_issuer,
        VendorId::EdenAiV3 => &seed.edenai_v3,
        VendorId::Cortecs => &seed.cortecs,
        VendorId::LiteLlm => &seed.litellm,
        VendorId::OpenRouter => &seed.openrouter,
    };
    if let Some(name) = spec["secretRef"]["name"].as_str() {
        world.write_secret(name, &[(text(&spec["secretRef"]["key"]), token)]).await;
    }
    if let Some(name) = spec["credentialsRef"]["name"].as_str() {
        world.write_secret(name, &[("api_key", "canary-credential")]).await;
    }
}

/// Applies strictly, as kubectl does. The server must neither drop a field nor add one, which would be a difference to
/// git.
async fn apply(world: &World, object: &Value, dry_run: bool) {
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let mut own = object.clone();
    own["metadata"]["namespace"] = json!(world.namespace);
    let params = PatchParams {
        dry_run,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply("kubectl")
    };
    let stored = world.api(kind).patch(name, &params, &Patch::Apply(&own)).await;
    let stored = stored.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    assert_eq!(stored.data["spec"], own["spec"], "{kind} {name}");
}

/// The key of a resource, after a call of the gateway with it, at the URL in the Secret if it has one.
async fn working_key(world: &World, name: &str, vendor_id: VendorId) -> String {
    let secret = world.status("GatewayApiKey", name).await["binding"]["name"].clone();
    let secret = text(&secret).to_owned();
    let Some(key) = world.entry(&secret, "OPENAI_API_KEY").await else {
        let key = world.entry(&secret, "ANTHROPIC_AUTH_TOKEN").await.expect("a preset");
        assert!(world.emulator.vendor(vendor_id).accepts(&key), "{name}");
        return key;
    };
    let base = world.entry(&secret, "OPENAI_BASE_URL").await.unwrap();
    let model = world.entry(&secret, "OPENAI_MODEL").await;
    let model = model.as_deref().unwrap_or("openai/gpt-5.2-mini");
    let body = json!({"model": model, "messages": []}).to_string();
    let call = http::Request::post(format!("{base}/chat/completions").replace(ADDRESSES.1, ""))
        .header("authorization", format!("Bearer {key}"))
        .body(Bytes::from(body))
        .unwrap();
    assert_eq!(world.emulator.call(call).await.unwrap().status(), 200, "{name} at {base}");
    key
}

/// The usage command, as for billing, asks every ConsoleToken of the folder and reports the calls that were made.
async fn spending_is_reported(world: &World) {
    let session = Session {
        home: world.ledger_namespace.clone(),
        client: world.user.clone(),
        transport: Arc::new(InProcess(world.emulator.clone())),
        clock: world.clock.clone(),
        endpoints: Endpoints::parse([ADDRESSES.1]).unwrap(),
        vendors: world.vendors,
        class: ControllerClass::default(),
    };
    let choice = Choice { namespace: Some(world.namespace.clone()), ..Choice::default() };
    // A vendor that is asked for whole seconds need not count the present second.
    world
        .eventually("the call is reported", async || {
            let reading = usage::read(&session, &choice, &Span::month(world.clock.now())).await.unwrap();
            assert_eq!(reading.unasked, []);
            let checkout =
                reading.rows.iter().find(|row| row.name == "checkout").expect("a row for each key");
            match (checkout.micros, checkout.labels["team"].as_str()) {
                (1_000, "shop") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

async fn usage_is_read(world: &World, token: &str) {
    world
        .eventually("usage is read", async || {
            match world.condition("ConsoleToken", token, "UsageRead").await {
                Some((status, ..)) if status == "True" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
}

/// Everything is deleted at once, ConsoleTokens first: no key stays at the vendor, and no deletion is blocked.
async fn end(world: &World, played: &Played) {
    let tokens_first = |it: &&Value| it["kind"] != "ConsoleToken";
    let mut objects: Vec<_> = played.objects.iter().collect();
    objects.sort_by_key(tokens_first);
    for object in &objects {
        world.delete(text(&object["kind"]), text(&object["metadata"]["name"])).await;
    }
    for kind in ["ConsoleToken", "GatewayApiKey", "ProjectSettings", "ProviderKey"] {
        world
            .eventually(&format!("every {kind} is gone"), async || {
                let left: Vec<DynamicObject> =
                    world.api(kind).list(&ListParams::default()).await.unwrap().items;
                match left.first() {
                    None => Ok(()),
                    Some(one) => Err(format!("{}: {}", one.name_any(), one.data["status"]["conditions"])),
                }
            })
            .await;
    }
    let handle = world.vendor_of(played);
    assert!(!played.keys.iter().any(|key| handle.accepts(key)), "a key outlives its resource");
    assert_eq!(handle.credentials(), []);
}
