//! The benchmark: the binary that ships, against a real kube-apiserver and etcd and the emulator in its own process, beside
//! a floor client that makes only the requests that nothing can do without. `make bench` builds and runs it; what it
//! measured is in `target/bench/latest.json`, and the last lines are a table. It exits with 0 if every hard target holds.
//!
//! | environment | |
//! |---|---|
//! | `KEYSMITH_BENCH_SIZES=1000,10000` | numbers of keys |
//! | `KEYSMITH_BENCH_RUNS=5` | runs for each of them |
//! | `KEYSMITH_BENCH_LATENCY=0,20` | latencies of the vendor, in milliseconds |
//! | `KEYSMITH_BENCH_STORM=10000` | keys that are replaced at once under a limit; 0 leaves that out |
//! | `KEYSMITH_BENCH_MOMENTS=1000` | settled keys among which single moments are measured: a start, a rotation, a change of leader, a hanging vendor; 0 leaves that out |
//! | `KEYSMITH_BENCH_SOAK=20000` | passes over keys at rest, after which nothing may have grown; 0 leaves that out |
//! | `KEYSMITH_BENCH_KNEE=2,4,8,16,32` | values of `--concurrency` that make the same keys; 0 leaves that out |
//! | `KEYSMITH_BENCH_PEER=1000` | keys that an ordinary operator makes as well; 0 leaves that out |
//! | `KEYSMITH_BENCH_BINARY=FILE` | another operator than the one built beside this program: an earlier one, or one under a profiler |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark that cannot go on says so"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark looks at clocks")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it measured")]
#![allow(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod beside;
mod figures;
mod floor;
mod knee;
mod moments;
mod plots;
mod report;
mod soak;
mod stage;
mod storm;

use figures::{Requests, cpu, memory};
use futures::TryStreamExt;
use keysmith::api::GatewayApiKey;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use report::{Report, Run};
use stage::{Process, Stage};
use std::time::{Duration, Instant};

/// Single keys, one after the other, whose time is measured for one figure.
const SINGLE_KEYS: usize = 20;
/// Interval of polls while the cost of a poll is measured, in seconds.
const POLL: u64 = 10;
/// Polls that are measured.
pub const POLLS: u64 = 3;
/// Nothing of this size takes longer.
pub const PATIENCE: Duration = Duration::from_secs(1200);

#[tokio::main]
async fn main() {
    let sizes = numbers("KEYSMITH_BENCH_SIZES", "1000,5000,10000");
    let runs = numbers("KEYSMITH_BENCH_RUNS", "5")[0];
    let latencies = numbers("KEYSMITH_BENCH_LATENCY", "0,20");
    let mut report = Report::default();
    for &latency in &latencies {
        for &size in &sizes {
            for number in 1..=runs {
                eprintln!("{size} keys, vendor latency {latency} ms, run {number} of {runs}");
                let run = measure(size, Duration::from_millis(latency as u64)).await;
                eprintln!("{run}");
                report.add(size, latency, run);
                report.write(&stage::folder());
            }
        }
    }
    println!("{report}");
    let mut holds = report.holds();
    let storm = numbers("KEYSMITH_BENCH_STORM", "10000")[0];
    if storm > 0 {
        eprintln!("a storm of {storm} keys");
        let storm = storm::measure(storm).await;
        println!("{storm}");
        holds &= storm.holds();
        report.add_storm(storm);
        report.write(&stage::folder());
    }
    let moments = numbers("KEYSMITH_BENCH_MOMENTS", "1000")[0];
    if moments > 0 {
        eprintln!("moments among {moments} keys");
        let moments = moments::measure(moments).await;
        println!("{moments}");
        holds &= moments.holds();
        report.add_moments(moments);
        report.write(&stage::folder());
    }
    let passes = numbers("KEYSMITH_BENCH_SOAK", "20000")[0];
    if passes > 0 {
        eprintln!("{passes} passes over keys at rest");
        let soak = soak::measure(passes).await;
        println!("{soak}");
        holds &= soak.holds();
        report.add_soak(soak);
        report.write(&stage::folder());
    }
    let values = numbers("KEYSMITH_BENCH_KNEE", "2,4,8,16,32");
    if values != [0] {
        eprintln!("the knee of the concurrency");
        let knee = knee::measure(&values).await;
        println!("{knee}");
        report.add_knee(knee);
        report.write(&stage::folder());
    }
    let peer = numbers("KEYSMITH_BENCH_PEER", "1000")[0];
    if peer > 0 {
        let beside = beside::measure(peer).await;
        println!("{beside}");
        report.add_beside(beside);
        report.write(&stage::folder());
    }
    std::process::exit(i32::from(!holds));
}

