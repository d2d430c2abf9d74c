//! A request to Kubernetes, as far as the sweep needs it.

use super::fault::Sort;
use crate::support::cluster::Cluster;
use http::{Method, Request, Uri};
use kube::client::Body;

/// A parsed request.
pub struct Wanted {
    /// Its HTTP method.
    pub verb: String,
    /// `v1` or `group/version`; empty outside the resources.
    pub version: String,
    /// The resource; the path for other requests.
    pub plural: String,
    /// The object's name.
    pub name: Option<String>,
    /// Whether it opens a watch.
    pub watching: bool,
    namespace: Option<String>,
    subresource: Option<String>,
    /// Whether it is a whole read of the present.
    plain: bool,
}

impl Wanted {
    /// Parses a request.
    pub fn of(request: &Request<Body>) -> Self {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let steps: Vec<_> = path.trim_matches('/').split('/').collect();
        let (version, rest) = match steps[..] {
            ["api", version, ref rest @ ..] => (version.to_owned(), rest.to_vec()),
            ["apis", group, version, ref rest @ ..] => (format!("{group}/{version}"), rest.to_vec()),
            _ => (String::new(), Vec::new()),
        };
        let (namespace, rest) = match rest[..] {
            ["namespaces", namespace, ref rest @ ..] if !rest.is_empty() => (Some(namespace), rest.to_vec()),
            _ => (None, rest),
        };
        let at = |index: usize| rest.get(index).map(|step| (*step).to_owned());
        Self {
            verb: request.method().to_string(),
            version,
            plural: at(0).unwrap_or_else(|| path.to_owned()),
            name: at(1),
            watching: query.contains("watch=true"),
            namespace: namespace.map(str::to_owned),
            subresource: at(2),
            plain: !query.contains("continue=") && !query.contains("resourceVersion="),
        }
    }

    /// The kind of traffic.
    pub fn sort(&self) -> Sort {
        match self.verb.as_str() {
            "GET" if self.watching => Sort::Watch,
            "GET" => Sort::Read,
            _ => Sort::Write,
        }
    }

    /// The revision before the last change of the requested objects, if there is one.
    pub fn past(&self, cluster: &Cluster) -> Option<u64> {
        if self.sort() != Sort::Read || self.version.is_empty() || !self.plain || self.subresource.is_some() {
            return None;
        }
        let resource = match self.version.split_once('/') {
            Some((group, _)) => format!("{}.{group}", self.plural),
            None => self.plural.clone(),
        };
        cluster.revision_before_last_change(&resource, self.namespace.as_deref(), self.name.as_deref())
    }

    /// The same read as a list of the past, which is a request that a real server supports too.
    pub fn of_the_past(&self, request: Request<Body>, revision: u64) -> Request<Body> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let (path, name) = match &self.name {
            Some(name) => (path.trim_end_matches(&format!("/{name}")).to_owned(), name.as_str()),
            None => (path, ""),
        };
        let asked = parts.uri.query().map(|query| format!("{query}&")).unwrap_or_default();
        let only =
            if name.is_empty() { String::new() } else { format!("&fieldSelector=metadata.name%3D{name}") };
        let query = format!("{asked}resourceVersion={revision}&resourceVersionMatch=Exact{only}");
        parts.method = Method::GET;
        parts.uri = format!("{path}?{query}").parse::<Uri>().expect("the parts come from a valid address");
        Request::from_parts(parts, body)
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = if self.watching { "WATCH" } else { &self.verb };
        write!(f, "{verb} {}", self.plural)?;
        for part in [&self.name, &self.subresource].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}
