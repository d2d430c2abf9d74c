//! The quirks of v3, except those of listings, budgets, dates and auth keys, which have files of their own.

use super::world::{KEYS, V3_TOKEN, amendment, clear, id, limit, order, settings, stage, v3_saying};
use crate::support::driver_contract::stage::Stage;
use crate::support::stub::Stub;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::shared::Period;
use keysmith::emulator::edenai::v3::{NewKey, Scope};
use keysmith::emulator::edenai::{DataPlaneAnswer, TokenType};
use keysmith::emulator::{Effect, VendorId};
use keysmith::gateway::edenai_v3::EdenAiV3;
use keysmith::gateway::{Amendment, Gateway, Order, Reissue, Usage};
use keysmith::plan::drift::{Field, Sent, drift};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};
use keysmith::plan::settings::Settings;
use serde_json::json;

const NAMED: &str = "n [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]";

fn renamed(name: &str) -> Amendment {
    amendment(&[Field::DisplayName], Settings { display_name: name.to_owned(), ..settings() })
}

/// A human creates a key in the dashboard.
fn by_hand(stage: &Stage, name: &str) -> String {
    stage.emulator.edenai().v3().add_key(NewKey::named(name)).id
}

fn limit_reached() -> Fault {
    Fault::without_effect(FaultKind::KeyLimit { status: 403 })
}

/// Quirk 1.
#[tokio::test(start_paused = true)]
async fn every_path_ends_in_a_slash() {
    let stage = stage();
    let v3 = stage.v3();
    let key = v3.mint(&order("n")).await.unwrap().key.id;
    v3.list().await.unwrap();
    v3.get(&key).await.unwrap().unwrap();
    v3.amend(&key, &renamed("x")).await.unwrap();
    v3.reissue(&key, &order("y")).await.unwrap().unwrap();
    v3.spending(&crate::support::garbage::month(), &[]).await.unwrap();
    v3.revoke(&key).await.unwrap();
    let issuer = stage.issuer();
    let auth_key = issuer.mint(&order("a")).await.unwrap().key.id;
    issuer.revoke(&auth_key).await.unwrap();
    let paths: Vec<_> = stage.emulator.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths.len(), 12);
    assert!(paths.iter().all(|it| it.split('?').next().unwrap().ends_with('/')), "{paths:?}");
}

#[tokio::test(start_paused = true)]
async fn no_id_leaves_its_segment_of_the_path() {
    let stage = stage();
    let key = by_hand(&stage, "bystander");
    let before = stage.only_key();
    let v3 = stage.v3();
    for strange in
        [format!("../keys/{key}"), format!("{key}/rotate"), format!("x/../{key}"), format!("{key}?x=y")]
    {
        let _ = v3.amend(&id(&strange), &renamed("hit")).await;
        let _ = v3.reissue(&id(&strange), &order("hit")).await;
        let _ = v3.revoke(&id(&strange)).await;
        assert!(stage.only_key() == before, "{strange}");
    }
    let stub = Stub::always(404, "");
    for nothing in ["", ".", "..", "\t"] {
        let v3 = EdenAiV3::new(stub.wire(V3_TOKEN));
        assert!(v3.revoke(&id(nothing)).await.is_err(), "{nothing:?}");
        assert!(v3.get(&id(nothing)).await.is_err(), "{nothing:?}");
    }
    assert_eq!(stub.count(), 0);
}

/// Quirk 4.
#[tokio::test(start_paused = true)]
async fn a_new_key_comes_with_the_secret_that_works_and_never_again() {
    for status in [200, 201] {
        let stage = stage();
        stage.v3_switch(|it| it.create_status = status);
        let v3 = stage.v3();
        let minted = v3.mint(&order(NAMED)).await.unwrap();
        let key = stage.only_key();
        assert_eq!((clear(&minted.secret), minted.key.id.0.as_str()), (key.secret.as_str(), key.id.as_str()));
        let answer = stage.emulator.edenai().v3().check(clear(&minted.secret));
        assert_eq!(answer, DataPlaneAnswer::Accepted);
        assert!(v3.reveal().is_none());
    }
}

