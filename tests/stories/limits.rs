//! The limits of ClusterConsoleTokens on a real API server: the admission policy of the chart, with the token as its
//! parameter, says the same as the operator (`plan::limits`), case by case.

use super::attacks::{resource, tenant};
use crate::support::report;
use crate::support::world::{World, key_spec, merged};
use keysmith::api::cluster_console_token::Limits;
use keysmith::api::{ClusterConsoleToken, FINALIZER, GatewayApiKey, ProjectSettings, ProviderKey};
use keysmith::plan::identity::AnyToken;
use keysmith::plan::limits;
use keysmith::plan::spec_error::SpecError;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SHARED: &str = "ClusterConsoleToken";

/// What the operator says to a specification.
fn operator(object: &DynamicObject, limits: &Limits, token: &AnyToken) -> Result<(), SpecError> {
    let (value, reference) = (serde_json::to_value(object).unwrap(), token.reference());
    match object.types.as_ref().unwrap().kind.as_str() {
        "GatewayApiKey" => {
            let key: GatewayApiKey = serde_json::from_value(value).unwrap();
            limits::check_key(limits, &reference, &key)?;
            limits::check_secret(limits, &reference, &key)
        }
        "ProviderKey" => {
            let key: ProviderKey = serde_json::from_value(value).unwrap();
            limits::check_provider_key(limits, &reference, &key)
        }
        _ => {
            let settings: ProjectSettings = serde_json::from_value(value).unwrap();
            limits::check_project(limits, &reference, &settings.metadata)
        }
    }
}

fn key(name: &str, more: Value) -> Value {
    merged(key_spec(json!({"consoleTokenRef": {"kind": SHARED, "name": name}})), more)
}

