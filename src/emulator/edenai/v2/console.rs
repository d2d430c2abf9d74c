//! The entry of v2: routing, authentication, authorization (§2.1, §2.2).

use http::Method;
use serde_json::json;

use super::record::CustomToken;
use super::refusal::Refusal;
use super::tokens;
use super::world::World;
use crate::emulator::edenai::money::{self, Form};
use crate::emulator::edenai::usage::{self, Range};
use crate::emulator::route::Moment;
use crate::emulator::wire::{self, Inbound, Reply};

pub(super) type Answer = Result<Reply, Refusal>;

/// The context of a request whose caller may use the endpoint.
pub(super) struct RequestCtx<'a> {
    pub(super) world: &'a mut World,
    pub(super) credits: i64,
    pub(super) inbound: &'a Inbound,
    pub(super) moment: Moment,
    pub(super) caller: Caller,
    /// The account of the caller.
    pub(super) account: String,
    /// The name of the token in the path.
    pub(super) name: &'a str,
}

/// The caller.
pub(super) enum Caller {
    Session,
    /// The API key of the account.
    Account,
    /// A custom token, which may use the API but manages no tokens.
    Token(Box<CustomToken>),
}

/// The callers that an endpoint admits.
#[derive(Clone, Copy)]
enum Door {
    /// Callers that manage tokens: sessions, and before September 2026 API keys.
    Management,
    /// Sessions only, and only since September 2026.
    Session,
    /// Every key, since September 2026.
    Key,
    /// All callers but custom tokens.
    Account,
}

type Handler = fn(&mut RequestCtx<'_>) -> Answer;
type Route<'a> = (Door, &'a str, Handler);

/// Answers one call to v2.
pub(in crate::emulator::edenai) fn answer(
    world: &mut World,
    credits: i64,
    inbound: &Inbound,
    moment: Moment,
) -> Reply {
    enter(world, credits, inbound, moment).unwrap_or_else(Refusal::into_reply)
}

/// The answer that a fault rule demands.
pub(in crate::emulator::edenai) fn trouble(code: u16) -> Reply {
    Refusal::of_status(code).into_reply()
}

/// Whether a GET of this path lists tokens.
pub(in crate::emulator::edenai) fn is_listing(inbound: &Inbound) -> bool {
    matches!(inbound.segments_from(1)[..], ["v2", "user", "custom_token", ""])
}

fn enter(world: &mut World, credits: i64, inbound: &Inbound, moment: Moment) -> Answer {
    let path = inbound.segments_from(1);
    let (door, name, handler) = find(&inbound.method, &path, world.switches.sessions_only)?;
    let (caller, account) = authenticate(world, inbound)?;
    pass(door, &caller, world)?;
    handler(&mut RequestCtx { world, credits, inbound, moment, caller, account, name })
}

fn find<'a>(method: &Method, path: &[&'a str], september: bool) -> Result<Route<'a>, Refusal> {
    if let Some(route) = route(method, path, september) {
        return Ok(route);
    }
    let others = [Method::GET, Method::POST];
    let known = others.iter().any(|method| route(method, path, september).is_some());
    Err(if known { Refusal::of_status(405) } else { Refusal::NotFound })
}

/// Every path ends in a slash; a path without it is not found (§2.1).
fn route<'a>(method: &Method, path: &[&'a str], september: bool) -> Option<Route<'a>> {
    let route: Route<'_> = match (method.as_str(), path) {
        ("GET", ["v2", "cost_management", ""]) => (Door::Account, "", cost),
        ("GET", ["v2", "cost_management", "credits", ""]) => (Door::Account, "", credits),
        (_, ["v2", "user", "custom_token", rest @ ..]) => return token_route(method, rest, september),
        _ => return None,
    };
    Some(route)
}

fn token_route<'a>(method: &Method, rest: &[&'a str], september: bool) -> Option<Route<'a>> {
    // Where `me` is an endpoint, a token of that name cannot be addressed (§2.5).
    let addressable = |name: &str| !name.is_empty() && (!september || name != "me");
    let route: Route<'_> = match (method.as_str(), rest) {
        ("GET", [""]) => (Door::Management, "", tokens::list),
        ("POST", [""]) => (Door::Management, "", tokens::create),
        ("GET", ["me", ""]) if september => (Door::Key, "", tokens::me),
        ("POST", [name, "rotate", ""]) if september => (Door::Session, name, tokens::rotate),
        ("POST", ["legacy", kind, "regenerate", ""]) if september => {
            (Door::Session, kind, |_| Err(Refusal::NotFound))
        }
        ("GET", [name, ""]) if addressable(name) => (Door::Management, name, tokens::get),
        ("PATCH", [name, ""]) if addressable(name) => (Door::Management, name, tokens::update),
        ("DELETE", [name, ""]) if addressable(name) => (Door::Management, name, tokens::delete),
        _ => return None,
    };
    Some(route)
}

fn authenticate(world: &World, inbound: &Inbound) -> Result<(Caller, String), Refusal> {
    let given = inbound.bearer().ok_or_else(|| Refusal::unauthorized(false))?;
    if let Some(known) = world.credentials.iter().find(|known| known.secret == given) {
        let caller = if known.session { Caller::Session } else { Caller::Account };
        return Ok((caller, known.account.clone()));
    }
    let token = world.token_of_secret(given).ok_or_else(|| Refusal::unauthorized(true))?;
    Ok((Caller::Token(Box::new(token.clone())), token.account.clone()))
}

fn pass(door: Door, caller: &Caller, world: &World) -> Result<(), Refusal> {
    let refused = || match world.switches.refusal_status {
        401 => Refusal::unauthorized(false),
        status => Refusal::of_status(status),
    };
    match (door, caller) {
        (Door::Key, Caller::Account | Caller::Token(_))
        | (Door::Account, Caller::Session | Caller::Account)
        | (Door::Management | Door::Session | Door::Key, Caller::Session) => Ok(()),
        (Door::Management, Caller::Account) if !world.switches.sessions_only => Ok(()),
        (Door::Management | Door::Session, Caller::Account) => Err(refused()),
        (_, Caller::Token(_)) => Err(Refusal::forbidden()),
    }
}

/// §2.9: the costs as v3 reports them, under another name.
fn cost(ctx: &mut RequestCtx<'_>) -> Answer {
    const KNOWN: [&str; 8] =
        ["begin", "end", "step", "provider", "subfeature", "token", "workflow_id", "rag_project_id"];
    let inbound = ctx.inbound;
    if ctx.world.switches.strict_query
        && let Some(unknown) = inbound.param_names().find(|name| !KNOWN.contains(name))
    {
        return Err(Refusal::one(unknown, "Unknown query parameter."));
    }
    let range = Range::of_v2(inbound, ctx.world.switches.end_inclusive)
        .map_err(|complaint| Refusal::Invalid(vec![complaint]))?;
    // Emulated calls belong to no workflow and no project, so a filter for one of them matches nothing.
    let none = ["workflow_id", "rag_project_id"].iter().any(|name| inbound.param(name).is_some());
    let spent = ctx
        .world
        .usage
        .iter()
        .filter(|spent| !none && spent.organization == ctx.account && usage::passes(spent, inbound));
    Ok(wire::json(200, &json!({ "response": usage::by_token(spent, &range) })))
}

/// §2.2: the credits of the account.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
fn credits(ctx: &mut RequestCtx<'_>) -> Answer {
    Ok(wire::json(200, &json!({ "credits": money::show(Some(ctx.credits), Form::Number) })))
}
