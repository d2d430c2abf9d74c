//! Pages by limit and offset (§2.8).

use serde_json::{Value, json};

use super::console::RequestCtx;
use super::refusal::Refusal;
use crate::emulator::fields::Complaint;

/// Cuts the page that `limit` and `offset` select out of the list (newest first). An offset is a number and not a
/// record, so a key that is created between two pages shifts the second page.
pub(super) fn page<T>(
    mut list: Vec<T>,
    ctx: &RequestCtx<'_>,
    show: impl Fn(T) -> Value,
) -> Result<Value, Refusal> {
    let switches = &ctx.world.switches;
    let largest = switches.page_size.max(1);
    let limit = number(ctx, "limit")?.unwrap_or(largest);
    if limit == 0 {
        return Err(Refusal::one(Complaint::new("limit", "limit must be a positive integer.")));
    }
    let (limit, offset) = (limit.min(largest), number(ctx, "offset")?.unwrap_or_default());
    if switches.oldest_first {
        list.reverse();
    }
    let total = list.len();
    let link = |offset: usize| json!(format!("{}?limit={limit}&offset={offset}", here(ctx)));
    let end = offset.saturating_add(limit);
    let next = if end < total { link(end) } else { Value::Null };
    let previous = if offset > 0 { link(offset.saturating_sub(limit)) } else { Value::Null };
    let results: Vec<Value> = list.into_iter().skip(offset).take(limit).map(show).collect();
    let mut page =
        json!({ "results": results, "limit": limit, "offset": offset, "next": next, "previous": previous });
    page[if switches.count { "count" } else { "total_count" }] = json!(total);
    Ok(page)
}

/// The absolute URL of the listing, as Django REST framework links, with the host of the request if it names one.
fn here(ctx: &RequestCtx<'_>) -> String {
    let path = ctx.inbound.target().split('?').next().unwrap_or_default();
    let host = ctx.inbound.header("host").map(|host| format!("http://{host}"));
    format!("{}{path}", host.unwrap_or_default())
}

fn number(ctx: &RequestCtx<'_>, name: &str) -> Result<Option<usize>, Refusal> {
    let read = |text: &str| {
        text.parse().map_err(|_| {
            Refusal::one(Complaint::new(name, format!("{name} must be a non-negative integer.")))
        })
    };
    ctx.inbound.param(name).map(read).transpose()
}
