//! The listing: pages by offset, without a total (§4). A key that is deleted while pages are read moves the rows behind it, and
//! one of them would be skipped. So each page begins with the last row of the one before it, which shows whether anything moved.

use super::KEYS;
use super::key::Key;
use crate::gateway::entry::{self, Read};
use crate::gateway::http::{Call, Wire};
use crate::gateway::lenient;
use crate::gateway::paging::Paging;
use crate::plan::fault::{Fault, FaultKind};
use http::Method;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// How often a listing begins anew because something moved.
const ATTEMPTS: usize = 4;

const MOVED: Fault = Fault::without_effect(FaultKind::Malformed(
    "keys came or went each time its listing was read, so that one may be missing",
));

/// Every key of the workspace, those that are off too.
pub(super) async fn whole(wire: &Wire, workspace: &[(&str, &str)]) -> Result<Vec<Read<Key>>, Fault> {
    for _ in 0..ATTEMPTS {
        if let Some(rows) = once(wire, workspace).await? {
            return entry::listing(wire, rows);
        }
    }
    Err(MOVED)
}

/// The rows of all pages. `None`: something moved while they were read.
async fn once(wire: &Wire, workspace: &[(&str, &str)]) -> Result<Option<Vec<Value>>, Fault> {
    let mut paging = Paging::begin();
    let (mut rows, mut ids) = (Vec::<Value>::new(), HashSet::new());
    loop {
        let offset = rows.len().saturating_sub(1).to_string();
        let mut query = vec![("include_disabled", "true")];
        query.extend_from_slice(workspace);
        query.extend((!rows.is_empty()).then_some(("offset", offset.as_str())));
        let answer = wire.send(Call { query: &query, ..Call::new(Method::GET, &KEYS) }).await?;
        let mut page = entry::list(&mut answer.read::<Map<String, Value>>()?, "data")?.into_iter();
        paging.page(&answer, page.len())?;
        if let Some(last) = rows.last()
            && page.next().is_none_or(|first| first["hash"] != last["hash"])
        {
            return Ok(None);
        }
        if page.len() == 0 {
            return Ok(Some(rows));
        }
        for row in page {
            let id = row["hash"].as_str().filter(|it| lenient::is_id(it));
            if id.is_some_and(|id| !ids.insert(id.to_owned())) {
                return Ok(None);
            }
            rows.push(row);
        }
    }
}
