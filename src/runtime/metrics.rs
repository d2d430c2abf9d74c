//! Metrics: names, labels and buckets, in one place. No label contains the name of a key at the vendor, or any tenant
//! data other than namespace and name of a resource. A resource is named by `resource_namespace` and `resource_name`, because
//! Prometheus puts the namespace of the operator into `namespace`.

mod always;
mod money;
mod process;
pub mod resources;
#[cfg(test)]
mod tests;
pub mod text;

use crate::plan::identity::TokenRef;
use crate::plan::requests::Cause;
use crate::plan::usage::{KeySpending, Money};
use crate::runtime::clock::Clock;
use always::Always;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use resources::{Resources, Source};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

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
    reason: &'static str,
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
struct CallDuration {
    vendor: &'static str,
    call: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    method: String,
    code: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Method {
    method: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// Registers a metric that is exported from the start.
fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, Always(metric.clone()));
    metric
}

/// Registers a metric that begins at nothing.
fn new<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    register(registry, name, help, M::default())
}

/// Counts the resources for which a flag is set, by UID.
#[derive(Clone, Default)]
struct Flagged {
    count: Gauge,
    uids: Arc<Mutex<HashSet<String>>>,
}

impl Flagged {
    fn register(registry: &mut Registry, name: &str, help: &str) -> Self {
        Self { count: new(registry, name, help), ..Self::default() }
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

/// Buckets of calls over a network, in seconds.
fn latency() -> Histogram {
    Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

/// A vendor call without an answer yet.
pub struct InFlight {
    gauge: Gauge,
    duration: Histogram,
    began: Instant,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec();
        self.duration.observe(self.began.elapsed().as_secs_f64());
    }
}

/// The metrics of the process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// What this process did: valid whichever replica leads.
    counters: Arc<Registry>,
    /// Figures of the process, whose names have no prefix.
    process: Arc<Registry>,
    /// The current state of resources, keys and accounts. Only the leader keeps it up to date, so only the leader
    /// exports it.
    state: Arc<Registry>,
    passes: Passes,
    calls: Calls,
    requests: Requests,
    resources: Resources,
    keys: Keys,
    orphans: Orphans,
    amounts: money::Amounts,
    leader: Gauge,
    shards: Gauge,
    leader_transitions: Counter,
}

/// Metrics of reconciles.
#[derive(Clone)]
struct Passes {
    count: Family<Reconcile, Counter>,
    durations: Family<Kind, Histogram>,
}

impl Passes {
    fn register(counters: &mut Registry) -> Self {
        let durations = Family::<Kind, Histogram>::new_with_constructor(|| {
            Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0])
        });
        Self {
            count: new(counters, "reconciles", "Reconciles by kind and outcome"),
            durations: register(counters, "reconcile_duration_seconds", "Duration of reconciles", durations),
        }
    }
}

/// Metrics of calls to vendors.
#[derive(Clone)]
struct Calls {
    count: Family<VendorCall, Counter>,
    durations: Family<CallDuration, Histogram>,
    in_flight: Family<Vendor, Gauge>,
    entries_skipped: Family<Vendor, Counter>,
}

impl Calls {
    fn register(counters: &mut Registry) -> Self {
        let durations = Family::<CallDuration, Histogram>::new_with_constructor(latency);
        let duration = "Duration of calls to vendors, waits for the rate limit not counted";
        let in_flight = "Calls to vendors that have no answer yet";
        let skipped = "Entries of vendors' listings that are not Keysmith's and cannot be read";
        Self {
            count: new(counters, "vendor_calls", "Calls to vendors by call and outcome"),
            durations: register(counters, "vendor_call_duration_seconds", duration, durations),
            in_flight: new(counters, "vendor_calls_in_flight", in_flight),
            entries_skipped: new(counters, "listing_entries_skipped", skipped),
        }
    }
}

/// Metrics of the Kubernetes API server, as this process meets it.
#[derive(Clone)]
struct Requests {
    count: Family<Request, Counter>,
    durations: Family<Method, Histogram>,
    events_dropped: Counter,
    events_refused: Counter,
}

