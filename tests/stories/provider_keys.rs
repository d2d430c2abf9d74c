//! ProviderKeys: a credential reaches the vendor, follows its Secret, and is removed.

use crate::support::world::{ORG, TOKEN, World, merged};
use keysmith::emulator::edgee::{ProviderKeyRecord, Support};
use keysmith::emulator::{Effect, Rule};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::time::Duration;

/// A text in the form of a key that is visibly fake.
const PEM: &str =
    "-----BEGIN PRIVATE KEY-----\nZmFrZTogY2FuYXJ5LWNyZWRlbnRpYWw=\n-----END PRIVATE KEY-----\n";

fn account() -> String {
    let email = "fake@my-project.iam.gserviceaccount.com";
    json!({"type": "service_account", "project_id": "my-project", "private_key": PEM, "client_email": email})
        .to_string()
}

fn spec(provider: &str, fields: Value) -> Value {
    let base = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": provider,
        "credentialsRef": {"name": "byok"}, "scope": "Organization",
    });
    merged(base, fields)
}

fn provider_keys(world: &World) -> Vec<ProviderKeyRecord> {
    world.edgee().provider_keys(ORG)
}

async fn only(world: &World, what: &str, check: impl Fn(&ProviderKeyRecord) -> bool) -> ProviderKeyRecord {
    world
        .eventually(what, async || match provider_keys(world).as_slice() {
            [one] if check(one) => Ok(one.clone()),
            other => Err(format!("{other:?}")),
        })
        .await
}

pub async fn every_documented_provider_gets_its_format(world: &mut World) {
    world.token().await;
    let plain: &[(&str, &str)] = &[("api_key", "canary-plain")];
    let account = account();
    let account: &[(&str, &str)] = &[("service_account.json", &account)];
    let table: Vec<(&str, &[(&str, &str)])> = vec![
        ("anthropic", plain),
        ("openai", plain),
        ("mistral", plain),
        ("deepseek", plain),
        ("xai", plain),
        ("zai", plain),
        ("google_vertex_ai", account),
        (
            "bedrock",
            &[
                ("global.access_key_id", "canary-id"),
                ("global.secret_access_key", "canary-secret"),
                ("us-east-1.access_key_id", "canary-id2"),
                ("us-east-1.secret_access_key", "canary-secret2"),
            ],
        ),
        ("azure", &[("endpoint", "https://x.openai.azure.com/"), ("api_key", "canary-azure")]),
    ];
    for (provider, entries) in &table {
        let name = format!("byok-{}", provider.replace('_', "-"));
        world.write_secret(&name, entries).await;
        world.create("ProviderKey", &name, spec(provider, json!({"credentialsRef": {"name": name}}))).await;
    }
    for (provider, _) in &table {
        world.ready("ProviderKey", &format!("byok-{}", provider.replace('_', "-"))).await;
    }
    let held = provider_keys(world);
    assert_eq!(held.len(), 9);
    let stored =
        |provider: &str| held.iter().find(|it| it.provider == provider).unwrap().provider_key.clone();
    assert_eq!(stored("openai"), "canary-plain");
    let json = |provider: &str| serde_json::from_str::<Value>(&stored(provider)).unwrap();
    assert_eq!(json("azure"), json!({"endpoint": "https://x.openai.azure.com/", "api_key": "canary-azure"}));
    assert_eq!(json("bedrock")["us-east-1"]["secret_access_key"], "canary-secret2");
    assert_eq!(json("google_vertex_ai")["private_key"], PEM);
    assert!(held.iter().all(|it| it.api_key_ids.is_empty()));
}

pub async fn a_provider_key_is_assigned_to_the_keys_it_names_and_follows_them(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    let refs = json!({"scope": null, "gatewayKeyRefs": [{"name": "one"}]});
    world.create("ProviderKey", "openai", spec("openai", refs)).await;
    let message = world.reason("ProviderKey", "openai", "GatewayKeyNotReady").await;
    assert!(message.contains("GatewayApiKey one"), "{message}");
    assert!(provider_keys(world).is_empty(), "a missing key never means the whole organization");
    world.key("one", json!({})).await;
    let one = world.only_key().id;
    only(world, "assigned to one", |it| it.api_key_ids == [one.clone()]).await;
    world.ready("ProviderKey", "openai").await;
    world.key("two", json!({})).await;
    let two = world.keys().into_iter().map(|it| it.id).find(|id| *id != one).unwrap();
    let before = provider_keys(world)[0].id.clone();
    world
        .edit(
            "ProviderKey",
            "openai",
            json!({"spec": {"gatewayKeyRefs": [{"name": "one"}, {"name": "two"}]}}),
        )
        .await
        .unwrap();
    let after = only(world, "assigned to both", |it| it.api_key_ids.len() == 2).await;
    assert_eq!(after.id, before, "changed in place");
    assert!(after.api_key_ids.contains(&two));
    world.ready("ProviderKey", "openai").await;
    assert!(provider_keys(world)[0].name.starts_with("openai [ks-"));
}

