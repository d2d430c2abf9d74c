//! Usage of a key and of the organization (§2.9).

use serde_json::json;

use super::console::{Answer, RequestCtx};
use super::keys;
use super::refusal::Refusal;
use crate::emulator::edenai::usage::{Range, Spent, by_token, by_user, passes};
use crate::emulator::fields::Complaint;
use crate::emulator::wire;

/// Usage of one key, revoked or not.
pub(super) fn of_key(ctx: &mut RequestCtx<'_>) -> Answer {
    let id = keys::own(ctx)?.id.clone();
    let range = Range::of_v3(ctx.inbound, ctx.moment.now).map_err(Refusal::one)?;
    let spent = counted(ctx).filter(|spent| spent.key_id == id);
    Ok(wire::json(200, &json!({ "usage": by_token(spent, &range) })))
}

/// Usage of all keys, with filters of its own.
pub(super) fn of_organization(ctx: &mut RequestCtx<'_>) -> Answer {
    let range = Range::of_v3(ctx.inbound, ctx.moment.now).map_err(Refusal::one)?;
    let inbound = ctx.inbound;
    let is = |name: &str, value: Option<&str>| inbound.param(name).is_none_or(|wanted| value == Some(wanted));
    // Every emulated call is paid with the vendor's credits.
    let billed = match inbound.param("billing") {
        None | Some("all" | "eden") => true,
        Some("own_keys") => false,
        Some(_) => return Err(one("billing", "billing must be one of eden, own_keys, all.")),
    };
    let spent = counted(ctx)
        .filter(|spent| billed && is("key_id", Some(&spent.key_id)) && is("user", spent.member.as_deref()));
    let usage = match inbound.param("group_by") {
        None => by_token(spent, &range),
        Some("user") => by_user(spent, &range),
        Some(_) => return Err(one("group_by", "group_by must be user.")),
    };
    Ok(wire::json(200, &json!({ "usage": usage })))
}

/// Emulated calls have no phases, so a filter for one matches nothing.
fn counted<'a>(ctx: &'a RequestCtx<'_>) -> impl Iterator<Item = &'a Spent> {
    let inbound = ctx.inbound;
    ctx.world.usage.iter().filter(move |spent| {
        spent.organization == ctx.caller.organization
            && passes(spent, inbound)
            && inbound.param("phase").is_none()
    })
}

fn one(param: &str, message: &str) -> Refusal {
    Refusal::one(Complaint::new(param, message))
}
