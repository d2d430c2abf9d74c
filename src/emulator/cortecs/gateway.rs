//! The data plane, as far as the state of a key decides the answer. Only the 401 is documented (§3.5, §4.8).

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::record::{KeyRecord, UsageRecord};
use super::world::World;
use crate::emulator::completion::{Completion, chat_completion, cost_micros};
use crate::emulator::wire::{self, Inbound, Reply};

/// The verdict of the data plane on a call with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlaneAnswer {
    /// 200.
    Accepted,
    /// 401: no such key, no key given, or a deleted key.
    UnknownKey,
    /// The budget that a human set for the key is spent; a switch sets the status.
    OverBudget,
}

/// Judges a call without a change of state.
pub(super) fn judge(world: &World, secret: &str, now: Timestamp) -> DataPlaneAnswer {
    match world.working_key(secret, now) {
        None => DataPlaneAnswer::UnknownKey,
        Some(key) if key.over_budget(now) => DataPlaneAnswer::OverBudget,
        Some(_) => DataPlaneAnswer::Accepted,
    }
}

/// Answers one call to the data plane.
pub(in super::super) fn answer(world: &mut World, inbound: &Inbound, now: Timestamp) -> Reply {
    match (&inbound.method, &inbound.segments_from(1)[..]) {
        (&Method::POST, ["v1", "chat", "completions"]) => complete(world, inbound, now),
        _ => error(404, "Not found"),
    }
}

/// The answer that a fault rule demands.
pub(in super::super) fn trouble(code: u16) -> Reply {
    error(code, "The emulator was told to fail this call")
}

fn complete(world: &mut World, inbound: &Inbound, now: Timestamp) -> Reply {
    let secret = inbound.bearer().unwrap_or_default();
    match judge(world, secret, now) {
        DataPlaneAnswer::Accepted => {}
        DataPlaneAnswer::UnknownKey => return error(401, "Invalid or missing token"),
        DataPlaneAnswer::OverBudget => return error(world.switches.over_budget_status, "Budget exceeded"),
    }
    let body: Value = serde_json::from_slice(&inbound.body).unwrap_or_default();
    let Some(model) = body["model"].as_str() else {
        return error(400, "model is required");
    };
    let completion = Completion::new(inbound, model, world.usage.len() + 1, now);
    if let Some(key) = world.working_key(secret, now).cloned() {
        world.charge(&key.id, used(&key, &completion, cost_micros(inbound)));
    }
    wire::json(200, &chat_completion(&completion))
}

/// The usage record of a call.
pub(super) fn used(key: &KeyRecord, completion: &Completion<'_>, cost_micros: u64) -> UsageRecord {
    UsageRecord {
        at: completion.now,
        user: key.owner.user.clone(),
        project: key.owner.project.clone(),
        key_name: key.name.clone(),
        model: completion.model.to_owned(),
        input_tokens: completion.input_tokens,
        output_tokens: completion.output_tokens,
        cost_micros,
    }
}

fn error(status: u16, message: &str) -> Reply {
    wire::json(status, &json!({ "error": message }))
}
