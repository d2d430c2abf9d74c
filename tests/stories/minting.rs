//! Console tokens that Keysmith mints and rotates.

use crate::support::cluster::{Effect as Broken, Rule as Breaks};
use crate::support::drivers::Driver as _;
use crate::support::world::{World, key_spec, merged};
use keysmith::emulator::{Call, Effect, Rule, Seen, VendorId};
use serde_json::{Value, json};
use std::time::Duration;

const ROOT: &str = "sk-ek_live_emulated-story-token-root";
const CHILD: &str = "worker-console-token";

fn issuer_spec(world: &World) -> Value {
    let mut spec = world.token_spec();
    if world.vendor_id == VendorId::EdenAiV3 {
        spec["vendor"] = json!({"edenAi": {"tier": "Issuer"}});
    }
    spec["secretRef"] = json!({"name": "root", "key": "token"});
    spec
}

fn worker_spec(world: &World, mint: Value) -> Value {
    let mut spec = world.token_spec();
    spec.as_object_mut().unwrap().remove("secretRef");
    spec["mint"] = merged(json!({"issuerRef": {"name": "root"}, "secret": {"name": "worker"}}), mint);
    spec
}

/// A root token that a user created, and a worker token that Keysmith mints with it.
async fn workers(world: &World, mint: Value) {
    world.vendor().add_issuer(ROOT);
    world.write_secret("root", &[("token", ROOT)]).await;
    world.create("ConsoleToken", "root", issuer_spec(world)).await;
    world.create("ConsoleToken", "worker", worker_spec(world, mint)).await;
    world.ready("ConsoleToken", "worker").await;
}

fn of_worker(fields: Value) -> Value {
    merged(key_spec(fields), json!({"consoleTokenRef": {"name": "worker"}}))
}

/// A token is replaced without a wait.
fn soon(world: &World) -> Value {
    world.vendor_id.rotation(json!({"overlap": "2s", "brownOut": "0s", "trigger": "a"}))
}

async fn only_credential(world: &World) -> Seen {
    world
        .eventually("there is one minted token", async || match world.vendor().credentials().as_slice() {
            [one] => Ok(one.clone()),
            several => Err(format!("{several:?}")),
        })
        .await
}

pub async fn a_token_is_minted_and_keys_are_made_with_it(world: &mut World) {
    workers(world, json!({})).await;
    let token = only_credential(world).await;
    assert_eq!(world.entry("worker", "token").await.unwrap(), token.secret);
    world.create("GatewayApiKey", "checkout", of_worker(json!({}))).await;
    world.ready("GatewayApiKey", "checkout").await;
    let key = world.entry("checkout", "key").await.unwrap();
    assert!(world.vendor().accepts(&key));
    assert!(!world.vendor().accepts(&token.secret) || world.vendor_id == VendorId::Cortecs);
    // Everything is deleted, in any order; the keys of the token are deleted before the token.
    world.delete("ConsoleToken", "root").await;
    world.delete("ConsoleToken", "worker").await;
    world.delete("GatewayApiKey", "checkout").await;
    for (kind, name) in [
        ("GatewayApiKey", "checkout"),
        ("ConsoleToken", "worker"),
        ("GatewayApiKey", CHILD),
        ("ConsoleToken", "root"),
    ] {
        world.gone(kind, name).await;
    }
    assert_eq!((world.vendor().keys(), world.vendor().credentials()), (vec![], vec![]));
}

pub async fn a_minted_token_is_replaced_and_the_old_one_ends_after_the_new_one_was_used(world: &mut World) {
    workers(world, soon(world)).await;
    world.create("GatewayApiKey", "checkout", of_worker(json!({}))).await;
    world.ready("GatewayApiKey", "checkout").await;
    let old = only_credential(world).await;
    let calls = world.emulator.calls().len();
    world
        .edit("ConsoleToken", "worker", json!({"spec": {"mint": {"rotation": {"trigger": "b"}}}}))
        .await
        .unwrap();
    world
        .eventually("another token", async || {
            let now = world.entry("worker", "token").await.unwrap();
            if now == old.secret { Err("still the old one".to_owned()) } else { Ok(()) }
        })
        .await;
    let new = world
        .eventually("the old token is gone", async || match world.vendor().credentials().as_slice() {
            [one] if one.secret != old.secret => Ok(one.clone()),
            several => Err(format!("{several:?}")),
        })
        .await;
    assert_eq!(world.entry("worker", "token").await.unwrap(), new.secret);
    // A listing with the new token came before the revocation of the old one.
    let calls = world.emulator.calls().split_off(calls);
    let is = |call: &Call, method| {
        let (verb, path) = world.vendor_id.call(method);
        call.method == verb && (verb == method || call.path.contains(path))
    };
    let ended = calls.iter().position(|call| is(call, "DELETE")).expect("the old token was revoked");
    let made = calls.iter().position(|call| is(call, "POST")).expect("a new token was made");
    assert!(calls[made..ended].iter().any(|call| call.method == "GET"), "{calls:?}");
    world.ready("ConsoleToken", "worker").await;
    world.create("GatewayApiKey", "later", of_worker(json!({}))).await;
    world.ready("GatewayApiKey", "later").await;
}

