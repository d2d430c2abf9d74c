//! A simulated cluster with a kind that uses every schema feature, for the tests that compare it with a real API
//! server.

use crate::support::cluster::Cluster;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::core::Status;
use kube::{Api, Client};
use serde_json::{Value, json};

pub type Widgets = Api<DynamicObject>;

/// A cluster with tokio's clock and a CRD that uses every schema feature.
pub fn cluster() -> Cluster {
    let (epoch, start) = ("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap(), tokio::time::Instant::now());
    Cluster::new(move || epoch + start.elapsed(), vec![widget_crd()])
}

pub fn widget_crd() -> Value {
    let tags = json!({ "type": "array", "maxItems": 3, "x-kubernetes-list-type": "set", "items": { "type": "string" } });
    let spec = json!({
        "type": "object", "required": ["size"],
        "properties": {
            "size": { "type": "integer", "minimum": 1, "maximum": 10 },
            "colour": { "type": "string", "enum": ["red", "green"], "default": "red" },
            "code": { "type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 4 },
            "limits": { "type": "object", "maxProperties": 2, "additionalProperties": { "type": "integer" } },
            "tags": tags,
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "inner": { "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "string" } } },
        },
    });
    let status = json!({
        "type": "object", "default": { "observedGeneration": -1 },
        "properties": {
            "observedGeneration": { "type": "integer" },
            "phase": { "type": "string" },
            "conditions": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object", "required": ["type", "status"],
                    "properties": { "type": { "type": "string" }, "status": { "type": "string" } },
                },
            },
        },
    });
    json!({
        "metadata": { "name": "widgets.example.dev" },
        "spec": {
            "group": "example.dev", "scope": "Namespaced",
            "names": { "plural": "widgets", "singular": "widget", "kind": "Widget" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "selectableFields": [{ "jsonPath": ".spec.colour" }],
                "schema": { "openAPIV3Schema": {
                    "type": "object", "required": ["spec"], "properties": { "spec": spec, "status": status },
                }},
            }],
        },
    })
}

pub fn widgets_in(client: &Client, namespace: &str) -> Widgets {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v1", "Widget"));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

pub fn widgets(client: &Client) -> Widgets {
    widgets_in(client, "default")
}

pub fn secrets(client: &Client) -> Api<Secret> {
    Api::namespaced(client.clone(), "default")
}

/// Reads a typed object from JSON, as a user would write it.
pub fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub fn widget(name: &str, spec: Value) -> DynamicObject {
    let mut value = json!({ "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": { "name": name } });
    value["spec"] = spec;
    object(value)
}

pub fn secret(name: &str, text: &str) -> Secret {
    object(json!({ "metadata": { "name": name }, "stringData": { "key": text } }))
}

pub async fn make(api: &Widgets, name: &str, spec: Value) -> DynamicObject {
    api.create(&PostParams::default(), &widget(name, spec)).await.unwrap()
}

/// The refusal of a request that must not succeed.
pub fn refused<T>(result: kube::Result<T>) -> Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        Err(other) => panic!("refused otherwise: {other}"),
        Ok(_) => panic!("not refused"),
    }
}

pub fn version(object: &impl kube::ResourceExt) -> u64 {
    object.resource_version().unwrap().parse().unwrap()
}
