//! Nothing a vendor says and nothing that is secret leaves by a fault or a `Debug`.

use super::world::{ISSUER_TOKEN, V2_TOKEN, V3_TOKEN, budgeted, id, limit, order, stage};
use crate::support::canned::Canned;
use crate::support::garbage::month;
use crate::support::hostile::{CANARY, Probe, STATUSES, WithoutDebug as _, bodies, silent};
use crate::support::ordeals::Asked;
use crate::support::ordeals::Stage;
use keysmith::api::shared::Period;
use keysmith::emulator::{Effect, Rule};
use keysmith::gateway::edenai_v2::EdenAiV2;
use keysmith::gateway::edenai_v3::{EdenAiV3, Issuer};
use keysmith::gateway::{Gateway, Order};
use keysmith::plan::fault::Fault;

fn full_order() -> Order {
    Order { budget: Some(limit(5, Period::Daily)), ..order("n") }
}

async fn every_fault(driver: &dyn Gateway) -> Vec<Fault> {
    let key = id("k");
    let outcomes = [
        driver.list().await.err(),
        driver.get(&key).await.err(),
        driver.mint(&full_order()).await.err(),
        driver.reissue(&key, &full_order()).await.err(),
        driver.recover(&key).await.err(),
        driver.amend(&key, &budgeted(None)).await.err(),
        driver.revoke(&key).await.err(),
        driver.spending(&month(), &[]).await.err(),
        driver.balance().await.err(),
    ];
    outcomes.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn no_fault_repeats_a_byte_of_what_the_vendor_said() {
    let mut seen = 0;
    for body in bodies() {
        for status in STATUSES {
            let canned = Canned::always(status, body.clone());
            let drivers: [Box<dyn Gateway>; 3] = [
                Box::new(EdenAiV2::new(canned.wire(V2_TOKEN))),
                Box::new(EdenAiV3::new(canned.wire(V3_TOKEN))),
                Box::new(Issuer::new(canned.wire(ISSUER_TOKEN))),
            ];
            for driver in drivers {
                for fault in every_fault(driver.as_ref()).await {
                    silent(&format!("{fault} {fault:?} {fault:#?}"));
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 3000, "{seen}");
}

fn drivers(stage: &Stage) -> [Box<dyn Gateway>; 3] {
    [Box::new(stage.v2()), Box::new(stage.v3()), Box::new(stage.issuer())]
}

#[tokio::test(start_paused = true)]
async fn no_fault_of_the_emulated_vendor_repeats_it_either() {
    for effect in [
        Effect::Status { code: 400, retry_after: Some(CANARY.to_owned()) },
        Effect::Status { code: 429, retry_after: Some(CANARY.to_owned()) },
        Effect::Redirect { location: format!("https://{CANARY}.test/") },
        Effect::Truncate,
        Effect::DropAfter,
        Effect::Html,
    ] {
        let stage = stage();
        let rule = Rule { method: None, path_contains: String::new(), skip: 0, times: None, effect };
        stage.emulator.faults().add(rule);
        for driver in drivers(&stage) {
            let faults = every_fault(driver.as_ref()).await;
            assert!(!faults.is_empty());
            for fault in faults {
                silent(&format!("{fault} {fault:?}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_value_that_holds_a_secret_shows_it_by_debug() {
    let stage = stage();
    let (v2, v3, issuer) = (stage.v2(), stage.v3(), stage.issuer());
    silent(&Probe(&v2).shown());
    silent(&Probe(&v3).shown());
    silent(&Probe(&issuer).shown());
    for driver in drivers(&stage) {
        let minted = driver.mint(&order("n")).await.unwrap();
        silent(&Probe(&minted).shown());
        silent(&Probe(&minted.key).shown());
        silent(&format!("{:?}", driver.list().await.unwrap()));
        let recovered = driver.recover(&minted.key.id).await;
        silent(&Probe(&recovered).shown());
    }
    let reissued = v3.reissue(&v3.list().await.unwrap()[0].id, &order("m")).await.unwrap();
    silent(&Probe(&reissued).shown());
    assert_eq!(Probe(&7).shown(), "7 7", "the probe itself sees a Debug");
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_put_into_a_url() {
    let stage = stage();
    let mut secrets = vec![V2_TOKEN.to_owned(), V3_TOKEN.to_owned(), ISSUER_TOKEN.to_owned()];
    for driver in drivers(&stage) {
        let minted = driver.mint(&order("n")).await.unwrap();
        let _ = driver.recover(&minted.key.id).await;
        let _ = driver.reissue(&minted.key.id, &order("m")).await;
        let _ = driver.spending(&month(), &[]).await;
        driver.revoke(&minted.key.id).await.unwrap();
        secrets.push(super::world::clear(&minted.secret).to_owned());
    }
    let calls = stage.emulator.calls();
    assert!(calls.len() > 10);
    for call in calls {
        assert!(secrets.iter().all(|secret| !call.path.contains(secret.as_str())), "{}", call.path);
    }
}
