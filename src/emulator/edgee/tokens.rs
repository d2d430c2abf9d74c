//! Console tokens: E16 (§1.13). A caller sees the tokens of its own user.

use jiff::Timestamp;
use serde_json::json;

use super::console::{Answer, RequestCtx};
use super::paging;
use super::record::TokenRecord;
use super::refusal::Refusal;
use super::view;
use crate::emulator::fields::Fields;
use crate::emulator::wire;

/// The only answer that shows `token`.
pub(super) fn create(ctx: &mut RequestCtx<'_>) -> Answer {
    supported(ctx)?;
    let mut fields = Fields::parse(&ctx.inbound.body);
    let name = fields.required_text("name");
    let expires_at = parse_expiry(&mut fields);
    fields.finish().map_err(Refusal::invalid)?;
    let mut minted = ctx.world.mint_token(&ctx.caller, name, ctx.moment.now);
    minted.expires_at = expires_at;
    let minted = ctx.world.tokens.insert(minted);
    let mut body = view::token(&minted, &ctx.world.switches);
    body["token"] = json!(minted.token);
    Ok(wire::json(ctx.world.switches.create_status, &body))
}

pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    supported(ctx)?;
    let mut listed = ctx.world.tokens.listed(&ctx.caller.user, ctx.moment);
    if let Some(name) = ctx.inbound.param("name") {
        listed.retain(|token| token.name == name);
    }
    let switches = &ctx.world.switches;
    let page = paging::page(listed, ctx)?;
    Ok(wire::json(200, &page.envelope(ctx.inbound.vendor_path(), |token| view::token(token, switches))))
}

pub(super) fn get(ctx: &mut RequestCtx<'_>) -> Answer {
    supported(ctx)?;
    Ok(wire::json(200, &view::token(own(ctx)?, &ctx.world.switches)))
}

/// A deleted token stops authenticating, also when it deleted itself.
pub(super) fn delete(ctx: &mut RequestCtx<'_>) -> Answer {
    supported(ctx)?;
    let id = own(ctx)?.id.clone();
    ctx.world.tokens.remove(&id, ctx.moment.now);
    Ok(wire::json(200, &json!({ "object": "api_token", "id": id, "deleted": true })))
}

fn supported(ctx: &RequestCtx<'_>) -> Result<(), Refusal> {
    if ctx.world.switches.console_tokens { Ok(()) } else { Err(Refusal::not_found()) }
}

fn own<'a>(ctx: &'a RequestCtx<'_>) -> Result<&'a TokenRecord, Refusal> {
    let token = ctx.world.tokens.get(ctx.id).filter(|token| token.user == ctx.caller.user);
    token.ok_or_else(Refusal::not_found)
}

fn parse_expiry(fields: &mut Fields) -> Option<Timestamp> {
    let text = fields.text("expires_at").value().filter(|text| !text.is_empty())?;
    let expiry = text.parse().ok();
    if expiry.is_none() {
        fields.complain("expires_at", "expires_at must be an RFC 3339 time.");
    }
    expiry
}
