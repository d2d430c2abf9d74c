//! Spending: one call for all keys of the proxy, by whole UTC days (§7).

use crate::gateway::entry;
use crate::gateway::http::{Call, LARGEST_EXPORT, Wire};
use crate::gateway::lenient;
use crate::gateway::paging::Paging;
use crate::plan::fault::Fault;
use crate::plan::usage::{Span, Spending};
use http::Method;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most that a page may have; 422 beyond (§7).
const PAGE_SIZE: &str = "1000";

#[derive(Default, Deserialize)]
struct Metrics {
    #[serde(default, deserialize_with = "lenient::micros")]
    spend: Option<u64>,
    #[serde(default)]
    api_requests: Option<u64>,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct Row {
    metrics: Metrics,
    #[serde(flatten)]
    _object: (),
}

fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).date().to_string()
}

/// What each key spent.
pub(super) async fn by_key(wire: &Wire, span: &Span) -> Result<Vec<Spending>, Fault> {
    let last = span.until.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(span.until);
    let (since, until) = (day(span.since), day(last.max(span.since)));
    let mut sums: BTreeMap<String, Spending> = BTreeMap::new();
    let mut paging = Paging::begin();
    for number in 1_u64.. {
        let page = number.to_string();
        let query = [
            ("start_date", since.as_str()),
            ("end_date", until.as_str()),
            ("page_size", PAGE_SIZE),
            ("page", page.as_str()),
        ];
        let path = ["user", "daily", "activity"];
        let call = Call { query: &query, limit: LARGEST_EXPORT, ..Call::new(Method::GET, &path) };
        let answer = wire.send(call).await?;
        let mut body: Map<String, Value> = answer.read()?;
        let days = entry::list(&mut body, "results")?;
        paging.page(&answer, days.len())?;
        for day in &days {
            add(&mut sums, day)?;
        }
        let more = body.get("metadata").and_then(|it| it.get("has_more")).and_then(Value::as_bool);
        if more != Some(true) {
            break;
        }
    }
    Ok(sums.into_values().collect())
}

/// Adds a day. Ids that never were keys are listed, too, and cost nothing.
fn add(sums: &mut BTreeMap<String, Spending>, day: &Value) -> Result<(), Fault> {
    let keys = day.pointer("/breakdown/api_keys").and_then(Value::as_object);
    let keys = keys.ok_or(entry::malformed(None, "results"))?;
    for (id, row) in keys {
        let row = Row::deserialize(row).map_err(|_| entry::malformed(None, "results"))?;
        let micros = row.metrics.spend.ok_or(entry::malformed(None, "spend"))?;
        let sum =
            sums.entry(id.clone()).or_insert_with(|| Spending { key: id.clone(), ..Spending::default() });
        sum.micros = sum.micros.saturating_add(micros);
        sum.calls = sum.calls.unwrap_or(0).checked_add(row.metrics.api_requests.unwrap_or(0));
    }
    Ok(())
}
