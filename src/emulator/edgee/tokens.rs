//! Console tokens: E16 (§1.13). A caller sees the tokens of its own user.

use jiff::Timestamp;
use serde_json::json;

use super::console::{Answer, Desk};
use super::paging;
use super::record::TokenRecord;
use super::refusal::Refusal;
use super::view;
use crate::emulator::fields::Fields;
use crate::emulator::wire;

/// The only answer that shows `token`.
pub(super) fn create(desk: &mut Desk<'_>) -> Answer {
    supported(desk)?;
    let mut fields = Fields::parse(&desk.inbound.body);
    let name = fields.required_text("name");
    let expires_at = parse_expiry(&mut fields);
    fields.finish().map_err(Refusal::invalid)?;
    let mut minted = desk.world.mint_token(&desk.caller, name, desk.moment.now);
    minted.expires_at = expires_at;
    let minted = desk.world.tokens.insert(minted);
    let mut body = view::token(&minted, &desk.world.switches);
    body["token"] = json!(minted.token);
    Ok(wire::json(desk.world.switches.create_status, &body))
}

pub(super) fn list(desk: &mut Desk<'_>) -> Answer {
    supported(desk)?;
    let mut listed = desk.world.tokens.listed(&desk.caller.user, desk.moment);
    if let Some(name) = desk.inbound.param("name") {
        listed.retain(|token| token.name == name);
    }
    let switches = &desk.world.switches;
    let page = paging::page(listed, desk)?;
    Ok(wire::json(200, &page.envelope(desk.inbound.vendor_path(), |token| view::token(token, switches))))
}

pub(super) fn get(desk: &mut Desk<'_>) -> Answer {
    supported(desk)?;
    Ok(wire::json(200, &view::token(own(desk)?, &desk.world.switches)))
}

/// A deleted token stops authenticating, also when it deleted itself.
pub(super) fn delete(desk: &mut Desk<'_>) -> Answer {
    supported(desk)?;
    let id = own(desk)?.id.clone();
    desk.world.tokens.remove(&id, desk.moment.now);
    Ok(wire::json(200, &json!({ "object": "api_token", "id": id, "deleted": true })))
}

fn supported(desk: &Desk<'_>) -> Result<(), Refusal> {
    if desk.world.switches.console_tokens { Ok(()) } else { Err(Refusal::not_found()) }
}

fn own<'a>(desk: &'a Desk<'_>) -> Result<&'a TokenRecord, Refusal> {
    let token = desk.world.tokens.get(desk.id).filter(|token| token.user == desk.caller.user);
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
