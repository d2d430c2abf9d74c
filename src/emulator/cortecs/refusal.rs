//! Cortecs' errors (§3.5): one sentence, no code.

use http::StatusCode;
use serde_json::json;

use crate::emulator::fields::Complaint;
use crate::emulator::wire::{self, Reply};

#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Invalid or missing token")
    }

    pub(super) fn not_management() -> Self {
        Self::new(403, "A management API key is required")
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "Not found")
    }

    /// The one status for invalid input, a taken name, and a reached limit (§3.3).
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    #[expect(clippy::needless_pass_by_value, reason = "handed over by map_err")]
    pub(super) fn invalid(complaints: Vec<Complaint>) -> Self {
        let messages: Vec<_> = complaints.iter().map(|complaint| complaint.message.as_str()).collect();
        Self::bad(messages.join(" "))
    }

    /// An error that a fault rule demands.
    pub(super) fn of_status(code: u16) -> Self {
        let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
        Self::new(code, reason.unwrap_or("Error"))
    }

    pub(super) fn into_reply(self) -> Reply {
        wire::json(self.status, &json!({ "error": self.message }))
    }
}
