//! What a vendor can do, as data. Printed by `keysmith explain`, consulted before any call.

use super::naming::NameStyle;
use super::spec_field::SpecField;
use crate::api::ConsoleTokenSpec;
use crate::api::gateway_api_key::{KeyType, Preset};
use crate::api::shared::Period;
use jiff::SignedDuration;
use serde::{Serialize, Serializer};

/// What one driver can do. Each table is a constant in the vendor's own folder.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "a row of a table: each answers a question of its own")]
pub struct Capabilities {
    /// What status, metrics and the ledger call the vendor's API. An issuer of console tokens shares it with the tokens
    /// that it makes.
    pub name: &'static str,
    /// What people call the vendor's API.
    pub title: &'static str,
    /// The management API when a ConsoleToken names none.
    pub endpoint: Endpoint,
    /// Base URL for applications when a ConsoleToken names none.
    pub gateway_url: GatewayUrl,
    /// Where, below the gateway, what speaks OpenAI's language is.
    pub openai_path: &'static str,
    /// The presets of Secrets whose clients the gateway understands.
    pub presets: &'static [Preset],
    /// What keys can be for.
    pub types: &'static [KeyType],
    /// What names look like.
    pub names: NameStyle,
    /// How the secret of an existing key is had again.
    pub recovery: Recovery,
    /// Who makes console tokens.
    pub console_tokens: Minting,
    /// How a ConsoleToken becomes one that makes others, where that takes more than a token; otherwise empty.
    #[serde(skip)]
    pub issuer: &'static str,
    /// What is told of spending.
    pub usage: UsageSupport,
    /// Whether a key can be switched off and on again.
    pub disable: bool,
    /// Whether listings tell when a key was last used.
    pub last_used: bool,
    /// Whether listings tell when a key was made. Otherwise nobody knows whether an orphan is older than the ledger, and
    /// it is left to people.
    pub created_at: bool,
    /// Whether listings tell what a key may still spend.
    pub tells_remaining: bool,
    /// Whether each token of an account lists every key of it. Otherwise a listing by one token says nothing to another.
    pub lists_whole_account: bool,
    /// What budgets can be.
    pub budget: BudgetSupport,
    /// What becomes of each field of a GatewayApiKey's spec: a `match` without a wildcard, so that a driver which says
    /// nothing of a new field does not compile.
    #[serde(serialize_with = "as_rows")]
    pub fields: fn(SpecField) -> FieldSupport,
    /// Whether provider credentials can be deposited.
    pub provider_keys: bool,
    /// Whether settings of the whole project can be changed.
    pub project_settings: bool,
    /// How far a listing may lag behind a change.
    #[serde(serialize_with = "as_seconds", rename = "listingLagSeconds")]
    pub listing_lag: SignedDuration,
    /// Calls per second that Keysmith allows itself per ConsoleToken.
    pub calls_per_second: u32,
    /// Calls that may go out at once after a pause.
    pub burst: u32,
    /// What else to think of when the vendor refuses a console token; empty where there is nothing.
    #[serde(skip)]
    pub refused: &'static str,
}

/// Where a vendor's management API is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The vendor's own, unless a ConsoleToken names another one.
    Default(&'static str),
    /// Wherever people run the vendor's software: a ConsoleToken has to say.
    Required,
}

impl Endpoint {
    /// The vendor's own, where there is one.
    pub const fn own(self) -> Option<&'static str> {
        match self {
            Self::Default(url) => Some(url),
            Self::Required => None,
        }
    }
}

/// Where applications call a vendor's gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayUrl {
    /// The vendor's own, unless a ConsoleToken names another one.
    Default(&'static str),
    /// The URL of the management API: one server does both.
    Endpoint,
}

impl GatewayUrl {
    /// The vendor's own, where there is one.
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

/// How the secret of an existing key is had again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Recovery {
    /// The vendor shows it again.
    Reveal,
    /// The vendor gives the key another one, and the old one is dead at once: good for a key that was never
    /// delivered. A served one is replaced.
    Rotate,
    /// Not at all: it is shown once, when the key is made. A lost one is replaced.
    Once,
}

