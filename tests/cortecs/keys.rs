//! Quirks 1, 2 and 4 to 9: keys identified by their names, and management keys that are keys themselves.

use super::world::{KEYS, TOKEN, budgeted, clear, id, order, saying, stage};
use crate::support::driver_contract::stage::Stage;
use crate::support::stub::Stub;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use jiff::{SignedDuration, Timestamp};
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::shared::Period;
use keysmith::emulator::cortecs::DataPlaneAnswer;
use keysmith::emulator::{Effect, Rule};
use keysmith::gateway::cortecs::Cortecs;
use keysmith::gateway::transport::Transport;
use keysmith::gateway::{Gateway, Order};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};
use keysmith::plan::listing::{Listed, Shown};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn manager(name: &str) -> Order {
    Order { kind: KeyType::Management, ..order(name) }
}

fn works(stage: &Stage, secret: &str) -> bool {
    stage.emulator.cortecs().check(secret) == DataPlaneAnswer::Accepted
}

/// Quirks 1 and 9.
#[tokio::test(start_paused = true)]
async fn a_key_is_its_name_and_the_second_it_was_made() {
    let stage = stage();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let cortecs = stage.cortecs();
    let minted = cortecs.mint(&order("checkout")).await.unwrap().key;
    let second = Timestamp::from_second(stage.only_minted().created_at.as_second()).unwrap();
    let expected = Listed {
        id: id("checkout"),
        name: "checkout".to_owned(),
        created_at: Some(second),
        expires_at: None,
        last_used_at: None,
        spent: None,
        remaining: None,
        unread: Vec::new(),
        shown: Shown::default(),
    };
    assert_eq!(minted, expected);
    let listed = cortecs.list().await.unwrap();
    // The console's own key is listed too, without a mark.
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&expected));
    assert_eq!(cortecs.get(&minted.id).await.unwrap(), Some(expected));
}

/// Quirk 1: a key that a human created again under the same name has another creation time.
#[tokio::test(start_paused = true)]
async fn a_key_that_was_made_anew_shows_another_time() {
    let stage = stage();
    let cortecs = stage.cortecs();
    let minted = cortecs.mint(&order("checkout")).await.unwrap().key;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(stage.emulator.cortecs().delete_key("checkout"));
    stage.emulator.cortecs().add_key("checkout");
    let anew = cortecs.get(&minted.id).await.unwrap().unwrap();
    assert_eq!(anew.created_at.unwrap().duration_since(minted.created_at.unwrap()).as_secs(), 5);
}

/// Quirk 2.
#[tokio::test(start_paused = true)]
async fn a_new_key_comes_with_the_secret_that_works_whatever_else_the_answer_shows() {
    for status in [200, 201, 202] {
        for only in [false, true] {
            let stage = stage();
            stage.switch(|it| (it.create_status, it.create_key_only) = (status, only));
            let minted = stage.cortecs().mint(&order("n")).await.unwrap();
            assert_eq!(clear(&minted.secret), stage.only_minted().secret, "{status} {only}");
            assert!(works(&stage, clear(&minted.secret)));
            assert_eq!((minted.key.id, minted.key.created_at.is_none()), (id("n"), only));
        }
    }
}

