//! `spec.rotation`, parsed once and refused by field.

use super::capability::Capabilities;
use super::duration;
use super::spec_error::SpecError;
use super::window::{Window, Written};
use crate::api::GatewayApiKey;
use crate::api::rotation::{RestartTarget, RotationSpec, WindowSpec};
use jiff::SignedDuration;

const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// Default of `maxOverlap` minus `overlap`: how much longer a previous key that is still used is kept.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
const BROWN_OUT: SignedDuration = SignedDuration::from_hours(1);
/// Default limit of previous keys.
const MAX_PREVIOUS: usize = 2;
/// Minimum time between two rotations by any rule.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);

/// When a key is replaced, and what happens to the previous key.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How long before its expiry a key is replaced.
    pub renew: Renew,
    /// The age at which a key is replaced, if any.
    pub max_age: Option<SignedDuration>,
    /// How long the previous key works beside the new one.
    pub overlap: SignedDuration,
    /// How long a previous key that is still used is kept in total.
    pub max_overlap: SignedDuration,
    /// How long the previous key is switched off before it is deleted; zero if the vendor cannot switch keys off.
    pub brown_out: SignedDuration,
    /// Limit of previous keys.
    pub max_previous: usize,
    /// A value whose change replaces the key.
    pub trigger: Option<String>,
    /// When scheduled rotations may begin; empty means at any time.
    pub windows: Vec<Window>,
    /// Workloads that are restarted for new content of the Secret.
    pub restart: Vec<RestartTarget>,
    /// A field that has no effect or would do harm over time.
    pub idle: Option<SpecError>,
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
    /// How long before its expiry a key with this lifetime is replaced: never so long that a new key is due when it
    /// is created.
    pub fn before(self, lifetime: SignedDuration) -> SignedDuration {
        let longest = lifetime / 20 * 19;
        match self {
            Self::Third => lifetime / 3,
            Self::Before(before) => before.min(longest),
            Self::Percentage(percent) => (lifetime / 100 * i32::from(percent)).min(longest),
        }
    }
}

/// Where a rotation policy is written, and which keys it is for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Path of the field, such as `spec.rotation`.
    pub path: &'a str,
    /// Days from a key's creation to its expiry, if it has one.
    pub expires_in_days: Option<u32>,
    /// Whether the first key existed before its resource, perhaps with its own expiry.
    pub adopted: bool,
    /// What to do about a field that has an effect only on keys with an expiry.
    pub lacks_expiry: &'a str,
}

impl Place<'_> {
    fn lifetime(self) -> Option<SignedDuration> {
        self.expires_in_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)))
    }
}

impl Policy {
    /// Reads `spec.rotation` within what this vendor supports.
    pub fn new(resource: &GatewayApiKey, capabilities: &Capabilities) -> Result<Self, SpecError> {
        let place = Place {
            path: "spec.rotation",
            expires_in_days: resource.spec.expires_in_days,
            adopted: resource.spec.external_id.is_some(),
            lacks_expiry: "set spec.expiresInDays",
        };
        Self::read(&resource.spec.rotation.clone().unwrap_or_default(), place, capabilities)
    }

    /// The policy of a minted console token, which never expires.
    pub fn of_mint(spec: &RotationSpec, capabilities: &Capabilities) -> Result<Self, SpecError> {
        let path = "spec.mint.rotation";
        if let Some((field, note)) = unsupported(spec, capabilities).into_iter().next() {
            let message = format!("{} cannot honour it: {note}", capabilities.title);
            return Err(SpecError::unsupported(format!("{path}.{field}"), message));
        }
        let lacks_expiry = "set spec.mint.rotation.maxAge instead, for minted tokens never expire";
        let place = Place { path, expires_in_days: None, adopted: false, lacks_expiry };
        let policy = Self::read(spec, place, capabilities)?;
        policy.idle.clone().map_or(Ok(policy), Err)
    }

