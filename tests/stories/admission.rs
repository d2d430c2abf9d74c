//! Refusals by the API server itself, by schema and CEL, which need a real API server.

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
    // A vendor other than Edgee, whose tokens cannot be minted.
    let mut neither = token_spec();
    neither["vendor"] = json!({"cortecs": {}});
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

pub async fn admission_reports_what_a_vendor_cannot_honour_as_far_as_the_schema_knows(world: &mut World) {
    let token = |fields: Value| merged(token_spec(), fields);
    let eden = |place: Value, fields: Value| {
        let mut spec = token(fields);
        spec["vendor"] = json!({"edenAi": place});
        spec
    };
    let minted = |vendor: Value, mint: Value| {
        let mut spec = token(json!({}));
        spec.as_object_mut().unwrap().remove("secretRef");
        spec["vendor"] = vendor;
        spec["mint"] = merged(json!({"issuerRef": {"name": "root"}, "secret": {"name": "worker"}}), mint);
        spec
    };
    let (edgee, cortecs) = (json!({"edgee": {"organizationId": "org_1"}}), json!({"cortecs": {}}));
    let window = json!([{"from": "09:00", "until": "10:00"}]);
    for (spec, words) in [
        (
            token(json!({"usage": {"interval": "1m", "lowBalance": "20"}})),
            "spec.usage.lowBalance: Invalid value: the vendor",
        ),
        (
            token(json!({"usage": {"interval": "1m", "path": "/x"}})),
            "spec.usage.path: Invalid value: the vendor",
        ),
        (token(json!({"usage": {"interval": "59s"}})), "must be at least 1m"),
        (token(json!({"usage": {"interval": "5 minutes"}})), "there are no days"),
        (
            eden(json!({"tier": "Issuer"}), json!({"usage": {"interval": "1m"}})),
            "spec.usage: Invalid value: the vendor",
        ),
        (minted(edgee, json!({})), "spec.mint: Invalid value: the vendor"),
        (minted(json!({"edenAi": {"api": "V2"}}), json!({})), "spec.mint: Invalid value: the vendor"),
        (minted(json!({"openrouter": {}}), json!({})), "spec.mint: Invalid value: the vendor"),
        (
            minted(cortecs.clone(), json!({"scopes": ["a"]})),
            "spec.mint.scopes: Invalid value: tokens of this vendor have no scopes",
        ),
        (
            minted(json!({"litellm": {}}), json!({"scopes": ["a"]})),
            "spec.mint.scopes: Invalid value: tokens of this vendor have no scopes",
        ),
        (
            minted(cortecs.clone(), json!({"rotation": {"renewBefore": "1h"}})),
            "spec.mint.rotation.renewBefore: Invalid value: renewBefore has no effect",
        ),
        (
            minted(cortecs.clone(), json!({"rotation": {"renewBeforePercentage": 5}})),
            "spec.mint.rotation.renewBeforePercentage",
        ),
        (minted(cortecs.clone(), json!({"rotation": {"windows": window}})), "spec.mint.rotation.windows"),
        (minted(cortecs.clone(), json!({"rotation": {"maxAge": "1h"}})), "spec.mint.rotation.maxAge"),
        (minted(cortecs.clone(), json!({"secret": {"name": "a..b"}})), "spec.mint.secret.name"),
        (minted(cortecs.clone(), json!({"secret": {"name": "a", "key": "a b"}})), "spec.mint.secret.key"),
    ] {
        refused(world, "ConsoleToken", spec, words).await;
    }
    let mut dated = minted(cortecs, json!({}));
    dated["expiresAt"] = json!("2030-01-01T00:00:00Z");
    refused(world, "ConsoleToken", dated, "spec.expiresAt: Invalid value: has no effect").await;
    let settings = json!({"consoleTokenRef": {"name": "edgee"}, "settings": {}});
    refused(world, "ProjectSettings", settings, "name at least one setting").await;
}

