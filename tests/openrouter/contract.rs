//! OpenRouter passes the driver contract.

use super::world::{TOKEN, driver};
use crate::support::driver_contract::{Contract, Sound, driver_contract};
use crate::support::hostile::{Probe, WithoutDebug as _};
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::VendorId;
use serde_json::{Value, json};

const HASH: &str = "f01d52606dc8f0a8303a7b5cc3fa07109c2e346cec7c0a16b40de462992ce943";

const OPENROUTER: Contract = Contract {
    vendor_id: VendorId::OpenRouter,
    token: TOKEN,
    connect: |wire| Box::new(driver(wire)),
    debug: |wire| Probe(&driver(wire)).shown(),
    kind: KeyType::Api,
    id: "hash",
    name: "name",
    inside: Some("data"),
    aside: |_| None,
    secret: &["key"],
    amends: true,
    looks_by_listing: false,
    listing: ("data", false),
    // A page is the last one if the page that begins with its last row has no other.
    whole: |answer| answer["data"].as_array().is_some_and(|rows| rows.len() < 2),
    idless_rows: false,
    sound,
};

fn key() -> Value {
    json!({
        "hash": HASH, "name": "n", "label": "sk-or-v1-0e6...1c96", "disabled": false, "limit": 100,
        "limit_remaining": 74.5, "limit_reset": "monthly", "include_byok_in_limit": false, "usage": 25.5,
        "usage_daily": 25.5, "usage_weekly": 25.5, "usage_monthly": 25.5, "byok_usage": 0, "byok_usage_daily": 0,
        "byok_usage_weekly": 0, "byok_usage_monthly": 0, "created_at": "2025-08-24T10:30:00Z", "updated_at": null,
        "expires_at": "2027-12-31T23:59:59Z", "creator_user_id": "user_1", "workspace_id": "w",
        // Where an answer is about a provider key.
        "id": "11111111-2222-4333-9444-555555555555",
    })
}

fn sound() -> Sound {
    let credits = json!({"data": {"total_credits": 100.5, "total_usage": 25.25}});
    let stored = json!({
        "id": "11111111-2222-4333-9444-555555555555", "provider": "openai", "name": "n", "label": "sk-...AbCd",
        "disabled": false, "is_fallback": false, "allowed_api_key_hashes": [HASH], "allowed_models": null,
        "allowed_user_ids": null, "sort_order": 0, "workspace_id": "w", "created_at": "2025-08-24T10:30:00Z",
    });
    Sound {
        key: json!({"data": key(), "key": "sk-or-v1-fake-1"}),
        listing: json!({"data": [key()]}),
        spending: Some((json!({"data": [key()]}), 25_500_000)),
        balance: Some((credits, 75_250_000)),
        others: vec![json!({"data": [stored], "total_count": 1}), json!({ "data": stored })],
    }
}

driver_contract!(OPENROUTER);
