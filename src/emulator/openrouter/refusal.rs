//! OpenRouter's errors (§5).

use http::StatusCode;
use serde_json::{Value, json};

use crate::emulator::fields::Complaint;
use crate::emulator::wire::{self, Reply};

#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    body: Value,
}

impl Refusal {
    /// `{"error":{"code":…,"message":…}}`, whose code is a number.
    pub(super) fn error(status: u16, message: &str) -> Self {
        Self { status, body: json!({"error": {"code": status, "message": message}}) }
    }

    /// An error of the data plane that says which limit is reached.
    pub(super) fn limited(status: u16, message: &str, source: &str) -> Self {
        let metadata = json!({ "limit_source": source });
        Self { status, body: json!({"error": {"code": status, "message": message, "metadata": metadata}}) }
    }

    pub(super) fn no_token() -> Self {
        Self::error(401, "Missing Authentication header")
    }

    pub(super) fn unknown_token() -> Self {
        Self::error(401, "User not found.")
    }

    pub(super) fn ordinary_key() -> Self {
        Self::error(403, "Only management keys can perform this operation")
    }

    pub(super) fn not_found() -> Self {
        Self::error(404, "Resource not found")
    }

    /// A path that there is not: a page, as of the web site.
    pub(super) fn no_such_path() -> Reply {
        wire::bytes(404, "text/html; charset=utf-8", "<!DOCTYPE html><html><body>Not found</body></html>")
    }

    /// Wrong fields of a request.
    #[expect(clippy::needless_pass_by_value, reason = "handed over by map_err")]
    pub(super) fn invalid(complaints: Vec<Complaint>) -> Self {
        let issue = |it: &Complaint| json!({"path": [it.param], "message": it.message});
        let issues: Vec<_> = complaints.iter().map(issue).collect();
        let error = json!({"code": 400, "message": "Invalid request parameters", "issues": issues});
        Self { status: 400, body: json!({ "error": error }) }
    }

    /// An error that a fault rule demands.
    pub(super) fn of_status(code: u16) -> Self {
        let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
        Self::error(code, reason.unwrap_or("Error"))
    }

    pub(super) fn into_reply(self) -> Reply {
        wire::json(self.status, &self.body)
    }
}
