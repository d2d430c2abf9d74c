//! Create, update and patch.

use std::sync::Arc;

use serde_json::{Value, json};

use super::admit;
use super::call::Call;
use super::failure::{Cause, Failure};
use super::json_patch;
use super::kind::Kind;
use super::merge::{has_directives, merge};
use super::ownership::{self, Entry, Leaves, Writer, leaves};
use super::prepare::{
    addressed, applied_body, bump_generation, check_preconditions, content, keep_what_cannot_change, prepared,
};
use super::state::{Key, State};

/// The limit of a request body.
const BODY_LIMIT: usize = 3 << 20;

/// A write that was applied.
pub(super) struct Written {
    pub(super) code: u16,
    pub(super) body: Value,
    /// Whether the stored object changed.
    pub(super) changed: bool,
}

impl State {
    pub(super) fn write(&mut self, call: &Call) -> Result<Written, Failure> {
        if call.body.len() > BODY_LIMIT {
            let message = format!("Request entity too large: limit is {BODY_LIMIT}");
            return Err(Failure::new(413, "RequestEntityTooLarge", message));
        }
        match call.verb {
            "create" => self.create(call),
            "update" => self.update(call),
            "patch" => self.patch(call),
            _ if !call.subresource.is_empty() => Err(Failure::not_allowed()),
            "delete" => self.delete(call),
            _ => self.delete_collection(call),
        }
    }

