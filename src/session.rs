//! What the commands work with: connections to Kubernetes and to the vendors. A command runs beside the operator, with
//! the rights of the person who runs it.

use crate::api::console_token::CaBundleRef;
use crate::api::{ClusterConsoleToken, ConsoleToken, GROUP, GatewayApiKey};
use crate::cluster::ca_bundle;
use crate::cluster::ledger::Ledger;
use crate::cluster::object::{self, Managed};
use crate::cluster::secret::Secrets;
use crate::cluster::{is_missing, sentence};
use crate::columns::printable;
use crate::gateway::Vendors;
use crate::gateway::account::{Account, Parts};
use crate::gateway::authorities::Authorities;
use crate::gateway::http::Wire;
use crate::gateway::shares::{Membership, Shares};
use crate::gateway::transport::Transport;
use crate::output::Failure;
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::naming::ClusterId;
use crate::plan::token::Endpoints;
use crate::plan::token::bundle_invalid;
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::config::KubeconfigError;
use kube::core::DeserializeGuard;
use kube::{Api, Client, Config, ResourceExt};
use serde_json::{Value, json};
use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

/// The session of one command.
pub struct Session {
    /// Kubernetes.
    pub client: Client,
    /// The transport to the vendors.
    pub transport: Arc<dyn Transport>,
    /// The time.
    pub clock: Clock,
    /// Origins that credentials may be sent to, in addition to the vendors' own.
    pub endpoints: Endpoints,
    /// The registry of vendors.
    pub vendors: Vendors,
    /// The namespace of the Secrets of ClusterConsoleTokens.
    pub home: String,
}

/// A read of the API server, as its error message describes it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The verb, as RBAC calls it.
    pub verb: &'static str,
    /// The resource, as RBAC calls it.
    pub resource: &'static str,
    /// The name of the resource in messages.
    pub what: &'static str,
    /// The namespace; all of them when `None`.
    pub namespace: Option<String>,
}

impl Request {
    const fn list(resource: &'static str, what: &'static str, namespace: Option<String>) -> Self {
        Self { verb: "list", resource, what, namespace }
    }

    /// An adapter for `map_err`.
    pub fn unread(self) -> impl FnOnce(kube::Error) -> Unread {
        move |source| Unread { request: self, source: Box::new(source) }
    }
}

/// All resources that may account for keys.
pub const EVERYTHING: Request =
    Request::list("consoletokens and gatewayapikeys", "the resources of all namespaces", None);

/// A read that failed.
#[derive(Debug)]
pub struct Unread {
    /// The failed request.
    pub request: Request,
    /// The error of the API server.
    pub source: Box<kube::Error>,
}

impl std::error::Error for Unread {}

impl fmt::Display for Unread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { verb, resource, what, namespace } = &self.request;
        let group = if *resource == "namespaces" { String::new() } else { format!(" of {GROUP}") };
        let place = namespace.as_ref().map_or("all namespaces".to_owned(), |it| format!("namespace {it}"));
        match self.source.as_ref() {
            kube::Error::Api(status) if status.code == 403 => write!(
                formatter,
                "{what} cannot be read: forbidden (403); grant the right to {verb} {resource}{group} in {place}"
            ),
            kube::Error::Api(status) if status.code == 404 && !group.is_empty() => write!(
                formatter,
                "Keysmith is not installed in this cluster: it does not serve {resource}{group}; install the chart, or the \
                 definitions alone with kubectl apply --server-side -f crds/"
            ),
            other => write!(formatter, "{what} cannot be read: {}", sentence(other)),
        }
    }
}

/// A connection to Kubernetes.
pub struct Kubernetes {
    /// The client, without kube's automatic retries: each caller decides about retries.
    pub client: Client,
    /// The namespace that the kubeconfig or the pod names.
    pub namespace: String,
}

impl Kubernetes {
    /// Connects by the kubeconfig, or by the pod's service account, and checks that an API server answers.
    pub async fn connect() -> Result<Self, Failure> {
        let config = config().await?;
        let (namespace, url) = (config.default_namespace.clone(), shown(&config));
        let client = client(config)?;
        match client.apiserver_version().await {
            // Any API error proves that an API server answers.
            Ok(_) | Err(kube::Error::Api(_)) => Ok(Self { client, namespace }),
            Err(error) => Err(format!("{url}: {}", sentence(&error)).into()),
        }
    }

    /// Reports a namespace that does not exist. A namespace that may not be read may exist.
    pub async fn check_namespace(&self, flag: &str, namespace: &str) -> Result<(), Failure> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        match namespaces.get_metadata(namespace).await {
            Err(error) if is_missing(&error) => Err(format!(
                "{flag} {namespace}: there is no such namespace; kubectl get namespaces lists them"
            )
            .into()),
            _ => Ok(()),
        }
    }
}

/// The address of the API server, without the parts that may be a credential.
pub fn shown(config: &Config) -> String {
    let url = &config.cluster_url;
    let (scheme, host) = (url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default());
    let port = url.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{host}{port}")
}