    fn read(spec: &RotationSpec, place: Place<'_>, capabilities: &Capabilities) -> Result<Self, SpecError> {
        let path = place.path;
        let span = |field: &str, text: &Option<String>| {
            text.as_deref().map(|text| duration::parse(&format!("{path}.{field}"), text)).transpose()
        };
        let overlap = span("overlap", &spec.overlap)?.unwrap_or(OVERLAP);
        let max_overlap = span("maxOverlap", &spec.max_overlap)?.unwrap_or(overlap + PATIENCE);
        if max_overlap < overlap {
            let message = format!("must not be shorter than {path}.overlap");
            return Err(SpecError::invalid(format!("{path}.maxOverlap"), message));
        }
        let max_age = span("maxAge", &spec.max_age)?;
        if max_age.is_some_and(|age| age < SHORTEST) {
            return Err(SpecError::invalid(format!("{path}.maxAge"), "must be at least 1m"));
        }
        let brown_out = span("brownOut", &spec.brown_out)?.unwrap_or(BROWN_OUT);
        let renew = renew(spec, span("renewBefore", &spec.renew_before)?, place)?;
        let windows = spec
            .windows
            .iter()
            .enumerate()
            .map(|(index, it)| window(path, index, it))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            idle: check_age(max_age, overlap, place).and_then(|()| check_schedule(spec, place)).err(),
            renew,
            max_age,
            overlap,
            max_overlap,
            brown_out: if capabilities.disable { brown_out } else { SignedDuration::ZERO },
            max_previous: spec.max_previous.map_or(MAX_PREVIOUS, usize::from),
            trigger: spec.trigger.clone(),
            windows,
            restart: spec.restart.clone(),
        })
    }
}

/// The fields of a rotation that the vendor does not support, as paths below it, each with a reason.
pub fn unsupported(spec: &RotationSpec, capabilities: &Capabilities) -> Vec<(&'static str, &'static str)> {
    let mut refused = Vec::new();
    let off = |text: &String| duration::parse("", text).is_ok_and(|it| it.is_zero());
    if spec.brown_out.as_ref().is_some_and(|it| !off(it)) && !capabilities.disable {
        refused.push(("brownOut", "keys cannot be switched off there; leave it out"));
    }
    if spec.max_overlap.is_some() && !capabilities.last_used {
        let note =
            "the vendor does not tell when a key was last used, so nothing can be waited for; set overlap";
        refused.push(("maxOverlap", note));
    }
    refused
}

