//! The figures of all runs, their targets, and how they are told: a table, and JSON.

use super::beside::Beside;
use super::figures::median_and_worst;
use super::knee::Knee;
use super::moments::Moments;
use super::plots;
use super::soak::Soak;
use super::storm::Storm;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The figures of one run. Times are in seconds where the name says nothing else.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Number of accounts that the keys are spread over.
    pub accounts: f64,
    pub floor_before: f64,
    pub floor_after: f64,
    /// The floor with a dry run of each Secret.
    pub rehearsed_before: f64,
    pub rehearsed_after: f64,
    pub ready: f64,
    pub writes_per_key: f64,
    pub reads_per_key: f64,
    pub dry_runs_per_key: f64,
    pub events_per_key: f64,
    pub calls_per_key: f64,
    pub cpu_per_key_ms: f64,
    pub floor_cpu_per_key_ms: f64,
    pub resident_mb: f64,
    pub peak_mb: f64,
    /// Milliseconds from the creation of a single resource to Ready.
    pub single_among_none: Vec<f64>,
    pub single_among_all: Vec<f64>,
    pub restart_floor: f64,
    pub restart: f64,
    pub restart_reads: f64,
    pub restart_writes: f64,
    pub restart_calls: f64,
    pub restart_cpu_ms: f64,
    pub restart_resident_mb: f64,
    pub restart_peak_mb: f64,
    /// Milliseconds of CPU time for one poll of all accounts.
    pub poll_cpu_ms: f64,
    /// Writes of status while nothing happens.
    pub idle_writes: f64,
    /// Reads of Secrets while nothing happens: each token reads its own.
    pub idle_reads: f64,
}

impl Run {
    fn floor(&self) -> f64 {
        f64::midpoint(self.floor_before, self.floor_after)
    }

    fn rehearsed(&self) -> f64 {
        f64::midpoint(self.rehearsed_before, self.rehearsed_after)
    }

    /// Reads of Secrets at a restart beyond two for each token: of its finalizer, and of its content.
    fn surplus_reads(&self) -> f64 {
        (self.restart_reads - 2.0 * (self.accounts + 1.0)).max(0.0)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).unwrap_or_default();
        write!(
            f,
            "  ready {:.2} s, floor {:.2} s, with dry runs {:.2} s\n  {text}",
            self.ready,
            self.floor(),
            self.rehearsed()
        )
    }
}

/// A figure, how it is read from a run of so many keys, and the most that it may be.
struct Figure {
    name: &'static str,
    unit: &'static str,
    value: fn(&Run, usize) -> f64,
    floor: Option<fn(&Run) -> f64>,
    /// `None`: the figure is only told.
    most: Option<f64>,
}

const FIGURES: &[Figure] = &[
    Figure {
        name: "all Ready, to the floor with dry runs",
        unit: "×",
        value: |it, _| it.ready / it.rehearsed(),
        floor: None,
        most: Some(1.25),
    },
    Figure {
        name: "all Ready, to the floor",
        unit: "×",
        value: |it, _| it.ready / it.floor(),
        floor: None,
        most: None,
    },
    Figure { name: "all Ready", unit: "s", value: |it, _| it.ready, floor: Some(Run::floor), most: None },
    Figure {
        name: "the floor with dry runs",
        unit: "s",
        value: |it, _| it.rehearsed(),
        floor: Some(Run::floor),
        most: None,
    },
    Figure {
        name: "writes per key",
        unit: "",
        value: |it, _| it.writes_per_key,
        floor: Some(|_| 3.0),
        most: Some(3.1),
    },
    Figure {
        name: "reads per key",
        unit: "",
        value: |it, _| it.reads_per_key,
        floor: Some(|_| 0.0),
        most: Some(0.2),
    },
    Figure {
        name: "dry runs per key",
        unit: "",
        value: |it, _| it.dry_runs_per_key,
        floor: Some(|_| 0.0),
        most: Some(1.0),
    },
    Figure {
        name: "events per key",
        unit: "",
        value: |it, _| it.events_per_key,
        floor: Some(|_| 0.0),
        most: None,
    },
    Figure {
        name: "vendor calls per key",
        unit: "",
        value: |it, _| it.calls_per_key,
        floor: Some(|_| 1.0),
        most: Some(1.0),
    },
    Figure {
        name: "CPU per key",
        unit: "ms",
        value: |it, _| it.cpu_per_key_ms,
        floor: Some(|it| it.floor_cpu_per_key_ms),
        most: Some(1.0),
    },
    Figure { name: "resident memory", unit: "MB", value: |it, _| it.resident_mb, floor: None, most: None },
    Figure {
        name: "resident memory beside 32 MB",
        unit: "×",
        value: |it, size| it.resident_mb / most_memory(size),
        floor: None,
        most: Some(1.0),
    },
    Figure { name: "peak memory", unit: "MB", value: |it, _| it.peak_mb, floor: None, most: None },
    Figure {
        name: "one new key, slowest of 20, more than among none",
        unit: "ms",
        value: |it, _| worst(&it.single_among_all) - worst(&it.single_among_none),
        floor: None,
        most: Some(50.0),
    },
    Figure {
        name: "one new key, median",
        unit: "ms",
        value: |it, _| median_and_worst(&it.single_among_all).0,
        floor: Some(|it| median_and_worst(&it.single_among_none).0),
        most: None,
    },
    Figure {
        name: "restart, to the lists",
        unit: "×",
        value: |it, _| it.restart / it.restart_floor,
        floor: None,
        most: Some(1.3),
    },
    Figure {
        name: "restart",
        unit: "s",
        value: |it, _| it.restart,
        floor: Some(|it| it.restart_floor),
        most: None,
    },
    Figure {
        name: "reads of Secrets of keys at a restart",
        unit: "",
        value: |it, _| it.surplus_reads(),
        floor: Some(|_| 0.0),
        most: Some(0.0),
    },
    Figure {
        name: "writes at a restart",
        unit: "",
        value: |it, _| it.restart_writes,
        floor: Some(|_| 0.0),
        most: Some(0.0),
    },
    Figure {
        name: "vendor calls at a restart",
        unit: "",
        value: |it, _| it.restart_calls,
        floor: None,
        most: None,
    },
    Figure {
        name: "CPU of a restart",
        unit: "ms",
        value: |it, _| it.restart_cpu_ms,
        floor: None,
        most: None,
    },
    Figure {
        name: "memory after a restart",
        unit: "MB",
        value: |it, _| it.restart_resident_mb,
        floor: None,
        most: None,
    },
    Figure { name: "CPU of a poll", unit: "ms", value: |it, _| it.poll_cpu_ms, floor: None, most: None },
    Figure {
        name: "share of a core at rest, polls every 5 minutes",
        unit: "%",
        value: |it, _| it.poll_cpu_ms / 3000.0,
        floor: None,
        most: Some(0.3),
    },
    Figure {
        name: "writes at rest",
        unit: "",
        value: |it, _| it.idle_writes,
        floor: Some(|_| 0.0),
        most: Some(0.0),
    },
    Figure {
        name: "reads of Secrets at rest, per account and poll",
        unit: "",
        value: |it, _| it.idle_reads / (it.accounts + 1.0) / super::POLLS as f64,
        floor: None,
        most: None,
    },
];

