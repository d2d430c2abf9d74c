//! The HTTP transport to a vendor: reqwest over TLS in production, the emulator's service in tests.

use super::access::Trust;
use crate::plan::fault::{Fault, FaultKind, Outcome, Unreachable};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use rustls::pki_types::CertificateDer;
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
    /// Clients without proxies from the environment, redirects, cookies, decompression and retries.
    pub fn new() -> Result<Self, reqwest::Error> {
        Self::trusting(Vec::new())
    }

    /// Clients that also trust these authorities, for vendors with `Trust::Private`.
    pub fn trusting(private: Vec<CertificateDer<'static>>) -> Result<Self, reqwest::Error> {
        let public = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut all = public.clone();
        // Certificates that cannot be parsed are ignored.
        let _ = all.add_parsable_certificates(private);
        Ok(Self { public: client(public)?, private: client(all)? })
    }
}

fn client(roots: rustls::RootCertStore) -> Result<reqwest::Client, reqwest::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let tls = builder
        .with_safe_default_protocol_versions()
        .map(|it| it.with_root_certificates(roots).with_no_client_auth());
    let client = reqwest::Client::builder()
        .no_proxy()
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
