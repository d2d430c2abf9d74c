//! Capabilities of OpenRouter, and its row in the registry.

use super::{OpenRouter, verdict};
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

/// OpenRouter's row in the registry.
pub const DRIVER: Driver = Driver {
    name: CAPABILITIES.name,
    example: "openrouter: {}",
    capabilities: &CAPABILITIES,
    access: Access { verdict: verdict::of, ..Access::PUBLIC },
    account: |vendor| vendor.openrouter.as_ref().map(|it| it.workspace_id.as_deref().unwrap_or_default()),
    divides: false,
    open: |vendor, wire| Box::new(OpenRouter::new(&vendor.openrouter.clone().unwrap_or_default(), wire)),
};

/// Capabilities of OpenRouter.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "openrouter",
    title: "OpenRouter",
    endpoint: Endpoint::Default("https://openrouter.ai/api"),
    gateway_url: GatewayUrl::Default("https://openrouter.ai/api"),
    openai_path: "/v1",
    presets: &[Preset::OpenAI, Preset::Anthropic, Preset::ClaudeCode, Preset::Codex],
    types: &[KeyType::Api],
    names: NameStyle::Title,
    recovery: Recovery::Once,
    console_tokens: Minting::Console,
    issuer: "",
    usage: UsageSupport {
        spending: Some("the running month, out of the listing; keys that were deleted are not in it"),
        balance: true,
        path: false,
    },
    disable: true,
    last_used: false,
    created_at: true,
    tells_remaining: true,
    lists_whole_account: true,
    budget: BudgetSupport {
        periods: &[Period::Once, Period::Daily, Period::Weekly, Period::Monthly],
        whole: false,
        currency: "USD",
        zone: "UTC",
        keeps_spent: true,
    },
    fields,
    models: ModelNames::UNLISTED,
    provider_keys: true,
    credentials: CredentialFormat::AsItIs,
    project_settings: false,
    // Not documented (§9).
    listing_lag: SignedDuration::from_secs(30),
    // Not documented; a minute is assumed (§9).
    revocation_lag: SignedDuration::from_secs(60),
    // Not documented either (§5).
    calls_per_second: 5,
    burst: 15,
    refused: "it must be a management key; an ordinary key cannot manage keys",
};

/// How each field of a GatewayApiKey is supported.
const fn fields(field: SpecField) -> FieldSupport {
    match field {
        SpecField::ConsoleTokenRef => FieldSupport::operator("immutable"),
        SpecField::DisplayName => FieldSupport::in_place("Keysmith's mark is put behind it"),
        SpecField::Type => {
            FieldSupport::unsupported("keys are for applications there; use type Api, or leave it out")
        }
        SpecField::CodingAssistant => {
            FieldSupport::unsupported("there are no coding-agent keys there; leave it out")
        }
        SpecField::Models => FieldSupport::unsupported(
            "models are restricted by guardrails there; assign one in the vendor's console, or leave it out",
        ),
        SpecField::Budget => FieldSupport::in_place(
            "USD; what the key spent counts on when the amount changes; days, weeks and months begin at midnight UTC",
        ),
        SpecField::RateLimit => FieldSupport::unsupported("keys have no such limits there; leave it out"),
        SpecField::ExpiresInDays => {
            FieldSupport::at_creation("a change replaces the key; replaced before it expires")
        }
        SpecField::Email => FieldSupport::unsupported("keys have no address there; leave it out"),
        SpecField::Active => FieldSupport::in_place("set right after creation"),
        SpecField::DebugMode => FieldSupport::unsupported("there is no such mode; leave it out"),
        SpecField::Rotation => FieldSupport::operator(
            "new key, overlap, off, deleted; a new key may spend what was left of the budget, and all of it from the next period on; no maxOverlap",
        ),
        SpecField::Secret => FieldSupport::operator(
            "name is immutable; a lost Secret means a new key, the old one works for the overlap",
        ),
        SpecField::DeletionPolicy => FieldSupport::operator("Delete, Disable or Retain"),
        SpecField::ExternalId => FieldSupport::operator(
            "immutable; the 64 hex digits that the API shows as hash; the mark is put behind the name of the key",
        ),
        SpecField::ManagementPolicy => FieldSupport::operator("Observe only looks at the key in externalId"),
        SpecField::Suspend => FieldSupport::operator("nothing is changed while it is true"),
    }
}