/// The configuration with kube's automatic retries off. A retried create would meet its own object as "already exists",
/// and a retried compare-and-swap its own write as a conflict.
pub async fn config() -> Result<Config, Failure> {
    let mut config = Config::infer().await.map_err(|error| unconfigured(&error))?;
    config.default_retry = false;
    Ok(config)
}

/// The client of a configuration.
pub fn client(config: Config) -> Result<Client, Failure> {
    let url = shown(&config);
    Client::try_from(config).map_err(|error| {
        let why = match &error {
            kube::Error::Auth(_) => sentence(&error),
            _ => "the certificates, key or proxy that the kubeconfig names cannot be used".to_owned(),
        };
        format!("{url}: {why}").into()
    })
}

/// Explains an invalid kubeconfig. Its text is not repeated, because it holds credentials.
fn unconfigured(error: &kube::config::InferConfigError) -> Failure {
    let asked = std::env::var_os("KUBECONFIG").filter(|it| !it.is_empty());
    let cause = error.source().and_then(|it| it.downcast_ref::<KubeconfigError>());
    let why = match cause {
        Some(KubeconfigError::ReadConfig(error, _))
            if asked.is_none() && error.kind() == ErrorKind::NotFound =>
        {
            "there is no kubeconfig and no pod's service account; set KUBECONFIG or write ~/.kube/config"
                .to_owned()
        }
        Some(KubeconfigError::ReadConfig(error, path)) => {
            let why = match error.kind() {
                ErrorKind::NotFound => "it does not exist",
                ErrorKind::PermissionDenied => "permission denied",
                _ => "it is no file that can be read",
            };
            format!("the kubeconfig {} cannot be read: {why}", path.display())
        }
        Some(KubeconfigError::LoadContext(name)) => format!(
            "the kubeconfig has no context {name:?}; kubectl config get-contexts lists them, kubectl config use-context NAME \
             chooses one"
        ),
        Some(KubeconfigError::LoadClusterOfContext(name)) => {
            format!("the kubeconfig has no cluster {name:?}, which its current context names")
        }
        Some(KubeconfigError::CurrentContextNotSet) => {
            "the kubeconfig has no current context; choose one with kubectl config use-context NAME"
                .to_owned()
        }
        Some(KubeconfigError::Parse(_)) => "the kubeconfig is not the YAML of a kubeconfig".to_owned(),
        Some(KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_)) => {
            "the kubeconfig names no server, or one that is no URL, for its cluster".to_owned()
        }
        Some(KubeconfigError::FindPath) | None => {
            "there is no kubeconfig and no pod's service account; set KUBECONFIG".to_owned()
        }
        Some(_) => "the certificates, key or proxy that the kubeconfig names cannot be read".to_owned(),
    };
    why.into()
}

/// A console token that was listed.
pub struct FoundToken {
    /// Its identity.
    pub reference: TokenRef,
    /// The token. `None`: it does not fit the present type.
    pub token: Option<AnyToken>,
}

impl FoundToken {
    fn namespaced(guard: DeserializeGuard<ConsoleToken>) -> Self {
        let reference = TokenRef::beside(guard.namespace(), &guard.name_any());
        Self { reference, token: guard.0.ok().map(AnyToken::from) }
    }

    fn shared(guard: DeserializeGuard<ClusterConsoleToken>) -> Self {
        Self { reference: TokenRef::shared(&guard.name_any()), token: guard.0.ok().map(AnyToken::from) }
    }
}

/// The namespace of the Secrets of ClusterConsoleTokens: the one that is given or, because that is usually the operator's,
/// the one that has the ledger, or the present one.
pub async fn home(kubernetes: &Kubernetes, given: Option<String>) -> String {
    let given = given.filter(|it| !it.is_empty());
    let ledgers = match given {
        Some(given) => return given,
        None => Ledger::namespaces(&kubernetes.client).await.unwrap_or_default(),
    };
    match ledgers.as_slice() {
        [namespace] => namespace.clone(),
        _ => kubernetes.namespace.clone(),
    }
}

