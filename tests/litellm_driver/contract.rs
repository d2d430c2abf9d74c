//! LiteLLM passes the driver contract, with keys for applications and with tokens.

use super::world::{TOKEN, driver, rank_of_a_master_key};
use crate::support::driver_contract::{Contract, Sound};
use crate::support::hostile::{Probe, WithoutDebug as _};
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::VendorId;
use serde_json::{Value, json};

const ID: &str = "4c6a922c0f0e4d5b8a7c6e5d4c3b2a190817263544536271809fa0b1c2d3e4f5";

const LITELLM: Contract = Contract {
    vendor_id: VendorId::LiteLlm,
    token: TOKEN,
    connect: |wire| Box::new(driver(wire)),
    debug: |wire| Probe(&driver(wire)).shown(),
    kind: KeyType::Api,
    id: "token",
    name: "key_alias",
    inside: Some("info"),
    aside: rank_of_a_master_key,
    secret: &["key"],
    amends: true,
    looks_by_listing: false,
    listing: ("keys", false),
    whole: |json| json["total_count"].as_u64() == json["keys"].as_array().map(|it| it.len() as u64),
    idless_rows: false,
    sound,
};

fn key() -> Value {
    json!({
        "token": ID, "token_id": ID, "key_name": "sk-...82LQ", "key_alias": "n", "spend": 0.15, "total_spend": 0.15,
        "max_budget": 5.0, "budget_duration": "30d", "budget_reset_at": "2026-12-01T00:00:00Z",
        "expires": "2026-12-05T14:29:48.214000Z", "models": ["gpt-small"], "blocked": null, "key_type": "llm_api",
        "rpm_limit": 10, "tpm_limit": null, "max_parallel_requests": null, "user_id": null, "team_id": null,
        "created_at": "2026-11-28T14:29:48.220000Z", "last_active": null,
    })
}

fn sound() -> Sound {
    let mut created = key();
    created["key"] = json!("sk-litellm-1");
    let mut info = key();
    info.as_object_mut().unwrap().retain(|name, _| !name.starts_with("token"));
    info["status"] = json!("active");
    let metrics = json!({"spend": 1.25, "api_requests": 3});
    let spending = json!({
        "results": [{"date": "2026-11-28", "metrics": metrics, "breakdown": {"api_keys": {ID: {
            "metrics": metrics, "metadata": {"key_alias": "n", "key_exists": true}}}}}],
        "metadata": {"total_spend": 1.25, "page": 1, "total_pages": 1, "has_more": false},
    });
    Sound {
        key: created,
        listing: json!({"keys": [key()], "total_count": 1, "current_page": 1, "total_pages": 1}),
        spending: Some((spending, 1_250_000)),
        balance: None,
        others: vec![json!({"key": ID, "info": info})],
    }
}

mod keys {
    crate::support::driver_contract::driver_contract!(super::LITELLM);
}
