//! Spending at Eden AI, in the format that both of its APIs share (contract §2.9): by name of the key, day and
//! feature, in US dollars. Spending without a key is listed as `base_token`.

use crate::gateway::http::{Call, LARGEST_EXPORT, Wire};
use crate::gateway::lenient;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::usage::{Span, Spending};
use http::Method;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One entry per day; the last entry of a key is its last use.
const DAILY: &str = "1";

#[derive(Deserialize)]
struct Costs {
    #[serde(alias = "response")]
    usage: Vec<OfKey>,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct OfKey {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    data: BTreeMap<String, BTreeMap<String, Cost>>,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "named by the vendor")]
struct Cost {
    #[serde(default, deserialize_with = "lenient::micros")]
    total_cost: Option<u64>,
    #[serde(default)]
    details: Option<f64>,
    #[serde(flatten)]
    _object: (),
}

/// What all keys of the account spent within the span, by one call.
pub async fn spent(wire: &Wire, path: &[&str], span: &Span) -> Result<Vec<Spending>, Fault> {
    let (begin, end) = span.days();
    let (begin, end) = (begin.to_string(), end.to_string());
    let query = [("begin", begin.as_str()), ("end", end.as_str()), ("step", DAILY)];
    let call = Call { query: &query, limit: LARGEST_EXPORT, slash: true, ..Call::new(Method::GET, path) };
    let costs: Costs = wire.send(call).await?.read()?;
    costs.usage.into_iter().map(sum).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as-casts of floats saturate")]
fn sum(of: OfKey) -> Result<Spending, Fault> {
    let mut sum = Spending { key: of.token.unwrap_or_default(), ..Spending::default() };
    for (day, features) in of.data {
        let malformed = || Fault::without_effect(FaultKind::Malformed("a day of the costs is no date"));
        let date: jiff::civil::Date = day.get(..10).unwrap_or(&day).parse().map_err(|_| malformed())?;
        let at: Option<Timestamp> = date.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp());
        let counts = features.values().map(|cost| cost.details.unwrap_or(0.0) as u64);
        let calls = counts.fold(0, u64::saturating_add);
        for cost in features.values() {
            sum.micros = sum.micros.saturating_add(cost.total_cost.unwrap_or(0));
        }
        sum.calls = Some(sum.calls.unwrap_or(0).saturating_add(calls));
        if calls > 0 {
            sum.last_used_at = sum.last_used_at.max(at);
        }
    }
    Ok(sum)
}