/// `maxAge` must not be shorter than the overlap, because previous keys would pile up.
fn check_age(
    max_age: Option<SignedDuration>,
    overlap: SignedDuration,
    place: Place<'_>,
) -> Result<(), SpecError> {
    let path = place.path;
    let lifetime = place.lifetime().filter(|_| !place.adopted);
    let refuse = |message| Err(SpecError::idle(format!("{path}.maxAge"), message));
    match max_age {
        Some(age) if age < overlap => refuse(format!(
            "{} is shorter than {path}.overlap ({}, 24h when left out), so that old keys would pile up; raise {path}.maxAge or \
             shorten {path}.overlap",
            duration::format(age),
            duration::format(overlap)
        )),
        Some(age) if lifetime.is_some_and(|lifetime| age > lifetime) => refuse(
            "has no effect, because the key expires earlier (spec.expiresInDays); shorten it or leave it out"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// Refuses fields without effect.
fn check_schedule(spec: &RotationSpec, place: Place<'_>) -> Result<(), SpecError> {
    let (path, hint) = (place.path, place.lacks_expiry);
    if place.expires_in_days.is_some() || place.adopted {
        return Ok(());
    }
    let written = [
        ("renewBefore", spec.renew_before.is_some()),
        ("renewBeforePercentage", spec.renew_before_percentage.is_some()),
    ];
    if let Some((field, _)) = written.into_iter().find(|(_, written)| *written) {
        let message = format!("has no effect on a key that does not expire; {hint}, or leave it out");
        return Err(SpecError::idle(format!("{path}.{field}"), message));
    }
    if !spec.windows.is_empty() && spec.max_age.is_none() {
        let also = if path == "spec.rotation" {
            "set spec.rotation.maxAge or spec.expiresInDays"
        } else {
            "set spec.mint.rotation.maxAge"
        };
        let message = format!("has no effect where nothing is scheduled; {also}, or leave it out");
        return Err(SpecError::idle(format!("{path}.windows"), message));
    }
    Ok(())
}

fn renew(spec: &RotationSpec, before: Option<SignedDuration>, place: Place<'_>) -> Result<Renew, SpecError> {
    let path = place.path;
    let days = place.lifetime();
    match (before, spec.renew_before_percentage) {
        (Some(_), Some(_)) => {
            let message =
                format!("says the same as {path}.renewBefore in another way; leave one of them out");
            Err(SpecError::invalid(format!("{path}.renewBeforePercentage"), message))
        }
        (Some(before), None) if days.is_some_and(|lifetime| before >= lifetime) => {
            let message =
                "must be shorter than spec.expiresInDays, or every new key is due as soon as it is made";
            Err(SpecError::invalid(format!("{path}.renewBefore"), message))
        }
        (Some(before), None) => Ok(Renew::Before(before)),
        (None, Some(percent)) => Ok(Renew::Percentage(percent)),
        (None, None) => Ok(Renew::Third),
    }
}

fn window(path: &str, index: usize, spec: &WindowSpec) -> Result<Window, SpecError> {
    let days: Vec<_> = spec.days.iter().map(|day| format!("{day:?}")).collect();
    let written =
        Written { days: &days, from: &spec.from, until: &spec.until, time_zone: spec.time_zone.as_deref() };
    Window::parse(&format!("{path}.windows[{index}]"), &written)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "tables hand their rows over")]
mod tests {
    use super::*;
    use crate::gateway::{cortecs, edenai_v3, edgee};
    use crate::plan::desired::desired;
    use serde_json::{Value, json};

    fn rotation(value: Value) -> RotationSpec {
        serde_json::from_value(value).unwrap()
    }

    fn refusal(spec: Value) -> Option<SpecError> {
        let mut whole = json!({"consoleTokenRef": {"name": "edgee"}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let key = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": "a"}, "spec": whole,
        });
        desired(&serde_json::from_value(key).unwrap(), &edgee::CAPABILITIES, None).err()
    }

    #[test]
    fn what_has_no_effect_is_refused_by_its_field() {
        let window = json!([{"from": "09:00", "until": "16:00"}]);
        let table = [
            (json!({"renewBefore": "24h"}), "renewBefore", "set spec.expiresInDays"),
            (json!({"renewBeforePercentage": 20}), "renewBeforePercentage", "set spec.expiresInDays"),
            (json!({"renewBefore": "24h", "maxAge": "720h"}), "renewBefore", "no effect"),
            (json!({"windows": window}), "windows", "nothing is scheduled"),
            (json!({"maxAge": "1h"}), "maxAge", "spec.rotation.overlap (24h, 24h when left out)"),
            (
                json!({"maxAge": "1h", "overlap": "1h1s"}),
                "maxAge",
                "raise spec.rotation.maxAge or shorten spec.rotation.overlap",
            ),
            (json!({"maxAge": "30s", "overlap": "0s"}), "maxAge", "at least 1m"),
        ];
        for (rotation, field, words) in table {
            let refusal = refusal(json!({"rotation": rotation})).expect(field);
            assert_eq!(refusal.field, format!("spec.rotation.{field}"), "{rotation}");
            assert!(refusal.message.contains(words), "{refusal}");
        }
        let late = refusal(json!({"expiresInDays": 30, "rotation": {"maxAge": "721h"}})).unwrap();
        assert_eq!(late.field, "spec.rotation.maxAge");
        for spec in [
            json!({"expiresInDays": 30, "rotation": {"renewBefore": "24h", "windows": window}}),
            json!({"externalId": "key_1", "rotation": {"renewBefore": "24h", "windows": window}}),
            json!({"rotation": {"maxAge": "24h", "windows": window}}),
            json!({"expiresInDays": 30, "rotation": {"maxAge": "720h"}}),
            json!({"rotation": {"maxAge": "1h", "overlap": "1h"}}),
        ] {
            assert_eq!(refusal(spec.clone()), None, "{spec}");
        }
    }

    #[test]
    fn a_minted_token_is_refused_what_has_no_effect_on_it() {
        let window = json!([{"from": "09:00", "until": "16:00"}]);
        let table = [
            (json!({"renewBefore": "24h"}), "renewBefore"),
            (json!({"renewBefore": "24h", "maxAge": "720h"}), "renewBefore"),
            (json!({"renewBeforePercentage": 20}), "renewBeforePercentage"),
            (json!({"windows": window}), "windows"),
            (json!({"maxAge": "1h"}), "maxAge"),
            (json!({"maxAge": "720h", "brownOut": "1h"}), "brownOut"),
            (json!({"maxAge": "720h", "maxOverlap": "48h"}), "maxOverlap"),
        ];
        for vendor in [&cortecs::CAPABILITIES, &edenai_v3::CAPABILITIES] {
            for (spec, field) in &table {
                let refusal = Policy::of_mint(&rotation(spec.clone()), vendor).expect_err(field);
                assert_eq!(refusal.field, format!("spec.mint.rotation.{field}"), "{spec}");
            }
            let fine = json!({"maxAge": "720h", "windows": window, "overlap": "24h", "brownOut": "0s"});
            assert!(Policy::of_mint(&rotation(fine), vendor).is_ok());
        }
    }
}