pub async fn an_assignment_that_cannot_be_changed_in_place_makes_a_new_provider_key(world: &mut World) {
    for support in [Support::UnknownPath, Support::DoesNothing] {
        world.edgee().set_switches(|it| it.provider_key_update = support);
        let name = format!("openai-{support:?}").to_lowercase();
        if world.api("ConsoleToken").get_opt("edgee").await.unwrap().is_none() {
            world.token().await;
            world.write_secret("byok", &[("api_key", "canary-1")]).await;
            world.key("one", json!({})).await;
        }
        world.create("ProviderKey", &name, spec("openai", json!({}))).await;
        world.ready("ProviderKey", &name).await;
        let before = only(world, "the organization's", |it| it.api_key_ids.is_empty()).await;
        let patch = json!({"spec": {"scope": null, "gatewayKeyRefs": [{"name": "one"}]}});
        world.edit("ProviderKey", &name, patch).await.unwrap();
        let one = world.only_key().id;
        let after =
            only(world, "assigned to one, the old one gone", |it| it.api_key_ids == [one.clone()]).await;
        assert_ne!(after.id, before.id);
        world.ready("ProviderKey", &name).await;
        world.delete("ProviderKey", &name).await;
        world.gone("ProviderKey", &name).await;
        assert!(provider_keys(world).is_empty());
    }
}

