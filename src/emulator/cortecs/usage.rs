//! Usage: C7. The path and the names of the figures are a guess, because no stored page shows them (§3.3).

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::console::{Answer, RequestCtx, eur};
use super::record::UsageRecord;
use super::refusal::Refusal;
use crate::emulator::calendar::{Stretch, day, midnight};
use crate::emulator::completion::provider_of;
use crate::emulator::wire::{self, stamp};

/// The span of a row.
#[derive(Clone, Copy)]
enum Bucket {
    Hours(i64),
    Stretch(Stretch),
}

/// The sums of one row.
#[derive(Default)]
struct Sums {
    requests: u64,
    input_tokens: u64,
    output_tokens: u64,
    cost_micros: u64,
}

pub(super) fn report(ctx: &mut RequestCtx<'_>) -> Answer {
    if !ctx.world.switches.usage {
        return Err(Refusal::not_found());
    }
    let now = ctx.moment.now;
    let from = instant(ctx, "from")?.unwrap_or_else(|| midnight(day(now)));
    let until = instant(ctx, "until")?.unwrap_or(now);
    let bucket = ctx.inbound.param("bucket").unwrap_or("1d");
    let group_by = ctx.inbound.param("group_by").unwrap_or("none");
    let (width, keys) = (width(bucket)?, keys(group_by)?);
    let mut rows: BTreeMap<(Timestamp, Vec<String>), Sums> = BTreeMap::new();
    let project = &ctx.owner().project;
    let counted = |record: &&UsageRecord| record.project == *project && (from..=until).contains(&record.at);
    for record in ctx.world.usage.iter().filter(counted) {
        let group = keys.iter().map(|key| value_of(record, key)).collect();
        rows.entry((width.start(record.at), group)).or_default().add(record);
    }
    let rows: Vec<Value> = rows.iter().map(|((start, group), sums)| row(*start, keys, group, sums)).collect();
    Ok(wire::json(
        200,
        &json!({
            "from": stamp(from),
            "until": stamp(until),
            "bucket": bucket,
            "group_by": group_by,
            "rows": rows,
        }),
    ))
}

impl Bucket {
    fn start(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Hours(hours) => {
                let width = hours * 3600;
                let start = at.as_second().div_euclid(width) * width;
                Timestamp::from_second(start).unwrap_or(at)
            }
            Self::Stretch(stretch) => midnight(stretch.start(day(at))),
        }
    }
}

impl Sums {
    fn add(&mut self, record: &UsageRecord) {
        self.requests += 1;
        self.input_tokens = self.input_tokens.saturating_add(record.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(record.output_tokens);
        self.cost_micros = self.cost_micros.saturating_add(record.cost_micros);
    }
}

fn row(start: Timestamp, keys: &[&str], group: &[String], sums: &Sums) -> Value {
    let mut row = Map::new();
    row.insert("bucket".to_owned(), json!(stamp(start)));
    row.extend(keys.iter().zip(group).map(|(key, value)| ((*key).to_owned(), json!(value))));
    row.insert("requests".to_owned(), json!(sums.requests));
    row.insert("input_tokens".to_owned(), json!(sums.input_tokens));
    row.insert("output_tokens".to_owned(), json!(sums.output_tokens));
    row.insert("tokens".to_owned(), json!(sums.input_tokens.saturating_add(sums.output_tokens)));
    row.insert("cost".to_owned(), json!(eur(i64::try_from(sums.cost_micros).unwrap_or(i64::MAX))));
    Value::Object(row)
}

fn value_of(record: &UsageRecord, key: &str) -> String {
    match key {
        "user_id" => record.user.clone(),
        "key_name" => record.key_name.clone(),
        "model" => record.model.clone(),
        _ => provider_of(&record.model).to_owned(),
    }
}

fn keys(group_by: &str) -> Result<&'static [&'static str], Refusal> {
    match group_by {
        "none" => Ok(&[]),
        "user" => Ok(&["user_id"]),
        "user_key" => Ok(&["user_id", "key_name"]),
        "model" => Ok(&["model"]),
        "provider" => Ok(&["provider"]),
        _ => Err(Refusal::bad("group_by must be one of none, user, user_key, model, provider")),
    }
}

fn width(bucket: &str) -> Result<Bucket, Refusal> {
    match bucket {
        "1h" => Ok(Bucket::Hours(1)),
        "6h" => Ok(Bucket::Hours(6)),
        "1d" => Ok(Bucket::Stretch(Stretch::Day)),
        "1w" => Ok(Bucket::Stretch(Stretch::Week)),
        "1M" => Ok(Bucket::Stretch(Stretch::Month)),
        "1Y" => Ok(Bucket::Stretch(Stretch::Year)),
        _ => Err(Refusal::bad("bucket must be one of 1h, 6h, 1d, 1w, 1M, 1Y")),
    }
}

/// A time, or a date that stands for its first instant.
fn instant(ctx: &RequestCtx<'_>, name: &str) -> Result<Option<Timestamp>, Refusal> {
    let read = |text: &str| {
        let date = text.parse::<Date>().ok().filter(|_| !text.contains(['T', ' '])).map(midnight);
        date.or_else(|| text.parse().ok()).ok_or_else(|| Refusal::bad(format!("{name} must be an ISO time")))
    };
    ctx.inbound.param(name).map(read).transpose()
}
