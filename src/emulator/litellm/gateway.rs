//! The data plane, as far as the state of a key decides the answer (§8).

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::record::{KeyRecord, Kind};
use super::refusal::Refusal;
use super::world::{World, id_of};
use crate::emulator::completion::{Completion, Dialect, chat_completion, cost_micros, message};
use crate::emulator::wire::{self, Inbound, Reply};

/// The models that the proxy has.
pub(super) const MODELS: [&str; 2] = ["gpt-small", "gpt-large"];

/// The verdict of the data plane on a call with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlaneAnswer {
    /// 200.
    Accepted,
    /// 401: no such key, or a deleted one.
    UnknownKey,
    /// 401.
    Blocked,
    /// 401.
    Expired,
    /// 403: a key for management.
    NoModels,
    /// 403: the key is restricted to other models.
    ModelNotAllowed,
    /// 422.
    OverBudget,
}

/// Judges a call without a change of state. Without a model, restrictions do not matter.
pub(super) fn judge(world: &World, secret: &str, model: Option<&str>, now: Timestamp) -> DataPlaneAnswer {
    let linger = SignedDuration::from_millis(i64::from(world.switches.revoked_keys_linger_millis));
    let recent = |at: Timestamp| now.duration_since(at) < linger;
    let live = world.key_of_secret(secret);
    let deleted = || world.deleted.get(&id_of(secret)).filter(|it| recent(it.1)).map(|it| &it.0);
    let Some(key) = live.or_else(deleted) else {
        return DataPlaneAnswer::UnknownKey;
    };
    if key.blocked == Some(true) && !recent(key.updated_at) {
        DataPlaneAnswer::Blocked
    } else if key.expired(now) {
        DataPlaneAnswer::Expired
    } else if matches!(key.kind, Kind::Management | Kind::ReadOnly) {
        DataPlaneAnswer::NoModels
    } else if !model.is_none_or(|model| allows(key, model)) {
        DataPlaneAnswer::ModelNotAllowed
    } else if key.over_budget(now) {
        DataPlaneAnswer::OverBudget
    } else {
        DataPlaneAnswer::Accepted
    }
}

fn allows(key: &KeyRecord, model: &str) -> bool {
    let matches = |known: &String| match known.strip_suffix('*') {
        Some(prefix) => model.starts_with(prefix),
        None => known == model || known == "all-proxy-models",
    };
    key.models.is_empty() || key.models.iter().any(matches)
}

fn refusal(verdict: DataPlaneAnswer) -> Refusal {
    let error = |status, kind, message: &str| Refusal::error(status, kind, Some("key"), message);
    match verdict {
        DataPlaneAnswer::Accepted | DataPlaneAnswer::UnknownKey => Refusal::unknown_token(),
        DataPlaneAnswer::Blocked => {
            Refusal::error(401, "auth_error", Some("None"), "Authentication Error, Key is blocked.")
        }
        DataPlaneAnswer::Expired => error(401, "expired_key", "Authentication Error - Expired Key."),
        DataPlaneAnswer::NoModels => {
            Refusal::detail(403, &json!("Virtual key is not allowed to call this route."))
        }
        DataPlaneAnswer::ModelNotAllowed => {
            error(403, "key_model_access_denied", "key not allowed to access model.")
        }
        DataPlaneAnswer::OverBudget => error(422, "budget_exceeded", "Budget has been exceeded!"),
    }
}

/// Answers one call to the data plane.
pub(in super::super) fn answer(world: &mut World, inbound: &Inbound, now: Timestamp) -> Reply {
    match (&inbound.method, &inbound.segments_from(1)[..]) {
        (&Method::POST, ["v1", "chat", "completions"]) => complete(world, inbound, now, chat_completion),
        (&Method::POST, ["v1", "messages"]) => complete(world, inbound, now, message),
        (&Method::GET, ["v1", "models"]) => models(world, inbound, now),
        _ => Refusal::no_such_path().into_reply(),
    }
}

/// The answer that a fault rule demands.
pub(in super::super) fn trouble(code: u16) -> Reply {
    Refusal::of_status(code).into_reply()
}

fn secret(inbound: &Inbound) -> &str {
    inbound.bearer().or_else(|| inbound.header("x-api-key")).unwrap_or_default()
}

fn complete(world: &mut World, inbound: &Inbound, now: Timestamp, dialect: Dialect) -> Reply {
    let body: Value = serde_json::from_slice(&inbound.body).unwrap_or_default();
    let model = body["model"].as_str();
    let verdict = judge(world, secret(inbound), model, now);
    if verdict != DataPlaneAnswer::Accepted {
        if verdict == DataPlaneAnswer::UnknownKey {
            world.strangers.insert(id_of(secret(inbound)));
        }
        return refusal(verdict).into_reply();
    }
    let Some(model) = model else {
        return Refusal::error(400, "invalid_request_error", Some("model"), "model is required").into_reply();
    };
    let completion = Completion::new(inbound, model, world.usage.len() + 1, now);
    let reply = wire::json(200, &dialect(&completion));
    world.charge(&id_of(secret(inbound)), cost_micros(inbound), now);
    reply
}

/// The models that a key may call. Master keys and keys for management may ask, too.
fn models(world: &World, inbound: &Inbound, now: Timestamp) -> Reply {
    let given = secret(inbound);
    let master = world.masters.contains_key(given);
    let verdict = judge(world, given, None, now);
    if !master && verdict != DataPlaneAnswer::Accepted {
        return refusal(verdict).into_reply();
    }
    let key = world.key_of_secret(given);
    let allowed = |model: &&str| key.is_none_or(|key| allows(key, model));
    let shown = |id| {
        json!({
            "id": id, "object": "model", "created": 1_677_610_602, "owned_by": "openai", "mode": "chat",
            "max_input_tokens": 128_000, "max_output_tokens": 16_384,
        })
    };
    let data: Vec<_> = MODELS.into_iter().filter(allowed).map(shown).collect();
    wire::json(200, &json!({"data": data, "object": "list"}))
}
