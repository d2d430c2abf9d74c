//! ConsoleTokens: Ready, or the cause why not; one circuit breaker for all dependents; kept as long as a dependent
//! needs them.

use crate::support::drivers::Driver;
use crate::support::world::{TOKEN, World, key_spec, merged};
use keysmith::emulator::{Effect, Rule};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use std::time::Duration;

/// The number of keys that depend on one token.
const KEYS: usize = 30;

/// Verifies that a ConsoleToken whose Secret holds `value` reports `reason` with these words, without calls in a loop.
async fn says(world: &World, spec: Value, reason: &str, words: &[&str]) {
    world.create("ConsoleToken", "edgee", merged(world.token_spec(), spec)).await;
    let message = world.reason("ConsoleToken", "edgee", reason).await;
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    let writes = world.writes().len();
    world.pass(Duration::from_secs(600), Duration::from_secs(3)).await;
    let more = world.writes().len() - writes;
    assert!(more <= 12, "{more} writes while nothing changed");
    assert!(world.keys().is_empty());
}

pub async fn a_token_the_vendor_refuses_says_so_and_recovers_when_its_secret_changes(world: &mut World) {
    world.write_secret("edgee-console", &[("token", "ek_live_emulated-wrong")]).await;
    // If another console token is more likely to help than another secret, the message says that instead.
    let mend = match world.vendor_id.capabilities().refused {
        "" => "Secret edgee-console, entry token",
        other => other,
    };
    says(world, json!({}), "TokenRefused", &["401", mend]).await;
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    world.reason("GatewayApiKey", "checkout", "ConsoleTokenNotReady").await;
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.ready("ConsoleToken", "edgee").await;
    world.served("checkout", "key").await;
}

pub async fn a_token_of_another_organization_says_so(world: &mut World) {
    world.edgee().add_organization("org_other");
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    let spec = json!({"vendor": {"edgee": {"organizationId": "org_other"}}});
    says(world, spec, "Forbidden", &["403", "organization"]).await;
}

pub async fn a_missing_secret_is_named_and_picked_up_when_it_appears(world: &mut World) {
    says(world, json!({}), "SecretMissing", &["spec.secretRef.name", "edgee-console"]).await;
    world.write_secret("edgee-console", &[("other", "x")]).await;
    world
        .eventually("the missing key is named", async || {
            let message = world.reason("ConsoleToken", "edgee", "SecretMissing").await;
            if message.contains("spec.secretRef.key") { Ok(()) } else { Err(message) }
        })
        .await;
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.ready("ConsoleToken", "edgee").await;
}

pub async fn bytes_that_cannot_be_a_token_are_never_sent(world: &mut World) {
    for (value, words) in [
        ("", "is empty"),
        (" \t", "white space"),
        ("sk-ek_live_emulated-story-token\n\n", "line break"),
        ("ek_live_emulated\r\nX-Evil: 1", "line break"),
        ("\u{feff}sk-ek_live_emulated-story-token", "byte order mark"),
        ("sk-ek_live_emulated-story-token\u{a0}", "no-break space"),
        ("Bearer sk-ek_live_emulated-story-token", "Bearer"),
        ("\"sk-ek_live_emulated-story-token\"", "quotes"),
    ] {
        world.write_secret("edgee-console", &[("token", value)]).await;
        if world.api("ConsoleToken").get_opt("edgee").await.unwrap().is_none() {
            world.create("ConsoleToken", "edgee", world.token_spec()).await;
        }
        world
            .eventually(&format!("{words} is said"), async || {
                let message = world.reason("ConsoleToken", "edgee", "SecretInvalid").await;
                if message.contains(words) { Ok(()) } else { Err(message) }
            })
            .await;
    }
    assert!(world.emulator.calls().is_empty(), "{:?}", world.emulator.calls());
    // With a line break at the end, as `kubectl create secret generic --from-file` copies it from a file.
    world.write_secret("edgee-console", &[("token", &format!("{TOKEN}\n"))]).await;
    world.ready("ConsoleToken", "edgee").await;
}

pub async fn an_endpoint_that_is_not_admitted_gets_nothing(world: &mut World) {
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    let spec = json!({"endpoint": "http://169.254.169.254/edgee"});
    says(
        world,
        spec,
        "EndpointNotAdmitted",
        &["spec.endpoint", "--allowed-endpoints=http://169.254.169.254"],
    )
    .await;
    assert!(world.emulator.calls().is_empty());
}

