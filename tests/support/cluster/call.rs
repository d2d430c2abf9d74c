//! Requests as the server understands them: the path, the query, and what the headers ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};
use serde_json::Value;

use super::failure::Failure;
use super::kind::Kind;
use super::state::{Key, State};

/// One request for a resource.
pub(super) struct Call {
    pub(super) actor: String,
    pub(super) verb: &'static str,
    pub(super) kind: Arc<Kind>,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: String,
    query: BTreeMap<String, String>,
    /// Whether only metadata is requested (`as=PartialObjectMetadata`).
    pub(super) partial: bool,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

/// The target of a path.
pub(super) enum Target {
    Resource(Box<Call>),
    /// A path outside the resources: discovery, version, health.
    Other(String),
    /// A served group and version, but no such resource.
    Nothing,
}

impl Call {
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(|value| value == "true" || value == "1")
    }

    pub(super) fn dry_run(&self) -> bool {
        self.query("dryRun").is_some_and(|value| value == "All")
    }

    /// `plural` or `plural/subresource`, as roles spell it.
    pub(super) fn resource(&self) -> String {
        let plural = &self.kind.plural;
        if self.subresource.is_empty() { plural.clone() } else { format!("{plural}/{}", self.subresource) }
    }

    pub(super) fn key(&self) -> Key {
        Key::new(&self.kind, self.namespace.as_deref(), self.name.as_deref().unwrap_or_default())
    }

    pub(super) fn manager(&self) -> String {
        self.query("fieldManager").unwrap_or(&self.actor).to_owned()
    }

    pub(super) fn json(&self) -> Result<Value, Failure> {
        let parsed = serde_json::from_slice(&self.body);
        parsed.map_err(|e| Failure::bad_request(format!("the body of the request is no JSON: {e}")))
    }

    /// The body as a JSON object; kube sends apply patches as JSON too, which is YAML.
    pub(super) fn object(&self) -> Result<Value, Failure> {
        let value = self.json()?;
        let metadata = &value["metadata"];
        if value.is_object() && (metadata.is_object() || metadata.is_null()) {
            Ok(value)
        } else {
            Err(Failure::bad_request("the body of the request is no Kubernetes object"))
        }
    }

    /// The delete options; the body may be empty.
    pub(super) fn options(&self) -> Result<Value, Failure> {
        if self.body.is_empty() { Ok(Value::Null) } else { self.object() }
    }
}

pub(super) fn parse(
    state: &State,
    actor: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Target {
    let path = uri.path().trim_end_matches('/');
    let steps: Vec<String> = path.split('/').skip(1).map(decode).collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let (group, version, rest) = match steps[..] {
        ["api", version, ref rest @ ..] if !rest.is_empty() => ("", version, rest),
        ["apis", group, version, ref rest @ ..] if !rest.is_empty() => (group, version, rest),
        _ => return Target::Other(path.to_owned()),
    };
    if !state.kinds().any(|kind| kind.group == group && kind.version == version) {
        return Target::Other(path.to_owned());
    }
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() && !is_of_namespace(rest) => {
            (Some((*namespace).to_owned()), rest)
        }
        rest => (None, rest),
    };
    let (plural, name, subresource) = match *rest {
        [plural] => (plural, None, ""),
        [plural, name] => (plural, Some(name.to_owned()), ""),
        [plural, name, subresource] => (plural, Some(name.to_owned()), subresource),
        _ => return Target::Nothing,
    };
    let found = state.kind(|kind| kind.is(group, plural) && kind.version == version);
    let Some(kind) = found.filter(|kind| fits(kind, namespace.as_deref(), name.as_deref(), subresource))
    else {
        return Target::Nothing;
    };
    let query = parse_query(uri.query().unwrap_or_default());
    let watching = query.get("watch").is_some_and(|value| value == "true" || value == "1");
    let Some(verb) = verb(method, name.is_some(), watching) else {
        return Target::Nothing;
    };
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_owned();
    let partial = header(header::ACCEPT).contains("as=PartialObjectMetadata");
    let mut call = Call {
        actor: actor.to_owned(),
        verb,
        kind,
        namespace,
        name,
        subresource: subresource.to_owned(),
        query,
        partial,
        content_type,
        body,
    };
    if verb == "create" {
        call.name = call.object().ok().and_then(|o| o["metadata"]["name"].as_str().map(str::to_owned));
    }
    Target::Resource(Box::new(call))
}

/// `/namespaces/x/status` is of the namespace itself, not of a resource in it.
fn is_of_namespace(rest: &[&str]) -> bool {
    matches!(rest, ["status" | "finalize"])
}

fn fits(kind: &Kind, namespace: Option<&str>, name: Option<&str>, subresource: &str) -> bool {
    let scope = if kind.namespaced { namespace.is_some() || name.is_none() } else { namespace.is_none() };
    scope && (subresource.is_empty() || (subresource == "status" && kind.status))
}

fn verb(method: &Method, named: bool, watching: bool) -> Option<&'static str> {
    Some(match (method.as_str(), named) {
        ("GET", true) => "get",
        ("GET", false) if watching => "watch",
        ("GET", false) => "list",
        ("POST", false) => "create",
        ("PUT", true) => "update",
        ("PATCH", true) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => return None,
    })
}

fn parse_query(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                let digits = std::str::from_utf8(&digits).unwrap_or("00");
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
