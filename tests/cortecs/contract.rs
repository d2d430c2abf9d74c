//! Cortecs passes the driver contract, with keys for applications and with management keys. Project settings, which
//! only Cortecs has, are tested for secrecy and for malformed answers as well.

use super::world::TOKEN;
use crate::support::driver_contract::stage::OptionalCalls;
use crate::support::driver_contract::{Call, Contract, Sound, span};
use crate::support::garbage::{bytes, class, fuzz, need, wait};
use crate::support::hostile::{CANARY, Probe, STATUSES, WithoutDebug as _, silent};
use crate::support::stub::Stub;
use http::Method;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::project_settings::{Preference, ProjectValues};
use keysmith::emulator::VendorId;
use keysmith::gateway::Gateway;
use keysmith::gateway::cortecs::Cortecs;
use keysmith::plan::fault::{FaultKind, Outcome};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const CORTECS: Contract = Contract {
    vendor_id: VendorId::Cortecs,
    token: TOKEN,
    connect: |wire| Box::new(Cortecs::new(wire)),
    debug: |wire| Probe(&Cortecs::new(wire)).shown(),
    kind: KeyType::Api,
    id: "name",
    name: "name",
    inside: None,
    aside: |_| None,
    secret: &["api_key"],
    amends: false,
    looks_by_listing: true,
    listing: ("api_keys", false),
    whole: |_| true,
    idless_rows: false,
    sound,
};

const MANAGEMENT: Contract = Contract { kind: KeyType::Management, ..CORTECS };

fn sound() -> Sound {
    let row = json!({"name": "n", "created_at": 1_767_225_600, "is_management_key": false});
    let mut key = row.clone();
    key["api_key"] = json!("cortecs-1");
    let usage = json!({"from": "a", "until": "b", "bucket": "1d", "group_by": "user_key",
        "rows": [{"user_id": "u", "key_name": "n", "requests": 3, "cost": 1.25}]});
    let purse = json!({"current_balance": 1234.56, "currency": "EUR", "data": {"current_balance": -5, "currency": "EUR"}});
    Sound {
        key,
        listing: json!({"api_keys": [row]}),
        spending: Some((usage, 1_250_000)),
        balance: Some((purse, -5_000_000)),
        others: vec![project()],
    }
}

fn project() -> Value {
    json!({"_id": "c", "project_id": "p", "allow_overwrite": false, "created_at": "a", "updated_at": "b",
        "inference_config": {"allowed_providers": ["m"], "blacklisted_models": [], "eu_native": false,
            "include_metadata": true, "preference": "speed"}})
}

mod keys {
    crate::support::driver_contract::driver_contract!(super::CORTECS);
}

mod management_keys {
    crate::support::driver_contract::driver_contract!(super::MANAGEMENT);
}

fn wanted() -> ProjectValues {
    ProjectValues { preference: Some(Preference::Cost), ..ProjectValues::default() }
}

/// The settings that are read hold the canary, and refusals repeat the settings that are written.
#[tokio::test(start_paused = true)]
async fn no_fault_repeats_the_settings_of_a_project() {
    let whole = format!(
        r#"{{"project_id":"{CANARY}","inference_config":{{"preference":"{CANARY}"}},"{CANARY}":["{CANARY}"]}}"#
    );
    for status in STATUSES {
        let answer = whole.clone();
        let stub = Stub::by(move |request| match *request.method() {
            Method::PUT => (status, format!(r#"{{"error":"{CANARY}","{CANARY}":1}}"#).into()),
            _ => (200, answer.clone().into()),
        });
        let cortecs = Cortecs::new(stub.wire(TOKEN));
        let projects = cortecs.projects().unwrap();
        let project = projects.read().await.unwrap();
        if let Err(fault) = projects.write(project, &wanted()).await {
            silent(&format!("{fault} {fault:?}"));
        } else {
            assert_eq!(status, 200);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_shown_a_second_time() {
    let cortecs = super::world::stage().cortecs();
    cortecs.mint(&super::world::order("n")).await.unwrap();
    let faults = CORTECS.every_fault(&cortecs).await;
    let calls: Vec<_> = faults.into_iter().map(|(call, _)| call).collect();
    assert!(calls.contains(&Call::Recover), "{calls:?}");
    assert!(!calls.contains(&Call::List) && !calls.contains(&Call::Revoke), "{calls:?}");
}

/// A body below the limit of an export that is no export.
#[tokio::test(start_paused = true)]
async fn ten_megabytes_of_usage_without_a_cost_are_no_spending() {
    let row = r#"{"key_name":"n","cost":"x"}"#;
    let rows = vec![row; (10 << 20) / row.len()].join(",");
    let stub = Stub::always(200, format!(r#"{{"rows":[{rows}]}}"#));
    assert!(Cortecs::new(stub.wire(TOKEN)).spending(&span(), &[]).await.is_err());
}

async fn judge_project(body: &[u8]) -> Result<(), String> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let put = Arc::new(Mutex::new(None));
    let (answer, seen) = (body.to_vec(), Arc::clone(&put));
    let stub = Stub::by(move |request| match *request.method() {
        Method::PUT => {
            *seen.lock().unwrap() = serde_json::from_slice::<Value>(request.body()).ok();
            (200, "{}".into())
        }
        _ => (200, answer.clone().into()),
    });
    let cortecs = Cortecs::new(stub.wire(TOKEN));
    let projects = cortecs.projects().ok_or("no projects")?;
    let read = projects.read().await;
    // An empty answer means that there is no configuration.
    if matches!(&read, Err(fault) if fault.kind == FaultKind::NoSettings) {
        let nothing =
            json.is_null() || json == json!({}) || json == json!([]) || body.trim_ascii().is_empty();
        return need(nothing, "a configuration is taken for none");
    }
    class(&read, Outcome::NotApplied)?;
    let Ok(project) = read else { return Ok(()) };
    let outcome = projects.write(project, &wanted()).await;
    class(&outcome, Outcome::NotApplied)?;
    let sent = put.lock().unwrap().take();
    need(sent.is_some() == outcome.is_ok(), "refused, and written all the same")?;
    let Some(sent) = sent else { return Ok(()) };
    // Every other field is written back as it was read; even the 17th digit of a number is read as `serde_json` reads
    // it.
    let mut expected = json.clone();
    expected["inference_config"]["preference"] = json!("cost");
    let expected: Value = serde_json::from_str(&expected.to_string()).unwrap_or_default();
    need(sent == expected, "something else was written")
}

#[test]
fn no_answer_makes_the_settings_of_a_project_be_written_otherwise_than_they_were_read() {
    wait(async {
        let cortecs = Cortecs::new(Stub::always(200, project().to_string()).wire(TOKEN));
        assert_eq!(cortecs.projects().unwrap().read().await.unwrap().id, "p");
    });
    fuzz(1000, &bytes(sound().all(), "api_keys"), |body| wait(judge_project(&body)));
}
