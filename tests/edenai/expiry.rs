//! Expiry dates on both APIs: quirk 7 of v3, and the same at v2.

use super::world::{Api, expiring, order, stage, v2_saying, v3_saying};
use crate::support::driver_contract::stage::Stage;
use jiff::{SignedDuration, Timestamp};
use keysmith::emulator::edenai::DataPlaneAnswer;
use keysmith::gateway::{Gateway, Order};
use keysmith::plan::fault::{Fault, FaultKind, Outcome};
use keysmith::plan::settings::Expiry;
use serde_json::json;

const APIS: [Api; 2] = [Api::V2, Api::V3];

impl Api {
    fn held(self, stage: &Stage) -> (Option<Timestamp>, String) {
        match self {
            Self::V2 => (stage.only_token().expires_at, stage.only_token().secret),
            Self::V3 => (stage.only_key().expires_at, stage.only_key().secret),
        }
    }
}

fn in_hours(stage: &Stage, hours: i64) -> Timestamp {
    stage.clock.now() + SignedDuration::from_hours(hours)
}

/// The duration of the call does not make the shortest possible expiry too short.
#[tokio::test(start_paused = true)]
async fn a_day_ahead_is_taken_even_when_the_call_takes_its_time() {
    for api in APIS {
        let stage = stage();
        let at = in_hours(&stage, 24);
        stage.fault_once("POST", "", keysmith::emulator::Effect::Delay { millis: 29_000 });
        let key = api.driver(&stage).mint(&Order { expires_at: Some(at), ..order("n") }).await.unwrap().key;
        let (held, _) = api.held(&stage);
        assert_eq!(key.expires_at, held, "{api:?}");
        // The expiry is later than ordered, by no more than the tolerance for equal dates.
        assert!(!Expiry::At(at).differs(held) && held >= Some(at), "{api:?}: {held:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_is_set_moved_and_cleared() {
    for api in APIS {
        let stage = stage();
        let driver = api.driver(&stage);
        let key = driver.mint(&order("n")).await.unwrap().key;
        assert_eq!((key.expires_at, api.held(&stage).0), (None, None), "{api:?}");
        for hours in [24 * 30, 24 * 400, 48] {
            let wanted = Expiry::At(in_hours(&stage, hours));
            driver.amend(&key.id, &expiring(wanted)).await.unwrap();
            let shown = driver.get(&key.id).await.unwrap().unwrap().expires_at;
            assert_eq!(shown, api.held(&stage).0, "{api:?}");
            assert!(!wanted.differs(shown), "{api:?} {hours}: {shown:?}");
        }
        driver.amend(&key.id, &expiring(Expiry::Never)).await.unwrap();
        let shown = driver.get(&key.id).await.unwrap().unwrap().expires_at;
        assert_eq!((shown, api.held(&stage).0), (None, None), "{api:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_that_is_too_near_is_refused_by_its_field_and_changes_nothing() {
    for api in APIS {
        let stage = stage();
        let driver = api.driver(&stage);
        let key = driver.mint(&order("n")).await.unwrap().key.id;
        let soon = Expiry::At(in_hours(&stage, 23));
        let fault = driver.amend(&key, &expiring(soon)).await.unwrap_err();
        let rejected = FaultKind::Rejected { status: 400, fields: vec!["spec.expiresInDays"] };
        assert_eq!(fault, Fault::without_effect(rejected), "{api:?}");
        assert_eq!(api.held(&stage).0, None);
    }
}

/// Whether v2 requires a day at least is not documented.
#[tokio::test(start_paused = true)]
async fn a_server_of_v2_that_takes_any_date_gets_the_one_that_was_ordered() {
    let stage = stage();
    stage.v2_switch(|it| it.day_ahead = false);
    let at = in_hours(&stage, 1);
    stage.v2().mint(&Order { expires_at: Some(at), ..order("n") }).await.unwrap();
    assert!(!Expiry::At(at).differs(stage.only_token().expires_at));
}

/// An expired key stops working and stays listed (§2.12).
#[tokio::test(start_paused = true)]
async fn an_expired_key_is_still_there() {
    for api in APIS {
        let stage = stage();
        let driver = api.driver(&stage);
        let at = in_hours(&stage, 25);
        let key = driver.mint(&Order { expires_at: Some(at), ..order("n") }).await.unwrap().key;
        stage.emulator.advance(SignedDuration::from_hours(26));
        let secret = api.held(&stage).1;
        assert_eq!(stage.emulator.edenai().v3().check(&secret), DataPlaneAnswer::Expired, "{api:?}");
        let shown = driver.get(&key.id).await.unwrap().unwrap();
        assert_eq!(shown.expires_at, key.expires_at, "{api:?}");
        assert_eq!(driver.list().await.unwrap().len(), 1, "{api:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_date_is_no_date_however_the_vendor_writes_it() {
    for never in [json!(null), json!(""), json!("0001-01-01T00:00:00Z")] {
        let body = json!({"id": "k", "name": "n", "expire_time": never}).to_string();
        let key = super::world::id("k");
        assert_eq!(v3_saying(body.clone()).get(&key).await.unwrap().unwrap().expires_at, None, "{never}");
        assert_eq!(v2_saying(body).get(&key).await.unwrap().unwrap().expires_at, None, "{never}");
    }
    for no_date in [json!("tomorrow"), json!([]), json!({}), json!(true)] {
        let body = json!({"id": "k", "name": "n", "expire_time": no_date}).to_string();
        let key = super::world::id("k");
        for key in [v3_saying(body.clone()).get(&key).await, v2_saying(body.clone()).get(&key).await] {
            let key = key.unwrap().unwrap();
            assert!(key.unread_expiry() && key.expires_at.is_none(), "{no_date}");
            assert_eq!(key.unread_fields(), ["expire_time"], "{no_date}");
        }
        // An answer to create must have every field that a new key is known by.
        let created = format!(r#"{},"secret":"sk-eden-1","token":"eden-1"}}"#, &body[..body.len() - 1]);
        for driver in [&v3_saying(created.clone()) as &dyn Gateway, &v2_saying(created)] {
            let fault = driver.mint(&order("n")).await.err().unwrap();
            assert_eq!(fault.effect, Outcome::Unknown, "{no_date}");
            assert!(fault.to_string().contains("expire_time"), "{no_date}: {fault}");
        }
    }
}
