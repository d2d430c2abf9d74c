//! The entry of the Console API: routing, authentication, authorization.

use http::Method;

use super::record::TokenRecord;
use super::refusal::Refusal;
use super::world::World;
use super::{catalog, export, keys, provider_keys, tokens};
use crate::emulator::route::Moment;
use crate::emulator::wire::{Inbound, Reply};

pub(super) type Answer = Result<Reply, Refusal>;

/// The context of a request whose caller is authenticated and may enter the organization.
pub(super) struct RequestCtx<'a> {
    pub(super) world: &'a mut World,
    pub(super) inbound: &'a Inbound,
    pub(super) moment: Moment,
    pub(super) caller: TokenRecord,
    pub(super) organization: &'a str,
    /// The id of the key, provider key or token in the path.
    pub(super) id: &'a str,
}

type Handler = fn(&mut RequestCtx<'_>) -> Answer;

#[derive(Clone, Copy)]
struct Route<'a> {
    organization: Option<&'a str>,
    id: &'a str,
    handler: Handler,
}

/// Answers one call to the Console API (§1.1, §1.2).
pub(in super::super) fn answer(world: &mut World, inbound: &Inbound, moment: Moment) -> Reply {
    let flat = world.switches.flat_errors;
    enter(world, inbound, moment).unwrap_or_else(|refusal| refusal.into_reply(flat))
}

/// The answer that a fault rule demands.
pub(in super::super) fn trouble(world: &World, code: u16) -> Reply {
    Refusal::of_status(code).into_reply(world.switches.flat_errors)
}

/// Whether a GET of this path lists keys or provider keys.
pub(in super::super) fn is_listing(inbound: &Inbound) -> bool {
    matches!(inbound.segments_from(1)[..], ["v1", "organizations", _, "api_keys" | "provider-keys"])
}

fn enter(world: &mut World, inbound: &Inbound, moment: Moment) -> Answer {
    let path = inbound.segments_from(1);
    let route = find(&inbound.method, &path)?;
    let caller = authenticate(world, inbound, moment)?;
    let organization = route.organization.unwrap_or_default();
    // An organization that does not exist is as forbidden as a foreign one.
    if route.organization.is_some() && !caller.organizations.contains(organization) {
        return Err(Refusal::forbidden());
    }
    (route.handler)(&mut RequestCtx { world, inbound, moment, caller, organization, id: route.id })
}

fn find<'a>(method: &Method, path: &[&'a str]) -> Result<Route<'a>, Refusal> {
    if let Some(route) = route(method, path) {
        return Ok(route);
    }
    let others = [Method::GET, Method::POST, Method::DELETE];
    let known = others.iter().any(|method| route(method, path).is_some());
    Err(if known { Refusal::wrong_method() } else { Refusal::not_found() })
}

fn route<'a>(method: &Method, path: &[&'a str]) -> Option<Route<'a>> {
    let (id, handler): (&str, Handler) = match (method.as_str(), path) {
        (_, ["v1", "organizations", organization, rest @ ..]) => {
            let route = in_organization(method, rest)?;
            return Some(Route { organization: Some(organization), ..route });
        }
        ("GET", ["v1", "organizations"]) => ("", catalog::organizations),
        ("GET", ["v1", "models"]) => ("", catalog::models),
        ("GET", ["v1", "api_tokens"]) => ("", tokens::list),
        ("POST", ["v1", "api_tokens"]) => ("", tokens::create),
        ("GET", ["v1", "api_tokens", id]) => (id, tokens::get),
        ("DELETE", ["v1", "api_tokens", id]) => (id, tokens::delete),
        _ => return None,
    };
    Some(Route { organization: None, id, handler })
}

fn in_organization<'a>(method: &Method, rest: &[&'a str]) -> Option<Route<'a>> {
    let (id, handler): (&str, Handler) = match (method.as_str(), rest) {
        ("GET", []) => ("", catalog::organization),
        ("POST", ["api_keys"]) => ("", keys::create),
        ("GET", ["api_keys"]) => ("", keys::list),
        ("POST", ["api_keys", "get-or-create"]) => ("", keys::get_or_create),
        ("GET", ["api_keys", id]) => (id, keys::get),
        ("POST", ["api_keys", id]) => (id, keys::update),
        ("DELETE", ["api_keys", id]) => (id, keys::delete),
        ("GET", ["api_keys", id, "reveal"]) => (id, keys::reveal),
        ("POST", ["provider-keys"]) => ("", provider_keys::create),
        ("GET", ["provider-keys"]) => ("", provider_keys::list),
        ("GET", ["provider-keys", id]) => (id, provider_keys::get),
        ("POST", ["provider-keys", id]) => (id, provider_keys::update),
        ("DELETE", ["provider-keys", id]) => (id, provider_keys::delete),
        ("GET", ["logs", "export"]) => ("", export::export),
        _ => return None,
    };
    Some(Route { organization: None, id, handler })
}

/// Unknown, revoked and expired tokens get the same answer (§1.14).
fn authenticate(world: &mut World, inbound: &Inbound, moment: Moment) -> Result<TokenRecord, Refusal> {
    let given = inbound.bearer().ok_or_else(Refusal::unauthorized)?;
    let known = world
        .tokens
        .iter_mut()
        .find(|known| known.token == given)
        .filter(|known| known.expires_at.is_none_or(|expiry| moment.now < expiry))
        .ok_or_else(Refusal::unauthorized)?;
    known.last_used_at = Some(moment.now);
    Ok(known.clone())
}
