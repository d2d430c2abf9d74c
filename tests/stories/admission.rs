//! What the API server itself refuses, by schema and CEL. Only a real one can tell.

use crate::support::world::{World, key_spec, merged, token_spec};
use serde_json::{Value, json};

async fn refused(world: &World, kind: &str, spec: Value, words: &str) {
    match world.try_create(kind, "bad", spec.clone()).await {
        Ok(_) => panic!("{kind} was accepted: {spec}"),
        Err(error) => assert!(error.to_string().contains(words), "{spec}: {error}"),
    }
}

pub async fn a_console_token_names_exactly_one_known_vendor(world: &mut World) {
    let edgee = json!({"organizationId": "org_1"});
    let vendor = |vendor: Value| merged(token_spec(), json!({"vendor": vendor}));
    refused(world, "ConsoleToken", vendor(json!({})), "vendor").await;
    refused(world, "ConsoleToken", vendor(json!({"acme": {}})), "unknown vendor: set exactly one of: edgee")
        .await;
    refused(world, "ConsoleToken", vendor(json!({"edgee": edgee, "cortecs": {}})), "spec.vendor").await;
    refused(world, "ConsoleToken", vendor(json!({"edgee": {"organizationId": "../x"}})), "organizationId")
        .await;
    refused(
        world,
        "ConsoleToken",
        merged(token_spec(), json!({"secretRef": {"name": "a"}})),
        "spec.secretRef.key",
    )
    .await;
    let eden = |place: Value| vendor(json!({"edenAi": place}));
    refused(world, "ConsoleToken", eden(json!({"api": "V1"})), "spec.vendor.edenAi.api").await;
    let issuer = eden(json!({"api": "V2", "tier": "Issuer"}));
    refused(world, "ConsoleToken", issuer, "tier Issuer exists with api V3 only").await;
}

pub async fn a_console_token_is_given_or_minted_and_stays_so(world: &mut World) {
    let mint = json!({"mint": {"issuerRef": {"name": "root"}, "secret": {"name": "worker"}}});
    let both = merged(token_spec(), mint.clone());
    let one = "exactly one of secretRef";
    refused(world, "ConsoleToken", both, one).await;
    let mut neither = token_spec();
    neither.as_object_mut().unwrap().remove("secretRef");
    refused(world, "ConsoleToken", neither.clone(), one).await;
    world.create("ConsoleToken", "worker", merged(neither, mint)).await;
    for patch in [
        json!({"mint": null, "secretRef": {"name": "a", "key": "b"}}),
        json!({"mint": {"issuerRef": {"name": "another"}}}),
        json!({"mint": {"secret": {"key": "another"}}}),
    ] {
        match world.edit("ConsoleToken", "worker", json!({"spec": patch})).await {
            Ok(_) => panic!("accepted: {patch}"),
            Err(error) => assert!(error.to_string().contains("are immutable"), "{patch}: {error}"),
        }
    }
}

pub async fn a_console_token_is_not_pointed_elsewhere(world: &mut World) {
    world.create("ConsoleToken", "edgee", token_spec()).await;
    for (patch, words) in [
        (json!({"vendor": {"edgee": {"organizationId": "org_other"}}}), "vendor is immutable"),
        (json!({"endpoint": "https://elsewhere.example"}), "endpoint is immutable"),
        (json!({"endpoint": null}), "endpoint is immutable"),
        (json!({"gatewayUrl": "nowhere"}), "spec.gatewayUrl"),
    ] {
        match world.edit("ConsoleToken", "edgee", json!({"spec": patch})).await {
            Ok(_) => panic!("accepted: {patch}"),
            Err(error) => assert!(error.to_string().contains(words), "{patch}: {error}"),
        }
    }
}

