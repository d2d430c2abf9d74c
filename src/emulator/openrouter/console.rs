//! The entry of the management API: routing, authentication, workspace (§1, §2).

use http::Method;
use serde_json::json;

use super::refusal::Refusal;
use super::world::{World, default_workspace};
use super::{byok, keys};
use crate::emulator::route::Moment;
use crate::emulator::wire::{self, Inbound, Reply};

pub(super) type Answer = Result<Reply, Refusal>;

/// The context of a request whose caller is known.
pub(super) struct RequestCtx<'a> {
    pub(super) world: &'a mut World,
    pub(super) inbound: &'a Inbound,
    pub(super) moment: Moment,
    pub(super) account: String,
    /// The id in the path; empty where the path has none.
    pub(super) id: &'a str,
}

impl RequestCtx<'_> {
    /// The workspace that a query or a body names, or the default one.
    pub(super) fn workspace(&self, named: Option<&str>) -> Result<String, Refusal> {
        let Some(named) = named else { return Ok(default_workspace(&self.account)) };
        let known = self.world.has_workspace(&self.account, named);
        known.then(|| named.to_owned()).ok_or_else(|| Refusal::error(400, "Invalid workspace_id"))
    }
}

type Handler = fn(&mut RequestCtx<'_>) -> Answer;

/// Answers one call to the management API.
pub(in super::super) fn answer(world: &mut World, inbound: &Inbound, moment: Moment) -> Reply {
    let path = inbound.segments_from(1);
    let Some((handler, id)) = route(&inbound.method, &path) else { return Refusal::no_such_path() };
    enter(world, inbound, moment, handler, id).unwrap_or_else(Refusal::into_reply)
}

/// The answer that a fault rule demands.
pub(in super::super) fn trouble(code: u16) -> Reply {
    Refusal::of_status(code).into_reply()
}

/// Whether a GET of this path lists keys or provider keys.
pub(in super::super) fn is_listing(inbound: &Inbound) -> bool {
    matches!(inbound.segments_from(1)[..], ["v1", "keys" | "byok"])
}

fn enter(world: &mut World, inbound: &Inbound, moment: Moment, handler: Handler, id: &str) -> Answer {
    let given = inbound.bearer().ok_or_else(Refusal::no_token)?;
    let Some(account) = world.tokens.get(given).cloned() else {
        let ordinary = world.key_of_secret(given).is_some();
        return Err(if ordinary { Refusal::ordinary_key() } else { Refusal::unknown_token() });
    };
    handler(&mut RequestCtx { world, inbound, moment, account, id })
}

fn route<'a>(method: &Method, path: &[&'a str]) -> Option<(Handler, &'a str)> {
    let (handler, id): (Handler, &str) = match (method.as_str(), path) {
        ("GET", ["v1", "keys"]) => (keys::list, ""),
        ("POST", ["v1", "keys"]) => (keys::create, ""),
        ("GET", ["v1", "keys", id]) => (keys::get, id),
        ("PATCH", ["v1", "keys", id]) => (keys::update, id),
        ("DELETE", ["v1", "keys", id]) => (keys::delete, id),
        ("GET", ["v1", "credits"]) => (credits, ""),
        ("GET", ["v1", "byok"]) => (byok::list, ""),
        ("POST", ["v1", "byok"]) => (byok::create, ""),
        ("GET", ["v1", "byok", id]) => (byok::get, id),
        ("PATCH", ["v1", "byok", id]) => (byok::update, id),
        ("DELETE", ["v1", "byok", id]) => (byok::delete, id),
        _ => return None,
    };
    Some((handler, id))
}

/// R7.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
fn credits(ctx: &mut RequestCtx<'_>) -> Answer {
    let bought = ctx.world.credits.get(&ctx.account).copied().unwrap_or(100_000_000);
    let used = ctx.world.spent_by(&ctx.account, ctx.moment.now);
    #[expect(clippy::cast_precision_loss, reason = "2^53 millionths are more money than there is")]
    let data =
        json!({"total_credits": bought as f64 / 1_000_000.0, "total_usage": used as f64 / 1_000_000.0});
    Ok(wire::json(200, &json!({ "data": data })))
}
