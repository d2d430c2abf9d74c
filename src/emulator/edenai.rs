//! Eden AI: custom tokens (v2) and the management API (v3), the data plane of both, and handles on their states.
//!
//! v2 and v3 have separate states here: neither lists the keys of the other. They share the credits of the account and the
//! data plane, which accepts the keys of both.

mod budget;
mod gateway;
mod kind;
mod money;
mod usage;

pub mod v2;
pub mod v3;

use std::sync::Arc;

use super::Shared;
use super::route::Moment;
use super::wire::{Inbound, Reply};

pub(super) use gateway::{answer as gateway_answer, trouble as gateway_trouble};

pub use super::calendar::Period;
pub use budget::Budget;
pub use gateway::DataPlaneAnswer;
pub use kind::TokenType;
pub use money::Form;
pub use v2::EdenAiV2;
pub use v3::EdenAiV3;

/// The state of Eden AI.
pub(super) struct World {
    v2: v2::World,
    v3: v3::World,
    /// The credits of the account, in billionths of a USD.
    credits: i64,
}

impl Default for World {
    fn default() -> Self {
        // Much more than the example of 42.50 USD, so that a long test does not run out of credits.
        Self { v2: v2::World::default(), v3: v3::World::default(), credits: 10_000 * money::NANOS }
    }
}

impl World {
    fn calls(&self) -> usize {
        self.v2.calls() + self.v3.calls()
    }
}

/// The API that a call goes to.
#[derive(Clone, Copy)]
pub(super) enum Version {
    V2,
    V3,
}

impl Version {
    /// A path that belongs to neither API is answered as v3 answers it.
    pub(super) fn of(inbound: &Inbound) -> Self {
        if inbound.segments.get(1).is_some_and(|segment| segment == "v2") { Self::V2 } else { Self::V3 }
    }

    pub(super) fn is_listing(self, inbound: &Inbound) -> bool {
        match self {
            Self::V2 => v2::is_listing(inbound),
            Self::V3 => v3::is_listing(inbound),
        }
    }

    pub(super) fn answer(self, world: &mut World, inbound: &Inbound, moment: Moment) -> Reply {
        match self {
            Self::V2 => v2::answer(&mut world.v2, world.credits, inbound, moment),
            Self::V3 => v3::answer(&mut world.v3, inbound, moment),
        }
    }

    pub(super) fn trouble(self, world: &World, code: u16) -> Reply {
        match self {
            Self::V2 => v2::trouble(code),
            Self::V3 => v3::trouble(&world.v3, code),
        }
    }
}

/// A handle on both states of Eden AI.
#[derive(Clone)]
pub struct EdenAi {
    shared: Arc<Shared>,
}

impl EdenAi {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The state of custom tokens.
    #[must_use]
    pub fn v2(&self) -> EdenAiV2 {
        EdenAiV2::new(Arc::clone(&self.shared))
    }

    /// The state of the management API.
    #[must_use]
    pub fn v3(&self) -> EdenAiV3 {
        EdenAiV3::new(Arc::clone(&self.shared))
    }

    /// The credits of the account, in billionths of a USD.
    #[must_use]
    pub fn credits(&self) -> i64 {
        self.shared.with(|state, _| state.edenai.credits)
    }

    /// Sets the credits of the account, in billionths of a USD.
    pub fn set_credits(&self, nanos: i64) {
        self.shared.with(|state, _| state.edenai.credits = nanos);
    }
}