/// Quirk 2. The key exists, only its secret is unknown.
#[tokio::test(start_paused = true)]
async fn an_answer_to_create_without_a_key_leaves_open_whether_there_is_one() {
    for body in [
        json!({}),
        json!([]),
        json!(null),
        json!("cortecs-1"),
        json!({"name": "n"}),
        json!({"api_key": null}),
        json!({"api_key": ""}),
        json!({"api_key": "cortecs-****"}),
        json!({"api_key": "cort...cs1"}),
        json!({"api_key": "cortecs…"}),
        json!({"api_key": ["cortecs-1"]}),
        json!({"key": "cortecs-1"}),
        json!({"data": {"api_key": "cortecs-1"}}),
    ] {
        let fault = saying(body.to_string()).mint(&order("n")).await.err().expect("it was believed");
        assert_eq!(fault.effect, Consequence::Unknown, "{body}");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
}

/// Quirk 2. The secret is shown once, so only a malformed secret makes the answer a fault.
#[tokio::test(start_paused = true)]
async fn a_new_key_is_not_lost_because_its_time_cannot_be_read() {
    for created_at in [json!("yesterday"), json!(-1), json!([]), json!(true)] {
        let body = json!({"api_key": "cortecs-1", "created_at": created_at});
        let minted = saying(body.to_string()).mint(&order("n")).await.unwrap();
        assert_eq!(clear(&minted.secret), "cortecs-1");
        assert_eq!(
            (minted.key.created_at, minted.key.unread_fields()),
            (None, vec!["created_at"]),
            "{created_at}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_never_asked_for_again() {
    let stage = stage();
    let cortecs = stage.cortecs();
    assert!(cortecs.reveal().is_none() && cortecs.another_secret().is_none());
}

/// Quirk 4.
#[tokio::test(start_paused = true)]
async fn a_key_is_deleted_by_its_name_and_one_that_is_gone_already_is_a_success() {
    for name in ["checkout", "a b/ü?x=y", "..", ""] {
        let stage = stage();
        stage.switch(|it| it.any_name = true);
        stage.emulator.cortecs().add_key("bystander");
        stage.emulator.cortecs().add_key(name);
        let cortecs = stage.cortecs();
        let outcome = cortecs.revoke(&id(name)).await;
        let left = stage.emulator.cortecs().keys();
        let left: Vec<_> =
            left.iter().map(|key| key.name.as_str()).filter(|it| !it.starts_with("console")).collect();
        if name.is_empty() {
            // An empty name belongs to no key: the vendor refuses the call, and no key counts as gone.
            let rejected = FaultKind::Rejected { status: 400, fields: Vec::new() };
            assert_eq!(outcome, Err(Fault::without_effect(rejected)));
            assert_eq!(left, ["bystander", ""]);
            continue;
        }
        outcome.unwrap();
        assert_eq!(left, ["bystander"], "{name}");
        cortecs.revoke(&id(name)).await.unwrap();
        assert!(cortecs.get(&id(name)).await.unwrap().is_none());
        assert_eq!(stage.emulator.cortecs().counts().deleted_total, 1);
    }
}

/// An intermediary that drops the bodies of DELETE requests, as some do.
struct WithoutBodies(crate::support::vendor::InProcess);

#[async_trait]
impl Transport for WithoutBodies {
    async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        if request.method() == Method::DELETE {
            *request.body_mut() = Bytes::new();
        }
        self.0.send(request).await
    }
}

/// Quirk 4.
#[tokio::test(start_paused = true)]
async fn a_removal_whose_body_got_lost_is_a_refusal_and_removes_nothing() {
    let stage = stage();
    stage.cortecs().mint(&order("n")).await.unwrap();
    let transport = Arc::new(WithoutBodies(crate::support::vendor::InProcess(stage.emulator.clone())));
    let wire = crate::support::orders::wire("http://vendor.test/cortecs", TOKEN, transport, &stage.clock);
    let fault = Cortecs::new(wire).revoke(&id("n")).await.unwrap_err();
    assert_eq!(fault, Fault::without_effect(FaultKind::Rejected { status: 400, fields: Vec::new() }));
    assert_eq!(stage.only_minted().name, "n");
}

/// Quirks 5 and 6: neither a date nor a budget is sent, nor any other field that the vendor lacks.
#[tokio::test(start_paused = true)]
async fn nothing_but_the_name_and_the_kind_is_sent() {
    let stub = Stub::always(201, r#"{"api_key":"cortecs-1"}"#);
    let cortecs = Cortecs::new(stub.wire(TOKEN));
    let full = Order {
        expires_in_days: Some(90),
        expires_at: Some(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24)),
        budget: Some(crate::support::orders::limit(5, Period::Monthly)),
        models: vec!["mistral/mistral-large".to_owned()],
        email: Some("a@b.c".to_owned()),
        ..order("n")
    };
    cortecs.mint(&full).await.unwrap();
    assert_eq!(stub.sent(), json!({"name": "n", "is_management_key": false}));
    cortecs.mint(&manager("m")).await.unwrap();
    assert_eq!(stub.sent(), json!({"name": "m", "is_management_key": true}));
    assert_eq!(stub.count(), 2);
}

/// Quirk 6.
#[tokio::test(start_paused = true)]
async fn an_amendment_is_no_call() {
    let stage = stage();
    let cortecs = stage.cortecs();
    let key = cortecs.mint(&order("n")).await.unwrap().key.id;
    let before = stage.only_minted();
    stage.emulator.clear_calls();
    cortecs.amend(&key, &budgeted(None)).await.unwrap();
    assert!(stage.only_minted() == before && stage.emulator.calls().is_empty());
}

/// Quirk 7. A 404 for an unknown path does not say that a key is gone.
#[tokio::test(start_paused = true)]
async fn a_key_is_gone_when_a_whole_listing_does_not_have_it() {
    let stage = stage();
    let cortecs = stage.cortecs();
    assert!(cortecs.get(&id("nobody")).await.unwrap().is_none());
    assert_eq!(stage.emulator.count("GET", KEYS), 1);
    for effect in [
        Effect::Status { code: 404, retry_after: None },
        Effect::Status { code: 500, retry_after: None },
        Effect::Truncate,
        Effect::Html,
        Effect::DropAfter,
        Effect::Hang,
    ] {
        stage.fault_once("GET", KEYS, effect.clone());
        let fault = cortecs.get(&id("nobody")).await.unwrap_err();
        assert_eq!(fault.effect, Consequence::NotApplied, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_lags_knows_a_key_later() {
    let stage = stage();
    let cortecs = stage.cortecs();
    let key = cortecs.mint(&order("young")).await.unwrap().key.id;
    stage.emulator.faults().add(Rule::always("GET", KEYS, Effect::LagListing { millis: 20_000 }));
    assert!(cortecs.get(&key).await.unwrap().is_none());
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(cortecs.get(&key).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_malformed_entry_without_our_mark_is_skipped_and_counted() {
    for bad in [
        r#"{"created_at":1}"#,
        r#"{"name":7}"#,
        r#"{"name":""}"#,
        r#"{"name":"n","created_at":"x"}"#,
        r#"{"name":"n","created_at":-1}"#,
        r#"["n"]"#,
        "null",
    ] {
        let cortecs = saying(format!(r#"{{"api_keys":[{{"name":"good"}},{bad}]}}"#));
        let names: Vec<_> = cortecs.list().await.expect(bad).into_iter().map(|key| key.name).collect();
        assert_eq!((names, cortecs.take_skipped()), (vec!["good".to_owned()], 1), "{bad}");
    }
    let ours = "n-ks-aaaaaa-aaaaaaaaaaaaaaaa-1";
    let cortecs = saying(format!(r#"{{"api_keys":[{{"name":"{ours}","created_at":"x"}}]}}"#));
    let key = cortecs.get(&id(ours)).await.unwrap().unwrap();
    assert_eq!((key.created_at, key.unread_fields(), cortecs.take_skipped()), (None, vec!["created_at"], 0));
}

/// A missing list does not say that there are no keys.
#[tokio::test(start_paused = true)]
async fn only_a_list_is_a_list() {
    for no_list in [
        "{}",
        "[]",
        "null",
        r#"{"api_keys":{}}"#,
        r#"{"api_keys":null,"total":0}"#,
        r#"{"keys":[]}"#,
        r#"[{"name":"n"}]"#,
    ] {
        let fault = saying(no_list).list().await.expect_err(no_list);
        assert!(fault.kind.is_malformed() && fault.effect == Consequence::NotApplied, "{no_list}: {fault}");
        assert!(saying(no_list).get(&id("n")).await.is_err(), "{no_list}");
    }
    assert!(saying(r#"{"api_keys":[]}"#).list().await.unwrap().is_empty());
}

/// Quirk 9, and malformed times.
#[tokio::test(start_paused = true)]
async fn a_time_is_read_as_seconds_and_as_text() {
    let at = Some(Timestamp::from_second(1_767_225_600).unwrap());
    for (created_at, expected) in [
        (json!(1_767_225_600), at),
        (json!("2026-01-01T00:00:00Z"), at),
        (json!(null), None),
        (json!(0), None),
        (json!("2026-01-01 01:00:00+01:00"), at),
        (json!("1767225600000"), at),
    ] {
        let body = json!({"api_keys": [{"name": "n", "created_at": created_at, "is_management_key": "?"}]});
        let listed = saying(body.to_string()).list().await.unwrap();
        assert_eq!(listed[0].created_at, expected, "{created_at}");
    }
}

/// Quirk 8.
#[tokio::test(start_paused = true)]
async fn a_management_key_makes_and_deletes_others() {
    let stage = stage();
    let minted = stage.cortecs().mint(&manager("manager")).await.unwrap();
    let held = stage.only_minted();
    assert!(held.management && held.secret == clear(&minted.secret));
    let by_minted = stage.with(clear(&minted.secret));
    by_minted.mint(&order("n")).await.unwrap();
    by_minted.revoke(&id("n")).await.unwrap();
    // A minted management key replaces the first one: it deletes the first one, which stops working at once.
    let console = stage.emulator.cortecs().keys().into_iter().find(|key| !key.minted).unwrap();
    by_minted.revoke(&id(&console.name)).await.unwrap();
    assert_eq!(stage.cortecs().list().await.unwrap_err(), Fault::without_effect(FaultKind::TokenRefused));
    assert_eq!(by_minted.list().await.unwrap().len(), 1);
}

/// Quirk 8.
#[tokio::test(start_paused = true)]
async fn a_management_key_does_not_delete_itself() {
    let refusals =
        [(400, FaultKind::Rejected { status: 400, fields: Vec::new() }), (403, FaultKind::Forbidden)];
    for (status, kind) in refusals {
        let stage = stage();
        stage.switch(|it| it.delete_own_status = status);
        let minted = stage.cortecs().mint(&manager("manager")).await.unwrap();
        let by_itself = stage.with(clear(&minted.secret));
        let fault = by_itself.revoke(&id("manager")).await.unwrap_err();
        assert_eq!(fault, Fault::without_effect(kind));
        assert!(stage.only_minted().management);
        by_itself.list().await.unwrap();
    }
}

/// Propagation is not documented (§3.8): the listing lacks a deleted key that still works for a while.
#[tokio::test(start_paused = true)]
async fn a_deleted_key_that_lingers_is_deleted_all_the_same() {
    let stage = stage();
    stage.switch(|it| it.deleted_keys_linger_millis = 10_000);
    let cortecs = stage.cortecs();
    let secret = cortecs.mint(&order("n")).await.unwrap().secret;
    cortecs.revoke(&id("n")).await.unwrap();
    assert!(works(&stage, clear(&secret)) && cortecs.get(&id("n")).await.unwrap().is_none());
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(!works(&stage, clear(&secret)));
}

/// Keys belong to the user and the project of the console token (§3.1).
#[tokio::test(start_paused = true)]
async fn the_keys_of_a_colleague_are_not_there() {
    let stage = stage();
    let colleague = stage.colleague(keysmith::emulator::cortecs::Role::Admin);
    colleague.mint(&order("n")).await.unwrap();
    let cortecs = stage.cortecs();
    assert!(cortecs.get(&id("n")).await.unwrap().is_none());
    cortecs.revoke(&id("n")).await.unwrap();
    assert_eq!(stage.only_minted().owner.user, "user_colleague");
    // Names are unique within user and project.
    cortecs.mint(&order("n")).await.unwrap();
    assert_eq!(stage.minted().len(), 2);
}
