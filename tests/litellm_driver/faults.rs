//! Every fault of the emulator at every kind of call.

use super::world::{TOKEN, UNKNOWN, driver, rank_of_a_master_key};
use crate::support::driver_contract::faults::FaultContract;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::{Emulator, VendorId};

fn held(emulator: &Emulator) -> Vec<(String, Option<u64>)> {
    let keys = emulator.litellm().keys().into_iter();
    keys.filter(|key| key.minted).map(|key| (key.alias.unwrap_or_default(), key.budget)).collect()
}

const LITELLM: FaultContract = FaultContract {
    vendor_id: VendorId::LiteLlm,
    token: TOKEN,
    calls: |method| VendorId::LiteLlm.call(method),
    gone: UNKNOWN,
    aside: rank_of_a_master_key,
    connect: |wire| Box::new(driver(wire)),
    kind: KeyType::Api,
    id: "token",
    name: "key_alias",
    time: "created_at",
    envelope: "keys",
    update: Some("PATCH"),
    looks_by_listing: false,
    wordy: |_| {},
    held,
    mint_refused: |_| None,
};

mod keys {
    crate::support::driver_contract::faults::fault_contract!(super::LITELLM);
}
