//! Budgets on both APIs: set, changed and cleared in every order; quirks 5 and 6 of v3.

use super::world::{Api, budgeted, id, limit, order, stage, v3_saying};
use crate::support::driver_contract::stage::Stage;
use jiff::SignedDuration;
use keysmith::api::shared::Period;
use keysmith::emulator::edenai::{Budget, Form, Period as Paris};
use keysmith::gateway::{Gateway, Order};
use keysmith::plan::drift::{Field, Sent, drift};
use keysmith::plan::listing::{KeyId, Limit, Setting};
use keysmith::plan::settings::Settings;
use serde_json::json;

impl Api {
    fn spend(self, stage: &Stage, key: &KeyId, micros: u64) {
        let edenai = stage.emulator.edenai();
        let spent = match self {
            Self::V2 => edenai.v2().spend(&key.0, micros),
            Self::V3 => edenai.v3().spend(&key.0, micros),
        };
        assert!(spent);
    }
}

fn every_budget() -> Vec<Option<Limit>> {
    let periods = [Period::Once, Period::Daily, Period::Weekly, Period::Monthly];
    let some = periods.into_iter().zip([3, 5, 7, 11]).map(|(period, usd)| Some(limit(usd, period)));
    [None].into_iter().chain(some).collect()
}

fn paris(period: Period) -> Option<Paris> {
    match period {
        Period::Once => None,
        Period::Daily => Some(Paris::Daily),
        Period::Weekly => Some(Paris::Weekly),
        Period::Monthly => Some(Paris::Monthly),
    }
}

fn nanos(limit: Limit) -> i64 {
    i64::try_from(limit.micros * 1000).unwrap()
}

/// Whether the vendor holds exactly that budget, without a rest of an earlier one.
fn holds(budget: &Budget, wanted: Option<Limit>) -> bool {
    match wanted {
        None => !budget.active && budget.period.is_none(),
        Some(limit) if limit.period == Period::Once => {
            budget.active && budget.period.is_none() && budget.balance == Some(nanos(limit))
        }
        Some(limit) => {
            budget.active && budget.period == paris(limit.period) && budget.amount == Some(nanos(limit))
        }
    }
}

/// The listed budget, which has to equal the wanted one.
fn settled(wanted: Option<Limit>, key: &keysmith::plan::listing::Listed) -> bool {
    let settings = Settings { budget: wanted, ..super::world::settings() };
    let sent = Sent { email: None, budget: wanted };
    !drift(&settings, key, &sent).contains(&Field::Budget)
}

#[tokio::test(start_paused = true)]
async fn every_budget_becomes_every_other() {
    for api in [Api::V2, Api::V3] {
        for before in every_budget() {
            for after in every_budget() {
                let stage = stage();
                stage.v3_switch(|it| it.all_fields = true);
                let driver = api.driver(&stage);
                let made = driver.mint(&Order { budget: before, ..order("n") }).await.unwrap().key;
                assert!(holds(&api.budget(&stage), before), "{api:?} {before:?}: {:?}", api.budget(&stage));
                assert!(settled(before, &made), "{api:?} {before:?}: {made:?}");
                driver.amend(&made.id, &budgeted(after)).await.unwrap();
                let held = api.budget(&stage);
                assert!(holds(&held, after), "{api:?} {before:?} {after:?}: {held:?}");
                let key = driver.get(&made.id).await.unwrap().unwrap();
                assert!(settled(after, &key), "{api:?} {before:?} {after:?}: {key:?}");
            }
        }
    }
}

/// Quirk 6 of v3, and the same at v2.
#[tokio::test(start_paused = true)]
async fn a_budget_that_starts_anew_is_full_at_first_and_again_after_midnight_in_paris() {
    for api in [Api::V2, Api::V3] {
        let stage = stage();
        let driver = api.driver(&stage);
        let budget = Some(limit(5, Period::Daily));
        let key = driver.mint(&Order { budget, ..order("n") }).await.unwrap().key;
        assert_eq!(key.remaining, Some(5_000_000), "{api:?}");
        api.spend(&stage, &key.id, 4_000_000);
        let used = driver.get(&key.id).await.unwrap().unwrap();
        assert_eq!(used.remaining, Some(1_000_000), "{api:?}");
        // From 08:00 UTC to 00:00 of Sunday in Paris, which is one hour ahead.
        stage.emulator.advance(SignedDuration::from_hours(15));
        let anew = driver.get(&key.id).await.unwrap().unwrap();
        assert_eq!(anew.remaining, Some(5_000_000), "{api:?}");
    }
}

