//! Single moments that people feel: a start, a request to rotate, a change of leader, a vendor that hangs, a neighbour with a
//! thousand broken resources, new labels on everything, and the end of a namespace.

use super::figures::{Requests, cpu, median_and_worst};
use super::stage::{KEYS_PER_ACCOUNT, Process, Stage, free_port};
use super::{PATIENCE, SINGLE_KEYS, is_ready, quiet};
use futures::{StreamExt, stream};
use http::Method;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use keysmith::api::{GatewayApiKey, ROTATE_REQUESTED};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::time::{Duration, Instant};

/// Accounts with a part of their own, each in a namespace of its own: accounts and namespaces have the same last digit.
const ROTATED: usize = 0;
const HANGING: usize = 1;
/// In the namespace of the account that hangs.
const BESIDE_HANGING: usize = 11;
const POISONED: usize = 4;
const NEIGHBOUR: usize = 5;
const ENDING: usize = 6;
const WATCHING: usize = 7;
/// Edits per second of the resource that a program keeps changing.
const EDITS: u64 = 10;
/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(5);
/// Duration of the Lease by default, in seconds.
const LEASE: f64 = 15.0;

/// What was measured. Times are in milliseconds where the name says nothing else.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moments {
    pub keys: usize,
    /// From the start of the process to `/readyz`, without any resource.
    pub start: Vec<f64>,
    /// Size of the binary.
    pub binary_mb: f64,
    /// From the request for a rotation to the new key in the Secret.
    pub rotation: Vec<f64>,
    /// Until a single new key is Ready, with nothing else to do.
    pub unloaded: Vec<f64>,
    /// The same in the namespace of an account whose vendor does not answer, with 500 new keys waiting for it.
    pub beside_hanging: Vec<f64>,
    /// The same beside a namespace with so many refused resources, one of which is edited all the time.
    pub beside_poisoned: Vec<f64>,
    /// Vendor calls and writes after every key got a label, and the CPU time of a thousand such events.
    pub label_calls: f64,
    pub label_writes: f64,
    pub label_cpu_ms: f64,
    /// From the deletion of a namespace to its end, in seconds, for so many keys; and keys that stayed at the vendor.
    pub namespace_s: f64,
    pub namespace_keys: f64,
    pub namespace_left: f64,
    /// From SIGTERM, or SIGKILL, of the leader to a new key that its successor made.
    pub graceful: f64,
    pub crash_s: f64,
}

impl Moments {
    /// Figures: name, measured, and the most that it may be.
    fn rows(&self) -> Vec<(&'static str, f64, Option<f64>)> {
        let slowest = |times: &[f64]| median_and_worst(times).1;
        let unloaded = slowest(&self.unloaded);
        vec![
            ("start to /readyz, median ms", median_and_worst(&self.start).0, Some(200.0)),
            ("the binary, MB", self.binary_mb, Some(20.0)),
            ("request to the new key in the Secret, slowest of 20, ms", slowest(&self.rotation), Some(50.0)),
            ("a new key, slowest of 20, ms", unloaded, None),
            ("the same beside a vendor that hangs, ×", slowest(&self.beside_hanging) / unloaded, Some(1.1)),
            ("the same beside refused resources, ×", slowest(&self.beside_poisoned) / unloaded, Some(2.0)),
            ("vendor calls for new labels on every key", self.label_calls, Some(0.0)),
            ("writes for new labels on every key", self.label_writes, Some(0.0)),
            ("CPU for a thousand of these events, ms", self.label_cpu_ms, None),
            ("end of a namespace, s", self.namespace_s, None),
            ("its keys", self.namespace_keys, None),
            ("keys of it that stayed at the vendor", self.namespace_left, Some(0.0)),
            ("SIGTERM of the leader to the next key, ms", self.graceful, Some(1000.0)),
            ("SIGKILL of the leader to the next key, s", self.crash_s, Some(LEASE + 1.0)),
        ]
    }

    /// Whether the hard targets hold.
    pub fn holds(&self) -> bool {
        self.rows().iter().all(|(_, value, most)| most.is_none_or(|most| *value <= most))
    }
}

impl fmt::Display for Moments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nmoments, among {} settled keys", self.keys)?;
        writeln!(f, "{:<58} {:>9} {:>9}", "", "measured", "target")?;
        for (name, value, most) in self.rows() {
            let target = most.map_or_else(String::new, |it| format!("{it:.2}"));
            let verdict = if most.is_some_and(|most| value > most) { "  missed" } else { "" };
            writeln!(f, "{name:<58} {value:>9.2} {target:>9}{verdict}")?;
        }
        Ok(())
    }
}

