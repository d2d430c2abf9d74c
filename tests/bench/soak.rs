//! Many passes over keys that rest: what of the operator grows with the number of its passes.

use super::figures::{cpu, descriptors, memory};
use super::stage::{CONCURRENCY, Stage, free_port};
use super::{PATIENCE, is_ready, quiet};
use futures::{StreamExt, stream};
use keysmith::api::GatewayApiKey;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::json;
use std::fmt;
use std::time::{Duration, Instant};

/// Number of keys that the passes go over.
const KEYS: usize = 500;
/// Growth between the half and the end that is the allocator's and not the operator's, in MB.
const NOISE: f64 = 2.0;

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Soak {
    /// Passes that were asked for, and those over GatewayApiKeys that the operator counted.
    pub asked: usize,
    pub passes: f64,
    /// CPU time of a pass, with the watch event that started it, in milliseconds.
    pub cpu_per_pass_ms: f64,
    /// Resident memory after half of the passes, and after all of them, in MB.
    pub half_mb: f64,
    pub end_mb: f64,
    /// Open file descriptors after half of the passes, and after all of them.
    pub half_descriptors: usize,
    pub end_descriptors: usize,
}

impl Soak {
    /// Whether the hard targets hold.
    pub fn holds(&self) -> bool {
        self.passes >= 0.9 * self.asked as f64
            && self.end_mb <= self.half_mb + NOISE
            && self.end_descriptors <= self.half_descriptors + CONCURRENCY
    }
}

impl fmt::Display for Soak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nsoak: {:.0} passes over {KEYS} keys at rest", self.passes)?;
        writeln!(f, "{:<52} {:>9.3}", "CPU of a pass, ms", self.cpu_per_pass_ms)?;
        writeln!(
            f,
            "{:<52} {:>9.2} {:>9.2}",
            "resident MB, after half and at the end", self.half_mb, self.end_mb
        )?;
        let name = "file descriptors, after half and at the end";
        writeln!(f, "{name:<52} {:>9} {:>9}", self.half_descriptors, self.end_descriptors)?;
        write!(f, "{}", if self.holds() { "nothing grows" } else { "something grows with the passes" })
    }
}

/// Starts about so many passes, by annotations, which could ask for something.
pub async fn measure(passes: usize) -> Soak {
    let stage = Stage::set(Duration::ZERO).await;
    stage.add_tokens(KEYS).await;
    stage.add_keys("key", 0, KEYS).await;
    let port = free_port();
    let operator = stage.operator_at(port, &["--poll-interval", "1h"]);
    let began = Instant::now();
    while !stage.keys().await.iter().all(is_ready) {
        assert!(began.elapsed() < PATIENCE, "not every key is Ready");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    quiet(&operator).await;
    let keys = stage.keys().await;
    let (before, used) = (counted(&stage, port).await, cpu(operator.id()));
    let mut found = Soak { asked: passes, ..Soak::default() };
    let rounds = passes.div_ceil(KEYS).next_multiple_of(2);
    for round in 1..=rounds {
        annotate(&stage, &keys, round).await;
        if round == rounds / 2 {
            quiet(&operator).await;
            found.half_mb = memory(operator.id()).0;
            found.half_descriptors = descriptors(operator.id());
        }
    }
    quiet(&operator).await;
    found.end_mb = memory(operator.id()).0;
    found.end_descriptors = descriptors(operator.id());
    found.passes = counted(&stage, port).await - before;
    found.cpu_per_pass_ms = cpu(operator.id()).saturating_sub(used).as_secs_f64() * 1e3 / found.passes;
    operator.stop();
    found
}

async fn annotate(stage: &Stage, keys: &[GatewayApiKey], round: usize) {
    let edit = Patch::Merge(json!({"metadata": {"annotations": {"bench": round.to_string()}}}));
    stream::iter(keys)
        .for_each_concurrent(CONCURRENCY, async |key| {
            let api: Api<GatewayApiKey> =
                Api::namespaced(stage.client.clone(), &key.namespace().unwrap_or_default());
            api.patch_metadata(&key.name_any(), &PatchParams::default(), &edit).await.expect("an annotation");
        })
        .await;
}

/// The passes over GatewayApiKeys that the operator counted.
async fn counted(stage: &Stage, port: u16) -> f64 {
    let text = stage.text(&format!("http://127.0.0.1:{port}/metrics")).await;
    let of_keys = |line: &&str| {
        line.starts_with("keysmith_reconciles_total{") && line.contains("kind=\"GatewayApiKey\"")
    };
    let value = |line: &str| line.rsplit(' ').next().and_then(|it| it.parse::<f64>().ok());
    text.lines().filter(of_keys).filter_map(value).sum()
}
