//! `GatewayApiKey`: a key with which applications call the gateway.

use super::condition::{self, BUDGET_EXHAUSTED, BUDGET_LOW, CONSUMERS_MISSING, ROTATION_OVERDUE};
use super::former::Former;
use super::rotation::{
    CarriedSpend, DeletionPolicy, KeyCount, KeyLimits, LastRotation, ManagementPolicy, PreviousKey,
    RotationSpec, SecretContest, SecretRecord, UnusedKey,
};
use super::shared::{Budget, ConsoleTokenRef, Decorations, LocalRef, RateLimit, budget, conditions_schema};
use super::text::{
    AGE_AND_EXPIRY, RENEW_BEFORE, coding_assistant, display_name, email, entries, external_id, object_name,
    secret_type,
};
use super::verdict::LastPass;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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

/// Spending of a key, rounded so that status is not written for every call; metrics have the exact value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Spent since `since`, a decimal number.
    pub spent: String,
    /// The currency, such as `USD`.
    pub currency: String,
    /// Start of the counting: the beginning of the calendar month, in UTC.
    pub since: Timestamp,
}

/// The models that a pattern in `models` stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedModels {
    /// The pattern, such as `openai/*`.
    pub pattern: String,
    /// Number of models that the vendor lists and that it covers.
    pub count: u32,
    /// The first of them, in the order of the alphabet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// The observed state of a key. It contains no secret and no vendor message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayApiKeyStatus {
    /// The generation that this status is about; -1 before Keysmith has seen the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`; and `Reconciling`, `Stalled`, `Rotating`, `RotationOverdue`, `PreviousKeyInUse`, `LeakOpen`,
    /// `SecretContested` and `ExpiryUnconfirmed` while true; with a budget `BudgetLow` and `BudgetExhausted`, with
    /// `models` `ModelUnknown` where the vendor lists its models, with `rotation.restart` `ConsumersMissing`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The Secret that holds the key, in the format of the Service Binding specification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<LocalRef>,
    /// The vendor's id of the key in the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Serial of the key in the Secret; the first key of a resource has serial 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// The mark in the names of its keys at the vendor, such as `ks-abcdef-abcdefghijklmnop`, by which a name in the
    /// vendor's console leads back to this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Whether the vendor accepts calls with the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// When the vendor created the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When the key stops working; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Since when the vendor does not show the key. It is replaced if a second look, at least a minute later,
    /// confirms that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Timestamp>,
    /// When the key was last used, rounded down to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// With `managementPolicy: Observe`: the limits of the key as the vendor shows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<KeyLimits>,
    /// What the patterns in `models` stand for, where the vendor lists its models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolved_models: Vec<ResolvedModels>,
    /// The e-mail address last sent to the vendor, which may not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The budget last sent to the vendor, which may not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The share of the budget that the key has spent, in steps of 5 %, such as `35%`; `unknown` if no spending is
    /// read, absent without a budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_used: Option<String>,
    /// What the key spent, if the ConsoleToken has `usage` set; rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Number of failed attempts in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// No retry before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// Time of the next rotation, or of the retry of a failed one; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation_time: Option<Timestamp>,
    /// The last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rotation: Option<LastRotation>,
    /// Number of failed rotations in a row; the served key keeps working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_failures: Option<u32>,
    /// Previous keys that are not deleted yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<PreviousKey>,
    /// Unused keys at the vendor that carry this resource's mark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<UnusedKey>,
    /// A state of the Secret to which something in the cluster keeps changing it back, and which is therefore left
    /// as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_contest: Option<SecretContest>,
    /// The last handled value of the annotation `keysmith.dev/reconcile-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The last handled value of `spec.rotation.trigger`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_trigger: Option<String>,
    /// The last handled value of the annotation `keysmith.dev/rotate-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_rotate_at: Option<String>,
    /// The last handled value of the annotation `keysmith.dev/leaked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_leaked: Option<String>,
    /// Internal state of Keysmith.
    #[serde(default, skip_serializing_if = "KeyInternal::is_empty")]
    pub internal: KeyInternal,
    /// Now `internal.appliedGeneration`.
    #[serde(default, rename = "appliedGeneration", skip_serializing_if = "Former::is_none")]
    pub former_applied_generation: Former<i64>,
    /// Now `internal.settledSerial`.
    #[serde(default, rename = "settledSerial", skip_serializing_if = "Former::is_none")]
    pub former_settled_serial: Former<u64>,
    /// Now `internal.failedRequestsHash`.
    #[serde(default, rename = "failedAsks", skip_serializing_if = "Former::is_none")]
    pub former_failed_requests: Former<u64>,
    /// Now `internal.immutableFieldsHash`.
    #[serde(default, rename = "madeAs", skip_serializing_if = "Former::is_none")]
    pub former_immutable_hash: Former<String>,
    /// Now `internal.restartedRevision`.
    #[serde(default, rename = "restartedFor", skip_serializing_if = "Former::is_none")]
    pub former_restarted_for: Former<String>,
    /// Now `internal.keyCount`.
    #[serde(default, rename = "keyCount", skip_serializing_if = "Former::is_none")]
    pub former_key_count: Former<KeyCount>,
    /// Now `internal.carriedSpend`.
    #[serde(default, rename = "carriedSpend", skip_serializing_if = "Former::is_none")]
    pub former_carried_spend: Former<CarriedSpend>,
}

