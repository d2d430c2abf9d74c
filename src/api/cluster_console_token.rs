//! `ClusterConsoleToken`: a credential that the platform team shares with namespaces, within limits.

use super::console_token::{ConsoleTokenSpec, ConsoleTokenStatus};
use super::gateway_api_key::KeyType;
use super::shared::{Budget, budget};
use super::text::{glob, interval, label_key, object_name, secret_type};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A credential for a vendor's management API that several namespaces use, each within limits.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keysmith.dev",
    version = "v1alpha1",
    kind = "ClusterConsoleToken",
    status = "ConsoleTokenStatus",
    shortname = "cctok",
    category = "keysmith",
    doc = "A credential for a vendor's management API that the platform team shares with namespaces, within limits.",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Vendor", type_ = "string", json_path = ".status.vendor"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "Balance", type_ = "string", json_path = ".status.balance.amount", priority = 1),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.secretRef.name",
    selectable = ".spec.mint.issuerRef.name"
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterConsoleTokenSpec {
    /// The credential, as in a ConsoleToken. Its Secret is in the operator's namespace; `mint.issuerRef` names another
    /// ClusterConsoleToken.
    #[serde(flatten)]
    pub token: ConsoleTokenSpec,
    /// The namespaces whose resources may name this token. Without it, none may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
    /// What the resources of those namespaces may do with this token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// Namespaces, by name or by label; a namespace that either of them chooses is allowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// Names of namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "namespace_names")]
    pub names: Vec<String>,
    /// Labels of namespaces; an empty selector (`{}`) chooses every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "selector")]
    pub selector: Option<LabelSelector>,
}

fn namespace_names(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    list(object_name(generator), 1024)
}

/// The schema of Kubernetes, with its rules and bounds.
fn selector(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = LabelSelector::json_schema(generator);
    if let Some(labels) =
        schema.pointer_mut("/properties/matchLabels").and_then(serde_json::Value::as_object_mut)
    {
        labels.insert("maxProperties".to_owned(), 64.into());
    }
    if let Some(list) =
        schema.pointer_mut("/properties/matchExpressions").and_then(serde_json::Value::as_object_mut)
    {
        list.insert("maxItems".to_owned(), 64.into());
    }
    if let Some(operator) = schema
        .pointer_mut("/properties/matchExpressions/items/properties/operator")
        .and_then(serde_json::Value::as_object_mut)
    {
        operator.insert("enum".to_owned(), serde_json::json!(["In", "NotIn", "Exists", "DoesNotExist"]));
    }
    schema
}

fn globs(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    list(glob(generator), 64)
}

fn label_keys(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    list(label_key(generator), 16)
}

fn secret_types(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    list(secret_type(generator), 16)
}

fn list(items: schemars::Schema, longest: u32) -> schemars::Schema {
    let mut schema = schemars::json_schema!({"type": "array", "maxItems": longest});
    schema.insert("items".into(), items.into());
    schema
}

/// Limits of what the resources of the allowed namespaces may do with the token. What is left out is not limited,
/// except for `providers` and `permitted`: what they do not name is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Budgets of the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetLimit>,
    /// Expiry of the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<ExpiryLimit>,
    /// Number of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyLimit>,
    /// Types that keys may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub types: Vec<KeyType>,
    /// Models that keys may call, such as `anthropic/*`; `*` stands for any text. A key must then name its models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "globs")]
    pub models: Vec<String>,
    /// Providers that ProviderKeys may be for, such as `openai` or `*`. Without it, no ProviderKey may name this token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "globs")]
    pub providers: Vec<String>,
    /// Labels that every resource with this token must have, such as `example.com/cost-centre`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "label_keys")]
    pub required_labels: Vec<String>,
    /// Secrets that keys are written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretLimit>,
    /// Rotations that a user requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationLimit>,
    /// What is refused unless it is named here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub permitted: Vec<Permission>,
}

/// Budgets of keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetLimit {
    /// Whether every key must have a budget; `maximum` and `perNamespace` imply it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// The largest budget of one key. A key's budget has the same period, or `Once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "budget")]
    pub maximum: Option<Budget>,
    /// The largest sum of the budgets of the keys of one namespace. A key's budget has the same period, or `Once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "budget")]
    pub per_namespace: Option<Budget>,
}

/// Expiry of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpiryLimit {
    /// Whether every key must expire; `maximumDays` implies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// The longest lifetime of a key, in days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36500))]
    pub maximum_days: Option<u32>,
}

/// Number of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyLimit {
    /// The number of GatewayApiKeys of one namespace that may have a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub per_namespace: Option<u32>,
    /// The number of keys that may be created for one namespace within a day, also those of resources that were
    /// deleted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub per_namespace_and_day: Option<u32>,
}

/// Secrets that keys are written to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretLimit {
    /// Types that the Secrets may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "secret_types")]
    pub types: Vec<String>,
    /// Labels that the templates of Secrets may set, such as `example.com/*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "globs")]
    pub labels: Option<Vec<String>>,
}

/// Rotations that a user requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationLimit {
    /// The least time between two rotations of a key that a user requests by `rotation.trigger`, by the annotation
    /// `keysmith.dev/rotate-requested-at` or by a change that replaces the key, such as `1h`. A leaked key is replaced
    /// at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "interval")]
    pub minimum_interval: Option<String>,
}

/// What is refused unless `limits.permitted` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Permission {
    /// `externalId`: a resource takes over, or observes, a key that exists already in the account.
    ExternalId,
    /// `deletionPolicy: Retain`: a key works on after its resource is deleted.
    Retain,
    /// The annotation `keysmith.dev/force-orphan`: a resource goes although its key may work on.
    ForceOrphan,
    /// `debugMode`: the vendor keeps request bodies, visible to the whole organization.
    DebugMode,
    /// ProjectSettings, which are those of everybody who uses the project.
    ProjectSettings,
    /// `scope: Organization` of a ProviderKey: the vendor calls that provider with this credential for every key of the
    /// organization, those of other namespaces included.
    Organization,
}

impl Permission {
    /// The name in `limits.permitted`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExternalId => "ExternalId",
            Self::Retain => "Retain",
            Self::ForceOrphan => "ForceOrphan",
            Self::DebugMode => "DebugMode",
            Self::ProjectSettings => "ProjectSettings",
            Self::Organization => "Organization",
        }
    }
}
