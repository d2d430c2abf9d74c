//! No secret and no text of a vendor leaves by a fault, a `Debug`, a URL, or a log line.

use super::{CREDENTIAL, Call, Contract, provider_key_order, span};
use crate::support::driver_contract::stage::OptionalCalls;
use crate::support::driver_contract::stage::stage;
use crate::support::garbage::wait;
use crate::support::hostile::{CANARY, Probe, STATUSES, WithoutDebug as _, bodies, silent};
use crate::support::logged;
use crate::support::orders::{clear, wire};
use crate::support::stub::Stub;
use keysmith::emulator::{Effect, Rule, serve};
use keysmith::gateway::Gateway;
use keysmith::gateway::transport::Https;
use std::future::pending;
use std::sync::Arc;
use tokio::net::TcpListener;

pub fn no_fault_repeats_a_byte_of_what_the_vendor_said(contract: &Contract) {
    wait(async {
        let mut seen = 0;
        for body in bodies() {
            for status in STATUSES {
                let driver = contract.stubbed(&Stub::always(status, body.clone()));
                for (_, fault) in contract.every_fault(driver.as_ref()).await {
                    silent(&format!("{fault} {fault:?} {fault:#?}"));
                    seen += 1;
                }
            }
        }
        assert!(seen > 1000, "{seen}");
    });
}

pub fn no_fault_of_the_emulated_vendor_repeats_it_either(contract: &Contract) {
    for effect in [
        Effect::Status { code: 400, retry_after: Some(CANARY.to_owned()) },
        Effect::Status { code: 429, retry_after: Some(CANARY.to_owned()) },
        Effect::Redirect { location: format!("https://{CANARY}.test/") },
        Effect::Truncate,
        Effect::DropAfter,
        Effect::Html,
    ] {
        wait(async {
            let stage = stage();
            let shown = format!("{effect:?}");
            let rule = Rule { method: None, path_contains: String::new(), skip: 0, times: None, effect };
            stage.emulator.faults().add(rule);
            let driver = contract.emulated(&stage);
            let faults = contract.every_fault(driver.as_ref()).await;
            for call in [Call::List, Call::Get, Call::Mint] {
                assert!(faults.iter().any(|(it, _)| *it == call), "{call:?} survived {shown}");
            }
            for (_, fault) in faults {
                silent(&format!("{fault} {fault:?}"));
            }
        });
    }
}

pub fn no_value_that_holds_a_secret_shows_it_by_debug(contract: &Contract) {
    wait(async {
        let stage = stage();
        let wire = || stage.wire(contract.vendor_id, contract.token);
        silent(&(contract.debug)(wire()));
        silent(&Probe(&wire()).shown());
        silent(&Probe(&provider_key_order()).shown());
        let driver = contract.emulated(&stage);
        let minted = driver.mint(&contract.order("n")).await.unwrap();
        silent(&Probe(&minted).shown());
        silent(&Probe(&minted.key).shown());
        silent(&format!("{:?}", driver.list().await.unwrap()));
        silent(&Probe(&driver.recover(&minted.key.id).await).shown());
        silent(&Probe(&driver.reissue(&minted.key.id, &contract.order("m")).await).shown());
    });
    assert_eq!(Probe(&7).shown(), "7 7", "the probe itself sees a Debug");
}

pub fn no_secret_is_put_into_a_url(contract: &Contract) {
    wait(async {
        let stage = stage();
        let driver = contract.emulated(&stage);
        let minted = driver.mint(&contract.full_order(driver.as_ref())).await.unwrap();
        let mut secrets = vec![contract.token.to_owned(), clear(&minted.secret).to_owned()];
        secrets.extend(live_a_life(driver.as_ref(), contract, &minted.key.id).await);
        driver.revoke(&minted.key.id).await.unwrap();
        let calls = stage.emulator.calls();
        assert!(calls.len() >= 4, "{calls:?}");
        for call in calls {
            assert!(secrets.iter().all(|it| !call.path.contains(it.as_str())), "{}", call.path);
        }
    });
}

/// Makes every call for one key before it is revoked. Returns the secrets that the calls returned.
async fn live_a_life(
    driver: &dyn Gateway,
    contract: &Contract,
    key: &keysmith::plan::listing::KeyId,
) -> Vec<String> {
    let mut secrets = Vec::new();
    driver.list().await.unwrap();
    driver.get(key).await.unwrap();
    driver.amend(key, &contract.amendment()).await.unwrap();
    if let Ok(Some(secret)) = driver.recover(key).await {
        secrets.push(clear(&secret).to_owned());
    }
    if let Ok(Some(minted)) = driver.reissue(key, &contract.order("m")).await {
        secrets.push(clear(&minted.secret).to_owned());
    }
    // Not every vendor reports spending.
    let _ = (driver.spending(&span(), std::slice::from_ref(key)).await, driver.balance().await);
    if let Some(keys) = driver.provider_keys() {
        keys.create(&provider_key_order()).await.unwrap();
        secrets.push(CREDENTIAL.to_owned());
    }
    secrets
}

/// With the production transport and with failing calls, because these log the most.
pub async fn no_log_line_holds_a_secret(contract: &Contract) {
    let log = logged::by_this_thread();
    let stage = stage();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/{}", listener.local_addr().unwrap(), contract.vendor_id.path());
    let emulator = stage.emulator.clone();
    let server = tokio::spawn(async move { serve(emulator, listener, pending()).await.unwrap() });
    let transport = Arc::new(Https::new(keysmith::gateway::transport::Network::default()).unwrap());
    let driver = (contract.connect)(wire(&base, contract.token, transport, &stage.clock));
    let minted = driver.mint(&contract.full_order(driver.as_ref())).await.unwrap();
    let mut secrets = vec![contract.token.to_owned(), clear(&minted.secret).to_owned()];
    secrets.extend(live_a_life(driver.as_ref(), contract, &minted.key.id).await);
    let seen = || stage.emulator.vendor(contract.vendor_id).keys().into_iter().map(|key| key.secret);
    secrets.extend(seen());
    for effect in [Effect::DropAfter, Effect::Truncate, Effect::Status { code: 401, retry_after: None }] {
        stage.fault_once("POST", "", effect);
        driver.mint(&contract.order("x")).await.err().unwrap();
    }
    secrets.extend(seen());
    driver.revoke(&minted.key.id).await.unwrap();
    server.abort();
    let text = log.text();
    assert!(text.contains("connected to 127.0.0.1"), "the log is empty, so it proves nothing: {text}");
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in the log:\n{text}");
    }
}
