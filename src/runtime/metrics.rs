//! Metrics: names, labels and buckets, in one place. No label contains the name of a key at the vendor, or any tenant
//! data other than namespace and name of a resource.

mod money;
#[cfg(test)]
mod tests;

use crate::plan::usage::KeySpending;

use crate::plan::identity::TokenRef;
use crate::plan::usage::Money;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reconcile {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VendorCall {
    vendor: &'static str,
    call: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Rotation {
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Vendor {
    vendor: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Token {
    namespace: String,
    name: String,
}

impl Token {
    fn of(token: &TokenRef) -> Self {
        Self { namespace: token.namespace.clone().unwrap_or_default(), name: token.name.clone() }
    }
}

/// Counts the resources for which a flag is set, by UID.
#[derive(Clone, Default)]
struct Flagged {
    count: Gauge,
    uids: Arc<Mutex<HashSet<String>>>,
}

impl Flagged {
    fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        let flagged = Self::default();
        registry.register(name, help, flagged.count.clone());
        flagged
    }

    fn set(&self, uid: &str, flag: bool) {
        let mut uids = self.uids.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = if flag { uids.insert(uid.to_owned()) } else { uids.remove(uid) };
        if changed {
            self.count.set(i64::try_from(uids.len()).unwrap_or(i64::MAX));
        }
    }

    fn clear(&self) {
        self.uids.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.count.set(0);
    }
}

/// The metrics of the process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// What this process did: valid whichever replica leads.
    counters: Arc<Registry>,
    /// The current state of resources, keys and accounts. Only the leader keeps it up to date, so only the leader
    /// exports it.
    state: Arc<Registry>,
    reconciles: Family<Reconcile, Counter>,
    durations: Family<Kind, Histogram>,
    vendor_calls: Family<VendorCall, Counter>,
    listing_entries_skipped: Family<Vendor, Counter>,
    token_expiry: Family<Token, Gauge>,
    token_ready: Family<Token, Gauge>,
    accounts_doubted: Family<Token, Gauge>,
    left_behind: Family<Kind, Counter>,
    rotations: Family<Rotation, Counter>,
    rotations_failed: Family<Rotation, Counter>,
    overdue: Flagged,
    leaks_open: Flagged,
    restarts: Counter,
    orphans: Orphans,
    events_dropped: Counter,
    events_refused: Counter,
    amounts: money::Amounts,
    leader: Gauge,
    leader_transitions: Counter,
}

/// Metrics of sweeps and the ledger.
#[derive(Clone, Default)]
struct Orphans {
    found: Family<Vendor, Gauge>,
    revoked: Family<Vendor, Counter>,
    sweeps: Family<Outcome, Counter>,
    ledger_full: Counter,
}

impl Orphans {
    fn register(registry: &mut Registry, state: &mut Registry) -> Self {
        let metrics = Self::default();
        state.register(
            "orphaned_keys",
            "Keys at a vendor with this cluster's mark that no resource accounts for",
            metrics.found.clone(),
        );
        registry.register(
            "orphaned_keys_revoked",
            "Orphaned keys that were revoked",
            metrics.revoked.clone(),
        );
        registry.register("sweeps", "Sweeps for orphaned keys by outcome", metrics.sweeps.clone());
        registry.register(
            "ledger_full",
            "Entries that found no room in the ledger",
            metrics.ledger_full.clone(),
        );
        metrics
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("keysmith");
        let mut state = Registry::with_prefix("keysmith");
        let reconciles = Family::<Reconcile, Counter>::default();
        registry.register("reconciles", "Reconciles by kind and outcome", reconciles.clone());
        let durations = Family::<Kind, Histogram>::new_with_constructor(|| {
            Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0])
        });
        registry.register("reconcile_duration_seconds", "Duration of reconciles", durations.clone());
        let vendor_calls = Family::<VendorCall, Counter>::default();
        registry.register("vendor_calls", "Calls to vendors by call and outcome", vendor_calls.clone());
        let listing_entries_skipped = Family::<Vendor, Counter>::default();
        registry.register(
            "listing_entries_skipped",
            "Entries of vendors' listings that are not Keysmith's and cannot be read",
            listing_entries_skipped.clone(),
        );
        let token_expiry = Family::<Token, Gauge>::default();
        state.register(
            "console_token_expiry_timestamp_seconds",
            "Declared expiry of a ConsoleToken, Unix seconds",
            token_expiry.clone(),
        );
        let token_ready = Family::<Token, Gauge>::default();
        state.register(
            "console_token_ready",
            "1 while the vendor accepts a ConsoleToken",
            token_ready.clone(),
        );
        let accounts_doubted = Family::<Token, Gauge>::default();
        state.register(
            "accounts_doubted",
            "1 while a ConsoleToken does not seem to lead to the account that its keys were made in",
            accounts_doubted.clone(),
        );
        let left_behind = Family::<Kind, Counter>::default();
        registry.register("left_behind", "Things at a vendor that could not be removed", left_behind.clone());
        let rotations = Family::<Rotation, Counter>::default();
        registry.register("rotations", "Keys that took another's place", rotations.clone());
        let rotations_failed = Family::<Rotation, Counter>::default();
        registry.register(
            "rotations_failed",
            "Attempts to replace a key that failed",
            rotations_failed.clone(),
        );
        let overdue = Flagged::register(&mut state, "rotations_overdue", "Keys whose replacement is overdue");
        let leaks = "Keys that were declared leaked and are not revoked yet";
        let leaks_open = Flagged::register(&mut state, "leaks_open", leaks);
        let restarts = Counter::default();
        registry.register("consumer_restarts", "Workloads restarted for a new key", restarts.clone());
        let orphans = Orphans::register(&mut registry, &mut state);
        let events_dropped = Counter::default();
        registry.register(
            "events_dropped",
            "Events not sent because too many waited",
            events_dropped.clone(),
        );
        let events_refused = Counter::default();
        registry.register(
            "events_refused",
            "Events that the API server did not store",
            events_refused.clone(),
        );
        let amounts = money::Amounts::register(&mut state);
        let leader = Gauge::default();
        registry.register("leader", "1 while this replica leads", leader.clone());
        let leader_transitions = Counter::default();
        registry.register(
            "leader_transitions",
            "Times that this replica began or ceased to lead",
            leader_transitions.clone(),
        );
        Self {
            counters: Arc::new(registry),
            state: Arc::new(state),
            reconciles,
            durations,
            vendor_calls,
            listing_entries_skipped,
            token_expiry,
            token_ready,
            accounts_doubted,
            left_behind,
            rotations,
            rotations_failed,
            overdue,
            leaks_open,
            restarts,
            orphans,
            events_dropped,
            events_refused,
            amounts,
            leader,
            leader_transitions,
        }
    }
}

