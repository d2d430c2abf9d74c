//! What kinds of vendors there are.

use jiff::SignedDuration;
use keysmith::gateway::edgee::CAPABILITIES as EDGEE;
use keysmith::plan::capability::{Capabilities, Recovery};
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

    /// The table of a vendor of this class.
    pub const fn capabilities(self) -> &'static Capabilities {
        const REVEAL: Capabilities =
            Capabilities { name: "reveal", title: "Reveal", listing_lag: LAG, ..EDGEE };
        const NAMED: Capabilities = Capabilities {
            name: "named",
            title: "Named",
            names: NameStyle::Slug,
            last_used: false,
            listing_lag: LAG,
            ..EDGEE
        };
        const ONCE: Capabilities = Capabilities {
            name: "once",
            title: "Once",
            recovery: Recovery::Once,
            disable: false,
            last_used: false,
            listing_lag: LAG,
            ..EDGEE
        };
        const ROTATE: Capabilities = Capabilities {
            name: "rotate",
            title: "Rotate",
            names: NameStyle::Slug,
            recovery: Recovery::Rotate,
            disable: false,
            last_used: false,
            listing_lag: LAG,
            ..EDGEE
        };
        match self {
            Self::Reveal => &REVEAL,
            Self::Named => &NAMED,
            Self::Once => &ONCE,
            Self::Rotate => &ROTATE,
        }
    }
}
