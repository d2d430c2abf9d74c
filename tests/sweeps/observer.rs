//! Looks at the world after everything that may have changed it, and requests for the invariants of every instant.

use crate::support::cluster::{Cluster, SecretVersion};
use crate::support::invariants::{self, Creations, Serving, Verdict};
use bytes::Bytes;
use http::{Method, Request};
use k8s_openapi::ByteString;
use keysmith::emulator::Desk;
use keysmith::plan::naming::Mark;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The namespace everything plays in.
pub const NAMESPACE: &str = "sweep";
/// Where keys are stored.
pub const KEYS: &str = "gatewayapikeys.keysmith.dev";

/// One resource as the observer knows it.
#[derive(Default)]
struct Known {
    /// It was Ready once, so its Secret must work from then on.
    ready: bool,
    /// Its user ended it: nothing is promised any more.
    released: bool,
    /// The key its user declared leaked, which may die at once.
    leaked: Option<String>,
    /// The highest serial its Secret ever held.
    serial: u64,
    /// What its Secret holds.
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
    desk: Desk,
    state: Arc<Mutex<State>>,
}

impl Observer {
    /// An observer of this world.
    pub fn new(cluster: Cluster, desk: Desk) -> Self {
        Self { cluster, desk, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes care of a resource from now on.
    pub fn guard(&self, name: &str) {
        self.state().known.entry(name.to_owned()).or_default();
    }

    /// From now on nothing is promised of that resource.
    pub fn release(&self, name: &str) {
        let mut state = self.state();
        let known = state.known.entry(name.to_owned()).or_default();
        known.released = true;
    }

    /// From now on nothing is promised of the key that is served now.
    pub fn leaked(&self, name: &str) {
        let mut state = self.state();
        let known = state.known.entry(name.to_owned()).or_default();
        known.leaked.clone_from(&known.value);
    }

    /// So many faults may each leave one more key alive for a while.
    pub fn allow_for(&self, faults: usize) {
        self.state().faults = faults;
    }

    /// Something that is seen elsewhere.
    pub fn report(&self, finding: &str) {
        self.state().find(finding.to_owned());
    }

    /// What was found so far.
    pub fn findings(&self) -> Vec<String> {
        self.state().findings.clone()
    }

    /// A vendor call leaves the operator: at most one create call per serial ever does.
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

    /// Changes whenever the world may have changed.
    pub fn stamp(&self) -> (u64, u64) {
        (self.cluster.revision(), self.state().looks)
    }

    /// Looks at everything.
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
            // Whether it works is asked only where it matters: a look costs more than anything else here.
            if known.ready && !known.released {
                serving.works = known.value.as_deref().map(|value| self.desk.accepts(value));
            }
            verdicts.push(invariants::served_key_works(name, serving));
        }
        for verdict in verdicts {
            state.judge(verdict);
        }
    }

    fn look_at_keys(&self, state: &mut State) {
        let mut live: BTreeMap<String, usize> = BTreeMap::new();
        for key in self.desk.keys() {
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

/// Whether this is where a vendor's keys are listed and made.
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
