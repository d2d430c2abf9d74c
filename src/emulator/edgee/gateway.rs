//! The data plane, as far as the state of a key decides the answer (§1.14, "Data-plane effect of key state").

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::catalog::MODELS;
use super::record::{KeyRecord, UsageRecord};
use super::world::World;
use crate::emulator::completion::{Completion, Dialect, chat_completion, cost_micros, message};
use crate::emulator::wire::{self, Inbound, Reply};

/// The verdict of the data plane on a call with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlaneAnswer {
    /// 200.
    Accepted,
    /// 401: no such key, or no key given.
    UnknownKey,
    /// 403.
    Inactive,
    /// 403.
    Expired,
    /// 403: the key is restricted to other models.
    ModelNotAllowed,
    /// 429: the monthly budget is spent.
    OverBudget,
}

impl DataPlaneAnswer {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Accepted => 200,
            Self::UnknownKey => 401,
            Self::Inactive | Self::Expired | Self::ModelNotAllowed => 403,
            Self::OverBudget => 429,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Accepted => "ok",
            Self::UnknownKey => "unauthorized",
            Self::Inactive | Self::Expired | Self::ModelNotAllowed => "forbidden",
            Self::OverBudget => "usage_limit_exceeded",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Accepted => "OK",
            Self::UnknownKey => "Invalid API key",
            Self::Inactive => "API key is inactive",
            Self::Expired => "API key has expired",
            Self::ModelNotAllowed => "Model is not allowed for this API key",
            Self::OverBudget => "Usage limit exceeded for this API key",
        }
    }
}

/// Judges a call without a change of state. Without a model, restrictions do not matter.
pub(super) fn judge(world: &World, secret: &str, model: Option<&str>, now: Timestamp) -> DataPlaneAnswer {
    let Some(key) = world.key_of_secret(secret) else {
        return DataPlaneAnswer::UnknownKey;
    };
    let allowed = |model: &str| key.models.is_empty() || key.models.iter().any(|known| known == model);
    if !key.active {
        DataPlaneAnswer::Inactive
    } else if key.expires_at.is_some_and(|expiry| now >= expiry) {
        DataPlaneAnswer::Expired
    } else if !model.is_none_or(allowed) {
        DataPlaneAnswer::ModelNotAllowed
    } else if key.over_budget(now) {
        DataPlaneAnswer::OverBudget
    } else {
        DataPlaneAnswer::Accepted
    }
}

/// Answers one call to the data plane.
pub(in super::super) fn answer(world: &mut World, inbound: &Inbound, now: Timestamp) -> Reply {
    match (&inbound.method, &inbound.segments_from(1)[..]) {
        (&Method::POST, ["v1", "chat", "completions"]) => complete(world, inbound, now, chat_completion),
        (&Method::POST, ["v1", "messages"]) => complete(world, inbound, now, message),
        (&Method::GET, ["v1", "models"]) => models(world, inbound, now),
        _ => error(404, "not_found", "Not Found"),
    }
}

/// The answer that a fault rule demands.
pub(in super::super) fn trouble(code: u16) -> Reply {
    error(code, "emulated_fault", "The emulator was told to fail this call")
}

fn complete(world: &mut World, inbound: &Inbound, now: Timestamp, dialect: Dialect) -> Reply {
    let body: Value = serde_json::from_slice(&inbound.body).unwrap_or_default();
    let model = body["model"].as_str();
    let verdict = judge(world, secret(inbound), model, now);
    if verdict != DataPlaneAnswer::Accepted {
        return refuse(verdict);
    }
    let Some(model) = model else {
        return error(400, "bad_request", "model is required");
    };
    let number = world.usage.len() + 1;
    let completion = Completion::new(inbound, model, number, now);
    charge(world, inbound, &completion, tags(inbound, &body));
    wire::json(200, &dialect(&completion))
}

/// Lists the models, without a cost. A restricted key sees its own models only.
fn models(world: &World, inbound: &Inbound, now: Timestamp) -> Reply {
    let verdict = judge(world, secret(inbound), None, now);
    if verdict != DataPlaneAnswer::Accepted {
        return refuse(verdict);
    }
    let allowed = |id: &&str| judge(world, secret(inbound), Some(id), now) == DataPlaneAnswer::Accepted;
    let data: Vec<Value> =
        MODELS.iter().copied().filter(allowed).map(|id| json!({ "id": id, "object": "model" })).collect();
    wire::json(200, &json!({ "object": "list", "data": data }))
}

/// Anthropic's clients send `x-api-key`, the others a bearer token.
fn secret(inbound: &Inbound) -> &str {
    inbound.header("x-api-key").or_else(|| inbound.bearer()).unwrap_or_default()
}

fn charge(world: &mut World, inbound: &Inbound, completion: &Completion<'_>, tags: Vec<String>) {
    let Some(id) = world.key_of_secret(secret(inbound)).map(|key| key.id.clone()) else {
        return;
    };
    book(world, &id, completion, cost_micros(inbound), tags);
}

/// Charges a key and records its usage. Returns whether the key exists.
pub(super) fn book(
    world: &mut World,
    id: &str,
    completion: &Completion<'_>,
    cost_micros: u64,
    tags: Vec<String>,
) -> bool {
    let Some(key) = world.keys.get_mut(id) else {
        return false;
    };
    spend(key, cost_micros, completion.now);
    let record = UsageRecord {
        at: completion.now,
        organization: key.organization.clone(),
        key_id: id.to_owned(),
        key_name: key.name.clone(),
        model: completion.model.to_owned(),
        input_tokens: completion.input_tokens,
        output_tokens: completion.output_tokens,
        cost_micros,
        tags,
    };
    world.usage.push(record);
    true
}

fn spend(key: &mut KeyRecord, cost_micros: u64, now: Timestamp) {
    key.roll_month(now);
    key.spent_micros = key.spent_micros.saturating_add(cost_micros);
    key.last_used_at = Some(now);
}

fn tags(inbound: &Inbound, body: &Value) -> Vec<String> {
    let header = inbound.header("x-edgee-tags").unwrap_or_default().split(',').map(str::trim);
    let field = body["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    header.chain(field).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

fn refuse(verdict: DataPlaneAnswer) -> Reply {
    error(verdict.status(), verdict.code(), verdict.message())
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    wire::json(status, &json!({ "error": { "code": code, "message": message } }))
}
