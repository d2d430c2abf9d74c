//! The rest of a budget in the current period: a successor gets the rest of its predecessor from its first call on.
//! Quirk 5 of v2, quirk 6 of v3.

use super::world::{Api, KEYS, TOKENS, budgeted, limit, order, stage};
use crate::support::driver_contract::stage::Stage;
use keysmith::api::shared::Period;
use keysmith::emulator::Effect;
use keysmith::gateway::{Amendment, Gateway, Order, Reissue};
use keysmith::plan::fault::Outcome as Consequence;
use keysmith::plan::listing::Limit;

const SECOND: &str = "other [ks-aaaaaa-aaaaaaaaaaaaaaaa-2]";
const LEFT: u64 = 1_250_000;

impl Api {
    fn path(self) -> &'static str {
        match self {
            Self::V2 => TOKENS,
            Self::V3 => KEYS,
        }
    }
}

const APIS: [Api; 2] = [Api::V2, Api::V3];

fn budgets() -> [Limit; 4] {
    [Period::Once, Period::Daily, Period::Weekly, Period::Monthly].map(|period| limit(10, period))
}

fn nanos(micros: u64) -> Option<i64> {
    i64::try_from(micros * 1000).ok()
}

/// Asserts the rest, and that the next period begins with the whole amount.
fn assert_left(api: Api, stage: &Stage, budget: Limit, left: u64) {
    let held = api.budget(stage);
    assert_eq!((held.balance, held.active), (nanos(left), true), "{api:?} {budget:?}: {held:?}");
    let renewed = (budget.period != Period::Once).then_some(budget.micros).and_then(nanos);
    assert_eq!(held.amount, renewed, "{api:?} {budget:?}: {held:?}");
}

#[tokio::test(start_paused = true)]
async fn the_budget_of_a_successor_is_what_is_left_of_it_when_the_answer_comes() {
    for api in APIS {
        for budget in budgets() {
            for left in [0, 1, LEFT, budget.micros] {
                let stage = stage();
                let wanted = Order { budget: Some(budget), left: Some(left), ..order("n") };
                let minted = api.driver(&stage).mint(&wanted).await.unwrap();
                assert_left(api, &stage, budget, left);
                assert_eq!(minted.key.remaining, Some(left), "{api:?} {budget:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_of_which_all_is_left_costs_no_second_request() {
    for api in APIS {
        for budget in budgets() {
            for left in [None, Some(budget.micros), Some(u64::MAX)] {
                let stage = stage();
                let wanted = Order { budget: Some(budget), left, ..order("n") };
                api.driver(&stage).mint(&wanted).await.unwrap();
                assert_left(api, &stage, budget, budget.micros);
                assert_eq!(stage.emulator.count("PATCH", ""), 0, "{api:?} {budget:?} {left:?}");
            }
        }
        // Without a budget there is no rest.
        let stage = stage();
        api.driver(&stage).mint(&Order { left: Some(LEFT), ..order("n") }).await.unwrap();
        assert!(!api.budget(&stage).active);
        assert_eq!(stage.emulator.count("PATCH", ""), 0, "{api:?}");
    }
}

/// The key exists with too large a balance: recovery corrects it.
#[tokio::test(start_paused = true)]
async fn a_balance_that_could_not_be_lowered_is_an_ambiguous_fault_of_the_create_call() {
    let status = |code| Effect::Status { code, retry_after: None };
    let effects = [
        status(400),
        status(401),
        status(403),
        status(404),
        status(429),
        status(500),
        Effect::DropBefore,
        Effect::Html,
    ];
    for api in APIS {
        for effect in &effects {
            let stage = stage();
            stage.fault_once("PATCH", api.path(), effect.clone());
            let budget = limit(10, Period::Monthly);
            let wanted = Order { budget: Some(budget), left: Some(LEFT), ..order("n") };
            let fault = api.driver(&stage).mint(&wanted).await.err().unwrap();
            assert_eq!(fault.effect, Consequence::Unknown, "{api:?} {effect:?}: {fault}");
            assert_left(api, &stage, budget, budget.micros);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reissued_key_has_what_is_left_before_its_secret_is_known() {
    for budget in budgets() {
        for had in [None, Some(limit(5, Period::Once)), Some(limit(6, Period::Daily))] {
            let stage = stage();
            let v3 = stage.v3();
            let key = v3.mint(&Order { budget: had, ..order("n") }).await.unwrap().key.id;
            let wanted = Order { budget: Some(budget), left: Some(LEFT), ..order(SECOND) };
            v3.reissue(&key, &wanted).await.unwrap().unwrap();
            assert_left(Api::V3, &stage, budget, LEFT);
            let calls = stage.emulator.calls();
            let last: Vec<_> = calls.iter().map(|call| call.method.as_str()).collect();
            assert_eq!(last.last(), Some(&"POST"), "{last:?}");
        }
    }
    let stage = stage();
    let v3 = stage.v3();
    let key = v3.mint(&order("n")).await.unwrap().key.id;
    stage.emulator.faults().add(keysmith::emulator::Rule {
        skip: 1,
        ..keysmith::emulator::Rule::always("PATCH", KEYS, Effect::Status { code: 400, retry_after: None })
    });
    let wanted = Order { budget: Some(limit(10, Period::Daily)), left: Some(LEFT), ..order(SECOND) };
    let fault = v3.reissue(&key, &wanted).await.err().unwrap();
    assert_eq!((fault.effect, stage.only_key().rotations), (Consequence::Unknown, 0));
}

#[tokio::test(start_paused = true)]
async fn an_amended_budget_has_what_is_left_of_it() {
    for api in APIS {
        for had in [None, Some(limit(5, Period::Once)), Some(limit(6, Period::Daily))] {
            for budget in budgets() {
                let stage = stage();
                let driver = api.driver(&stage);
                let key = driver.mint(&Order { budget: had, ..order("n") }).await.unwrap().key.id;
                let amendment = Amendment { left: Some(LEFT), ..budgeted(Some(budget)) };
                driver.amend(&key, &amendment).await.unwrap();
                assert_left(api, &stage, budget, LEFT);
            }
        }
    }
}