impl Requests {
    fn register(counters: &mut Registry) -> Self {
        let durations = Family::<Method, Histogram>::new_with_constructor(latency);
        let count = "Requests to the Kubernetes API server by method and status; none: no answer came";
        let duration = "Time from a request to the Kubernetes API server to the head of the answer";
        let dropped = "Events not sent because too many waited";
        Self {
            count: new(counters, "kubernetes_requests", count),
            durations: register(counters, "kubernetes_request_duration_seconds", duration, durations),
            events_dropped: new(counters, "events_dropped", dropped),
            events_refused: new(counters, "events_refused", "Events that the API server did not store"),
        }
    }
}

/// Metrics of keys and of what uses them.
#[derive(Clone)]
struct Keys {
    rotations: Family<Rotation, Counter>,
    rotations_failed: Family<Rotation, Counter>,
    rotations_overdue: Flagged,
    leaks_open: Flagged,
    left_behind: Family<Kind, Counter>,
    restarts: Counter,
}

impl Keys {
    fn register(counters: &mut Registry, state: &mut Registry) -> Self {
        let overdue = "Keys whose replacement is overdue";
        let leaks = "Keys that were declared leaked and are not revoked yet";
        let metrics = Self {
            rotations: new(counters, "rotations", "Keys that took another's place"),
            rotations_failed: new(counters, "rotations_failed", "Attempts to replace a key that failed"),
            rotations_overdue: Flagged::register(state, "rotations_overdue", overdue),
            leaks_open: Flagged::register(state, "leaks_open", leaks),
            left_behind: new(counters, "left_behind", "Things at a vendor that could not be removed"),
            restarts: new(counters, "consumer_restarts", "Workloads restarted for a new key"),
        };
        metrics.begin();
        metrics
    }

    /// Prometheus does not see the first increase of a series that appears with that increase.
    fn begin(&self) {
        for reason in Cause::ALL.map(Cause::name) {
            drop(self.rotations.get_or_create(&Rotation { reason }));
            drop(self.rotations_failed.get_or_create(&Rotation { reason }));
        }
        for kind in ["GatewayApiKey", "ProviderKey"] {
            drop(self.left_behind.get_or_create(&Kind { kind }));
        }
    }
}

/// Metrics of sweeps and the ledger.
#[derive(Clone)]
struct Orphans {
    found: Family<Vendor, Gauge>,
    revoked: Family<Vendor, Counter>,
    sweeps: Family<Outcome, Counter>,
    ledger_full: Counter,
}

impl Orphans {
    fn register(counters: &mut Registry, state: &mut Registry) -> Self {
        let found = "Keys at a vendor with this cluster's mark that no resource accounts for";
        Self {
            found: new(state, "orphaned_keys", found),
            revoked: new(counters, "orphaned_keys_revoked", "Orphaned keys that were revoked"),
            sweeps: new(counters, "sweeps", "Sweeps for orphaned keys by outcome"),
            ledger_full: new(counters, "ledger_full", "Entries that found no room in the ledger"),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut counters = Registry::with_prefix("keysmith");
        let mut state = Registry::with_prefix("keysmith");
        let mut process = Registry::default();
        let build: Family<Build, Gauge> = new(&mut counters, "build_info", "The version that runs");
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        process.register_collector(Box::new(process::Process { started: Clock::system().now().as_second() }));
        let resources = Resources::default();
        state.register_collector(Box::new(resources.clone()));
        let shards: Gauge = new(&mut counters, "shards", "Operators among which the accounts are divided");
        shards.set(1);
        let transitions = "Times that this replica began or ceased to lead";
        Self {
            passes: Passes::register(&mut counters),
            calls: Calls::register(&mut counters),
            requests: Requests::register(&mut counters),
            resources,
            keys: Keys::register(&mut counters, &mut state),
            orphans: Orphans::register(&mut counters, &mut state),
            amounts: money::Amounts::register(&mut state),
            leader: new(&mut counters, "leader", "1 while this replica leads"),
            shards,
            leader_transitions: new(&mut counters, "leader_transitions", transitions),
            counters: Arc::new(counters),
            process: Arc::new(process),
            state: Arc::new(state),
        }
    }
}

impl Metrics {
    /// The text for Prometheus.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode_registry(&mut text, &self.counters);
        let _ = encode_registry(&mut text, &self.process);
        // A pass that outlives the loss of the lease may still set gauges, and nothing would reset them.
        if self.leader.get() == 1 {
            let _ = encode_registry(&mut text, &self.state);
        }
        let _ = encode_eof(&mut text);
        text
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, took: Duration) {
        self.passes.count.get_or_create(&Reconcile { kind, outcome }).inc();
        self.passes.durations.get_or_create(&Kind { kind }).observe(took.as_secs_f64());
    }

