//! What each vendor supports, as data: printed by `keysmith explain` and checked before any call.

use super::naming::NameStyle;
use super::spec_field::SpecField;
use crate::api::ConsoleTokenSpec;
use crate::api::gateway_api_key::{KeyType, Preset};
use crate::api::shared::Period;
use jiff::SignedDuration;
use serde::{Serialize, Serializer};

/// What one driver supports. Each table is a constant in the vendor's module.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "a row of a table: each answers a question of its own")]
pub struct Capabilities {
    /// The driver's name in status, metrics and the ledger. A driver for issuers of console tokens has the same
    /// name as the driver for the tokens that they create.
    pub name: &'static str,
    /// The vendor's name in messages.
    pub title: &'static str,
    /// The management API if a ConsoleToken sets none.
    pub endpoint: Endpoint,
    /// Base URL for applications if a ConsoleToken sets none.
    pub gateway_url: GatewayUrl,
    /// Path of the OpenAI-compatible API, below the gateway's URL.
    pub openai_path: &'static str,
    /// The Secret presets whose clients work with the gateway.
    pub presets: &'static [Preset],
    /// The supported key types.
    pub types: &'static [KeyType],
    /// The format of names.
    pub names: NameStyle,
    /// How the secret of an existing key can be obtained again.
    pub recovery: Recovery,
    /// Who can create console tokens.
    pub console_tokens: Minting,
    /// How to make a ConsoleToken an issuer of others, if this needs more than a token; otherwise empty.
    #[serde(skip)]
    pub issuer: &'static str,
    /// What can be read of spending.
    pub usage: UsageSupport,
    /// Whether a key can be switched off and on again.
    pub disable: bool,
    /// Whether listings show when a key was last used.
    pub last_used: bool,
    /// Whether listings show when a key was created. If not, it is unknown whether an orphan is older than the
    /// ledger, and only a person may delete it.
    pub created_at: bool,
    /// Whether listings show the remaining budget of a key.
    pub tells_remaining: bool,
    /// Whether each token of an account lists all its keys. If not, a listing by one token proves nothing about
    /// another.
    pub lists_whole_account: bool,
    /// The supported budgets.
    pub budget: BudgetSupport,
    /// Support for each field of a GatewayApiKey's specification: a `match` without a wildcard, so that a driver
    /// does not compile until it handles a new field.
    #[serde(serialize_with = "as_rows")]
    pub fields: fn(SpecField) -> FieldSupport,
    /// The names of models that keys can be restricted to.
    pub models: ModelNames,
    /// Whether provider keys are supported.
    pub provider_keys: bool,
    /// The format of a provider key's credential.
    pub credentials: CredentialFormat,
    /// Whether project settings are supported.
    pub project_settings: bool,
    /// How far a listing may lag behind a change.
    #[serde(serialize_with = "as_seconds", rename = "listingLagSeconds")]
    pub listing_lag: SignedDuration,
    /// For how long a key may still work after it was deleted or switched off, where several instances of a vendor's
    /// gateway cache keys.
    #[serde(serialize_with = "as_seconds", rename = "revocationLagSeconds")]
    pub revocation_lag: SignedDuration,
    /// Keysmith's own rate limit, in calls per second per ConsoleToken.
    pub calls_per_second: u32,
    /// Burst size of this rate limit.
    pub burst: u32,
    /// A further hint for the message when the vendor refuses a console token; may be empty.
    #[serde(skip)]
    pub refused: &'static str,
}

/// The names of models that keys can be restricted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelNames {
    /// Whether the vendor lists them, so that an unknown name is reported (`ModelUnknown`).
    pub listed: bool,
    /// Whether `*` stands for any text in them.
    pub patterns: bool,
    /// Names with a meaning of their own, which no listing has.
    #[serde(skip)]
    pub special: &'static [&'static str],
}

impl ModelNames {
    /// Names that the vendor does not list, or that keys cannot be restricted to.
    pub const UNLISTED: Self = Self { listed: false, patterns: false, special: &[] };
}

/// The format of a provider key's credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum CredentialFormat {
    /// Assembled from the entries of the Secret for `azure`, `bedrock` and `google_vertex_ai`; one word for others.
    Assembled,
    /// One entry of the Secret as it is: a word, or a JSON document.
    AsItIs,
}

/// The URL of a vendor's management API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The vendor's own URL, unless a ConsoleToken sets another one.
    Default(&'static str),
    /// Self-hosted software without a fixed URL: a ConsoleToken must set it.
    Required,
}

impl Endpoint {
    /// The vendor's own URL, if there is one.
    pub const fn own(self) -> Option<&'static str> {
        match self {
            Self::Default(url) => Some(url),
            Self::Required => None,
        }
    }
}

/// The URL of a vendor's gateway for applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayUrl {
    /// The vendor's own URL, unless a ConsoleToken sets another one.
    Default(&'static str),
    /// The URL of the management API: one server serves both.
    Endpoint,
}

impl GatewayUrl {
    /// The vendor's own URL, if there is one.
    pub const fn own(self) -> Option<&'static str> {
        match self {
            Self::Default(url) => Some(url),
            Self::Endpoint => None,
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.own().serialize(serializer)
    }
}

impl Serialize for GatewayUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.own().serialize(serializer)
    }
}

fn as_seconds<S: Serializer>(span: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(span.as_secs())
}

