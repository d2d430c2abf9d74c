//! `GatewayApiKey`: a key with which applications call the gateway.

mod status;

use super::rotation::{DeletionPolicy, ManagementPolicy, RotationSpec};
use super::shared::{Budget, ConsoleTokenRef, Decorations, RateLimit, budget};
use super::text::{
    AGE_AND_EXPIRY, RENEW_BEFORE, coding_assistant, display_name, email, entries, external_id, object_name,
    secret_type,
};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use status::{GatewayApiKeyStatus, KeyInternal, ResolvedModels, Usage};
use std::collections::BTreeMap;

/// A key with which applications call the gateway.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "keysmith.dev",
    version = "v1alpha1",
    kind = "GatewayApiKey",
    namespaced,
    status = "GatewayApiKeyStatus",
    shortname = "gak",
    category = "keysmith",
    doc = "One key that applications call the gateway with.",
    derive = "PartialEq",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.binding.name"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt"),
    printcolumn(name = "Rotates", type_ = "string", json_path = ".status.nextRotationTime"),
    printcolumn(name = "Budget", type_ = "string", json_path = ".status.budgetUsed"),
    printcolumn(name = "Spent", type_ = "string", json_path = ".status.usage.spent"),
    printcolumn(
        name = "Rotating",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Rotating')].status"
    ),
    printcolumn(name = "Leak", type_ = "string", json_path = ".status.conditions[?(@.type=='LeakOpen')].status"),
    printcolumn(name = "Serial", type_ = "integer", json_path = ".status.serial", priority = 1),
    printcolumn(name = "Id", type_ = "string", json_path = ".status.id", priority = 1),
    printcolumn(name = "Mark", type_ = "string", json_path = ".status.mark", priority = 1),
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
    selectable = ".spec.secret.name",
    validation = Rule::new(
        "(has(self.spec.secret) && has(self.spec.secret.name) ? self.spec.secret.name : self.metadata.name) == \
         (has(oldSelf.spec.secret) && has(oldSelf.spec.secret.name) ? oldSelf.spec.secret.name : oldSelf.metadata.name)"
    )
    .message("spec.secret.name is immutable: applications read that Secret; create another GatewayApiKey, move the applications, then delete this one")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.codingAssistant) == (has(self.type) && self.type == 'CodingAgent')",
        "codingAssistant is required with type CodingAgent, and only allowed with it"),
    validation = ("self.consoleTokenRef == oldSelf.consoleTokenRef",
        "consoleTokenRef is immutable: create another GatewayApiKey"),
    validation = ("has(self.externalId) == has(oldSelf.externalId) && (!has(self.externalId) || self.externalId == oldSelf.externalId)",
        "externalId is immutable: create another GatewayApiKey"),
    validation = ("!(has(self.managementPolicy) && self.managementPolicy == 'Observe') || has(self.externalId)",
        "managementPolicy Observe needs externalId: the vendor's id of the key to look at"),
    // An adopted key may have its own expiry.
    validation = Rule::new("!has(self.rotation) || !has(self.rotation.renewBefore) || has(self.expiresInDays) || has(self.externalId)")
        .message("renewBefore has no effect on a key that does not expire: set spec.expiresInDays, or leave it out")
        .field_path(".rotation.renewBefore"),
    validation = Rule::new("!has(self.rotation) || !has(self.rotation.renewBeforePercentage) || has(self.expiresInDays) || \
            has(self.externalId)")
        .message("renewBeforePercentage has no effect on a key that does not expire: set spec.expiresInDays, or leave it out")
        .field_path(".rotation.renewBeforePercentage"),
    validation = Rule::new(RENEW_BEFORE)
        .message("renewBefore must be shorter than expiresInDays, or every new key is due at birth")
        .field_path(".rotation.renewBefore"),
    validation = Rule::new(AGE_AND_EXPIRY)
        .message("maxAge has no effect, because the key expires earlier (expiresInDays): shorten it or leave it out")
        .field_path(".rotation.maxAge"),
    validation = Rule::new("!has(self.rotation) || !has(self.rotation.windows) || size(self.rotation.windows) == 0 || \
            has(self.expiresInDays) || has(self.rotation.maxAge) || has(self.externalId)")
        .message("windows has no effect where nothing is scheduled: set rotation.maxAge or spec.expiresInDays, or leave it out")
        .field_path(".rotation.windows"),
)]
pub struct GatewayApiKeySpec {
    /// The ConsoleToken with which Keysmith creates and manages this key.
    pub console_token_ref: ConsoleTokenRef,
    /// The name shown in the vendor's console; default: the resource's name. At most 64 characters: the vendor's
    /// limit is 100, and Keysmith's mark takes the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "display_name")]
    pub display_name: Option<String>,
    /// What the key is for; default `Api`. A change replaces the key.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<KeyType>,
    /// The coding assistant, such as `claude_code`, `codex`, `opencode`; for `type: CodingAgent`. A change replaces
    /// the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "coding_assistant")]
    pub coding_assistant: Option<String>,
    /// The models that this key may call; empty means every model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub models: Vec<String>,
    /// Spending limit; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "budget")]
    pub budget: Option<Budget>,
    /// Limits of requests and tokens; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Days from the key's creation until it stops working; default never. The key is replaced before; a change
    /// also replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36500))]
    pub expires_in_days: Option<u32>,
    /// An e-mail address for the vendor's billing and tracking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "email")]
    pub email: Option<String>,
    /// Whether the vendor accepts calls with this key; default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// Whether the vendor keeps request bodies of this key for a while, visible to the whole organization; default
    /// false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug_mode: Option<bool>,
    /// When and how the key is replaced by a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationSpec>,
    /// The Secret that applications read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretSpec>,
    /// What happens to the key at the vendor when this resource is deleted; default `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// The vendor's id of an existing key to adopt instead of creating one. Its settings become those of this
    /// specification; limits that are left out (`models`, `budget`, `rateLimit`, `expiresInDays`, `active`) stay as they are at the
    /// vendor, also for the keys that replace it. A key that another cluster or resource manages is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "external_id")]
    pub external_id: Option<String>,
    /// How far Keysmith manages the key named in `externalId`; default `Manage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_policy: Option<ManagementPolicy>,
    /// Keysmith leaves the key, its settings and its Secret as they are. Deletion still works, and a key declared
    /// leaked is still revoked, without a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

impl GatewayApiKeySpec {
    /// A specification with only the ConsoleToken set.
    pub const fn bare(console_token_ref: ConsoleTokenRef) -> Self {
        Self {
            console_token_ref,
            display_name: None,
            kind: None,
            coding_assistant: None,
            models: Vec::new(),
            budget: None,
            rate_limit: None,
            expires_in_days: None,
            email: None,
            active: None,
            debug_mode: None,
            rotation: None,
            secret: None,
            deletion_policy: None,
            external_id: None,
            management_policy: None,
            suspend: None,
        }
    }
}

impl GatewayApiKey {
    /// Name of the Secret that applications read.
    pub fn secret_name(&self) -> &str {
        let named = self.spec.secret.as_ref().and_then(|secret| secret.name.as_deref());
        named.or(self.metadata.name.as_deref()).unwrap_or_default()
    }
}

/// What a key is for; a change replaces the key. `Api` (when left out): requests of applications. `CodingAgent`: a coding
/// assistant. `Sandbox`: requests that reach no model and cost nothing. `Management`: for ConsoleTokens with `mint` only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeyType {
    /// Requests of applications.
    #[default]
    Api,
    /// A coding assistant.
    CodingAgent,
    /// Requests that reach no model and cost nothing: fake responses for tests.
    Sandbox,
    /// The vendor's management API. Keysmith creates it for a ConsoleToken with `mint`; refused anywhere else.
    Management,
}

