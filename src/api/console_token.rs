//! `ConsoleToken`: Keysmith's credential at a vendor.

use super::former::Former;
use super::rotation::RotationSpec;
use super::shared::{Budget, LocalRef, SecretKeyRef, conditions_schema};
use super::text::{
    amount, controller_class, entry_name, gateway_url, interval, object_name, organization_id, path,
};
use super::verdict::LastPass;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A credential for a vendor's management API, with which Keysmith creates and manages keys.
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
// If the token could be pointed to another account, the keys in the present one would be left behind.
#[x_kube(
    validation = ("self.vendor == oldSelf.vendor",
        "vendor is immutable: the keys made there would be left behind; create another token"),
    validation = ("has(self.endpoint) == has(oldSelf.endpoint) && (!has(self.endpoint) || self.endpoint == oldSelf.endpoint)",
        "endpoint is immutable: the keys made there would be left behind; create another token"),
    // The class is part of the mark in the names of keys.
    validation = ("has(self.controllerClass) == has(oldSelf.controllerClass) && (!has(self.controllerClass) || self.controllerClass == oldSelf.controllerClass)",
        "controllerClass is immutable: another operator would not know the keys made with this token; create another token"),
    validation = ("has(self.secretRef) != has(self.mint)",
        "set exactly one of secretRef (a token created in the vendor's console) and mint (Keysmith makes it)"),
    validation = ("has(self.mint) == has(oldSelf.mint) && (!has(self.mint) || (self.mint.issuerRef == oldSelf.mint.issuerRef && self.mint.secret == oldSelf.mint.secret))",
        "mint.issuerRef and mint.secret are immutable, and a token that was given cannot become one that is minted: create another token"),
    // Fields that the vendor does not support, as far as the schema can tell.
    validation = Rule::new("!has(self.mint) || !(has(self.vendor.edgee) || has(self.vendor.openrouter) || \
            (has(self.vendor.edenAi) && ((has(self.vendor.edenAi.api) && self.vendor.edenAi.api == 'V2') || \
            (has(self.vendor.edenAi.tier) && self.vendor.edenAi.tier == 'Issuer'))))")
        .message("the vendor makes such tokens in its console only: make one there, put it into a Secret and use secretRef")
        .field_path(".mint"),
    validation = Rule::new("!has(self.mint) || !has(self.mint.scopes) || size(self.mint.scopes) == 0 || \
            !(has(self.vendor.cortecs) || has(self.vendor.litellm))")
        .message("tokens of this vendor have no scopes: leave them out")
        .field_path(".mint.scopes"),
    validation = Rule::new("!(has(self.mint) && has(self.expiresAt))")
        .message("has no effect on a token that Keysmith makes and replaces: set mint.rotation.maxAge, or leave it out")
        .field_path(".expiresAt"),
    validation = Rule::new("!has(self.usage) || !has(self.vendor.edenAi) || !has(self.vendor.edenAi.tier) || \
            self.vendor.edenAi.tier != 'Issuer'")
        .message("the vendor tells neither spending nor balance to an issuer: leave it out")
        .field_path(".usage"),
    validation = Rule::new("!has(self.usage) || !has(self.usage.lowBalance) || !(has(self.vendor.edgee) || has(self.vendor.litellm) || (has(self.vendor.edenAi) && \
            (!has(self.vendor.edenAi.api) || self.vendor.edenAi.api == 'V3')))")
        .message("the vendor does not tell what the account has left: leave it out")
        .field_path(".usage.lowBalance"),
    validation = Rule::new("!has(self.usage) || !has(self.usage.path) || !(has(self.vendor.edgee) || has(self.vendor.edenAi) || has(self.vendor.litellm) || has(self.vendor.openrouter))")
        .message("the vendor documents where spending is told: leave it out")
        .field_path(".usage.path"),
)]
pub struct ConsoleTokenSpec {
    /// The vendor; exactly one.
    pub vendor: Vendor,
    /// The operator that works with this token and with what is made with it: the one whose `--controller-class` is the same;
    /// default: the one without a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "controller_class")]
    pub controller_class: Option<String>,
    /// Origin of the vendor's management API, such as `https://api.edgee.app`; default: the vendor's own. The
    /// operator's `--allowed-endpoints` must permit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub endpoint: Option<String>,
    /// Base URL that applications call with the keys; fills `baseUrl` in Secret templates and presets. Default: the
    /// vendor's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "gateway_url")]
    pub gateway_url: Option<String>,
    /// The Secret with a token that was created in the vendor's console. Exactly one of `secretRef` and `mint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Keysmith creates the token with another ConsoleToken and replaces it in time. Not every vendor supports
    /// this: see `keysmith explain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mint: Option<Mint>,
    /// When the token in the Secret expires, according to the vendor's console. Keysmith warns ahead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Certificate authorities that are trusted for this vendor besides the public ones and the operator's `--ca-bundle`:
    /// an entry of a ConfigMap or a Secret beside the token's Secret, in PEM. A change is noticed with the next poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_ref: Option<CaBundleRef>,
    /// Calls per second that Keysmith makes at most at the account, a number from 1 to 1000; default: the vendor's, see
    /// `keysmith explain`. Where several tokens of the account say different numbers, the lowest counts. When the vendor
    /// throttles nevertheless, the rate is halved, and slowly raised again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub calls_per_second: Option<u32>,
    /// Reads the spending of the keys and the balance of the account at this interval; default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageSpec>,
}