/// Internal state of Keysmith about a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyInternal {
    /// The generation that the key at the vendor and its Secret were last brought in line with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_generation: Option<i64>,
    /// The highest serial whose outcome at the vendor is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_serial: Option<u64>,
    /// Hash of the rotation requests at the last failure; another hash ends the backoff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_requests_hash: Option<u64>,
    /// Hash of those fields of the specification that are fixed when a key is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable_fields_hash: Option<String>,
    /// The content of the Secret that workloads were last restarted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_revision: Option<String>,
    /// Limits of a key that was taken over and that the specification does not name: they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_limits: Option<KeyLimits>,
    /// The Secret with the served key, as it was last found or written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRecord>,
    /// How many keys were created within the running day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_count: Option<KeyCount>,
    /// What earlier keys spent of the running period of the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_spend: Option<CarriedSpend>,
    /// What the last pass concluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pass: Option<LastPass>,
    /// Whether the replacement of the served key is overdue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rotation_overdue: bool,
    /// Since when the budget of the served key is spent, so that the gateway refuses the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_spent_since: Option<Timestamp>,
    /// The generation for which the spending was last compared with the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_generation: Option<i64>,
    /// The generation for which all workloads to restart were last found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers_found_generation: Option<i64>,
}

impl KeyInternal {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl GatewayApiKeyStatus {
    /// The internal state, wherever it is stored: version 0.1 kept it beside the other fields.
    pub fn read_internal(&self) -> KeyInternal {
        let internal = self.concluded(self.internal.clone());
        KeyInternal {
            applied_generation: self.former_applied_generation.or(internal.applied_generation),
            settled_serial: self.former_settled_serial.or(internal.settled_serial),
            failed_requests_hash: self.former_failed_requests.or(internal.failed_requests_hash),
            immutable_fields_hash: self.former_immutable_hash.or(internal.immutable_fields_hash),
            restarted_revision: self.former_restarted_for.or(internal.restarted_revision),
            key_count: self.former_key_count.or(internal.key_count),
            carried_spend: self.former_carried_spend.or(internal.carried_spend),
            ..internal
        }
    }

    /// The internal state with what the last pass concluded: version 0.1 wrote that into conditions only.
    fn concluded(&self, internal: KeyInternal) -> KeyInternal {
        let conditions = &self.conditions;
        if internal.last_pass.is_some() {
            return internal;
        }
        let spent = condition::find(conditions, BUDGET_EXHAUSTED).filter(|it| it.status == "True");
        let found = condition::find(conditions, CONSUMERS_MISSING).filter(|it| it.status == "False");
        KeyInternal {
            last_pass: LastPass::of_conditions(conditions),
            rotation_overdue: condition::find(conditions, ROTATION_OVERDUE).is_some(),
            budget_spent_since: spent.map(|it| it.last_transition_time.0),
            budget_generation: condition::find(conditions, BUDGET_LOW).and_then(|it| it.observed_generation),
            consumers_found_generation: found.and_then(|it| it.observed_generation),
            ..internal
        }
    }

