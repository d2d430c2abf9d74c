//! Capabilities of Edgee, and its row in the registry.

use super::Edgee;
use crate::api::console_token::Vendor;
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

/// Edgee's row in the registry.
pub const DRIVER: Driver = Driver {
    name: CAPABILITIES.name,
    example: "edgee: {organizationId: org_12345}",
    capabilities: &CAPABILITIES,
    access: Access::PUBLIC,
    account: organization,
    divides: true,
    open: |vendor, wire| Box::new(Edgee::of(organization(vendor).unwrap_or_default(), wire)),
};

fn organization(vendor: &Vendor) -> Option<&str> {
    vendor.edgee.as_ref().map(|place| place.organization_id.as_str())
}

/// Capabilities of Edgee.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "edgee",
    title: "Edgee",
    endpoint: Endpoint::Default("https://api.edgee.app"),
    gateway_url: GatewayUrl::Default("https://api.edgee.ai"),
    openai_path: "/v1",
    presets: &[Preset::OpenAI, Preset::Anthropic, Preset::ClaudeCode, Preset::Codex],
    types: &[KeyType::Api, KeyType::CodingAgent],
    names: NameStyle::Title,
    recovery: Recovery::Reveal,
    console_tokens: Minting::Console,
    issuer: "",
    usage: UsageSupport {
        spending: Some("the sum of the log that the vendor exports for the running month"),
        balance: false,
        path: false,
    },
    disable: true,
    last_used: true,
    created_at: true,
    tells_remaining: false,
    lists_whole_account: true,
    budget: BudgetSupport {
        periods: &[Period::Monthly],
        whole: true,
        currency: "USD",
        // The day of the reset is not documented; a calendar month in UTC is assumed (§1.17).
        zone: "UTC",
        keeps_spent: false,
    },
    fields,
    models: ModelNames { listed: true, patterns: false, special: &[] },
    provider_keys: true,
    credentials: CredentialFormat::Assembled,
    project_settings: false,
    // Not documented; a key that is listed later than this is recognised by its mark and revoked.
    listing_lag: SignedDuration::from_secs(30),
    // Nothing is documented.
    revocation_lag: SignedDuration::ZERO,
    // Not documented either (§1.16).
    calls_per_second: 20,
    burst: 60,
    refused: "",
};

/// How each field of a GatewayApiKey is supported.
const fn fields(field: SpecField) -> FieldSupport {
    match field {
        SpecField::ConsoleTokenRef => FieldSupport::operator("immutable"),
        SpecField::DisplayName => FieldSupport::in_place("Keysmith's mark is put behind it"),
        SpecField::Type => FieldSupport::at_creation("a change replaces the key"),
        SpecField::CodingAssistant => {
            FieldSupport::at_creation("a change replaces the key; any assistant the vendor knows")
        }
        SpecField::Models => FieldSupport::in_place("empty admits every model"),
        SpecField::Budget => FieldSupport::in_place("whole USD, period Monthly"),
        SpecField::RateLimit => FieldSupport::unsupported("keys have no such limits there; leave it out"),
        SpecField::ExpiresInDays => {
            FieldSupport::at_creation("a change replaces the key; replaced before it expires")
        }
        SpecField::Email => FieldSupport::in_place("compared only where the vendor shows it"),
        SpecField::Active | SpecField::DebugMode => FieldSupport::in_place("set right after creation"),
        SpecField::Rotation => {
            FieldSupport::operator("new key, overlap, off, deleted; a new key has the whole budget")
        }
        SpecField::Secret => FieldSupport::operator("name is immutable; a lost Secret is restored by reveal"),
        SpecField::DeletionPolicy => FieldSupport::operator("Delete, Disable or Retain"),
        SpecField::ExternalId => {
            FieldSupport::operator("immutable; the mark is put behind the name of the key")
        }
        SpecField::ManagementPolicy => FieldSupport::operator("Observe only looks at the key in externalId"),
        SpecField::Suspend => FieldSupport::operator("nothing is changed while it is true"),
    }
}
