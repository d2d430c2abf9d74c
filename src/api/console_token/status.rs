//! Status of a console token.

use crate::api::former::Former;
use crate::api::shared::{Budget, LocalRef, conditions_schema};
use crate::api::verdict::LastPass;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The balance of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    /// A decimal number, rounded so that status is not written for every call.
    pub amount: String,
    /// The currency, such as `EUR`.
    pub currency: String,
}

/// The account at the vendor that a token leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleTokenAccount {
    /// The account in which the keys are created: the vendor's id, or `token-` and a hash if the vendor shows none.
    pub id: String,
    /// Whether the id comes from the vendor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// Salted hash of the last credential that led to this account.
    pub credential: String,
    /// Since when it is doubted that the token leads to this account; meanwhile no key is created or revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted_since: Option<Timestamp>,
    /// The account that the token leads to now, while it is not known to be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<AccountCandidate>,
    /// Salted hash of the credential whose account was accepted; kept until a recorded key is listed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

/// The account that a token leads to, while it is not known to be the one in which the keys were created.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountCandidate {
    /// The account's id in the same format: the value of the annotation `keysmith.dev/accept-account` that accepts
    /// it.
    pub id: String,
    /// Whether the id comes from the vendor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// Salted hash of the credential.
    pub credential: String,
}

/// Number of keys created under one name within a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MintedToday {
    /// Name of the GatewayApiKey; in a ClusterConsoleToken `namespace/name`, and `namespace/` for all of a namespace.
    pub name: String,
    /// When the count began.
    pub since: Timestamp,
    /// Keys created since then.
    pub made: u64,
}

/// What one namespace has of a ClusterConsoleToken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceUse {
    /// The namespace.
    pub namespace: String,
    /// Number of its GatewayApiKeys that have a key.
    pub keys: u32,
    /// Sum of the budgets of those keys, by period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
}

/// The observed state of a ConsoleToken or a ClusterConsoleToken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleTokenStatus {
    /// The generation that this status is about; -1 before Keysmith has seen the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `ExpiringSoon`, `LowBalance`, `UsageRead`, and `Reconciling` or `Stalled` while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The driver for this token, as named by `keysmith explain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The management API in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The last handled value of the annotation `keysmith.dev/reconcile-requested-at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The account that the token leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<ConsoleTokenAccount>,
    /// The last handled value of the annotation `keysmith.dev/accept-account`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_accept_account: Option<String>,
    /// Number of keys at the vendor that carry this cluster's mark although no resource accounts for them, as of
    /// the last sweep. They work until they are revoked: by the next sweep, or by a person with `keysmith orphans
    /// --delete` if the vendor does not show when a key was created, or if a key may be older than the ledger.
    /// Absent if there are none, and while the operator watches only some namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphans: Option<u32>,
    /// Internal state of Keysmith.
    #[serde(default, skip_serializing_if = "TokenInternal::is_empty")]
    pub internal: TokenInternal,
    /// Now `internal.keysToday`.
    #[serde(default, rename = "keysToday", skip_serializing_if = "Former::is_none")]
    pub former_keys_today: Former<Vec<MintedToday>>,
    /// Of a ClusterConsoleToken: the namespaces that use it, as of the last poll; those with the most keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespaceUse>,
    /// Of a ClusterConsoleToken: how many more namespaces use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_namespaces: Option<u32>,
    /// The GatewayApiKey that holds the key of a minted token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minted_by: Option<LocalRef>,
    /// The account's balance at the last reading, if the vendor shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
}

/// Internal state of Keysmith about a ConsoleToken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenInternal {
    /// How many keys were created within the running day, by the names of their resources; those with most keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_today: Option<Vec<MintedToday>>,
    /// What the last pass concluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pass: Option<LastPass>,
    /// Where the specification sets `gatewayUrl`: the base URL for applications that was admitted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted_gateway_url: Option<String>,
    /// The Secret that the specification named at the last pass, and that may have Keysmith's finalizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_secret: Option<String>,
}

impl TokenInternal {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ConsoleTokenStatus {
    /// The same status, with fields of version 0.1 moved to their present ones.
    #[must_use]
    pub fn moved(self) -> Self {
        let internal = TokenInternal {
            keys_today: Some(self.keys_today()).filter(|it| !it.is_empty()),
            last_pass: self.last_pass(),
            admitted_gateway_url: self.internal.admitted_gateway_url.clone(),
            last_secret: self.internal.last_secret.clone(),
        };
        Self { internal, former_keys_today: Former::default(), ..self }
    }

    /// What the last pass concluded, wherever that is stored.
    pub fn last_pass(&self) -> Option<LastPass> {
        self.internal.last_pass.clone().or_else(|| LastPass::of_conditions(&self.conditions))
    }

    /// How many keys were created within the running day, wherever that is stored.
    pub fn keys_today(&self) -> Vec<MintedToday> {
        self.former_keys_today.or(self.internal.keys_today.clone()).unwrap_or_default()
    }
}
