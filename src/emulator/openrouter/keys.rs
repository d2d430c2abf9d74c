//! Keys: R1 to R5. A secret is shown once.

use bytes::Bytes;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::console::{Answer, RequestCtx};
use super::record::KeyRecord;
use super::refusal::Refusal;
use super::switches::Switches;
use super::world::World;
use crate::emulator::calendar::Period;
use crate::emulator::fields::{Fields, Given};
use crate::emulator::secret::last_four;
use crate::emulator::wire::{self, Inbound, Reply};

/// The least time from now to an expiry (§9).
const LEAST_LIFE: SignedDuration = SignedDuration::from_mins(1);

#[expect(clippy::cast_precision_loss, reason = "2^53 millionths are more money than there is")]
fn usd(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as-casts of floats saturate")]
fn micros(usd: f64) -> u64 {
    (usd * 1_000_000.0).round() as u64
}

/// A time as the API shows it.
pub(super) fn stamp(at: Timestamp, switches: &Switches) -> String {
    if switches.offset_times {
        return at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
    }
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A key as every answer shows it (§3).
fn shown(key: &KeyRecord, switches: &Switches, now: Timestamp) -> Value {
    let stamp = |at| stamp(at, switches);
    let masked = || format!("sk-or-v1-{}...{}", &key.hash[..3], last_four(&key.secret));
    let usage = |period| usd(key.usage(period, now));
    json!({
        "hash": key.hash,
        "name": key.name,
        "label": if switches.label_is_name { key.name.clone() } else { masked() },
        "disabled": key.disabled,
        "limit": key.limit.map(usd),
        "limit_remaining": key.remaining(now).map(usd),
        "limit_reset": key.limit_reset,
        "include_byok_in_limit": false,
        "usage": usage(None),
        "usage_daily": usage(Some(Period::Daily)),
        "usage_weekly": usage(Some(Period::Weekly)),
        "usage_monthly": usage(Some(Period::Monthly)),
        "byok_usage": 0,
        "byok_usage_daily": 0,
        "byok_usage_weekly": 0,
        "byok_usage_monthly": 0,
        "created_at": stamp(key.created_at),
        "updated_at": key.updated_at.map(stamp),
        "expires_at": key.expires_at.map(stamp),
        "creator_user_id": "user_emulated",
        "workspace_id": key.workspace,
    })
}

/// What a request says of a key that may change later.
struct Said {
    limit: Given<f64>,
    limit_reset: Given<Period>,
}

impl Said {
    fn read(fields: &mut Fields) -> Self {
        let amount = |value: &Value| value.as_f64().filter(|it| *it >= 0.0);
        let period = |value: &Value| serde_json::from_value(value.clone()).ok();
        Self {
            limit: fields.read("limit", "must be a non-negative number", amount),
            limit_reset: fields.read("limit_reset", "must be daily, weekly or monthly", period),
        }
    }

    fn put(self, key: &mut KeyRecord, switches: &Switches) {
        match self.limit {
            Given::Omitted => {}
            Given::Null => key.limit = None,
            Given::Value(usd) => {
                key.limit = Some(micros(usd)).filter(|it| *it > 0 || !switches.zero_is_no_limit);
            }
        }
        self.limit_reset.amend_option(&mut key.limit_reset);
    }
}

/// An expiry must be in UTC (§4).
fn expiry(fields: &mut Fields, now: Timestamp) -> Option<Timestamp> {
    let parse = |value: &Value| {
        let text = value.as_str().filter(|it| it.ends_with('Z'))?;
        text.parse::<Timestamp>().ok().filter(|at| at.duration_since(now) > LEAST_LIFE)
    };
    fields.read("expires_at", "must be a UTC timestamp in the future", parse).value()
}

/// R1.
pub(super) fn create(ctx: &mut RequestCtx<'_>) -> Answer {
    let now = ctx.moment.now;
    let mut fields = Fields::parse(&ctx.inbound.body);
    let name = fields.required_text("name");
    let said = Said::read(&mut fields);
    let expires_at = expiry(&mut fields, now);
    let workspace = fields.text("workspace_id").value();
    fields.finish().map_err(Refusal::invalid)?;
    let workspace = ctx.workspace(workspace.as_deref())?;
    let switches = ctx.world.switches.clone();
    let held = ctx.world.keys.iter().filter(|key| key.account == ctx.account).count();
    if switches.key_limit > 0 && held >= switches.key_limit {
        return Err(Refusal::error(switches.key_limit_status, "Maximum number of API keys reached"));
    }
    let mut key = ctx.world.new_key(&ctx.account, &workspace, &name, now);
    key.expires_at = expires_at;
    said.put(&mut key, &switches);
    ctx.world.counts.created_total += 1;
    let key = ctx.world.keys.insert(key);
    let mut data = shown(&key, &switches, now);
    if switches.secret_inside {
        data["key"] = json!(key.secret);
        return Ok(wire::json(201, &json!({ "data": data })));
    }
    Ok(wire::json(201, &json!({ "data": data, "key": key.secret })))
}

/// R2, all rows; `paged` cuts the page out. Keys that are off are left out unless they are asked for.
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    let now = ctx.moment.now;
    let workspace = ctx.workspace(ctx.inbound.param("workspace_id"))?;
    let all = ctx.inbound.param("include_disabled") == Some("true");
    let world: &World = ctx.world;
    let switches = &world.switches;
    let listed = world.keys.listed(&workspace, ctx.moment).into_iter();
    let kept = listed.filter(|key| (all || !key.disabled) && !world.vanished(key, now));
    let data: Vec<_> = kept.map(|key| shown(key, switches, now)).collect();
    Ok(wire::json(200, &json!({ "data": data })))
}

/// The page of a listing that the query asks for. It is cut after the fault rules, so that a listing without a key lacks it on
/// every page.
pub(in super::super) fn paged(world: &World, inbound: &Inbound, mut reply: Reply) -> Reply {
    let keys = inbound.segments_from(1) == ["v1", "keys"];
    if !keys || inbound.method != http::Method::GET || !reply.status().is_success() {
        return reply;
    }
    let offset = inbound.param("offset").map_or(Some(0), |it| it.parse::<usize>().ok());
    let Some(offset) = offset else {
        return Refusal::error(400, "Invalid offset").into_reply();
    };
    if let Ok(mut body) = serde_json::from_slice::<Value>(reply.body())
        && let Some(rows) = body["data"].as_array()
    {
        let page: Vec<_> = rows.iter().skip(offset).take(world.switches.page_size.max(1)).cloned().collect();
        body["data"] = json!(page);
        *reply.body_mut() = Bytes::from(body.to_string());
    }
    reply
}

fn own<'a>(ctx: &'a RequestCtx<'_>) -> Result<&'a KeyRecord, Refusal> {
    ctx.world.key_of(&ctx.account, ctx.id, ctx.moment.now).ok_or_else(Refusal::not_found)
}

/// R3.
pub(super) fn get(ctx: &mut RequestCtx<'_>) -> Answer {
    let data = shown(own(ctx)?, &ctx.world.switches, ctx.moment.now);
    Ok(wire::json(200, &json!({ "data": data })))
}

/// R4. The expiry and the workspace do not change.
pub(super) fn update(ctx: &mut RequestCtx<'_>) -> Answer {
    let now = ctx.moment.now;
    let mut key = own(ctx)?.clone();
    let mut fields = Fields::parse(&ctx.inbound.body);
    let name = fields.text_if_given("name");
    let disabled = fields.flag("disabled").value();
    let said = Said::read(&mut fields);
    fields.finish().map_err(Refusal::invalid)?;
    key.name = name.unwrap_or(key.name);
    key.disabled = disabled.unwrap_or(key.disabled);
    said.put(&mut key, &ctx.world.switches);
    key.updated_at = Some(now);
    let key = ctx.world.keys.insert(key);
    Ok(wire::json(200, &json!({ "data": shown(&key, &ctx.world.switches, now) })))
}

/// R5.
pub(super) fn delete(ctx: &mut RequestCtx<'_>) -> Answer {
    let hash = own(ctx)?.hash.clone();
    ctx.world.keys.remove(&hash, ctx.moment.now);
    ctx.world.counts.deleted_total += 1;
    Ok(wire::json(200, &json!({ "deleted": true })))
}
