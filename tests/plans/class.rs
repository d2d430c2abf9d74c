//! What kinds of vendors there are.

use jiff::SignedDuration;
use keysmith::plan::capability::{Ability, Recovery};
use keysmith::plan::naming::NameStyle;

/// As in the one driver there is.
pub const LAG: SignedDuration = SignedDuration::from_secs(30);

/// What a vendor can do, as far as the protocol depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// Names need not be unique, keys are listed and shown again, can be switched off, and their last use is told.
    #[default]
    Reveal,
    /// A name is taken once; keys are listed and shown again.
    Named,
    /// A key is shown when it is made and never again; it can be listed and deleted.
    Once,
    /// The same, with names that are taken once, and a key can be given another secret, which ends the old one.
    Rotate,
}

impl Class {
    pub const ALL: [Self; 4] = [Self::Reveal, Self::Named, Self::Once, Self::Rotate];

    /// Whether a single key is asked for by listing all.
    pub const fn get_lags(self) -> bool {
        matches!(self, Self::Once)
    }

    pub const fn ability(self) -> Ability {
        Ability {
            recovery: match self {
                Self::Reveal | Self::Named => Recovery::Reveal,
                Self::Once => Recovery::Once,
                Self::Rotate => Recovery::Rotate,
            },
            disable: matches!(self, Self::Reveal | Self::Named),
            last_used: matches!(self, Self::Reveal),
            tells_remaining: false,
            listing_lag: LAG,
            expires: true,
            names: match self {
                Self::Named | Self::Rotate => NameStyle::Slug,
                Self::Reveal | Self::Once => NameStyle::Title,
            },
        }
    }
}
