//! `ProjectSettings`: the settings of a whole project at the vendor.

use super::rotation::ManagementPolicy;
use super::shared::{ConsoleTokenRef, conditions_schema};
use super::verdict::LastPass;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the whole project that a `ConsoleToken` belongs to. A setting left out is not changed.
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
    /// The ConsoleToken whose project has these settings.
    pub console_token_ref: ConsoleTokenRef,
    /// The desired settings; at least one, unless `managementPolicy` is `Observe`.
    pub settings: ProjectValues,
    /// How far Keysmith manages the settings; default `Manage`. `Observe` reports differences and changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// Nothing is read or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Settings of a project. A setting left out is not changed; an empty list clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectValues {
    /// Whether single calls may override these settings; otherwise they are enforced for all calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_overwrite: Option<bool>,
    /// The only providers that may serve calls.
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
    /// Whether responses contain the provider that served them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_metadata: Option<bool>,
    /// The criterion by which a provider is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<Preference>,
}

/// The criterion by which a provider is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Preference {
    /// The fastest.
    Speed,
    /// The cheapest.
    Cost,
    /// A balance of both.
    Balanced,
}

/// The observed state of a project's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSettingsStatus {
    /// The generation that this status is about; -1 before Keysmith has seen the resource.
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
    /// When Keysmith last changed the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_at: Option<Timestamp>,
    /// Number of failed attempts in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// The last handled value of the annotation `keysmith.dev/reconcile-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Internal state of Keysmith.
    #[serde(default, skip_serializing_if = "ProjectInternal::is_empty")]
    pub internal: ProjectInternal,
}

/// Internal state of Keysmith about a project's settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectInternal {
    /// What the last pass concluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pass: Option<LastPass>,
}

impl ProjectInternal {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ProjectSettingsStatus {
    /// The same status, with the internal state that version 0.1 wrote into conditions only.
    #[must_use]
    pub fn moved(self) -> Self {
        let last_pass = self.internal.last_pass.or_else(|| LastPass::of_conditions(&self.conditions));
        Self { internal: ProjectInternal { last_pass }, ..self }
    }
}
