//! The paged envelope of a list (§1.5).

use serde_json::{Value, json};

use super::console::RequestCtx;
use super::refusal::Refusal;
use crate::emulator::table::TableRow;

/// One page of a list, and the cursor of the next page.
pub(super) struct Page<'a, T> {
    pub(super) items: Vec<&'a T>,
    has_more: bool,
}

impl<T: TableRow> Page<'_, T> {
    /// The envelope around the items of the page.
    pub(super) fn envelope(&self, url: &str, show: impl Fn(&T) -> Value) -> Value {
        json!({
            "object": "list",
            "url": url,
            "has_more": self.has_more,
            "last_key": self.items.last().map_or("", |last| last.id()),
            "data": self.items.iter().map(|item| show(item)).collect::<Vec<_>>(),
        })
    }
}

/// Cuts the page out of the list (given newest first) that `limit`, `start_key` and `order_direction` ask for.
///
/// The cursor is a position, not a record: it survives the deletion of the key it names.
pub(super) fn page<'a, T: TableRow>(
    mut list: Vec<&'a T>,
    ctx: &RequestCtx<'_>,
) -> Result<Page<'a, T>, Refusal> {
    let ascending = match ctx.inbound.param("order_direction") {
        None | Some("DESC") => false,
        Some("ASC") => true,
        Some(_) => {
            return Err(Refusal::invalid_param("order_direction", "Must be one of ASC, DESC."));
        }
    };
    if ascending {
        list.reverse();
    }
    if let Some(start) = start(ctx)? {
        list.retain(|item| if ascending { item.serial() > start } else { item.serial() < start });
    }
    let limit = limit(ctx)?;
    let has_more = list.len() > limit;
    list.truncate(limit);
    Ok(Page { items: list, has_more })
}

fn start(ctx: &RequestCtx<'_>) -> Result<Option<u64>, Refusal> {
    ctx.inbound
        .param("start_key")
        .filter(|key| !key.is_empty())
        .map(|key| serial_of(key).ok_or_else(|| Refusal::invalid_param("start_key", "Unknown start_key.")))
        .transpose()
}

/// A limit above the largest page is reduced to it silently.
fn limit(ctx: &RequestCtx<'_>) -> Result<usize, Refusal> {
    let largest = ctx.world.switches.page_size.max(1);
    let Some(limit) = ctx.inbound.param("limit") else {
        return Ok(largest);
    };
    match limit.parse() {
        Ok(limit) if limit > 0 => Ok(largest.min(limit)),
        _ => Err(Refusal::invalid_param("limit", "limit must be a positive integer.")),
    }
}

/// The serial behind the prefix of every id.
fn serial_of(id: &str) -> Option<u64> {
    id.rsplit('_').next()?.parse().ok()
}
