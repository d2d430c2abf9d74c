//! The three drivers of Eden AI pass the driver contract.

use super::world::{ISSUER_TOKEN, V2_TOKEN, V3_TOKEN};
use crate::support::driver_contract::{Contract, Sound};
use crate::support::hostile::{Probe, WithoutDebug as _};
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::VendorId;
use keysmith::gateway::edenai_v2::EdenAiV2;
use keysmith::gateway::edenai_v3::{EdenAiV3, Issuer};
use serde_json::{Value, json};

const V2: Contract = Contract {
    vendor_id: VendorId::EdenAiV2,
    token: V2_TOKEN,
    connect: |wire| Box::new(EdenAiV2::new(wire)),
    debug: |wire| Probe(&EdenAiV2::new(wire)).shown(),
    kind: KeyType::Api,
    id: "name",
    name: "name",
    inside: None,
    aside: |_| None,
    secret: &["token"],
    amends: true,
    looks_by_listing: false,
    listing: ("", true),
    whole: |_| true,
    idless_rows: false,
    sound: || Sound { listing: json!([key()]), balance: Some((costs(), 42_500_000)), ..common() },
};

/// Legacy keys have no id.
const V3: Contract = Contract {
    vendor_id: VendorId::EdenAiV3,
    token: V3_TOKEN,
    connect: |wire| Box::new(EdenAiV3::new(wire)),
    debug: |wire| Probe(&EdenAiV3::new(wire)).shown(),
    id: "id",
    secret: &["secret"],
    listing: ("results", true),
    idless_rows: true,
    sound: common,
    ..V2
};

const ISSUER: Contract = Contract {
    token: ISSUER_TOKEN,
    connect: |wire| Box::new(Issuer::new(wire)),
    debug: |wire| Probe(&Issuer::new(wire)).shown(),
    kind: KeyType::Management,
    secret: &["secret", "key", "token"],
    amends: false,
    looks_by_listing: true,
    sound: || Sound { spending: None, others: vec![costs()], ..common() },
    ..V3
};

/// A key of either API.
fn key() -> Value {
    json!({
        "id": "k", "name": "n", "token_type": "api_token", "member": "a@b.c", "masked": "sk-eden-…1",
        "active_balance": true, "balance": "50.000000000", "balance_reset_period": "monthly",
        "balance_reset_amount": 9.5, "expire_time": "2026-12-24T00:00:00Z", "created_at": null, "revoked": false,
        "revoked_at": null, "secret": "sk-eden-1", "token": "eden-1", "default_tags": {"a": 1},
    })
}

fn costs() -> Value {
    let data = json!({"2026-11-02": {"text__chat": {"total_cost": 11.3, "details": 381}}});
    json!({"usage": [{"token": "n", "data": data}], "credits": 42.5})
}

fn common() -> Sound {
    let listing =
        json!({"results": [key()], "limit": 100, "offset": 0, "total_count": 1, "count": 1, "next": null});
    let spending = Some((costs(), 11_300_000));
    Sound { key: key(), listing, spending, balance: None, others: Vec::new() }
}

mod v2 {
    crate::support::driver_contract::driver_contract!(super::V2);
}

mod v3 {
    crate::support::driver_contract::driver_contract!(super::V3);
}

mod issuer {
    crate::support::driver_contract::driver_contract!(super::ISSUER);
}
