//! Auth keys, which an issuer mints (§2.6 to §2.8).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::console::{Answer, Desk};
use super::record::{ManagementKey, Scope};
use super::refusal::Refusal;
use super::world::NewAuthKey;
use super::{paging, view};
use crate::emulator::edenai::kind;
use crate::emulator::fields::Fields;
use crate::emulator::wire;

/// Lists management keys without secrets; issuers are listed too.
pub(super) fn list(desk: &mut Desk<'_>) -> Answer {
    let mut listed = desk.world.management.listed(&desk.caller.organization, desk.moment);
    let revoked = |key: &ManagementKey| view::late(key.revoked_at, desk.moment);
    let switches = &desk.world.switches;
    listed.retain(|key| switches.auth_keys_revoked || revoked(key).is_none());
    let show = |key: &ManagementKey| {
        view::management_key(&ManagementKey { revoked_at: revoked(key), ..key.clone() })
    };
    if switches.auth_keys_raw {
        let all: Vec<Value> = listed.into_iter().map(show).collect();
        return Ok(wire::json(200, &all));
    }
    Ok(wire::json(200, &paging::page(listed, desk, show)?))
}

/// Mints an auth key. This is the only answer that shows the secret.
pub(super) fn mint(desk: &mut Desk<'_>) -> Answer {
    let mut fields = Fields::parse(&desk.inbound.body);
    let name = kind::parse_name(&mut fields);
    let scopes = parse_scopes(&mut fields);
    let expires_at = fields.time("expire_time").value();
    fields.finish().map_err(Refusal::Invalid)?;
    let organization = desk.caller.organization.clone();
    let new = NewAuthKey { organization, name, scopes, expires_at };
    let key = desk.world.mint_auth_key(new, desk.moment.now);
    desk.world.counts.minted_total += 1;
    let mut body = view::management_key(&key);
    body[desk.world.switches.auth_key_secret.name()] = json!(key.secret);
    Ok(wire::json(desk.world.switches.auth_key_status, &body))
}

/// Revokes an auth key. That is final, and succeeds a second time. Only the dashboard removes an issuer.
pub(super) fn delete(desk: &mut Desk<'_>) -> Answer {
    let (now, organization) = (desk.moment.now, &desk.caller.organization);
    let key = desk.world.management.get_mut(desk.id).filter(|key| key.organization == *organization);
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
