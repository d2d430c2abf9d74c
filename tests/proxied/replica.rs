//! The real binary, which tests kill and pause.

use crate::support::canary;
use crate::support::invariants::{self, Verdict};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running `keysmith`, killed when dropped.
pub struct Replica {
    child: Child,
}

/// The settings of a replica.
pub struct Setting<'a> {
    /// The kubeconfig, which leads to the API server through a proxy.
    pub kubeconfig: &'a Path,
    /// The namespaces that it watches, separated by commas.
    pub namespace: &'a str,
    /// The origin that console tokens may be sent to.
    pub vendor: &'a str,
}

impl Replica {
    /// Starts a replica; its log goes to a file.
    pub fn start(setting: &Setting<'_>, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        // `make attack` measures the binary that ships.
        let binary =
            std::env::var("KEYSMITH_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_keysmith").to_owned());
        let child = Command::new(binary)
            .args(["run", "--namespaces", setting.namespace, "--allowed-endpoints", setting.vendor])
            .args(["--metrics-address", "127.0.0.1:0", "--poll-interval", "1s"])
            // A load test rotates one key more often than the default limit admits.
            .args(["--max-keys-per-day", "100000"])
            .env("KUBECONFIG", setting.kubeconfig)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGSTOP: the process executes no instruction until `wake`.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Sends SIGCONT.
    pub fn wake(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill {signal}");
    }

    /// The most memory that it had so far, in MiB.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap().div_ceil(1024)
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // A killed process has ended already; SIGKILL also reaches a paused one.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Verifies that the log of a replica holds neither a secret nor a panic.
pub fn printed_well(log: &Path) -> Verdict {
    let printed = std::fs::read_to_string(log).unwrap_or_default();
    let place = log.display().to_string();
    invariants::no_secret_is_shown([(place.as_str(), printed.as_str())], canary::secret_in)?;
    if printed.contains("panicked at") { Err(format!("a panic in {place}")) } else { Ok(()) }
}
