//! The listing: pages by number, which hide a key if another one is deleted while they are read (§5).

use super::key::{Key, is_hash};
use crate::gateway::entry::{self, Read};
use crate::gateway::http::{Call, Wire};
use crate::gateway::paging::Paging;
use crate::plan::fault::{Fault, FaultKind};
use http::Method;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The most that a page may have; 422 beyond (§5).
const PAGE_SIZE: &str = "100";

/// How often a listing begins anew because something moved.
const ATTEMPTS: usize = 4;

const MOVED: Fault = Fault::without_effect(FaultKind::Malformed(
    "keys came or went each time its listing was read, so that one may be missing",
));

/// Every key of the proxy.
pub(super) async fn whole(wire: &Wire) -> Result<Vec<Read<Key>>, Fault> {
    for _ in 0..ATTEMPTS {
        if let Some(rows) = once(wire).await? {
            return entry::listing(wire, rows);
        }
    }
    Err(MOVED)
}

/// The rows of all pages. `None`: something moved while they were read.
async fn once(wire: &Wire) -> Result<Option<Vec<Value>>, Fault> {
    let mut paging = Paging::begin();
    let (mut rows, mut ids, mut total) = (Vec::new(), HashSet::new(), None);
    let mut twice = false;
    for number in 1_usize.. {
        let page = number.to_string();
        let query = [("page", page.as_str()), ("size", PAGE_SIZE), ("return_full_object", "true")];
        let answer = wire.send(Call { query: &query, ..Call::new(Method::GET, &["key", "list"]) }).await?;
        let mut body: Map<String, Value> = answer.read()?;
        let there = entry::list(&mut body, "keys")?;
        let count = body.get("total_count").and_then(Value::as_u64);
        let count = count.ok_or(entry::malformed(None, "total_count"))?;
        paging.page(&answer, there.len())?;
        if *total.get_or_insert(count) != count {
            return Ok(None);
        }
        let last = there.is_empty();
        let named = there.iter().filter_map(|row| row["token"].as_str().filter(|it| is_hash(it)));
        named.for_each(|id| twice |= !ids.insert(id.to_owned()));
        rows.extend(there);
        let whole = !twice && rows.len() as u64 == count;
        if whole || last || rows.len() as u64 > count {
            return Ok(whole.then_some(rows));
        }
    }
    Ok(None)
}
