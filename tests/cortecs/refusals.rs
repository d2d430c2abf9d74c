//! Quirk 3: one status for a taken name, a reached limit, and an invalid name; and the authorization of callers.

use super::world::{KEYS, TOKEN, clear, id, order, stage};
use crate::support::stub::Stub;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::Effect;
use keysmith::gateway::cortecs::Cortecs;
use keysmith::gateway::{Credit, Gateway, Order};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};

fn limit_reached() -> Fault {
    Fault::without_effect(FaultKind::KeyLimit { status: 400 })
}

/// Quirk 3. Each name is sent once, so a taken name means that the key of a lost answer exists.
#[tokio::test(start_paused = true)]
async fn a_taken_name_is_a_key_that_may_be_ours() {
    for kind in [KeyType::Api, KeyType::Management] {
        let stage = stage();
        stage.fault_once("POST", KEYS, Effect::DropAfter);
        let order = Order { kind, ..order("n") };
        let cortecs = stage.cortecs();
        let lost = cortecs.mint(&order).await.err().unwrap();
        assert_eq!(lost, Fault::ambiguous(FaultKind::Disconnected));
        let before = stage.only_minted();
        let again = cortecs.mint(&order).await.err().unwrap();
        assert_eq!(again, Fault::ambiguous(FaultKind::Conflict));
        assert!(stage.only_minted() == before);
        // The secret is lost: the key is deleted by its name, and the next key has another secret.
        cortecs.revoke(&id("n")).await.unwrap();
        cortecs.mint(&Order { name: "n-2".to_owned(), ..order }).await.unwrap();
        assert_eq!(stage.only_minted().name, "n-2");
    }
}

/// Quirk 3.
#[tokio::test(start_paused = true)]
async fn a_reached_limit_is_distinguished_from_a_taken_name_by_the_listing() {
    let stage = stage();
    // The console's own key counts.
    stage.switch(|it| it.key_limit = Some(2));
    let cortecs = stage.cortecs();
    cortecs.mint(&order("first")).await.unwrap();
    stage.emulator.clear_calls();
    let fault = cortecs.mint(&order("second")).await.err().unwrap();
    assert_eq!(fault, limit_reached());
    assert!(!fault.blames_token());
    assert_eq!((stage.emulator.count("POST", KEYS), stage.emulator.count("GET", KEYS)), (1, 1));
    assert_eq!(stage.only_minted().name, "first");
    cortecs.revoke(&id("first")).await.unwrap();
    cortecs.mint(&order("second")).await.unwrap();
}

/// Quirk 3. An invalid name gets the same answer as a reached limit.
#[tokio::test(start_paused = true)]
async fn a_name_that_will_not_do_makes_no_key() {
    for name in ["", " ", "Checkout", "a_b", "a.b", &"x".repeat(64)] {
        let stage = stage();
        let fault = stage.cortecs().mint(&order(name)).await.err().unwrap();
        assert_eq!(fault, limit_reached(), "{name:?}");
        assert!(stage.minted().is_empty());
    }
    let longest = "x".repeat(63);
    stage().cortecs().mint(&order(&longest)).await.unwrap();
}

/// Quirk 3. Without the listing, the refusal stays a refusal.
#[tokio::test(start_paused = true)]
async fn a_refusal_whose_cause_cannot_be_looked_up_is_a_refusal_all_the_same() {
    for effect in [
        Effect::Status { code: 500, retry_after: None },
        Effect::Status { code: 401, retry_after: None },
        Effect::Status { code: 429, retry_after: None },
        Effect::DropAfter,
        Effect::Hang,
        Effect::Html,
        Effect::Truncate,
    ] {
        let stage = stage();
        stage.switch(|it| it.key_limit = Some(1));
        stage.fault_once("GET", KEYS, effect.clone());
        let fault = stage.cortecs().mint(&order("n")).await.err().unwrap();
        let rejected = FaultKind::Rejected { status: 400, fields: Vec::new() };
        assert_eq!(fault, Fault::without_effect(rejected), "{effect:?}");
        assert!(stage.minted().is_empty());
    }
}

/// Only a 400 causes a listing.
#[tokio::test(start_paused = true)]
async fn no_other_refusal_is_looked_into() {
    for status in [401, 402, 403, 404, 405, 409, 413, 422, 429, 500, 503] {
        let stub = Stub::always(status, r#"{"error":"x"}"#);
        let fault = Cortecs::new(stub.wire(TOKEN)).mint(&order("n")).await.err().unwrap();
        assert!(!matches!(fault.kind, FaultKind::KeyLimit { .. }), "{status}");
        assert_eq!(stub.count(), 1, "{status}");
    }
}

/// §3.5.
#[tokio::test(start_paused = true)]
async fn keys_of_applications_and_unknown_ones_manage_nothing() {
    let stage = stage();
    let secret = stage.cortecs().mint(&order("n")).await.unwrap().secret;
    for (token, kind) in [(clear(&secret), FaultKind::Forbidden), ("nobodys", FaultKind::TokenRefused)] {
        let cortecs = stage.with(token);
        let expected = Fault::without_effect(kind);
        assert_eq!(cortecs.list().await.unwrap_err(), expected);
        assert_eq!(cortecs.get(&id("n")).await.unwrap_err(), expected);
        assert_eq!(cortecs.mint(&order("x")).await.err().unwrap(), expected);
        assert_eq!(cortecs.revoke(&id("n")).await.unwrap_err(), expected);
        assert_eq!(cortecs.balance().await.unwrap_err(), expected);
        assert_eq!(cortecs.projects().unwrap().read().await.err().unwrap(), expected);
    }
    assert_eq!(stage.only_minted().name, "n");
}

/// An HTML page instead of an answer does not confirm a removal.
#[tokio::test(start_paused = true)]
async fn a_removal_answered_with_a_page_is_not_believed() {
    for body in ["<!DOCTYPE html><html></html>", "OK then", r#"{"success":tr"#] {
        let fault = super::world::saying(body).revoke(&id("n")).await.expect_err(body);
        assert_eq!(fault.effect, Consequence::Unknown, "{body}");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
    for body in ["", " \n", r#"{"success":true,"deleted":"n"}"#, "{}"] {
        super::world::saying(body).revoke(&id("n")).await.expect(body);
    }
}