/// The Secret that applications read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.keepPrevious) || !self.keepPrevious || !has(self.template) || !has(self.template.data) || \
            self.template.data.all(it, !it.startsWith('previous_'))")
        .message("with keepPrevious the entries that begin with previous_ are the old key's: use other names")
        .field_path(".template.data"),
)]
pub struct SecretSpec {
    /// Name of the Secret; default: the resource's name. A Secret that belongs to another owner is never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_name")]
    pub name: Option<String>,
    /// Ready-made variables for a client library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// Content of the Secret. Without template and preset it has one entry, `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<SecretTemplate>,
    /// After a rotation, the previous key's entries stay as `previous_<entry>` until that key is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_previous: Option<bool>,
}

/// Ready-made variables for a client library. `OpenAI`: `OPENAI_API_KEY`, `OPENAI_BASE_URL`. `Anthropic`: `ANTHROPIC_API_KEY`,
/// `ANTHROPIC_BASE_URL`. `ClaudeCode`: `ANTHROPIC_AUTH_TOKEN`, `ANTHROPIC_BASE_URL`. `Codex`: `CODEX_API_KEY`,
/// `OPENAI_API_KEY`, `OPENAI_BASE_URL`. With one model in `models`, its name as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Preset {
    /// `OPENAI_API_KEY`, `OPENAI_BASE_URL`, and `OPENAI_MODEL` when `models` names one.
    OpenAI,
    /// `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL`, and `ANTHROPIC_MODEL` when `models` names one.
    Anthropic,
    /// `ANTHROPIC_AUTH_TOKEN`, `ANTHROPIC_BASE_URL`, and `ANTHROPIC_MODEL` when `models` names one.
    ClaudeCode,
    /// `CODEX_API_KEY`, `OPENAI_API_KEY`, `OPENAI_BASE_URL`, and `CODEX_MODEL` when `models` names one.
    Codex,
}

