//! Capabilities of LiteLLM, and its row in the registry.

use super::{LiteLlm, verdict};
use crate::api::gateway_api_key::{KeyType, Preset};
use crate::api::shared::Period;
use crate::gateway::Driver;
use crate::gateway::access::Access;
use crate::plan::capability::{
    BudgetSupport, Capabilities, CredentialFormat, Endpoint, FieldSupport, GatewayUrl, Minting, ModelNames,
    Recovery, UsageSupport,
};
use crate::plan::naming::NameStyle;
use crate::plan::spec_field::SpecField;
use jiff::SignedDuration;

/// The account at a proxy: there is one, and its endpoint tells it apart from those of other proxies.
pub(super) const ACCOUNT: &str = "proxy";

/// LiteLLM's row in the registry.
pub const DRIVER: Driver = Driver {
    name: CAPABILITIES.name,
    example: "litellm: {}",
    capabilities: &CAPABILITIES,
    access: Access { verdict: verdict::of, ..Access::PUBLIC },
    account: |vendor| vendor.litellm.as_ref().map(|_| ACCOUNT),
    divides: false,
    open: |vendor, wire| Box::new(LiteLlm::new(&vendor.litellm.clone().unwrap_or_default(), wire)),
};

/// Capabilities of LiteLLM.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "litellm",
    title: "LiteLLM",
    endpoint: Endpoint::Required,
    gateway_url: GatewayUrl::Endpoint,
    openai_path: "/v1",
    presets: &[Preset::OpenAI, Preset::Anthropic, Preset::ClaudeCode, Preset::Codex],
    types: &[KeyType::Api, KeyType::Management],
    names: NameStyle::Title,
    recovery: Recovery::Once,
    console_tokens: Minting::Peer,
    issuer: "",
    usage: UsageSupport {
        spending: Some("one call for all keys of the proxy, in whole UTC days"),
        balance: false,
        path: false,
    },
    disable: true,
    last_used: true,
    created_at: true,
    tells_remaining: true,
    lists_whole_account: true,
    budget: BudgetSupport {
        periods: &[Period::Once, Period::Daily, Period::Weekly, Period::Monthly],
        whole: false,
        currency: "USD",
        // Unless the server names another zone (§6).
        zone: "UTC",
        keeps_spent: true,
    },
    fields,
    models: ModelNames {
        listed: true,
        patterns: true,
        special: &["all-proxy-models", "all-team-models", "no-default-models"],
    },
    provider_keys: false,
    credentials: CredentialFormat::AsItIs,
    project_settings: false,
    // No lag was measured; this is a margin for a server that reads from database replicas (§13).
    listing_lag: SignedDuration::from_secs(5),
    // Other instances of a proxy accept a revoked key out of their cache for a minute: 60.8 s at most were measured, the time of
    // the request included (§9).
    revocation_lag: SignedDuration::from_secs(60),
    // 26 creations per second were measured (§5).
    calls_per_second: 20,
    burst: 60,
    refused: "it must be the master key, or a key of a user with role proxy_admin",
};

/// How each field of a GatewayApiKey is supported.
const fn fields(field: SpecField) -> FieldSupport {
    match field {
        SpecField::ConsoleTokenRef => FieldSupport::operator("immutable"),
        SpecField::DisplayName => FieldSupport::in_place(
            "Keysmith's mark is put behind it; a proxy may restrict names, and then refuses it",
        ),
        SpecField::Type => {
            FieldSupport::unsupported("keys are for applications there; use type Api, or leave it out")
        }
        SpecField::CodingAssistant => {
            FieldSupport::unsupported("there are no coding-agent keys there; leave it out")
        }
        SpecField::Models => {
            FieldSupport::in_place("empty admits every model; the proxy does not check names")
        }
        SpecField::Budget => FieldSupport::in_place(
            "USD; what was spent counts on when the amount changes; days, weeks and months begin at midnight UTC",
        ),
        SpecField::RateLimit => {
            FieldSupport::in_place("each instance of the proxy counts by itself, unless it has Redis")
        }
        SpecField::ExpiresInDays => {
            FieldSupport::in_place("replaced before it expires; a change moves the date")
        }
        SpecField::Email => FieldSupport::unsupported("keys have no address there; leave it out"),
        SpecField::Active => FieldSupport::in_place("other instances of the proxy follow within 60 s"),
        SpecField::DebugMode => FieldSupport::unsupported("there is no such mode; leave it out"),
        SpecField::Rotation => FieldSupport::operator(
            "new key, overlap, off, deleted; what was spent of the budget counts for the new key, too; other instances of the proxy accept the old key for 60 s more",
        ),
        SpecField::Secret => FieldSupport::operator(
            "name is immutable; a lost Secret means a new key, the old one works for the overlap",
        ),
        SpecField::DeletionPolicy => FieldSupport::operator("Delete, Disable or Retain"),
        SpecField::ExternalId => FieldSupport::operator(
            "immutable; the 64 hex digits that the proxy shows as token; the mark is put behind the name of the key",
        ),
        SpecField::ManagementPolicy => FieldSupport::operator("Observe only looks at the key in externalId"),
        SpecField::Suspend => FieldSupport::operator("nothing is changed while it is true"),
    }
}