    fn create(&mut self, call: &Call) -> Result<Written, Failure> {
        if !call.subresource.is_empty() || (call.kind.namespaced && call.namespace.is_none()) {
            return Err(Failure::not_allowed());
        }
        let object = addressed(call, call.object()?)?;
        if object["metadata"]["resourceVersion"].as_str().is_some_and(|rv| !rv.is_empty()) {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Failure::new(500, "InternalError", message));
        }
        self.insert(call, object, None)
    }

    /// Stores a new object. An apply owns the leaves it sets; any other write owns all of them.
    fn insert(
        &mut self,
        call: &Call,
        mut object: Value,
        applied: Option<&Leaves>,
    ) -> Result<Written, Failure> {
        let kind = &call.kind;
        let name = self.name_of_new(&mut object);
        self.accepts_new(kind, call.namespace.as_deref(), &name)?;
        self.stamp_new(kind, &mut object);
        let mut causes = Vec::new();
        admit::check_name(kind, &name, &mut causes);
        let mut object = prepared(kind, &name, object, None, causes)?;
        let key = Key::new(kind, call.namespace.as_deref(), &name);
        if self.objects.contains_key(&key) {
            return Err(Failure::already_exists(kind, &name));
        }
        let mut entries = Vec::new();
        if let Some(applied) = applied {
            ownership::after_apply(&mut entries, &self.writer(call), &Leaves::new(), applied);
        } else {
            let all = leaves(&object, &kind.merging);
            ownership::after_update(&mut entries, &self.writer(call), &Leaves::new(), &all);
        }
        ownership::write(&mut object, &entries);
        if call.dry_run() {
            return Ok(Written { code: 201, body: object, changed: false });
        }
        let stored = self.commit(key, Some(object));
        Ok(Written { code: 201, body: (*stored).clone(), changed: true })
    }

    fn name_of_new(&mut self, object: &mut Value) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let metadata = &mut object["metadata"];
        let prefix =
            metadata["generateName"].as_str().unwrap_or_default().chars().take(58).collect::<String>();
        if metadata["name"].as_str().is_none_or(str::is_empty) && !prefix.is_empty() {
            let mut bits = self.mint();
            let suffix = (0..5).map(|_| {
                let letter = ALPHABET[usize::try_from(bits % 27).unwrap_or(0)];
                bits /= 27;
                char::from(letter)
            });
            metadata["name"] = json!(prefix + &suffix.collect::<String>());
        }
        metadata["name"].as_str().unwrap_or_default().to_owned()
    }

    /// The admission plugin `NamespaceLifecycle`.
    fn accepts_new(&self, kind: &Kind, namespace: Option<&str>, name: &str) -> Result<(), Failure> {
        let Some(namespace) = namespace else { return Ok(()) };
        match self.namespace(namespace) {
            Some(found) if found["metadata"]["deletionTimestamp"].is_null() => Ok(()),
            Some(_) => Err(Failure::terminating(kind, name, namespace)),
            None => {
                let namespaces = self.kind(Kind::is_namespace).expect("namespaces are built in");
                Err(Failure::not_found(&namespaces, namespace))
            }
        }
    }

    pub(super) fn stamp_new(&mut self, kind: &Kind, object: &mut Value) {
        let uid = self.mint_uid();
        let metadata = object["metadata"].as_object_mut().expect("metadata was checked");
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "resourceVersion"] {
            metadata.remove(field);
        }
        metadata.remove("generation");
        metadata.insert("uid".to_owned(), json!(uid));
        metadata.insert("creationTimestamp".to_owned(), json!(self.stamp()));
        if kind.generation {
            metadata.insert("generation".to_owned(), json!(1));
        }
        if kind.status {
            object.as_object_mut().expect("an object").remove("status");
        }
        if kind.is_namespace() {
            let labels = &object["metadata"]["labels"];
            if labels.is_null() || labels.is_object() {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] =
                    object["metadata"]["name"].clone();
            }
            object["spec"] = json!({ "finalizers": ["kubernetes"] });
            object["status"] = json!({ "phase": "Active" });
        }
    }

    fn writer(&self, call: &Call) -> Writer {
        Writer {
            manager: call.manager(),
            operation: if is_apply(call) { "Apply" } else { "Update" },
            subresource: call.subresource.clone(),
            api_version: call.kind.api_version(),
            time: self.stamp(),
        }
    }

    fn update(&mut self, call: &Call) -> Result<Written, Failure> {
        let object = call.object()?;
        let Some(current) = self.objects.get(&call.key()).cloned() else {
            if call.kind.create_on_update && call.subresource.is_empty() {
                return self.insert(call, addressed(call, object)?, None);
            }
            return Err(Failure::not_found(&call.kind, call.name.as_deref().unwrap_or_default()));
        };
        let unversioned = object["metadata"]["resourceVersion"].as_str().is_none_or(str::is_empty);
        if unversioned && !call.kind.unconditional_update {
            let cause = Cause::invalid("metadata.resourceVersion", "0x0: must be specified for an update");
            return Err(Failure::invalid(&call.kind, call.name.as_deref().unwrap_or_default(), &[cause]));
        }
        self.replace(call, &current, object, None)
    }

    fn patch(&mut self, call: &Call) -> Result<Written, Failure> {
        let current = self.objects.get(&call.key()).cloned();
        if is_apply(call) {
            return self.apply(call, current);
        }
        let name = call.name.as_deref().unwrap_or_default();
        let current = current.ok_or_else(|| Failure::not_found(&call.kind, name))?;
        let mut next = (*current).clone();
        match call.content_type.as_str() {
            "application/merge-patch+json" => merge(&mut next, &call.object()?, &Value::Null),
            "application/json-patch+json" => json_patch::apply(&mut next, &call.json()?)?,
            "application/strategic-merge-patch+json" if call.kind.is_builtin() => {
                let patch = call.object()?;
                if has_directives(&patch) {
                    return Err(Failure::bad_request(
                        "this simulated server knows no strategic merge directives",
                    ));
                }
                merge(&mut next, &patch, &call.kind.merging);
            }
            other => {
                let message = format!("the body of the request was in an unsupported format: {other}");
                return Err(Failure::new(415, "UnsupportedMediaType", message));
            }
        }
        self.replace(call, &current, next, None)
    }

    fn apply(&mut self, call: &Call, current: Option<Arc<Value>>) -> Result<Written, Failure> {
        let kind = call.kind.clone();
        let name = call.name.as_deref().unwrap_or_default();
        let body = applied_body(call)?;
        let applied = leaves(&body, &kind.merging);
        let Some(current) = current else {
            if !call.subresource.is_empty() {
                return Err(Failure::not_found(&kind, name));
            }
            // A resourceVersion alone does not stop an apply from creating; a uid does.
            if let Some(uid) = body["metadata"]["uid"].as_str() {
                let why = format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                );
                return Err(Failure::conflict(&kind, name, &why));
            }
            return self.insert(call, addressed(call, body)?, Some(&applied));
        };
        let (live, writer) = (leaves(&current, &kind.merging), self.writer(call));
        let mut entries = ownership::read(&current);
        let conflicts = ownership::conflicts(&entries, &writer, &live, &applied);
        if !conflicts.is_empty() && !call.flag("force") {
            return Err(Failure::owned_by_others(&kind, name, &conflicts));
        }
        let dropped = ownership::after_apply(&mut entries, &writer, &live, &applied);
        let mut next = (*current).clone();
        merge(&mut next, &body, &kind.merging);
        for path in &dropped {
            ownership::remove(&mut next, path);
        }
        self.replace(call, &current, next, Some(entries))
    }

    /// Replaces `current` by `next`, as far as this endpoint may change it.
    fn replace(
        &mut self,
        call: &Call,
        current: &Value,
        next: Value,
        entries: Option<Vec<Entry>>,
    ) -> Result<Written, Failure> {
        let (kind, key) = (&call.kind, call.key());
        let mut next = addressed(call, next)?;
        check_preconditions(kind, &key.name, current, &next["metadata"])?;
        keep_what_cannot_change(call, current, &mut next);
        let mut next = prepared(kind, &key.name, next, Some(current), Vec::new())?;
        let entries = entries.unwrap_or_else(|| {
            let mut entries = ownership::read(current);
            let (old, new) = (leaves(current, &kind.merging), leaves(&next, &kind.merging));
            ownership::after_update(&mut entries, &self.writer(call), &old, &new);
            entries
        });
        ownership::write(&mut next, &entries);
        if next == *current {
            return Ok(Written { code: 200, body: next, changed: false });
        }
        if kind.generation && content(kind, &next) != content(kind, current) {
            bump_generation(&mut next);
        }
        if call.dry_run() {
            return Ok(Written { code: 200, body: next, changed: false });
        }
        let leaving =
            !next["metadata"]["deletionTimestamp"].is_null() && next["metadata"]["finalizers"].is_null();
        if leaving && !kind.is_namespace() {
            self.commit(key, None);
            return Ok(Written { code: 200, body: next, changed: true });
        }
        let stored = self.commit(key, Some(next));
        Ok(Written { code: 200, body: (*stored).clone(), changed: true })
    }
}

fn is_apply(call: &Call) -> bool {
    call.verb == "patch" && call.content_type == "application/apply-patch+yaml"
}
