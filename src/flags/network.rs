//! How the network leads to vendors: flags that the operator and the commands share. Nothing of it is read from the
//! variables that other programs use, such as `HTTPS_PROXY`.

use crate::flags;
use crate::gateway::authorities::Authorities;
use crate::gateway::transport::{Https, HttpsProxy, Network};
use crate::output::{Failure, WrongFlag};
use crate::plan::token::Endpoints;
use clap::Args;
use std::path::PathBuf;
use url::Url;

const HTTPS_PROXY: &str =
    "Proxy for calls to vendors by https, such as http://proxy.example.com:3128; none when left out";

/// The flags.
#[derive(Debug, Args)]
pub struct NetworkArguments {
    #[arg(long, env = "KEYSMITH_ALLOWED_ENDPOINTS", value_name = "ORIGINS", help = flags::ALLOWED_ENDPOINTS)]
    allowed_endpoints: Option<String>,
    #[arg(long, env = "KEYSMITH_HTTPS_PROXY", value_name = "URL", help = HTTPS_PROXY)]
    https_proxy: Option<String>,
    /// Hosts that are called without the proxy, separated by commas: names, .domains, addresses and CIDR ranges.
    #[arg(long, env = "KEYSMITH_NO_PROXY", value_name = "HOSTS")]
    no_proxy: Option<String>,
    /// File with certificate authorities (PEM) that are trusted for all vendors besides the public ones.
    #[arg(long, env = "KEYSMITH_CA_BUNDLE", value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
}

impl NetworkArguments {
    /// The admitted endpoints, and the transport to vendors.
    pub fn connect(&self) -> Result<(Endpoints, Https), Failure> {
        let endpoints = flags::endpoints(self.allowed_endpoints.as_deref())?;
        let network = Network {
            private_hosts: endpoints.hosts(),
            proxy: self.proxy()?,
            authorities: self.authorities()?,
        };
        Ok((endpoints, Https::new(network)?))
    }

    /// A transport to a service of the installation itself: without the proxy, and at whatever address its name leads to.
    #[cfg(feature = "otlp")]
    pub fn inside(&self, host: &str) -> Result<Https, Failure> {
        let private_hosts = std::iter::once(host.to_ascii_lowercase()).collect();
        Ok(Https::new(Network { private_hosts, proxy: None, authorities: self.authorities()? })?)
    }

    /// The proxy, for a log line: without a password.
    pub fn shown_proxy(&self) -> String {
        self.proxy().ok().flatten().map_or_else(|| "none".to_owned(), |it| it.shown())
    }

    fn proxy(&self) -> Result<Option<HttpsProxy>, WrongFlag> {
        let no_proxy = self.no_proxy.clone().unwrap_or_default();
        let Some(text) = self.https_proxy.as_deref().map(str::trim).filter(|it| !it.is_empty()) else {
            return Ok(None);
        };
        // The text may hold a password, and is not repeated.
        let wrong = || {
            let what = "--https-proxy: is no URL of a proxy; write scheme, host and port, such as http://proxy.example.com:3128";
            WrongFlag(what.to_owned())
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) || !plain {
            return Err(wrong());
        }
        Ok(Some(HttpsProxy { url, no_proxy }))
    }

    fn authorities(&self) -> Result<Authorities, WrongFlag> {
        let Some(path) = self.ca_bundle.as_ref().filter(|it| !it.as_os_str().is_empty()) else {
            return Ok(Authorities::default());
        };
        let wrong = |what: String| WrongFlag(format!("--ca-bundle {}: {what}", path.display()));
        let pem = std::fs::read(path).map_err(|error| wrong(format!("cannot be read: {}", error.kind())))?;
        Authorities::parse(&pem).map_err(|what| wrong(format!("the bundle {what}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(https_proxy: &str) -> NetworkArguments {
        NetworkArguments {
            allowed_endpoints: None,
            https_proxy: Some(https_proxy.to_owned()),
            no_proxy: None,
            ca_bundle: None,
        }
    }

    #[test]
    fn a_proxy_is_a_url_and_its_password_is_not_shown() {
        for text in
            ["proxy.example.com:3128", "socks5://p:1", "http://p:1/path", "http://", "https://user:hidden@"]
        {
            let error = arguments(text).proxy().unwrap_err().0;
            assert!(error.starts_with("--https-proxy") && !error.contains("hidden"), "{error}");
        }
        assert!(arguments("").proxy().unwrap().is_none());
        let fine = arguments("http://user:hidden@proxy.example.com:3128");
        assert_eq!(fine.shown_proxy(), "http://proxy.example.com:3128");
    }

    #[test]
    fn a_bundle_that_cannot_be_read_is_named_with_its_flag() {
        let missing = NetworkArguments { ca_bundle: Some("/nonexistent/ca.pem".into()), ..arguments("") };
        let error = missing.authorities().unwrap_err().0;
        assert_eq!(error, "--ca-bundle /nonexistent/ca.pem: cannot be read: entity not found");
    }
}
