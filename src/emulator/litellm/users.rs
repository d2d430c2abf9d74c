//! Users, as far as the rank of a token depends on them (L12), and spending by day and key (L11).

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::console::{Answer, Rank, RequestCtx};
use super::gateway::MODELS;
use super::record::Role;
use super::refusal::Refusal;
use super::shape;
use crate::emulator::calendar::day;
use crate::emulator::fields::Fields;
use crate::emulator::secret::uuid;
use crate::emulator::wire;

/// L12: a user, without a key.
pub(super) fn create(ctx: &mut RequestCtx<'_>) -> Answer {
    let mut fields = Fields::parse(&ctx.inbound.body);
    let id = fields.required_text("user_id");
    let role = fields
        .read("user_role", "Input should be a role", |it| serde_json::from_value::<Role>(it.clone()).ok());
    fields.finish().map_err(Refusal::invalid)?;
    ctx.may_change(None, "/user/new")?;
    let now = ctx.moment.now;
    let role = role.value().unwrap_or(Role::InternalUser);
    ctx.world.users.insert(id.clone(), (role, now));
    let mut user = shape::of("new_user");
    user.insert("user_id".to_owned(), json!(id));
    user.insert("user_role".to_owned(), json!(role));
    Ok(wire::json(200, &user))
}

/// L12: open to administrators only.
pub(super) fn list(ctx: &mut RequestCtx<'_>) -> Answer {
    if !matches!(ctx.rank, Rank::Admin | Rank::Viewer) {
        let detail = json!({"error": "Only proxy admins and organization admins can list users."});
        return Err(Refusal::detail(403, &detail));
    }
    let size: usize = ctx.inbound.param("page_size").and_then(|it| it.parse().ok()).unwrap_or(25);
    let wanted: Option<Vec<&str>> = ctx.inbound.param("user_ids").map(|it| it.split(',').collect());
    let users: Vec<_> = ctx
        .world
        .users
        .iter()
        .filter(|(id, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(&id.as_str())))
        .map(|(id, (role, at))| {
            let keys = ctx.world.keys.iter().filter(|key| key.user.as_ref() == Some(id)).count();
            let mut user = shape::of("user");
            user.insert("user_id".to_owned(), json!(id));
            user.insert("user_role".to_owned(), json!(role));
            user.insert("key_count".to_owned(), json!(keys));
            for field in ["created_at", "updated_at"] {
                user.insert(field.to_owned(), json!(shape::zulu(*at)));
            }
            user
        })
        .collect();
    let pages = users.len().div_ceil(size.max(1));
    let shown: Vec<_> = users.iter().take(size).collect();
    Ok(wire::json(
        200,
        &json!({"users": shown, "total": users.len(), "page": 1, "page_size": size, "total_pages": pages}),
    ))
}

/// L14: one team.
pub(super) fn team(ctx: &mut RequestCtx<'_>) -> Answer {
    let id = ctx.inbound.param("team_id").unwrap_or_default();
    if !ctx.world.teams.contains(id) {
        let message = format!("{{'message': 'Team not found, passed team id: {id}.'}}");
        return Err(Refusal::error(404, "auth_error", Some("None"), &message));
    }
    Ok(wire::json(
        200,
        &json!({"team_id": id, "team_info": {"team_id": id}, "keys": [], "team_memberships": []}),
    ))
}

/// L11: each day of the span in which something was spent, with each key.
pub(super) fn activity(ctx: &mut RequestCtx<'_>) -> Answer {
    if ctx.rank == Rank::Nobody {
        return Err(Refusal::lower("/user/daily/activity"));
    }
    let date = |name: &str| ctx.inbound.param(name).and_then(|it| it.parse::<Date>().ok());
    let (Some(since), Some(until)) = (date("start_date"), date("end_date")) else {
        let detail = json!({"error": "Please provide start_date and end_date"});
        return Err(Refusal::detail(400, &detail));
    };
    let mut days: BTreeMap<Date, BTreeMap<&str, (u64, u64)>> = BTreeMap::new();
    for record in ctx.world.usage.iter().filter(|it| (since..=until).contains(&day(it.at))) {
        let sums = days.entry(day(record.at)).or_default().entry(&record.key).or_default();
        sums.0 += record.cost_micros;
        sums.1 += 1;
    }
    for (date, keys) in &mut days {
        if *date == day(ctx.moment.now) {
            ctx.world.strangers.iter().for_each(|id| {
                let _ = keys.entry(id).or_default();
            });
        }
    }
    let mut results: Vec<_> = days.iter().map(|(date, keys)| row(ctx, *date, keys)).collect();
    results.reverse();
    let total: u64 = days.values().flat_map(BTreeMap::values).map(|it| it.0).sum();
    let metadata = json!({"total_spend": shape::usd(total), "page": 1, "total_pages": 1, "has_more": false});
    Ok(wire::json(200, &json!({ "results": results, "metadata": metadata })))
}

fn row(ctx: &RequestCtx<'_>, date: Date, keys: &BTreeMap<&str, (u64, u64)>) -> Value {
    let by_key = keys.iter().map(|(id, sums)| {
        let key = ctx.world.keys.get(id);
        let metadata = json!({
            "key_alias": key.and_then(|key| key.alias.clone()), "team_id": key.and_then(|key| key.team.clone()),
            "user_id": key.and_then(|key| key.user.clone()), "user_email": null, "key_exists": key.is_some(),
        });
        ((*id).to_owned(), json!({"metrics": metrics(*sums), "metadata": metadata}))
    });
    let by_key: Map<_, _> = by_key.collect();
    let sum = keys.values().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let empty = json!({});
    json!({"date": date.to_string(), "metrics": metrics(sum), "breakdown": {
        "mcp_servers": empty, "models": empty, "model_groups": empty, "providers": empty, "endpoints": empty,
        "api_keys": by_key, "entities": empty,
    }})
}

fn metrics((micros, calls): (u64, u64)) -> Value {
    json!({"spend": shape::usd(micros), "successful_requests": calls, "failed_requests": 0, "api_requests": calls})
}

/// L15: every model of the proxy, as far as a driver reads it.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
pub(super) fn models(ctx: &mut RequestCtx<'_>) -> Answer {
    let more = ctx.world.switches.more_models.iter().map(String::as_str);
    let show = |name: &str| {
        json!({
            "model_name": name,
            "litellm_params": {"model": format!("openai/{name}"), "use_in_pass_through": false},
            "model_info": {"id": uuid(name), "db_model": false, "key": format!("openai/{name}"), "mode": "chat"},
        })
    };
    let data: Vec<_> = MODELS.into_iter().chain(more).map(show).collect();
    Ok(wire::json(200, &json!({ "data": data })))
}
