//! Custom tokens (§2.2, §2.3).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::console::{Answer, Caller, Desk};
use super::record::CustomToken;
use super::refusal::Refusal;
use super::view;
use super::world::NewToken;
use crate::emulator::edenai::budget;
use crate::emulator::edenai::kind;
use crate::emulator::edenai::money::{Form, Forms};
use crate::emulator::fields::{Fields, Given};
use crate::emulator::wire;

/// Lists all tokens as a raw array.
#[expect(
    clippy::unnecessary_wraps,
    reason = "an entry of the routing table, like the handlers that can refuse"
)]
pub(super) fn list(desk: &mut Desk<'_>) -> Answer {
    let listed = desk.world.tokens.listed(&desk.account, desk.moment);
    let items: Vec<Value> = listed.into_iter().map(|token| shown(desk, token)).collect();
    Ok(wire::json(200, &items))
}

/// Creates a token; a taken name is a 400.
pub(super) fn create(desk: &mut Desk<'_>) -> Answer {
    let mut fields = fields(desk);
    let now = desk.moment.now;
    let mut new = NewToken::named(&kind::parse_name(&mut fields));
    new.token_type = kind::parse(&mut fields);
    new.budget = budget::amend(&new.budget, &mut fields, Forms::Only(Form::Text), now);
    new.expires_at = expiry(desk, &mut fields).value();
    if desk.world.token(&desk.account, &new.name).is_some() {
        fields.complain("name", "Token with this name already exists.");
    }
    fields.finish().map_err(Refusal::Invalid)?;
    let token = desk.world.mint(&desk.account, new, now);
    desk.world.counts.created_total += 1;
    Ok(wire::json(201, &view::created(&token, &desk.world.switches)))
}

/// Reads one token. This is the only way to read the secret again, as long as reads show it.
pub(super) fn get(desk: &mut Desk<'_>) -> Answer {
    let body = shown(desk, own(desk)?);
    if body.get("token").is_some() {
        desk.world.counts.reveals_total += 1;
    }
    Ok(wire::json(200, &body))
}

/// Updates a token. Name and kind are read-only and ignored.
pub(super) fn update(desk: &mut Desk<'_>) -> Answer {
    let mut token = own(desk)?.clone();
    let mut fields = fields(desk);
    token.budget = budget::amend(&token.budget, &mut fields, Forms::Only(Form::Number), desk.moment.now);
    expiry(desk, &mut fields).amend_option(&mut token.expires_at);
    fields.finish().map_err(Refusal::Invalid)?;
    let token = desk.world.tokens.insert(token);
    Ok(wire::json(200, &view::updated(&token, &desk.world.switches)))
}

pub(super) fn delete(desk: &mut Desk<'_>) -> Answer {
    let id = own(desk)?.id.clone();
    desk.world.tokens.remove(&id, desk.moment.now);
    desk.world.counts.deleted_total += 1;
    Ok(if desk.world.switches.delete_ok { wire::json(200, &json!({})) } else { wire::no_content() })
}

/// Rotates a token, for sessions since September 2026. v2 documents no field names, so they are those of v3.
pub(super) fn rotate(desk: &mut Desk<'_>) -> Answer {
    let token = desk.world.rotate(&desk.account, desk.name).ok_or(Refusal::NotFound)?;
    let mut body = shown(desk, &token);
    body["secret"] = json!(token.secret);
    Ok(wire::json(200, &body))
}

/// What a key may read about itself. The account's key is no custom token and has no budget.
pub(super) fn me(desk: &mut Desk<'_>) -> Answer {
    match &desk.caller {
        Caller::Token(token) => Ok(wire::json(200, &shown(desk, token))),
        Caller::Account => {
            Ok(wire::json(200, &json!({ "label": "account", "balance": null, "active_balance": false })))
        }
        Caller::Session => Err(Refusal::NotFound),
    }
}

fn own<'a>(desk: &'a Desk<'_>) -> Result<&'a CustomToken, Refusal> {
    desk.world.token(&desk.account, desk.name).ok_or(Refusal::NotFound)
}

fn shown(desk: &Desk<'_>, token: &CustomToken) -> Value {
    let token = CustomToken { budget: token.budget.at(desk.moment.now), ..token.clone() };
    view::item(&token, &desk.world.switches)
}

/// Before July 2026 the fields of the reset did not exist.
fn fields(desk: &Desk<'_>) -> Fields {
    let mut fields = Fields::parse(&desk.inbound.body);
    if !desk.world.switches.resets {
        fields.ignore("balance_reset_period");
        fields.ignore("balance_reset_amount");
    }
    fields
}

fn expiry(desk: &Desk<'_>, fields: &mut Fields) -> Given<Timestamp> {
    let given = fields.time("expire_time");
    let soonest = desk.moment.now.checked_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
    if matches!(given, Given::Value(expiry) if desk.world.switches.day_ahead && expiry < soonest) {
        fields.complain("expire_time", "expire_time must be at least one day ahead.");
    }
    given
}
