//! Refusals: `metav1.Status` objects with the codes and reasons of the real server.

use serde_json::{Value, json};

use super::kind::Kind;

/// A refusal, turned into a `Status` body at the very end.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) message: String,
    details: Value,
}

/// One invalid field, as `details.causes` and the message name it.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) path: String,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Cause {
    pub(super) fn new(path: &str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), reason, message: message.into() }
    }

    pub(super) fn invalid(path: &str, message: impl Into<String>) -> Self {
        Self::new(path, "FieldValueInvalid", format!("Invalid value: {}", message.into()))
    }

    pub(super) fn required(path: &str) -> Self {
        Self::new(path, "FieldValueRequired", "Required value")
    }

    pub(super) fn forbidden(path: &str, message: &str) -> Self {
        Self::new(path, "FieldValueForbidden", format!("Forbidden: {message}"))
    }
}

impl Failure {
    pub(super) fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: Value::Null }
    }

    fn about(mut self, kind: &Kind, name: &str) -> Self {
        self.details = json!({ "name": name, "group": kind.group, "kind": kind.plural });
        self
    }

    pub(super) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.resource())).about(kind, name)
    }

    pub(super) fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", kind.resource());
        Self::new(409, "AlreadyExists", message).about(kind, name)
    }

    pub(super) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.resource());
        Self::new(409, "Conflict", message).about(kind, name)
    }

    pub(super) fn modified(kind: &Kind, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    /// Server-side apply met fields of other managers; `fields` are `(manager, path)`.
    pub(super) fn owned_by_others(kind: &Kind, name: &str, fields: &[(String, String)]) -> Self {
        let causes: Vec<Value> = fields
            .iter()
            .map(|(manager, path)| {
                let message = format!("conflict with \"{manager}\"");
                json!({ "reason": "FieldManagerConflict", "message": message, "field": path })
            })
            .collect();
        let message = format!("Apply failed with {} conflicts", fields.len());
        let mut failure = Self::new(409, "Conflict", message).about(kind, name);
        failure.details["causes"] = Value::Array(causes);
        failure
    }

    pub(super) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.resource());
        Self::new(403, "Forbidden", message).about(kind, name)
    }

    pub(super) fn terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut failure = Self::forbidden(kind, name, &why);
        let message = format!("namespace {namespace} is being terminated");
        failure.details["causes"] =
            json!([{ "reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace" }]);
        failure
    }

    pub(super) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        let said: Vec<String> = causes.iter().map(|c| format!("{}: {}", c.path, c.message)).collect();
        let said = if said.len() == 1 { said[0].clone() } else { format!("[{}]", said.join(", ")) };
        let what =
            if kind.group.is_empty() { kind.kind.clone() } else { format!("{}.{}", kind.kind, kind.group) };
        let mut failure = Self::new(422, "Invalid", format!("{what} \"{name}\" is invalid: {said}"));
        failure = failure.about(kind, name);
        failure.details["kind"] = json!(kind.kind);
        failure.details["causes"] = causes
            .iter()
            .map(|c| json!({ "reason": c.reason, "message": c.message, "field": c.path }))
            .collect();
        failure
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(super) fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(super) fn not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message)
    }

    /// Overload answers carry a retry hint, as API priority and fairness sends it.
    pub(super) fn asks_to_retry(&self) -> bool {
        matches!(self.code, 429 | 503)
    }

    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        if self.asks_to_retry() {
            status["details"]["retryAfterSeconds"] = json!(1);
        }
        status
    }
}

/// The answer to a deletion that removed the object at once.
pub(super) fn deleted(kind: &Kind, name: &str, uid: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": { "name": name, "group": kind.group, "kind": kind.plural, "uid": uid },
    })
}
