//! Organizations (E14) and the model catalog (E15).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::console::{Answer, RequestCtx};
use super::refusal::Refusal;
use crate::emulator::completion::provider_of;
use crate::emulator::wire::{self, stamp};

/// A few models, enough to validate `models` against.
pub(super) const MODELS: [&str; 6] = [
    "anthropic/claude-haiku-4-5",
    "anthropic/claude-opus-4-6",
    "anthropic/claude-sonnet-4-6",
    "mistral/mistral-large",
    "openai/gpt-5.2",
    "openai/gpt-5.2-mini",
];

/// E14: the organizations of the caller's token, in a `data` envelope.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
pub(super) fn organizations(ctx: &mut RequestCtx<'_>) -> Answer {
    let known = ctx.world.organizations.iter().filter(|(id, _)| ctx.caller.organizations.contains(*id));
    let data: Vec<Value> = known.map(|(id, created_at)| show(id, *created_at)).collect();
    Ok(wire::json(200, &json!({ "data": data })))
}

/// E14.
pub(super) fn organization(ctx: &mut RequestCtx<'_>) -> Answer {
    let created_at = ctx.world.organizations.get(ctx.organization).ok_or_else(Refusal::not_found)?;
    Ok(wire::json(200, &show(ctx.organization, *created_at)))
}

/// E15: a raw array.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
pub(super) fn models(ctx: &mut RequestCtx<'_>) -> Answer {
    let more = ctx.world.switches.more_models.iter().map(String::as_str);
    let show = |id: &str| json!({ "id": id, "object": "model", "provider": provider_of(id) });
    let models: Vec<_> = MODELS.into_iter().chain(more).map(show).collect();
    Ok(wire::json(200, &models))
}

fn show(id: &str, created_at: Timestamp) -> Value {
    let slug = id.replace('_', "-");
    json!({ "object": "organization", "id": id, "name": id, "slug": slug, "created_at": stamp(created_at) })
}
