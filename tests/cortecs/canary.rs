//! Nothing a vendor says and nothing that is secret leaves by a fault, a `Debug`, or a URL.

use super::world::{TOKEN, clear, id, order, stage};
use crate::support::canned::Canned;
use crate::support::garbage::month;
use crate::support::hostile::{CANARY, Probe, STATUSES, WithoutDebug as _, bodies, silent};
use crate::support::ordeals::Asked;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::project_settings::{Preference, ProjectValues};
use keysmith::emulator::{Effect, Rule};
use keysmith::gateway::cortecs::Cortecs;
use keysmith::gateway::{Gateway, Order};
use keysmith::plan::fault::Fault;
use keysmith::plan::usage::Span;

fn span() -> Span {
    Span { path: Some("manage/usage".to_owned()), ..month() }
}

fn wanted() -> ProjectValues {
    ProjectValues { preference: Some(Preference::Cost), ..ProjectValues::default() }
}

async fn every_fault(cortecs: &Cortecs) -> Vec<Fault> {
    let projects = cortecs.projects().unwrap();
    let written = match projects.read().await {
        Ok(project) => projects.write(project, &wanted()).await.err(),
        Err(fault) => Some(fault),
    };
    let outcomes = [
        cortecs.list().await.err(),
        cortecs.get(&id("n")).await.err(),
        cortecs.mint(&order("n")).await.err(),
        cortecs.recover(&id("n")).await.err(),
        cortecs.revoke(&id("n")).await.err(),
        cortecs.spending(&span(), &[]).await.err(),
        cortecs.balance().await.err(),
        written,
    ];
    outcomes.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn no_fault_repeats_a_byte_of_what_the_vendor_said() {
    let mut seen = 0;
    for body in bodies() {
        for status in STATUSES {
            let cortecs = Cortecs::new(Canned::always(status, body.clone()).wire(TOKEN));
            for fault in every_fault(&cortecs).await {
                silent(&format!("{fault} {fault:?} {fault:#?}"));
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

/// Settings that hold the canary where they are read, and refusals that repeat what was written.
#[tokio::test(start_paused = true)]
async fn no_fault_repeats_the_settings_of_a_project() {
    let whole = format!(
        r#"{{"project_id":"{CANARY}","inference_config":{{"preference":"{CANARY}"}},"{CANARY}":["{CANARY}"]}}"#
    );
    for status in STATUSES {
        let answer = whole.clone();
        let canned = Canned::by(move |request| match *request.method() {
            http::Method::PUT => (status, format!(r#"{{"error":"{CANARY}","{CANARY}":1}}"#).into()),
            _ => (200, answer.clone().into()),
        });
        let cortecs = Cortecs::new(canned.wire(TOKEN));
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
        let faults = every_fault(&stage.cortecs()).await;
        assert!(faults.len() >= 6);
        for fault in faults {
            silent(&format!("{fault} {fault:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_value_that_holds_a_secret_shows_it_by_debug_or_in_a_url() {
    let stage = stage();
    let cortecs = stage.cortecs();
    silent(&Probe(&cortecs).shown());
    let mut secrets = vec![TOKEN.to_owned()];
    for kind in [KeyType::Api, KeyType::Management] {
        let minted = cortecs.mint(&Order { kind, ..order("n") }).await.unwrap();
        silent(&Probe(&minted).shown());
        silent(&Probe(&minted.key).shown());
        silent(&format!("{:?}", cortecs.list().await.unwrap()));
        cortecs.revoke(&minted.key.id).await.unwrap();
        secrets.push(clear(&minted.secret).to_owned());
    }
    assert_eq!(every_fault(&cortecs).await.len(), 1, "only a secret is not told twice");
    for call in stage.emulator.calls() {
        assert!(secrets.iter().all(|secret| !call.path.contains(secret.as_str())), "{}", call.path);
    }
    assert_eq!(Probe(&7).shown(), "7 7", "the probe itself sees a Debug");
}
