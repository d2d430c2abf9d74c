//! The HTTP transport to a vendor: reqwest over TLS in production, the emulator's service in tests.

use super::authorities::Authorities;
use crate::plan::fault::{Fault, FaultKind, Outcome, Unreachable};
use crate::plan::network;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use url::Url;

/// Size limit of a response, in bytes; no response of a management API comes near it.
pub const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Size limit of one response, in bytes, as an extension of its request; without it, `LARGEST_ANSWER`.
#[derive(Clone, Copy, Debug)]
pub struct AtMost(pub usize);

impl AtMost {
    /// The size limit of a request's response.
    pub fn of<T>(request: &Request<T>) -> usize {
        request.extensions().get::<Self>().map_or(LARGEST_ANSWER, |it| it.0)
    }
}

/// Sends one request. Never retries, never follows a redirect, never reads more than the size limit.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request` and reads the whole response.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault>;

    /// The same transport, which also trusts these authorities. `None`: it does not use certificates.
    fn trusting(&self, _: &Authorities) -> Option<Arc<dyn Transport>> {
        None
    }
}

/// How the network leads to vendors.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Hosts whose names may lead to addresses that are not public: those of admitted endpoints.
    pub private_hosts: BTreeSet<String>,
    /// The proxy for https, if there is one. It resolves the names of vendors then, and decides where they lead.
    pub proxy: Option<HttpsProxy>,
    /// Certificate authorities that are trusted besides the public ones.
    pub authorities: Authorities,
}

/// A proxy for https.
#[derive(Clone, Debug)]
pub struct HttpsProxy {
    /// Its URL, perhaps with user and password.
    pub url: Url,
    /// Hosts that are called without it, in the form of `NO_PROXY`.
    pub no_proxy: String,
}

impl HttpsProxy {
    /// Its origin, for logs: without a password.
    pub fn shown(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// HTTPS by reqwest.
pub struct Https {
    client: reqwest::Client,
    network: Network,
}

impl Https {
    /// A client without proxies from the environment, redirects, cookies, decompression and retries. Names lead to public
    /// addresses only, except those of admitted endpoints: an address in a URL is one of an admitted endpoint.
    pub fn new(network: Network) -> Result<Self, reqwest::Error> {
        let mut private_hosts = network.private_hosts.clone();
        // The proxy is where the installation says.
        private_hosts
            .extend(network.proxy.iter().filter_map(|it| it.url.host_str()).map(str::to_ascii_lowercase));
        let client = client(&network, Arc::new(Names { private_hosts }))?;
        Ok(Self { client, network })
    }
}

/// Resolves the names of vendors.
struct Names {
    /// Hosts that may lead to addresses that are not public.
    private_hosts: BTreeSet<String>,
}

/// A name that leads to no public address.
#[derive(Debug, thiserror::Error)]
#[error("no public address")]
struct NotPublic;

impl Resolve for Names {
    /// All addresses are looked at, and those that are not public are never connected to: a name that has one of each
    /// kind leads to the public one.
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().trim_end_matches('.').to_ascii_lowercase();
        let free = self.private_hosts.contains(&host);
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let admitted: Vec<_> = found.filter(|it| free || network::is_public(it.ip())).collect();
            if admitted.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

fn client(network: &Network, names: Arc<Names>) -> Result<reqwest::Client, reqwest::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let tls = builder
        .with_safe_default_protocol_versions()
        .map(|it| it.with_root_certificates(network.authorities.roots()).with_no_client_auth());
    let client = reqwest::Client::builder()
        .no_proxy()
        .dns_resolver(names)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // A pooled connection that the server closed would make the outcome of a create call unknown without need.
        .pool_max_idle_per_host(0)
        .connect_timeout(std::time::Duration::from_secs(10));
    let client = match tls {
        Ok(tls) => client.tls_backend_preconfigured(tls),
        // Unreachable with ring, which has every default version; reqwest's own default then applies.
        Err(_) => client,
    };
    let client = match &network.proxy {
        Some(HttpsProxy { url, no_proxy }) => {
            let proxy = reqwest::Proxy::https(url.clone())?;
            client.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(no_proxy)))
        }
        None => client,
    };
    client.build()
}

#[async_trait]
impl Transport for Https {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        let most = AtMost::of(&request);
        let request = reqwest::Request::try_from(request)
            .map_err(|_| Fault::without_effect(FaultKind::Malformed("the request cannot be written")))?;
        let mut answer = self.client.execute(request).await.map_err(|error| classify(&error))?;
        let status = answer.status();
        let headers = std::mem::take(answer.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| classify(&error))? {
            if body.len() + chunk.len() > most {
                return Err(Fault::ambiguous(FaultKind::TooLarge { limit: most }));
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    fn trusting(&self, more: &Authorities) -> Option<Arc<dyn Transport>> {
        let authorities = self.network.authorities.with(more);
        let trusting = Self::new(Network { authorities, ..self.network.clone() }).ok()?;
        Some(Arc::new(trusting))
    }
}

/// Only a request that failed before its first byte was sent is certainly not applied.
fn classify(error: &reqwest::Error) -> Fault {
    if !error.is_connect() {
        return Fault { kind: FaultKind::Disconnected, effect: Outcome::Unknown };
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<NotPublic>() {
            return Fault::without_effect(FaultKind::Unreachable(Unreachable::Private));
        }
        if blames_certificate(cause) {
            return Fault::without_effect(FaultKind::Unreachable(Unreachable::Certificate));
        }
        source = cause.source();
    }
    Fault::without_effect(FaultKind::Unreachable(Unreachable::Connect))
}

/// The connector wraps TLS errors in I/O errors, more than once, and their `source` skips what they wrap.
fn blames_certificate(cause: &(dyn Error + 'static)) -> bool {
    if let Some(error) = cause.downcast_ref::<std::io::Error>() {
        return error.get_ref().is_some_and(|inner| blames_certificate(inner));
    }
    matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
}
