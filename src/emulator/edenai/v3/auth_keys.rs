//! Auth keys, which an issuer mints (§2.6 to §2.8).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::console::{Answer, RequestCtx};
use super::record::{ManagementKey, Scope};
use super::refusal::Refusal;
use super::world::NewAuthKey;
use super::{paging, view};
use crate::emulator::edenai::kind;
use crate::emulator::fields::Fields;
use crate::emulator::wire;

/// Lists management keys without secrets; issuers are listed too.
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut listed = ctx.world.management.listed(&ctx.caller.organization, ctx.moment);
    let revoked = |key: &ManagementKey| view::late(key.revoked_at, ctx.moment);
    let switches = &ctx.world.switches;
    listed.retain(|key| switches.auth_keys_revoked || revoked(key).is_none());
    let show = |key: &ManagementKey| {
        view::management_key(&ManagementKey { revoked_at: revoked(key), ..key.clone() })
    };
    if switches.auth_keys_raw {
        let all: Vec<Value> = listed.into_iter().map(show).collect();
        return Ok(wire::json(200, &all));
    }
    Ok(wire::json(200, &paging::page(listed, ctx, show)?))
}

/// Mints an auth key. This is the only answer that shows the secret.
pub(super) fn mint(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut fields = Fields::parse(&ctx.inbound.body);
    let name = kind::parse_name(&mut fields);
    let scopes = parse_scopes(&mut fields);
    let expires_at = fields.time("expire_time").value();
    fields.finish().map_err(Refusal::Invalid)?;
    let organization = ctx.caller.organization.clone();
    let new = NewAuthKey { organization, name, scopes, expires_at };
    let key = ctx.world.mint_auth_key(new, ctx.moment.now);
    ctx.world.counts.minted_total += 1;
    let mut body = view::management_key(&key);
    body[ctx.world.switches.auth_key_secret.name()] = json!(key.secret);
    Ok(wire::json(ctx.world.switches.auth_key_status, &body))
}

/// Revokes an auth key. That is final, and succeeds a second time. Only the dashboard removes an issuer.
pub(super) fn delete(ctx: &mut RequestCtx<'_>) -> Answer {
    let (now, organization) = (ctx.moment.now, &ctx.caller.organization);
    let key = ctx.world.management.get_mut(ctx.id).filter(|key| key.organization == *organization);
    let key = key.ok_or_else(Refusal::not_found)?;
    if key.is_issuer() {
        return Err(Refusal::new(403, "An issuer key cannot be deleted here."));
    }
    key.revoked_at.get_or_insert(now);
    Ok(wire::no_content())
}

/// An issuer can never mint an issuer.
fn parse_scopes(fields: &mut Fields) -> BTreeSet<Scope> {
    let given = fields.texts("scopes").value().unwrap_or_default();
    let scopes: Option<BTreeSet<Scope>> = given
        .iter()
        .map(|name| match name.as_str() {
            "manage:read" => Some(Scope::Read),
            "manage:write" => Some(Scope::Write),
            _ => None,
        })
        .collect();
    scopes.filter(|scopes| !scopes.is_empty()).unwrap_or_else(|| {
        fields.complain("scopes", "scopes must be some of manage:read, manage:write.");
        BTreeSet::new()
    })
}
