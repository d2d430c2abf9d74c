//! Listings of keys and of auth keys, page by page (contract §2.8). An offset is a number, not a row: rows that are
//! added or deleted between two pages shift the rows that follow.

use super::Key;
use crate::gateway::entry::{self, Read};
use crate::gateway::http::{Call, Wire};
use crate::gateway::lenient;
use crate::gateway::paging::Paging;
use crate::plan::fault::{Fault, FaultKind};
use http::Method;
use serde_json::{Map, Value};
use std::collections::HashSet;

const PAGE_SIZE: usize = 100;

/// The rows so far, each key once.
#[derive(Default)]
struct Rows {
    keys: Vec<Read<Key>>,
    seen: HashSet<String>,
    /// Number of rows returned so far, including duplicates.
    shown: usize,
}

impl Rows {
    /// Adds a page. Returns whether it had any new row. Revoked keys are ignored, and so are legacy keys without an
    /// id, which cannot be addressed (§2.8).
    fn add(&mut self, wire: &Wire, page: Vec<Value>) -> Result<bool, Fault> {
        let first = self.shown;
        self.shown += page.len();
        let (seen, mut news) = (&mut self.seen, false);
        let of_old = |row: &Value| row.get("id").is_some_and(Value::is_null) && !entry::is_marked::<Key>(row);
        let is_key = |row: &Value| row["revoked"] != Value::Bool(true) && !of_old(row);
        let rows = page.into_iter().enumerate().filter(|(_, row)| {
            let new = match row["id"].as_str().filter(|id| lenient::is_id(id)) {
                Some(id) => seen.insert(id.to_owned()),
                None => true,
            };
            news |= new;
            new && is_key(row)
        });
        self.keys.extend(entry::part(wire, rows.map(|(at, row)| (first + at, row)))?);
        Ok(news)
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

/// Follows the pages to the end, or fails. Keys created meanwhile hide no other key; deleted rows might, which the
/// total reveals.
pub(super) async fn all(wire: &Wire, path: &[&str]) -> Result<Vec<Read<Key>>, Fault> {
    let mut rows = Rows::default();
    let mut most = 0;
    let mut paging = Paging::begin();
    loop {
        let (limit, offset) = (PAGE_SIZE.to_string(), rows.shown.to_string());
        let query = [("limit", limit.as_str()), ("offset", offset.as_str())];
        let call = Call { query: &query, slash: true, ..Call::new(Method::GET, path) };
        let answer = wire.send(call).await?;
        let (results, total) = match answer.read()? {
            Value::Array(results) => {
                paging.page(&answer, results.len())?;
                rows.add(wire, results)?;
                return Ok(rows.keys);
            }
            Value::Object(mut page) => (entry::list(&mut page, "results")?, total(&page)?),
            _ => return Err(malformed("it is no listing")),
        };
        if total.is_some_and(|total| total < most) {
            return Err(malformed("a listing grew shorter while it was read"));
        }
        most = most.max(total.unwrap_or_default());
        paging.page(&answer, results.len())?;
        let ended = results.is_empty();
        let news = rows.add(wire, results)?;
        if total.is_some_and(|total| rows.shown >= total) || (ended && total.is_none()) {
            return Ok(rows.keys);
        }
        if ended {
            return Err(malformed("a listing ends before its total"));
        }
        if !news {
            return Err(malformed("a listing shows the same page again"));
        }
    }
}
