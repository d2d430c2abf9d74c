//! The budget of a key, on both APIs (§2.3, §2.5, §2.8).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::money::{self, Form, Forms};
use crate::emulator::calendar::Period;
use crate::emulator::fields::{Fields, Given};

/// The budget of a key. Amounts are in billionths of a USD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The balance as of `since`; `None`: no cap.
    pub balance: Option<i64>,
    /// Whether the balance limits the key.
    pub active: bool,
    /// When the balance is reset, Paris time.
    pub period: Option<Period>,
    /// The balance after a reset.
    pub amount: Option<i64>,
    /// The balance as it was last set.
    pub granted: Option<i64>,
    /// First day of the period in which the balance last changed.
    pub since: Date,
}

impl Budget {
    /// A balance that is never reset, and limits the key if `active`.
    #[must_use]
    pub fn new(balance: Option<i64>, active: bool) -> Self {
        Self { balance, active, period: None, amount: None, granted: balance, since: Date::MIN }
    }

    /// The budget at this time: a period that began since then fills the balance.
    pub(super) fn at(&self, now: Timestamp) -> Self {
        let mut budget = self.clone();
        if let (Some(period), Some(amount)) = (self.period, self.amount) {
            let since = period.start(now, &paris());
            if since != self.since {
                budget.since = since;
                budget.fill(amount);
            }
        }
        budget
    }

    /// Removes the limit.
    pub(super) fn lift(&mut self) {
        (self.balance, self.active, self.period, self.amount) = (None, false, None, None);
    }

    /// Calls reduce the balance only while it is active.
    pub(super) fn spend(&mut self, nanos: i64, now: Timestamp) {
        *self = self.at(now);
        if self.active {
            self.balance = self.balance.map(|balance| balance.saturating_sub(nanos));
        }
    }

    pub(super) fn exhausted(&self, now: Timestamp) -> bool {
        self.active && self.at(now).balance.is_some_and(|balance| balance <= 0)
    }

    /// The amount that may still be spent, in millionths, if there is a cap.
    pub(super) fn remaining_micros(&self, now: Timestamp) -> Option<u64> {
        micros(self.at(now).balance.filter(|_| self.active))
    }

    /// The amount that may be spent in all, or within a period, if there is a cap.
    pub(super) fn granted_micros(&self) -> Option<u64> {
        micros(self.granted.filter(|_| self.active))
    }

    fn set(&mut self, balance: Option<i64>) {
        self.balance = balance;
        self.granted = balance;
    }

    fn fill(&mut self, amount: i64) {
        self.set(Some(amount));
    }

    /// Makes a budget periodic: it starts full, and its balance is active from then on (§2.8).
    fn renew_every(&mut self, period: Period, amount: i64, now: Timestamp) {
        if self.period.is_none() {
            self.fill(amount);
        }
        self.period = Some(period);
        self.amount = Some(amount);
        self.active = true;
        self.since = period.start(now, &paris());
    }

    fn renew_never(&mut self) {
        self.period = None;
        self.amount = None;
    }
}

/// Applies the spending fields of a create or an update: only the given fields change.
pub(super) fn amend(budget: &Budget, fields: &mut Fields, forms: Forms, now: Timestamp) -> Budget {
    let mut budget = budget.at(now);
    match money::read(fields, "balance", forms) {
        Given::Omitted => {}
        Given::Null => budget.set(None),
        Given::Value(balance) => budget.set(Some(balance)),
    }
    budget.active = fields.flag("active_balance").value().unwrap_or(budget.active);
    amend_period(&mut budget, fields, now);
    budget
}

fn amend_period(budget: &mut Budget, fields: &mut Fields, now: Timestamp) {
    let amount = money::read(fields, "balance_reset_amount", Forms::Either).value();
    if amount.is_some_and(|amount| amount <= 0) {
        fields.complain("balance_reset_amount", "balance_reset_amount must be positive.");
    }
    let period = match fields.text("balance_reset_period") {
        Given::Omitted => budget.period,
        Given::Null => None,
        Given::Value(text) => match serde_json::from_value(json!(text)) {
            Ok(period) => Some(period),
            Err(_) if text == "none" => None,
            Err(_) => {
                let known = "balance_reset_period must be one of none, daily, weekly, monthly.";
                fields.complain("balance_reset_period", known);
                return;
            }
        },
    };
    match (period, amount.or(budget.amount)) {
        (None, _) => budget.renew_never(),
        (Some(period), Some(amount)) => budget.renew_every(period, amount, now),
        (Some(_), None) => {
            fields.complain("balance_reset_amount", "balance_reset_amount is required with a period.");
        }
    }
}

/// Adds `balance` and `active_balance` to the answer about a key.
pub(super) fn show(budget: &Budget, body: &mut Map<String, Value>, form: Form) {
    body.insert("balance".to_owned(), money::show(budget.balance, form));
    body.insert("active_balance".to_owned(), json!(budget.active));
}

/// Adds the fields of the reset, which not every answer has.
pub(super) fn show_reset(budget: &Budget, body: &mut Map<String, Value>, form: Form) {
    let period = budget.period.map_or(json!("none"), |period| json!(period));
    body.insert("balance_reset_period".to_owned(), period);
    body.insert("balance_reset_amount".to_owned(), money::show(budget.amount, form));
}

/// Budgets are reset at midnight in Paris (§2.8). The zone is compiled in; UTC is the fallback.
fn paris() -> TimeZone {
    TimeZone::get("Europe/Paris").unwrap_or(TimeZone::UTC)
}

fn micros(nanos: Option<i64>) -> Option<u64> {
    nanos.map(|nanos| u64::try_from(nanos / 1_000).unwrap_or_default())
}
