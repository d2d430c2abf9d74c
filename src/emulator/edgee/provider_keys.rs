//! Provider credentials (BYOK): E8, E9, and the endpoints that the style of the API suggests (§1.10).

use serde_json::{Value, json};

use super::console::{Answer, RequestCtx};
use super::record::ProviderKeyRecord;
use super::refusal::Refusal;
use super::switches::Support;
use super::view;
use crate::emulator::fields::Fields;
use crate::emulator::wire;

const NAME_LIMIT: usize = 100;

/// §1.10. The answer has no `api_key_ids` and no `active`.
pub(super) fn create(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut fields = Fields::parse(&ctx.inbound.body);
    let provider = fields.required_text("provider");
    let provider_key = fields.required_text("provider_key");
    let name = fields.required_text("name");
    check_name(&mut fields, &name);
    check_credential(&mut fields, &provider, &provider_key);
    let api_key_ids = fields.texts("api_key_ids").value();
    if api_key_ids.is_none() {
        fields.complain("api_key_ids", "api_key_ids is required.");
    }
    fields.finish().map_err(Refusal::invalid)?;
    let serial = ctx.world.provider_keys.next_serial();
    let record = ctx.world.provider_keys.insert(ProviderKeyRecord {
        serial,
        id: format!("pk_{serial:06}"),
        organization: ctx.organization.to_owned(),
        provider,
        name,
        provider_key,
        api_key_ids: api_key_ids.unwrap_or_default(),
        active: true,
        created_at: ctx.moment.now,
        created_by: ctx.caller.user.clone(),
    });
    let mut body = view::provider_key(&record);
    if let Some(body) = body.as_object_mut() {
        body.retain(|name, _| name != "api_key_ids" && name != "active");
    }
    Ok(wire::json(ctx.world.switches.create_status, &body))
}

/// §1.10: a raw array.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    let bare = ctx.world.switches.bare_provider_keys;
    let show = |record: &ProviderKeyRecord| {
        if bare {
            json!({ "provider": record.provider, "active": record.active })
        } else {
            view::provider_key(record)
        }
    };
    let listed = ctx.world.provider_keys.listed(ctx.organization, ctx.moment);
    Ok(wire::json(200, &listed.into_iter().map(show).collect::<Vec<_>>()))
}

pub(super) fn get(ctx: &mut RequestCtx<'_>) -> Answer {
    if let Some(answer) = unsupported(ctx.world.switches.provider_key_get) {
        return answer;
    }
    Ok(wire::json(200, &view::provider_key(own(ctx)?)))
}

pub(super) fn update(ctx: &mut RequestCtx<'_>) -> Answer {
    if let Some(answer) = unsupported(ctx.world.switches.provider_key_update) {
        return answer;
    }
    let amended = amend(own(ctx)?.clone(), Fields::parse(&ctx.inbound.body))?;
    let body = view::provider_key(&amended);
    ctx.world.provider_keys.insert(amended);
    Ok(wire::json(200, &body))
}

pub(super) fn delete(ctx: &mut RequestCtx<'_>) -> Answer {
    if let Some(answer) = unsupported(ctx.world.switches.provider_key_delete) {
        return answer;
    }
    let id = own(ctx)?.id.clone();
    ctx.world.provider_keys.remove(&id, ctx.moment.now);
    if ctx.world.switches.delete_no_content {
        return Ok(wire::no_content());
    }
    Ok(wire::json(200, &json!({ "object": "provider_key", "id": id, "deleted": true })))
}

pub(super) fn unsupported(support: Support) -> Option<Answer> {
    match support {
        Support::Full => None,
        Support::UnknownPath => Some(Err(Refusal::not_found())),
        Support::DoesNothing => Some(Ok(wire::json(200, &json!({})))),
    }
}

fn own<'a>(ctx: &'a RequestCtx<'_>) -> Result<&'a ProviderKeyRecord, Refusal> {
    let record = ctx.world.provider_keys.get(ctx.id);
    record.filter(|record| record.organization == ctx.organization).ok_or_else(Refusal::not_found)
}

/// Empty credentials keep the stored ones (§1.10); the provider cannot change.
fn amend(mut record: ProviderKeyRecord, mut fields: Fields) -> Result<ProviderKeyRecord, Refusal> {
    if let Some(name) = fields.text_if_given("name") {
        check_name(&mut fields, &name);
        record.name = name;
    }
    if let Some(provider_key) = fields.text("provider_key").value().filter(|given| !given.is_empty()) {
        check_credential(&mut fields, &record.provider, &provider_key);
        record.provider_key = provider_key;
    }
    fields.texts("api_key_ids").amend(&mut record.api_key_ids);
    record.active = fields.flag("active").value().unwrap_or(record.active);
    fields.finish().map_err(Refusal::invalid)?;
    Ok(record)
}

fn check_name(fields: &mut Fields, name: &str) {
    if name.chars().count() > NAME_LIMIT {
        fields.complain("name", format!("name must have at most {NAME_LIMIT} characters."));
    }
}

/// Three providers take JSON in a string (§1.10 "Formats"). A complaint about a missing field has its name only.
fn check_credential(fields: &mut Fields, provider: &str, credential: &str) {
    let shaped: fn(&Value) -> bool = match provider {
        "google_vertex_ai" => is_service_account,
        "azure" => |value| has_texts(value, &["endpoint", "api_key"]),
        "bedrock" => is_by_region,
        _ => return,
    };
    if !credential.is_empty() && !serde_json::from_str(credential).is_ok_and(|value| shaped(&value)) {
        fields.complain("provider_key", format!("provider_key is no credential of {provider}."));
    }
}

fn is_service_account(value: &Value) -> bool {
    value["type"] == "service_account" && has_texts(value, &["project_id", "private_key"])
}

fn is_by_region(value: &Value) -> bool {
    let complete = |region: &Value| has_texts(region, &["access_key_id", "secret_access_key"]);
    value.as_object().is_some_and(|regions| !regions.is_empty() && regions.values().all(complete))
}

fn has_texts(value: &Value, names: &[&str]) -> bool {
    names.iter().all(|name| value[*name].as_str().is_some_and(|text| !text.is_empty()))
}
