//! Capabilities of Eden AI v2, and its row in the registry.

use super::EdenAiV2;
use crate::api::console_token::EdenAiApi;
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

/// The row of Eden AI v2 in the registry.
pub const DRIVER: Driver = Driver {
    name: CAPABILITIES.name,
    example: "edenAi: {api: V2}",
    capabilities: &CAPABILITIES,
    access: Access::PUBLIC,
    account: |vendor| vendor.eden_ai.as_ref().filter(|it| it.api == Some(EdenAiApi::V2)).map(|_| ""),
    divides: false,
    open: |_, wire| Box::new(EdenAiV2::new(wire)),
};

/// Capabilities of Eden AI v2.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "edenai-v2",
    title: "Eden AI v2",
    endpoint: Endpoint::Default("https://api.edenai.run"),
    gateway_url: GatewayUrl::Default("https://api.edenai.run"),
    openai_path: "/v3",
    presets: &[Preset::OpenAI, Preset::Codex],
    types: &[KeyType::Api, KeyType::Sandbox],
    names: NameStyle::Slug,
    recovery: Recovery::Reveal,
    console_tokens: Minting::Console,
    issuer: "",
    usage: UsageSupport { spending: Some("one call for the whole account"), balance: true, path: false },
    disable: false,
    last_used: false,
    created_at: false,
    tells_remaining: true,
    lists_whole_account: true,
    budget: BudgetSupport {
        periods: &[Period::Once, Period::Daily, Period::Weekly, Period::Monthly],
        whole: false,
        currency: "USD",
        // Documented for v3 (§2.8); v2 has had v3's resets since July 2026 (§2.3).
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
    calls_per_second: 5,
    burst: 10,
    refused: "Eden AI may not accept API V2 from outside its console any more; make a management key there and use \
              another ConsoleToken with spec.vendor.edenAi.api: V3",
};

/// How each field of a GatewayApiKey is supported.
const fn fields(field: SpecField) -> FieldSupport {
    match field {
        SpecField::ConsoleTokenRef => FieldSupport::operator("immutable"),
        SpecField::DisplayName => FieldSupport::at_creation(
            "its letters and digits begin the name, which is fixed; a change replaces the key",
        ),
        SpecField::Type => FieldSupport::at_creation("Api or Sandbox; a change replaces the key"),
        SpecField::CodingAssistant => {
            FieldSupport::unsupported("there are no coding-agent keys there; leave it out")
        }
        SpecField::Models => FieldSupport::unsupported("models cannot be restricted there; leave it out"),
        SpecField::Budget => FieldSupport::in_place(
            "USD, less than 100000; an edit of the amount makes it what the key has left",
        ),
        SpecField::RateLimit => FieldSupport::unsupported("keys have no such limits there; leave it out"),
        SpecField::ExpiresInDays => {
            FieldSupport::in_place("moved and cleared in place; replaced before it expires")
        }
        SpecField::Email => FieldSupport::unsupported("tokens belong to the account; leave it out"),
        SpecField::Active => {
            FieldSupport::unsupported("tokens cannot be switched off; delete the resource instead")
        }
        SpecField::DebugMode => FieldSupport::unsupported("there is no such mode; leave it out"),
        SpecField::Rotation => FieldSupport::operator(
            "new key, overlap, deleted; a new key has what is left of the budget; no maxOverlap, no brownOut",
        ),
        SpecField::Secret => FieldSupport::operator(
            "name is immutable; a lost Secret is restored by reading the token by its name",
        ),
        SpecField::DeletionPolicy => FieldSupport::operator("Delete or Retain"),
        SpecField::ExternalId => {
            FieldSupport::operator("immutable; the token's name, with managementPolicy Observe only")
        }
        SpecField::ManagementPolicy => FieldSupport::operator("Observe only looks at the key in externalId"),
        SpecField::Suspend => FieldSupport::operator("nothing is changed while it is true"),
    }
}
