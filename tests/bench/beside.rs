//! Keysmith beside an ordinary operator (`tests/bench/peer`) that makes the same keys with controller-runtime: what both
//! take, and what is left at the vendor when each is killed in the middle.

use super::figures::{Requests, cpu, memory};
use super::stage::{Process, Stage};
use super::{PATIENCE, is_ready, quiet};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// An operator to measure: its name, and the flags of the peer. `None`: it is Keysmith.
const OPERATORS: [(&str, Option<&[&str]>); 4] = [
    ("Keysmith", None),
    ("peer", Some(&[])),
    ("peer, tuned", Some(&["--tuned"])),
    ("peer, tuned, reads its own writes", Some(&["--tuned", "--read-your-writes"])),
];

/// What one operator took.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    pub name: String,
    /// Seconds from its start to the last key Ready.
    pub ready: f64,
    /// Requests to the API server for a key, of resources and Secrets, without lists and watches.
    pub requests_per_key: f64,
    pub cpu_per_key_ms: f64,
    pub peak_mb: f64,
    /// Keys at the vendor that no resource has.
    pub surplus: f64,
    /// The same after a SIGKILL when half of the keys were made, and a restart.
    pub surplus_after_kill: f64,
}

/// What all of them took, with so many keys.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Beside {
    pub keys: usize,
    pub operators: Vec<Side>,
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nbeside an ordinary operator: {} keys, one run each", self.keys)?;
        let head = ["Ready s", "req/key", "CPU ms", "peak MB", "surplus", "killed"];
        write!(f, "{:<36}", "")?;
        head.iter().try_for_each(|it| write!(f, "{it:>9}"))?;
        for side in &self.operators {
            let figures = [
                side.ready,
                side.requests_per_key,
                side.cpu_per_key_ms,
                side.peak_mb,
                side.surplus,
                side.surplus_after_kill,
            ];
            write!(f, "\n{:<36}", side.name)?;
            figures.iter().try_for_each(|it| write!(f, "{it:>9.1}"))?;
        }
        Ok(())
    }
}

/// Measures every operator.
pub async fn measure(keys: usize) -> Beside {
    let mut operators = Vec::new();
    for (name, flags) in OPERATORS {
        eprintln!("{name}, {keys} keys");
        let mut side = Side { name: name.to_owned(), ..Side::default() };
        undisturbed(keys, flags, &mut side).await;
        side.surplus_after_kill = killed(keys, flags).await;
        operators.push(side);
    }
    Beside { keys, operators }
}

fn start(stage: &Stage, flags: Option<&[&str]>) -> Process {
    match flags {
        None => stage.operator(&[]),
        Some(flags) => stage.peer(&peer(), flags),
    }
}

/// The binary of the peer, built when it is not there.
fn peer() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/peer/build");
    let output = Command::new("bash").arg(script).output().expect("bash");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(text.lines().last().expect("a path"))
}

async fn stage(keys: usize) -> Stage {
    let stage = Stage::set(Duration::ZERO).await;
    stage.add_tokens(keys).await;
    stage.add_keys("key", 0, keys).await;
    stage
}

async fn all_ready(stage: &Stage, keys: usize) {
    let began = Instant::now();
    while stage.keys().await.iter().filter(|it| is_ready(it)).count() < keys {
        assert!(began.elapsed() < PATIENCE, "not every key is Ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn undisturbed(keys: usize, flags: Option<&[&str]>, side: &mut Side) {
    let stage = stage(keys).await;
    let before = Requests::counted(&stage.client).await;
    let began = Instant::now();
    let operator = start(&stage, flags);
    while stage.calls("POST", "/api_keys").await < keys as u64 {
        assert!(began.elapsed() < PATIENCE, "not every key is made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    all_ready(&stage, keys).await;
    side.ready = began.elapsed().as_secs_f64();
    quiet(&operator).await;
    let since = Requests::counted(&stage.client).await - before;
    let verbs = ["GET", "POST", "PUT", "PATCH"];
    let resources = ["gatewayapikeys", "gatewayapikeys/status", "secrets"];
    let asked = verbs.iter().flat_map(|verb| resources.map(|it| since.of(verb, it))).sum::<f64>();
    side.requests_per_key = (asked + since.dry_runs("secrets")) / keys as f64;
    side.cpu_per_key_ms = cpu(operator.id()).as_secs_f64() * 1e3 / keys as f64;
    side.peak_mb = memory(operator.id()).1;
    side.surplus = stage.calls("POST", "/api_keys").await as f64 - keys as f64;
    operator.kill();
}

/// Keys at the vendor beyond one each, after a SIGKILL when half of them were made.
async fn killed(keys: usize, flags: Option<&[&str]>) -> f64 {
    let stage = stage(keys).await;
    let operator = start(&stage, flags);
    while stage.calls("POST", "/api_keys").await < keys as u64 / 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    operator.kill();
    let operator = start(&stage, flags);
    all_ready(&stage, keys).await;
    quiet(&operator).await;
    operator.kill();
    // An operator that finds a key again whose answer was lost makes no other; one that revokes what it does not need leaves none.
    let (made, revoked) = (stage.calls("POST", "/api_keys").await, stage.calls("DELETE", "/api_keys").await);
    made as f64 - revoked as f64 - keys as f64
}