fn numbers(variable: &str, default: &str) -> Vec<usize> {
    let text = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    text.split(',')
        .map(|it| it.trim().parse().unwrap_or_else(|_| panic!("{variable}: {it} is no number")))
        .collect()
}

/// One run: the operator between two floors, so that a machine that becomes faster or slower shows in the figures.
async fn measure(size: usize, latency: Duration) -> Run {
    let mut run = Run { accounts: size.div_ceil(stage::KEYS_PER_ACCOUNT) as f64, ..Run::default() };
    let stage = Stage::set(latency).await;
    stage.add_tokens(size + SINGLE_KEYS).await;
    single_keys_among_none(&stage, &mut run).await;
    let own = cpu(std::process::id());
    run.floor_before = floor_of(&stage, size, false).await;
    run.floor_cpu_per_key_ms = cpu(std::process::id()).saturating_sub(own).as_secs_f64() * 1e3 / size as f64;
    run.rehearsed_before = floor_of(&stage, size, true).await;
    stage.add_keys("key", 0, size).await;
    let operator = creation(&stage, size, &mut run).await;
    run.single_among_all = single_keys(&stage, "late", size).await;
    operator.stop();
    restart(&stage, &mut run).await;
    idle(&stage, &mut run).await;
    drop(stage);
    let stage = Stage::set(latency).await;
    stage.add_tokens(size).await;
    run.rehearsed_after = floor_of(&stage, size, true).await;
    run.floor_after = floor_of(&stage, size, false).await;
    run
}

/// Creates the resources, makes their keys with the floor client, and deletes all of it.
async fn floor_of(stage: &Stage, size: usize, rehearsed: bool) -> f64 {
    stage.add_keys("floor", 0, size).await;
    let took = floor::make_keys(stage, rehearsed).await.as_secs_f64();
    stage.clear().await;
    took
}

async fn single_keys_among_none(stage: &Stage, run: &mut Run) {
    let operator = stage.operator(&[]);
    quiet(&operator).await;
    run.single_among_none = single_keys(stage, "early", 0).await;
    for key in stage.keys().await {
        let keys: Api<GatewayApiKey> = Api::namespaced(stage.client.clone(), &key.namespace().unwrap());
        keys.delete(&key.name_any(), &kube::api::DeleteParams::default()).await.unwrap();
    }
    while !stage.keys().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    operator.stop();
}

