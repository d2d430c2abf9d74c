//! E10: usage and cost per data-plane call (§1.11). The vendor documents the columns only; header spelling, JSON names
//! and the unit of cost (USD) are assumptions.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::console::{Answer, RequestCtx};
use super::record::UsageRecord;
use super::refusal::Refusal;
use crate::emulator::completion::provider_of;
use crate::emulator::wire::{self, stamp};

const HEADER: &str = "Timestamp,API Key,Model,Provider,Input Tokens,Output Tokens,Cost,Tags\n";

pub(super) fn export(ctx: &mut RequestCtx<'_>) -> Answer {
    let (from, to) = range(ctx)?;
    let keys = ctx.inbound.params("api_key_id[]");
    let tags = ctx.inbound.params("tags[]");
    let ids = ctx.world.switches.export_key_ids;
    let records = ctx.world.usage.iter().filter(|record| {
        record.organization == ctx.organization
            && (from..=to).contains(&record.at)
            && (keys.is_empty() || keys.contains(&record.key_id.as_str()))
            && (tags.is_empty() || record.tags.iter().any(|tag| tags.contains(&tag.as_str())))
    });
    match ctx.inbound.param("format") {
        None | Some("csv") => {
            let rows: String = records.map(|record| row(record, ids)).collect();
            Ok(wire::bytes(200, "text/csv; charset=utf-8", format!("{HEADER}{rows}")))
        }
        Some("json") => Ok(wire::json(200, &records.map(|record| entry(record, ids)).collect::<Vec<_>>())),
        Some(_) => Err(Refusal::invalid_param("format", "Must be one of csv, json.")),
    }
}

/// Dates override the period.
fn range(ctx: &RequestCtx<'_>) -> Result<(Timestamp, Timestamp), Refusal> {
    let (from, to) = (ctx.inbound.param("from_date"), ctx.inbound.param("to_date"));
    let now = ctx.moment.now;
    if from.is_none() && to.is_none() {
        let period = period(ctx.inbound.param("period").unwrap_or("24h"))?;
        return Ok((now.checked_sub(period).unwrap_or(Timestamp::MIN), now));
    }
    let first = from.map_or(Ok(Timestamp::MIN), |text| instant("from_date", text, Time::midnight()))?;
    let last = to.map_or(Ok(now), |text| instant("to_date", text, Time::MAX))?;
    Ok((first, last))
}

fn period(text: &str) -> Result<SignedDuration, Refusal> {
    let hours = match text {
        "1h" => 1,
        "24h" => 24,
        "7d" => 7 * 24,
        "30d" => 30 * 24,
        _ => {
            return Err(Refusal::invalid_param("period", "Must be one of 1h, 24h, 7d, 30d."));
        }
    };
    Ok(SignedDuration::from_hours(hours))
}

/// A time, or a date that stands for its first or its last instant.
fn instant(param: &str, text: &str, of_day: Time) -> Result<Timestamp, Refusal> {
    let date = text.parse::<Date>().ok().filter(|_| !text.contains(['T', ' ']));
    let of_date = date.and_then(|date| date.to_datetime(of_day).to_zoned(TimeZone::UTC).ok());
    of_date
        .map(|zoned| zoned.timestamp())
        .or_else(|| text.parse().ok())
        .ok_or_else(|| Refusal::invalid_param(param, format!("{param} must be an ISO date.")))
}

fn key_label(record: &UsageRecord, ids: bool) -> &str {
    if ids { &record.key_id } else { &record.key_name }
}

fn row(record: &UsageRecord, ids: bool) -> String {
    let columns = [
        stamp(record.at),
        quoted(key_label(record, ids)),
        quoted(&record.model),
        quoted(provider_of(&record.model)),
        record.input_tokens.to_string(),
        record.output_tokens.to_string(),
        usd(record.cost_micros),
        quoted(&record.tags.join(",")),
    ];
    columns.join(",") + "\n"
}

fn entry(record: &UsageRecord, ids: bool) -> Value {
    json!({
        "timestamp": stamp(record.at),
        "api_key": key_label(record, ids),
        "model": record.model,
        "provider": provider_of(&record.model),
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cost": usd(record.cost_micros).parse::<f64>().unwrap_or_default(),
        "tags": record.tags,
    })
}

fn usd(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// RFC 4180.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
