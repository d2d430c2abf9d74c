//! Capabilities of Cortecs, and its row in the registry.

use super::Cortecs;
use crate::api::gateway_api_key::{KeyType, Preset};
use crate::gateway::Driver;
use crate::gateway::access::Access;
use crate::plan::capability::{
    BudgetSupport, Capabilities, CredentialFormat, Endpoint, FieldSupport, GatewayUrl, Minting, ModelNames,
    Recovery, UsageSupport,
};
use crate::plan::naming::NameStyle;
use crate::plan::spec_field::SpecField;
use jiff::SignedDuration;

/// Cortecs' row in the registry.
pub const DRIVER: Driver = Driver {
    name: CAPABILITIES.name,
    example: "cortecs: {}",
    capabilities: &CAPABILITIES,
    access: Access::PUBLIC,
    account: |vendor| vendor.cortecs.as_ref().map(|_| ""),
    divides: false,
    open: |_, wire| Box::new(Cortecs::new(wire)),
};

/// Capabilities of Cortecs.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "cortecs",
    title: "Cortecs",
    endpoint: Endpoint::Default("https://api.cortecs.ai"),
    gateway_url: GatewayUrl::Default("https://api.cortecs.ai"),
    openai_path: "/v1",
    presets: &[Preset::OpenAI, Preset::Codex],
    types: &[KeyType::Api, KeyType::Management],
    names: NameStyle::Slug,
    recovery: Recovery::Once,
    console_tokens: Minting::Peer,
    issuer: "",
    usage: UsageSupport {
        spending: Some("one call for the whole account, whose path is not documented: set usage.path"),
        balance: true,
        path: true,
    },
    disable: false,
    last_used: false,
    created_at: true,
    tells_remaining: false,
    // A key may belong to the user whose token created it, and the contract does not say which keys other users of
    // the project see.
    lists_whole_account: false,
    // Budgets of the console begin at 00:00 UTC (§3.4).
    budget: BudgetSupport { periods: &[], whole: false, currency: "EUR", zone: "UTC", keeps_spent: false },
    fields,
    models: ModelNames::UNLISTED,
    provider_keys: false,
    credentials: CredentialFormat::AsItIs,
    project_settings: true,
    // Not documented.
    listing_lag: SignedDuration::from_secs(30),
    // Nothing is documented.
    revocation_lag: SignedDuration::ZERO,
    // Not documented either (§3.7).
    calls_per_second: 2,
    burst: 6,
    refused: "",
};

/// How each field of a GatewayApiKey is supported.
const fn fields(field: SpecField) -> FieldSupport {
    match field {
        SpecField::ConsoleTokenRef => FieldSupport::operator("immutable"),
        SpecField::DisplayName => FieldSupport::at_creation(
            "its letters and digits begin the name, which is fixed; a change replaces the key",
        ),
        SpecField::Type => {
            FieldSupport::unsupported("keys are for applications there; use type Api, or leave it out")
        }
        SpecField::CodingAssistant => {
            FieldSupport::unsupported("there are no coding-agent keys there; leave it out")
        }
        SpecField::Models => {
            FieldSupport::unsupported("models are restricted for the whole project; use ProjectSettings")
        }
        SpecField::Budget => FieldSupport::unsupported(
            "budgets are set in the vendor's console, best as a rule for each API key: one for a single key is lost with that key",
        ),
        SpecField::RateLimit => FieldSupport::unsupported("keys have no such limits there; leave it out"),
        SpecField::ExpiresInDays => FieldSupport::operator(
            "the vendor's keys never expire; Keysmith replaces and deletes this one in time",
        ),
        SpecField::Email => {
            FieldSupport::unsupported("keys belong to the user of the console token; leave it out")
        }
        SpecField::Active => {
            FieldSupport::unsupported("keys cannot be switched off; delete the resource instead")
        }
        SpecField::DebugMode => FieldSupport::unsupported("there is no such mode; leave it out"),
        SpecField::Rotation => FieldSupport::operator(
            "new key, overlap, deleted; budgets of the single key are lost with it; no maxOverlap, no brownOut",
        ),
        SpecField::Secret => FieldSupport::operator(
            "name is immutable; a lost Secret means a new key, the old one works for the overlap",
        ),
        SpecField::DeletionPolicy => FieldSupport::operator("Delete or Retain"),
        SpecField::ExternalId => {
            FieldSupport::operator("immutable; the key's name, with managementPolicy Observe only")
        }
        SpecField::ManagementPolicy => FieldSupport::operator("Observe only looks at the key in externalId"),
        SpecField::Suspend => FieldSupport::operator("nothing is changed while it is true"),
    }
}
