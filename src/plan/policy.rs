//! `spec.rotation`, read once and refused by name.

use super::capability::Capabilities;
use super::duration;
use super::refusal::Refusal;
use super::window::{Window, Written};
use crate::api::GatewayApiKey;
use crate::api::rotation::{RestartTarget, RotationSpec, WindowSpec};
use jiff::SignedDuration;

const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// How much longer than the overlap an old key that is still used is waited for.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
const BROWN_OUT: SignedDuration = SignedDuration::from_hours(1);
/// So many old keys work beside the new one.
const MAX_PREVIOUS: usize = 2;
/// No rule replaces keys more often than this.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);

/// When a key is replaced, and what becomes of the old one.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How long before its expiry.
    pub renew: Renew,
    /// At which age, if at any.
    pub max_age: Option<SignedDuration>,
    /// How long the old key works beside the new one.
    pub overlap: SignedDuration,
    /// How long an old key that is used is waited for in all.
    pub max_overlap: SignedDuration,
    /// How long the old key is off before it is deleted; zero where the vendor cannot switch it off.
    pub brown_out: SignedDuration,
    /// So many old keys work beside the new one at most.
    pub max_previous: usize,
    /// A value that replaces the key when it changes.
    pub trigger: Option<String>,
    /// When scheduled replacements may begin; at any time when empty.
    pub windows: Vec<Window>,
    /// What is restarted for a new content of the Secret.
    pub restart: Vec<RestartTarget>,
}

/// How long before its expiry a key is replaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Renew {
    /// A third of its lifetime.
    Third,
    /// This long.
    Before(SignedDuration),
    /// This share of its lifetime, in percent.
    Percentage(u8),
}

impl Renew {
    /// How long before its expiry a key with that lifetime is replaced: never so long that a new key is due at birth.
    pub fn before(self, lifetime: SignedDuration) -> SignedDuration {
        let longest = lifetime / 20 * 19;
        match self {
            Self::Third => lifetime / 3,
            Self::Before(before) => before.min(longest),
            Self::Percentage(percent) => (lifetime / 100 * i32::from(percent)).min(longest),
        }
    }
}

impl Policy {
    /// Reads `spec.rotation` as far as this vendor can honour it.
    pub fn new(resource: &GatewayApiKey, capabilities: &Capabilities) -> Result<Self, Refusal> {
        let spec = resource.spec.rotation.clone().unwrap_or_default();
        let span = |field: &str, text: &Option<String>| {
            text.as_deref().map(|text| duration::parse(&format!("spec.rotation.{field}"), text)).transpose()
        };
        let overlap = span("overlap", &spec.overlap)?.unwrap_or(OVERLAP);
        let max_overlap = span("maxOverlap", &spec.max_overlap)?.unwrap_or(overlap + PATIENCE);
        if max_overlap < overlap {
            let message = "must not be shorter than spec.rotation.overlap";
            return Err(Refusal::invalid("spec.rotation.maxOverlap", message));
        }
        let max_age = span("maxAge", &spec.max_age)?;
        if max_age.is_some_and(|age| age < SHORTEST) {
            return Err(Refusal::invalid("spec.rotation.maxAge", "must be at least 1m"));
        }
        let brown_out = span("brownOut", &spec.brown_out)?.unwrap_or(BROWN_OUT);
        Ok(Self {
            renew: renew(&spec, span("renewBefore", &spec.renew_before)?, resource)?,
            max_age,
            overlap,
            max_overlap,
            brown_out: if capabilities.disable { brown_out } else { SignedDuration::ZERO },
            max_previous: spec.max_previous.map_or(MAX_PREVIOUS, usize::from),
            trigger: spec.trigger,
            windows: spec.windows.iter().enumerate().map(read).collect::<Result<_, _>>()?,
            restart: spec.restart,
        })
    }
}

fn renew(
    spec: &RotationSpec,
    before: Option<SignedDuration>,
    resource: &GatewayApiKey,
) -> Result<Renew, Refusal> {
    let days = resource.spec.expires_in_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    match (before, spec.renew_before_percentage) {
        (Some(_), Some(_)) => {
            let message = "says the same as spec.rotation.renewBefore in another way; leave one of them out";
            Err(Refusal::invalid("spec.rotation.renewBeforePercentage", message))
        }
        (Some(before), None) if days.is_some_and(|lifetime| before >= lifetime) => {
            let message = "must be shorter than spec.expiresInDays, or every new key is due at birth";
            Err(Refusal::invalid("spec.rotation.renewBefore", message))
        }
        (Some(before), None) => Ok(Renew::Before(before)),
        (None, Some(percent)) => Ok(Renew::Percentage(percent)),
        (None, None) => Ok(Renew::Third),
    }
}

fn read((index, spec): (usize, &WindowSpec)) -> Result<Window, Refusal> {
    let days: Vec<_> = spec.days.iter().map(|day| format!("{day:?}")).collect();
    let written =
        Written { days: &days, from: &spec.from, until: &spec.until, time_zone: spec.time_zone.as_deref() };
    Window::parse(&format!("spec.rotation.windows[{index}]"), &written)
}
