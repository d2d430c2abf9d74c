//! Every fault of the emulator at every kind of call of the three drivers: the class of the driver's fault, and the
//! keys that the vendor holds afterwards.

use super::world::{AUTH_KEYS, ISSUER_TOKEN, KEYS, TOKENS, V2_TOKEN, V3_TOKEN};
use crate::support::driver_contract::faults::FaultContract;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::edenai::Budget;
use keysmith::emulator::{Emulator, VendorId};
use keysmith::gateway::edenai_v2::EdenAiV2;
use keysmith::gateway::edenai_v3::{EdenAiV3, Issuer};
use keysmith::plan::fault::FaultKind;

/// The balance in millionths, if it limits the key.
fn counting(budget: &Budget) -> Option<u64> {
    let nanos = budget.balance.filter(|_| budget.active)?;
    u64::try_from(nanos / 1000).ok()
}

fn v2_held(emulator: &Emulator) -> Vec<(String, Option<u64>)> {
    let tokens = emulator.edenai().v2().keys().into_iter();
    tokens.map(|token| (token.name, counting(&token.budget))).collect()
}

fn v3_held(emulator: &Emulator) -> Vec<(String, Option<u64>)> {
    let keys = emulator.edenai().v3().keys().into_iter().filter(|key| key.revoked_at.is_none());
    keys.map(|key| (key.name, counting(&key.budget))).collect()
}

fn minted(emulator: &Emulator) -> Vec<(String, Option<u64>)> {
    let keys = emulator.edenai().v3().management_keys().into_iter();
    keys.filter(|key| key.minted && key.revoked_at.is_none()).map(|key| (key.name, None)).collect()
}

const V2: FaultContract = FaultContract {
    vendor_id: VendorId::EdenAiV2,
    token: V2_TOKEN,
    calls: |method| (method, TOKENS),
    gone: r#"{"error":"x"}"#,
    aside: |_| None,
    connect: |wire| Box::new(EdenAiV2::new(wire)),
    kind: KeyType::Api,
    id: "name",
    name: "name",
    time: "expire_time",
    envelope: "",
    update: Some("PATCH"),
    looks_by_listing: false,
    wordy: |emulator| emulator.edenai().v2().set_switches(|it| it.delete_ok = true),
    held: v2_held,
    mint_refused: |_| None,
};

const V3: FaultContract = FaultContract {
    vendor_id: VendorId::EdenAiV3,
    token: V3_TOKEN,
    calls: |method| (method, KEYS),
    connect: |wire| Box::new(EdenAiV3::new(wire)),
    id: "id",
    envelope: "results",
    update: Some("PATCH"),
    wordy: |_| {},
    held: v3_held,
    mint_refused: key_limit,
    ..V2
};

/// The answer to a removal of an auth key has no body that could be cut short.
const ISSUER: FaultContract = FaultContract {
    token: ISSUER_TOKEN,
    calls: |method| (method, AUTH_KEYS),
    connect: |wire| Box::new(Issuer::new(wire)),
    kind: KeyType::Management,
    update: None,
    looks_by_listing: true,
    held: minted,
    ..V3
};

/// Quirk 8 of v3.
fn key_limit(status: u16) -> Option<FaultKind> {
    (status == 403).then_some(FaultKind::KeyLimit { status })
}

mod v2 {
    crate::support::driver_contract::faults::fault_contract!(super::V2);
}

mod v3 {
    crate::support::driver_contract::faults::fault_contract!(super::V3);
}

mod issuer {
    crate::support::driver_contract::faults::fault_contract! { super::ISSUER;
        without_a_fault: without_a_fault_every_call_does_what_it_says;
        refusals: a_refusal_had_no_effect;
        unknown_paths: an_unknown_path_is_a_fault_except_for_what_should_be_gone;
        failures: a_failure_of_the_vendor_leaves_open_whether_the_call_was_carried_out;
        broken_connections: a_broken_connection_leaves_open_whether_the_call_was_carried_out;
        silence: a_call_without_an_answer_ends_after_thirty_seconds;
        slow_answers: a_slow_answer_is_waited_for_up_to_the_deadline;
        late_effects: a_call_that_was_given_up_may_be_carried_out_later;
        large_answers: an_answer_beyond_the_limit_is_refused_whatever_was_asked;
        redirects: a_redirect_is_never_followed;
        throttling: retry_after_is_honoured_up_to_an_hour;
        only_404_is_gone: only_an_answer_that_the_key_is_not_found_means_that_it_is_gone;
    }
}