pub async fn what_has_no_effect_or_cannot_be_is_refused_in_a_sentence(world: &mut World) {
    let template = |fields: Value| json!({"secret": {"template": fields}});
    let decorated = |fields: Value| template(json!({"metadata": fields}));
    let window = json!([{"from": "09:00", "until": "10:00"}]);
    for (fields, words) in [
        (
            json!({"budget": {"amount": "0", "period": "Monthly"}}),
            "spec.budget.amount: Invalid value: \"0\": 0 would mean no limit",
        ),
        (json!({"budget": {"amount": "-1", "period": "Monthly"}}), "write a decimal number above 0"),
        (json!({"budget": {"amount": "1.0000001", "period": "Monthly"}}), "write a decimal number above 0"),
        (json!({"displayName": "a\nb"}), "line breaks"),
        (json!({"email": "nobody"}), "write one such as team@example.com"),
        (json!({"type": "CodingAgent", "codingAssistant": "A B"}), "such as claude_code"),
        (
            json!({"rotation": {"maxAge": "1d"}}),
            "write hours, minutes and seconds, such as 24h or 1h30m; there are no days",
        ),
        (
            json!({"rotation": {"maxAge": "48h", "windows": [{"from": "9:00", "until": "10:00"}]}}),
            "such as 09:00",
        ),
        (
            json!({"rotation": {"renewBefore": "24h"}}),
            "spec.rotation.renewBefore: Invalid value: renewBefore has no effect",
        ),
        (
            json!({"rotation": {"renewBeforePercentage": 20}}),
            "spec.rotation.renewBeforePercentage: Invalid value",
        ),
        (
            json!({"rotation": {"windows": window}}),
            "spec.rotation.windows: Invalid value: windows has no effect",
        ),
        (
            json!({"rotation": {"maxAge": "1h"}}),
            "spec.rotation.maxAge: Invalid value: maxAge is shorter than overlap",
        ),
        (
            json!({"secret": {"name": "a..b"}}),
            "spec.secret.name: Invalid value: \"a..b\": is no name of a Kubernetes object",
        ),
        (json!({"secret": {"name": "a-.b"}}), "spec.secret.name: Invalid value"),
        (
            json!({"secret": {"keepPrevious": true, "template": {"data": {"previous_x": "x"}}}}),
            "spec.secret.template.data: Invalid value",
        ),
        (
            decorated(json!({"labels": {"team": "Search and Ads"}})),
            "spec.secret.template.metadata.labels[team]: Invalid value",
        ),
        (
            decorated(json!({"labels": {"team name": "x"}})),
            "spec.secret.template.metadata.labels: Invalid value",
        ),
        (
            decorated(json!({"annotations": {"bad key": "x"}})),
            "spec.secret.template.metadata.annotations: Invalid value",
        ),
        (template(json!({"type": "My Type!"})), "spec.secret.template.type: Invalid value"),
        (
            template(json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "x"}})),
            "needs the entries tls.crt and tls.key",
        ),
        (template(json!({"type": "kubernetes.io/basic-auth"})), "needs the entry username or password"),
        (template(json!({"type": "kubernetes.io/ssh-auth"})), "needs the entry ssh-privatekey"),
        (template(json!({"type": "kubernetes.io/dockerconfigjson"})), "needs the entry .dockerconfigjson"),
        (template(json!({"type": "helm.sh/release.v1"})), "has a meaning of its own in Kubernetes"),
        (template(json!({"data": {"a b": "x"}})), "has an entry whose name is none"),
    ] {
        refused(world, "GatewayApiKey", key_spec(fields), words).await;
    }
    for fields in [
        json!({"expiresInDays": 30, "rotation": {"renewBefore": "24h", "windows": window}}),
        json!({"rotation": {"maxAge": "24h", "windows": window}}),
        json!({"rotation": {"maxAge": "90m", "overlap": "1h30m"}}),
        template(json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "x", "tls.key": "{{ key }}"}})),
    ] {
        let made = world.try_create("GatewayApiKey", "good", key_spec(fields.clone())).await;
        made.map_err(|error| format!("{fields}: {error}")).unwrap();
        world.delete("GatewayApiKey", "good").await;
        world.gone("GatewayApiKey", "good").await;
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

pub async fn a_provider_key_never_means_the_whole_organization_by_accident(world: &mut World) {
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

pub async fn immutable_fields_cannot_be_edited(world: &mut World) {
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
    // Writing the present name of the Secret is no change.
    world.edit("GatewayApiKey", "fixed", json!({"spec": {"secret": {"name": "fixed"}}})).await.unwrap();
}

pub async fn a_status_is_in_progress_from_birth(world: &mut World) {
    world.stop().await;
    world.create("GatewayApiKey", "newborn", key_spec(json!({}))).await;
    assert_eq!(world.status("GatewayApiKey", "newborn").await, json!({"observedGeneration": -1}));
}
