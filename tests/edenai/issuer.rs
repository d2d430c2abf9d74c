//! Quirk 10 of v3: auth keys, which an issuer mints; an issuer can do nothing else.

use super::world::{AUTH_KEYS, ISSUER_TOKEN, clear, id, order, stage};
use crate::support::driver_contract::stage::Stage;
use crate::support::stub::Stub;
use http::Method;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::edenai::v3::{Scope, SecretField, Switches};
use keysmith::emulator::{Effect, Rule, VendorId};
use keysmith::gateway::edenai_v3::{EdenAiV3, Issuer};
use keysmith::gateway::{Gateway, Order};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};
use serde_json::json;

fn auth_order(name: &str, scopes: &[&str]) -> Order {
    let scopes = scopes.iter().map(|it| (*it).to_owned()).collect();
    Order { kind: KeyType::Management, scopes, ..order(name) }
}

/// The driver with that auth key.
fn worker(stage: &Stage, secret: &str) -> EdenAiV3 {
    EdenAiV3::new(stage.wire(VendorId::EdenAiV3, secret))
}

#[tokio::test(start_paused = true)]
async fn an_auth_key_comes_with_the_secret_that_works_wherever_the_answer_has_it() {
    for field in [SecretField::Secret, SecretField::Key, SecretField::Token] {
        for status in [200, 201] {
            for raw in [false, true] {
                let stage = stage();
                stage.v3_switch(|it| {
                    (it.auth_key_secret, it.auth_key_status, it.auth_keys_raw) = (field, status, raw);
                });
                let minted = stage.issuer().mint(&auth_order("worker", &[])).await.unwrap();
                let held = stage.auth_keys().remove(0);
                assert_eq!(
                    (minted.key.id.0.as_str(), minted.key.name.as_str()),
                    (held.id.as_str(), "worker")
                );
                assert_eq!(clear(&minted.secret), held.secret);
                assert_eq!(stage.auth_keys().len(), 1);
                worker(&stage, clear(&minted.secret)).mint(&order("n")).await.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn scopes_are_those_of_the_order_or_reading_and_writing() {
    for (asked, given) in [
        (&[][..], vec![Scope::Read, Scope::Write]),
        (&["manage:read"], vec![Scope::Read]),
        (&["manage:write", "manage:read"], vec![Scope::Read, Scope::Write]),
    ] {
        let stage = stage();
        stage.issuer().mint(&auth_order("worker", asked)).await.unwrap();
        let held: Vec<_> = stage.auth_keys().remove(0).scopes.into_iter().collect();
        assert_eq!(held, given);
    }
}

/// An issuer can never mint an issuer (§2.6).
#[tokio::test(start_paused = true)]
async fn a_scope_that_no_issuer_gives_is_refused_by_its_field() {
    for scope in ["manage:mint", "everything"] {
        let stage = stage();
        let fault = stage.issuer().mint(&auth_order("worker", &[scope])).await.err().unwrap();
        let rejected = FaultKind::Rejected { status: 400, fields: vec!["spec.mint.scopes"] };
        assert_eq!(fault, Fault::without_effect(rejected));
        assert!(stage.auth_keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_searched_for_the_secret_and_a_mask_is_none() {
    let minted = |answer: serde_json::Value| async move {
        let stub = Stub::by(move |request| match *request.method() {
            Method::POST => (200, answer.to_string().into()),
            _ => (200, r#"[{"id":"k","name":"worker"}]"#.into()),
        });
        Issuer::new(stub.wire(ISSUER_TOKEN)).mint(&auth_order("worker", &[])).await
    };
    for answer in [
        json!({"id": "k", "secret": "mgmt-eden-1"}),
        json!({"secret": "mgmt-eden-1"}),
        json!({"id": null, "key": "mgmt-eden-1"}),
        json!({"id": "k", "token": "mgmt-eden-1", "secret": null}),
        json!({"id": "k", "secret": "mgmt-eden-1", "key": "mgmt-eden-…1", "token": null}),
        json!({"id": "k", "key": "mgmt-eden-…1", "token": "mgmt-eden-1"}),
        json!({"id": "k", "secret": "mgmt-eden-1", "key": "another", "token": "another"}),
    ] {
        let minted = minted(answer.clone()).await.unwrap();
        assert_eq!((clear(&minted.secret), minted.key.id), ("mgmt-eden-1", id("k")), "{answer}");
    }
    for answer in [
        json!({}),
        json!([]),
        json!({"id": "k"}),
        json!({"id": "k", "secret": null}),
        json!({"id": "k", "secret": 7}),
        json!({"id": "k", "secret": ""}),
        json!({"id": "k", "secret": "mgmt-eden-…1"}),
        json!({"id": "k", "key": "mgmt-eden-****"}),
        json!({"id": 7, "secret": "mgmt-eden-1"}),
        json!({"id": "another", "secret": "mgmt-eden-1"}),
    ] {
        let fault = minted(answer.clone()).await.err().expect("it was believed");
        assert_eq!(fault.effect, Consequence::Unknown, "{answer}");
        assert!(fault.kind.is_malformed(), "{answer}: {fault}");
    }
}

/// The key was created, whatever the listing shows.
#[tokio::test(start_paused = true)]
async fn an_auth_key_that_is_not_listed_may_have_been_made() {
    for effect in [
        Effect::LagListing { millis: 60_000 },
        Effect::Status { code: 401, retry_after: None },
        Effect::Status { code: 404, retry_after: None },
        Effect::Status { code: 429, retry_after: None },
        Effect::Status { code: 503, retry_after: None },
        Effect::DropAfter,
        Effect::Hang,
        Effect::Html,
    ] {
        let stage = stage();
        stage.fault_once("GET", AUTH_KEYS, effect.clone());
        let issuer = stage.issuer();
        let fault = issuer.mint(&auth_order("worker", &[])).await.err().unwrap();
        assert_eq!(fault.effect, Consequence::Unknown, "{effect:?}: {fault}");
        // The key is found by its name and can be removed.
        let found = issuer.list().await.unwrap().into_iter().find(|key| key.name == "worker").unwrap();
        issuer.revoke(&found.id).await.unwrap();
        assert!(stage.auth_keys().iter().all(|key| key.revoked_at.is_some()), "{effect:?}");
        assert_eq!(stage.emulator.count("POST", AUTH_KEYS), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_auth_key_is_gone_whether_or_not_the_vendor_still_lists_it() {
    for listed in [false, true] {
        let stage = stage();
        stage.v3_switch(|it: &mut Switches| it.auth_keys_revoked = listed);
        let issuer = stage.issuer();
        let first = issuer.mint(&auth_order("first", &[])).await.unwrap();
        let second = issuer.mint(&auth_order("second", &[])).await.unwrap();
        for _ in 0..2 {
            issuer.revoke(&first.key.id).await.unwrap();
            assert!(issuer.get(&first.key.id).await.unwrap().is_none());
            assert_eq!(issuer.get(&second.key.id).await.unwrap().unwrap().name, "second");
        }
        let refused = Fault::without_effect(FaultKind::TokenRefused);
        assert_eq!(worker(&stage, clear(&first.secret)).list().await.unwrap_err(), refused);
        worker(&stage, clear(&second.secret)).list().await.unwrap();
    }
}

/// The listing shows only name and date of an auth key.
#[tokio::test(start_paused = true)]
async fn the_auth_key_listing_has_the_keys_of_all_issuers_and_no_settings() {
    let stage = stage();
    let issuer = stage.issuer();
    issuer.mint(&auth_order("worker", &[])).await.unwrap();
    let keys = issuer.list().await.unwrap();
    // The auth key and the issuer of the demo are listed as well.
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| key.shown == keysmith::plan::listing::Shown::default()));
}

#[tokio::test(start_paused = true)]
async fn pages_of_auth_keys_are_followed() {
    let stage = stage();
    stage.v3_switch(|it| it.page_size = 2);
    let issuer = stage.issuer();
    for number in 1..=5 {
        issuer.mint(&auth_order(&format!("worker-{number}"), &[])).await.unwrap();
    }
    assert_eq!(issuer.list().await.unwrap().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_removes_no_issuer() {
    let stage = stage();
    let keys = stage.emulator.edenai().v3().management_keys();
    let issuer = keys.into_iter().find(|key| key.secret == ISSUER_TOKEN).unwrap();
    let fault = stage.issuer().revoke(&id(&issuer.id)).await.unwrap_err();
    assert_eq!(fault, Fault::without_effect(FaultKind::Forbidden));
    stage.issuer().list().await.unwrap();
}

/// An auth key cannot mint auth keys, and an issuer cannot create keys.
#[tokio::test(start_paused = true)]
async fn each_of_the_two_does_its_own_work_only() {
    let stage = stage();
    let auth_key = Issuer::new(stage.wire(VendorId::EdenAiV3, super::world::V3_TOKEN));
    let fault = auth_key.mint(&auth_order("worker", &[])).await.err().unwrap();
    assert_eq!(fault, Fault::without_effect(FaultKind::KeyLimit { status: 403 }));
    assert_eq!(auth_key.list().await.unwrap_err(), Fault::without_effect(FaultKind::Forbidden));
    assert!(worker(&stage, ISSUER_TOKEN).mint(&order("n")).await.is_err());
    assert!(stage.auth_keys().is_empty() && stage.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_auth_key_is_shown_once_and_has_no_settings_to_change() {
    let stage = stage();
    let issuer = stage.issuer();
    let key = issuer.mint(&auth_order("worker", &[])).await.unwrap().key.id;
    assert!(issuer.reveal().is_none() && issuer.another_secret().is_none());
    stage.emulator.clear_calls();
    issuer.amend(&key, &super::world::budgeted(None)).await.unwrap();
    assert!(stage.emulator.calls().is_empty());
}

/// A foreign issuer is revoked during the listing: a page may lack a row, and the listing is a fault.
#[tokio::test(start_paused = true)]
async fn an_auth_key_that_goes_between_two_pages_hides_none() {
    let stage = stage();
    stage.v3_switch(|it| (it.page_size, it.auth_keys_revoked) = (2, false));
    let issuer = stage.issuer();
    let mut ids = Vec::new();
    for number in 1..=4 {
        ids.push(issuer.mint(&auth_order(&format!("worker-{number}"), &[])).await.unwrap().key.id);
    }
    let late = Rule::once("GET", AUTH_KEYS, Effect::Delay { millis: 1000 });
    stage.emulator.faults().add(Rule { skip: 1, ..late });
    let newest = stage.auth_keys().pop().unwrap();
    let revoking = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert!(stage.emulator.edenai().v3().revoke_token(&newest.secret));
    };
    let (listed, ()) = tokio::join!(issuer.list(), revoking);
    let fault = listed.unwrap_err();
    assert!(fault.kind.is_malformed(), "{fault}");
    assert_eq!(issuer.list().await.unwrap().len(), 5);
}