/// How the secret of an existing key can be obtained again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Recovery {
    /// The vendor reveals it again.
    Reveal,
    /// The vendor gives the key a new secret, and the old secret stops working at once. This suits a key that was
    /// never delivered; a served key is replaced instead.
    Rotate,
    /// Not at all: the secret is shown once, at creation. A key whose secret is lost is replaced.
    Once,
}

/// Who can create console tokens by an API call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Minting {
    /// No API: a person creates them in the vendor's console.
    Console,
    /// A token of a higher tier, which can also revoke them.
    Issuer,
    /// Every console token can create and revoke others.
    Peer,
}

/// What can be read of spending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageSupport {
    /// How the spending of single keys is read; `None` if it cannot be.
    pub spending: Option<&'static str>,
    /// Whether the balance of the account can be read.
    pub balance: bool,
    /// Whether a ConsoleToken must set the path of the usage endpoint, because the vendor does not document it.
    pub path: bool,
}

/// The capabilities that decisions about a key depend on.
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// How the secret of an existing key can be obtained again.
    pub recovery: Recovery,
    /// Whether a key can be switched off and on again.
    pub disable: bool,
    /// Whether listings show when a key was last used.
    pub last_used: bool,
    /// Whether listings show the remaining budget of a key.
    pub tells_remaining: bool,
    /// How far a listing may lag behind a change.
    pub listing_lag: SignedDuration,
    /// For how long a key may still work after it was deleted or switched off.
    pub revocation_lag: SignedDuration,
    /// Whether the vendor itself ends keys at their expiry; otherwise Keysmith deletes them.
    pub expires: bool,
    /// The format of names, and thus whether an existing key can be renamed.
    pub names: NameStyle,
}

impl Default for Ability {
    /// For an unknown vendor.
    fn default() -> Self {
        Self {
            recovery: Recovery::Once,
            disable: false,
            last_used: false,
            tells_remaining: false,
            listing_lag: SignedDuration::ZERO,
            revocation_lag: SignedDuration::ZERO,
            expires: true,
            names: NameStyle::Title,
        }
    }
}

/// The supported budgets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetSupport {
    /// The supported periods.
    pub periods: &'static [Period],
    /// Whether only whole amounts are accepted.
    pub whole: bool,
    /// The currency of every amount.
    pub currency: &'static str,
    /// IANA name of the time zone in which days, weeks and months of a budget begin.
    pub zone: &'static str,
    /// Whether the vendor counts what was spent apart from the limit, so that another limit leaves it as it is.
    /// Otherwise another limit begins with nothing spent.
    pub keeps_spent: bool,
}

/// Support for one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSupport {
    /// The kind of support.
    pub support: Support,
    /// A further clause for the documentation; may be empty.
    pub note: &'static str,
}

impl FieldSupport {
    /// A change reaches the existing key.
    pub const fn in_place(note: &'static str) -> Self {
        Self { support: Support::InPlace, note }
    }

    /// The field is fixed when the key is created.
    pub const fn at_creation(note: &'static str) -> Self {
        Self { support: Support::AtCreation, note }
    }

    /// Keysmith implements the field; the vendor does not know of it.
    pub const fn operator(note: &'static str) -> Self {
        Self { support: Support::Operator, note }
    }

    /// Refused, before any call. The note says what to do instead.
    pub const fn unsupported(note: &'static str) -> Self {
        Self { support: Support::Unsupported, note }
    }
}

#[derive(Serialize)]
struct Row {
    field: &'static str,
    support: Support,
    note: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn as_rows<S: Serializer>(fields: &fn(SpecField) -> FieldSupport, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(SpecField::ALL.into_iter().map(|field| {
        let FieldSupport { support, note } = fields(field);
        Row { field: field.name(), support, note }
    }))
}

/// How a field is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Support {
    /// A change reaches the existing key.
    InPlace,
    /// The field is fixed when the key is created.
    AtCreation,
    /// Keysmith implements the field; the vendor does not know of it.
    Operator,
    /// Refused, before any call.
    Unsupported,
}

impl Capabilities {
    /// The capabilities that decisions about a key depend on.
    pub fn ability(&self) -> Ability {
        Ability {
            recovery: self.recovery,
            disable: self.disable,
            last_used: self.last_used,
            tells_remaining: self.tells_remaining,
            listing_lag: self.listing_lag,
            revocation_lag: self.revocation_lag,
            expires: self.support(SpecField::ExpiresInDays) != Support::Operator,
            names: self.names,
        }
    }

    /// How this field of the specification is supported.
    pub fn support(&self, field: SpecField) -> Support {
        self.field(field).support
    }

    /// How this field of the specification is supported, with its note.
    pub fn field(&self, field: SpecField) -> FieldSupport {
        (self.fields)(field)
    }

    /// The management API of a ConsoleToken. `None`: the ConsoleToken must set it and does not.
    pub fn endpoint_of<'a>(&self, spec: &'a ConsoleTokenSpec) -> Option<&'a str> {
        spec.endpoint.as_deref().or(self.endpoint.own())
    }

    /// Base URL for applications that use keys of a ConsoleToken, without a trailing slash.
    pub fn base_url<'a>(&self, spec: &'a ConsoleTokenSpec) -> &'a str {
        let url = spec.gateway_url.as_deref().or(self.gateway_url.own());
        url.or(self.endpoint_of(spec)).unwrap_or_default().trim_end_matches('/')
    }
}