pub async fn malformed_answers_are_reported_and_never_quoted(world: &mut World) {
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.create("ConsoleToken", "edgee", world.token_spec()).await;
    world.ready("ConsoleToken", "edgee").await;
    let table = [
        (
            Effect::Redirect { location: "http://evil.example/CANARY".to_owned() },
            "VendorAnswerInvalid",
            "redirects elsewhere",
        ),
        (Effect::Html, "VendorAnswerInvalid", "not JSON"),
        (Effect::Truncate, "VendorAnswerInvalid", "cut short"),
        (Effect::GzipBomb, "VendorAnswerInvalid", "compressed with gzip"),
        (Effect::Oversize { bytes: 10_000_000 }, "VendorAnswerInvalid", "larger than"),
        (Effect::Status { code: 500, retry_after: None }, "VendorUnavailable", "500"),
    ];
    for (effect, reason, words) in table {
        world.emulator.faults().clear();
        world.fail("GET", effect);
        let patch = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": words}}});
        world.edit("ConsoleToken", "edgee", patch).await.unwrap();
        let message = world.reason("ConsoleToken", "edgee", reason).await;
        assert!(!message.contains("CANARY") && !message.contains("evil"), "{message}");
        world
            .eventually(words, async || {
                let message = world.reason("ConsoleToken", "edgee", reason).await;
                if message.contains(words) { Ok(()) } else { Err(message) }
            })
            .await;
    }
    world.emulator.faults().clear();
    world.ready("ConsoleToken", "edgee").await;
}

pub async fn a_vendor_that_hangs_is_given_up_after_the_deadline(world: &mut World) {
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.fail("GET", Effect::Hang);
    world.create("ConsoleToken", "edgee", world.token_spec()).await;
    let message = world.reason("ConsoleToken", "edgee", "VendorUnavailable").await;
    assert!(message.contains("within 30 s"), "{message}");
    world.emulator.faults().clear();
    world.ready("ConsoleToken", "edgee").await;
}

pub async fn a_refused_token_is_probed_once_for_all_its_dependants(world: &mut World) {
    world.token().await;
    for number in 0..KEYS {
        world.key(&format!("key-{number}"), json!({})).await;
    }
    assert!(world.vendor().revoke_token(TOKEN));
    for number in 0..KEYS {
        let patch = json!({"spec": {"displayName": "Other"}});
        world.edit("GatewayApiKey", &format!("key-{number}"), patch).await.unwrap();
    }
    world.reason("ConsoleToken", "edgee", "TokenRefused").await;
    for number in 0..KEYS {
        world.reason("GatewayApiKey", &format!("key-{number}"), "ConsoleTokenNotReady").await;
    }
    // A second check confirms the refusal, which is reported once.
    for number in 0..KEYS {
        world
            .eventually("it is stalled", async || {
                let name = format!("key-{number}");
                let stalled = world.condition("GatewayApiKey", &name, "Stalled").await;
                stalled.map(drop).ok_or_else(|| "it is in progress".to_owned())
            })
            .await;
    }
    let (calls, writes) = (world.emulator.calls().len(), world.writes().len());
    world.pass(Duration::from_secs(3600), Duration::from_secs(3)).await;
    let writes = world.writes()[writes..].iter().filter(|it| it.contains("gatewayapikeys")).count();
    assert_eq!(writes, 0, "a probe is no news to the keys");
    let probes = world.emulator.calls().len() - calls;
    assert!(probes <= 14, "{probes} calls in an hour with a refused token");
    world.vendor().add_token(TOKEN);
    for number in 0..KEYS {
        world.ready("GatewayApiKey", &format!("key-{number}")).await;
    }
    // While a key is being replaced, its resource is Ready.
    world
        .eventually("the edits that waited are carried out", async || {
            let renamed =
                world.keys().iter().filter(|key| key.name.to_lowercase().starts_with("other")).count();
            if renamed == KEYS { Ok(()) } else { Err(format!("{renamed} of {:?}", world.keys())) }
        })
        .await;
}

pub async fn a_token_that_settled_keys_do_not_need_may_fail_without_them(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    assert!(world.vendor().revoke_token(TOKEN));
    world.reason("ConsoleToken", "edgee", "TokenRefused").await;
    world.pass(Duration::from_secs(600), Duration::from_secs(2)).await;
    let (ready, ..) = world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap();
    assert_eq!(ready, "True", "the key works, whatever becomes of the token");
}

pub async fn a_token_stays_until_nothing_needs_it_to_clean_up(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.delete("ConsoleToken", "edgee").await;
    let message = world.reason("ConsoleToken", "edgee", "InUse").await;
    assert!(message.contains("GatewayApiKey checkout"), "{message}");
    // Even the loss of its Secret does not prevent the revocation of the key.
    world.secrets().delete("edgee-console", &DeleteParams::default()).await.unwrap();
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    world.gone("ConsoleToken", "edgee").await;
    assert!(world.keys().is_empty());
}

