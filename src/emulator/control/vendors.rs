//! The control API of every vendor but Edgee. It is the same for each, except for the switches and the credentials.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Problem, body, done, set_switches};
use crate::emulator::Emulator;
use crate::emulator::handle::{Seen, VendorHandle, VendorId};
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
pub(super) fn named(name: &str) -> Option<VendorId> {
    VendorId::ALL.into_iter().find(|vendor_id| vendor_id.name() == name && *vendor_id != VendorId::Edgee)
}

pub(super) fn answer(emulator: &Emulator, inbound: &Inbound, route: (&str, &str, &[&str])) -> Answer {
    let (method, vendor, rest) = route;
    let vendor_id = named(vendor).ok_or(Problem::NotFound)?;
    let handle = emulator.vendor(vendor_id);
    match (method, rest) {
        ("PATCH", ["switches"]) => set_switches(&handle, inbound),
        ("POST", [kind @ ("tokens" | "issuers" | "sessions")]) => add_token(emulator, inbound, &handle, kind),
        ("DELETE", ["tokens", token]) => done(handle.revoke_token(token)),
        ("GET", ["keys"]) => {
            let keys =
                inbound.param("account").map_or_else(|| handle.keys(), |account| handle.keys_of(account));
            Ok(wire::json(200, &keys.iter().map(show).collect::<Value>()))
        }
        ("POST", ["keys"]) => {
            let Key { name } = body(inbound)?;
            Ok(wire::json(200, &show(&handle.add_key(&name))))
        }
        ("POST", ["keys", id, "spend"]) => {
            let Spending { micros } = body(inbound)?;
            done(handle.spend(id, micros))
        }
        ("DELETE", ["keys", id]) => done(handle.delete_key(id)),
        _ => Err(Problem::NotFound),
    }
}

/// A summary of a vendor's state.
pub(super) fn state(emulator: &Emulator, vendor_id: VendorId) -> Value {
    let handle = emulator.vendor(vendor_id);
    json!({
        "keys": handle.keys().len(),
        "credentials": handle.credentials().len(),
        "createdTotal": handle.created_total(),
        "switches": handle.switches(),
    })
}

fn add_token(emulator: &Emulator, inbound: &Inbound, handle: &VendorHandle, kind: &str) -> Answer {
    let Token { token, account } = body(inbound)?;
    let v2 = emulator.edenai().v2();
    match (kind, handle.vendor(), account.as_deref()) {
        ("tokens", _, None) => handle.add_token(&token),
        ("tokens", _, Some(account)) => handle.add_token_of(&token, account),
        ("issuers", VendorId::EdenAiV3, None) => handle.add_issuer(&token),
        ("issuers", VendorId::EdenAiV3, Some(account)) => handle.add_issuer_of(&token, account),
        ("sessions", VendorId::EdenAiV2, None) => v2.add_session(&token),
        ("sessions", VendorId::EdenAiV2, Some(account)) => v2.add_session_of(&token, account),
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