impl Metrics {
    /// The text for Prometheus.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode_registry(&mut text, &self.counters);
        // A pass that outlives the loss of the lease may still set gauges, and nothing would reset them.
        if self.leader.get() == 1 {
            let _ = encode_registry(&mut text, &self.state);
        }
        let _ = encode_eof(&mut text);
        text
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Reconcile { kind, outcome }).inc();
        self.durations.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// Counts a vendor call.
    pub fn vendor_call(&self, vendor: &'static str, call: &'static str, outcome: &'static str) {
        self.vendor_calls.get_or_create(&VendorCall { vendor, call, outcome }).inc();
    }

    /// Counts malformed entries of a listing that were skipped.
    pub fn listing_entries_skipped(&self, vendor: &'static str, entries: u64) {
        if entries > 0 {
            self.listing_entries_skipped.get_or_create(&Vendor { vendor }).inc_by(entries);
        }
    }

    /// Sets the state of a ConsoleToken.
    pub fn token(&self, token: &TokenRef, ready: bool, expiry: Option<i64>) {
        let token = Token::of(token);
        self.token_ready.get_or_create(&token).set(i64::from(ready));
        match expiry {
            Some(seconds) => drop(self.token_expiry.get_or_create(&token).set(seconds)),
            None => drop(self.token_expiry.remove(&token)),
        }
    }

    /// Sets whether the account of a ConsoleToken is in doubt.
    pub fn account_doubted(&self, token: &TokenRef, doubted: bool) {
        self.accounts_doubted.get_or_create(&Token::of(token)).set(i64::from(doubted));
    }

    /// Removes the metrics of a deleted ConsoleToken.
    pub fn forget_token(&self, token: &TokenRef) {
        let labels = Token::of(token);
        self.token_ready.remove(&labels);
        self.accounts_doubted.remove(&labels);
        self.token_expiry.remove(&labels);
        self.amounts.forget(token);
    }

    /// Counts keys that stay at a vendor.
    pub fn left_behind(&self, kind: &'static str, count: usize) {
        self.left_behind.get_or_create(&Kind { kind }).inc_by(count as u64);
    }

    /// Counts a key that replaced another.
    pub fn rotated(&self, reason: String) {
        self.rotations.get_or_create(&Rotation { reason }).inc();
    }

    /// Counts a failed attempt to replace a key.
    pub fn rotation_failed(&self, reason: String) {
        self.rotations_failed.get_or_create(&Rotation { reason }).inc();
    }

    /// Sets whether the replacement of that resource's key is overdue.
    pub fn rotation_overdue(&self, uid: &str, overdue: bool) {
        self.overdue.set(uid, overdue);
    }

    /// Sets whether a key of that resource was declared leaked and is not revoked yet.
    pub fn leak_open(&self, uid: &str, open: bool) {
        self.leaks_open.set(uid, open);
    }

    /// Counts restarted workloads.
    pub fn restarted(&self, count: usize) {
        self.restarts.inc_by(count as u64);
    }

    /// Sets the number of orphans at a vendor.
    pub fn orphans(&self, vendor: &'static str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.orphans.found.get_or_create(&Vendor { vendor }).set(count);
    }

    /// Counts revoked orphans.
    pub fn orphans_revoked(&self, vendor: &'static str, count: usize) {
        self.orphans.revoked.get_or_create(&Vendor { vendor }).inc_by(count as u64);
    }

    /// Counts a sweep.
    pub fn swept(&self, outcome: &'static str) {
        self.orphans.sweeps.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts entries for which the ledger had no room.
    pub fn ledger_full(&self, entries: usize) {
        self.orphans.ledger_full.inc_by(entries as u64);
    }

    /// Sets what the keys of a ConsoleToken spent, by its UID; empty for a deleted one.
    pub fn spending(&self, token: &str, keys: Vec<KeySpending>) {
        self.amounts.spending(token, keys);
    }

    /// Sets what the account of a ConsoleToken has left.
    pub fn balance(&self, token: &TokenRef, money: &Money) {
        self.amounts.balance(token, money);
    }

    /// Counts a dropped event.
    pub fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    /// Counts an event that the API server rejected.
    pub fn event_refused(&self) {
        self.events_refused.inc();
    }

    /// Sets whether this replica leads. The current state is cleared at every change, because it is out of date.
    pub fn leads(&self, leads: bool) {
        if self.leader.get() == i64::from(leads) {
            return;
        }
        self.forget_state();
        self.leader.set(i64::from(leads));
        self.leader_transitions.inc();
    }

    fn forget_state(&self) {
        self.token_ready.clear();
        self.accounts_doubted.clear();
        self.token_expiry.clear();
        self.orphans.found.clear();
        self.overdue.clear();
        self.leaks_open.clear();
        self.amounts.clear();
    }
}