/// Quirk 4. The key exists, only its secret is unknown.
#[tokio::test(start_paused = true)]
async fn an_answer_to_create_without_a_whole_key_leaves_open_whether_there_is_one() {
    for body in [
        json!({}),
        json!(null),
        json!([]),
        json!({"id": "k", "name": "n"}),
        json!({"id": "k", "name": "n", "secret": null}),
        json!({"id": "k", "name": "n", "secret": ["sk-eden-1"]}),
        json!({"id": "k", "name": "n", "secret": ""}),
        json!({"id": "k", "name": "n", "secret": "sk-eden-…8a90"}),
        json!({"id": "k", "name": "n", "secret": "sk-eden-****"}),
        json!({"id": "k", "name": "n", "key": "sk-eden-1"}),
        json!({"id": null, "name": "n", "secret": "sk-eden-1"}),
        json!({"name": "n", "secret": "sk-eden-1"}),
        json!({"id": 7, "name": "n", "secret": "sk-eden-1"}),
        json!({"id": "..", "name": "n", "secret": "sk-eden-1"}),
        json!({"id": "k", "name": "n", "secret": "sk-eden-1", "revoked": true}),
        json!({"data": {"id": "k", "name": "n", "secret": "sk-eden-1"}}),
    ] {
        let fault = v3_saying(body.to_string()).mint(&order("n")).await.err().expect("it was believed");
        assert_eq!(fault.effect, Consequence::Unknown, "{body}");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_arrives_with_every_field_the_vendor_has() {
    for (kind, expected) in
        [(KeyType::Api, TokenType::ApiToken), (KeyType::Sandbox, TokenType::SandboxApiToken)]
    {
        let stage = stage();
        let expires_at = Some(stage.clock.now() + jiff::SignedDuration::from_hours(48));
        let budget = Some(limit(12, Period::Once));
        let minted = stage.v3().mint(&Order { kind, budget, expires_at, ..order(NAMED) }).await.unwrap();
        let key = stage.only_key();
        assert_eq!((key.token_type, key.name.as_str(), key.member.as_ref()), (expected, NAMED, None));
        assert!(key.expires_at >= expires_at);
        assert_eq!(minted.key.expires_at, key.expires_at);
        assert_eq!((key.budget.balance, key.budget.active), (Some(12_000_000_000), true));
        assert_eq!(minted.key.remaining, Some(12_000_000));
        assert_eq!(minted.key.shown.display_name.as_deref(), Some("n"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_what_the_vendor_documents_and_nothing_else() {
    let stub = Stub::always(201, r#"{"id":"k","name":"n","secret":"sk-eden-1"}"#);
    let v3 = EdenAiV3::new(stub.wire(V3_TOKEN));
    v3.mint(&order("n")).await.unwrap();
    let plain = json!({"name": "n", "token_type": "api_token", "expire_time": null, "active_balance": false,
        "balance_reset_period": "none"});
    assert_eq!(stub.sent(), plain);
    v3.amend(&id("k"), &renamed("other")).await.unwrap();
    assert_eq!(stub.sent(), json!({"name": "other"}));
}

/// A change by a human to a field that is not amended stays.
#[tokio::test(start_paused = true)]
async fn an_amendment_changes_its_fields_and_keeps_all_others() {
    let stage = stage();
    let v3 = stage.v3();
    let key = v3.mint(&Order { budget: Some(limit(5, Period::Daily)), ..order(NAMED) }).await.unwrap().key.id;
    let tags = Some(json!({"team": "shop"}));
    assert!(stage.emulator.edenai().v3().edit_key(&key.0, |it| it.default_tags.clone_from(&tags)));
    let before = stage.only_key();
    v3.amend(&key, &renamed("other")).await.unwrap();
    let mut expected = before;
    "other".clone_into(&mut expected.name);
    assert!(stage.only_key() == expected, "{:?}", stage.only_key());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_lost_its_mark_differs() {
    let stage = stage();
    let v3 = stage.v3();
    let minted = v3.mint(&order(NAMED)).await.unwrap().key;
    let wanted = Settings { display_name: "n".to_owned(), ..settings() };
    assert_eq!(drift(&wanted, &minted, &Sent::default()), []);
    assert!(stage.emulator.edenai().v3().edit_key(&minted.id.0, |it| "n".clone_into(&mut it.name)));
    let edited = v3.get(&minted.id).await.unwrap().unwrap();
    assert_eq!(drift(&wanted, &edited, &Sent::default()), [Field::DisplayName]);
}

/// Names are unique among active keys.
#[tokio::test(start_paused = true)]
async fn a_taken_name_is_a_conflict_until_its_key_is_revoked() {
    let stage = stage();
    let old = by_hand(&stage, "n");
    let v3 = stage.v3();
    let fault = v3.mint(&order("n")).await.err().unwrap();
    assert_eq!(fault, Fault::without_effect(FaultKind::Conflict));
    assert_eq!(stage.only_key().id, old);
    v3.revoke(&id(&old)).await.unwrap();
    v3.mint(&order("n")).await.unwrap();
    assert_eq!(stage.keys().len(), 2);
}

/// Quirk 8.
#[tokio::test(start_paused = true)]
async fn a_plan_that_admits_no_more_keys_is_a_limit_and_no_refused_token() {
    let stage = stage();
    stage.v3_switch(|it| it.key_limit = Some(1));
    let v3 = stage.v3();
    let first = v3.mint(&order("first")).await.unwrap().key.id;
    let fault = v3.mint(&order("second")).await.err().unwrap();
    assert_eq!(fault, limit_reached());
    assert!(!fault.blames_token());
    assert_eq!(stage.keys().len(), 1);
    v3.revoke(&first).await.unwrap();
    v3.mint(&order("second")).await.unwrap();
}

/// Quirk 8. The vendor does not say which of the two causes it is, and a token that may only read is no refused token
/// either.
#[tokio::test(start_paused = true)]
async fn a_token_that_may_only_read_makes_nothing_and_changes_nothing() {
    let stage = stage();
    let key = by_hand(&stage, "n");
    let before = stage.only_key();
    stage.emulator.edenai().v3().add_management_key("mgmt-eden-emulated-reader", &[Scope::Read]);
    let v3 = EdenAiV3::new(stage.wire(VendorId::EdenAiV3, "mgmt-eden-emulated-reader"));
    assert_eq!(v3.mint(&order("x")).await.err().unwrap(), limit_reached());
    let forbidden = Fault::without_effect(FaultKind::Forbidden);
    assert_eq!(v3.amend(&id(&key), &renamed("x")).await.unwrap_err(), forbidden);
    assert_eq!(v3.revoke(&id(&key)).await.unwrap_err(), forbidden);
    assert_eq!(v3.reissue(&id(&key), &order("x")).await.err().unwrap(), forbidden);
    assert!(stage.only_key() == before);
    assert_eq!(v3.list().await.unwrap().len(), 1);
}

/// §2.10, and the calls that an issuer may not make (§2.6).
#[tokio::test(start_paused = true)]
async fn keys_that_are_no_auth_keys_are_refused() {
    let stage = stage();
    let inference = stage.v3().mint(&order("n")).await.unwrap().secret;
    let refused = Fault::without_effect(FaultKind::TokenRefused);
    for token in [clear(&inference), "mgmt-eden-nobodys"] {
        let v3 = EdenAiV3::new(stage.wire(VendorId::EdenAiV3, token));
        assert_eq!(v3.list().await.unwrap_err(), refused);
        assert_eq!(v3.mint(&order("x")).await.err().unwrap(), refused);
    }
    let v3 = EdenAiV3::new(stage.wire(VendorId::EdenAiV3, super::world::ISSUER_TOKEN));
    assert_eq!(v3.list().await.unwrap_err(), Fault::without_effect(FaultKind::Forbidden));
    assert_eq!(stage.keys().len(), 1);
}

/// Quirk 9.
#[tokio::test(start_paused = true)]
async fn revoking_succeeds_with_and_without_a_body_and_when_it_is_done_already() {
    for no_content in [false, true] {
        let stage = stage();
        stage.v3_switch(|it| it.delete_no_content = no_content);
        let v3 = stage.v3();
        let minted = v3.mint(&order("n")).await.unwrap();
        for _ in 0..2 {
            v3.revoke(&minted.key.id).await.unwrap();
            assert!(stage.only_key().revoked_at.is_some());
        }
        assert_eq!(stage.emulator.edenai().v3().counts().revoked_total, 1);
        let answer = stage.emulator.edenai().v3().check(clear(&minted.secret));
        assert_eq!(answer, DataPlaneAnswer::UnknownKey);
        assert!(v3.get(&minted.key.id).await.unwrap().is_none());
    }
    // A key of another organization, or no key: 404 (§2.6).
    let stage = stage();
    stage.v3().revoke(&id("3f1c2b6e-8a4d-4f0e-9b7a-2c5d6e7f8a90")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_organization_is_not_there() {
    let stage = stage();
    let foreign = NewKey { organization: "org_other".to_owned(), ..NewKey::named("n") };
    let key = id(&stage.emulator.edenai().v3().add_key(foreign).id);
    let v3 = stage.v3();
    assert!(v3.list().await.unwrap().is_empty());
    assert!(v3.get(&key).await.unwrap().is_none());
    v3.revoke(&key).await.unwrap();
    assert_eq!(stage.only_key().revoked_at, None);
}

/// §2.10: bodies are objects of complaints or one `detail`.
#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_fields_of_ours_that_the_vendor_named() {
    for flat in [false, true] {
        let stage = stage();
        stage.v3_switch(|it| it.flat_errors = flat);
        let soon = Some(stage.clock.now());
        let both = Order { expires_at: soon, ..order("") };
        let fault = stage.v3().mint(&both).await.err().unwrap();
        let fields = if flat { Vec::new() } else { vec!["spec.displayName", "spec.expiresInDays"] };
        assert_eq!(fault, Fault::without_effect(FaultKind::Rejected { status: 400, fields }));
        assert!(stage.keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_for_one_key_has_no_effect_whatever_happens_to_it() {
    for effect in [
        Effect::Status { code: 500, retry_after: None },
        Effect::DropAfter,
        Effect::Hang,
        Effect::Html,
        Effect::Truncate,
    ] {
        let stage = stage();
        let key = by_hand(&stage, "n");
        stage.fault_once("GET", KEYS, effect.clone());
        let fault = stage.v3().get(&id(&key)).await.unwrap_err();
        assert_eq!(fault.effect, Consequence::NotApplied, "{effect:?}");
    }
}
