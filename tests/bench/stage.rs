//! What is measured, as processes of their own: the control plane, the emulator and the operator.

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use keysmith::api::{ConsoleToken, GatewayApiKey};
use keysmith::gateway::transport::{Https, Network, Transport};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Requests in flight of the floor client, and of what prepares a run.
pub const CONCURRENCY: usize = 16;
/// Keys of one account: fewer than the burst that a driver allows itself, so that no vendor limit counts.
pub const KEYS_PER_ACCOUNT: usize = 40;
/// Number of namespaces that the keys are spread over.
const NAMESPACES: usize = 10;
/// Page size of lists.
const PAGE: u32 = 500;

/// A process that ends with the benchmark.
pub struct Process(Child);

impl Process {
    fn start(folder: &Path, name: &str, command: &mut Command) -> Self {
        let log = File::create(folder.join(format!("{name}.log"))).expect("a log file");
        let errors = log.try_clone().expect("a log file");
        let child = command.stdout(log).stderr(errors).stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{name} does not start: {error}")))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let sent = Command::new("kill").arg(self.id().to_string()).status();
        assert!(sent.is_ok_and(|it| it.success()), "SIGTERM could not be sent");
    }

    /// Stops it by SIGTERM, and waits for its end.
    pub fn stop(mut self) {
        self.terminate();
        self.0.wait().expect("the process ends");
    }