    /// Counts a vendor call.
    pub fn vendor_call(&self, vendor: &'static str, call: &'static str, outcome: &'static str) {
        self.calls.count.get_or_create(&VendorCall { vendor, call, outcome }).inc();
    }

    /// Counts malformed entries of a listing that were skipped.
    pub fn listing_entries_skipped(&self, vendor: &'static str, entries: u64) {
        if entries > 0 {
            self.calls.entries_skipped.get_or_create(&Vendor { vendor }).inc_by(entries);
        }
    }

    /// Exports the state of these resources and tokens from now on, while this replica leads.
    pub fn export(&self, source: Arc<dyn Source>) {
        self.resources.set(Some(source));
    }

    /// Removes the metrics of a deleted ConsoleToken.
    pub fn forget_token(&self, token: &TokenRef) {
        self.amounts.forget(token);
    }

    /// Counts a vendor call from its start; its duration is measured until the result is dropped.
    pub fn vendor_call_begins(&self, vendor: &'static str, call: &'static str) -> InFlight {
        let gauge = self.calls.in_flight.get_or_create_owned(&Vendor { vendor });
        gauge.inc();
        let duration = self.calls.durations.get_or_create_owned(&CallDuration { vendor, call });
        InFlight { gauge, duration, began: Instant::now() }
    }

    /// Counts a request to the Kubernetes API server. `code`: its status, if an answer came.
    pub fn kubernetes_request(&self, method: &str, code: Option<u16>, took: Duration) {
        let method = method.to_owned();
        let code = code.map_or_else(|| "none".to_owned(), |it| it.to_string());
        self.requests.durations.get_or_create(&Method { method: method.clone() }).observe(took.as_secs_f64());
        self.requests.count.get_or_create(&Request { method, code }).inc();
    }

    /// Counts keys that stay at a vendor.
    pub fn left_behind(&self, kind: &'static str, count: usize) {
        self.keys.left_behind.get_or_create(&Kind { kind }).inc_by(count as u64);
    }

    /// Counts a key that replaced another.
    pub fn rotated(&self, reason: &'static str) {
        self.keys.rotations.get_or_create(&Rotation { reason }).inc();
    }

    /// Counts a failed attempt to replace a key.
    pub fn rotation_failed(&self, reason: &'static str) {
        self.keys.rotations_failed.get_or_create(&Rotation { reason }).inc();
    }

    /// Sets whether the replacement of that resource's key is overdue.
    pub fn rotation_overdue(&self, uid: &str, overdue: bool) {
        self.keys.rotations_overdue.set(uid, overdue);
    }

    /// Sets whether a key of that resource was declared leaked and is not revoked yet.
    pub fn leak_open(&self, uid: &str, open: bool) {
        self.keys.leaks_open.set(uid, open);
    }

    /// Counts restarted workloads.
    pub fn restarted(&self, count: usize) {
        self.keys.restarts.inc_by(count as u64);
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
        self.requests.events_dropped.inc();
    }

    /// Counts an event that the API server rejected.
    pub fn event_refused(&self) {
        self.requests.events_refused.inc();
    }

    /// Sets the number of shards.
    pub fn shards(&self, count: u16) {
        self.shards.set(count.into());
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
        self.orphans.found.clear();
        self.keys.rotations_overdue.clear();
        self.keys.leaks_open.clear();
        self.amounts.clear();
    }
}
