//! API keys: C1 to C3. Callers identify a key by its name. A secret is shown once.

use serde_json::{Value, json};

use super::console::{Answer, RequestCtx};
use super::record::KeyRecord;
use super::refusal::Refusal;
use super::world::NewKey;
use crate::emulator::fields::Fields;
use crate::emulator::wire;

const LONGEST_NAME: usize = 63;

/// C1: names, ages and kinds of every key of the caller's user and project, the caller's own key included.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    let scope = ctx.owner().scope();
    let listed = ctx.world.keys.listed(&scope, ctx.moment);
    let keys: Vec<Value> = listed.into_iter().map(show).collect();
    Ok(wire::json(200, &json!({ "api_keys": keys })))
}

/// C2: a taken name and a reached limit are 400s like any invalid input.
pub(super) fn create(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut fields = Fields::parse(&ctx.inbound.body);
    let name = fields.required_text("name");
    let management = fields.flag("is_management_key").value().unwrap_or_default();
    if !name.is_empty() && !ctx.world.switches.any_name && !is_good(&name) {
        fields.complain("name", "name must be lower-case letters, digits and hyphens, 63 at most.");
    }
    fields.finish().map_err(Refusal::invalid)?;
    if ctx.world.key_of_name(ctx.owner(), &name).is_some() {
        return Err(Refusal::bad("An API key with this name already exists"));
    }
    let scope = ctx.owner().scope();
    let there = ctx.world.keys.within(&scope).count();
    if ctx.world.switches.key_limit.is_some_and(|limit| there >= limit) {
        return Err(Refusal::bad("API key limit reached"));
    }
    let new = NewKey { owner: ctx.caller.owner.clone(), name: &name, management, minted: true };
    let key = ctx.world.mint(new, ctx.moment.now);
    let counts = &mut ctx.world.counts;
    *(if management { &mut counts.management_created_total } else { &mut counts.created_total }) += 1;
    let mut body = if ctx.world.switches.create_key_only { json!({}) } else { show(&key) };
    body["api_key"] = json!(key.secret);
    Ok(wire::json(ctx.world.switches.create_status, &body))
}

/// C3: the name comes in a body, which some intermediaries drop.
pub(super) fn delete(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut fields = Fields::parse(&ctx.inbound.body);
    let name = fields.required_text("name");
    fields.finish().map_err(Refusal::invalid)?;
    let key = ctx.world.key_of_name(ctx.owner(), &name);
    let id = key.ok_or_else(|| Refusal::new(404, "API key not found"))?.id.clone();
    if id == ctx.caller.id {
        let status = ctx.world.switches.delete_own_status;
        return Err(Refusal::new(status, "You cannot delete the management key in use"));
    }
    ctx.world.keys.remove(&id, ctx.moment.now);
    ctx.world.counts.deleted_total += 1;
    Ok(wire::json(200, &json!({ "success": true, "deleted": name })))
}

/// `created_at` in Unix seconds; neither id nor secret.
fn show(key: &KeyRecord) -> Value {
    json!({
        "name": key.name,
        "created_at": key.created_at.as_second(),
        "is_management_key": key.management,
    })
}

fn is_good(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= LONGEST_NAME && name.chars().all(good)
}
