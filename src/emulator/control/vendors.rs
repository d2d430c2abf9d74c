//! The control API of every vendor but Edgee. It is the same for each, except for the switches and the credentials.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Problem, body, done, set_switches};
use crate::emulator::Emulator;
use crate::emulator::surface::{Desk, Seen, Surface};
use crate::emulator::wire::{self, Inbound};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    token: String,
    /// The demo's token if absent.
    #[serde(default)]
    account: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spending {
    micros: u64,
}

/// The vendor of that name, if this module serves it.
pub(super) fn named(name: &str) -> Option<Surface> {
    Surface::ALL.into_iter().find(|surface| surface.name() == name && *surface != Surface::Edgee)
}

pub(super) fn answer(emulator: &Emulator, inbound: &Inbound, route: (&str, &str, &[&str])) -> Answer {
    let (method, vendor, rest) = route;
    let surface = named(vendor).ok_or(Problem::NotFound)?;
    let desk = emulator.surface(surface);
    match (method, rest) {
        ("PATCH", ["switches"]) => set_switches(&desk, inbound),
        ("POST", [kind @ ("tokens" | "issuers" | "sessions")]) => add_token(emulator, inbound, (&desk, kind)),
        ("DELETE", ["tokens", token]) => done(desk.revoke_token(token)),
        ("GET", ["keys"]) => {
            let keys = inbound.param("account").map_or_else(|| desk.keys(), |account| desk.keys_of(account));
            Ok(wire::json(200, &keys.iter().map(show).collect::<Value>()))
        }
        ("POST", ["keys"]) => {
            let Key { name } = body(inbound)?;
            Ok(wire::json(200, &show(&desk.add_key(&name))))
        }
        ("POST", ["keys", id, "spend"]) => {
            let Spending { micros } = body(inbound)?;
            done(desk.spend(id, micros))
        }
        ("DELETE", ["keys", id]) => done(desk.delete_key(id)),
        _ => Err(Problem::NotFound),
    }
}

/// A summary of a vendor's state.
pub(super) fn state(emulator: &Emulator, surface: Surface) -> Value {
    let desk = emulator.surface(surface);
    json!({
        "keys": desk.keys().len(),
        "credentials": desk.credentials().len(),
        "createdTotal": desk.created_total(),
        "switches": desk.switches(),
    })
}

fn add_token(emulator: &Emulator, inbound: &Inbound, (desk, kind): (&Desk, &str)) -> Answer {
    let Token { token, account } = body(inbound)?;
    let v2 = emulator.edenai().v2();
    match (kind, desk.surface(), account.as_deref()) {
        ("tokens", _, None) => desk.add_token(&token),
        ("tokens", _, Some(account)) => desk.add_token_of(&token, account),
        ("issuers", Surface::EdenAiV3, None) => desk.add_issuer(&token),
        ("issuers", Surface::EdenAiV3, Some(account)) => desk.add_issuer_of(&token, account),
        ("sessions", Surface::EdenAiV2, None) => v2.add_session(&token),
        ("sessions", Surface::EdenAiV2, Some(account)) => v2.add_session_of(&token, account),
        _ => return Err(Problem::NotFound),
    }
    Ok(wire::no_content())
}

/// A key without its secret, as every answer here shows it.
fn show(key: &Seen) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "account": key.account,
        "active": key.active,
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
        "remainingMicros": key.remaining_micros,
        "budgetMicros": key.budget_micros,
    })
}