/// Limits, the kind of a resource, what it has beside the token, and whether that is permitted.
fn table() -> Vec<(Value, &'static str, Value)> {
    let budget = |amount: &str, period: &str| json!({"budget": {"amount": amount, "period": period}});
    let most = json!({"budget": {"maximum": {"amount": "100", "period": "Monthly"}}});
    let both = json!({"budget": {
        "maximum": {"amount": "100", "period": "Monthly"}, "perNamespace": {"amount": "50", "period": "Monthly"},
    }});
    let secret = |template: Value| json!({"secret": {"template": template}});
    let labelled = |label: &str| secret(json!({"metadata": {"labels": {label: "x"}}}));
    let credential = |name: &str, more: Value| {
        merged(json!({"provider": name, "credentialsRef": {"name": "edgee-console"}}), more)
    };
    let provider = |name: &str| credential(name, json!({"gatewayKeyRefs": [{"name": "checkout"}]}));
    let organization = credential("openai", json!({"scope": "Organization"}));
    let project = json!({"settings": {"euNative": true}});
    vec![
        (json!(null), "GatewayApiKey", json!({})),
        (json!({}), "GatewayApiKey", json!({})),
        (most.clone(), "GatewayApiKey", json!({})),
        (most.clone(), "GatewayApiKey", budget("100", "Monthly")),
        (most.clone(), "GatewayApiKey", budget("100.00", "Monthly")),
        (most.clone(), "GatewayApiKey", budget("100.01", "Monthly")),
        (most.clone(), "GatewayApiKey", budget("20", "Daily")),
        (most, "GatewayApiKey", budget("100", "Once")),
        (both.clone(), "GatewayApiKey", budget("60", "Monthly")),
        (both, "GatewayApiKey", budget("50", "Monthly")),
        (json!({"budget": {"required": true}}), "GatewayApiKey", json!({})),
        (json!({"budget": {"required": true}}), "GatewayApiKey", budget("9", "Daily")),
        (json!({"budget": {"required": false}}), "GatewayApiKey", json!({})),
        (json!({"expiry": {"required": true}}), "GatewayApiKey", json!({})),
        (json!({"expiry": {"required": true}}), "GatewayApiKey", json!({"expiresInDays": 3000})),
        (json!({"expiry": {"required": false}}), "GatewayApiKey", json!({})),
        (json!({"expiry": {"maximumDays": 90}}), "GatewayApiKey", json!({})),
        (json!({"expiry": {"maximumDays": 90}}), "GatewayApiKey", json!({"expiresInDays": 90})),
        (json!({"expiry": {"maximumDays": 90}}), "GatewayApiKey", json!({"expiresInDays": 91})),
        (json!({"types": ["Api"]}), "GatewayApiKey", json!({})),
        (json!({"types": ["Api"]}), "GatewayApiKey", json!({"type": "Sandbox"})),
        (json!({"types": ["Sandbox"]}), "GatewayApiKey", json!({})),
        (json!({"models": ["anthropic/*"]}), "GatewayApiKey", json!({})),
        (json!({"models": ["anthropic/*"]}), "GatewayApiKey", json!({"models": ["anthropic/opus"]})),
        (json!({"models": ["anthropic/*"]}), "GatewayApiKey", json!({"models": ["anthropic/a", "openai/b"]})),
        (json!({"models": ["gpt-5.2", "*-mini"]}), "GatewayApiKey", json!({"models": ["gpt-5.2", "x-mini"]})),
        (json!({"models": ["gpt-5.2"]}), "GatewayApiKey", json!({"models": ["gpt-5x2"]})),
        (json!({"models": ["*"]}), "GatewayApiKey", json!({"models": ["(any|thing)+"]})),
        (json!({"requiredLabels": ["cost"]}), "GatewayApiKey", json!({})),
        (json!({"requiredLabels": ["cost", "none"]}), "GatewayApiKey", json!({})),
        (json!({}), "GatewayApiKey", json!({"externalId": "key_1"})),
        (json!({"permitted": ["ExternalId"]}), "GatewayApiKey", json!({"externalId": "key_1"})),
        (json!({}), "GatewayApiKey", json!({"deletionPolicy": "Retain"})),
        (json!({}), "GatewayApiKey", json!({"deletionPolicy": "Disable"})),
        (json!({"permitted": ["Retain"]}), "GatewayApiKey", json!({"deletionPolicy": "Retain"})),
        (json!({}), "GatewayApiKey", json!({"debugMode": true})),
        (json!({}), "GatewayApiKey", json!({"debugMode": false})),
        (json!({"permitted": ["DebugMode"]}), "GatewayApiKey", json!({"debugMode": true})),
        (json!({"secret": {"types": ["Opaque"]}}), "GatewayApiKey", json!({})),
        (json!({"secret": {"types": ["Opaque"]}}), "GatewayApiKey", secret(json!({"type": "example.com/x"}))),
        (json!({"secret": {"types": ["example.com/x"]}}), "GatewayApiKey", json!({})),
        (json!({"secret": {"labels": []}}), "GatewayApiKey", labelled("team")),
        (json!({"secret": {"labels": []}}), "GatewayApiKey", json!({})),
        (json!({"secret": {"labels": ["example.com/*"]}}), "GatewayApiKey", labelled("example.com/team")),
        (json!({"secret": {"labels": ["example.com/*"]}}), "GatewayApiKey", labelled("example-com/team")),
        (json!(null), "ProviderKey", provider("openai")),
        (json!({"providers": ["anthropic"]}), "ProviderKey", provider("openai")),
        (json!({"providers": ["anthropic", "open*"]}), "ProviderKey", provider("openai")),
        (json!({"providers": ["*"], "requiredLabels": ["none"]}), "ProviderKey", provider("openai")),
        (json!({"providers": ["*"]}), "ProviderKey", organization.clone()),
        (json!({"providers": ["*"], "permitted": ["Organization"]}), "ProviderKey", organization),
        (json!(null), "ProjectSettings", project.clone()),
        (json!({"permitted": ["ProjectSettings"]}), "ProjectSettings", project),
    ]
}

fn object(kind: &str, spec: Value) -> DynamicObject {
    let mut object = resource(kind, "case", spec);
    object.labels_mut().insert("cost".to_owned(), "4711".to_owned());
    object
}

