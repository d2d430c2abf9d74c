//! The emulated vendors seen as one: what every vendor's keys have in common, so that a story can be told once
//! and played at each of them.

use jiff::Timestamp;

/// One emulated management API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The Edgee Console API.
    Edgee,
    /// The custom tokens of Eden AI v2.
    EdenAiV2,
    /// The management API of Eden AI v3.
    EdenAiV3,
    /// The Cortecs management API.
    Cortecs,
}

impl Surface {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Edgee, Self::EdenAiV2, Self::EdenAiV3, Self::Cortecs];

    /// What it is called here.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edgee => "edgee",
            Self::EdenAiV2 => "edenai-v2",
            Self::EdenAiV3 => "edenai-v3",
            Self::Cortecs => "cortecs",
        }
    }

    /// Where it is on the emulator: the path that an endpoint ends in.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Edgee => "edgee",
            Self::EdenAiV2 | Self::EdenAiV3 => "edenai",
            Self::Cortecs => "cortecs",
        }
    }

    /// Where its data plane is on the emulator.
    #[must_use]
    pub const fn gateway_path(self) -> &'static str {
        match self {
            Self::Edgee => "edgee-gateway",
            Self::EdenAiV2 | Self::EdenAiV3 => "edenai-gateway",
            Self::Cortecs => "cortecs-gateway",
        }
    }
}

/// One key, as any vendor has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    /// What identifies it to a client of that vendor: an id, or its name.
    pub id: String,
    /// Name.
    pub name: String,
    /// The key itself.
    pub secret: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it is switched on.
    pub active: bool,
    /// What it may still spend, in millionths of the vendor's currency; `None` without a limit.
    pub remaining_micros: Option<u64>,
    /// What it may spend in all, or within a period.
    pub budget_micros: Option<u64>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("active", &self.active)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
