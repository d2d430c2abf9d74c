//! The settings of a key that can be changed after its creation.

use super::listing::{Limit, Setting, Shown};
use super::same;
use crate::api::shared::RateLimit;
use jiff::{SignedDuration, Timestamp};

/// Dates that differ by less are equal: the vendor counts from the request, Keysmith from the response.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(1);

/// The settings of a key that can be changed later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The display name, without the mark.
    pub display_name: String,
    /// Whether the vendor accepts calls.
    pub active: bool,
    /// The permitted models; empty means every model.
    pub models: Vec<String>,
    /// The spending limit.
    pub budget: Option<Limit>,
    /// Limits of requests and tokens.
    pub rate_limit: Option<RateLimit>,
    /// The e-mail address.
    pub email: Option<String>,
    /// Debug mode.
    pub debug_mode: bool,
    /// The desired expiry, if the vendor lets it be changed.
    pub expiry: Expiry,
}

impl Shown {
    /// What a vendor that shows every setting shows of a key that has these. A new field has to be named here.
    pub fn of(settings: &Settings) -> Self {
        Self {
            display_name: Some(settings.display_name.clone()),
            active: Some(settings.active),
            models: Some(settings.models.clone()),
            budget: Setting::shown(settings.budget),
            capped: None,
            may_be_reduced: false,
            other_period: false,
            rate_limit: Setting::shown(settings.rate_limit),
            email: Setting::shown(settings.email.clone()),
            debug_mode: Some(settings.debug_mode),
        }
    }
}

/// The desired expiry at the vendor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiry {
    /// It cannot be changed, so it is not compared.
    #[default]
    Uncompared,
    /// No expiry.
    Never,
    /// Approximately this time.
    At(Timestamp),
}

impl Expiry {
    /// Whether the date that the vendor shows differs.
    pub fn differs(self, shown: Option<Timestamp>) -> bool {
        match self {
            Self::Uncompared => false,
            Self::Never => shown.is_some(),
            Self::At(at) => shown.is_none_or(|shown| !same::time(at, shown, TOLERANCE)),
        }
    }

    /// The date to send.
    pub const fn date(self) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::Uncompared | Self::Never => None,
        }
    }
}
