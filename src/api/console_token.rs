//! `ConsoleToken`: who we are to a vendor.

use super::shared::{SecretKeyRef, conditions_schema};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A credential for a vendor's management API: who we are to the vendor.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keysmith.dev",
    version = "v1alpha1",
    kind = "ConsoleToken",
    namespaced,
    status = "ConsoleTokenStatus",
    shortname = "ctok",
    category = "keysmith",
    doc = "A credential for a vendor's management API: who we are to the vendor.",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Vendor", type_ = "string", json_path = ".status.vendor"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    selectable = ".spec.secretRef.name"
)]
#[serde(rename_all = "camelCase")]
// Keys made at one place would be left behind there if the token could be pointed to another.
#[x_kube(
    validation = ("self.vendor == oldSelf.vendor",
        "vendor is immutable: the keys made there would be left behind; create another ConsoleToken"),
    validation = ("has(self.endpoint) == has(oldSelf.endpoint) && (!has(self.endpoint) || self.endpoint == oldSelf.endpoint)",
        "endpoint is immutable: the keys made there would be left behind; create another ConsoleToken"),
)]
pub struct ConsoleTokenSpec {
    /// The vendor, exactly one.
    pub vendor: Vendor,
    /// Origin of the vendor's management API, such as `https://api.edgee.app`; the vendor's own when left out.
    /// The operator's `--allowed-endpoints` must admit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub endpoint: Option<String>,
    /// Base URL that applications call with the keys; fills `baseUrl` in Secret templates and presets.
    /// The vendor's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^https?://[^\s/?#]+(/[^\s?#]*)?$"))]
    pub gateway_url: Option<String>,
    /// Where the token is.
    pub secret_ref: SecretKeyRef,
    /// When the token in the Secret expires, as its console page says. Keysmith warns ahead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The vendor, exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
// A vendor that this version does not know must be refused, not pruned away and ignored; so unknown
// properties are kept, and their number and names are checked.
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true, "minProperties" = 1, "maxProperties" = 1))]
#[x_kube(validation = ("has(self.edgee)", "unknown vendor: set exactly one of: edgee"))]
pub struct Vendor {
    /// Edgee, through its Console API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edgee: Option<EdgeeVendor>,
}

/// Where at Edgee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeeVendor {
    /// The organization the keys belong to, such as `org_12345`.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub organization_id: String,
}

/// What Keysmith knows of a ConsoleToken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleTokenStatus {
    /// The generation this status speaks of; -1 before Keysmith has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `ExpiringSoon`, and `Reconciling` or `Stalled` while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The driver that works for this token, as `keysmith explain` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The management API in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The last handled value of the annotation `keysmith.dev/reconcile-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Keys at the vendor that carry this cluster's mark and that no resource accounts for, as of the last sweep;
    /// absent when there are none, and while the operator watches only some namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<u32>,
}
