//! The HTTP transport to a vendor: reqwest over TLS in production, the emulator's service in tests.

use super::access::Trust;
use crate::plan::fault::{Fault, FaultKind, Outcome, Unreachable};
use crate::plan::network;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::CertificateDer;
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

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
}

/// HTTPS by reqwest.
pub struct Https {
    public: reqwest::Client,
    /// For vendors whose row in the registry says `Trust::Private`.
    private: reqwest::Client,
}

impl Https {
    /// Clients without proxies from the environment, redirects, cookies, decompression and retries. Names lead to public
    /// addresses only, except these hosts: an address in a URL is one of an admitted endpoint.
    pub fn new(private_hosts: BTreeSet<String>) -> Result<Self, reqwest::Error> {
        Self::trusting(Vec::new(), private_hosts)
    }

    /// Clients that also trust these authorities, for vendors with `Trust::Private`.
    pub fn trusting(
        private: Vec<CertificateDer<'static>>,
        private_hosts: BTreeSet<String>,
    ) -> Result<Self, reqwest::Error> {
        let names = Arc::new(Names { private_hosts });
        let public = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut all = public.clone();
        // Certificates that cannot be parsed are ignored.
        let _ = all.add_parsable_certificates(private);
        Ok(Self { public: client(public, Arc::clone(&names))?, private: client(all, names)? })
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

fn client(roots: rustls::RootCertStore, names: Arc<Names>) -> Result<reqwest::Client, reqwest::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let tls = builder
        .with_safe_default_protocol_versions()
        .map(|it| it.with_root_certificates(roots).with_no_client_auth());
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
    client.build()
}

#[async_trait]
impl Transport for Https {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        let most = AtMost::of(&request);
        let client = match request.extensions().get() {
            Some(Trust::Private) => &self.private,
            Some(Trust::Public) | None => &self.public,
        };
        let request = reqwest::Request::try_from(request)
            .map_err(|_| Fault::without_effect(FaultKind::Malformed("the request cannot be written")))?;
        let mut answer = client.execute(request).await.map_err(|error| classify(&error))?;
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
