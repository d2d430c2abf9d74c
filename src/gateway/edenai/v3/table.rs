//! Capabilities of Eden AI v3, and its row in the registry.

use super::EdenAiV3;
use crate::api::console_token::{EdenAiApi, EdenAiTier, Vendor};
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

/// The row of Eden AI v3 in the registry.
pub const DRIVER: Driver = Driver {
    name: CAPABILITIES.name,
    example: "edenAi: {}",
    capabilities: &CAPABILITIES,
    access: Access::PUBLIC,
    account: |vendor| (tier(vendor)? == EdenAiTier::Auth).then_some(""),
    divides: false,
    open: |_, wire| Box::new(EdenAiV3::new(wire)),
};

/// The tier of a management key, if `spec.vendor` is this API.
pub(super) fn tier(vendor: &Vendor) -> Option<EdenAiTier> {
    let place = vendor.eden_ai.as_ref().filter(|it| it.api != Some(EdenAiApi::V2))?;
    Some(place.tier.unwrap_or(EdenAiTier::Auth))
}

/// Capabilities of Eden AI v3.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "edenai-v3",
    title: "Eden AI v3",
    endpoint: Endpoint::Default("https://api.edenai.run"),
    gateway_url: GatewayUrl::Default("https://api.edenai.run"),
    openai_path: "/v3",
    presets: &[Preset::OpenAI, Preset::Codex],
    types: &[KeyType::Api, KeyType::Sandbox],
    names: NameStyle::Title,
    recovery: Recovery::Rotate,
    console_tokens: Minting::Issuer,
    issuer: "with spec.vendor.edenAi.tier: Issuer",
    usage: UsageSupport {
        spending: Some("one call for the whole organization"),
        balance: false,
        path: false,
    },
    disable: false,
    last_used: false,
    created_at: false,
    tells_remaining: true,
    lists_whole_account: true,
    budget: BudgetSupport {
        periods: &[Period::Once, Period::Daily, Period::Weekly, Period::Monthly],
        whole: false,
        currency: "USD",
        // Midnight in Paris: daily, on Mondays, on the 1st (§2.8).
        zone: "Europe/Paris",
        keeps_spent: false,
    },
    fields,
    models: ModelNames::UNLISTED,
    provider_keys: false,
    credentials: CredentialFormat::AsItIs,
    project_settings: false,
    // Not documented.
    listing_lag: SignedDuration::from_secs(30),
    // Nothing is documented.
    revocation_lag: SignedDuration::ZERO,
    // Half of the account's limit, because applications share it (§2.11).
    calls_per_second: 5,
    burst: 10,
    refused: "",
};

/// How each field of a GatewayApiKey is supported.
const fn fields(field: SpecField) -> FieldSupport {
    match field {
        SpecField::ConsoleTokenRef => FieldSupport::operator("immutable"),
        SpecField::DisplayName => FieldSupport::in_place("Keysmith's mark is put behind it"),
        SpecField::Type => FieldSupport::at_creation("Api or Sandbox; a change replaces the key"),
        SpecField::CodingAssistant => {
            FieldSupport::unsupported("there are no coding-agent keys there; leave it out")
        }
        SpecField::Models => FieldSupport::unsupported(
            "models are restricted by guardrails in the vendor's console; leave it out",
        ),
        SpecField::Budget => FieldSupport::in_place(
            "USD; an edit of the amount makes it what the key has left; days, weeks and months begin at midnight in Paris",
        ),
        SpecField::RateLimit => FieldSupport::unsupported("keys have no such limits there; leave it out"),
        SpecField::ExpiresInDays => FieldSupport::in_place(
            "moved and cleared in place, at least a day ahead; replaced before it expires",
        ),
        SpecField::Email => FieldSupport::unsupported("keys belong to the organization; leave it out"),
        SpecField::Active => {
            FieldSupport::unsupported("keys cannot be switched off; delete the resource instead")
        }
        SpecField::DebugMode => FieldSupport::unsupported("there is no such mode; leave it out"),
        SpecField::Rotation => FieldSupport::operator(
            "new key, overlap, revoked; a new key has what is left of the budget; no maxOverlap, no brownOut",
        ),
        SpecField::Secret => FieldSupport::operator(
            "name is immutable; a lost Secret means a new key, the old one works for the overlap",
        ),
        SpecField::DeletionPolicy => FieldSupport::operator("Delete or Retain"),
        SpecField::ExternalId => FieldSupport::operator(
            "immutable; the key is marked, and replaced because its secret is not shown",
        ),
        SpecField::ManagementPolicy => FieldSupport::operator("Observe only looks at the key in externalId"),
        SpecField::Suspend => FieldSupport::operator("nothing is changed while it is true"),
    }
}
