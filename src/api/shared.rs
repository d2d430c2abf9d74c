//! Types shared by several kinds. No reference has a namespace: a resource references its own namespace, or a
//! cluster-scoped console token.

use super::text::{annotations, entry_name, labels, object_name};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kinds a `consoleTokenRef` can point to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConsoleTokenKind {
    /// A ConsoleToken in the same namespace.
    #[default]
    ConsoleToken,
    /// A ClusterConsoleToken that allows this namespace.
    ClusterConsoleToken,
}

/// References the console token with which Keysmith works at the vendor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleTokenRef {
    /// Kind of the referent; default ConsoleToken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ConsoleTokenKind>,
    /// Name of a ConsoleToken in the same namespace, or of a ClusterConsoleToken.
    #[schemars(schema_with = "object_name")]
    pub name: String,
}

/// References one object in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of an object in the same namespace.
    #[schemars(schema_with = "object_name")]
    pub name: String,
}

/// References one key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of a Secret in the same namespace.
    #[schemars(schema_with = "object_name")]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(schema_with = "entry_name")]
    pub key: String,
}

/// How often a budget resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Period {
    /// Never: the amount is a total.
    Once,
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// Every calendar month.
    Monthly,
}

/// A spending limit in the vendor's currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// The limit in the vendor's currency (`keysmith explain`): a decimal number in quotes, such as "250".
    #[schemars(length(min = 1, max = 20))]
    pub amount: String,
    /// How often the budget resets. Not every vendor supports every period; see `keysmith explain`.
    pub period: Period,
}

/// Limits of the calls that a key may make, each of its own; at least one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1))]
pub struct RateLimit {
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub tokens_per_minute: Option<u64>,
    /// Requests at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub parallel: Option<u64>,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decorations {
    /// Labels put on the Secret besides Keysmith's own.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: std::collections::BTreeMap<String, String>,
    /// Annotations put on the Secret besides Keysmith's own.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// A budget in a specification; a zero amount is refused.
pub fn budget(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = Budget::json_schema(generator);
    let amount = super::text::limit(generator);
    let written = schema.pointer_mut("/properties/amount").and_then(serde_json::Value::as_object_mut);
    if let (Some(written), Some(amount)) = (written, amount.as_object()) {
        written.extend(amount.clone());
    }
    schema
}

/// The Kubernetes conditions of a resource, one entry per type.
pub fn conditions_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = <Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>>::json_schema(generator);
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".into(), serde_json::json!(["type"]));
    schema
}