pub async fn a_changed_credential_reaches_the_vendor_and_the_old_provider_key_is_removed(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    world.create("ProviderKey", "openai", spec("openai", json!({}))).await;
    world.ready("ProviderKey", "openai").await;
    let calls = world.vendor_writes().len();
    world.write_secret("byok", &[("api_key", "canary-2")]).await;
    only(world, "the new credential, and only that", |it| it.provider_key == "canary-2").await;
    world
        .eventually("nothing is superseded any more", async || {
            let status = world.status("ProviderKey", "openai").await;
            let left = (&status["superseded"], &status["leftBehind"]);
            if left.0.is_null() && left.1.is_null() { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    world.ready("ProviderKey", "openai").await;
    let made = world.vendor_writes()[calls..].iter().filter(|it| it.starts_with("POST")).count();
    assert_eq!(made, 1);
    // Writing the same credential again is no change.
    let calls = world.vendor_writes().len();
    world.write_secret("byok", &[("api_key", "canary-2")]).await;
    world.pass(Duration::from_secs(600), Duration::from_secs(2)).await;
    world.ready("ProviderKey", "openai").await;
    assert_eq!(world.vendor_writes().len(), calls);
}

pub async fn a_corrected_credential_need_not_wait(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    let refused = Effect::Status { code: 422, retry_after: None };
    world.emulator.faults().add(Rule::once("POST", "/provider-keys", refused));
    world.create("ProviderKey", "openai", spec("openai", json!({}))).await;
    world.reason("ProviderKey", "openai", "VendorRejected").await;
    world.pass(Duration::from_secs(60), Duration::from_secs(1)).await;
    assert_eq!(world.emulator.count("POST", "/provider-keys"), 1);
    let start = world.clock.now();
    world.write_secret("byok", &[("api_key", "canary-2")]).await;
    world.ready("ProviderKey", "openai").await;
    assert!(world.clock.now().duration_since(start).as_secs() < 60);
    assert_eq!(provider_keys(world)[0].provider_key, "canary-2");
}

pub async fn a_provider_key_that_the_vendor_does_not_remove_is_reported(world: &mut World) {
    world.edgee().set_switches(|it| it.provider_key_delete = Support::UnknownPath);
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    world.create("ProviderKey", "openai", spec("openai", json!({}))).await;
    world.ready("ProviderKey", "openai").await;
    let id = provider_keys(world)[0].id.clone();
    world.delete("ProviderKey", "openai").await;
    world.gone("ProviderKey", "openai").await;
    assert!(world.event("LeftBehind").await.contains(&id));
    assert!(world.metrics.text().contains("keysmith_left_behind_total{kind=\"ProviderKey\"} 1"));
    assert_eq!(provider_keys(world).len(), 1);
}

pub async fn a_provider_key_changed_or_removed_in_the_console_is_restored(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    world.key("one", json!({})).await;
    let one = world.only_key().id;
    let refs = json!({"scope": null, "gatewayKeyRefs": [{"name": "one"}]});
    world.create("ProviderKey", "openai", spec("openai", refs)).await;
    world.ready("ProviderKey", "openai").await;
    let id = provider_keys(world)[0].id.clone();
    assert!(world.edgee().edit_provider_key(&id, |it| it.api_key_ids.clear()));
    only(world, "assigned to one again", |it| it.api_key_ids == [one.clone()]).await;
    // A young provider key does not count as lost, because a listing may lag.
    world.pass(Duration::from_secs(60), Duration::from_secs(32)).await;
    assert!(world.edgee().delete_provider_key(&id));
    let new = only(world, "created again", |it| it.api_key_ids == [one.clone()]).await;
    assert_ne!(new.id, id);
    world.ready("ProviderKey", "openai").await;
    world.event("Redeposited").await;
}

pub async fn a_lost_answer_to_a_provider_key_is_recovered(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    world.emulator.faults().add(Rule::once("POST", "/provider-keys", Effect::DropAfter));
    world.create("ProviderKey", "openai", spec("openai", json!({}))).await;
    world.ready("ProviderKey", "openai").await;
    assert_eq!(provider_keys(world).len(), 1);
    assert_eq!(world.emulator.count("POST", "/provider-keys"), 1);
}

pub async fn a_credential_that_cannot_be_one_is_named_and_never_sent(world: &mut World) {
    world.token().await;
    let table: Vec<(&str, &[(&str, &str)], &str, &str)> = vec![
        ("openai", &[("other", "canary-x")], "SecretMissing", "entry api_key does not exist"),
        ("google_vertex_ai", &[("service_account.json", "{canary-")], "SecretInvalid", "not valid JSON"),
        ("bedrock", &[("api_key", "canary-x")], "SecretMissing", "no pair of entries"),
        ("azure", &[("api_key", "canary-x")], "SecretMissing", "entry endpoint does not exist"),
    ];
    for (provider, entries, reason, words) in table {
        let name = format!("byok-{}", provider.replace('_', "-"));
        world.write_secret(&name, entries).await;
        world.create("ProviderKey", &name, spec(provider, json!({"credentialsRef": {"name": name}}))).await;
        let message = world.reason("ProviderKey", &name, reason).await;
        assert!(message.contains(words) && message.contains("spec.credentialsRef"), "{message}");
    }
    world.create("ProviderKey", "none", spec("openai", json!({"credentialsRef": {"name": "nowhere"}}))).await;
    let message = world.reason("ProviderKey", "none", "SecretMissing").await;
    assert!(message.contains("spec.credentialsRef.name") && message.contains("nowhere"), "{message}");
    assert_eq!(world.emulator.count("POST", "/provider-keys"), 0);
    // A corrected credential is picked up.
    world.write_secret("nowhere", &[("api_key", "canary-y")]).await;
    world.ready("ProviderKey", "none").await;
}

/// As `kubectl replace` does with a manifest from git.
async fn replace(world: &World, name: &str) {
    let metadata = json!({"finalizers": null, "annotations": {"keysmith.dev/claim": null}});
    world.edit("ProviderKey", name, json!({"metadata": metadata})).await.unwrap();
}

async fn held(world: &World, name: &str) {
    let start = world.clock.now();
    world
        .eventually("finalizer and claim are back", async || {
            let object = world.api("ProviderKey").get(name).await.unwrap();
            let held =
                !object.finalizers().is_empty() && object.annotations().contains_key("keysmith.dev/claim");
            if held { Ok(()) } else { Err(format!("{:?}", object.metadata)) }
        })
        .await;
    assert!(world.clock.now().duration_since(start).as_secs() < 10);
}

pub async fn a_replaced_provider_key_is_held_again_whatever_is_in_the_way(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    world.create("ProviderKey", "openai", spec("openai", json!({}))).await;
    world.ready("ProviderKey", "openai").await;
    replace(world, "openai").await;
    held(world, "openai").await;
    world.ready("ProviderKey", "openai").await;
    // Its credential is refused.
    world.write_secret("byok", &[("other", "canary-2")]).await;
    world.reason("ProviderKey", "openai", "SecretMissing").await;
    replace(world, "openai").await;
    held(world, "openai").await;
    // A failure starts a backoff.
    let refused = Effect::Status { code: 422, retry_after: None };
    world.emulator.faults().add(Rule::once("POST", "/provider-keys", refused));
    world.write_secret("byok", &[("api_key", "canary-3")]).await;
    world.reason("ProviderKey", "openai", "VendorRejected").await;
    replace(world, "openai").await;
    held(world, "openai").await;
    // The vendor refuses the token.
    assert!(world.edgee().revoke_token(TOKEN));
    world.reason("ConsoleToken", "edgee", "TokenRefused").await;
    replace(world, "openai").await;
    held(world, "openai").await;
    world.edgee().add_token(TOKEN, &[ORG]);
    let asked = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "now"}}});
    world.edit("ConsoleToken", "edgee", asked).await.unwrap();
    world.ready("ConsoleToken", "edgee").await;
    only(world, "the corrected credential", |it| it.provider_key == "canary-3").await;
    world.delete("ProviderKey", "openai").await;
    world.gone("ProviderKey", "openai").await;
    assert!(provider_keys(world).is_empty());
}

