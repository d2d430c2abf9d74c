//! Keys: L1 to L6. The id is the hash of the secret; a secret is shown once.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::console::{Answer, Rank, RequestCtx};
use super::record::{KeyRecord, Kind, next_reset, seconds};
use super::refusal::Refusal;
use super::shape;
use crate::emulator::calendar::{day, midnight};
use crate::emulator::fields::{Fields, Given};
use crate::emulator::wire;

/// The most that a page may have.
const LARGEST_PAGE: usize = 100;

/// What a request says of a key.
struct Said {
    alias: Given<String>,
    models: Given<Vec<String>>,
    budget: Given<f64>,
    rhythm: Given<String>,
    spend: Given<f64>,
    duration: Given<String>,
    blocked: Given<bool>,
    requests: Given<u64>,
    tokens: Given<u64>,
    parallel: Given<u64>,
    user: Given<String>,
    team: Given<String>,
}

fn number(fields: &mut Fields, name: &str) -> Given<f64> {
    let parse = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    fields.read(name, "Input should be a valid number", parse)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as-casts of floats saturate")]
fn micros(usd: f64) -> u64 {
    (usd * 1_000_000.0).round() as u64
}

impl Said {
    fn read(fields: &mut Fields) -> Self {
        Self {
            alias: fields.text("key_alias"),
            models: fields.texts("models"),
            budget: number(fields, "max_budget"),
            rhythm: fields.text("budget_duration"),
            spend: number(fields, "spend"),
            duration: fields.text("duration"),
            blocked: fields.flag("blocked"),
            requests: fields.amount("rpm_limit"),
            tokens: fields.amount("tpm_limit"),
            parallel: fields.amount("max_parallel_requests"),
            user: fields.text("user_id"),
            team: fields.text("team_id"),
        }
    }

    /// The refusals that come before anything changes.
    fn check(&self, ctx: &RequestCtx<'_>, other_than: Option<&str>) -> Result<(), Refusal> {
        let bad = |param: Option<&str>, message: &str| {
            Err(Refusal::error(400, "bad_request_error", param, message))
        };
        if let Given::Value(alias) = &self.alias {
            if alias.chars().any(char::is_control) || alias.split('/').any(|it| it == "..") {
                let message = "Invalid key_alias: must not contain control characters (such as tab or newline) or a \"..\" path segment";
                return bad(Some("key_alias"), message);
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-/.@".contains(c);
            if ctx.world.switches.restricts_names && !alias.chars().all(plain) {
                return bad(Some("key_alias"), "Invalid key_alias format.");
            }
            let taken = ctx.world.key_of_alias(&ctx.scope, alias);
            if taken.is_some_and(|key| other_than != Some(key.id.as_str())) {
                let message = format!(
                    "Key with alias '{alias}' already exists. Unique key aliases across all keys are required."
                );
                return bad(Some("key_alias"), &message);
            }
        }
        if let Given::Value(budget) = &self.budget
            && *budget < 0.0
        {
            let message = format!(
                "{{'error': 'max_budget must be a non-negative finite number. Received: {budget:?}'}}"
            );
            return Err(Refusal::error(400, "internal_server_error", None, &message));
        }
        if let Given::Value(rhythm) = &self.rhythm
            && (seconds(rhythm).is_none() || next_reset(rhythm, ctx.moment.now).is_none())
        {
            return bad(Some("budget_duration"), "Invalid budget_duration.");
        }
        if let Given::Value(duration) = &self.duration
            && duration != "-1"
            && seconds(duration).is_none()
        {
            return Err(Refusal::error(500, "internal_server_error", None, "Unsupported duration format."));
        }
        Ok(())
    }

    /// Puts it into a key.
    fn put(self, key: &mut KeyRecord, now: Timestamp, rounds: bool) {
        self.alias.amend_option(&mut key.alias);
        self.models.amend(&mut key.models);
        let mut budget = key.budget.map(|_| 0.0);
        match self.budget {
            Given::Omitted => {}
            Given::Null => key.budget = None,
            Given::Value(value) => {
                budget.replace(value);
                key.budget = budget.map(micros);
            }
        }
        match self.rhythm {
            Given::Omitted => {}
            Given::Null => key.reset_every(None, now),
            Given::Value(rhythm) => key.reset_every(Some(rhythm), now),
        }
        if let Given::Value(spend) = self.spend {
            key.spend = micros(spend);
        }
        match self.duration {
            Given::Omitted => {}
            Given::Null => key.expires = None,
            Given::Value(text) => key.expires = expiry(&text, now, rounds),
        }
        self.blocked.amend_option(&mut key.blocked);
        self.requests.amend_option(&mut key.rates.requests);
        self.tokens.amend_option(&mut key.rates.tokens);
        self.parallel.amend_option(&mut key.rates.parallel);
        self.user.amend_option(&mut key.user);
        self.team.amend_option(&mut key.team);
    }
}

fn expiry(text: &str, now: Timestamp, rounds: bool) -> Option<Timestamp> {
    let at = now.checked_add(SignedDuration::from_secs(seconds(text)?)).ok()?;
    let whole_days = text.ends_with('d') && rounds;
    Some(if whole_days { day(at).tomorrow().map_or(at, midnight) } else { at })
}

/// L1. A server fills in what is absent or null.
pub(super) fn generate(ctx: &mut RequestCtx<'_>) -> Answer {
    let now = ctx.moment.now;
    let mut body: Map<String, Value> = serde_json::from_slice(&ctx.inbound.body).unwrap_or_default();
    for (name, value) in ctx.world.switches.defaults.clone() {
        let slot = body.entry(name).or_insert(Value::Null);
        if slot.is_null() {
            *slot = value;
        }
    }
    let mut fields = if body.is_empty() { Fields::parse(&ctx.inbound.body) } else { Fields::of(body) };
    let said = Said::read(&mut fields);
    let kind = fields
        .read("key_type", "Input should be a type of key", |it| serde_json::from_value(it.clone()).ok());
    let chosen = fields.text("key").value();
    fields.finish().map_err(Refusal::invalid)?;
    let user = if let Given::Value(user) = &said.user { Some(user.clone()) } else { None };
    ctx.may_change(user.as_deref(), "/key/generate")?;
    said.check(ctx, None)?;
    let mut key = ctx.world.new_key(&ctx.scope, chosen.as_deref(), now);
    key.kind = kind.value().unwrap_or_default();
    key.created_by = ctx.author();
    key.minted = true;
    said.put(&mut key, now, ctx.world.switches.rounds_lifetimes);
    if let (Rank::User(own), None) = (&ctx.rank, &key.user) {
        key.user = Some(own.clone());
    }
    let counts = &mut ctx.world.counts;
    let management = key.kind == Kind::Management;
    *(if management { &mut counts.management_created_total } else { &mut counts.created_total }) += 1;
    let key = ctx.world.keys.insert(key);
    Ok(wire::json(200, &shape::created(&key)))
}

/// L2: live keys of everybody for an administrator, and those of its user for others.
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    let number =
        |name: &str, default: usize| ctx.inbound.param(name).map_or(Some(default), |it| it.parse().ok());
    let (page, size) = (number("page", 1), number("size", 10));
    let (Some(page @ 1..), Some(size @ 1..=LARGEST_PAGE)) = (page, size) else {
        let detail = json!([{"type": "less_than_equal", "loc": ["query", "size"], "msg": "Input should be less than or equal to 100"}]);
        return Err(Refusal::detail(422, &detail));
    };
    if ctx.rank == Rank::Nobody {
        let message =
            "You are not authorized to access this endpoint. No 'user_id' is associated with your API key.";
        return Err(Refusal::error(403, "bad_request_error", Some("user_id"), message));
    }
    let now = ctx.moment.now;
    let seen = |key: &&KeyRecord| match &ctx.rank {
        Rank::User(own) => key.user.as_ref() == Some(own),
        _ => true,
    };
    let keys: Vec<_> = ctx.world.keys.listed(&ctx.scope, ctx.moment).into_iter().filter(seen).collect();
    let full = ctx.inbound.param("return_full_object") == Some("true");
    let show = |key: &KeyRecord| if full { shape::listed(&key.at(now)) } else { json!(key.id) };
    let rows: Vec<_> = keys.iter().skip((page - 1) * size).take(size).map(|it| show(it)).collect();
    let pages = keys.len().div_ceil(size);
    Ok(wire::json(
        200,
        &json!({"keys": rows, "total_count": keys.len(), "current_page": page, "total_pages": pages}),
    ))
}

/// L3: without an id the caller's own key, which a master key is not.
pub(super) fn info(ctx: &mut RequestCtx<'_>) -> Answer {
    let now = ctx.moment.now;
    let own = ctx.caller.as_ref().map(|key| key.id.clone());
    let unknown = || Refusal::unknown_key("Key not found in database");
    let asked = ctx.inbound.param("key").map(str::to_owned).or_else(|| own.clone()).ok_or_else(unknown)?;
    if let Some(key) = ctx.world.key_of(&ctx.scope, &asked) {
        let allowed = match &ctx.rank {
            Rank::Admin | Rank::Viewer => true,
            Rank::User(user) => key.user.as_ref() == Some(user),
            Rank::Nobody => key.user.is_none(),
        };
        if !allowed && own.as_deref() != Some(key.id.as_str()) {
            let message = "You are not allowed to access this key's info. Your role=internal_user";
            return Err(Refusal::error(403, "internal_server_error", None, message));
        }
        return Ok(wire::json(200, &shape::info(&asked, &key.at(now), now)));
    }
    let deleted = ctx.world.deleted.get(&asked).filter(|it| it.0.scope == ctx.scope);
    match deleted.filter(|_| !ctx.world.switches.deleted_is_404) {
        Some((key, at)) => Ok(wire::json(200, &shape::deleted(&asked, key, *at))),
        None => Err(unknown()),
    }
}

/// The id of the key that a body names, if the caller may change it.
fn changed(ctx: &RequestCtx<'_>, named: &str, route: &str) -> Result<String, Refusal> {
    let key = ctx.world.key_of(&ctx.scope, named);
    let user = key.and_then(|it| it.user.as_deref()).unwrap_or_default();
    if let Rank::User(own) = &ctx.rank
        && own != user
    {
        let message = "{'error': 'Only proxy admins, team admins, or org admins can call /key/update.'}";
        return Err(Refusal::error(403, "auth_error", Some("None"), message));
    }
    ctx.may_change(Some(user), route)?;
    match key {
        Some(key) => Ok(key.id.clone()),
        None if ctx.world.switches.unknown_key_is_401 => {
            Err(Refusal::error(401, "auth_error", Some("None"), "Authentication Error, Key not found"))
        }
        None => Err(Refusal::unknown_key("Key not found.")),
    }
}

/// L4.
pub(super) fn update(ctx: &mut RequestCtx<'_>) -> Answer {
    let now = ctx.moment.now;
    let mut fields = Fields::parse(&ctx.inbound.body);
    let named = fields.required_text("key");
    let mut said = Said::read(&mut fields);
    fields.finish().map_err(Refusal::invalid)?;
    let id = changed(ctx, &named, "/key/update")?;
    let team = ctx.world.keys.get(&id).and_then(|key| key.team.clone());
    if let Some(team) = team.filter(|team| !ctx.world.teams.contains(team)) {
        let message = format!(
            "{{'error': \"Team doesn't exist in db. Team={team}. Create team via `/team/new` call.\"}}"
        );
        return Err(Refusal::error(404, "auth_error", Some("None"), &message));
    }
    said.check(ctx, Some(&id))?;
    if ctx.world.switches.null_is_ignored {
        let ignored = |given: &mut Given<String>| {
            if *given == Given::Null {
                *given = Given::Omitted;
            }
        };
        ignored(&mut said.rhythm);
        ignored(&mut said.duration);
    }
    let rounds = ctx.world.switches.rounds_lifetimes;
    ctx.world.edit(&id, now, |key| {
        said.put(key, now, rounds);
        key.updated_at = now;
        key.settings_updated_at = Some(now);
    });
    let key = ctx.world.keys.get(&id).ok_or_else(|| Refusal::unknown_key("Key not found."))?;
    Ok(wire::json(200, &shape::updated(&named, key)))
}

fn set_blocked(ctx: &mut RequestCtx<'_>, blocked: bool, route: &str) -> Answer {
    let now = ctx.moment.now;
    let mut fields = Fields::parse(&ctx.inbound.body);
    let named = fields.required_text("key");
    fields.finish().map_err(Refusal::invalid)?;
    let id = changed(ctx, &named, route)?;
    ctx.world.edit(&id, now, |key| {
        key.blocked = Some(blocked);
        key.updated_at = now;
    });
    let key = ctx.world.keys.get(&id).ok_or_else(|| Refusal::unknown_key("Key not found."))?;
    Ok(wire::json(200, &shape::listed(key)))
}

/// L5.
pub(super) fn block(ctx: &mut RequestCtx<'_>) -> Answer {
    set_blocked(ctx, true, "/key/block")
}

/// L5.
pub(super) fn unblock(ctx: &mut RequestCtx<'_>) -> Answer {
    set_blocked(ctx, false, "/key/unblock")
}

/// L6: known and unknown ids together are all reported as deleted.
pub(super) fn delete(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut fields = Fields::parse(&ctx.inbound.body);
    let named = fields.texts("keys").value().unwrap_or_default();
    fields.finish().map_err(Refusal::invalid)?;
    if named.is_empty() {
        let detail = json!([{"type": "value_error", "loc": ["body"], "msg": "At least one of keys or key_aliases is required"}]);
        return Err(Refusal::detail(422, &detail));
    }
    let mut ids = Vec::new();
    for named in &named {
        let key = ctx.world.key_of(&ctx.scope, named);
        // A token may delete itself.
        let own = ctx.caller.as_ref().zip(key).is_some_and(|(caller, key)| caller.id == key.id);
        if !own {
            let user = key.and_then(|it| it.user.as_deref()).unwrap_or_default();
            if matches!(&ctx.rank, Rank::User(own) if own != user) {
                let message = "{'error': 'You are not authorized to delete this key'}";
                return Err(Refusal::error(403, "internal_server_error", None, message));
            }
            ctx.may_change(Some(user), "/key/delete")?;
        }
        ids.extend(key.map(|it| it.id.clone()));
    }
    if ids.is_empty() {
        return Err(Refusal::error(404, "internal_server_error", None, "{'error': 'No keys found'}"));
    }
    for id in &ids {
        ctx.world.delete(id, ctx.moment.now);
        ctx.world.counts.deleted_total += 1;
    }
    Ok(wire::json(200, &json!({ "deleted_keys": named })))
}
