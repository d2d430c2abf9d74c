//! Distorted listings: without some keys, or with rows that no key has.

use bytes::Bytes;
use serde_json::{Value, json};

use super::faults::Listing;
use super::wire::Reply;

/// The fields in which vendors list rows, unless the listing is a bare array.
const ROWS: [&str; 4] = ["data", "results", "api_keys", "keys"];
/// The fields in which vendors show ids and names of keys.
const NAMES: [&str; 5] = ["id", "name", "token", "key_alias", "hash"];
/// The fields in which vendors count the rows.
const TOTALS: [&str; 2] = ["total_count", "count"];

/// Applies the fault rules to the answer of a listing. Any other answer stays as it is.
pub(super) fn listing(mut reply: Reply, rules: &Listing) -> Reply {
    if !reply.status().is_success() || (!rules.hides_all && rules.hidden.is_empty() && rules.extra.is_empty())
    {
        return reply;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(reply.body()) else {
        return reply;
    };
    let Some(rows) = rows(&mut body) else {
        return reply;
    };
    let before = rows.len();
    rows.retain(|row| !hides(rules, row));
    let hidden = before - rows.len();
    rows.extend(rules.extra.iter().cloned());
    let added = rules.extra.len();
    for total in TOTALS {
        if let Some(count) = body.get(total).and_then(Value::as_u64) {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            body[total] = json!(count.saturating_sub(hidden).saturating_add(added));
        }
    }
    *reply.body_mut() = Bytes::from(body.to_string());
    reply
}

fn rows(body: &mut Value) -> Option<&mut Vec<Value>> {
    if body.is_array() {
        return body.as_array_mut();
    }
    let name = ROWS.iter().find(|name| body.get(**name).is_some_and(Value::is_array))?;
    body.get_mut(*name)?.as_array_mut()
}

fn hides(rules: &Listing, row: &Value) -> bool {
    let named = |field: &str| row[field].as_str().is_some_and(|it| rules.hidden.iter().any(|key| key == it));
    rules.hides_all || NAMES.into_iter().any(named)
}
