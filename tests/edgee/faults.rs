//! Every fault of the emulator at every kind of call: the class of the driver's fault, and the keys that the vendor
//! holds afterwards.

use super::world::{KEYS, ORG, TOKEN, driver, id, world};
use crate::support::driver_contract::faults::{FaultContract, fault_contract};
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::{Effect, Emulator, VendorId};
use keysmith::gateway::{Gateway, Reveal};
use keysmith::plan::fault::Outcome as Consequence;

fn held(emulator: &Emulator) -> Vec<(String, Option<u64>)> {
    let keys = emulator.edgee().keys(ORG).into_iter();
    keys.map(|key| (key.name, key.max_usage.map(|usd| usd * 1_000_000))).collect()
}

const EDGEE: FaultContract = FaultContract {
    vendor_id: VendorId::Edgee,
    token: TOKEN,
    calls: |method| (method, KEYS),
    gone: r#"{"error":"x"}"#,
    aside: |_| None,
    connect: |wire| Box::new(driver(wire)),
    kind: KeyType::Api,
    id: "id",
    name: "name",
    time: "expires_at",
    envelope: "data",
    update: Some("POST"),
    looks_by_listing: false,
    wordy: |_| {},
    held,
    mint_refused: |_| None,
};

fault_contract!(EDGEE);

fn status(code: u16) -> Effect {
    Effect::Status { code, retry_after: None }
}

#[tokio::test(start_paused = true)]
async fn a_question_for_one_key_has_no_effect_whatever_happens_to_it() {
    for effect in [status(500), Effect::DropAfter, Effect::Hang, Effect::Html, Effect::Truncate] {
        for path in ["/key_000001", "/reveal"] {
            let world = world();
            world.key_by_hand("old");
            world.fault_once("GET", path, effect.clone());
            let edgee = world.edgee();
            let fault = if path == "/reveal" {
                edgee.recover(&id("key_000001")).await.err().unwrap()
            } else {
                edgee.get(&id("key_000001")).await.unwrap_err()
            };
            assert_eq!(fault.effect, Consequence::NotApplied, "{path} {effect:?}");
        }
    }
}