/// Who makes console tokens, by a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Minting {
    /// Nobody: a person does, in the vendor's console.
    Console,
    /// A token of a higher tier, which also revokes them.
    Issuer,
    /// Every console token makes and revokes others.
    Peer,
}

/// What is told of spending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageSupport {
    /// Whether the spending of single keys is told, and how.
    pub spending: Option<&'static str>,
    /// Whether the balance of the account is told.
    pub balance: bool,
    /// Whether a ConsoleToken has to say where spending is told, because the vendor's documentation does not.
    pub path: bool,
}

/// What decisions about a key hang on.
#[expect(clippy::struct_excessive_bools, reason = "each answers a question of its own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// How the secret of an existing key is had again.
    pub recovery: Recovery,
    /// Whether a key can be switched off and on again.
    pub disable: bool,
    /// Whether listings tell when a key was last used.
    pub last_used: bool,
    /// Whether listings tell what a key may still spend.
    pub tells_remaining: bool,
    /// How far a listing may lag.
    pub listing_lag: SignedDuration,
    /// Whether keys stop working by themselves when their time has come; otherwise Keysmith sees to it.
    pub expires: bool,
    /// What names look like, and so whether an existing key can be given another one.
    pub names: NameStyle,
}

impl Default for Ability {
    /// Of a vendor that nothing is known of.
    fn default() -> Self {
        Self {
            recovery: Recovery::Once,
            disable: false,
            last_used: false,
            tells_remaining: false,
            listing_lag: SignedDuration::ZERO,
            expires: true,
            names: NameStyle::Title,
        }
    }
}

/// What budgets can be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetSupport {
    /// The periods the vendor has.
    pub periods: &'static [Period],
    /// Whether only whole amounts are taken.
    pub whole: bool,
    /// The currency of every amount.
    pub currency: &'static str,
    /// IANA name of the time zone in which days, weeks and months of a budget begin.
    pub zone: &'static str,
}

/// What becomes of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSupport {
    /// What becomes of it.
    pub support: Support,
    /// One clause more, where there is something to say.
    pub note: &'static str,
}

impl FieldSupport {
    /// A change reaches the existing key.
    pub const fn in_place(note: &'static str) -> Self {
        Self { support: Support::InPlace, note }
    }

    /// Fixed when the key is made.
    pub const fn at_creation(note: &'static str) -> Self {
        Self { support: Support::AtCreation, note }
    }

    /// Keysmith does it; the vendor does not know of it.
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

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Support {
    /// A change reaches the existing key.
    InPlace,
    /// Fixed when the key is made.
    AtCreation,
    /// Keysmith does it; the vendor does not know of it.
    Operator,
    /// Refused, before any call.
    Unsupported,
}

impl Capabilities {
    /// What decisions about a key hang on.
    pub fn ability(&self) -> Ability {
        Ability {
            recovery: self.recovery,
            disable: self.disable,
            last_used: self.last_used,
            tells_remaining: self.tells_remaining,
            listing_lag: self.listing_lag,
            expires: self.support(SpecField::ExpiresInDays) != Support::Operator,
            names: self.names,
        }
    }

    /// What becomes of that field of the spec.
    pub fn support(&self, field: SpecField) -> Support {
        self.field(field).support
    }

    /// What becomes of that field of the spec, with a clause more.
    pub fn field(&self, field: SpecField) -> FieldSupport {
        (self.fields)(field)
    }

    /// Where the management API of a ConsoleToken is. `None`: it has to say, and does not.
    pub fn endpoint_of<'a>(&self, spec: &'a ConsoleTokenSpec) -> Option<&'a str> {
        spec.endpoint.as_deref().or(self.endpoint.own())
    }

    /// Base URL for applications that call the gateway with keys of a ConsoleToken, without a slash at its end.
    pub fn base_url<'a>(&self, spec: &'a ConsoleTokenSpec) -> &'a str {
        let url = spec.gateway_url.as_deref().or(self.gateway_url.own());
        url.or(self.endpoint_of(spec)).unwrap_or_default().trim_end_matches('/')
    }
}
