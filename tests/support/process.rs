//! The real binary as a process.

use super::canary;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A running `keysmith`, killed with the test.
pub struct Keysmith {
    child: Child,
    log: PathBuf,
}

impl Keysmith {
    /// Starts `keysmith` with these arguments and that identity; its output goes to a file.
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

    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub fn tell_to_stop(&self) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// The exit status; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends SIGTERM; returns the exit status.
    pub async fn terminate(mut self) -> ExitStatus {
        self.tell_to_stop();
        for _ in 0..600 {
            if let Some(status) = self.ended() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("SIGTERM was not obeyed; it printed:\n{}", self.printed());
    }

    /// The output so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Fails if the output holds a secret.
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

/// The output in this run of the processes whose names have this prefix.
pub fn printed_by(prefix: &str) -> String {
    let end = format!("-{}.log", std::process::id());
    let files = std::fs::read_dir(env!("CARGO_TARGET_TMPDIR")).unwrap().map(|it| it.unwrap());
    let ours = files.filter(|it| {
        let name = it.file_name().into_string().unwrap();
        name.starts_with(prefix) && name.ends_with(&end)
    });
    ours.map(|it| std::fs::read_to_string(it.path()).unwrap()).collect()
}

/// The answer at that address: status and body; `None` if no server answers.
pub async fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split("\r\n\r\n").skip(1).collect()))
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