/// Measures all of it among so many settled keys.
pub async fn measure(size: usize) -> Moments {
    assert!(size >= SINGLE_KEYS, "KEYSMITH_BENCH_MOMENTS: at least {SINGLE_KEYS}");
    let stage = Stage::set(Duration::ZERO).await;
    let mut found = Moments { keys: size, binary_mb: Stage::binary_mb(), ..Moments::default() };
    for _ in 0..5 {
        found.start.push(start(&stage).await);
    }
    // Keys of the accounts with a part of their own come beside these.
    stage.add_tokens(size.max(12 * KEYS_PER_ACCOUNT)).await;
    // No poll falls into a figure.
    let operator = stage.operator(&["--poll-interval", "1h"]);
    stage.add_keys("key", 0, size).await;
    until_ready(&stage).await;
    quiet(&operator).await;
    found.rotation = rotations(&stage).await;
    labels(&stage, &operator, &mut found).await;
    found.unloaded = new_keys(&stage, NEIGHBOUR, "alone").await;
    found.beside_poisoned = beside_poisoned(&stage, &operator, size).await;
    found.beside_hanging = beside_hanging(&stage).await;
    quiet(&operator).await;
    namespace(&stage, &mut found).await;
    quiet(&operator).await;
    operator.stop();
    leaders(&stage, &mut found).await;
    found
}

/// Starts an operator, and ends it as soon as it is ready.
async fn start(stage: &Stage) -> f64 {
    let port = free_port();
    let began = Instant::now();
    let operator = stage.operator_at(port, &[]);
    while !stage.answers(&format!("http://127.0.0.1:{port}/readyz")).await {
        assert!(began.elapsed() < PATIENCE, "the operator is never ready");
        tokio::time::sleep(LOOK).await;
    }
    let took = milliseconds(began);
    operator.stop();
    took
}

/// Asks for rotations, one after the other.
async fn rotations(stage: &Stage) -> Vec<f64> {
    let namespace = Stage::namespace(ROTATED);
    let keys: Api<GatewayApiKey> = Api::namespaced(stage.client.clone(), &namespace);
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &namespace);
    let wish = Patch::Merge(json!({"metadata": {"annotations": {ROTATE_REQUESTED: "bench"}}}));
    let mut times = Vec::new();
    for number in 0..SINGLE_KEYS {
        let name = format!("key-{number}");
        let before = secrets.get(&name).await.expect("a Secret").data;
        let began = Instant::now();
        keys.patch_metadata(&name, &PatchParams::default(), &wish).await.expect("the request is written");
        while secrets.get(&name).await.expect("a Secret").data == before {
            assert!(began.elapsed() < PATIENCE, "{name} is never replaced");
            tokio::time::sleep(LOOK).await;
        }
        times.push(milliseconds(began));
    }
    times
}

/// Labels every key, as a tool that applies manifests does.
async fn labels(stage: &Stage, operator: &Process, found: &mut Moments) {
    let keys = stage.keys().await;
    quiet(operator).await;
    let (calls, requests) = (stage.calls("", "").await, Requests::counted(&stage.client).await);
    let used = cpu(operator.id());
    let label = Patch::Merge(json!({"metadata": {"labels": {"bench": "labelled"}}}));
    stream::iter(&keys)
        .for_each_concurrent(super::stage::CONCURRENCY, async |key| {
            let api: Api<GatewayApiKey> =
                Api::namespaced(stage.client.clone(), &key.namespace().unwrap_or_default());
            api.patch_metadata(&key.name_any(), &PatchParams::default(), &label).await.expect("a label");
        })
        .await;
    quiet(operator).await;
    let used = cpu(operator.id()).saturating_sub(used);
    found.label_cpu_ms = used.as_secs_f64() * 1e6 / keys.len() as f64;
    found.label_calls = (stage.calls("", "").await - calls) as f64;
    let since = Requests::counted(&stage.client).await - requests;
    // The labels themselves are as many writes.
    found.label_writes = since.of("PATCH", "gatewayapikeys") - keys.len() as f64
        + since.of("PATCH", "gatewayapikeys/status")
        + since.of("PUT", "secrets");
}

/// Makes single keys of an account, one after the other.
async fn new_keys(stage: &Stage, account: usize, prefix: &str) -> Vec<f64> {
    let keys: Api<GatewayApiKey> = Api::namespaced(stage.client.clone(), &Stage::namespace(account));
    let mut times = Vec::new();
    for number in 0..SINGLE_KEYS {
        let (name, began) = (format!("{prefix}-{number}"), Instant::now());
        stage.add_key_of(account, &name, json!({})).await;
        while !is_ready(&keys.get(&name).await.expect("a key")) {
            assert!(began.elapsed() < PATIENCE, "{name} is never Ready");
            tokio::time::sleep(LOOK).await;
        }
        times.push(milliseconds(began));
    }
    times
}