    /// The same status, with the internal state moved to its present fields.
    #[must_use]
    pub fn moved(self) -> Self {
        Self {
            internal: self.read_internal(),
            former_applied_generation: Former::default(),
            former_settled_serial: Former::default(),
            former_failed_requests: Former::default(),
            former_immutable_hash: Former::default(),
            former_restarted_for: Former::default(),
            former_key_count: Former::default(),
            former_carried_spend: Former::default(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A status as stored by version 0.1.
    fn stored() -> GatewayApiKeyStatus {
        let status = json!({
            "id": "key_1", "serial": 3, "settledSerial": 3, "appliedGeneration": 2, "failedAsks": 7, "madeAs": "hash",
            "restartedFor": "3-abc", "keyCount": {"since": "2026-01-01T00:00:00Z", "serial": 3, "made": 1},
            "carriedSpend": {"micros": 5},
        });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn a_status_of_version_0_1_is_understood_and_its_fields_move_with_the_next_write() {
        let stored = stored();
        let internal = stored.read_internal();
        assert_eq!((internal.settled_serial, internal.applied_generation), (Some(3), Some(2)));
        assert_eq!(
            (internal.failed_requests_hash, internal.immutable_fields_hash.as_deref()),
            (Some(7), Some("hash"))
        );
        assert_eq!(internal.restarted_revision.as_deref(), Some("3-abc"));
        assert_eq!(internal.key_count.as_ref().map(|it| it.made), Some(1));
        assert_eq!(internal.carried_spend.as_ref().map(|it| it.micros), Some(5));
        let moved = serde_json::to_value(stored.moved()).unwrap();
        let mut fields: Vec<_> = moved.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["id", "internal", "serial"], "{moved}");
        assert_eq!(moved["internal"]["immutableFieldsHash"], "hash");
    }

    #[test]
    fn what_version_0_1_wrote_into_conditions_alone_is_understood_and_costs_no_write_of_its_own() {
        let said = |kind: &str, status: &str, reason: &str| {
            json!({"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 2,
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let status = |conditions: serde_json::Value| {
            serde_json::from_value::<GatewayApiKeyStatus>(json!({"id": "key_1", "conditions": conditions}))
                .unwrap()
        };
        let works = status(json!([
            said("Ready", "True", "Issued"),
            said("ConsumersMissing", "False", "ConsumersFound")
        ]));
        let internal = works.read_internal();
        let last = internal.last_pass.unwrap();
        assert_eq!((last.generation, last.works, last.given_up), (Some(2), true, false));
        assert_eq!(internal.consumers_found_generation, Some(2));
        // What a pass that changes nothing would write is what is stored.
        let mut unchanged = works.clone().moved();
        crate::api::Verdict::settled(crate::api::Reason::Issued, "").apply(
            &mut unchanged.conditions,
            &mut unchanged.internal.last_pass,
            Some(2),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(unchanged, works.moved());

        let stalled =
            status(json!([said("Ready", "False", "Unsupported"), said("Stalled", "True", "Unsupported")]));
        assert!(stalled.read_internal().last_pass.unwrap().gave_up(Some(2)));
        let spent = status(json!([
            said("Ready", "False", "BudgetSpent"),
            said("Stalled", "True", "BudgetSpent"),
            said("BudgetExhausted", "True", "BudgetSpent"),
            said("BudgetLow", "True", "BudgetNearlySpent"),
            said("RotationOverdue", "True", "Replacing"),
        ]));
        let internal = spent.read_internal();
        assert!(!internal.last_pass.unwrap().given_up && internal.rotation_overdue);
        assert!(internal.budget_spent_since.is_some() && internal.budget_generation == Some(2));
    }

    #[test]
    fn the_present_place_has_the_last_word() {
        let mut status = stored();
        status.internal.settled_serial = Some(4);
        assert_eq!(status.read_internal().settled_serial, Some(4));
    }

    #[test]
    fn a_status_that_differs_in_nothing_but_the_place_of_its_fields_is_not_written() {
        let stored = stored().moved();
        let mut former = stored.clone();
        former.former_settled_serial = serde_json::from_value(json!(3)).unwrap();
        assert_eq!(stored, former);
    }
}
