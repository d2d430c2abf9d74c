//! Project settings: C4 and C5. A PUT replaces the settings: a field that is left out is gone.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::console::{Answer, RequestCtx};
use super::record::{ProjectRecord, Role};
use super::refusal::Refusal;
use super::switches::Switches;
use crate::emulator::fields::Fields;
use crate::emulator::wire;

/// Fields that a caller sends back and the server does not change.
const FIXED: [&str; 4] = ["_id", "project_id", "created_at", "updated_at"];
/// The fields of the former documentation page (§3.3).
const LEGACY: [&str; 2] = ["active", "schema_version"];

/// C4.
pub(super) fn get(ctx: &mut RequestCtx<'_>) -> Answer {
    Ok(wire::json(200, &show(&ctx.owner().project, own(ctx)?, &ctx.world.switches)))
}

/// C5.
pub(super) fn put(ctx: &mut RequestCtx<'_>) -> Answer {
    let current = own(ctx)?.clone();
    let role = ctx.owner().role;
    let open = current.allow_overwrite();
    if role == Role::Outsider || (role == Role::Member && !open) {
        return Err(Refusal::new(403, "Only project admins may change these settings"));
    }
    let update = parse(&ctx.inbound.body, &ctx.world.switches)?;
    if role == Role::Member && update.allow_overwrite.is_some_and(|wanted| wanted != open) {
        return Err(Refusal::new(403, "Only project admins may change allow_overwrite"));
    }
    if ctx.world.switches.optimistic_locking && update.updated_at != millis(current.updated_at) {
        return Err(Refusal::new(409, "The settings were changed meanwhile"));
    }
    let fields = replace(&current, update, &ctx.world.switches);
    let project = ProjectRecord { updated_at: ctx.moment.now, fields, ..current };
    ctx.world.projects.insert(ctx.caller.owner.project.clone(), project);
    Ok(wire::json(200, &json!({ "success": true })))
}

/// The content of a PUT.
struct Update {
    updated_at: Timestamp,
    allow_overwrite: Option<bool>,
    fields: Map<String, Value>,
}

fn parse(body: &[u8], switches: &Switches) -> Result<Update, Refusal> {
    let mut fields = Fields::parse(body);
    let mut times = ["created_at", "updated_at"].map(|name| {
        fields.required_text(name);
        fields.time(name).value()
    });
    let allow_overwrite = fields.flag("allow_overwrite").value();
    let active = fields.flag("active").value();
    if switches.legacy_settings && active.is_none() {
        fields.complain("active", "active is required.");
    }
    check_inference(&mut fields);
    fields.finish().map_err(Refusal::invalid)?;
    // Apart from invalid fields, the body has to be an object with both times.
    let fields = serde_json::from_slice(body).unwrap_or_default();
    Ok(Update { updated_at: times[1].take().unwrap_or_default(), allow_overwrite, fields })
}

fn check_inference(fields: &mut Fields) {
    let config = fields.read("inference_config", "must be an object", |value| value.as_object().cloned());
    let Some(config) = config.value() else {
        return;
    };
    let mut config = Fields::of(config);
    config.texts("allowed_providers");
    config.texts("blacklisted_models");
    config.flag("eu_native");
    config.flag("include_metadata");
    if let Some(preference) = config.text("preference").value()
        && !["speed", "cost", "balanced"].contains(&preference.as_str())
    {
        config.complain("preference", "preference must be one of speed, cost, balanced.");
    }
    for complaint in config.finish().err().unwrap_or_default() {
        fields.complain(&complaint.param, complaint.message);
    }
}

/// The settings after a PUT. Null and a missing field are the same.
fn replace(current: &ProjectRecord, update: Update, switches: &Switches) -> Map<String, Value> {
    let mut fields = update.fields;
    fields.retain(|name, value| !FIXED.contains(&name.as_str()) && !value.is_null());
    let mut keep = |name: &str| {
        if let Some(value) = current.fields.get(name) {
            fields.entry(name).or_insert_with(|| value.clone());
        }
    };
    keep("allow_overwrite");
    if switches.inference_config_kept {
        keep("inference_config");
    }
    if !switches.legacy_settings {
        for name in LEGACY {
            keep(name);
        }
    }
    fields
}

fn show(project: &str, record: &ProjectRecord, switches: &Switches) -> Value {
    let mut fields = record.fields.clone();
    let hidden = |name: &str| {
        (name == "inference_config" && !switches.inference_config_shown)
            || (LEGACY.contains(&name) && !switches.legacy_settings)
    };
    fields.retain(|name, _| !hidden(name));
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("_id", json!(format!("config_of_{project}")));
    put("project_id", json!(project));
    put("created_at", json!(shown(record.created_at)));
    put("updated_at", json!(shown(record.updated_at)));
    Value::Object(fields)
}

fn own<'a>(ctx: &'a RequestCtx<'_>) -> Result<&'a ProjectRecord, Refusal> {
    let project = ctx.world.projects.get(&ctx.caller.owner.project);
    project.ok_or_else(|| Refusal::new(404, "Project configuration not found"))
}

/// To the millisecond, as in the documentation's examples.
fn shown(at: Timestamp) -> String {
    format!("{:.3}", millis(at))
}

fn millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
