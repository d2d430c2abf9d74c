//! The real binary as a process.

use super::canary;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running `keysmith`, killed with the test.
pub struct Keysmith {
    child: Child,
    log: PathBuf,
}

impl Keysmith {
    /// Starts `keysmith` with these arguments and that identity; what it prints goes to a file.
    pub fn start_as(
        name: &str,
        kubeconfig: &Path,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keysmith"));
        command.args(arguments).envs(environment.iter().cloned()).env("KUBECONFIG", kubeconfig);
        Self::launch(name, command)
    }

    /// Starts it by another command.
    pub fn launch(name: &str, mut command: Command) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let log = folder.join(format!("{name}-{}.log", std::process::id()));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child =
            command.stdout(file.try_clone().unwrap()).stderr(file).stdin(Stdio::null()).spawn().unwrap();
        Self { child, log }
    }

    /// SIGKILL, and its end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub async fn terminate(mut self) -> std::process::ExitStatus {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("SIGTERM was not obeyed; it printed:\n{}", self.printed());
    }

    /// Waits for its end, and returns its exit code.
    pub async fn ended(mut self) -> i32 {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not end; it printed:\n{}", self.printed());
    }

    /// What it printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Fails if anything it printed holds a secret.
    pub fn assert_silent(&self) {
        assert_eq!(canary::secret_in(&self.printed()), None, "a secret in {}", self.log.display());
    }
}

impl Drop for Keysmith {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
