//! Which vendor a console token is for, and what only that vendor needs.

use crate::api::text::organization_id;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
