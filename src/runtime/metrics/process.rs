//! Figures of the process, by the names that every dashboard of a process reads.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::fs;

/// Reads `/proc`; where there is none, nothing is exported.
#[derive(Debug)]
pub(super) struct Process {
    /// When the process began, in Unix seconds.
    pub(super) started: i64,
}

/// CPU time in seconds: fields 14 and 15 of `/proc/self/stat`, in hundredths of a second on every platform of Linux.
fn cpu() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may contain blanks.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// A figure in kilobytes of `/proc/self/status`, in bytes.
fn memory(field: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// Number of open file descriptors. Not every process may count its own: it is not dumpable.
fn descriptors() -> Option<f64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the directory itself.
    u32::try_from(open.saturating_sub(1)).ok().map(f64::from)
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        if let Some(seconds) = cpu() {
            let help = "CPU time of the process in seconds";
            let encoder =
                encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
            ConstCounter::new(seconds).encode(encoder)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let started = Some(self.started as f64);
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory of the process in bytes", memory("VmRSS")),
            ("process_virtual_memory_bytes", "Virtual memory of the process in bytes", memory("VmSize")),
            ("process_open_fds", "Open file descriptors of the process", descriptors()),
            ("process_start_time_seconds", "When the process began, Unix seconds", started),
        ] {
            if let Some(value) = value {
                let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(value).encode(encoder)?;
            }
        }
        Ok(())
    }
}
