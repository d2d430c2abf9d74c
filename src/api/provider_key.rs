//! `ProviderKey`: a credential of a model provider (bring your own key), stored at the gateway.

use super::former::Former;
use super::shared::{ConsoleTokenRef, LocalRef, conditions_schema};
use super::text::{display_name, entry_name, object_name, provider};
use super::verdict::LastPass;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A credential of a model provider (bring your own key), stored at the gateway.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keysmith.dev",
    version = "v1alpha1",
    kind = "ProviderKey",
    namespaced,
    status = "ProviderKeyStatus",
    shortname = "pvk",
    category = "keysmith",
    doc = "A provider credential (bring your own key) deposited at the gateway.",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider"),
    printcolumn(name = "Id", type_ = "string", json_path = ".status.id"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.consoleTokenRef.name",
    selectable = ".spec.provider"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.gatewayKeyRefs) != has(self.scope)",
        "set exactly one of gatewayKeyRefs and scope: a provider key serves the named keys, or with scope: Organization every key"),
    validation = ("self.consoleTokenRef == oldSelf.consoleTokenRef",
        "consoleTokenRef is immutable: create another ProviderKey"),
    validation = ("self.provider == oldSelf.provider", "provider is immutable: create another ProviderKey"),
)]
pub struct ProviderKeySpec {
    /// The ConsoleToken with which Keysmith manages this provider key.
    pub console_token_ref: ConsoleTokenRef,
    /// The provider: `anthropic`, `openai`, `google_vertex_ai`, `mistral`, `deepseek`, `xai`, `zai`, `bedrock`,
    /// `azure`, or another that the vendor knows.
    #[schemars(schema_with = "provider")]
    pub provider: String,
    /// The name shown in the vendor's console; default: the resource's name. At most 64 characters: the vendor's
    /// limit is 100, and Keysmith's mark takes the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "display_name")]
    pub display_name: Option<String>,
    /// The Secret that holds the credential.
    pub credentials_ref: CredentialsRef,
    /// The GatewayApiKeys, in the same namespace and of the same ConsoleToken, that use this credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub gateway_key_refs: Option<Vec<LocalRef>>,
    /// `Organization`: every key of the organization uses this credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ProviderKeyScope>,
}

/// Which keys use a provider key that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProviderKeyScope {
    /// Every key of the organization.
    Organization,
}

/// A Secret in the same namespace that holds a provider credential.
///
/// With `key`, that entry is the credential: a plain API key; for `azure`, `bedrock` and `google_vertex_ai` the
/// JSON document that the vendor describes. Without `key` it is assembled: `azure` from the entries `endpoint` and
/// `api_key`; `bedrock` from pairs `<region>.access_key_id` and `<region>.secret_access_key`, region `global` being
/// the default one; `google_vertex_ai` from `service_account.json`; any other provider from `api_key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsRef {
    /// Name of a Secret in the same namespace.
    #[schemars(schema_with = "object_name")]
    pub name: String,
    /// Key in the Secret's data; by default, the credential is assembled by provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "entry_name")]
    pub key: Option<String>,
}

/// The observed state of a provider key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderKeyStatus {
    /// The generation that this status is about; -1 before Keysmith has seen the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and `Reconciling` or `Stalled` while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The vendor's id of the provider key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Serial of the provider key; the first one of a resource has serial 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// The vendor's ids of the keys that the provider key is assigned to; empty means the whole organization.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assigned_to: Vec<String>,
    /// When the vendor created the provider key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Since when the vendor's listing has not shown the provider key. It is created again if a second look, at
    /// least a minute later, confirms that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// Superseded provider keys that are still to be deleted at the vendor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<String>,
    /// Superseded provider keys that the vendor did not delete: delete them in its console.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<String>,
    /// Number of failed attempts in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// No retry before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// The last handled value of the annotation `keysmith.dev/reconcile-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Internal state of Keysmith.
    #[serde(default, skip_serializing_if = "ProviderKeyInternal::is_empty")]
    pub internal: ProviderKeyInternal,
    /// Now `internal.settledSerial`.
    #[serde(default, rename = "settledSerial", skip_serializing_if = "Former::is_none")]
    pub former_settled_serial: Former<u64>,
    /// Now `internal.credentialHash`.
    #[serde(default, rename = "content", skip_serializing_if = "Former::is_none")]
    pub former_content: Former<String>,
}

/// Internal state of Keysmith about a provider key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderKeyInternal {
    /// The highest serial whose outcome at the vendor is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_serial: Option<u64>,
    /// Salted hash of the stored credential, by which a changed credential is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_hash: Option<String>,
    /// What the last pass concluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pass: Option<LastPass>,
}

impl ProviderKeyInternal {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ProviderKeyStatus {
    /// The same status, with fields of version 0.1 moved to their present ones.
    #[must_use]
    pub fn moved(self) -> Self {
        Self {
            internal: ProviderKeyInternal {
                settled_serial: self.former_settled_serial.or(self.internal.settled_serial),
                credential_hash: self.former_content.or(self.internal.credential_hash),
                last_pass: self.internal.last_pass.or_else(|| LastPass::of_conditions(&self.conditions)),
            },
            former_settled_serial: Former::default(),
            former_content: Former::default(),
            ..self
        }
    }
}
