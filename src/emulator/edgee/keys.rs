//! Gateway keys: E1 to E7.

use jiff::SignedDuration;
use serde_json::json;

use super::console::{Answer, RequestCtx};
use super::paging;
use super::provider_keys::unsupported;
use super::record::{KeyKind, KeyRecord, NewKey};
use super::refusal::Refusal;
use super::view::{self, Sight};
use crate::emulator::fields::Fields;
use crate::emulator::wire;

/// The assistants of the official client (§1.4). Create accepts any text, get-or-create only these (§1.9).
const ASSISTANTS: [&str; 9] = [
    "claude_code",
    "opencode",
    "codex",
    "claude_desktop",
    "codebuddy",
    "codex_desktop",
    "crush",
    "copilot",
    "cursor",
];

/// §1.4. `active` and `debug_mode` are not create fields, so they are ignored like any unknown one.
pub(super) fn create(ctx: &mut RequestCtx<'_>) -> Answer {
    let new = parse_new(Fields::parse(&ctx.inbound.body))?;
    let taken = || ctx.world.keys.within(ctx.organization).any(|key| key.name == new.name);
    if ctx.world.switches.unique_names && taken() {
        return Err(Refusal::of_status(409));
    }
    let key = ctx.world.mint_key(ctx.organization, new, ctx.moment.now);
    ctx.world.counts.created_total += 1;
    let switches = &ctx.world.switches;
    Ok(wire::json(switches.create_status, &view::key(&key, switches, Sight::Revealed)))
}

/// §1.5.
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    let listed = ctx.world.keys.listed(ctx.organization, ctx.moment);
    let switches = &ctx.world.switches;
    let show = |key: &KeyRecord| view::key(key, switches, Sight::Hidden);
    if switches.raw_list {
        let all: Vec<_> = listed.into_iter().map(show).collect();
        return Ok(wire::json(200, &all));
    }
    let page = paging::page(listed, ctx)?;
    Ok(wire::json(200, &page.envelope(ctx.inbound.vendor_path(), show)))
}

/// §1.5.
pub(super) fn get(ctx: &mut RequestCtx<'_>) -> Answer {
    let key = own(ctx)?;
    Ok(wire::json(200, &view::key(key, &ctx.world.switches, Sight::Hidden)))
}

/// §1.6. Immutable and unknown fields are accepted and ignored, which is why a client has to read back.
pub(super) fn update(ctx: &mut RequestCtx<'_>) -> Answer {
    own(ctx)?;
    let mut fields = Fields::parse(&ctx.inbound.body);
    for name in &ctx.world.switches.ignored_updates {
        fields.ignore(name);
    }
    let amended = amend(own(ctx)?.clone(), fields)?;
    ctx.world.keys.insert(amended);
    get(ctx)
}

/// §1.7.
pub(super) fn delete(ctx: &mut RequestCtx<'_>) -> Answer {
    let id = own(ctx)?.id.clone();
    ctx.world.keys.remove(&id, ctx.moment.now);
    ctx.world.counts.deleted_total += 1;
    if ctx.world.switches.delete_no_content {
        return Ok(wire::no_content());
    }
    Ok(wire::json(200, &json!({ "object": "ai_gateway_api_key", "id": id, "deleted": true })))
}

/// §1.8.
pub(super) fn reveal(ctx: &mut RequestCtx<'_>) -> Answer {
    own(ctx)?;
    if let Some(answer) = unsupported(ctx.world.switches.reveal) {
        return answer;
    }
    ctx.world.counts.reveals_total += 1;
    let key = own(ctx)?;
    if ctx.world.switches.reveal_key_only {
        return Ok(wire::json(200, &json!({ "key": key.secret })));
    }
    Ok(wire::json(200, &view::key(key, &ctx.world.switches, Sight::Revealed)))
}

