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
fn register(registry: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    registry.register(name, help, Always(metric));
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
        register(registry, name, help, flagged.count.clone());
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

/// Buckets of calls over a network, in seconds.
fn latency() -> Histogram {
    Histogram::new([0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

/// A vendor call without an answer yet.
pub struct InFlight {
    in_flight: Gauge,
    duration: Histogram,
    began: Instant,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.in_flight.dec();
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
    reconciles: Family<Reconcile, Counter>,
    durations: Family<Kind, Histogram>,
    vendor_calls: Family<VendorCall, Counter>,
    vendor_call_durations: Family<CallDuration, Histogram>,
    vendor_calls_in_flight: Family<Vendor, Gauge>,
    requests: Family<Request, Counter>,
    request_durations: Family<Method, Histogram>,
    resources: Resources,
    listing_entries_skipped: Family<Vendor, Counter>,
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
        register(
            state,
            "orphaned_keys",
            "Keys at a vendor with this cluster's mark that no resource accounts for",
            metrics.found.clone(),
        );
        register(
            registry,
            "orphaned_keys_revoked",
            "Orphaned keys that were revoked",
            metrics.revoked.clone(),
        );
        register(registry, "sweeps", "Sweeps for orphaned keys by outcome", metrics.sweeps.clone());
        register(
            registry,
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
        register(&mut registry, "reconciles", "Reconciles by kind and outcome", reconciles.clone());
        let durations = Family::<Kind, Histogram>::new_with_constructor(|| {
            Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0])
        });
        register(&mut registry, "reconcile_duration_seconds", "Duration of reconciles", durations.clone());
        let vendor_calls = Family::<VendorCall, Counter>::default();
        register(&mut registry, "vendor_calls", "Calls to vendors by call and outcome", vendor_calls.clone());
        let vendor_call_durations = Family::<CallDuration, Histogram>::new_with_constructor(latency);
        let durations_of_calls = "Duration of calls to vendors, waits for the rate limit not counted";
        register(
            &mut registry,
            "vendor_call_duration_seconds",
            durations_of_calls,
            vendor_call_durations.clone(),
        );
        let vendor_calls_in_flight = Family::<Vendor, Gauge>::default();
        let in_flight = "Calls to vendors that have no answer yet";
        register(&mut registry, "vendor_calls_in_flight", in_flight, vendor_calls_in_flight.clone());
        let requests = Family::<Request, Counter>::default();
        let answered = "Requests to the Kubernetes API server by method and status; none: no answer came";
        register(&mut registry, "kubernetes_requests", answered, requests.clone());
        let request_durations = Family::<Method, Histogram>::new_with_constructor(latency);
        let until_answer = "Time from a request to the Kubernetes API server to the head of the answer";
        register(
            &mut registry,
            "kubernetes_request_duration_seconds",
            until_answer,
            request_durations.clone(),
        );
        let resources = Resources::default();
        state.register_collector(Box::new(resources.clone()));
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        register(&mut registry, "build_info", "The version that runs", build);
        let mut process = Registry::default();
        process.register_collector(Box::new(process::Process { started: Clock::system().now().as_second() }));
        let listing_entries_skipped = Family::<Vendor, Counter>::default();
        register(
            &mut registry,
            "listing_entries_skipped",
            "Entries of vendors' listings that are not Keysmith's and cannot be read",
            listing_entries_skipped.clone(),
        );
        let left_behind = Family::<Kind, Counter>::default();
        register(
            &mut registry,
            "left_behind",
            "Things at a vendor that could not be removed",
            left_behind.clone(),
        );
        let rotations = Family::<Rotation, Counter>::default();
        register(&mut registry, "rotations", "Keys that took another's place", rotations.clone());
        let rotations_failed = Family::<Rotation, Counter>::default();
        register(
            &mut registry,
            "rotations_failed",
            "Attempts to replace a key that failed",
            rotations_failed.clone(),
        );
        let overdue = Flagged::register(&mut state, "rotations_overdue", "Keys whose replacement is overdue");
        let leaks = "Keys that were declared leaked and are not revoked yet";
        let leaks_open = Flagged::register(&mut state, "leaks_open", leaks);
        let restarts = Counter::default();
        register(&mut registry, "consumer_restarts", "Workloads restarted for a new key", restarts.clone());
        let orphans = Orphans::register(&mut registry, &mut state);
        let events_dropped = Counter::default();
        register(
            &mut registry,
            "events_dropped",
            "Events not sent because too many waited",
            events_dropped.clone(),
        );
        let events_refused = Counter::default();
        register(
            &mut registry,
            "events_refused",
            "Events that the API server did not store",
            events_refused.clone(),
        );
        let amounts = money::Amounts::register(&mut state);
        let leader = Gauge::default();
        register(&mut registry, "leader", "1 while this replica leads", leader.clone());
        let leader_transitions = Counter::default();
        register(
            &mut registry,
            "leader_transitions",
            "Times that this replica began or ceased to lead",
            leader_transitions.clone(),
        );
        // The first increase of a series that appears with it is not seen.
        for reason in Cause::ALL.map(Cause::name) {
            drop(rotations.get_or_create(&Rotation { reason: reason.clone() }));
            drop(rotations_failed.get_or_create(&Rotation { reason }));
        }
        for kind in ["GatewayApiKey", "ProviderKey"] {
            drop(left_behind.get_or_create(&Kind { kind }));
        }
        Self {
            counters: Arc::new(registry),
            process: Arc::new(process),
            state: Arc::new(state),
            vendor_call_durations,
            vendor_calls_in_flight,
            requests,
            request_durations,
            resources,
            reconciles,
            durations,
            vendor_calls,
            listing_entries_skipped,
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
        let in_flight = self.vendor_calls_in_flight.get_or_create_owned(&Vendor { vendor });
        in_flight.inc();
        let duration = self.vendor_call_durations.get_or_create_owned(&CallDuration { vendor, call });
        InFlight { in_flight, duration, began: Instant::now() }
    }

    /// Counts a request to the Kubernetes API server. `code`: its status, if an answer came.
    pub fn kubernetes_request(&self, method: &str, code: Option<u16>, took: Duration) {
        let method = method.to_owned();
        let code = code.map_or_else(|| "none".to_owned(), |it| it.to_string());
        self.request_durations.get_or_create(&Method { method: method.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Request { method, code }).inc();
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
        self.orphans.found.clear();
        self.overdue.clear();
        self.leaks_open.clear();
        self.amounts.clear();
    }
}
