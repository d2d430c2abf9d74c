//! Provider credentials: R9.

use serde_json::{Value, json};

use super::console::{Answer, RequestCtx};
use super::keys::stamp;
use super::record::ProviderKeyRecord;
use super::refusal::Refusal;
use super::switches::Switches;
use crate::emulator::fields::{Fields, Given};
use crate::emulator::secret::{last_four, uuid};
use crate::emulator::wire;

const NAME_LIMIT: usize = 255;
const LARGEST_PAGE: usize = 100;
/// The most keys that a credential may be restricted to.
const MOST_HASHES: usize = 100;

fn shown(record: &ProviderKeyRecord, switches: &Switches) -> Value {
    json!({
        "id": record.id,
        "provider": record.provider,
        "name": record.name,
        "label": format!("sk-...{}", last_four(&record.key)),
        "disabled": record.disabled,
        "is_fallback": false,
        "allowed_api_key_hashes": record.allowed,
        "allowed_models": null,
        "allowed_user_ids": null,
        "sort_order": record.serial,
        "workspace_id": record.workspace,
        "created_at": stamp(record.created_at, switches),
    })
}

fn check_name(fields: &mut Fields, name: &Given<String>) {
    if matches!(name, Given::Value(name) if name.chars().count() > NAME_LIMIT) {
        fields.complain("name", format!("name must have at most {NAME_LIMIT} characters."));
    }
}

/// The list of keys, of which there must be 1 to 100, all of this account.
fn check_allowed(ctx: &RequestCtx<'_>, fields: &mut Fields, allowed: &Given<Vec<String>>) {
    let Given::Value(hashes) = allowed else { return };
    let foreign = |hash: &String| ctx.world.key_of(&ctx.account, hash, ctx.moment.now).is_none();
    if hashes.is_empty() || hashes.len() > MOST_HASHES || hashes.iter().any(foreign) {
        fields.complain("allowed_api_key_hashes", "must be 1 to 100 hashes of keys of this account.");
    }
}

/// Creates a credential.
pub(super) fn create(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut fields = Fields::parse(&ctx.inbound.body);
    let provider = fields.required_text("provider");
    let key = fields.required_text("key");
    let name = fields.text("name");
    check_name(&mut fields, &name);
    let allowed = fields.texts("allowed_api_key_hashes");
    check_allowed(ctx, &mut fields, &allowed);
    let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !provider.chars().all(slug) {
        fields.complain("provider", "Invalid option");
    }
    let workspace = fields.text("workspace_id").value();
    fields.finish().map_err(Refusal::invalid)?;
    let workspace = ctx.workspace(workspace.as_deref())?;
    let serial = ctx.world.provider_keys.next_serial();
    let record = ctx.world.provider_keys.insert(ProviderKeyRecord {
        serial,
        id: uuid(&format!("provider key {serial}")),
        provider,
        name: name.value(),
        key,
        allowed: allowed.value(),
        disabled: false,
        created_at: ctx.moment.now,
        workspace,
    });
    Ok(wire::json(201, &json!({ "data": shown(&record, &ctx.world.switches) })))
}

/// Lists credentials, oldest first.
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    let workspace = ctx.workspace(ctx.inbound.param("workspace_id"))?;
    let number =
        |name: &str, default: usize| ctx.inbound.param(name).map_or(Some(default), |it| it.parse().ok());
    let (Some(limit @ 1..=LARGEST_PAGE), Some(offset)) = (number("limit", 50), number("offset", 0)) else {
        return Err(Refusal::error(400, "Invalid request parameters"));
    };
    let listed = ctx.world.provider_keys.listed(&workspace, ctx.moment);
    let page = listed.iter().rev().skip(offset).take(limit);
    let data: Vec<_> = page.map(|it| shown(it, &ctx.world.switches)).collect();
    Ok(wire::json(200, &json!({ "data": data, "total_count": listed.len() })))
}

fn own<'a>(ctx: &'a RequestCtx<'_>) -> Result<&'a ProviderKeyRecord, Refusal> {
    let record = ctx.world.provider_keys.get(ctx.id);
    let own = record.filter(|it| ctx.world.has_workspace(&ctx.account, &it.workspace));
    own.ok_or_else(Refusal::not_found)
}

/// Shows a credential.
pub(super) fn get(ctx: &mut RequestCtx<'_>) -> Answer {
    Ok(wire::json(200, &json!({ "data": shown(own(ctx)?, &ctx.world.switches) })))
}

/// Changes a credential; the provider and the workspace do not change.
pub(super) fn update(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut record = own(ctx)?.clone();
    let mut fields = Fields::parse(&ctx.inbound.body);
    let name = fields.text("name");
    check_name(&mut fields, &name);
    let allowed = fields.texts("allowed_api_key_hashes");
    check_allowed(ctx, &mut fields, &allowed);
    let (key, disabled) = (fields.text_if_given("key"), fields.flag("disabled").value());
    fields.finish().map_err(Refusal::invalid)?;
    name.amend_option(&mut record.name);
    allowed.amend_option(&mut record.allowed);
    record.key = key.unwrap_or(record.key);
    record.disabled = disabled.unwrap_or(record.disabled);
    let record = ctx.world.provider_keys.insert(record);
    Ok(wire::json(200, &json!({ "data": shown(&record, &ctx.world.switches) })))
}

/// Deletes a credential.
pub(super) fn delete(ctx: &mut RequestCtx<'_>) -> Answer {
    let id = own(ctx)?.id.clone();
    ctx.world.provider_keys.remove(&id, ctx.moment.now);
    Ok(wire::json(200, &json!({ "deleted": true })))
}
