//! A release on a control plane of its own, with the operator that its Deployment describes.
//!
//! There is no kubelet, so the test is one: it runs the real binary with the arguments, the environment and the service
//! account of the pods that the release asks for, and tells the API server how a Job ended.

use crate::support::helm::{RELEASE, helm, said, strings};
use crate::support::plane;
use crate::support::process::{Keysmith, free_port};
use keysmith::emulator::{Emulator, serve};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpListener;

pub const ORG: &str = "org_test";
pub const TOKEN: &str = "ek_live_emulated-chart-token";
const NAMESPACE: &str = RELEASE.1;

/// The control plane, the vendor, and whatever runs as the operator.
pub struct Site {
    pub kubeconfig: PathBuf,
    pub vendor: Emulator,
    vendor_port: u16,
    operator: Option<Keysmith>,
    rounds: u32,
    /// The uid of the hook's Job that was played last.
    played: Value,
}

impl Site {
    /// A control plane without definitions, and a vendor.
    pub async fn new() -> Self {
        let folder = plane::folder().join("release");
        let nothing = plane::folder().join("no-definitions");
        std::fs::create_dir_all(&nothing).unwrap();
        let parent = std::process::id().to_string();
        let kubeconfig =
            plane::start_in(&folder, &["--crds", nothing.to_str().unwrap(), "--parent-pid", &parent]);
        let vendor = Emulator::new(jiff::Timestamp::now);
        vendor.edgee().add_organization(ORG);
        vendor.edgee().add_token(TOKEN, &[ORG]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vendor_port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(vendor.clone(), listener, std::future::pending()));
        Self { kubeconfig, vendor, vendor_port, operator: None, rounds: 0, played: Value::Null }
    }

