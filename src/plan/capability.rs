//! What a vendor can do, as data. Printed by `keysmith explain`, consulted before any call.

use crate::api::shared::Period;
use jiff::SignedDuration;
use serde::Serialize;

/// One vendor driver. Each is a constant in the vendor's own file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Name of the driver, as in `keysmith explain <name>`.
    pub name: &'static str,
    /// What it speaks to.
    pub title: &'static str,
    /// Origin of the management API when a ConsoleToken names none.
    pub endpoint: &'static str,
    /// Base URL for applications when a ConsoleToken names none.
    pub gateway_url: &'static str,
    /// How the secret of an existing key is had again.
    pub recovery: Recovery,
    /// Whether a key can be switched off and on again.
    pub disable: bool,
    /// Whether listings tell when a key was last used.
    pub last_used: bool,
    /// What budgets can be.
    pub budget: BudgetSupport,
    /// What becomes of each field of a GatewayApiKey's spec.
    pub fields: &'static [FieldSupport],
    /// Whether provider credentials can be deposited.
    pub provider_keys: bool,
    /// How far a listing may lag behind a change.
    #[serde(serialize_with = "as_seconds", rename = "listingLagSeconds")]
    pub listing_lag: SignedDuration,
    /// Calls per second that Keysmith allows itself per ConsoleToken.
    pub calls_per_second: u32,
    /// Calls that may go out at once after a pause.
    pub burst: u32,
}

fn as_seconds<S: serde::Serializer>(span: &SignedDuration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(span.as_secs())
}

/// How the secret of an existing key is had again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Recovery {
    /// The vendor shows it again.
    Reveal,
    /// Not at all: it is shown once, when the key is made. A lost one is replaced.
    Once,
}

/// What decisions about a key hang on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// How the secret of an existing key is had again.
    pub recovery: Recovery,
    /// Whether a key can be switched off and on again.
    pub disable: bool,
    /// Whether listings tell when a key was last used.
    pub last_used: bool,
    /// How far a listing may lag.
    pub listing_lag: SignedDuration,
}

impl Default for Ability {
    /// Of a vendor that nothing is known of.
    fn default() -> Self {
        Self { recovery: Recovery::Once, disable: false, last_used: false, listing_lag: SignedDuration::ZERO }
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
}

/// What becomes of one field.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldSupport {
    /// Path below `spec`.
    pub field: &'static str,
    /// What becomes of it.
    pub support: Support,
    /// One clause more, where there is something to say.
    pub note: &'static str,
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
    pub const fn ability(&self) -> Ability {
        Ability {
            recovery: self.recovery,
            disable: self.disable,
            last_used: self.last_used,
            listing_lag: self.listing_lag,
        }
    }

    /// What becomes of that field of the spec.
    pub fn field(&self, field: &str) -> Option<&'static FieldSupport> {
        self.fields.iter().find(|it| it.field == field)
    }
}