/// 32 MB up to 10,000 keys, and in proportion to 90 MB at 50,000.
fn most_memory(size: usize) -> f64 {
    if size <= 10_000 { 32.0 } else { 32.0 + (size - 10_000) as f64 * (90.0 - 32.0) / 40_000.0 }
}

fn worst(figures: &[f64]) -> f64 {
    median_and_worst(figures).1
}

/// All runs, by number of keys and latency of the vendor.
#[derive(Default)]
pub struct Report {
    runs: BTreeMap<(usize, usize), Vec<Run>>,
    storm: Option<Storm>,
    moments: Option<Moments>,
    soak: Option<Soak>,
    knee: Option<Knee>,
    beside: Option<Beside>,
}

impl Report {
    pub fn add(&mut self, size: usize, latency: usize, run: Run) {
        self.runs.entry((latency, size)).or_default().push(run);
    }

    pub fn add_storm(&mut self, storm: Storm) {
        self.storm = Some(storm);
    }

    pub fn add_moments(&mut self, moments: Moments) {
        self.moments = Some(moments);
    }

    pub fn add_soak(&mut self, soak: Soak) {
        self.soak = Some(soak);
    }

    pub fn add_knee(&mut self, knee: Knee) {
        self.knee = Some(knee);
    }

    pub fn add_beside(&mut self, beside: Beside) {
        self.beside = Some(beside);
    }

    /// Writes latest.json and the pictures into a folder.
    pub fn write(&self, folder: &Path) {
        let at_once = self.runs.iter().filter(|((latency, _), _)| *latency == 0);
        let at_once = at_once.map(|((_, size), runs)| (*size, runs.as_slice())).collect();
        plots::draw(&at_once, folder).expect("pictures in target");
        let groups: Vec<_> = self.runs.iter().map(|((latency, size), runs)| {
            serde_json::json!({"keys": size, "vendorLatencyMs": latency, "runs": runs})
        }).collect();
        let cores = std::thread::available_parallelism().map_or(0, Into::into);
        let whole = serde_json::json!({"cores": cores, "processor": processor(), "groups": groups, "storm": self.storm, "moments": self.moments, "soak": self.soak, "knee": self.knee, "beside": self.beside});
        let text = serde_json::to_string_pretty(&whole).expect("JSON");
        std::fs::write(folder.join("latest.json"), text).expect("a file in target");
    }

    /// Whether every hard target holds, by the median.
    pub fn holds(&self) -> bool {
        self.runs.iter().all(|((_, size), runs)| FIGURES.iter().all(|figure| figure.holds(runs, *size)))
    }
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name"));
    name.map(|it| it.trim_start_matches([' ', '\t', ':']).to_owned()).unwrap_or_default()
}

impl Figure {
    fn of(&self, runs: &[Run], size: usize) -> (f64, f64) {
        median_and_worst(&runs.iter().map(|run| (self.value)(run, size)).collect::<Vec<_>>())
    }

    fn holds(&self, runs: &[Run], size: usize) -> bool {
        // Counts are exact; half a hundredth is the rounding of what is printed.
        self.most.is_none_or(|most| self.of(runs, size).0 <= most + 0.005)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((latency, size), runs) in &self.runs {
            writeln!(f, "\n{size} keys, vendor latency {latency} ms, {} runs", runs.len())?;
            writeln!(f, "{:<52} {:>9} {:>9} {:>9} {:>9}", "", "floor", "median", "worst", "target")?;
            for figure in FIGURES {
                let (median, worst) = figure.of(runs, *size);
                let floor =
                    figure.floor.map(|of| median_and_worst(&runs.iter().map(of).collect::<Vec<_>>()).0);
                let floor = floor.map_or_else(String::new, |it| format!("{it:.2}"));
                let target = figure.most.map_or_else(String::new, |it| format!("{it:.2}"));
                let verdict = if figure.holds(runs, *size) { "" } else { "  missed" };
                let name = format!("{} {}", figure.name, figure.unit);
                writeln!(f, "{name:<52} {floor:>9} {median:>9.2} {worst:>9.2} {target:>9}{verdict}")?;
            }
        }
        Ok(())
    }
}