    /// Runs helm against this control plane.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, String> {
        said(self.helm_command(arguments).output().unwrap())
    }

    fn helm_command(&self, arguments: &[&str]) -> Command {
        let mut command = helm();
        command.args(arguments).args(["--namespace", NAMESPACE]).arg("--kubeconfig").arg(&self.kubeconfig);
        command
    }

    /// Uninstalls the release: how its hook ended, and what helm said to that.
    pub async fn uninstall(&mut self) -> (i32, Result<String, String>) {
        let mut command = self.helm_command(&["uninstall", RELEASE.0, "--timeout", "60s"]);
        let helm = tokio::task::spawn_blocking(move || said(command.output().unwrap()));
        let (code, said) = tokio::join!(self.play_kubelet(), helm);
        (code, said.unwrap())
    }

    /// `install` or `upgrade` with the values of this site.
    pub fn release(&self, verb: &str, chart: &Path, more: &[&str]) -> Result<String, String> {
        let endpoints = format!("allowedEndpoints={{{}}}", self.origin());
        let chart = chart.to_str().unwrap();
        let arguments = [verb, RELEASE.0, chart, "--set", &endpoints, "--set", "pollInterval=2s"];
        self.helm(&[&arguments[..], more].concat())
    }

    /// Where the vendor is.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.vendor_port)
    }

    /// kubectl as the administrator: what it said, or why not.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("kubectl");
        said(command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).output().unwrap())
    }

    /// Applies objects as a user would.
    pub fn apply(&self, objects: &[Value]) {
        let path = Self::applied();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        std::fs::write(&path, list.to_string()).unwrap();
        self.kubectl(&["apply", "--server-side", "-f", path.to_str().unwrap()]).unwrap();
    }

    /// The file that was applied last.
    pub fn applied() -> PathBuf {
        plane::folder().join("apply.json")
    }

    /// One object, or a list, as JSON.
    pub fn get(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], arguments].concat()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Every resource of Keysmith.
    pub fn resources(&self) -> Vec<Value> {
        self.get(&["keysmith", "-A"])["items"].as_array().unwrap().clone()
    }

    /// Waits until `check` holds. The bound is generous: it ends a hopeless test, it proves nothing.
    pub async fn eventually(&self, what: &str, mut check: impl FnMut() -> Result<(), String>) {
        let mut last = String::new();
        for _ in 0..400 {
            match check() {
                Ok(()) => return,
                Err(reason) => last = reason,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let printed = self.operator.as_ref().map(Keysmith::printed).unwrap_or_default();
        panic!("never happened: {what}; at last: {last}\n{printed}");
    }

    /// A kubeconfig of the release's service account, with a token as the kubelet asks for one.
    fn as_service_account(&self) -> PathBuf {
        let token = self.kubectl(&["create", "token", "keysmith", "-n", NAMESPACE]).unwrap();
        let text = self.kubectl(&["config", "view", "--raw", "-o", "json"]).unwrap();
        let mut config: Value = serde_json::from_str(&text).unwrap();
        let user = config["contexts"][0]["context"]["user"].clone();
        config["users"] = json!([{"name": user, "user": {"token": token.trim()}}]);
        config["contexts"][0]["context"]["namespace"] = NAMESPACE.into();
        let path = plane::folder().join("service-account.kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// Runs what the first container of that pod template runs.
    fn run(&self, name: &str, pod: &Value) -> Keysmith {
        assert_eq!(pod["serviceAccountName"], "keysmith");
        let container = &pod["containers"][0];
        let arguments = strings(&container["args"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut environment: Vec<_> = container["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (text(&it["name"]), text(&it["value"])))
            .collect();
        let metrics = format!("127.0.0.1:{}", free_port());
        environment.push(("KEYSMITH_METRICS_ADDRESS".to_owned(), metrics));
        Keysmith::start_as(name, &self.as_service_account(), &arguments, &environment)
    }

    /// Starts what the Deployment asks for now, and ends what ran before, as a rollout would.
    pub async fn roll_out(&mut self) {
        self.shut_down().await;
        let deployment = self.get(&["deployment", "keysmith", "-n", NAMESPACE]);
        self.operator = Some(self.run("release", &deployment["spec"]["template"]["spec"]));
    }

    /// Ends the operator as a deleted pod ends.
    pub async fn shut_down(&mut self) {
        if let Some(operator) = self.operator.take() {
            operator.assert_silent();
            assert!(operator.terminate().await.success());
        }
    }

    /// Waits until the operator that runs now has looked at every resource and finds each of them Ready.
    pub async fn looked_at(&mut self) {
        self.rounds += 1;
        let round = format!("round-{}", self.rounds);
        let annotation = format!("keysmith.dev/reconcile-requested-at={round}");
        self.kubectl(&["annotate", "keysmith", "--all", "-A", "--overwrite", &annotation]).unwrap();
        self.eventually("everything was looked at and is Ready", || {
            for resource in self.resources() {
                let status = &resource["status"];
                let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
                let ready = conditions.iter().any(|it| it["type"] == "Ready" && it["status"] == "True");
                if !ready || status["lastHandledReconcileAt"] != round {
                    return Err(resource.to_string());
                }
            }
            Ok(())
        })
        .await;
    }

    /// Does with the Job of the uninstall hook what a kubelet and the Job controller would do.
    async fn play_kubelet(&mut self) -> i32 {
        let name = "keysmith-uninstall-check";
        // A Job of an earlier refusal is there until helm replaces it.
        let mut job = Value::Null;
        self.eventually("the hook makes its Job", || {
            let found = self.kubectl(&["get", "job", name, "-n", NAMESPACE, "-o", "json"])?;
            job = serde_json::from_str(&found).unwrap();
            if job["metadata"]["uid"] == self.played {
                Err("it is the former one".to_owned())
            } else {
                Ok(())
            }
        })
        .await;
        self.played = job["metadata"]["uid"].clone();
        let code = self.run("uninstall-check", &job["spec"]["template"]["spec"]).ended().await;
        let (now, ok) = (jiff::Timestamp::now().to_string(), code == 0);
        let conditions = if ok { ["SuccessCriteriaMet", "Complete"] } else { ["FailureTarget", "Failed"] };
        let conditions = conditions.map(|it| {
            json!({"type": it, "status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": now})
        });
        let mut status = json!({"startTime": now, "conditions": conditions, "ready": 0, "terminating": 0,
            "uncountedTerminatedPods": {}});
        status[if ok { "succeeded" } else { "failed" }] = 1.into();
        if ok {
            status["completionTime"] = now.into();
        }
        let patch = json!({"status": status}).to_string();
        let arguments = [
            "patch",
            "job",
            name,
            "-n",
            NAMESPACE,
            "--subresource",
            "status",
            "--type",
            "merge",
            "-p",
            &patch,
        ];
        self.kubectl(&arguments).unwrap();
        code
    }
}
