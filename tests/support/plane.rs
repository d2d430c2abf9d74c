//! The real control plane: started once per test program by `tests/controlplane/cluster`, ended with it.

use super::policies;
use super::rights::Account;
use http::{Method, Request};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::client::ClientBuilder;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tower::ServiceBuilder;

static KUBECONFIG: OnceLock<PathBuf> = OnceLock::new();

/// The path of the kubeconfig, once the control plane runs.
pub fn kubeconfig() -> PathBuf {
    KUBECONFIG.get_or_init(start).clone()
}

/// The folder of this test program, in cargo's target folder.
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
    // Removes the control plane of an earlier run, with its objects.
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

/// A client for a user with kubectl.
///
/// It retries while the server is not ready (429), as kubectl does: one story replaces a definition, and the server then
/// sets up the storage of that kind again, for all concurrent stories.
pub async fn client() -> Client {
    let mut config = config().await;
    config.default_retry = true;
    let client = Client::try_from(config).unwrap();
    POLICIES.get_or_init(async || policies::install(&client).await).await;
    client
}

/// The admission policies, installed once.
static POLICIES: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();

/// A client with the token of that operator, as a thief has it.
pub async fn client_of(account: &Account) -> Client {
    with_token(account.token(&client().await).await).await
}

/// A client with the token of a service account.
pub async fn client_of_service_account(namespace: &str, name: &str) -> Client {
    let accounts: Api<ServiceAccount> = Api::namespaced(client().await, namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() }),
        ..TokenRequest::default()
    };
    let made = accounts.create_token_request(name, &PostParams::default(), &request).await.unwrap();
    with_token(made.status.unwrap().token.unwrap()).await
}

async fn with_token(token: String) -> Client {
    let mut config = config().await;
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    Client::try_from(config).unwrap()
}

/// A request, in the terms of RBAC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The API group.
    pub group: String,
    /// Plural, with the subresource behind a slash.
    pub resource: String,
    /// The namespace; `None` for cluster-scoped requests and requests for all namespaces.
    pub namespace: Option<String>,
    /// The name; `None` for requests for all objects, and for new objects without a name.
    pub name: Option<String>,
    /// Whether it is a dry run.
    pub dry_run: bool,
}

impl Asked {
    /// `None` if the request is not for a resource, such as discovery.
    fn new<B>(request: &Request<B>) -> Option<Self> {
        // /api/v1/… or /apis/<group>/<version>/…, then [namespaces/<ns>/]<resource>[/<name>[/<subresource>]]
        let mut parts: Vec<_> = request.uri().path().trim_matches('/').split('/').collect();
        let group = match parts.first()? {
            &"api" => "",
            _ => parts.get(1)?,
        };
        parts.drain(..if group.is_empty() { 2 } else { 3 }.min(parts.len()));
        let mut namespace = None;
        if parts.first() == Some(&"namespaces") {
            // A namespace counts as in itself.
            namespace = parts.get(1).copied();
            if parts.len() > 2 {
                parts.drain(..2);
            }
        }
        let query = request.uri().query().unwrap_or_default();
        let selected = query.split('&').find_map(|it| it.strip_prefix("fieldSelector=metadata.name%3D"));
        let name = parts.get(1).copied().or(selected);
        let verb = match *request.method() {
            Method::GET if query.split('&').any(|it| it == "watch=true") => "watch",
            Method::GET if parts.len() > 1 => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            _ if parts.len() > 1 => "delete",
            _ => "deletecollection",
        };
        let resource = match parts.get(2) {
            Some(subresource) => format!("{}/{subresource}", parts[0]),
            None => (*parts.first()?).to_owned(),
        };
        Some(Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            dry_run: query.split('&').any(|it| it == "dryRun=All"),
        })
    }
}

/// The requests of an operator to the API server.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Vec<Asked>>>);

impl Recorder {
    /// Every request for a resource.
    pub fn requests(&self) -> Vec<Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Verb and resource of every write, except events.
    pub fn writes(&self) -> Vec<String> {
        let requests = self.requests().into_iter();
        let writes =
            requests.filter(|it| !it.dry_run && !["get", "list", "watch"].contains(&it.verb.as_str()));
        writes.filter(|it| it.resource != "events").map(|it| format!("{} {}", it.verb, it.resource)).collect()
    }

    fn record<B>(&self, request: &Request<B>) {
        if let Some(asked) = Asked::new(request) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        }
    }
}

/// A client of that operator, with exactly the rights that the chart grants. Every request is recorded.
pub async fn recorded(recorder: &Recorder, account: &Account) -> Client {
    let mut config = config().await;
    let token = account.token(&client().await).await;
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    account.settled(&Client::try_from(config.clone()).unwrap()).await;
    let recorder = recorder.clone();
    let layer = ServiceBuilder::new().map_request(move |request: Request<kube::client::Body>| {
        recorder.record(&request);
        request
    });
    ClientBuilder::try_from(config).unwrap().with_layer(&layer.into_inner()).build()
}

/// A kubeconfig of that operator for the binary.
pub async fn kubeconfig_of(account: &Account) -> PathBuf {
    let token = account.token(&client().await).await;
    let mut config = config().await;
    config.auth_info = AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() };
    account.settled(&Client::try_from(config).unwrap()).await;
    let text = std::fs::read_to_string(kubeconfig()).unwrap();
    let mut file: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    let user = file["contexts"][0]["context"]["user"].clone();
    file["users"] = serde_json::json!([{"name": user, "user": {"token": token}}]);
    file["contexts"][0]["context"]["namespace"] = account.own.clone().into();
    let path = folder().join(format!("{}.kubeconfig", account.name));
    std::fs::create_dir_all(folder()).unwrap();
    std::fs::write(&path, file.to_string()).unwrap();
    path
}