/// §1.9: one key per console token and assistant, whatever its state.
pub(super) fn get_or_create(ctx: &mut RequestCtx<'_>) -> Answer {
    let assistant = parse_assistant(Fields::parse(&ctx.inbound.body))?;
    let known = ctx.world.keys.within(ctx.organization).find(|key| {
        key.owner.as_ref() == Some(&ctx.caller.id) && key.coding_assistant.as_ref() == Some(&assistant)
    });
    let (key, created) = match known.cloned() {
        Some(key) => (key, false),
        None => (mint_for(ctx, assistant), true),
    };
    let mut body = view::key(&key, &ctx.world.switches, Sight::Revealed);
    body["created"] = json!(created);
    Ok(wire::json(200, &body))
}

fn mint_for(ctx: &mut RequestCtx<'_>, assistant: String) -> KeyRecord {
    ctx.world.counts.created_total += 1;
    let new = NewKey {
        kind: KeyKind::CodingAgent,
        owner: Some(ctx.caller.id.clone()),
        ..NewKey::named(&assistant)
    };
    ctx.world.mint_key(ctx.organization, NewKey { coding_assistant: Some(assistant), ..new }, ctx.moment.now)
}

/// The key in the path, if it belongs to the organization in the path.
fn own<'a>(ctx: &'a RequestCtx<'_>) -> Result<&'a KeyRecord, Refusal> {
    let key = ctx.world.keys.get(ctx.id).filter(|key| key.organization == ctx.organization);
    key.ok_or_else(Refusal::not_found)
}

fn parse_new(mut fields: Fields) -> Result<NewKey, Refusal> {
    let mut new = NewKey::named(&fields.required_text("name"));
    new.kind = parse_kind(&mut fields);
    // An assistant given with a plain key is dropped, because only coding agents show one.
    if new.kind == KeyKind::CodingAgent {
        new.coding_assistant = Some(fields.required_text("coding_assistant"));
    }
    new.models = fields.texts("models").value().unwrap_or_default();
    new.max_usage = fields.amount("max_usage").value();
    new.email = fields.text("email").value();
    new.lifetime = parse_lifetime(&mut fields);
    fields.finish().map_err(Refusal::invalid)?;
    Ok(new)
}

fn parse_kind(fields: &mut Fields) -> KeyKind {
    match fields.text("type").value().as_deref() {
        None | Some("api") => KeyKind::Api,
        Some("coding_agent") => KeyKind::CodingAgent,
        Some(_) => {
            fields.complain("type", "Must be one of api, coding_agent.");
            KeyKind::Api
        }
    }
}

/// The limit is a century: a time far beyond it cannot be written in RFC 3339.
fn parse_lifetime(fields: &mut Fields) -> Option<SignedDuration> {
    const MOST: i64 = 36_500;
    let days = fields.positive("expires_in_days").value()?;
    if days > MOST {
        fields.complain("expires_in_days", format!("expires_in_days must be at most {MOST}."));
    }
    Some(SignedDuration::from_hours(days.min(MOST) * 24))
}

fn parse_assistant(mut fields: Fields) -> Result<String, Refusal> {
    let assistant = fields.required_text("coding_assistant");
    if !assistant.is_empty() && !ASSISTANTS.contains(&assistant.as_str()) {
        fields.complain("coding_assistant", format!("Must be one of {}.", ASSISTANTS.join(", ")));
    }
    fields.finish().map_err(Refusal::invalid)?;
    Ok(assistant)
}

/// Null clears an optional field; an absent field stays as it is.
fn amend(mut key: KeyRecord, mut fields: Fields) -> Result<KeyRecord, Refusal> {
    if let Some(name) = fields.text_if_given("name") {
        key.name = name;
    }
    key.active = fields.flag("active").value().unwrap_or(key.active);
    key.debug_mode = fields.flag("debug_mode").value().unwrap_or(key.debug_mode);
    fields.texts("models").amend(&mut key.models);
    fields.amount("max_usage").amend_option(&mut key.max_usage);
    fields.text("email").amend_option(&mut key.email);
    fields.finish().map_err(Refusal::invalid)?;
    Ok(key)
}
