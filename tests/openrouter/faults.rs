//! Every fault of the emulator at every kind of call.

use super::world::{TOKEN, UNKNOWN, driver};
use crate::support::driver_contract::faults::{FaultContract, fault_contract};
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::{Emulator, VendorId};
use keysmith::plan::fault::FaultKind;

fn held(emulator: &Emulator) -> Vec<(String, Option<u64>)> {
    emulator.openrouter().keys().into_iter().map(|key| (key.name, key.limit)).collect()
}

const OPENROUTER: FaultContract = FaultContract {
    vendor_id: VendorId::OpenRouter,
    token: TOKEN,
    calls: |method| VendorId::OpenRouter.call(method),
    gone: UNKNOWN,
    aside: |_| None,
    connect: |wire| Box::new(driver(wire)),
    kind: KeyType::Api,
    id: "hash",
    name: "name",
    time: "created_at",
    envelope: "data",
    update: Some("PATCH"),
    looks_by_listing: false,
    wordy: |_| {},
    held,
    mint_refused: |code| (code == 403).then_some(FaultKind::KeyLimit { status: 403 }),
};

fault_contract!(OPENROUTER);
