//! Edgee passes the driver contract.

use super::account::{Client, mint};
use super::world::{KEYS, ORG, TOKEN, driver, world};
use crate::support::driver_contract::{Contract, Sound, driver_contract};
use crate::support::hostile::{Probe, WithoutDebug as _, silent};
use crate::support::logged;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::{Effect, VendorId};
use serde_json::json;

const EDGEE: Contract = Contract {
    vendor_id: VendorId::Edgee,
    token: TOKEN,
    connect: |wire| Box::new(driver(wire)),
    debug: |wire| Probe(&driver(wire)).shown(),
    kind: KeyType::Api,
    id: "id",
    name: "name",
    inside: None,
    aside: |_| None,
    secret: &["key"],
    amends: true,
    looks_by_listing: false,
    listing: ("data", true),
    whole: |answer| answer["has_more"] != json!(true),
    idless_rows: false,
    sound,
};

fn sound() -> Sound {
    let key = json!({
        "object": "ai_gateway_api_key", "id": "key_1", "organization_id": ORG, "name": "n",
        "type": "api", "models": ["m"], "max_usage": 5, "active": true, "debug_mode": false,
        "email": "a@b.c", "created_at": "2026-04-08T10:00:00Z", "expires_at": "0001-01-01T00:00:00Z",
        "last_used_at": null, "key": "sk-edgee-1", "api_key_ids": ["key_1"],
        "data": [{"id": "key_1", "name": "n"}], "has_more": false, "last_key": "key_1", "deleted": true,
    });
    let listing = json!({"data": [key], "has_more": false});
    Sound { key, listing, spending: None, balance: None, others: Vec::new() }
}

driver_contract!(EDGEE);

/// The types that hold the driver neither show nor log more than the driver.
#[tokio::test(start_paused = true)]
async fn no_account_shows_or_logs_a_secret() {
    let log = logged::by_this_thread();
    let world = world();
    let client = Client::of(&world);
    silent(&Probe(&client.account).shown());
    world.fault_once("POST", KEYS, Effect::Truncate);
    mint(&client.account, "n").await.err().unwrap();
    let text = log.text();
    assert!(text.contains("vendor call failed"), "the log is empty, so it proves nothing: {text}");
    assert!(!text.contains(TOKEN) && !text.contains(&world.only_key().secret), "{text}");
}