/// Quirk 5 of v3: the remaining balance falls with use and does not show the amount that was set.
#[tokio::test(start_paused = true)]
async fn use_is_no_drift() {
    for api in [Api::V2, Api::V3] {
        for all_fields in [false, true] {
            for budget in every_budget() {
                let stage = stage();
                stage.v3_switch(|it| it.all_fields = all_fields);
                let driver = api.driver(&stage);
                let key = driver.mint(&Order { budget, ..order("n") }).await.unwrap().key;
                api.spend(&stage, &key.id, 2_000_000);
                let used = driver.get(&key.id).await.unwrap().unwrap();
                assert!(settled(budget, &used), "{api:?} {all_fields} {budget:?}: {used:?}");
                let left = budget.map(|it| it.micros - 2_000_000);
                assert_eq!(used.remaining, left, "{api:?} {all_fields} {budget:?}");
            }
        }
    }
}

/// A human removes or adds a limit in the console.
#[tokio::test(start_paused = true)]
async fn a_limit_that_a_human_switched_is_drift() {
    for budget in every_budget() {
        let stage = stage();
        stage.v3_switch(|it| it.all_fields = true);
        let v3 = stage.v3();
        let key = v3.mint(&Order { budget, ..order("n") }).await.unwrap().key.id;
        let switched = |it: &mut keysmith::emulator::edenai::v3::KeyRecord| {
            it.budget = Budget::new(Some(1_000_000_000), budget.is_none());
        };
        assert!(stage.emulator.edenai().v3().edit_key(&key.0, switched));
        let seen = v3.get(&key).await.unwrap().unwrap();
        assert!(!settled(budget, &seen), "{budget:?}: {seen:?}");
    }
}

/// Quirk 5 of v3.
#[tokio::test(start_paused = true)]
async fn a_balance_is_read_as_a_number_and_as_text() {
    for form in [Form::Number, Form::Text] {
        for all_fields in [false, true] {
            let stage = stage();
            stage.v3_switch(|it| (it.balance, it.all_fields) = (form, all_fields));
            let v3 = stage.v3();
            let budget = Some(Limit { micros: 12_345_678, period: Period::Once });
            let made = v3.mint(&Order { budget, ..order("n") }).await.unwrap().key;
            assert_eq!(made.remaining, Some(12_345_678), "{form:?}");
            assert_eq!(v3.list().await.unwrap(), [made], "{form:?}");
        }
    }
}

/// Quirks 5 and 6 of v3.
#[tokio::test(start_paused = true)]
async fn what_is_shown_of_a_budget_is_read_as_far_as_it_says_something() {
    let budget = |usd, period| Setting::Set(limit(usd, period));
    let table = [
        (json!({"active_balance": true, "balance": null}), (Setting::Unset, None, None)),
        (json!({"active_balance": false, "balance": 50}), (Setting::Unset, None, None)),
        (json!({"active_balance": true, "balance": "7.5"}), (Setting::Hidden, Some(true), Some(7_500_000))),
        (json!({"active_balance": true, "balance": -1}), (Setting::Hidden, Some(true), Some(0))),
        (json!({"active_balance": true}), (Setting::Hidden, None, None)),
        (json!({}), (Setting::Hidden, None, None)),
        (
            json!({"active_balance": true, "balance": 1, "balance_reset_period": "monthly", "balance_reset_amount": "9"}),
            (budget(9, Period::Monthly), None, Some(1_000_000)),
        ),
        (
            json!({"active_balance": true, "balance": 1, "balance_reset_period": "weekly", "balance_reset_amount": 9.0}),
            (budget(9, Period::Weekly), None, Some(1_000_000)),
        ),
        (
            json!({"active_balance": true, "balance": 1, "balance_reset_period": "hourly", "balance_reset_amount": 9}),
            (Setting::Hidden, Some(true), Some(1_000_000)),
        ),
        (
            json!({"active_balance": true, "balance": 1, "balance_reset_period": "daily", "balance_reset_amount": null}),
            (Setting::Hidden, Some(true), Some(1_000_000)),
        ),
        (
            json!({"active_balance": true, "balance": 1, "balance_reset_period": "none", "balance_reset_amount": "9"}),
            (Setting::Hidden, Some(true), Some(1_000_000)),
        ),
    ];
    for (mut body, expected) in table {
        body["id"] = json!("k");
        let key = v3_saying(body.to_string()).get(&id("k")).await.unwrap().unwrap();
        assert_eq!((key.shown.budget, key.shown.capped, key.remaining), expected, "{body}");
    }
}
