//! A control plane with Keysmith, as the binary that users run, and an emulated vendor.

use super::plane;
use super::process::{self, Keysmith, free_port};
use keysmith::emulator::{Emulator, serve};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// The token of the vendor's console.
pub const TOKEN: &str = "ek_live_emulated-0-story";
/// Nothing takes longer, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The folder of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A control plane with Keysmith and an emulated vendor.
pub struct Ground {
    /// Files of this run.
    pub folder: PathBuf,
    pub kubeconfig: PathBuf,
    pub vendor: Emulator,
    /// The vendor's port on loopback.
    pub port: u16,
    /// More arguments of the operator.
    more: Vec<String>,
    pub operator: Mutex<Option<Keysmith>>,
}

impl Ground {
    pub async fn new(name: &str) -> Self {
        Self::with(name, &[]).await
    }

    /// With more arguments of the operator.
    pub async fn with(name: &str, more: &[&str]) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ground-{name}"));
        let plane_folder = folder.join("plane");
        std::fs::create_dir_all(&folder).unwrap();
        let parent = std::process::id().to_string();
        let kubeconfig =
            tokio::task::spawn_blocking(move || plane::start_in(&plane_folder, &["--parent-pid", &parent]));
        let kubeconfig = kubeconfig.await.unwrap();
        let vendor = Emulator::new(jiff::Timestamp::now);
        vendor.edgee().add_organization("org_12345");
        vendor.edgee().add_token(TOKEN, &["org_12345"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(vendor.clone(), listener, std::future::pending()));
        let more = more.iter().copied().map(str::to_owned).collect();
        let ground = Self { folder, kubeconfig, vendor, port, more, operator: Mutex::default() };
        ground.kubectl(&["apply", "--server-side", "-f", root().join("crds").to_str().unwrap()]);
        ground.kubectl(&["create", "namespace", "shop"]);
        ground.start_operator().await;
        ground
    }

    pub async fn start_operator(&self) {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let metrics = format!("127.0.0.1:{}", free_port());
        let name = format!("{}-operator", self.folder.file_name().unwrap().display());
        let mut arguments = vec![
            "run",
            "--allowed-endpoints",
            &endpoint,
            "--metrics-address",
            &metrics,
            "--poll-interval",
            "2s",
        ];
        arguments.extend(self.more.iter().map(String::as_str));
        let operator = Keysmith::start_as(&name, &self.kubeconfig, &arguments, &[]);
        *self.operator.lock().unwrap() = Some(operator);
        self.eventually("the operator is ready", async || match process::get(&metrics, "/readyz").await {
            Some((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    pub async fn stop_operator(&self) {
        let operator = self.operator.lock().unwrap().take().unwrap();
        assert!(operator.terminate().await.success());
    }

    pub fn command(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let output =
            Command::new(program).args(arguments).env("KUBECONFIG", &self.kubeconfig).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.command("kubectl", arguments).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    pub fn get(&self, arguments: &[&str]) -> Value {
        let arguments = [&["get", "-o", "json"], arguments].concat();
        self.command("kubectl", &arguments).map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    pub fn apply(&self, name: &str, object: &Value) {
        let file = self.folder.join(format!("{name}.json"));
        std::fs::write(&file, object.to_string()).unwrap();
        self.kubectl(&["apply", "--server-side", "-f", file.to_str().unwrap()]);
    }

    pub fn secret(&self, name: &str, entry: &str, value: &str) {
        let metadata = json!({"name": name, "namespace": "shop"});
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {entry: value}});
        self.apply(name, &secret);
    }

    pub async fn eventually<T>(&self, what: &str, mut check: impl AsyncFnMut() -> Result<T, String>) -> T {
        let began = Instant::now();
        loop {
            match check().await {
                Ok(value) => return value,
                Err(last) => assert!(began.elapsed() < PATIENCE, "never happened: {what}; at last: {last}"),
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Ids of the keys at the vendor.
    pub fn keys(&self) -> Vec<String> {
        self.vendor.edgee().keys("org_12345").into_iter().map(|it| it.id).collect()
    }

    pub async fn until_keys(&self, what: &str, wanted: impl Fn(&[String]) -> bool) {
        self.eventually(what, async || {
            let keys = self.keys();
            if wanted(&keys) { Ok(()) } else { Err(format!("{keys:?}")) }
        })
        .await;
    }
}
