//! `ConsoleToken`: Keysmith's credential at a vendor.

mod status;
mod vendor;

use super::rotation::RotationSpec;
use super::shared::{LocalRef, SecretKeyRef};
use super::text::{amount, controller_class, entry_name, gateway_url, interval, object_name, path};
use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use status::{
    AccountCandidate, Balance, ConsoleTokenAccount, ConsoleTokenStatus, MintedToday, NamespaceUse,
    TokenInternal,
};
pub use vendor::{
    CortecsVendor, EdenAiApi, EdenAiTier, EdenAiVendor, EdgeeVendor, LiteLlmVendor, OpenRouterVendor, Vendor,
};

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