impl ConsoleTokenSpec {
    /// The Secret entry with the token, whether given or minted.
    pub fn token_secret(&self) -> Option<SecretKeyRef> {
        let minted = || self.mint.as_ref().map(|mint| mint.secret.key_ref());
        self.secret_ref.clone().or_else(minted)
    }

    /// Name of the Secret with the token.
    pub fn secret_name(&self) -> &str {
        let minted = self.mint.as_ref().map(|mint| mint.secret.name.as_str());
        self.secret_ref.as_ref().map(|it| it.name.as_str()).or(minted).unwrap_or_default()
    }
}

/// An entry with certificate authorities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaBundleRef {
    /// Kind of the object; default `ConfigMap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CaBundleKind>,
    /// Name of the object.
    #[schemars(schema_with = "object_name")]
    pub name: String,
    /// Key in its data, such as `ca.crt`.
    #[schemars(schema_with = "entry_name")]
    pub key: String,
}

/// Kinds of objects with certificate authorities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CaBundleKind {
    /// A `ConfigMap`.
    #[default]
    ConfigMap,
    /// A `Secret`.
    Secret,
}

/// A token that Keysmith creates, stores in a Secret and replaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.rotation) || !has(self.rotation.renewBefore)")
        .message("renewBefore has no effect, for minted tokens never expire: set maxAge instead")
        .field_path(".rotation.renewBefore"),
    validation = Rule::new("!has(self.rotation) || !has(self.rotation.renewBeforePercentage)")
        .message("renewBeforePercentage has no effect, for minted tokens never expire: set maxAge instead")
        .field_path(".rotation.renewBeforePercentage"),
    validation = Rule::new("!has(self.rotation) || !has(self.rotation.windows) || size(self.rotation.windows) == 0 || has(self.rotation.maxAge)")
        .message("windows has no effect where nothing is scheduled: set maxAge, or leave it out")
        .field_path(".rotation.windows"),
)]
pub struct Mint {
    /// The token of the same kind and, for a ConsoleToken, in the same namespace, with which the token is created. At
    /// Eden AI, an issuer key.
    pub issuer_ref: LocalRef,
    /// The Secret for the token. A Secret that belongs to another owner is never changed.
    pub secret: MintedSecret,
    /// When and how the token is replaced; a new one is verified and used before the previous one is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<RotationSpec>,
    /// The token's scopes, in the vendor's terms, such as `manage:read` and `manage:write` at Eden AI; empty means
    /// both of these. Other vendors have no scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64)))]
    pub scopes: Vec<String>,
}

