//! What the commands work with: connections to Kubernetes and to the vendors. A command runs beside the operator, with
//! the rights of the person who runs it.

pub mod kubeconfig;
pub mod objects;
pub mod vendors;

use crate::api::GROUP;
use crate::api::console_token::CaBundleRef;
use crate::cluster::ca_bundle;
use crate::cluster::ledger::Ledger;
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
use crate::plan::class::ControllerClass;
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::token::Endpoints;
use crate::plan::token::bundle_invalid;
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use kubeconfig::{ClusterArguments, client, shown};
use serde_json::{Value, json};
use std::fmt;
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
    /// The namespace of the Secrets of ClusterConsoleTokens of that class.
    pub home: String,
    /// The controller class that the command is about.
    pub class: ControllerClass,
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
    pub async fn connect(cluster: &ClusterArguments) -> Result<Self, Failure> {
        let config = cluster.config().await?;
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

/// The namespace of the Secrets of ClusterConsoleTokens: the one that is given or, because that is usually the operator's,
/// the one that has the ledger, or the present one.
pub async fn home(kubernetes: &Kubernetes, class: &ControllerClass, given: Option<String>) -> String {
    let given = given.filter(|it| !it.is_empty());
    let ledgers = match given {
        Some(given) => return given,
        None => Ledger::namespaces(&kubernetes.client, class).await.unwrap_or_default(),
    };
    match ledgers.as_slice() {
        [namespace] => namespace.clone(),
        _ => kubernetes.namespace.clone(),
    }
}

impl Session {
    /// The transport that also trusts the authorities that a token names.
    async fn trusting(&self, namespace: &str, place: &CaBundleRef) -> Result<Arc<dyn Transport>, String> {
        let read = ca_bundle::read(&self.client, namespace, place).await;
        let pem = read.map_err(|error| sentence(&error))?.map_err(|refusal| refusal.to_string())?;
        let authorities =
            Authorities::parse(&pem).map_err(|what| bundle_invalid(place, &what).to_string())?;
        Ok(self.transport.trusting(&authorities).unwrap_or_else(|| Arc::clone(&self.transport)))
    }

    /// The namespace of the Secrets of ClusterConsoleTokens of a class: that of its operator, which has its ledger there.
    async fn home_of(&self, class: &ControllerClass) -> Result<String, String> {
        if *class == self.class {
            return Ok(self.home.clone());
        }
        let found = Ledger::namespaces(&self.client, class).await.unwrap_or_default();
        match found.as_slice() {
            [namespace] => Ok(namespace.clone()),
            _ => Err(format!(
                "its Secret is in the namespace of the operator of controllerClass {:?}, and no ledger tells which that is",
                class.name()
            )),
        }
    }

    /// Connects to the vendor of a token; the error says why that is impossible.
    pub async fn connect(&self, token: &AnyToken) -> Result<Account, String> {
        let spec = token.spec();
        let unknown = || "this version does not know its vendor".to_owned();
        let driver = self.vendors.driver(&spec.vendor).ok_or_else(unknown)?;
        let base = self.endpoints.admit(spec.endpoint.as_deref(), driver.capabilities.endpoint);
        let base = base.map_err(|refusal| refusal.to_string())?;
        let namespace = match token.reference().namespace {
            Some(own) => own,
            None => self.home_of(&token.class()).await?,
        };
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