pub async fn a_new_token_that_does_not_work_does_not_end_the_old_one(world: &mut World) {
    workers(world, soon(world)).await;
    let old = only_credential(world).await;
    // The root token works, and every call with the new token is refused: nothing proves that the new token works.
    let listing = match world.vendor_id {
        VendorId::Cortecs => "/manage/api-keys",
        VendorId::LiteLlm => "/key/list",
        _ => "/manage/keys/",
    };
    let broken = Effect::Status { code: 503, retry_after: None };
    world.emulator.faults().add(Rule::always("GET", listing, broken));
    world
        .edit("ConsoleToken", "worker", json!({"spec": {"mint": {"rotation": {"trigger": "b"}}}}))
        .await
        .unwrap();
    world
        .eventually("two tokens", async || match world.vendor().credentials().len() {
            2 => Ok(()),
            other => Err(format!("{other} tokens")),
        })
        .await;
    world.pass(Duration::from_secs(600), Duration::from_secs(4)).await;
    assert!(
        world.vendor().credentials().iter().any(|it| it.secret == old.secret),
        "the old token was given up"
    );
    world.emulator.faults().clear();
    assert_ne!(only_credential(world).await.secret, old.secret);
}

pub async fn a_token_can_do_without_its_issuer_where_the_vendor_lets_it(world: &mut World) {
    if !matches!(world.vendor_id, VendorId::Cortecs | VendorId::LiteLlm) {
        return;
    }
    workers(world, soon(world)).await;
    let old = only_credential(world).await;
    assert!(world.vendor().revoke_token(ROOT));
    world
        .edit("ConsoleToken", "worker", json!({"spec": {"mint": {"rotation": {"trigger": "b"}}}}))
        .await
        .unwrap();
    let new = world
        .eventually("it replaced itself", async || match world.vendor().credentials().as_slice() {
            [one] if one.secret != old.secret => Ok(one.clone()),
            several => Err(format!("{several:?}")),
        })
        .await;
    assert_eq!(world.entry("worker", "token").await.unwrap(), new.secret);
}

pub async fn a_lost_answer_leaves_one_token(world: &mut World) {
    let path = if world.vendor_id == VendorId::Cortecs { "/manage/api-keys" } else { "/manage/auth-keys/" };
    world.emulator.faults().add(Rule::once("POST", path, Effect::DropAfter));
    workers(world, json!({})).await;
    let token = only_credential(world).await;
    assert_eq!(world.entry("worker", "token").await.unwrap(), token.secret);
}

pub async fn a_token_is_used_although_the_watch_of_its_key_is_behind(world: &mut World) {
    // The watch delivers its creation, and no later write to it.
    world.cluster().fault(Breaks {
        actor: "operator".to_owned(),
        verb: "watch".to_owned(),
        resource: "gatewayapikeys".to_owned(),
        name_contains: CHILD.to_owned(),
        skip: 1,
        times: usize::MAX,
        ..Breaks::next(Broken::DropWatchEvent)
    });
    let began = world.clock.now();
    workers(world, json!({})).await;
    assert!(world.clock.now().duration_since(began).as_mins() < 5, "it waited for the next list");
}

pub async fn a_token_in_use_is_not_revoked_with_its_key(world: &mut World) {
    workers(world, json!({})).await;
    let token = only_credential(world).await;
    world.delete("GatewayApiKey", CHILD).await;
    let message = world.reason("GatewayApiKey", CHILD, "InUse").await;
    assert!(message.contains("ConsoleToken worker"), "{message}");
    assert_eq!(only_credential(world).await.secret, token.secret);
    world.delete("ConsoleToken", "worker").await;
    world.gone("GatewayApiKey", CHILD).await;
    assert_eq!(world.vendor().credentials(), []);
}

pub async fn a_key_that_pretends_to_be_a_token_is_refused(world: &mut World) {
    workers(world, json!({})).await;
    let root = json!({"consoleTokenRef": {"name": "root"}, "type": "Management"});
    world.create("GatewayApiKey", "mine", root).await;
    let message = world.reason("GatewayApiKey", "mine", "InvalidSpec").await;
    assert!(message.starts_with("spec.type:"), "{message}");
    assert_eq!(world.vendor().credentials().len(), 1);
}

pub async fn a_token_that_cannot_be_minted_is_refused_by_its_field(world: &mut World) {
    world.token().await;
    let mint = |issuer: &str| {
        let mut spec = world.token_spec();
        spec.as_object_mut().unwrap().remove("secretRef");
        spec["mint"] = json!({"issuerRef": {"name": issuer}, "secret": {"name": "x"}});
        spec
    };
    let calls = world.emulator.calls().iter().filter(|call| call.method != "GET").count();
    // A real API server itself reports what the schema alone can detect.
    if !world.is_simulated() && matches!(world.vendor_id, VendorId::Edgee | VendorId::EdenAiV2) {
        let error =
            world.try_create("ConsoleToken", "a", mint("edgee")).await.map(drop).unwrap_err().to_string();
        assert!(error.contains("spec.mint") && error.contains("in its console only"), "{error}");
        return;
    }
    world.create("ConsoleToken", "a", mint("edgee")).await;
    let (_, reason, message) = world
        .eventually("it is refused", async || match world.condition("ConsoleToken", "a", "Ready").await {
            Some(said) if said.0 == "False" => Ok(said),
            other => Err(format!("{other:?}")),
        })
        .await;
    let expected = match world.vendor_id {
        VendorId::Edgee | VendorId::EdenAiV2 | VendorId::OpenRouter => "spec.mint: ",
        // The usual token is an auth key, which cannot mint.
        VendorId::EdenAiV3 => "spec.mint.issuerRef: ",
        VendorId::Cortecs | VendorId::LiteLlm => return,
    };
    assert!(reason == "Unsupported" && message.starts_with(expected), "{reason}: {message}");
    let after = world.emulator.calls().iter().filter(|call| call.method != "GET").count();
    assert_eq!(calls, after);
}