pub async fn a_key_that_cannot_be_is_refused_with_the_field(world: &mut World) {
    let key = |fields: Value| key_spec(fields);
    for (spec, words) in [
        (key(json!({"type": "CodingAgent"})), "codingAssistant is required with type CodingAgent"),
        (key(json!({"codingAssistant": "codex"})), "only allowed with it"),
        (key(json!({"type": "Chat"})), "spec.type"),
        (key(json!({"expiresInDays": 0})), "spec.expiresInDays"),
        (key(json!({"expiresInDays": -1})), "spec.expiresInDays"),
        (key(json!({"displayName": "x".repeat(101)})), "spec.displayName"),
        (key(json!({"displayName": "tricky [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]"})), "spec.displayName"),
        (key(json!({"budget": {"amount": "5"}})), "spec.budget.period"),
        (key(json!({"budget": {"amount": 5, "period": "Monthly"}})), "spec.budget.amount"),
        (key(json!({"secret": {"name": "Not A Name"}})), "spec.secret.name"),
        (key(json!({"secret": {"preset": "Gemini"}})), "spec.secret.preset"),
        (key(json!({"consoleTokenRef": {"name": "other/edgee"}})), "spec.consoleTokenRef.name"),
        (key(json!({"email": "nobody"})), "spec.email"),
    ] {
        refused(world, "GatewayApiKey", spec, words).await;
    }
}

pub async fn a_deposit_never_means_the_whole_organization_by_accident(world: &mut World) {
    let spec = |fields: Value| {
        let base = json!({"consoleTokenRef": {"name": "edgee"}, "provider": "openai", "credentialsRef": {"name": "byok"}});
        merged(base, fields)
    };
    refused(world, "ProviderKey", spec(json!({})), "exactly one of gatewayKeyRefs and scope").await;
    refused(world, "ProviderKey", spec(json!({"gatewayKeyRefs": []})), "spec.gatewayKeyRefs").await;
    let both = json!({"gatewayKeyRefs": [{"name": "a"}], "scope": "Organization"});
    refused(world, "ProviderKey", spec(both), "exactly one of gatewayKeyRefs and scope").await;
    let long = json!({"scope": "Organization", "displayName": "x".repeat(101)});
    refused(world, "ProviderKey", spec(long), "spec.displayName").await;
}

pub async fn what_is_fixed_at_creation_cannot_be_edited(world: &mut World) {
    let spec = json!({"type": "CodingAgent", "codingAssistant": "codex", "expiresInDays": 5});
    world.create("GatewayApiKey", "fixed", key_spec(spec)).await;
    for (patch, words) in [
        (json!({"externalId": "key_1"}), "externalId is immutable"),
        (json!({"managementPolicy": "Observe"}), "Observe needs externalId"),
        (json!({"rotation": {"renewBefore": "1h", "renewBeforePercentage": 5}}), "leave one of them out"),
        (json!({"rotation": {"overlap": "a day"}}), "spec.rotation.overlap"),
        (json!({"rotation": {"restart": [{"kind": "Deployment"}]}}), "exactly one of name and selector"),
        (json!({"consoleTokenRef": {"name": "other"}}), "consoleTokenRef is immutable"),
        (json!({"secret": {"name": "elsewhere"}}), "spec.secret.name is immutable"),
    ] {
        match world.edit("GatewayApiKey", "fixed", json!({"spec": patch})).await {
            Ok(_) => panic!("accepted: {patch}"),
            Err(error) => assert!(error.to_string().contains(words), "{patch}: {error}"),
        }
    }
    // Naming the Secret as it is named already is no change.
    world.edit("GatewayApiKey", "fixed", json!({"spec": {"secret": {"name": "fixed"}}})).await.unwrap();
}

pub async fn a_status_is_in_progress_from_birth(world: &mut World) {
    world.stop().await;
    world.create("GatewayApiKey", "newborn", key_spec(json!({}))).await;
    assert_eq!(world.status("GatewayApiKey", "newborn").await, json!({"observedGeneration": -1}));
}
