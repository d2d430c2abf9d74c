//! Spending of keys and balances of accounts, exact; status shows them in coarse steps.

use super::new;
use crate::plan::identity::TokenRef;
use crate::plan::usage::KeySpending;
use crate::plan::usage::Money;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

type Amount = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Key {
    resource_namespace: String,
    resource_name: String,
    currency: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Account {
    resource_namespace: String,
    resource_name: String,
    currency: String,
}

#[derive(Clone, Default)]
pub(super) struct Amounts {
    spent: Family<Key, Amount>,
    budget: Family<Key, Amount>,
    balance: Family<Account, Amount>,
    /// The exported keys of each ConsoleToken, by its UID, so that gauges of deleted keys are removed.
    exported: Arc<Mutex<HashMap<String, Vec<Key>>>>,
    accounts: Arc<Mutex<HashMap<TokenRef, Account>>>,
}

#[expect(clippy::cast_precision_loss, reason = "what a double cannot hold, nobody spent")]
fn units(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}

fn amount(micros: u64) -> f64 {
    units(i64::try_from(micros).unwrap_or(i64::MAX))
}

impl Amounts {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let spent =
            "Spent with the keys of a GatewayApiKey in the running calendar month, in the vendor's currency";
        let budget = "Budget of a GatewayApiKey for one of its periods, in the vendor's currency";
        Self {
            spent: new(registry, "key_spent", spent),
            budget: new(registry, "key_budget", budget),
            balance: new(registry, "account_balance", "What the account of a ConsoleToken has left"),
            ..Self::default()
        }
    }

    pub(super) fn spending(&self, token: &str, keys: Vec<KeySpending>) {
        let mut all = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        let mut exported = Vec::new();
        let before = all.remove(token).unwrap_or_default();
        for key in keys {
            let labels =
                Key { resource_namespace: key.namespace, resource_name: key.name, currency: key.currency };
            self.spent.get_or_create(&labels).set(amount(key.micros));
            match key.budget {
                Some(budget) => drop(self.budget.get_or_create(&labels).set(amount(budget))),
                None => drop(self.budget.remove(&labels)),
            }
            exported.push(labels);
        }
        for gone in before.iter().filter(|it| !exported.contains(it)) {
            self.spent.remove(gone);
            self.budget.remove(gone);
        }
        if !exported.is_empty() {
            all.insert(token.to_owned(), exported);
        }
    }

    pub(super) fn balance(&self, token: &TokenRef, money: &Money) {
        let currency = crate::plan::usage::balance(money).currency;
        let resource_namespace = token.namespace.clone().unwrap_or_default();
        let labels = Account { resource_namespace, resource_name: token.name.clone(), currency };
        self.balance.get_or_create(&labels).set(units(money.micros));
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = accounts.insert(token.clone(), labels.clone()).filter(|it| *it != labels) {
            self.balance.remove(&before);
        }
    }

    /// Removes all gauges.
    pub(super) fn clear(&self) {
        let mut exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        exported.clear();
        accounts.clear();
        self.spent.clear();
        self.budget.clear();
        self.balance.clear();
    }

    pub(super) fn forget(&self, token: &TokenRef) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(labels) = accounts.remove(token) {
            self.balance.remove(&labels);
        }
    }
}
