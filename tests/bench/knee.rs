//! The knee of the concurrency: how fast keys are made, and in how much memory, with more and more passes at once.

use super::figures::{cpu, memory};
use super::stage::Stage;
use super::{PATIENCE, is_ready};
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

/// Number of keys of each step.
const KEYS: usize = 1000;

/// One value of `--concurrency`; eight times as many passes run at once in all.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    pub concurrency: usize,
    /// Seconds from the start of the operator to the last key that is Ready.
    pub ready: f64,
    pub cpu_per_key_ms: f64,
    pub peak_mb: f64,
}

/// All of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Knee(Vec<Step>);

impl fmt::Display for Knee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nknee of the concurrency, {KEYS} keys")?;
        write!(
            f,
            "{:<16} {:>12} {:>12} {:>12} {:>12}",
            "--concurrency", "passes", "Ready s", "CPU/key ms", "peak MB"
        )?;
        for it in &self.0 {
            let (passes, ready) = (8 * it.concurrency, it.ready);
            write!(f, "\n{:<16} {passes:>12} {ready:>12.2}", it.concurrency)?;
            write!(f, " {:>12.2} {:>12.1}", it.cpu_per_key_ms, it.peak_mb)?;
        }
        Ok(())
    }
}

/// Makes the same keys with each of these values.
pub async fn measure(values: &[usize]) -> Knee {
    let mut steps = Vec::new();
    for &concurrency in values {
        steps.push(step(concurrency).await);
    }
    Knee(steps)
}

async fn step(concurrency: usize) -> Step {
    let stage = Stage::set(Duration::ZERO).await;
    stage.add_tokens(KEYS).await;
    stage.add_keys("key", 0, KEYS).await;
    let began = Instant::now();
    let operator = stage.operator(&["--concurrency", &concurrency.to_string()]);
    while stage.calls("POST", "/api_keys").await < KEYS as u64 || !stage.keys().await.iter().all(is_ready) {
        assert!(began.elapsed() < PATIENCE, "not every key is Ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ready = began.elapsed().as_secs_f64();
    let used = cpu(operator.id()).as_secs_f64();
    let (_, peak_mb) = memory(operator.id());
    operator.stop();
    Step { concurrency, ready, cpu_per_key_ms: used * 1e3 / KEYS as f64, peak_mb }
}
