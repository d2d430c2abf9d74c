//! Budgets at Eden AI, in the fields that both of its APIs share (contract §2.3, §2.5, §2.8).
//!
//! `balance` is what is left now; `balance_reset_period` and `balance_reset_amount` say when the budget is reset, and
//! to how much. A key that becomes periodic starts with the full amount, whatever `balance` is in the same request. A
//! key that must start with less, such as the successor of a key that spent some, gets its balance by a second
//! request.

use crate::api::shared::Period;
use crate::gateway::lenient;
use crate::plan::listing::{Limit, Setting};
use crate::plan::money;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The vendor's name of a reset period.
fn reset_period(period: Period) -> Option<&'static str> {
    match period {
        Period::Once => None,
        Period::Daily => Some("daily"),
        Period::Weekly => Some("weekly"),
        Period::Monthly => Some("monthly"),
    }
}

/// What an answer shows of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShownBudget {
    /// The limit.
    pub limit: Setting<Limit>,
    /// Whether there is a limit, where the limit itself is hidden.
    pub capped: Option<bool>,
}

/// The limit, by `active_balance`, `balance` and the reset fields: the exact one, or only that there is one.
pub fn shown_budget(
    active: Option<bool>,
    balance: Setting<u64>,
    reset_period: Option<&str>,
    reset_amount: Option<u64>,
) -> ShownBudget {
    let period = match reset_period {
        Some("daily") => Some(Period::Daily),
        Some("weekly") => Some(Period::Weekly),
        Some("monthly") => Some(Period::Monthly),
        _ => None,
    };
    let renewed = period.zip(reset_amount).filter(|_| active != Some(false));
    let budget = |limit| ShownBudget { limit, capped: None };
    match (renewed, active, balance) {
        (Some((period, micros)), ..) => budget(Setting::Set(Limit { micros, period })),
        (None, Some(false), _) | (None, _, Setting::Unset) => budget(Setting::Unset),
        (None, Some(true), Setting::Set(_)) => ShownBudget { capped: Some(true), ..ShownBudget::default() },
        (None, ..) => ShownBudget::default(),
    }
}

/// The budget as returned, if every field that it depends on could be read.
pub fn as_far_as_read(shown: ShownBudget, unread: &[&'static str]) -> ShownBudget {
    const FIELDS: [&str; 4] = ["active_balance", "balance", "balance_reset_period", "balance_reset_amount"];
    if FIELDS.iter().any(|field| unread.contains(field)) { ShownBudget::default() } else { shown }
}

/// The fields of a request that set the budget, with `left` of it remaining; `None` is all of it. The format of a
/// balance differs between requests.
pub fn spending(budget: Option<Limit>, left: Option<u64>, amount: fn(u64) -> Value) -> Map<String, Value> {
    let Some(limit) = budget else {
        return object(json!({"active_balance": false, "balance_reset_period": "none"}));
    };
    let balance = amount(left.unwrap_or(limit.micros).min(limit.micros));
    let fields = match reset_period(limit.period) {
        None => json!({"active_balance": true, "balance": balance, "balance_reset_period": "none"}),
        Some(period) => json!({
            "active_balance": true,
            "balance": balance,
            "balance_reset_period": period,
            "balance_reset_amount": decimal(limit.micros),
        }),
    };
    object(fields)
}

/// A change of the balance alone.
pub fn balance_alone(left: u64, amount: fn(u64) -> Value) -> Map<String, Value> {
    object(json!({"balance": amount(left)}))
}

fn object(fields: Value) -> Map<String, Value> {
    if let Value::Object(map) = fields { map } else { Map::new() }
}

/// An amount as decimal text.
pub fn decimal(micros: u64) -> Value {
    json!(money::decimal(micros))
}

/// The balance that a second request has to set, unless the response shows that no more than `left` remains.
pub fn excess(budget: Option<Limit>, left: Option<u64>, shown: Option<u64>) -> Option<u64> {
    let left = left.filter(|left| budget.is_some_and(|limit| *left < limit.micros))?;
    shown.is_none_or(|shown| shown > left).then_some(left)
}

/// The balance in the response to an update, if it contains one.
pub fn balance(answer: &Map<String, Value>) -> Option<u64> {
    #[derive(Deserialize)]
    struct Shown {
        #[serde(default, deserialize_with = "lenient::micros")]
        balance: Option<u64>,
    }
    let balance = json!({"balance": answer.get("balance")});
    serde_json::from_value::<Shown>(balance).ok().and_then(|shown| shown.balance)
}