pub async fn a_restart_between_deletions_still_cleans_up(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.stop().await;
    world.delete("ConsoleToken", "edgee").await;
    world.delete("GatewayApiKey", "checkout").await;
    world.start().await;
    world.gone("GatewayApiKey", "checkout").await;
    world.gone("ConsoleToken", "edgee").await;
    assert!(world.keys().is_empty());
}

pub async fn a_deletion_without_a_usable_token_says_what_blocks_it(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    assert!(world.vendor().revoke_token(TOKEN));
    world.delete("GatewayApiKey", "checkout").await;
    let message = world.reason("GatewayApiKey", "checkout", "DeletionBlocked").await;
    assert!(message.contains("ConsoleToken edgee"), "{message}");
    world.vendor().add_token(TOKEN);
    world.gone("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty());
}

pub async fn a_token_of_the_same_name_is_another_one(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    world.delete("ConsoleToken", "edgee").await;
    world.gone("ConsoleToken", "edgee").await;
    world.edgee().add_organization("org_new");
    world.edgee().add_token("ek_live_emulated-new", &["org_new"]);
    // The key is created before its token, and the new organization answers slowly.
    world.emulator.faults().add(Rule::once("GET", "org_new", Effect::Delay { millis: 800 }));
    world.write_secret("edgee-console", &[("token", "ek_live_emulated-new")]).await;
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let elsewhere = json!({"vendor": {"edgee": {"organizationId": "org_new"}}});
    world.create("ConsoleToken", "edgee", merged(world.token_spec(), elsewhere)).await;
    world.ready("GatewayApiKey", "checkout").await;
    assert!(world.keys().is_empty(), "nothing is made at the old organization");
    assert_eq!(world.edgee().keys("org_new").len(), 1);
}

pub async fn a_transient_403_does_not_block_dependents(world: &mut World) {
    world.token().await;
    for (method, code) in [("POST", 403), ("DELETE", 401)] {
        let blip = Effect::Status { code, retry_after: None };
        world.fail_once(method, blip);
        if method == "POST" {
            world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
            world.create("GatewayApiKey", "other", key_spec(json!({}))).await;
            world.ready("GatewayApiKey", "checkout").await;
            world.ready("GatewayApiKey", "other").await;
        } else {
            world.delete("GatewayApiKey", "checkout").await;
            world.delete("GatewayApiKey", "other").await;
            world.gone("GatewayApiKey", "checkout").await;
            world.gone("GatewayApiKey", "other").await;
        }
    }
    assert!(world.keys().is_empty());
}

pub async fn a_forbidden_provider_key_listing_does_not_retry_in_a_loop(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    let refused = Effect::Status { code: 403, retry_after: None };
    world.emulator.faults().add(Rule { method: None, ..Rule::always("GET", "/provider-keys", refused) });
    let provider_key = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "openai",
        "credentialsRef": {"name": "byok"}, "scope": "Organization",
    });
    world.create("ProviderKey", "openai", provider_key).await;
    world.key("checkout", json!({})).await;
    world.pass(Duration::from_secs(3600), Duration::from_secs(4)).await;
    let calls = world.emulator.calls().len();
    assert!(calls < 120, "{calls} calls in an hour");
}

pub async fn a_token_that_may_not_create_provider_keys_still_creates_keys(world: &mut World) {
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    let refused = Effect::Status { code: 403, retry_after: None };
    world.emulator.faults().add(Rule::always("POST", "/provider-keys", refused));
    let provider_key = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "openai",
        "credentialsRef": {"name": "byok"}, "scope": "Organization",
    });
    world.create("ProviderKey", "openai", provider_key).await;
    world.reason("ProviderKey", "openai", "Forbidden").await;
    world.key("checkout", json!({})).await;
    assert_eq!(world.condition("ConsoleToken", "edgee", "Ready").await.unwrap().0, "True");
}

pub async fn a_token_replaced_during_deletions_still_cleans_up(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    assert!(world.vendor().revoke_token(TOKEN));
    world.delete("ConsoleToken", "edgee").await;
    world.delete("GatewayApiKey", "checkout").await;
    world.reason("GatewayApiKey", "checkout", "DeletionBlocked").await;
    world.vendor().add_token("sk-ek_live_emulated-fresh");
    world.write_secret("edgee-console", &[("token", "sk-ek_live_emulated-fresh")]).await;
    world.gone("GatewayApiKey", "checkout").await;
    world.gone("ConsoleToken", "edgee").await;
    assert!(world.keys().is_empty());
}

