//! What kinds of vendors there are.

use jiff::SignedDuration;
use keysmith::plan::capability::{Ability, Recovery};

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
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Reveal, Self::Named, Self::Once];

    pub const fn ability(self) -> Ability {
        Ability {
            recovery: if matches!(self, Self::Once) { Recovery::Once } else { Recovery::Reveal },
            disable: !matches!(self, Self::Once),
            last_used: matches!(self, Self::Reveal),
            listing_lag: LAG,
        }
    }
}