/// From the start of the operator to the last key that is Ready, and what that cost.
async fn creation(stage: &Stage, size: usize, run: &mut Run) -> Process {
    let minted = stage.calls("POST", "/api_keys").await;
    let before = Requests::counted(&stage.client).await;
    let began = Instant::now();
    let operator = stage.operator(&[]);
    while stage.calls("POST", "/api_keys").await < minted + size as u64 {
        assert!(began.elapsed() < PATIENCE, "not every key is made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.ready = loop {
        let elapsed = began.elapsed();
        if stage.keys().await.iter().all(is_ready) {
            break elapsed.as_secs_f64();
        }
        assert!(elapsed < PATIENCE, "not every key is Ready");
    };
    quiet(&operator).await;
    let since = Requests::counted(&stage.client).await - before;
    let per_key = |count: f64| count / size as f64;
    run.writes_per_key = per_key(
        since.of("PATCH", "gatewayapikeys")
            + since.of("POST", "secrets")
            + since.of("PUT", "secrets")
            + since.of("PATCH", "gatewayapikeys/status"),
    );
    run.reads_per_key = per_key(since.of("GET", "secrets") + since.of("GET", "gatewayapikeys"));
    run.dry_runs_per_key = per_key(since.dry_runs("secrets"));
    run.events_per_key = per_key(since.of("POST", "events") + since.of("PATCH", "events"));
    run.calls_per_key = per_key((stage.calls("POST", "/api_keys").await - minted) as f64);
    run.cpu_per_key_ms = cpu(operator.id()).as_secs_f64() * 1e3 / size as f64;
    (run.resident_mb, run.peak_mb) = memory(operator.id());
    operator
}

fn is_ready(key: &GatewayApiKey) -> bool {
    let conditions = key.status.iter().flat_map(|it| &it.conditions);
    conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True")
}

/// Creates keys one after the other. Returns for each the milliseconds until it was Ready.
async fn single_keys(stage: &Stage, prefix: &str, offset: usize) -> Vec<f64> {
    let mut times = Vec::new();
    for number in offset..offset + SINGLE_KEYS {
        let keys: Api<GatewayApiKey> = Api::all(stage.client.clone());
        let one = watcher::Config::default().fields(&format!("metadata.name={prefix}-{number}"));
        let mut changes = Box::pin(watcher(keys, one).applied_objects());
        let waiting = async {
            while let Some(key) = changes.try_next().await.expect("a watch") {
                if is_ready(&key) {
                    return;
                }
            }
        };
        let began = Instant::now();
        let creating = async {
            // The watch must have begun, or its first list would count.
            tokio::time::sleep(Duration::from_millis(50)).await;
            stage.add_key(prefix, number).await;
        };
        tokio::join!(waiting, creating);
        times.push((began.elapsed().as_secs_f64() - 0.05) * 1e3);
    }
    times
}

/// From the start of the operator with settled keys until it uses no more CPU time.
async fn restart(stage: &Stage, run: &mut Run) {
    let floor = floor::list_all(stage).await;
    let calls = stage.calls("", "").await;
    let before = Requests::counted(&stage.client).await;
    let began = Instant::now();
    let operator = stage.operator(&[]);
    let settled = quiet(&operator).await;
    run.restart = settled.duration_since(began).as_secs_f64();
    let since = Requests::counted(&stage.client).await - before;
    run.restart_reads = since.of("GET", "secrets");
    run.restart_writes = since.of("PATCH", "gatewayapikeys/status") + since.of("PATCH", "gatewayapikeys");
    run.restart_calls = (stage.calls("", "").await - calls) as f64;
    run.restart_cpu_ms = cpu(operator.id()).as_secs_f64() * 1e3;
    (run.restart_resident_mb, run.restart_peak_mb) = memory(operator.id());
    run.restart_floor = f64::midpoint(floor.as_secs_f64(), floor::list_all(stage).await.as_secs_f64());
    operator.stop();
}

/// What polls cost while nothing happens.
async fn idle(stage: &Stage, run: &mut Run) {
    let operator = stage.operator(&["--poll-interval", &format!("{POLL}s")]);
    quiet(&operator).await;
    tokio::time::sleep(Duration::from_secs(POLL)).await;
    let (before, requests) = (cpu(operator.id()), Requests::counted(&stage.client).await);
    tokio::time::sleep(Duration::from_secs(POLL * POLLS)).await;
    run.poll_cpu_ms = cpu(operator.id()).saturating_sub(before).as_secs_f64() * 1e3 / POLLS as f64;
    let since = Requests::counted(&stage.client).await - requests;
    run.idle_writes = since.of("PATCH", "gatewayapikeys/status");
    run.idle_reads = since.of("GET", "secrets");
    operator.kill();
}

/// Waits until a process has used hardly any CPU time for a second. Returns since when.
async fn quiet(process: &Process) -> Instant {
    let began = Instant::now();
    let (mut last, mut since) = (cpu(process.id()), Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = cpu(process.id());
        if now > last + Duration::from_millis(10)
            || now > last && since.elapsed() < Duration::from_millis(100)
        {
            (last, since) = (now, Instant::now());
        }
        if since.elapsed() > Duration::from_secs(1) {
            return since;
        }
        assert!(began.elapsed() < PATIENCE, "the operator does not come to rest");
    }
}
