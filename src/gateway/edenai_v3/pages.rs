//! Listings of keys and of auth keys, page by page (contract §2.8). An offset is a number and no row: rows that come
//! or go between two pages move those that follow.

use super::Key;
use crate::gateway::http::{Call, Wire};
use crate::plan::fault::{Fault, FaultKind};
use http::Method;
use serde::Deserialize;
use std::collections::HashSet;

const PAGE_SIZE: usize = 100;
/// No organization has this many pages; one that seems to is a loop.
const MOST_PAGES: usize = 1000;

#[derive(Deserialize)]
#[serde(untagged)]
enum Page {
    Bare(Vec<Key>),
    Enveloped {
        results: Vec<Key>,
        #[serde(default)]
        total_count: Option<usize>,
        #[serde(default)]
        count: Option<usize>,
        #[serde(flatten)]
        _object: (),
    },
}

/// The rows so far, each key once.
#[derive(Default)]
struct Rows {
    keys: Vec<Key>,
    seen: HashSet<String>,
    /// All that were shown, those shown twice included.
    shown: usize,
}

impl Rows {
    /// Adds a page, and says whether it had anything that was not shown before.
    fn add(&mut self, page: Vec<Key>) -> bool {
        self.shown += page.len();
        let before = self.keys.len();
        let seen = &mut self.seen;
        self.keys.extend(page.into_iter().filter(|key| match &key.id {
            Some(id) => seen.insert(id.clone()),
            None => true,
        }));
        self.keys.len() > before
    }
}

fn strange(what: &'static str) -> Fault {
    Fault::without_effect(FaultKind::Strange(what))
}

/// Follows the pages to the end, or fails. Keys that are made meanwhile hide none; rows that go might, and are noticed
/// by the total.
pub(super) async fn all(wire: &Wire, path: &[&str]) -> Result<Vec<Key>, Fault> {
    let mut rows = Rows::default();
    let mut most = 0;
    for _ in 0..MOST_PAGES {
        let (limit, offset) = (PAGE_SIZE.to_string(), rows.shown.to_string());
        let query = [("limit", limit.as_str()), ("offset", offset.as_str())];
        let call = Call { query: &query, slash: true, ..Call::new(Method::GET, path) };
        let (results, total) = match wire.send(call).await?.read()? {
            Page::Bare(results) => {
                rows.add(results);
                return Ok(rows.keys);
            }
            Page::Enveloped { results, total_count, count, .. } => (results, total_count.or(count)),
        };
        if total.is_some_and(|total| total < most) {
            return Err(strange("a listing grew shorter while it was read"));
        }
        most = most.max(total.unwrap_or_default());
        let ended = results.is_empty();
        let news = rows.add(results);
        if total.is_some_and(|total| rows.shown >= total) || (ended && total.is_none()) {
            return Ok(rows.keys);
        }
        if ended {
            return Err(strange("a listing ends before its total"));
        }
        if !news {
            return Err(strange("a listing shows the same page again"));
        }
    }
    Err(strange("a listing does not end"))
}
