//! The real control plane: started once per test program by `tests/controlplane/cluster`, ended with it.

use http::{Method, Request};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tower::ServiceBuilder;

static KUBECONFIG: OnceLock<PathBuf> = OnceLock::new();

/// The path of the kubeconfig, once the control plane runs.
pub fn kubeconfig() -> PathBuf {
    KUBECONFIG.get_or_init(start).clone()
}

/// A folder of this test program's own, below cargo's target folder.
pub fn folder() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let name = exe.file_stem().unwrap().to_string_lossy().into_owned();
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("plane-{name}"))
}

fn start() -> PathBuf {
    start_in(&folder(), &["--parent-pid", &std::process::id().to_string()])
}

/// Starts a control plane in a folder. It ends with this process, or by `stop_in`.
pub fn start_in(folder: &std::path::Path, arguments: &[&str]) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/controlplane/cluster");
    // What an earlier run left behind is removed first: its objects are not ours.
    let _ = Command::new("bash").args([script, "down", "--dir"]).arg(folder).output();
    let output =
        Command::new("bash").args([script, "up", "--dir"]).arg(folder).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let path = text.lines().last().and_then(|line| line.strip_prefix("export KUBECONFIG=")).unwrap();
    PathBuf::from(path.trim_matches('\''))
}

async fn config() -> Config {
    let path = tokio::task::spawn_blocking(kubeconfig).await.unwrap();
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    config
}

/// A client for somebody with kubectl.
///
/// It waits and tries again where the server is not ready (429), as kubectl does: one story replaces a definition, and
/// the server then sets up the storage of that kind anew, for all stories that run beside it.
pub async fn client() -> Client {
    let mut config = config().await;
    config.default_retry = true;
    Client::try_from(config).unwrap()
}

/// What an operator wrote.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    /// Verb and resource of every write, events apart.
    pub fn writes(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record<B>(&self, request: &Request<B>) {
        let verb = match *request.method() {
            Method::GET => return,
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            _ => "delete",
        };
        // /api/v1/namespaces/<ns>/<resource>[/<name>[/<subresource>]], or one longer for named groups.
        let parts: Vec<_> = request.uri().path().trim_matches('/').split('/').collect();
        let after = parts.iter().position(|it| *it == "namespaces").map_or(0, |at| at + 2);
        let resource = parts.get(after).copied().unwrap_or_default();
        if resource == "events" {
            return;
        }
        let line = match parts.get(after + 2) {
            Some(subresource) => format!("{verb} {resource}/{subresource}"),
            None => format!("{verb} {resource}"),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// A client whose writes are recorded.
pub async fn recorded(recorder: &Recorder) -> Client {
    let recorder = recorder.clone();
    let layer = ServiceBuilder::new().map_request(move |request: Request<kube::client::Body>| {
        recorder.record(&request);
        request
    });
    ClientBuilder::try_from(config().await).unwrap().with_layer(&layer.into_inner()).build()
}