    /// Ends it by SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().expect("SIGKILL could not be sent");
        self.0.wait().expect("the process ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A fresh control plane and a fresh emulator.
pub struct Stage {
    pub client: Client,
    pub folder: PathBuf,
    pub emulator: String,
    transport: Https,
    kubeconfig: PathBuf,
    #[expect(dead_code, reason = "it ends with the stage")]
    emulating: Process,
}

impl Stage {
    /// Starts both; what an earlier run left is removed. Every vendor call takes that long.
    pub async fn set(latency: Duration) -> Self {
        let folder = folder();
        std::fs::create_dir_all(&folder).expect("a folder in target");
        let kubeconfig = control_plane(&folder.join("plane"));
        let read = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
        let mut config =
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.expect("a cluster");
        config.default_retry = false;
        let client = Client::try_from(config).expect("a client");
        let address = format!("127.0.0.1:{}", free_port());
        let mut emulate = Command::new(binary());
        let emulating = Process::start(&folder, "emulator", emulate.args(["emulate", "--listen", &address]));
        let network = Network { private_hosts: ["127.0.0.1".to_owned()].into(), ..Network::default() };
        let transport = Https::new(network).expect("a transport");
        let stage =
            Self { client, folder, emulator: format!("http://{address}"), transport, kubeconfig, emulating };
        stage.await_emulator().await;
        if !latency.is_zero() {
            let delay = json!({"effect": {"kind": "delay", "millis": latency.as_millis()}});
            stage.call(Method::POST, "/_emulator/faults", "", Some(delay)).await;
        }
        stage
    }

    /// Whether there is a 200 at this URL.
    pub async fn answers(&self, url: &str) -> bool {
        let request = Request::get(url).body(Bytes::new()).expect("a request");
        self.transport.send(request).await.is_ok_and(|it| it.status().is_success())
    }

    /// The text at this URL.
    pub async fn text(&self, url: &str) -> String {
        let request = Request::get(url).body(Bytes::new()).expect("a request");
        let answer = self.transport.send(request).await.unwrap_or_else(|fault| panic!("{url}: {fault}"));
        String::from_utf8_lossy(answer.body()).into_owned()
    }

    async fn await_emulator(&self) {
        for _ in 0..200 {
            if self.answers(&format!("{}/_emulator/state", self.emulator)).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the emulator does not answer");
    }

    /// Calls the emulator.
    pub async fn call(&self, method: Method, path: &str, token: &str, body: Option<Value>) -> Value {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.emulator));
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json");
        let body = body.map(|it| Bytes::from(it.to_string())).unwrap_or_default();
        let answer = self.transport.send(request.body(body).expect("a request")).await;
        let answer = answer.unwrap_or_else(|fault| panic!("{path}: {fault}"));
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_slice(answer.body()).unwrap_or_default()
    }

    /// How many vendor calls had this method, or any if it is empty, and this text in their path.
    pub async fn calls(&self, method: &str, path: &str) -> u64 {
        let method = if method.is_empty() { String::new() } else { format!("&method={method}") };
        let query = format!("/_emulator/counts?pathContains={path}{method}");
        self.call(Method::GET, &query, "", None).await["calls"].as_u64().expect("a number")
    }

    /// Starts the operator.
    pub fn operator(&self, arguments: &[&str]) -> Process {
        self.operator_at(0, arguments)
    }

    /// Starts the operator with its health endpoint at this port; 0 is any.
    pub fn operator_at(&self, port: u16, arguments: &[&str]) -> Process {
        let mut command = Command::new(measured());
        let address = format!("127.0.0.1:{port}");
        command.args(["run", "--metrics-address", &address, "--allowed-endpoints", &self.emulator]);
        command.args(arguments).env("KUBECONFIG", &self.kubeconfig).env_remove("KEYSMITH_LOG_LEVEL");
        Process::start(&self.folder, "operator", &mut command)
    }

    /// Starts the operator that Keysmith is compared with.
    pub fn peer(&self, binary: &Path, arguments: &[&str]) -> Process {
        let mut command = Command::new(binary);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        Process::start(&self.folder, "peer", &mut command)
    }

    /// Creates a ConsoleToken per account, for so many keys.
    pub async fn add_tokens(&self, keys: usize) {
        let accounts = keys.div_ceil(KEYS_PER_ACCOUNT);
        stream::iter(0..accounts).for_each_concurrent(CONCURRENCY, |account| self.add_token(account)).await;
    }

    async fn add_token(&self, account: usize) {
        let (organization, token, namespace) = (organization(account), token(account), namespace(account));
        // The floor client has an organization of its own: what it made is in no listing of the operator.
        let organizations = [organization.clone(), floor_organization(account)];
        for id in &organizations {
            self.call(Method::POST, "/_emulator/edgee/organizations", "", Some(json!({"id": id}))).await;
        }
        let grant = json!({"token": token, "organizations": organizations});
        self.call(Method::POST, "/_emulator/edgee/tokens", "", Some(grant)).await;
        let name = format!("account-{account}");
        let space = json!({"metadata": {"name": namespace}});
        let spaces: Api<Namespace> = Api::all(self.client.clone());
        // Accounts share namespaces: most of them exist already.
        let _ = spaces.create(&PostParams::default(), &object(space)).await;
        let secret =
            json!({"metadata": {"name": name, "namespace": namespace}, "stringData": {"token": token}});
        create::<Secret>(&self.client, &namespace, secret).await;
        let spec = json!({
            "vendor": {"edgee": {"organizationId": organization}},
            "endpoint": format!("{}/edgee", self.emulator),
            "gatewayUrl": format!("{}/edgee-gateway/", self.emulator),
            "secretRef": {"name": name, "key": "token"},
        });
        let metadata = json!({"name": name, "namespace": namespace});
        create::<ConsoleToken>(&self.client, &namespace, json!({"metadata": metadata, "spec": spec})).await;
    }

    /// Creates GatewayApiKeys with numbers from `from` to `to`.
    pub async fn add_keys(&self, prefix: &str, from: usize, to: usize) {
        stream::iter(from..to).for_each_concurrent(CONCURRENCY, |number| self.add_key(prefix, number)).await;
    }

    /// Creates the GatewayApiKey of that number.
    pub async fn add_key(&self, prefix: &str, number: usize) {
        self.add_key_of(number / KEYS_PER_ACCOUNT, &format!("{prefix}-{number}"), json!({})).await;
    }

    /// Creates a GatewayApiKey of that account, with these fields beside the usual ones.
    pub async fn add_key_of(&self, account: usize, name: &str, fields: Value) {
        let mut spec = json!({"consoleTokenRef": {"name": format!("account-{account}")}, "displayName": "Checkout backend"});
        for (field, value) in fields.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let metadata = json!({"name": name, "namespace": namespace(account)});
        create::<GatewayApiKey>(
            &self.client,
            &namespace(account),
            json!({"metadata": metadata, "spec": spec}),
        )
        .await;
    }

    /// Every GatewayApiKey.
    pub async fn keys(&self) -> Vec<GatewayApiKey> {
        list(&self.client, PAGE).await
    }

    /// The namespace of an account.
    pub fn namespace(account: usize) -> String {
        namespace(account)
    }

    /// Size of the binary that is measured, in MB.
    pub fn binary_mb() -> f64 {
        std::fs::metadata(measured()).expect("the binary").len() as f64 / 1e6
    }

    /// Deletes what the floor client made.
    pub async fn clear(&self) {
        for account in 0..NAMESPACES {
            let keys: Api<GatewayApiKey> = Api::namespaced(self.client.clone(), &namespace(account));
            let all = ListParams::default();
            keys.delete_collection(&DeleteParams::default(), &all).await.expect("keys are deleted");
            let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace(account));
            let made = ListParams::default().labels("bench=floor");
            secrets.delete_collection(&DeleteParams::default(), &made).await.expect("Secrets are deleted");
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controlplane/cluster");
        let _ = Command::new("bash").args([script, "down", "--dir"]).arg(self.folder.join("plane")).output();
    }
}

/// The organization of an account at the emulated vendor.
fn organization(account: usize) -> String {
    format!("org_{account}")
}

/// That of the floor client.
pub fn floor_organization(account: usize) -> String {
    format!("org_floor_{account}")
}

/// The obviously fake token of an account.
pub fn token(account: usize) -> String {
    format!("fake-console-token-{account}")
}

fn namespace(account: usize) -> String {
    format!("bench-{}", account % NAMESPACES)
}

/// Every GatewayApiKey, in pages of that size.
pub async fn list(client: &Client, page: u32) -> Vec<GatewayApiKey> {
    let keys: Api<GatewayApiKey> = Api::all(client.clone());
    let mut params = ListParams::default().limit(page);
    let mut all = Vec::new();
    loop {
        let found = keys.list(&params).await.expect("a list");
        all.extend(found.items);
        match found.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return all,
        }
    }
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("an object")
}

