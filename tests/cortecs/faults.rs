//! Every fault of the emulator at every kind of call, for keys for applications and for management keys.

use super::world::{KEYS, TOKEN};
use crate::support::driver_contract::faults::FaultContract;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::{Emulator, VendorId};
use keysmith::gateway::cortecs::Cortecs;
use keysmith::plan::fault::FaultKind;

fn held(emulator: &Emulator) -> Vec<(String, Option<u64>)> {
    let keys = emulator.cortecs().keys().into_iter();
    keys.filter(|key| key.minted).map(|key| (key.name, None)).collect()
}

const CORTECS: FaultContract = FaultContract {
    vendor_id: VendorId::Cortecs,
    token: TOKEN,
    calls: |method| (method, KEYS),
    gone: r#"{"error":"x"}"#,
    aside: |_| None,
    connect: |wire| Box::new(Cortecs::new(wire)),
    kind: KeyType::Api,
    id: "name",
    name: "name",
    time: "created_at",
    envelope: "api_keys",
    update: None,
    looks_by_listing: true,
    wordy: |_| {},
    held,
    mint_refused: key_limit,
};

const MANAGEMENT: FaultContract = FaultContract { kind: KeyType::Management, ..CORTECS };

/// Quirk 3: a name that is not listed was not taken, so the limit was reached.
fn key_limit(status: u16) -> Option<FaultKind> {
    (status == 400).then_some(FaultKind::KeyLimit { status })
}

mod keys {
    crate::support::driver_contract::faults::fault_contract!(super::CORTECS);
}

mod management_keys {
    crate::support::driver_contract::faults::fault_contract!(super::MANAGEMENT);
}
