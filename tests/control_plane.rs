//! The script behind `make cluster`: side by side, on a cluster of the user, and without Go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

mod support {
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod plane;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod policies;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
}

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use support::plane;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controlplane/cluster");

fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new("kubectl").arg("--kubeconfig").arg(kubeconfig).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn script(arguments: &[&str], environment: &[(&str, &Path)]) -> Output {
    let mut command = Command::new("bash");
    command.arg(SCRIPT).args(arguments);
    for (name, value) in environment {
        command.env(name, value);
    }
    command.output().unwrap()
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn operator(kubeconfig: &Path) -> (Running, String) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let child = Command::new(env!("CARGO_BIN_EXE_keysmith"))
        .args(["run", "--metrics-address", &address])
        .env("KUBECONFIG", kubeconfig)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    (Running(child), address)
}

/// Waits until `/readyz` answers with that status, and returns its body.
fn wait_for(address: &str, status: &str) -> String {
    let mut last = String::new();
    for _ in 0..200 {
        if let Ok(mut stream) = TcpStream::connect(address) {
            last.clear();
            let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            if stream.write_all(request.as_bytes()).is_ok() && stream.read_to_string(&mut last).is_ok() {
                let starting = last.contains("not ready: starting");
                if last.starts_with(&format!("HTTP/1.1 {status}")) && !starting {
                    return last;
                }
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("/readyz never answered {status}; at last: {last}");
}

#[test]
fn two_run_side_by_side_and_a_cluster_of_ones_own_is_used_when_asked_for() {
    let parent = std::process::id().to_string();
    let folders: Vec<PathBuf> = ["a", "b"].map(|it| plane::folder().join(it)).into();
    std::fs::create_dir_all(plane::folder()).unwrap();
    let configs: Vec<_> = folders.iter().map(|it| plane::start_in(it, &["--parent-pid", &parent])).collect();
    kubectl(&configs[0], &["create", "namespace", "only-in-a"]);
    assert!(!kubectl(&configs[1], &["get", "namespaces", "-o", "name"]).contains("only-in-a"));
    for config in &configs {
        assert!(kubectl(config, &["get", "crds", "-o", "name"]).contains("gatewayapikeys.keysmith.dev"));
    }
    let folder = folders[0].to_str().unwrap();
    let again = script(&["up", "--dir", folder], &[]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("already running"));
    assert_eq!(last_line(&again), format!("export KUBECONFIG={}", configs[0].display()));
    // A cluster chosen by the user gets the definitions and no other change.
    kubectl(&configs[1], &["delete", "crd", "providerkeys.keysmith.dev"]);
    let (operator, address) = operator(&configs[1]);
    let missing = wait_for(&address, "503");
    assert!(missing.contains("providerkeys.keysmith.dev is missing"), "{missing}");
    let chosen = script(&["up"], &[("KEYSMITH_KUBECONFIG", &configs[1])]);
    assert!(chosen.status.success(), "{}", String::from_utf8_lossy(&chosen.stderr));
    assert_eq!(last_line(&chosen), format!("export KUBECONFIG={}", configs[1].display()));
    assert!(kubectl(&configs[1], &["get", "crds", "-o", "name"]).contains("providerkeys.keysmith.dev"));
    wait_for(&address, "200");
    drop(operator);
    let down = script(&["down"], &[("KEYSMITH_KUBECONFIG", &configs[1])]);
    assert!(down.status.success());
    kubectl(&configs[1], &["get", "namespaces"]);
    for folder in &folders {
        assert!(script(&["down", "--dir", folder.to_str().unwrap()], &[]).status.success());
        assert!(!folder.exists(), "its data is removed");
    }
}

/// The first command of README, at each vendor that is emulated; `tests/gateway.rs` has the real LiteLLM.
macro_rules! demos {
    ($($test:ident: $vendor:literal),+) => {
        $(#[test]
        fn $test() {
            let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo");
            let folder = plane::folder().join(concat!("demo-", $vendor));
            let mut command = Command::new("bash");
            command.args([demo, "up"]).env("VENDOR", $vendor).env("ONCE", "1").env("KEYSMITH_DEMO_DIR", &folder);
            // What the demo builds takes the place of the binary that the other tests run.
            command.env("KEYSMITH_DEMO_FEATURES", "otlp");
            let output = command.stdin(std::process::Stdio::null()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && last_line(&output).starts_with("Every step held"), "{text}{err}");
        })+
    };
}
demos! {
    the_demo_holds_at_edgee: "edgee",
    the_demo_holds_at_eden_ai_v3: "edenai",
    the_demo_holds_at_eden_ai_v2: "edenai-v2",
    the_demo_holds_at_cortecs: "cortecs",
    the_demo_holds_at_openrouter: "openrouter"
}

#[test]
fn without_go_the_error_says_the_three_ways_out() {
    let tools = plane::folder().join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    // Every program on the PATH of this machine, except Go.
    let path = std::env::var_os("PATH").unwrap();
    for folder in std::env::split_paths(&path) {
        for tool in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if !["go", "gofmt"].contains(&tool.file_name().to_string_lossy().as_ref()) {
                let _ = std::os::unix::fs::symlink(tool.path(), tools.join(tool.file_name()));
            }
        }
    }
    let output = Command::new(tools.join("bash"))
        .args([SCRIPT, "up", "--dir"])
        .arg(plane::folder().join("none"))
        .env("PATH", &tools)
        .env("KEYSMITH_CACHE", plane::folder().join("empty-cache"))
        .env_remove("KUBEBUILDER_ASSETS")
        .env_remove("KEYSMITH_KUBECONFIG")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    for way in ["Go", "KEYSMITH_KUBECONFIG", "KUBEBUILDER_ASSETS"] {
        assert!(error.contains(way), "{way} is not in: {error}");
    }
}