async fn create<K>(client: &Client, namespace: &str, value: Value)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    api.create(&PostParams::default(), &object(value)).await.expect("an object is created");
}

/// The binary that is measured.
fn measured() -> PathBuf {
    std::env::var_os("KEYSMITH_BENCH_BINARY").map_or_else(binary, PathBuf::from)
}

/// The binary that ships, built beside this program.
fn binary() -> PathBuf {
    let here = std::env::current_exe().expect("the path of this program");
    let folder = here.parent().and_then(Path::parent).expect("target/release");
    folder.join("keysmith")
}

/// Where a run leaves its logs: target/bench.
pub fn folder() -> PathBuf {
    let built = binary();
    built.parent().and_then(Path::parent).expect("the target folder").join("bench")
}

fn control_plane(folder: &Path) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controlplane/cluster");
    let _ = Command::new("bash").args([script, "down", "--dir"]).arg(folder).output();
    let mut up = Command::new("bash");
    up.args([script, "up", "--parent-pid", &std::process::id().to_string(), "--dir"]).arg(folder);
    let output = up.output().expect("bash");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let path = text.lines().last().and_then(|line| line.strip_prefix("export KUBECONFIG="));
    PathBuf::from(path.expect("a kubeconfig").trim_matches('\''))
}

/// A port that nothing listens at.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
