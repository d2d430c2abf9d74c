//! The entry of the management API: routing, authentication, rank (§2, §10).

use http::Method;
use serde_json::json;

use super::record::{KeyRecord, Kind, Role};
use super::refusal::Refusal;
use super::world::World;
use super::{gateway, keys, users};
use crate::emulator::route::Moment;
use crate::emulator::wire::{Inbound, Reply};

pub(super) type Answer = Result<Reply, Refusal>;

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// Sees and changes every key.
    Admin,
    /// Sees every key.
    Viewer,
    /// Sees and changes the keys of this user.
    User(String),
    /// A key without a user.
    Nobody,
}

/// The context of a request whose caller is known.
pub(super) struct RequestCtx<'a> {
    pub(super) world: &'a mut World,
    pub(super) inbound: &'a Inbound,
    pub(super) moment: Moment,
    /// The caller's key; `None` for a master key, which is no key.
    pub(super) caller: Option<KeyRecord>,
    pub(super) rank: Rank,
    pub(super) scope: String,
}

impl RequestCtx<'_> {
    /// Who a key is said to be created by.
    pub(super) fn author(&self) -> String {
        let user = self.caller.as_ref().and_then(|key| key.user.clone());
        user.unwrap_or_else(|| "default_user_id".to_owned())
    }

    /// Fails unless the caller may change that key.
    pub(super) fn may_change(&self, user: Option<&str>, route: &str) -> Result<(), Refusal> {
        match &self.rank {
            Rank::Admin => Ok(()),
            Rank::User(own) if user.is_none_or(|it| it == own) => Ok(()),
            Rank::Viewer => {
                let message = format!(
                    "user not allowed to access this route, role= proxy_admin_viewer. Trying to access: {route}"
                );
                Err(Refusal::error(403, "auth_error", Some("None"), &message))
            }
            Rank::User(_) | Rank::Nobody => Err(Refusal::lower(route)),
        }
    }
}

type Handler = fn(&mut RequestCtx<'_>) -> Answer;

/// Answers one call to the management API; the data plane has the same origin.
pub(in super::super) fn answer(world: &mut World, inbound: &Inbound, moment: Moment) -> Reply {
    if inbound.segments_from(1).first() == Some(&"v1") {
        return gateway::answer(world, inbound, moment.now);
    }
    enter(world, inbound, moment).unwrap_or_else(Refusal::into_reply)
}

/// The answer that a fault rule demands.
pub(in super::super) fn trouble(code: u16) -> Reply {
    Refusal::of_status(code).into_reply()
}

/// Whether a GET of this path lists keys.
pub(in super::super) fn is_listing(inbound: &Inbound) -> bool {
    matches!(inbound.segments_from(1)[..], ["key", "list"])
}

fn enter(world: &mut World, inbound: &Inbound, moment: Moment) -> Answer {
    let path = inbound.segments_from(1);
    let handler = route(&inbound.method, &path).ok_or_else(Refusal::no_such_path)?;
    let given = inbound.bearer().filter(|it| it.starts_with("sk-")).ok_or_else(Refusal::no_token)?;
    if let Some(scope) = world.masters.get(given).cloned() {
        let mut ctx = RequestCtx { world, inbound, moment, caller: None, rank: Rank::Admin, scope };
        return through(&mut ctx, handler);
    }
    let caller = world.key_of_secret(given).cloned().ok_or_else(Refusal::unknown_token)?;
    if caller.blocked == Some(true) {
        return Err(Refusal::error(401, "auth_error", Some("None"), "Authentication Error, Key is blocked."));
    }
    if caller.expired(moment.now) {
        return Err(Refusal::error(401, "expired_key", Some("key"), "Authentication Error - Expired Key."));
    }
    if caller.kind == Kind::LlmApi {
        let route = format!("/{}", path.join("/"));
        let detail = format!(
            "Virtual key is not allowed to call this route. Only allowed to call routes: ['llm_api_routes']. Tried to call route: {route}"
        );
        return Err(Refusal::detail(403, &json!(detail)));
    }
    let role = caller.user.as_ref().map(|user| world.users.get(user).map(|it| it.0));
    let rank = match (role, &caller.user) {
        (Some(Some(Role::ProxyAdmin)), _) => Rank::Admin,
        (Some(Some(Role::ProxyAdminViewer)), _) => Rank::Viewer,
        (_, Some(user)) => Rank::User(user.clone()),
        (_, None) => Rank::Nobody,
    };
    let scope = caller.scope.clone();
    through(&mut RequestCtx { world, inbound, moment, caller: Some(caller), rank, scope }, handler)
}

fn through(ctx: &mut RequestCtx<'_>, handler: Handler) -> Answer {
    if ctx.world.switches.database_down {
        let change = ctx.inbound.segments_from(1) == ["key", "update"];
        let inside = || Refusal::error(400, "auth_error", Some("None"), "Authentication Error, ");
        return Err(if change { inside() } else { Refusal::database() });
    }
    handler(ctx)
}

fn route(method: &Method, path: &[&str]) -> Option<Handler> {
    let handler: Handler = match (method.as_str(), path) {
        ("GET", ["key", "list"]) => keys::list,
        ("GET", ["key", "info"]) => keys::info,
        ("POST", ["key", "generate"]) => keys::generate,
        ("POST", ["key", "update"]) => keys::update,
        ("POST", ["key", "block"]) => keys::block,
        ("POST", ["key", "unblock"]) => keys::unblock,
        ("POST", ["key", "delete"]) => keys::delete,
        ("POST", ["user", "new"]) => users::create,
        ("GET", ["user", "list"]) => users::list,
        ("GET", ["team", "info"]) => users::team,
        ("GET", ["model", "info"]) => users::models,
        ("GET", ["user", "daily", "activity"]) => users::activity,
        _ => return None,
    };
    Some(handler)
}
