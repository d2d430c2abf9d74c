//! Inference keys (§2.7, §2.8).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::console::{Answer, RequestCtx};
use super::record::{KeyRecord, NewKey};
use super::refusal::Refusal;
use super::{paging, view};
use crate::emulator::edenai::budget;
use crate::emulator::edenai::kind;
use crate::emulator::edenai::money::{Form, Forms};
use crate::emulator::fields::{Fields, Given};
use crate::emulator::wire;

/// Lists a page of all keys, revoked ones included.
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    let listed = ctx.world.keys.listed(&ctx.caller.organization, ctx.moment);
    let show = |key: &KeyRecord| view::listed_key(key, &ctx.world.switches, ctx.moment);
    Ok(wire::json(200, &paging::page(listed, ctx, show)?))
}

/// Creates a key. Only this answer and that of a rotation show the secret.
pub(super) fn create(ctx: &mut RequestCtx<'_>) -> Answer {
    let new = parse_new(ctx)?;
    if ctx.world.taken(&new.organization, new.member.as_deref(), &new.name) {
        return Err(Refusal::taken());
    }
    let active = ctx.world.active(&new.organization).count();
    if ctx.world.switches.key_limit.is_some_and(|limit| active >= limit) {
        return Err(Refusal::new(403, "Your plan does not allow more API keys."));
    }
    let key = ctx.world.mint(new, ctx.moment.now);
    ctx.world.counts.created_total += 1;
    let mut body = shown(ctx, &key);
    body["secret"] = json!(key.secret);
    Ok(wire::json(ctx.world.switches.create_status, &body))
}

/// Reads a key. A revoked key stays readable.
pub(super) fn get(ctx: &mut RequestCtx<'_>) -> Answer {
    let body = shown(ctx, own(ctx)?);
    Ok(wire::json(200, &body))
}

/// Updates the given fields; kind and revocation are read-only and ignored. An update of a revoked key is not
/// documented and refused here.
pub(super) fn update(ctx: &mut RequestCtx<'_>) -> Answer {
    let key = own(ctx)?.clone();
    if key.revoked_at.is_some() {
        return Err(Refusal::new(400, "This key is revoked."));
    }
    let amended = amend(ctx, key.clone())?;
    let renamed = amended.name != key.name;
    if renamed && ctx.world.taken(&key.organization, key.member.as_deref(), &amended.name) {
        return Err(Refusal::taken());
    }
    ctx.world.keys.insert(amended);
    get(ctx)
}

/// Revokes a key. That is final: the key stays listed, and its name is free again. A second revocation changes nothing.
pub(super) fn revoke(ctx: &mut RequestCtx<'_>) -> Answer {
    let id = own(ctx)?.id.clone();
    if ctx.world.revoke(&id, ctx.moment.now) {
        ctx.world.counts.revoked_total += 1;
    }
    if ctx.world.switches.delete_no_content {
        return Ok(wire::no_content());
    }
    get(ctx)
}

/// Gives a key another secret. A revoked key is not found.
pub(super) fn rotate(ctx: &mut RequestCtx<'_>) -> Answer {
    let key = own(ctx)?;
    let id = Some(key.id.clone()).filter(|_| key.revoked_at.is_none());
    let key = id.and_then(|id| ctx.world.rotate(&id)).ok_or_else(Refusal::not_found)?;
    ctx.world.counts.rotated_total += 1;
    let body = json!({ "secret": key.secret, "masked": view::masked(&key), "name": key.name });
    Ok(wire::json(200, &body))
}

/// The key in the path, if it belongs to the caller's organization and has an id.
pub(super) fn own<'a>(ctx: &'a RequestCtx<'_>) -> Result<&'a KeyRecord, Refusal> {
    let key = ctx.world.keys.get(ctx.id);
    key.filter(|key| key.organization == ctx.caller.organization && !key.legacy)
        .ok_or_else(Refusal::not_found)
}

fn shown(ctx: &RequestCtx<'_>, key: &KeyRecord) -> Value {
    view::key(key, &ctx.world.switches, ctx.moment.now)
}

fn parse_new(ctx: &RequestCtx<'_>) -> Result<NewKey, Refusal> {
    let mut fields = Fields::parse(&ctx.inbound.body);
    let mut new = NewKey::named(&kind::parse_name(&mut fields));
    new.organization.clone_from(&ctx.caller.organization);
    new.token_type = kind::parse(&mut fields);
    new.member = fields.text("member").value();
    new.budget = budget::amend(&new.budget, &mut fields, Forms::Only(Form::Text), ctx.moment.now);
    new.default_tags = tags(&mut fields).value();
    new.expires_at = expiry(ctx, &mut fields).value();
    fields.finish().map_err(Refusal::Invalid)?;
    Ok(new)
}

/// The form of a balance in an update is not documented, so both forms are accepted.
fn amend(ctx: &RequestCtx<'_>, mut key: KeyRecord) -> Result<KeyRecord, Refusal> {
    let mut fields = Fields::parse(&ctx.inbound.body);
    if fields.names().any(|name| name == "name") {
        key.name = kind::parse_name(&mut fields);
    }
    key.budget = budget::amend(&key.budget, &mut fields, Forms::Either, ctx.moment.now);
    tags(&mut fields).amend_option(&mut key.default_tags);
    expiry(ctx, &mut fields).amend_option(&mut key.expires_at);
    fields.finish().map_err(Refusal::Invalid)?;
    Ok(key)
}

/// The form of tags is not documented, so they are stored unchanged.
fn tags(fields: &mut Fields) -> Given<Value> {
    fields.read("default_tags", "must be JSON", |value| Some(value.clone()))
}

fn expiry(ctx: &RequestCtx<'_>, fields: &mut Fields) -> Given<Timestamp> {
    let given = fields.time("expire_time");
    let soonest = ctx.moment.now.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    if matches!(given, Given::Value(expiry) if expiry < soonest) {
        fields.complain("expire_time", "expire_time must be at least one day ahead.");
    }
    given
}