async fn try_out(client: &Client, world: &World, object: &DynamicObject) -> kube::Result<DynamicObject> {
    let kind = &object.types.as_ref().unwrap().kind;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    super::attacks::resources(client, &world.namespace, kind).create(&dry, object).await
}

pub async fn the_policy_and_the_operator_say_the_same(world: &mut World) {
    let rights = [
        json!({
        "apiGroups": ["keysmith.dev"], "resources": ["consoletokens", "clusterconsoletokens"],
            "verbs": ["use", "adopt", "abandon"],
        }),
        json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}),
    ];
    let user = tenant(world, "limited", &rights).await;
    let cases = table();
    for (number, (limit, ..)) in cases.iter().enumerate() {
        let mut more = json!({"allowedNamespaces": {"names": [world.namespace]}});
        if !limit.is_null() {
            more["limits"] = limit.clone();
        }
        world.create(SHARED, &named(world, "limits", number), merged(world.token_spec(), more)).await;
    }
    let (mut refused, mut admitted) = (0, 0);
    for (number, (limit, kind, more)) in cases.iter().enumerate() {
        let name = named(world, "limits", number);
        let stored = world.api(SHARED).get(&name).await.unwrap();
        let token: ClusterConsoleToken =
            serde_json::from_value(serde_json::to_value(stored).unwrap()).unwrap();
        let read = token.spec.limits.clone().unwrap_or_default();
        let own = json!({"consoleTokenRef": {"kind": SHARED, "name": name}});
        let object = object(kind, merged(own, more.clone()));
        let expected = operator(&object, &read, &token.into());
        let what = format!("the same verdict on {limit} {kind} {more}: {expected:?}");
        judged(world, &user, &object, expected.is_ok(), &name, &what).await;
        let count = if expected.is_ok() { &mut admitted } else { &mut refused };
        *count += 1;
    }
    assert!(admitted >= 20 && refused >= 25, "{admitted} {refused}");
    for number in 0..cases.len() {
        world.delete(SHARED, &named(world, "limits", number)).await;
    }
    namespaces(world, &user).await;
}

fn named(world: &World, what: &str, number: usize) -> String {
    format!("{what}-{}-{number}", world.namespace)
}

/// Waits until the policy says what is expected: its informer learns of a token some time after that was written.
async fn judged(
    world: &World,
    user: &Client,
    object: &DynamicObject,
    admitted: bool,
    words: &str,
    what: &str,
) {
    world
        .eventually(what, async || match try_out(user, world, object).await {
            Ok(_) if admitted => Ok(()),
            Err(error) if !admitted && error.to_string().contains(words) => Ok(()),
            answer => Err(format!("{answer:?}")),
        })
        .await;
    if !admitted {
        report::add(&[("attacks", 1), ("refused", 1)]);
    }
}

/// Which namespaces a token allows, by name and by every operator on labels.
async fn namespaces(world: &World, user: &Client) {
    let own = world.namespace.clone();
    let key_is = "kubernetes.io/metadata.name";
    let labels = BTreeMap::from([(key_is.to_owned(), own.clone())]);
    let table = [
        json!(null),
        json!({"names": ["other"]}),
        json!({"names": ["other", own]}),
        json!({"selector": {}}),
        json!({"selector": {"matchLabels": {key_is: own}}}),
        json!({"selector": {"matchLabels": {key_is: own, "tier": "gold"}}}),
        json!({"selector": {"matchExpressions": [{"key": key_is, "operator": "In", "values": ["x", own]}]}}),
        json!({"selector": {"matchExpressions": [{"key": key_is, "operator": "NotIn", "values": ["x", own]}]}}),
        json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}}),
        json!({"selector": {"matchExpressions": [{"key": key_is, "operator": "Exists"}]}}),
        json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}}),
        json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}}),
        json!({"selector": {"matchExpressions": [{"key": key_is, "operator": "DoesNotExist"}]}}),
    ];
    for (number, allowed) in table.iter().enumerate() {
        let mut spec = world.token_spec();
        if !allowed.is_null() {
            spec["allowedNamespaces"] = allowed.clone();
        }
        world.create(SHARED, &named(world, "allows", number), spec).await;
    }
    for (number, allowed) in table.iter().enumerate() {
        let name = named(world, "allows", number);
        let read = serde_json::from_value(allowed.clone()).unwrap();
        let expected = limits::allows(Option::as_ref(&read), &own, Some(&labels));
        let object = object("GatewayApiKey", key(&name, json!({})));
        let (words, what) = ("does not allow namespace", format!("{allowed} is {expected}"));
        judged(world, user, &object, expected, words, &what).await;
        world.delete(SHARED, &name).await;
    }
}

