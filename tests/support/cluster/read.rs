//! Get and list.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::call::Call;
use super::failure::Failure;
use super::kind::Kind;
use super::selector::Selector;
use super::state::{Key, State};

impl State {
    pub(super) fn get(&self, call: &Call) -> Result<Value, Failure> {
        let name = call.name.as_deref().unwrap_or_default();
        let object = self.objects.get(&call.key()).ok_or_else(|| Failure::not_found(&call.kind, name))?;
        Ok(shown(object, call.partial))
    }

    pub(super) fn list(&self, call: &Call) -> Result<Value, Failure> {
        let selector = selector(call)?;
        let page = self.page(call)?;
        let mut matching = page.objects.iter().filter(|(key, object)| {
            call.namespace.as_ref().is_none_or(|n| *n == key.namespace) && selector.matches(object)
        });
        let limit = call.query("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
        let items: Vec<_> = matching.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
        let left = matching.count();
        let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
        if let Some((last, _)) = items.last().filter(|_| left > 0) {
            metadata["continue"] = json!(format!("{}:{}/{}", page.revision, last.namespace, last.name));
            if selector.is_empty() {
                metadata["remainingItemCount"] = json!(left);
            }
        }
        let items: Vec<Value> =
            items.into_iter().map(|(_, object)| item(&call.kind, object, call.partial)).collect();
        Ok(listed(&call.kind, call.partial, &metadata, &items))
    }

    /// The objects that a list selects from: the present, or for a continued or exact list the past it names.
    fn page(&self, call: &Call) -> Result<Page, Failure> {
        if let Some(token) = call.query("continue") {
            let (revision, namespace, name) = parse_token(token)?;
            self.must_remember(revision)?;
            let mut objects = self.snapshot(&call.kind, revision);
            let last = Key::new(&call.kind, Some(namespace), name);
            let rest = objects.split_off(&last);
            let objects = rest.into_iter().filter(|(key, _)| *key != last).collect();
            return Ok(Page { revision, objects });
        }
        let asked: Option<u64> = match call.query("resourceVersion") {
            Some(text) => Some(text.parse().map_err(|_| Failure::bad_request("invalid resource version"))?),
            None => None,
        };
        if let Some(asked) = asked.filter(|asked| *asked > self.revision) {
            let message = format!("Too large resource version: {asked}, current: {}", self.revision);
            return Err(Failure::new(504, "Timeout", message));
        }
        let exact = asked.filter(|_| call.query("resourceVersionMatch") == Some("Exact"));
        let revision = exact.unwrap_or(self.revision);
        self.must_remember(revision)?;
        Ok(Page { revision, objects: self.snapshot(&call.kind, revision) })
    }

    fn must_remember(&self, revision: u64) -> Result<(), Failure> {
        if revision < self.compacted {
            let message =
                format!("The provided continue parameter is too old ({revision} < {})", self.compacted);
            return Err(Failure::expired(message));
        }
        Ok(())
    }
}

struct Page {
    revision: u64,
    objects: BTreeMap<Key, Arc<Value>>,
}

pub(super) fn selector(call: &Call) -> Result<Selector, Failure> {
    Selector::parse(&call.kind, call.query("labelSelector"), call.query("fieldSelector"))
}

fn parse_token(token: &str) -> Result<(u64, &str, &str), Failure> {
    let parsed = token.split_once(':').and_then(|(revision, rest)| {
        let (namespace, name) = rest.split_once('/')?;
        Some((revision.parse().ok()?, namespace, name))
    });
    parsed.ok_or_else(|| Failure::bad_request("continue key is not valid"))
}

/// An object in the form that the client requested.
pub(super) fn shown(object: &Value, partial: bool) -> Value {
    if partial {
        json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        })
    } else {
        object.clone()
    }
}

/// Items of built-in kinds do not repeat their kind, as the server's typed lists do not.
fn item(kind: &Kind, object: &Value, partial: bool) -> Value {
    let mut item = shown(object, partial);
    if let Some(fields) = item.as_object_mut().filter(|_| kind.is_builtin() && !partial) {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    item
}

pub(super) fn listed(kind: &Kind, partial: bool, metadata: &Value, items: &[Value]) -> Value {
    let (name, version) = if partial {
        ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        (kind.kind.clone(), kind.api_version())
    };
    json!({ "kind": format!("{name}List"), "apiVersion": version, "metadata": metadata, "items": items })
}
