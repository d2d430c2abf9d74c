//! `ProjectSettings`: settings of a whole project at the vendor.

use super::rotation::ManagementPolicy;
use super::shared::{ConsoleTokenRef, conditions_schema};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the whole project that a `ConsoleToken` belongs to. What is left out is not touched.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keysmith.dev",
    version = "v1alpha1",
    kind = "ProjectSettings",
    plural = "projectsettings",
    namespaced,
    status = "ProjectSettingsStatus",
    shortname = "kps",
    category = "keysmith",
    doc = "Settings of the whole project that a ConsoleToken belongs to. What is left out is not touched.",
    derive = "PartialEq",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Drifted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Drifted')].status"
    ),
    printcolumn(name = "Project", type_ = "string", json_path = ".status.projectId"),
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
    selectable = ".spec.consoleTokenRef.name"
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.consoleTokenRef == oldSelf.consoleTokenRef",
        "consoleTokenRef is immutable: create another ProjectSettings"),
    validation = ("(has(self.managementPolicy) && self.managementPolicy == 'Observe') || has(self.settings.allowOverwrite) || \
        has(self.settings.allowedProviders) || has(self.settings.blacklistedModels) || has(self.settings.euNative) || \
        has(self.settings.includeMetadata) || has(self.settings.preference)",
        "spec.settings sets nothing, so nothing happens: name at least one setting"),
)]
pub struct ProjectSettingsSpec {
    /// The ConsoleToken whose project it is.
    pub console_token_ref: ConsoleTokenRef,
    /// What the settings should be; at least one, unless `managementPolicy` is `Observe`.
    pub settings: ProjectValues,
    /// How far Keysmith goes; `Manage` when left out. `Observe` shows what differs and changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// Nothing is looked at or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Settings of a project. What is left out is not touched; an empty list empties it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectValues {
    /// Whether single calls may bring settings of their own; otherwise these are enforced for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_overwrite: Option<bool>,
    /// The only providers that serve calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 128)))]
    pub allowed_providers: Option<Vec<String>>,
    /// Models that no call may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    pub blacklisted_models: Option<Vec<String>>,
    /// Whether only providers based in the EU serve calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eu_native: Option<bool>,
    /// Whether answers say which provider served them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_metadata: Option<bool>,
    /// What a provider is chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<Preference>,
}

/// What a provider is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Preference {
    /// The fastest.
    Speed,
    /// The cheapest.
    Cost,
    /// Between both.
    Balanced,
}

/// What Keysmith knows of a project's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSettingsStatus {
    /// The generation this status speaks of; -1 before Keysmith has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Drifted`, and `Reconciling` or `Stalled` while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The vendor's id of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The settings as the vendor shows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<ProjectValues>,
    /// When Keysmith changed them last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_at: Option<Timestamp>,
    /// Failed attempts in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// The last handled value of the annotation `keysmith.dev/reconcile-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}
