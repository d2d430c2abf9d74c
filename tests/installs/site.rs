//! A cluster for one installation: a control plane without definitions, a node, and a vendor.

use crate::support::helm::{RELEASE, helm, said};
use crate::support::node::{self, Engine, VENDOR};
use crate::support::process::printed_by;
use crate::support::{canary, image, plane};
use keysmith::emulator::edgee::DataPlaneAnswer;
use keysmith::emulator::{Emulator, serve};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// The organization id that the documentation uses.
pub const ORG: &str = "org_12345";
pub const TOKEN: &str = "ek_live_emulated-install-token";
pub const NAMESPACE: &str = RELEASE.1;

/// A resource of Keysmith in the namespace of the applications.
pub fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "keysmith.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

pub struct Site {
    name: &'static str,
    pub kubeconfig: PathBuf,
    pub vendor: Emulator,
    vendor_port: u16,
    rounds: u32,
    _node: AbortOnDropHandle<()>,
}

impl Site {
    pub async fn new(name: &'static str, engine: Engine) -> Self {
        let nothing = plane::folder().join("no-definitions");
        std::fs::create_dir_all(&nothing).unwrap();
        let parent = std::process::id().to_string();
        let arguments = ["--crds", nothing.to_str().unwrap(), "--parent-pid", &parent];
        let kubeconfig = plane::start_in(&plane::folder().join(name), &arguments);
        let node = node::start(&kubeconfig, NAMESPACE, engine, name).await;
        let vendor = Emulator::new(jiff::Timestamp::now);
        vendor.edgee().add_organization(ORG);
        vendor.edgee().add_token(TOKEN, &[ORG]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vendor_port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(vendor.clone(), listener, std::future::pending()));
        Self { name, kubeconfig, vendor, vendor_port, rounds: 0, _node: node }
    }

    /// The address of the vendor for pods.
    pub fn origin(&self) -> String {
        format!("http://{VENDOR}:{}", self.vendor_port)
    }

    /// The spec of a ConsoleToken for this vendor, with its token in the Secret `edgee-console`.
    pub fn console_token(&self) -> Value {
        json!({"vendor": {"edgee": {"organizationId": ORG}}, "endpoint": format!("{}/edgee", self.origin()),
            "secretRef": {"name": "edgee-console", "key": "token"}})
    }

    /// The folder of this site.
    pub fn folder(&self) -> PathBuf {
        image::folder(&format!("site-{}", self.name))
    }

    /// Runs helm against this control plane, for the release in the usual namespace.
    pub fn helm(&self, arguments: &[&str]) -> Result<String, String> {
        self.helm_anywhere(&[arguments, &["--namespace", NAMESPACE]].concat())
    }

    /// Runs helm against this control plane.
    pub fn helm_anywhere(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = helm();
        said(command.args(arguments).arg("--kubeconfig").arg(&self.kubeconfig).output().unwrap())
    }

    /// `install` or `upgrade` with the values of this site, until its pods are Ready.
    pub fn release(&self, verb: &str, chart: &Path, more: &[&str]) {
        let endpoints = format!("allowedEndpoints={{{}}}", self.origin());
        let repository = format!("image.repository={}/keysmith", image::REGISTRY);
        // The previous chart would name an image that does not exist any more.
        let tag = format!("image.tag={}", env!("CARGO_PKG_VERSION"));
        let mut arguments = vec![verb, RELEASE.0, chart.to_str().unwrap(), "--wait", "--timeout", "90s"];
        for value in [&*endpoints, &repository, &tag, "pollInterval=2s"] {
            arguments.extend(["--set", value]);
        }
        if let Err(error) = self.helm(&[&arguments[..], more].concat()) {
            panic!("{verb}: {error}\n{}", self.diagnosis());
        }
    }

    /// kubectl as the administrator: its output, or its error.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("kubectl");
        said(command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).output().unwrap())
    }

    /// Applies objects as a user would, from that file.
    pub fn apply(&self, objects: &[Value], path: &Path) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        std::fs::write(path, list.to_string()).unwrap();
        self.kubectl(&["apply", "--server-side", "-f", path.to_str().unwrap()]).unwrap();
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

    /// The ids of the keys that the vendor has.
    pub fn keys(&self) -> Vec<String> {
        self.vendor.edgee().keys(ORG).into_iter().map(|it| it.id).collect()
    }

    /// Asserts that applications can call the gateway with the key in that Secret.
    pub fn assert_works(&self, secret: &str) {
        let template = "go-template={{.data.key | base64decode}}";
        let key = self.kubectl(&["get", "secret", secret, "-n", "shop", "-o", template]).unwrap();
        assert_eq!(self.vendor.edgee().check(&key, None), DataPlaneAnswer::Accepted, "{secret}");
    }

    /// Waits until `check` holds. The bound is generous: it only ends a hopeless test.
    pub async fn eventually(&self, what: &str, mut check: impl FnMut() -> Result<(), String>) {
        let mut last = String::new();
        for _ in 0..400 {
            match check() {
                Ok(()) => return,
                Err(reason) => last = reason,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("never happened: {what}; at last: {last}\n{}", self.diagnosis());
    }

    /// Waits until the present operator has reconciled every resource and each of them is Ready.
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

    /// Waits until no pod of the operator exists.
    pub async fn stopped(&self) {
        let operator = "app.kubernetes.io/name=keysmith,app.kubernetes.io/component!=uninstall-check";
        self.eventually("the operator is gone", || {
            match &self.get(&["pods", "-n", NAMESPACE, "-l", operator])["items"] {
                pods if *pods == json!([]) => Ok(()),
                pods => Err(pods.to_string()),
            }
        })
        .await;
    }

    /// The logs of all pods so far.
    fn printed(&self) -> String {
        let printed = printed_by(&format!("{}-", self.name));
        assert!(!printed.is_empty());
        printed
    }

    /// Fails if a pod printed a secret.
    pub fn assert_silent(&self) {
        assert_eq!(canary::secret_in(&self.printed()), None, "a secret in what a pod printed");
    }

    /// Fails if a request of the service account was refused.
    ///
    /// Not to be called after an uninstallation or a rollback: they remove rights before the pods end.
    pub fn assert_rights_sufficed(&self) {
        assert_eq!(self.refusals(), Vec::<String>::new(), "it needs more rights");
    }

    /// The lines about refused requests that pods printed so far.
    pub fn refusals(&self) -> Vec<String> {
        let printed = self.printed();
        let refused = printed.lines().filter(|it| it.contains("Forbidden") || it.contains("(403)"));
        refused.map(str::to_owned).collect()
    }

    /// The diagnosis for a failed wait.
    fn diagnosis(&self) -> String {
        let objects = self.kubectl(&["get", "deployments,jobs,pods,leases", "-n", NAMESPACE, "-o", "wide"]);
        let printed = printed_by(&format!("{}-", self.name));
        let last: Vec<_> = printed.lines().rev().take(40).collect();
        let last: Vec<_> = last.into_iter().rev().collect();
        format!("{}\n{}", objects.unwrap_or_else(|it| it), last.join("\n"))
    }
}
