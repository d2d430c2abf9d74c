//! Checks the invariants of every instant after everything that may have changed the world.

use crate::support::cluster::{Cluster, SecretVersion};
use crate::support::invariants::{self, Creations, Serving, Verdict};
use bytes::Bytes;
use http::{Method, Request};
use k8s_openapi::ByteString;
use keysmith::emulator::VendorHandle;
use keysmith::plan::naming::Mark;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The namespace of the run.
pub const NAMESPACE: &str = "sweep";
/// The resource under which keys are stored.
pub const KEYS: &str = "gatewayapikeys.keysmith.dev";

/// One resource as the observer knows it.
#[derive(Default)]
struct Known {
    /// Whether it was ever Ready: its Secret must work from then on.
    ready: bool,
    /// Whether its user released it: its key need not work any more.
    released: bool,
    /// The key that its user declared leaked, which may be revoked at once.
    leaked: Option<String>,
    /// The highest serial its Secret ever held.
    serial: u64,
    /// The key in its Secret.
    value: Option<String>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<String, Known>,
    versions: usize,
    looks: u64,
    creations: Creations,
    faults: usize,
    findings: Vec<String>,
}

/// The observer. Clones are the same one.
#[derive(Clone)]
pub struct Observer {
    cluster: Cluster,
    handle: VendorHandle,
    state: Arc<Mutex<State>>,
}

impl Observer {
    /// An observer of this world.
    pub fn new(cluster: Cluster, handle: VendorHandle) -> Self {
        Self { cluster, handle, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Observes a resource from now on.
    pub fn guard(&self, name: &str) {
        self.state().known.entry(name.to_owned()).or_default();
    }

    /// Releases that resource: its key need not work any more.
    pub fn release(&self, name: &str) {
        let mut state = self.state();
        let known = state.known.entry(name.to_owned()).or_default();
        known.released = true;
    }

    /// Excuses the present key: it may be revoked at once.
    pub fn leaked(&self, name: &str) {
        let mut state = self.state();
        let known = state.known.entry(name.to_owned()).or_default();
        known.leaked.clone_from(&known.value);
    }

    /// Allows one more live key for a while per fault.
    pub fn allow_for(&self, faults: usize) {
        self.state().faults = faults;
    }

    /// Records a finding from outside.
    pub fn report(&self, finding: &str) {
        self.state().find(finding.to_owned());
    }

    /// The findings so far.
    pub fn findings(&self) -> Vec<String> {
        self.state().findings.clone()
    }

    /// A vendor call of the operator: at most one create call per serial is sent.
    pub fn sent(&self, request: &Request<Bytes>) {
        if request.method() != Method::POST || !is_collection(request.uri().path()) {
            return;
        }
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let name = body["name"].as_str().unwrap_or_default();
        let owned = Mark::parse(name).map(|(mark, serial)| (mark.to_string(), serial.0));
        let owned = owned.as_ref().map(|(mark, serial)| (mark.as_str(), *serial));
        let mut state = self.state();
        let sent = state.creations.send(owned, name);
        state.judge(sent);
    }

    /// A value that changes whenever the world may have changed.
    pub fn stamp(&self) -> (u64, u64) {
        (self.cluster.revision(), self.state().looks)
    }

    /// Checks everything.
    pub fn look(&self) {
        let mut state = self.state();
        state.looks += 1;
        let versions = self.cluster.secret_history_after(state.versions);
        state.versions += versions.len();
        for version in versions {
            state.learn(&version);
        }
        self.look_at_secrets(&mut state);
        self.look_at_keys(&mut state);
    }

    fn look_at_secrets(&self, state: &mut State) {
        let mut verdicts = Vec::new();
        for (name, known) in &mut state.known {
            known.ready = known.ready || self.is_ready(name);
            let mut serving = Serving {
                works: None,
                unpromised: !known.ready,
                ended: known.released,
                leaked: known.value.is_some() && known.value == known.leaked,
            };
            // Whether the key works is checked only if it matters, because that check is the most expensive one.
            if known.ready && !known.released {
                serving.works = known.value.as_deref().map(|value| self.handle.accepts(value));
            }
            verdicts.push(invariants::served_key_works(name, serving));
        }
        for verdict in verdicts {
            state.judge(verdict);
        }
    }

    fn look_at_keys(&self, state: &mut State) {
        let mut live: BTreeMap<String, usize> = BTreeMap::new();
        for key in self.handle.keys() {
            let mark = Mark::parse(&key.name).map_or(key.name.clone(), |(mark, _)| mark.to_string());
            *live.entry(mark).or_default() += 1;
        }
        for (mark, keys) in live {
            let excusable = invariants::live_keys_are_excusable(&mark, keys, (0, state.faults));
            state.judge(excusable);
        }
    }

    fn is_ready(&self, name: &str) -> bool {
        self.cluster.find(KEYS, NAMESPACE, name).is_some_and(|object| is_ready(&object))
    }
}

impl State {
    fn find(&mut self, finding: String) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        if let Err(finding) = verdict {
            self.find(finding);
        }
    }

    fn learn(&mut self, version: &SecretVersion) {
        let Some(known) = self.known.get_mut(&version.name) else {
            return;
        };
        let Some(object) = &version.object else {
            known.value = None;
            return;
        };
        let serial = object["metadata"]["annotations"][keysmith::api::SERIAL].as_str();
        let serial = serial.and_then(|serial| serial.parse().ok()).unwrap_or_default();
        known.value = entry(object);
        let before = known.serial;
        known.serial = before.max(serial);
        self.judge(invariants::serial_does_not_fall(&version.name, (before, serial)));
    }
}

/// Whether this path lists and creates a vendor's keys.
pub fn is_collection(path: &str) -> bool {
    ["/api_keys", "/custom_token/", "/manage/keys/", "/manage/api-keys"].iter().any(|it| path.ends_with(it))
}

/// The key in a Secret.
pub fn entry(secret: &Value) -> Option<String> {
    let bytes: ByteString = serde_json::from_value(secret["data"]["key"].clone()).ok()?;
    String::from_utf8(bytes.0).ok()
}

/// Whether an object's `Ready` is True.
pub fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
}
