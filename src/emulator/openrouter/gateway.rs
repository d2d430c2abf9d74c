//! The data plane, as far as the state of a key decides the answer (§5).

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::record::KeyRecord;
use super::refusal::Refusal;
use super::world::{World, hash_of};
use crate::emulator::completion::{Completion, Dialect, chat_completion, cost_micros, message};
use crate::emulator::wire::{self, Inbound, Reply};

/// The verdict of the data plane on a call with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlaneAnswer {
    /// 200.
    Accepted,
    /// 401: no such key, or a deleted one.
    UnknownKey,
    /// The key is off; a switch sets the status.
    Disabled,
    /// The key expired; a switch sets the status.
    Expired,
    /// The limit of the key is spent; a switch sets the status.
    OverLimit,
}

/// Judges a call without a change of state.
pub(super) fn judge(world: &World, secret: &str, now: Timestamp) -> DataPlaneAnswer {
    let linger = SignedDuration::from_millis(i64::from(world.switches.revoked_keys_linger_millis));
    let recent = |at: Timestamp| now.duration_since(at) < linger;
    let hash = hash_of(secret);
    let since = now.checked_sub(linger).unwrap_or(Timestamp::MIN);
    let deleted = || world.keys.gone_since(since).find(|key| key.hash == hash);
    let Some(key) = world.keys.get(&hash).or_else(deleted) else {
        return DataPlaneAnswer::UnknownKey;
    };
    if key.disabled && !key.updated_at.is_some_and(recent) {
        DataPlaneAnswer::Disabled
    } else if key.expired(now) {
        DataPlaneAnswer::Expired
    } else if over_limit(key, now) {
        DataPlaneAnswer::OverLimit
    } else {
        DataPlaneAnswer::Accepted
    }
}

/// A key is refused once nothing worth a call is left.
fn over_limit(key: &KeyRecord, now: Timestamp) -> bool {
    key.remaining(now) == Some(0)
}

/// Answers one call to the data plane.
pub(in super::super) fn answer(world: &mut World, inbound: &Inbound, now: Timestamp) -> Reply {
    match (&inbound.method, &inbound.segments_from(1)[..]) {
        (&Method::POST, ["v1", "chat", "completions"]) => complete(world, inbound, now, chat_completion),
        (&Method::POST, ["v1", "messages"]) => complete(world, inbound, now, message),
        _ => Refusal::no_such_path(),
    }
}

/// The answer that a fault rule demands.
pub(in super::super) fn trouble(code: u16) -> Reply {
    Refusal::of_status(code).into_reply()
}

fn refusal(world: &World, verdict: DataPlaneAnswer) -> Refusal {
    let switches = &world.switches;
    match verdict {
        DataPlaneAnswer::Accepted | DataPlaneAnswer::UnknownKey => Refusal::unknown_token(),
        DataPlaneAnswer::Disabled => Refusal::error(switches.stopped_status, "API key is disabled"),
        DataPlaneAnswer::Expired => Refusal::error(switches.stopped_status, "API key has expired"),
        DataPlaneAnswer::OverLimit => {
            Refusal::limited(switches.over_limit_status, "Key limit exceeded", "openrouter_key_limit")
        }
    }
}

fn complete(world: &mut World, inbound: &Inbound, now: Timestamp, dialect: Dialect) -> Reply {
    let secret = inbound.bearer().or_else(|| inbound.header("x-api-key")).unwrap_or_default();
    let verdict = judge(world, secret, now);
    if verdict != DataPlaneAnswer::Accepted {
        return refusal(world, verdict).into_reply();
    }
    let body: Value = serde_json::from_slice(&inbound.body).unwrap_or_default();
    let Some(model) = body["model"].as_str() else {
        return Refusal::error(400, "model is required").into_reply();
    };
    let completion = Completion::new(inbound, model, world.calls + 1, now);
    let reply = wire::json(200, &dialect(&completion));
    world.charge(&hash_of(secret), cost_micros(inbound), now);
    reply
}
