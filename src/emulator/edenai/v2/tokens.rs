//! Custom tokens (§2.2, §2.3).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::console::{Answer, Caller, RequestCtx};
use super::record::CustomToken;
use super::refusal::Refusal;
use super::view;
use super::world::NewToken;
use crate::emulator::edenai::budget;
use crate::emulator::edenai::kind;
use crate::emulator::edenai::money::{Form, Forms};
use crate::emulator::fields::{Fields, Given};
use crate::emulator::wire;

/// Lists all tokens as a raw array.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    let listed = ctx.world.tokens.listed(&ctx.account, ctx.moment);
    let items: Vec<Value> = listed.into_iter().map(|token| shown(ctx, token)).collect();
    Ok(wire::json(200, &items))
}

/// Creates a token; a taken name is a 400.
pub(super) fn create(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut fields = fields(ctx);
    let now = ctx.moment.now;
    let mut new = NewToken::named(&kind::parse_name(&mut fields));
    new.token_type = kind::parse(&mut fields);
    new.budget = budget::amend(&new.budget, &mut fields, Forms::Only(Form::Text), now);
    new.expires_at = expiry(ctx, &mut fields).value();
    if ctx.world.token(&ctx.account, &new.name).is_some() {
        fields.complain("name", "Token with this name already exists.");
    }
    fields.finish().map_err(Refusal::Invalid)?;
    let token = ctx.world.mint(&ctx.account, new, now);
    ctx.world.counts.created_total += 1;
    Ok(wire::json(201, &view::created(&token, &ctx.world.switches)))
}

/// Reads one token. This is the only way to read the secret again, as long as reads show it.
pub(super) fn get(ctx: &mut RequestCtx<'_>) -> Answer {
    let body = shown(ctx, own(ctx)?);
    if body.get("token").is_some() {
        ctx.world.counts.reveals_total += 1;
    }
    Ok(wire::json(200, &body))
}

/// Updates a token. Name and kind are read-only and ignored.
pub(super) fn update(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut token = own(ctx)?.clone();
    let mut fields = fields(ctx);
    token.budget = budget::amend(&token.budget, &mut fields, Forms::Only(Form::Number), ctx.moment.now);
    expiry(ctx, &mut fields).amend_option(&mut token.expires_at);
    fields.finish().map_err(Refusal::Invalid)?;
    let token = ctx.world.tokens.insert(token);
    Ok(wire::json(200, &view::updated(&token, &ctx.world.switches)))
}

pub(super) fn delete(ctx: &mut RequestCtx<'_>) -> Answer {
    let id = own(ctx)?.id.clone();
    ctx.world.tokens.remove(&id, ctx.moment.now);
    ctx.world.counts.deleted_total += 1;
    Ok(if ctx.world.switches.delete_ok { wire::json(200, &json!({})) } else { wire::no_content() })
}

/// Rotates a token, for sessions since September 2026. v2 documents no field names, so they are those of v3.
pub(super) fn rotate(ctx: &mut RequestCtx<'_>) -> Answer {
    let token = ctx.world.rotate(&ctx.account, ctx.name).ok_or(Refusal::NotFound)?;
    let mut body = shown(ctx, &token);
    body["secret"] = json!(token.secret);
    Ok(wire::json(200, &body))
}

/// What a key may read about itself. The account's key is no custom token and has no budget.
pub(super) fn me(ctx: &mut RequestCtx<'_>) -> Answer {
    match &ctx.caller {
        Caller::Token(token) => Ok(wire::json(200, &shown(ctx, token))),
        Caller::Account => {
            Ok(wire::json(200, &json!({ "label": "account", "balance": null, "active_balance": false })))
        }
        Caller::Session => Err(Refusal::NotFound),
    }
}

fn own<'a>(ctx: &'a RequestCtx<'_>) -> Result<&'a CustomToken, Refusal> {
    ctx.world.token(&ctx.account, ctx.name).ok_or(Refusal::NotFound)
}

fn shown(ctx: &RequestCtx<'_>, token: &CustomToken) -> Value {
    let token = CustomToken { budget: token.budget.at(ctx.moment.now), ..token.clone() };
    view::item(&token, &ctx.world.switches)
}

/// Before July 2026 the fields of the reset did not exist.
fn fields(ctx: &RequestCtx<'_>) -> Fields {
    let mut fields = Fields::parse(&ctx.inbound.body);
    if !ctx.world.switches.resets {
        fields.ignore("balance_reset_period");
        fields.ignore("balance_reset_amount");
    }
    fields
}

fn expiry(ctx: &RequestCtx<'_>, fields: &mut Fields) -> Given<Timestamp> {
    let given = fields.time("expire_time");
    let soonest = ctx.moment.now.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    if matches!(given, Given::Value(expiry) if ctx.world.switches.day_ahead && expiry < soonest) {
        fields.complain("expire_time", "expire_time must be at least one day ahead.");
    }
    given
}