/// Content of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.type) || self.type != 'kubernetes.io/tls' || \
            (has(self.data) && 'tls.crt' in self.data && 'tls.key' in self.data)")
        .message("a Secret of type kubernetes.io/tls needs the entries tls.crt and tls.key: add them to data, or use Opaque")
        .field_path(".type"),
    validation = Rule::new("!has(self.type) || self.type != 'kubernetes.io/basic-auth' || \
            (has(self.data) && ('username' in self.data || 'password' in self.data))")
        .message("a Secret of type kubernetes.io/basic-auth needs the entry username or password: add it to data, or use Opaque")
        .field_path(".type"),
    validation = Rule::new("!has(self.type) || self.type != 'kubernetes.io/ssh-auth' || \
            (has(self.data) && 'ssh-privatekey' in self.data)")
        .message("a Secret of type kubernetes.io/ssh-auth needs the entry ssh-privatekey: add it to data, or use Opaque")
        .field_path(".type"),
    validation = Rule::new("!has(self.type) || self.type != 'kubernetes.io/dockerconfigjson' || \
            (has(self.data) && '.dockerconfigjson' in self.data)")
        .message("a Secret of type kubernetes.io/dockerconfigjson needs the entry .dockerconfigjson: add it to data, or use Opaque")
        .field_path(".type"),
    validation = Rule::new("!has(self.type) || self.type != 'kubernetes.io/dockercfg' || \
            (has(self.data) && '.dockercfg' in self.data)")
        .message("a Secret of type kubernetes.io/dockercfg needs the entry .dockercfg: add it to data, or use Opaque")
        .field_path(".type"),
)]
pub struct SecretTemplate {
    /// Type of the Secret; default `Opaque`. Kubernetes does not let it change later.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "secret_type")]
    pub kind: Option<String>,
    /// Labels and annotations of the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Decorations>,
    /// Entries of the Secret, each a template with the variables `key`, `baseUrl`, `keyId`, `name`,
    /// `namespace`, `serial`, `expiresAt`, `models`. They are added to the preset's entries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "entries")]
    pub data: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests;
