//! Status of a GatewayApiKey.

use crate::api::condition::{self, BUDGET_EXHAUSTED, BUDGET_LOW, CONSUMERS_MISSING, ROTATION_OVERDUE};
use crate::api::former::Former;
use crate::api::rotation::{
    CarriedSpend, KeyCount, KeyLimits, LastRotation, PreviousKey, SecretContest, SecretRecord, UnusedKey,
};
use crate::api::shared::{Budget, LocalRef, conditions_schema};
use crate::api::verdict::LastPass;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
