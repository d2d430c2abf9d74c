//! Quirk 4 of v3: a key whose secret was lost becomes the key of another order, with another name, other settings and
//! another secret, so that no second key is created.

use super::world::{KEYS, clear, id, limit, order, stage, v3_saying};
use crate::support::driver_contract::stage::Stage;
use jiff::SignedDuration;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::shared::Period;
use keysmith::emulator::edenai::DataPlaneAnswer;
use keysmith::emulator::edenai::v3::NewKey;
use keysmith::emulator::{Effect, Rule};
use keysmith::gateway::{Gateway, Order, Reissue};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};
use keysmith::plan::listing::{KeyId, Limit, Setting};
use serde_json::json;

const FIRST: &str = "n [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]";
const SECOND: &str = "other [ks-aaaaaa-aaaaaaaaaaaaaaaa-2]";

/// A key whose secret was lost with the answer.
async fn lost(stage: &Stage, order: &Order) -> KeyId {
    stage.fault_once("POST", KEYS, Effect::DropAfter);
    let fault = stage.v3().mint(order).await.err().unwrap();
    assert_eq!(fault.effect, Consequence::Unknown);
    stage.v3().list().await.unwrap().remove(0).id
}

fn works(stage: &Stage, secret: &str) -> bool {
    stage.emulator.edenai().v3().check(secret) == DataPlaneAnswer::Accepted
}

#[tokio::test(start_paused = true)]
async fn the_key_of_a_lost_answer_becomes_the_next_orders_and_its_old_secret_is_dead() {
    let budgets: [Option<Limit>; 4] =
        [None, Some(limit(5, Period::Once)), Some(limit(6, Period::Daily)), Some(limit(7, Period::Monthly))];
    for before in budgets {
        for after in budgets {
            let stage = stage();
            let key = lost(&stage, &Order { budget: before, ..order(FIRST) }).await;
            let old = stage.only_key().secret;
            assert!(works(&stage, &old));
            let expires_at = Some(stage.clock.now() + SignedDuration::from_hours(24 * 30));
            let wanted = Order { budget: after, expires_at, ..order(SECOND) };
            let minted = stage.v3().reissue(&key, &wanted).await.unwrap().unwrap();
            let held = stage.only_key();
            assert_eq!((held.id.as_str(), held.name.as_str()), (key.0.as_str(), SECOND));
            assert_eq!(held.secret, clear(&minted.secret));
            assert!(works(&stage, clear(&minted.secret)) && !works(&stage, &old));
            assert!(held.expires_at >= expires_at);
            assert_eq!(held.budget.active, after.is_some(), "{before:?} {after:?}");
            let renewing = after.filter(|it| it.period != Period::Once).map(|it| it.micros);
            let amount = held.budget.amount.map(|nanos| u64::try_from(nanos / 1000).unwrap());
            assert_eq!(amount, renewing, "{before:?} {after:?}");
            if let Some(once) = after.filter(|it| it.period == Period::Once) {
                assert_eq!(held.budget.balance, Some(i64::try_from(once.micros * 1000).unwrap()));
            }
            assert_eq!((minted.key.id, minted.key.name.as_str()), (key.clone(), SECOND));
            assert_eq!(minted.key.shown.display_name.as_deref(), Some("other"));
            assert_eq!(stage.emulator.edenai().v3().counts().created_total, 1);
        }
    }
}