pub async fn a_key_waits_for_its_token_and_goes_on_when_it_comes(world: &mut World) {
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let message = world.reason("GatewayApiKey", "checkout", "ConsoleTokenMissing").await;
    assert!(message.contains("spec.consoleTokenRef.name") && message.contains("edgee"), "{message}");
    world.token().await;
    world.served("checkout", "key").await;
}

pub async fn a_declared_expiry_warns_ahead(world: &mut World) {
    world.look_rarely().await;
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    let expiry = world.clock.now() + jiff::SignedDuration::from_hours(30 * 24);
    world
        .create("ConsoleToken", "edgee", merged(world.token_spec(), json!({"expiresAt": expiry.to_string()})))
        .await;
    world.ready("ConsoleToken", "edgee").await;
    let (soon, ..) = world.condition("ConsoleToken", "edgee", "ExpiringSoon").await.unwrap();
    assert_eq!(soon, "False");
    assert!(world.metrics.text().contains("keysmith_console_token_expiry_timestamp_seconds{"));
    tokio::time::sleep(Duration::from_secs(16 * 86_400 + 60)).await;
    let (soon, reason, message) = world.condition("ConsoleToken", "edgee", "ExpiringSoon").await.unwrap();
    assert_eq!((soon.as_str(), reason.as_str()), ("True", "ExpiryNear"));
    assert!(message.contains("spec.expiresAt"), "{message}");
    world.event("ExpiringSoon").await;
}

/// Certificate authorities that a token names are read beside its Secret; what is wrong with them is said by field, and a
/// token that worked keeps its keys.
pub async fn a_bundle_of_authorities_is_read_beside_the_secret_of_the_token(world: &mut World) {
    let bundle = json!({"caBundleRef": {"kind": "Secret", "name": "corporate-ca", "key": "ca.crt"}});
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.create("ConsoleToken", "edgee", merged(world.token_spec(), bundle)).await;
    let said = world.reason("ConsoleToken", "edgee", "SecretMissing").await;
    assert!(said.starts_with("spec.caBundleRef.name: Secret corporate-ca does not exist"), "{said}");
    world.write_secret("corporate-ca", &[("other", "x")]).await;
    let look = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "1"}}});
    world.edit("ConsoleToken", "edgee", look).await.unwrap();
    world
        .eventually("the entry is missing", async || {
            let said = world.reason("ConsoleToken", "edgee", "SecretMissing").await;
            if said.contains("has no entry ca.crt") { Ok(()) } else { Err(said) }
        })
        .await;
    world.write_secret("corporate-ca", &[("ca.crt", "canary-no-certificate")]).await;
    let look = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "2"}}});
    world.edit("ConsoleToken", "edgee", look).await.unwrap();
    let said = world.reason("ConsoleToken", "edgee", "SecretInvalid").await;
    assert!(said.contains("holds no certificate"), "{said}");
    let pem = rcgen::generate_simple_self_signed(vec!["vendor.test".to_owned()]).unwrap().cert.pem();
    world.write_secret("corporate-ca", &[("ca.crt", &pem)]).await;
    let look = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "3"}}});
    world.edit("ConsoleToken", "edgee", look).await.unwrap();
    world.ready("ConsoleToken", "edgee").await;
    world.key("checkout", json!({})).await;
    // A ConfigMap is the default kind.
    let other = json!({"spec": {"caBundleRef": {"kind": null, "name": "nowhere"}}});
    world.edit("ConsoleToken", "edgee", other).await.unwrap();
    let said = world.reason("ConsoleToken", "edgee", "SecretMissing").await;
    assert!(said.contains("ConfigMap nowhere does not exist"), "{said}");
    assert_eq!(world.keys().len(), 1);
}

/// Nothing tells of a ConfigMap, so the token looks again by itself.
pub async fn authorities_that_come_late_are_read_without_an_event(world: &mut World) {
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    let bundle = json!({"caBundleRef": {"name": "corporate-ca", "key": "ca.crt"}});
    world.create("ConsoleToken", "edgee", merged(world.token_spec(), bundle)).await;
    let said = world.reason("ConsoleToken", "edgee", "SecretMissing").await;
    assert!(said.contains("ConfigMap corporate-ca does not exist"), "{said}");
    world.pass(Duration::from_secs(3600), Duration::from_secs(10)).await;
    let pem = rcgen::generate_simple_self_signed(vec!["vendor.test".to_owned()]).unwrap().cert.pem();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "corporate-ca"}, "data": {"ca.crt": pem}});
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::namespaced(world.user.clone(), &world.namespace);
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    world.pass(Duration::from_secs(90), Duration::from_secs(1)).await;
    world.ready("ConsoleToken", "edgee").await;
}
