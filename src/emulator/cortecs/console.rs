//! The entry of the management API: routing, authentication, authorization (§3.2).

use http::Method;
use serde_json::json;

use super::record::{KeyRecord, Person};
use super::refusal::Refusal;
use super::world::World;
use super::{keys, projects, usage};
use crate::emulator::route::Moment;
use crate::emulator::wire::{self, Inbound, Reply};

pub(super) type Answer = Result<Reply, Refusal>;

/// The context of a request whose caller has shown a management key.
pub(super) struct RequestCtx<'a> {
    pub(super) world: &'a mut World,
    pub(super) inbound: &'a Inbound,
    pub(super) moment: Moment,
    pub(super) caller: KeyRecord,
}

impl RequestCtx<'_> {
    pub(super) fn owner(&self) -> &Person {
        &self.caller.owner
    }
}

type Handler = fn(&mut RequestCtx<'_>) -> Answer;

/// Answers one call to the management API.
pub(in super::super) fn answer(world: &mut World, inbound: &Inbound, moment: Moment) -> Reply {
    enter(world, inbound, moment).unwrap_or_else(Refusal::into_reply)
}

/// The answer that a fault rule demands.
pub(in super::super) fn trouble(code: u16) -> Reply {
    Refusal::of_status(code).into_reply()
}

/// Whether a GET of this path lists keys.
pub(in super::super) fn is_listing(inbound: &Inbound) -> bool {
    matches!(inbound.segments_from(1)[..], ["v1", "manage", "api-keys"])
}

fn enter(world: &mut World, inbound: &Inbound, moment: Moment) -> Answer {
    let path = inbound.segments_from(1);
    let handler = find(&inbound.method, &path)?;
    let given = inbound.bearer().ok_or_else(Refusal::unauthorized)?;
    let caller = world.key_of_secret(given).cloned().ok_or_else(Refusal::unauthorized)?;
    if !caller.management {
        return Err(Refusal::not_management());
    }
    handler(&mut RequestCtx { world, inbound, moment, caller })
}

fn find(method: &Method, path: &[&str]) -> Result<Handler, Refusal> {
    if let Some(handler) = route(method, path) {
        return Ok(handler);
    }
    let others = [Method::GET, Method::PUT];
    let known = others.iter().any(|method| route(method, path).is_some());
    Err(if known { Refusal::of_status(405) } else { Refusal::not_found() })
}

fn route(method: &Method, path: &[&str]) -> Option<Handler> {
    let handler: Handler = match (method.as_str(), path) {
        ("GET", ["v1", "manage", "api-keys"]) => keys::list,
        ("POST", ["v1", "manage", "api-keys"]) => keys::create,
        ("DELETE", ["v1", "manage", "api-keys"]) => keys::delete,
        ("GET", ["v1", "manage", "project-configs"]) => projects::get,
        ("PUT", ["v1", "manage", "project-configs"]) => projects::put,
        ("GET", ["v1", "manage", "users", "balance"]) => balance,
        ("GET", ["v1", "manage", "usage"]) => usage::report,
        _ => return None,
    };
    Some(handler)
}

/// C6.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
fn balance(ctx: &mut RequestCtx<'_>) -> Answer {
    let micros = ctx.world.balances.get(&ctx.owner().user).copied().unwrap_or_default();
    let body = json!({ "current_balance": eur(micros), "currency": "EUR" });
    let wrapped = ctx.world.switches.wrapped_balance;
    Ok(wire::json(200, &if wrapped { json!({ "data": body }) } else { body }))
}

/// The amount as the JSON number that the vendor sends.
#[expect(clippy::cast_precision_loss, reason = "2^53 millionths are more money than anybody has here")]
pub(super) fn eur(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}
