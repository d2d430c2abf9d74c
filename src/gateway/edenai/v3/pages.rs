//! Listings of keys and of auth keys, page by page (contract §2.8). An offset is a number, not a row: rows that are
//! added or deleted between two pages shift the rows that follow.

use super::Key;
use crate::gateway::entry::{self, Read};
use crate::gateway::http::{Call, Wire};
use crate::gateway::lenient;
use crate::plan::fault::{Fault, FaultKind};
use http::Method;
use serde_json::{Map, Value};
use std::collections::HashSet;

const PAGE_SIZE: usize = 100;
/// Limit of pages: no organization has this many, so more are an endless loop.
const MOST_PAGES: usize = 1000;

/// The rows so far, each key once.
#[derive(Default)]
struct Rows {
    keys: Vec<Value>,
    seen: HashSet<String>,
    /// Number of rows returned so far, including duplicates.
    shown: usize,
}

impl Rows {
    /// Adds a page. Returns whether it had any new row.
    fn add(&mut self, page: Vec<Value>) -> bool {
        self.shown += page.len();
        let before = self.keys.len();
        let seen = &mut self.seen;
        self.keys.extend(page.into_iter().filter(|row| {
            match row["id"].as_str().filter(|id| lenient::is_id(id)) {
                Some(id) => seen.insert(id.to_owned()),
                None => true,
            }
        }));
        self.keys.len() > before
    }
}

fn malformed(what: &'static str) -> Fault {
    Fault::without_effect(FaultKind::Malformed(what))
}

/// `total_count`, or `count`, if the page has one.
fn total(page: &Map<String, Value>) -> Result<Option<usize>, Fault> {
    let of = |field: &'static str| match page.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let total = value.as_u64().and_then(|it| usize::try_from(it).ok());
            total.map(Some).ok_or(entry::malformed(None, field))
        }
    };
    Ok(of("total_count")?.or(of("count")?))
}

/// Reads the rows. Revoked keys are ignored, and so are legacy keys without an id, which cannot be addressed (§2.8).
fn keys(wire: &Wire, rows: Rows) -> Result<Vec<Read<Key>>, Fault> {
    let of_old = |row: &Value| row.get("id").is_some_and(Value::is_null) && !entry::is_marked(row);
    let is_key = |row: &Value| row["revoked"] != Value::Bool(true) && !of_old(row);
    entry::part(wire, rows.keys.into_iter().enumerate().filter(|(_, row)| is_key(row)))
}

/// Follows the pages to the end, or fails. Keys created meanwhile hide no other key; deleted rows might, which the
/// total reveals.
pub(super) async fn all(wire: &Wire, path: &[&str]) -> Result<Vec<Read<Key>>, Fault> {
    let mut rows = Rows::default();
    let mut most = 0;
    for _ in 0..MOST_PAGES {
        let (limit, offset) = (PAGE_SIZE.to_string(), rows.shown.to_string());
        let query = [("limit", limit.as_str()), ("offset", offset.as_str())];
        let call = Call { query: &query, slash: true, ..Call::new(Method::GET, path) };
        let (results, total) = match wire.send(call).await?.read()? {
            Value::Array(results) => {
                rows.add(results);
                return keys(wire, rows);
            }
            Value::Object(mut page) => (entry::list(&mut page, "results")?, total(&page)?),
            _ => return Err(malformed("it is no listing")),
        };
        if total.is_some_and(|total| total < most) {
            return Err(malformed("a listing grew shorter while it was read"));
        }
        most = most.max(total.unwrap_or_default());
        let ended = results.is_empty();
        let news = rows.add(results);
        if total.is_some_and(|total| rows.shown >= total) || (ended && total.is_none()) {
            return keys(wire, rows);
        }
        if ended {
            return Err(malformed("a listing ends before its total"));
        }
        if !news {
            return Err(malformed("a listing shows the same page again"));
        }
    }
    Err(malformed("a listing does not end"))
}