impl Session {
    /// The id of this cluster.
    pub async fn cluster(&self) -> Result<ClusterId, Unread> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let place = Some("kube-system".to_owned());
        let request =
            Request { verb: "get", resource: "namespaces", what: "namespace kube-system", namespace: place };
        let namespace = namespaces.get("kube-system").await.map_err(request.unread())?;
        Ok(ClusterId(namespace.uid().unwrap_or_default()))
    }

    /// The console tokens of that namespace, or of all, with that name: the namespaced ones and, of all, the
    /// ClusterConsoleTokens, too.
    pub async fn tokens(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<Vec<FoundToken>, Unread> {
        let request = Request::list("consoletokens", "ConsoleTokens", namespace.map(str::to_owned));
        let objects: Api<DeserializeGuard<ConsoleToken>> = self.objects(namespace);
        let list = objects.list(&ListParams::default()).await.map_err(request.unread())?;
        let mut found: Vec<_> = list.into_iter().map(FoundToken::namespaced).collect();
        if namespace.is_none() {
            found.extend(self.cluster_tokens().await?);
        }
        found.retain(|it| name.is_none_or(|name| name == it.reference.name));
        Ok(found)
    }

    /// The ClusterConsoleTokens.
    pub async fn cluster_tokens(&self) -> Result<Vec<FoundToken>, Unread> {
        let request = Request::list("clusterconsoletokens", "ClusterConsoleTokens", None);
        let objects: Api<DeserializeGuard<ClusterConsoleToken>> = self.objects(None);
        let list = match objects.list(&ListParams::default()).await {
            // An installation of version 0.1 has no such kind.
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            list => list.map_err(request.unread())?,
        };
        Ok(list.into_iter().map(FoundToken::shared).collect())
    }

    /// The GatewayApiKeys, by namespace and by labels if given.
    pub async fn keys(
        &self,
        namespace: Option<&str>,
        selector: Option<&str>,
    ) -> Result<Vec<DeserializeGuard<GatewayApiKey>>, Unread> {
        let params = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
        let request = Request::list("gatewayapikeys", "GatewayApiKeys", namespace.map(str::to_owned));
        let list = self.objects(namespace).list(&params).await.map_err(request.unread())?;
        Ok(list.items)
    }

    /// The transport that also trusts the authorities that a token names.
    async fn trusting(&self, namespace: &str, place: &CaBundleRef) -> Result<Arc<dyn Transport>, String> {
        let read = ca_bundle::read(&self.client, namespace, place).await;
        let pem = read.map_err(|error| sentence(&error))?.map_err(|refusal| refusal.to_string())?;
        let authorities =
            Authorities::parse(&pem).map_err(|what| bundle_invalid(place, &what).to_string())?;
        Ok(self.transport.trusting(&authorities).unwrap_or_else(|| Arc::clone(&self.transport)))
    }

    fn objects<K: Managed>(&self, namespace: Option<&str>) -> Api<DeserializeGuard<K>> {
        object::within(&self.client, namespace)
    }

    /// Connects to the vendor of a token; the error says why that is impossible.
    pub async fn connect(&self, token: &AnyToken) -> Result<Account, String> {
        let spec = token.spec();
        let unknown = || "this version does not know its vendor".to_owned();
        let driver = self.vendors.driver(&spec.vendor).ok_or_else(unknown)?;
        let base = self.endpoints.admit(spec.endpoint.as_deref(), driver.capabilities.endpoint);
        let base = base.map_err(|refusal| refusal.to_string())?;
        let namespace = token.reference().namespace.unwrap_or_else(|| self.home.clone());
        let secrets = Secrets::new(self.client.clone(), &namespace);
        let place = spec.token_secret().ok_or_else(|| "it names no token".to_owned())?;
        let unread = |error: kube::Error| match &error {
            kube::Error::Api(status) if status.code == 403 => format!(
                "Secret {} cannot be read: forbidden (403); grant the right to get secrets in namespace {namespace}",
                place.name
            ),
            other => format!("Secret {} cannot be read: {}", place.name, sentence(other)),
        };
        let secret = secrets.token(&place).await.map_err(unread)?;
        let secret = secret.map_err(|refusal| refusal.to_string())?;
        let transport = match &spec.ca_bundle_ref {
            Some(place) => self.trusting(&namespace, place).await?,
            None => Arc::clone(&self.transport),
        };
        let shares = Arc::new(Shares::default());
        let id = shares.of_credential(&spec.vendor, driver.capabilities.name, base.as_str(), &secret);
        let wire = Wire::new(base, secret, transport, self.clock.clone());
        let gateway = driver.connect(&spec.vendor, wire);
        Ok(Account::new(Parts {
            gateway,
            gateway_url: String::new(),
            alarm: Box::new(|| {}),
            clock: self.clock.clone(),
            metrics: Metrics::default(),
            membership: Membership { shares, id },
        }))
    }
}

/// The sentence on how many ConsoleTokens answered; `None` if all did and there was at least one.
pub fn answers(answered: usize, asked: usize) -> Option<String> {
    match (answered, asked) {
        (_, 0) => Some("there are no ConsoleTokens to ask".to_owned()),
        (0, _) => Some(format!("nothing could be asked: 0 of {asked} ConsoleTokens answered")),
        _ if answered < asked => Some(format!("{answered} of {asked} ConsoleTokens answered")),
        _ => None,
    }
}

/// A ConsoleToken whose vendor could not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unasked {
    /// Which one.
    pub token: TokenRef,
    /// Why.
    pub why: String,
}

impl Unasked {
    /// The message for people.
    pub fn sentence(&self) -> String {
        format!("{} {} could not be asked: {}", self.token.kind.name(), self.token, printable(&self.why))
    }
}

/// The ConsoleTokens whose vendor could not be asked, with the causes, as JSON.
pub fn unanswered(unasked: &[Unasked]) -> Value {
    let one =
        |it: &Unasked| json!({"consoleToken": printable(&it.token.to_string()), "why": printable(&it.why)});
    unasked.iter().map(one).collect()
}