/// Naming a shared token takes the verb `use` in the namespace, and its limits do not stand in the way of what saves a key.
pub async fn rights_and_requests(world: &mut World) {
    let name = format!("rights-{}", world.namespace);
    let spec = merged(world.token_spec(), json!({"allowedNamespaces": {"names": [world.namespace]}}));
    world.create(SHARED, &name, spec).await;
    let without = tenant(world, "without", &[]).await;
    let mut object = object("GatewayApiKey", key(&name, json!({})));
    object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    judged(
        world,
        &without,
        &object,
        false,
        "takes the verb use on ClusterConsoleToken",
        "no right to use it",
    )
    .await;
    let use_it = json!({"apiGroups": ["keysmith.dev"], "resources": ["clusterconsoletokens"], "resourceNames": [name], "verbs": ["use"]});
    let with = tenant(world, "with", &[use_it]).await;
    world
        .eventually("a Role of the namespace is enough", async || {
            try_out(&with, world, &object).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    // The limits become narrower than a key that exists: its requests and labels of no concern are still written.
    let keys = super::attacks::resources(&with, &world.namespace, "GatewayApiKey");
    keys.create(&PostParams::default(), &object).await.unwrap();
    world.edit(SHARED, &name, json!({"spec": {"limits": {"expiry": {"required": true}}}})).await.unwrap();
    world
        .eventually("the limits are in force", async || {
            let edit = Patch::Merge(json!({"spec": {"displayName": "Another"}}));
            let dry = PatchParams { dry_run: true, ..PatchParams::default() };
            match keys.patch("case", &dry, &edit).await {
                Err(error) if error.to_string().contains("spec.expiresInDays") => Ok(()),
                answer => Err(format!("{answer:?}")),
            }
        })
        .await;
    let leaked = Patch::Merge(json!({"metadata": {"annotations": {"keysmith.dev/leaked": "yes"}}}));
    keys.patch("case", &PatchParams::default(), &leaked).await.unwrap();
    let cure = Patch::Merge(json!({"spec": {"expiresInDays": 30}}));
    keys.patch("case", &PatchParams::default(), &cure).await.unwrap();
    // Without the finalizer the key would work on, and count nowhere.
    world.delete("GatewayApiKey", "case").await;
    let let_go = json!({"metadata": {"finalizers": []}});
    let error = keys.patch("case", &PatchParams::default(), &Patch::Merge(let_go.clone())).await.unwrap_err();
    let refused = ["takes the verb abandon", "ForceOrphan in limits.permitted"];
    assert!(refused.iter().any(|it| error.to_string().contains(it)), "{error}");
    let error = world.edit("GatewayApiKey", "case", let_go.clone()).await.unwrap_err();
    assert!(error.to_string().contains("ForceOrphan in limits.permitted"), "{error}");
    report::add(&[("attacks", 2), ("refused", 2)]);
    let permitted = json!({"spec": {"limits": {"expiry": null, "permitted": ["ForceOrphan"]}}});
    world.edit(SHARED, &name, permitted).await.unwrap();
    world
        .eventually("the finalizer is taken off", async || {
            world
                .edit("GatewayApiKey", "case", let_go.clone())
                .await
                .map(drop)
                .map_err(|error| error.to_string())
        })
        .await;
    world.gone("GatewayApiKey", "case").await;
    world.delete(SHARED, &name).await;
    world.gone(SHARED, &name).await;
}