/// The former settings of the key say nothing about its present ones.
#[tokio::test(start_paused = true)]
async fn a_reissued_key_is_returned_without_its_former_budget() {
    for all_fields in [false, true] {
        let stage = stage();
        stage.v3_switch(|it| it.all_fields = all_fields);
        let key = lost(&stage, &Order { budget: Some(limit(5, Period::Once)), ..order(FIRST) }).await;
        let date = stage.clock.now() + SignedDuration::from_hours(24 * 30);
        for (budget, expires_at) in
            [(Some(limit(8, Period::Once)), Some(date)), (Some(limit(9, Period::Weekly)), None), (None, None)]
        {
            let wanted = Order { budget, expires_at, ..order(SECOND) };
            let reissued = stage.v3().reissue(&key, &wanted).await.unwrap().unwrap().key;
            assert_eq!(
                (reissued.shown.budget, reissued.shown.capped, reissued.remaining),
                (Setting::Hidden, None, None)
            );
            let read = stage.v3().get(&key).await.unwrap().unwrap();
            assert_eq!((&reissued.id, &reissued.name), (&read.id, &read.name), "{all_fields} {budget:?}");
            assert_eq!(reissued.expires_at, read.expires_at, "{all_fields} {budget:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_type_is_left_alone() {
    for (made, wanted) in [(KeyType::Api, KeyType::Sandbox), (KeyType::Sandbox, KeyType::Api)] {
        let stage = stage();
        let key = lost(&stage, &Order { kind: made, ..order(FIRST) }).await;
        let before = stage.only_key();
        let none = stage.v3().reissue(&key, &Order { kind: wanted, ..order(SECOND) }).await.unwrap();
        assert!(none.is_none() && stage.only_key() == before, "{made:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_or_was_never_there_is_not_reissued() {
    let stage = stage();
    let key = lost(&stage, &order(FIRST)).await;
    stage.v3().revoke(&key).await.unwrap();
    let before = stage.only_key();
    for gone in [key, id("3f1c2b6e-8a4d-4f0e-9b7a-2c5d6e7f8a90")] {
        assert!(stage.v3().reissue(&gone, &order(SECOND)).await.unwrap().is_none());
    }
    assert!(stage.only_key() == before);
    assert_eq!(stage.emulator.count("POST", "/rotate/"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_rotation_is_rotated_again() {
    for effect in
        [Effect::DropAfter, Effect::HangAfter, Effect::Truncate, Effect::AppliedStatus { code: 502 }]
    {
        let stage = stage();
        let key = lost(&stage, &order(FIRST)).await;
        stage.fault_once("POST", "/rotate/", effect.clone());
        let fault = stage.v3().reissue(&key, &order(SECOND)).await.err().unwrap();
        assert_eq!(fault.effect, Consequence::Unknown, "{effect:?}");
        let between = stage.only_key().secret;
        let minted = stage.v3().reissue(&key, &order(SECOND)).await.unwrap().unwrap();
        assert!(works(&stage, clear(&minted.secret)) && !works(&stage, &between), "{effect:?}");
        assert_eq!(stage.only_key().rotations, 2);
    }
}

/// The key has its new name already when the vendor refuses the rotation.
#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_refused_comes_after_a_change_that_was_made() {
    for code in [400, 401, 403, 404, 409, 429] {
        let stage = stage();
        let key = lost(&stage, &order(FIRST)).await;
        stage.fault_once("POST", "/rotate/", Effect::Status { code, retry_after: None });
        let fault = stage.v3().reissue(&key, &order(SECOND)).await.err().unwrap();
        assert_eq!(stage.only_key().name, SECOND);
        assert_eq!(fault.effect, Consequence::Unknown, "{code}: {fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_rotates_nothing() {
    for (effect, expected) in [
        (Effect::Status { code: 400, retry_after: None }, Consequence::NotApplied),
        (Effect::Status { code: 500, retry_after: None }, Consequence::Unknown),
        (Effect::DropBefore, Consequence::Unknown),
    ] {
        let stage = stage();
        let key = lost(&stage, &order(FIRST)).await;
        let before = stage.only_key();
        stage.fault_once("PATCH", KEYS, effect.clone());
        let fault = stage.v3().reissue(&key, &order(SECOND)).await.err().unwrap();
        assert_eq!(fault.effect, expected, "{effect:?}");
        assert!(stage.only_key() == before, "{effect:?}");
    }
    // A foreign key has the name.
    let stage = stage();
    let key = lost(&stage, &order(FIRST)).await;
    stage.emulator.edenai().v3().add_key(NewKey::named(SECOND));
    let fault = stage.v3().reissue(&key, &order(SECOND)).await.err().unwrap();
    assert_eq!(fault, Fault::without_effect(FaultKind::Conflict));
}

#[tokio::test(start_paused = true)]
async fn a_mask_is_never_the_secret_of_a_rotation() {
    for mask in ["", "sk-eden-…8a90", "sk-eden-****", "sk eden"] {
        let body = json!({"id": "k", "name": FIRST, "secret": mask, "masked": "sk-eden-…1"});
        let fault = v3_saying(body.to_string()).reissue(&id("k"), &order(SECOND)).await.err().expect(mask);
        assert_eq!(fault.effect, Consequence::Unknown, "{mask}");
        assert!(fault.kind.is_malformed(), "{mask}: {fault}");
    }
}

/// A human revokes the key between the read and the change.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_meanwhile_is_never_taken_for_a_working_one() {
    let stage = stage();
    let key = lost(&stage, &order(FIRST)).await;
    stage.emulator.faults().add(Rule::once("POST", "/rotate/", Effect::Delay { millis: 1000 }));
    let v3 = stage.v3();
    let wanted = order(SECOND);
    let revoking = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert!(stage.emulator.edenai().v3().revoke_key(&key.0));
    };
    let (outcome, ()) = tokio::join!(v3.reissue(&key, &wanted), revoking);
    assert!(!outcome.is_ok_and(|minted| minted.is_some()));
    assert!(stage.only_key().revoked_at.is_some());
}

/// Whether the key has its new name is unknown, so it is not rotated.
#[tokio::test(start_paused = true)]
async fn an_answer_to_the_change_that_is_none_rotates_nothing() {
    let stage = stage();
    let key = lost(&stage, &order(FIRST)).await;
    stage.fault_once("PATCH", KEYS, Effect::Html);
    let fault = stage.v3().reissue(&key, &order(SECOND)).await.err().unwrap();
    assert_eq!(fault.effect, Consequence::Unknown);
    assert!(fault.kind.is_malformed(), "{fault}");
    assert_eq!((stage.only_key().name.as_str(), stage.only_key().rotations), (FIRST, 0));
}
