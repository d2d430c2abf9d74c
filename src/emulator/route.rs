//! The mapping of the first path segment to a vendor, in one place. A new vendor is one more variant.

use http::Method;
use jiff::{SignedDuration, Timestamp};

use super::State;
use super::cortecs;
use super::edenai::{self, Version};
use super::edgee;
use super::handle::VendorId;
use super::litellm;
use super::openrouter;
use super::wire::{Inbound, Reply};

/// The vendor and plane that a call goes to.
#[derive(Clone, Copy)]
pub(super) enum Route {
    EdgeeConsole,
    EdgeeGateway,
    EdenAi(Version),
    EdenAiGateway,
    CortecsConsole,
    CortecsGateway,
    LiteLlmConsole,
    LiteLlmGateway,
    OpenRouterConsole,
    OpenRouterGateway,
}

/// The instant at which a handler runs, and the lag of its listings.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) lag: SignedDuration,
}

impl Route {
    /// `None` for control calls and unknown paths: they are neither logged nor subject to faults.
    pub(super) fn of(inbound: &Inbound) -> Option<Self> {
        match inbound.segments.first().map(String::as_str) {
            Some("edgee") => Some(Self::EdgeeConsole),
            Some("edgee-gateway") => Some(Self::EdgeeGateway),
            Some("edenai") => Some(Self::EdenAi(Version::of(inbound))),
            Some("edenai-gateway") => Some(Self::EdenAiGateway),
            Some("cortecs") => Some(Self::CortecsConsole),
            Some("cortecs-gateway") => Some(Self::CortecsGateway),
            Some("litellm") => Some(Self::LiteLlmConsole),
            Some("litellm-gateway") => Some(Self::LiteLlmGateway),
            Some("openrouter") => Some(Self::OpenRouterConsole),
            Some("openrouter-gateway") => Some(Self::OpenRouterGateway),
            _ => None,
        }
    }

    /// The vendor, if a real server can take its place.
    pub(super) fn replaceable(self) -> Option<VendorId> {
        match self {
            Self::LiteLlmConsole | Self::LiteLlmGateway => Some(VendorId::LiteLlm),
            _ => None,
        }
    }

    /// Whether the call is a listing that a fault rule may let lag.
    pub(super) fn is_listing(self, inbound: &Inbound) -> bool {
        let listing = match self {
            Self::EdgeeConsole => edgee::is_listing(inbound),
            Self::CortecsConsole => cortecs::is_listing(inbound),
            Self::EdenAi(version) => version.is_listing(inbound),
            Self::LiteLlmConsole => litellm::is_listing(inbound),
            Self::OpenRouterConsole => openrouter::is_listing(inbound),
            Self::EdgeeGateway
            | Self::EdenAiGateway
            | Self::CortecsGateway
            | Self::LiteLlmGateway
            | Self::OpenRouterGateway => false,
        };
        listing && inbound.method == Method::GET
    }

    /// Runs the vendor's handler.
    pub(super) fn apply(self, state: &mut State, inbound: &Inbound, moment: Moment) -> Reply {
        match self {
            Self::EdgeeConsole => edgee::console_answer(&mut state.edgee, inbound, moment),
            Self::EdgeeGateway => edgee::gateway_answer(&mut state.edgee, inbound, moment.now),
            Self::EdenAi(version) => version.answer(&mut state.edenai, inbound, moment),
            Self::EdenAiGateway => edenai::gateway_answer(&mut state.edenai, inbound, moment.now),
            Self::CortecsConsole => cortecs::console_answer(&mut state.cortecs, inbound, moment),
            Self::CortecsGateway => cortecs::gateway_answer(&mut state.cortecs, inbound, moment.now),
            Self::LiteLlmConsole => litellm::console_answer(&mut state.litellm, inbound, moment),
            Self::LiteLlmGateway => litellm::gateway_answer(&mut state.litellm, inbound, moment.now),
            Self::OpenRouterConsole => openrouter::console_answer(&mut state.openrouter, inbound, moment),
            Self::OpenRouterGateway => openrouter::gateway_answer(&mut state.openrouter, inbound, moment.now),
        }
    }

    /// The answer of a failing vendor, in that vendor's shape.
    pub(super) fn trouble(self, state: &State, code: u16) -> Reply {
        match self {
            Self::EdgeeConsole => edgee::console_trouble(&state.edgee, code),
            Self::EdgeeGateway => edgee::gateway_trouble(code),
            Self::EdenAi(version) => version.trouble(&state.edenai, code),
            Self::EdenAiGateway => edenai::gateway_trouble(code),
            Self::CortecsConsole => cortecs::console_trouble(code),
            Self::CortecsGateway => cortecs::gateway_trouble(code),
            Self::LiteLlmConsole => litellm::console_trouble(code),
            Self::LiteLlmGateway => litellm::gateway_trouble(code),
            Self::OpenRouterConsole => openrouter::console_trouble(code),
            Self::OpenRouterGateway => openrouter::gateway_trouble(code),
        }
    }

    /// The part of a listing that the call asks for, where the vendor's pages are cut after the fault rules.
    pub(super) fn paged(self, state: &State, inbound: &Inbound, reply: Reply) -> Reply {
        match self {
            Self::OpenRouterConsole => openrouter::paged(&state.openrouter, inbound, reply),
            _ => reply,
        }
    }
}
