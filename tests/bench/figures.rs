//! What others say of the operator: the kernel of its time and memory, the API server of its requests.

use kube::Client;
use std::collections::BTreeMap;
use std::ops::Sub;
use std::time::Duration;

/// Kernel's unit of CPU time: a hundredth of a second on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time, user and system, that a process used so far.
pub fn cpu(process: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    // The name in parentheses may contain spaces; user and system time are fields 14 and 15.
    let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields[field - 3].parse::<u32>().expect("a number");
    TICK * (ticks(14) + ticks(15))
}

/// Resident memory now and at its peak, in MB.
pub fn memory(process: u32) -> (f64, f64) {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let megabytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of the kernel");
        let kilobytes: f64 =
            line.trim_start_matches(':').trim_end_matches("kB").trim().parse().expect("a number");
        kilobytes * 1024.0 / 1e6
    };
    (megabytes("VmRSS"), megabytes("VmHWM"))
}

/// Number of open file descriptors.
pub fn descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("the process runs").count()
}

/// Requests that the API server counted: by verb, resource (with its subresource), and whether it was a dry run.
#[derive(Clone, Debug, Default)]
pub struct Requests(BTreeMap<(String, String, bool), f64>);

impl Requests {
    /// What it counted so far.
    pub async fn counted(client: &Client) -> Self {
        let request = http::Request::get("/metrics").body(Vec::new()).expect("a request");
        let text = client.request_text(request).await.expect("the metrics of the API server");
        let mut counts = BTreeMap::new();
        for line in text.lines().filter_map(|it| it.strip_prefix("apiserver_request_total{")) {
            let Some((labels, value)) = line.split_once("} ") else { continue };
            let label = |name: &str| {
                labels.split(',').find_map(|it| it.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
            };
            let (verb, resource) = (label("verb").unwrap_or_default(), label("resource").unwrap_or_default());
            let resource = match label("subresource").filter(|it| !it.is_empty()) {
                Some(subresource) => format!("{resource}/{subresource}"),
                None => resource.to_owned(),
            };
            let key = (verb.to_owned(), resource, label("dry_run") == Some("All"));
            *counts.entry(key).or_default() += value.parse::<f64>().unwrap_or_default();
        }
        Self(counts)
    }

    /// Requests of that verb on that resource, without dry runs.
    pub fn of(&self, verb: &str, resource: &str) -> f64 {
        self.0.get(&(verb.to_owned(), resource.to_owned(), false)).copied().unwrap_or_default()
    }

    /// Dry runs on that resource.
    pub fn dry_runs(&self, resource: &str) -> f64 {
        let dry = self.0.iter().filter(|((_, of, dry), _)| *dry && of == resource);
        dry.map(|(_, count)| count).sum()
    }
}

impl Sub for Requests {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let since = |(key, count): (_, f64)| {
            let earlier = before.0.get(&key).copied().unwrap_or_default();
            (key, count - earlier)
        };
        Self(self.0.into_iter().map(since).collect())
    }
}

/// The median and the worst of some figures.
pub fn median_and_worst(figures: &[f64]) -> (f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let worst = sorted.last().copied().unwrap_or_default();
    (sorted.get(sorted.len() / 2).copied().unwrap_or_default(), worst)
}
