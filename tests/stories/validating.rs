//! `keysmith validate` beside the API server itself: for thousands of resources, each with one field that is odd, both
//! refuse the same ones.

use crate::support::world::World;
use http::Request;
use keysmith::api;
use keysmith::commands::validate::schema;
use serde_json::{Value, json};

/// A valid specification of each kind.
fn specifications() -> [(&'static str, Value); 5] {
    let token =
        json!({"vendor": {"edgee": {"organizationId": "org_1"}}, "secretRef": {"name": "a", "key": "b"}});
    let named = json!({"consoleTokenRef": {"name": "edgee"}});
    let with = |more: Value| crate::support::world::merged(named.clone(), more);
    [
        ("ConsoleToken", token.clone()),
        ("ClusterConsoleToken", token),
        ("GatewayApiKey", named.clone()),
        (
            "ProviderKey",
            with(json!({"provider": "openai", "credentialsRef": {"name": "a"}, "scope": "Organization"})),
        ),
        ("ProjectSettings", with(json!({"settings": {"euNative": true}}))),
    ]
}

/// Values to try in a field of that schema: good ones, bad ones, and ones of another type.
fn values(schema: &Value) -> Vec<Value> {
    let mut values = vec![json!("a"), json!(1), json!(true), json!({}), json!([]), Value::Null, json!(1.5)];
    match schema["type"].as_str() {
        Some("string") => {
            let texts = [
                "",
                "A",
                "a b",
                "a.b",
                "a..b",
                ".",
                "-a",
                "0",
                "0.0",
                "1",
                "-1",
                "12.3456789",
                "1h",
                "59s",
                "1m",
                "0s",
                "1h30m",
                "5",
                "1d",
                "https://a.example/x",
                "ftp://a",
                "http://",
                "a@b",
                "a@",
                "08:00",
                "24:00",
                "Europe/Berlin",
                "a/b",
                "/a/b",
                "../a",
                "a\nb",
                "[a]",
                "kubernetes.io/tls",
                "previous_key",
                "2027-01-31T00:00:00Z",
                "tomorrow",
                "openai/gpt-*",
                "é",
            ];
            values.extend(texts.map(Value::from));
            values.extend([17, 65, 254, 1025, 70_000].map(|length| "a".repeat(length).into()));
            values.extend(schema["enum"].as_array().cloned().unwrap_or_default());
        }
        Some("integer" | "number") => {
            values.extend([-1, 0, 2, 99, 100, 101, 366, 1001, 70_000].map(Value::from));
            values.push(json!(9_000_000_000_000_i64));
        }
        Some("array") => {
            let item = sample(&schema["items"]);
            values.extend([json!([item, item]), json!([item]), json!([{}]), json!([""]), json!(["a", "b"])]);
            values.push(vec![item; 1100].into());
        }
        Some("object") if schema["additionalProperties"].is_object() => {
            values.extend([
                json!({"a": "b"}),
                json!({"a b": "c"}),
                json!({"a": 1}),
                json!({"keysmith.dev/x": "y"}),
            ]);
            values.push(json!({"app.kubernetes.io/managed-by": "x"}));
            values.push(json!({"a": "x".repeat(140_000)}));
        }
        _ => {}
    }
    values
}

/// A value that the schema alone admits.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("string") => json!("a"),
        Some("integer" | "number") => schema["minimum"].as_i64().unwrap_or(1).max(1).into(),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        _ => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let names = required.iter().map(|it| it.as_str().unwrap());
            names.map(|name| (name.to_owned(), sample(&schema["properties"][name]))).collect()
        }
    }
}

/// Every variant of a value with one odd field, by its schema.
fn variants(schema: &Value, value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    if !value.is_object() {
        return all;
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let mut put = |inner: Value| {
            let mut variant = value.clone();
            variant[name] = inner;
            all.push(variant);
        };
        values(property).into_iter().for_each(&mut put);
        let present = value.get(name).cloned();
        let inner = present.unwrap_or_else(|| sample(property));
        match property["type"].as_str() {
            Some("object") => variants(property, &inner).into_iter().for_each(put),
            Some("array") => {
                let items = &property["items"];
                values(items)
                    .into_iter()
                    .chain(variants(items, &sample(items)))
                    .for_each(|item| put(json!([item])));
            }
            _ => {}
        }
    }
    for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
        let mut without = value.clone();
        without.as_object_mut().unwrap().remove(name);
        all.push(without);
    }
    let mut unknown = value.clone();
    unknown["odd"] = json!("a");
    all.push(unknown);
    all
}

/// What the API server says of a resource: nothing, or why it refuses it.
async fn asked(world: &World, path: &str, resource: &Value) -> Option<String> {
    let request = Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"));
    let request = request.header("content-type", "application/json").body(resource.to_string().into_bytes());
    match world.user.request::<Value>(request.unwrap()).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => Some(status.message.clone()),
        Err(error) => panic!("{resource}: {error}"),
    }
}

pub async fn what_is_refused_offline_is_what_the_api_server_refuses(world: &mut World) {
    let (mut tried, mut wrong) = (0, Vec::new());
    for crd in api::crds() {
        let kind = crd.spec.names.kind.clone();
        let (_, spec) = specifications()
            .into_iter()
            .find(|(it, _)| *it == kind)
            .expect("every kind has a specification here");
        let definition = serde_json::to_value(&crd).unwrap();
        let spec_schema =
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
        let within = if crd.spec.scope == "Namespaced" {
            format!("/namespaces/{}", world.namespace)
        } else {
            String::new()
        };
        let path = format!("/apis/keysmith.dev/v1alpha1{within}/{}", crd.spec.names.plural);
        for spec in variants(&spec_schema, &spec).into_iter().chain([spec.clone()]) {
            let mut resource = json!({"apiVersion": "keysmith.dev/v1alpha1", "kind": kind, "metadata": {"name": "odd"}, "spec": spec});
            let theirs = asked(world, &path, &resource).await;
            let ours = schema::check(&crd, &mut resource);
            tried += 1;
            // An empty list for a time: the API server stores it, and the operator could not read it.
            let is_oddity = spec["expiresAt"] == json!([]);
            if theirs.is_some() == ours.is_empty() && !is_oddity {
                let shown: String = spec.to_string().chars().take(300).collect();
                wrong.push(format!("{kind} {shown}\n  API server: {theirs:?}\n  validate: {ours:?}"));
            }
        }
    }
    assert!(tried > 3000, "{tried}");
    assert!(
        wrong.is_empty(),
        "{} of {tried} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(12)].join("\n")
    );
}