/// The Secret for a minted token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MintedSecret {
    /// Name of the Secret.
    #[schemars(schema_with = "object_name")]
    pub name: String,
    /// Key in the Secret's data; default `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "entry_name")]
    pub key: Option<String>,
}

impl MintedSecret {
    /// The Secret entry with the token.
    pub fn key_ref(&self) -> SecretKeyRef {
        SecretKeyRef { name: self.name.clone(), key: self.key.clone().unwrap_or_else(|| "token".to_owned()) }
    }
}

/// How spending and balance are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageSpec {
    /// Time between two reads, such as `1h`; at least `1m`.
    #[schemars(schema_with = "interval")]
    pub interval: String,
    /// Path of the vendor's usage endpoint below its API, such as `/manage/usage`. Required at Cortecs, whose
    /// documentation does not show it; not allowed elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "path")]
    pub path: Option<String>,
    /// The condition `LowBalance` is True while the account's balance is below this amount, in its own currency,
    /// such as `"20"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount")]
    pub low_balance: Option<String>,
}

/// The vendor; exactly one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
// A vendor that this version does not know must be refused, not pruned and ignored. So unknown properties are
// preserved, and their number and names are checked.
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true, "minProperties" = 1, "maxProperties" = 1))]
#[x_kube(validation = ("has(self.edgee) || has(self.edenAi) || has(self.cortecs) || has(self.litellm) || has(self.openrouter)",
    "unknown vendor: set exactly one of: edgee, edenAi, cortecs, litellm, openrouter"))]
pub struct Vendor {
    /// Edgee, through its Console API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edgee: Option<EdgeeVendor>,
    /// Eden AI, through its Management API (V3) or the older custom tokens (V2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eden_ai: Option<EdenAiVendor>,
    /// Cortecs, through its Management API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cortecs: Option<CortecsVendor>,
    /// LiteLLM, a proxy that you run yourself: `endpoint` is its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub litellm: Option<LiteLlmVendor>,
    /// OpenRouter, through its management API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openrouter: Option<OpenRouterVendor>,
}

/// The account at Edgee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EdgeeVendor {
    /// The organization that the keys belong to, such as `org_12345`.
    #[schemars(schema_with = "organization_id")]
    pub organization_id: String,
}

/// API and tier at Eden AI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.tier) && self.tier == 'Issuer') || !has(self.api) || self.api == 'V3'",
    "tier Issuer exists with api V3 only"))]
pub struct EdenAiVendor {
    /// The API; default `V3`. `V2` needs an account API key, which Eden AI may not accept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<EdenAiApi>,
    /// The token's tier; default `Auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<EdenAiTier>,
}

/// Eden AI's API: `V3`, the default, is the Management API; `V2` is the API of custom tokens before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EdenAiApi {
    /// `/v3/manage/*`
    #[default]
    V3,
    /// `/v2/user/custom_token/`
    V2,
}

/// Tier of an Eden AI management key: `Auth`, the default, creates and manages keys; `Issuer` creates auth keys for
/// other ConsoleTokens (`mint`) and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EdenAiTier {
    /// Scopes `manage:read` and `manage:write`.
    #[default]
    Auth,
    /// Scope `manage:mint`.
    Issuer,
}

/// Cortecs: the token determines the user and project that the keys belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CortecsVendor {}

/// LiteLLM: the endpoint determines the proxy that the keys belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiteLlmVendor {
    /// The team that new keys belong to, by its id: its models and its budget limit them, too. The proxy does not check
    /// whether it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "organization_id")]
    pub team_id: Option<String>,
    /// The user of tokens that are minted with this one, with role `proxy_admin`; default: the user of this token. A
    /// master key belongs to no user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "organization_id")]
    pub user_id: Option<String>,
}

/// OpenRouter: the management key determines the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenRouterVendor {
    /// The workspace that the keys belong to, by its id (a UUID); default: the account's default workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "organization_id")]
    pub workspace_id: Option<String>,
}

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
