//! Edgee's errors (§1.14): nested as observed, flat as documented.

use http::StatusCode;
use serde_json::{Value, json};

use crate::emulator::fields::Complaint;
use crate::emulator::wire::{self, Reply};

#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    kind: &'static str,
    message: String,
    complaints: Vec<Complaint>,
}

impl Refusal {
    fn new(status: u16, kind: &'static str, message: &str) -> Self {
        Self { status, kind, message: message.to_owned(), complaints: Vec::new() }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "authentication_error", "Unauthorized")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(403, "forbidden_error", "Your token does not have permission to access this resource")
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "not_found_error", "Not Found")
    }

    /// The path is known, the method is not. The vendor does not document this answer; Go routers give it.
    pub(super) fn wrong_method() -> Self {
        Self::new(405, "invalid_request_error", "Method Not Allowed")
    }

    pub(super) fn invalid(complaints: Vec<Complaint>) -> Self {
        let message = complaints.first().map_or("Invalid request.", |first| first.message.as_str());
        let mut refusal = Self::new(400, "invalid_request_error", message);
        refusal.complaints = complaints;
        refusal
    }

    pub(super) fn invalid_param(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![Complaint::new(param, message)])
    }

    /// An error that a fault rule demands.
    pub(super) fn of_status(code: u16) -> Self {
        match code {
            401 => Self::unauthorized(),
            403 => Self::forbidden(),
            404 => Self::not_found(),
            409 => Self::new(409, "conflict_error", "Conflict"),
            code => Self::new(code, "invalid_request_error", reason(code)),
        }
    }

    pub(super) fn into_reply(self, flat: bool) -> Reply {
        let body = if flat { self.flat() } else { self.nested() };
        wire::json(self.status, &body)
    }

    fn flat(&self) -> Value {
        // The documentation has another text for the 401 than the real answers.
        let message = if self.status == 401 { "Invalid or expired API token" } else { self.message.as_str() };
        json!({ "error": reason(self.status), "message": message })
    }

    fn nested(&self) -> Value {
        let mut error = json!({ "type": self.kind, "message": self.message });
        if !self.complaints.is_empty() {
            let params = self.complaints.iter();
            error["params"] = params.map(|c| json!({ "param": c.param, "message": c.message })).collect();
        }
        json!({ "error": error })
    }
}

fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error")
}
