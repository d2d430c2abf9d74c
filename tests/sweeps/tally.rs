//! The numbers of a sweep.

use std::io::Write;

/// The number of runs and their results.
#[derive(Debug, Default)]
pub struct Tally {
    /// Points of the runs without faults.
    pub points: usize,
    /// Runs with one fault.
    pub faults: usize,
    /// Runs with two faults.
    pub pairs: usize,
    /// Runs whose faults did not happen; they are not counted above.
    pub missed: usize,
    /// Runs with a violation, at the end or on the way.
    pub violations: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:4} points, {:5} faults, {:6} pairs, {:3} missed, {} violations",
            self.points, self.faults, self.pairs, self.missed, self.violations
        )
    }
}

impl Tally {
    /// Runs per second.
    #[allow(clippy::cast_precision_loss, reason = "there are never that many runs")]
    pub fn rate(&self, seconds: f64) -> f64 {
        (self.faults + self.pairs + self.missed) as f64 / seconds
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        self.points += other.points;
        self.faults += other.faults;
        self.pairs += other.pairs;
        self.missed += other.missed;
        self.violations += other.violations;
    }

    /// Appends to the file that `KEYSMITH_CHAOS_REPORT` names, if it names one.
    pub fn append_to_report(&self) {
        let Ok(path) = std::env::var("KEYSMITH_CHAOS_REPORT") else {
            return;
        };
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(
            file,
            "points={}\nfaults={}\npairs={}\nviolations={}",
            self.points, self.faults, self.pairs, self.violations
        )
        .unwrap();
    }
}
