//! The entry of v3: routing, authentication, authorization (§2.6, §2.7).

use http::Method;
use serde_json::json;

use super::record::{ManagementKey, Scope};
use super::refusal::Refusal;
use super::world::World;
use super::{auth_keys, keys, usage};
use crate::emulator::route::Moment;
use crate::emulator::wire::{self, Inbound, Reply, stamp};

pub(super) type Answer = Result<Reply, Refusal>;

/// The context of a request whose caller has the required scope.
pub(super) struct RequestCtx<'a> {
    pub(super) world: &'a mut World,
    pub(super) inbound: &'a Inbound,
    pub(super) moment: Moment,
    pub(super) caller: ManagementKey,
    /// The id of the key in the path.
    pub(super) id: &'a str,
}

type Handler = fn(&mut RequestCtx<'_>) -> Answer;
/// The required scope, the id in the path, and the handler.
type Route<'a> = (Option<Scope>, &'a str, Handler);

/// Answers one call to v3.
pub(in crate::emulator::edenai) fn answer(world: &mut World, inbound: &Inbound, moment: Moment) -> Reply {
    let flat = world.switches.flat_errors;
    enter(world, inbound, moment).unwrap_or_else(|refusal| refusal.into_reply(flat))
}

/// The answer that a fault rule demands.
pub(in crate::emulator::edenai) fn trouble(world: &World, code: u16) -> Reply {
    Refusal::of_status(code).into_reply(world.switches.flat_errors)
}

/// Whether a GET of this path lists keys or auth keys.
pub(in crate::emulator::edenai) fn is_listing(inbound: &Inbound) -> bool {
    matches!(
        inbound.segments_from(1)[..],
        ["v3", "manage", "keys" | "auth-keys"] | ["v3", "manage", "keys" | "auth-keys", ""]
    )
}

fn enter(world: &mut World, inbound: &Inbound, moment: Moment) -> Answer {
    let mut path = inbound.segments_from(1);
    if world.switches.bare_paths && path.last().is_some_and(|last| !last.is_empty()) {
        path.push("");
    }
    let (scope, id, handler) = find(&inbound.method, &path)?;
    let caller = authenticate(world, inbound, moment)?;
    match scope {
        Some(scope) if !caller.scopes.contains(&scope) => Err(Refusal::scope(scope.name())),
        _ => handler(&mut RequestCtx { world, inbound, moment, caller, id }),
    }
}

fn find<'a>(method: &Method, path: &[&'a str]) -> Result<Route<'a>, Refusal> {
    if let Some(route) = route(method, path) {
        return Ok(route);
    }
    let others = [Method::GET, Method::POST, Method::DELETE];
    let known = others.iter().any(|method| route(method, path).is_some());
    Err(if known { Refusal::of_status(405) } else { Refusal::not_found() })
}

/// Every path ends in a slash (§2.6).
fn route<'a>(method: &Method, path: &[&'a str]) -> Option<Route<'a>> {
    let (mint, read, write) = (Some(Scope::Mint), Some(Scope::Read), Some(Scope::Write));
    let ["v3", "manage", rest @ .., ""] = path else {
        return None;
    };
    let route: Route<'_> = match (method.as_str(), rest) {
        ("GET", ["whoami"]) => (None, "", whoami),
        ("GET", ["keys"]) => (read, "", keys::list),
        ("POST", ["keys"]) => (write, "", keys::create),
        ("GET", ["keys", id]) => (read, id, keys::get),
        ("PATCH", ["keys", id]) => (write, id, keys::update),
        ("DELETE", ["keys", id]) => (write, id, keys::revoke),
        ("POST", ["keys", id, "rotate"]) => (write, id, keys::rotate),
        ("GET", ["keys", id, "usage"]) => (read, id, usage::of_key),
        ("GET", ["usage"]) => (read, "", usage::of_organization),
        ("GET", ["auth-keys"]) => (mint, "", auth_keys::list),
        ("POST", ["auth-keys"]) => (mint, "", auth_keys::mint),
        ("DELETE", ["auth-keys", id]) => (mint, id, auth_keys::delete),
        _ => return None,
    };
    Some(route)
}

fn authenticate(world: &World, inbound: &Inbound, moment: Moment) -> Result<ManagementKey, Refusal> {
    let given = inbound.bearer().ok_or_else(|| Refusal::unauthorized(false))?;
    if let Some(caller) = world.caller(given, moment.now) {
        return Ok(caller.clone());
    }
    let inference = world.key_of_secret(given).is_some();
    Err(if inference { Refusal::inference_key() } else { Refusal::unauthorized(true) })
}

/// What a management key may read about itself. The content is documented, the names of the fields are not.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
fn whoami(ctx: &mut RequestCtx<'_>) -> Answer {
    let caller = &ctx.caller;
    Ok(wire::json(
        200,
        &json!({
            "organization": caller.organization,
            "name": caller.name,
            "scopes": caller.scopes,
            "expire_time": caller.expires_at.map(stamp),
        }),
    ))
}