/// New keys while a vendor does not answer for another account of the namespace.
async fn beside_hanging(stage: &Stage) -> Vec<f64> {
    let path = format!("/organizations/org_{HANGING}/");
    let hang = json!({"pathContains": path, "effect": {"kind": "hang"}});
    stage.call(Method::POST, "/_emulator/faults", "", Some(hang)).await;
    stream::iter(0..500)
        .for_each_concurrent(super::stage::CONCURRENCY, async |number| {
            stage.add_key_of(HANGING, &format!("stuck-{number}"), json!({})).await;
        })
        .await;
    // Until the passes that hang are known to.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let times = new_keys(stage, BESIDE_HANGING, "beside").await;
    stage.call(Method::DELETE, "/_emulator/faults", "", None).await;
    times
}

/// New keys while another namespace has resources that are refused, one of which is edited all the time.
async fn beside_poisoned(stage: &Stage, operator: &Process, size: usize) -> Vec<f64> {
    let refused = json!({"template": {"data": {"KEY": "{{ no_such_variable }}"}}});
    stream::iter(0..size)
        .for_each_concurrent(super::stage::CONCURRENCY, async |number| {
            stage.add_key_of(POISONED, &format!("poison-{number}"), json!({"secret": refused})).await;
        })
        .await;
    quiet(operator).await;
    let keys: Api<GatewayApiKey> = Api::namespaced(stage.client.clone(), &Stage::namespace(POISONED));
    let editing = async {
        for number in 0_u64.. {
            let edit = Patch::Merge(json!({"spec": {"displayName": format!("Edited {number}")}}));
            keys.patch("poison-0", &PatchParams::default(), &edit).await.expect("an edit");
            tokio::time::sleep(Duration::from_millis(1000 / EDITS)).await;
        }
    };
    tokio::select! {
        () = editing => unreachable!("it edits for ever"),
        times = new_keys(stage, NEIGHBOUR, "neighbour") => times,
    }
}

/// Deletes a namespace with everything in it.
async fn namespace(stage: &Stage, found: &mut Moments) {
    let name = Stage::namespace(ENDING);
    let keys = stage.keys().await;
    let keys: Vec<_> = keys.iter().filter(|it| it.namespace().as_deref() == Some(&name)).collect();
    found.namespace_keys = keys.len() as f64;
    let spaces: Api<Namespace> = Api::all(stage.client.clone());
    let began = Instant::now();
    spaces.delete(&name, &DeleteParams::default()).await.expect("the namespace is deleted");
    while spaces.get_opt(&name).await.expect("the API server answers").is_some() {
        assert!(began.elapsed() < PATIENCE, "the namespace never ends");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    found.namespace_s = began.elapsed().as_secs_f64();
    let vendor = stage.call(Method::GET, "/_emulator/state", "", None).await;
    let ids: Vec<_> = keys.iter().filter_map(|it| it.status.as_ref()?.id.clone()).collect();
    found.namespace_left = ids.iter().filter(|id| mentions(&vendor, id)).count() as f64;
}

/// Whether a key with that id exists in the state of the emulator.
fn mentions(state: &Value, id: &str) -> bool {
    match state {
        Value::String(text) => text == id,
        Value::Array(all) => all.iter().any(|it| mentions(it, id)),
        Value::Object(all) => all.values().any(|it| mentions(it, id)),
        _ => false,
    }
}

/// Ends a leader twice, once gracefully and once not, beside a replica that stands by.
async fn leaders(stage: &Stage, found: &mut Moments) {
    let flags = ["--leader-elect"];
    let first = stage.operator(&flags);
    quiet(&first).await;
    let second = stage.operator(&flags);
    quiet(&second).await;
    let began = Instant::now();
    first.terminate();
    next_key(stage, "graceful").await;
    found.graceful = milliseconds(began);
    drop(first);
    let third = stage.operator(&flags);
    quiet(&third).await;
    let began = Instant::now();
    second.kill();
    next_key(stage, "crash").await;
    found.crash_s = began.elapsed().as_secs_f64();
    third.stop();
}

async fn next_key(stage: &Stage, name: &str) {
    let keys: Api<GatewayApiKey> = Api::namespaced(stage.client.clone(), &Stage::namespace(WATCHING));
    let began = Instant::now();
    stage.add_key_of(WATCHING, name, json!({})).await;
    while !is_ready(&keys.get(name).await.expect("a key")) {
        assert!(began.elapsed() < PATIENCE, "no successor makes a key");
        tokio::time::sleep(LOOK).await;
    }
}

async fn until_ready(stage: &Stage) {
    let began = Instant::now();
    while !stage.keys().await.iter().all(is_ready) {
        assert!(began.elapsed() < PATIENCE, "not every key is Ready");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
