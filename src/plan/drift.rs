//! Which settings of a key differ from what is wanted. Consumables (spend, last use) are not settings.

use super::desired::Settings;
use super::facts::{Limit, Listed, Shown};

/// A setting that can be changed on an existing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `spec.displayName`
    DisplayName,
    /// `spec.active`
    Active,
    /// `spec.models`
    Models,
    /// `spec.budget`
    Budget,
    /// `spec.email`
    Email,
    /// `spec.debugMode`
    DebugMode,
    /// `spec.expiresInDays`
    Expiry,
}

/// What was last sent of the settings that a vendor need not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The e-mail address.
    pub email: Option<String>,
    /// The spending limit.
    pub budget: Option<Limit>,
}

impl Sent {
    /// Everything of these settings.
    pub fn all(settings: &Settings) -> Self {
        Self { email: settings.email.clone(), budget: settings.budget }
    }
}

impl Field {
    /// The path below `spec`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::DisplayName => "displayName",
            Self::Active => "active",
            Self::Models => "models",
            Self::Budget => "budget",
            Self::Email => "email",
            Self::DebugMode => "debugMode",
            Self::Expiry => "expiresInDays",
        }
    }
}

/// `spec.models, spec.active`, for messages.
pub fn paths(fields: &[Field]) -> String {
    fields.iter().map(|field| format!("spec.{}", field.path())).collect::<Vec<_>>().join(", ")
}

/// The settings that differ. Fields the vendor does not show are never in it, but for the e-mail address and the
/// budget, which then are compared with what was last sent.
pub fn drift(wanted: &Settings, key: &Listed, sent: &Sent) -> Vec<Field> {
    let shown: &Shown = &key.shown;
    let differs = |field| match field {
        Field::DisplayName => shown.display_name.as_ref().is_some_and(|it| *it != wanted.display_name),
        Field::Active => shown.active.is_some_and(|it| it != wanted.active),
        Field::Models => shown.models.as_ref().is_some_and(|it| !same_set(it, &wanted.models)),
        Field::Budget => match shown.budget {
            Some(it) => it != wanted.budget,
            None => {
                sent.budget != wanted.budget || shown.capped.is_some_and(|it| it != wanted.budget.is_some())
            }
        },
        Field::Email => match &shown.email {
            Some(it) => *it != wanted.email,
            None => sent.email != wanted.email,
        },
        Field::DebugMode => shown.debug_mode.is_some_and(|it| it != wanted.debug_mode),
        Field::Expiry => !key.unread_expiry() && wanted.expiry.differs(key.expires_at),
    };
    let all = [
        Field::DisplayName,
        Field::Active,
        Field::Models,
        Field::Budget,
        Field::Email,
        Field::DebugMode,
        Field::Expiry,
    ];
    all.into_iter().filter(|field| differs(*field)).collect()
}

/// The order of models says nothing.
fn same_set(one: &[String], other: &[String]) -> bool {
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list.dedup();
        list
    };
    sorted(one) == sorted(other)
}