pub async fn a_provider_key_missing_from_two_early_listings_is_not_created_again(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    world.create("ProviderKey", "openai", spec("openai", json!({}))).await;
    world.ready("ProviderKey", "openai").await;
    world.pass(Duration::from_secs(3600), Duration::ZERO).await;
    let before = provider_keys(world)[0].clone();
    // A replica of the vendor that lags by less than a minute.
    let lag = Effect::LagListing { millis: 5_000_000 };
    world.emulator.faults().add(Rule::always("GET", "/provider-keys", lag));
    world
        .eventually("it is missing", async || {
            let status = world.status("ProviderKey", "openai").await;
            if status["missingSince"].is_null() { Err(status.to_string()) } else { Ok(()) }
        })
        .await;
    let (status, _, message) = world.condition("ProviderKey", "openai", "Ready").await.unwrap();
    assert!(status == "True" && message.contains("has not shown the credential since"), "{status} {message}");
    world.emulator.faults().clear();
    world
        .eventually("it is there again", async || {
            let status = world.status("ProviderKey", "openai").await;
            if status["missingSince"].is_null() { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    world.ready("ProviderKey", "openai").await;
    let after = provider_keys(world);
    assert_eq!(after.iter().map(|it| &it.id).collect::<Vec<_>>(), [&before.id]);
}

pub async fn a_deletion_asks_for_the_removal_before_it_asks_for_a_listing(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    world.create("ProviderKey", "openai", spec("openai", json!({}))).await;
    world.ready("ProviderKey", "openai").await;
    // One malformed entry makes the listing a fault for every resource.
    world.emulator.faults().add(Rule::always("GET", "/provider-keys", Effect::Html));
    world.delete("ProviderKey", "openai").await;
    world
        .eventually("it is removed at the vendor", async || {
            let left = provider_keys(world);
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    world.pass(Duration::from_secs(60), Duration::ZERO).await;
    assert!(
        !world.events().await.iter().any(|(reason, _)| reason == "Removed"),
        "no listing has shown it gone"
    );
    let message = world.reason("ProviderKey", "openai", "DeletionBlocked").await;
    let ways = ["could not list the provider keys", "tried again at", "keysmith.dev/force-orphan=yes"];
    assert!(ways.iter().all(|it| message.contains(it)), "{message}");
    world.emulator.faults().clear();
    world.gone("ProviderKey", "openai").await;
    world.event("Removed").await;
}

pub async fn a_deletion_that_met_a_refusal_goes_on_when_the_token_works_again(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    world.create("ProviderKey", "openai", spec("openai", json!({}))).await;
    world.ready("ProviderKey", "openai").await;
    let refusal = Effect::Status { code: 401, retry_after: None };
    world.emulator.faults().add(Rule::once("DELETE", "/provider-keys", refusal));
    world.delete("ProviderKey", "openai").await;
    world.gone("ProviderKey", "openai").await;
    assert!(provider_keys(world).is_empty(), "it was removed at the vendor");
}
