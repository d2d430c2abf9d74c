//! The classes of vendors.

use jiff::SignedDuration;
use keysmith::gateway::edgee::CAPABILITIES as EDGEE;
use keysmith::plan::capability::{Capabilities, Recovery};
use keysmith::plan::naming::NameStyle;

/// The listing lag of Edgee's driver.
pub const LAG: SignedDuration = SignedDuration::from_secs(30);

/// The abilities of a vendor on which the protocol depends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// Names need not be unique; keys are listed, revealed again, can be switched off, and show their last use.
    #[default]
    Reveal,
    /// Names are unique; keys are listed and revealed again.
    Named,
    /// A secret is shown at creation only; keys can be listed and deleted.
    Once,
    /// Like `Once`, with unique names; a key can be given another secret, which invalidates the old one.
    Rotate,
}

impl Class {
    pub const ALL: [Self; 4] = [Self::Reveal, Self::Named, Self::Once, Self::Rotate];

    /// Whether a single key is read by a listing.
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
