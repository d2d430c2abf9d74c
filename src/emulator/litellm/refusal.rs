//! LiteLLM's errors (§8): four shapes, and statuses that do not mean what they say.

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
    /// `{"error":{…}}`, whose code is a text.
    pub(super) fn error(status: u16, kind: &str, param: Option<&str>, message: &str) -> Self {
        let body =
            json!({"error": {"message": message, "type": kind, "param": param, "code": status.to_string()}});
        Self { status, body }
    }

    /// `{"detail":…}`.
    pub(super) fn detail(status: u16, detail: &Value) -> Self {
        Self { status, body: json!({ "detail": detail }) }
    }

    pub(super) fn no_such_path() -> Self {
        Self::detail(404, &json!("Not Found"))
    }

    pub(super) fn unknown_token() -> Self {
        Self::error(
            401,
            "token_not_found_in_db",
            Some("key"),
            "Authentication Error, Invalid API key provided.",
        )
    }

    pub(super) fn no_token() -> Self {
        let message = "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.";
        Self::error(401, "auth_error", Some("None"), message)
    }

    pub(super) fn lower(route: &str) -> Self {
        let message = format!(
            "Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys/users/teams. \
             Route={route}. Your role=unknown. Your user_id=*******"
        );
        Self::error(401, "auth_error", Some("None"), &message)
    }

    pub(super) fn unknown_key(message: &str) -> Self {
        Self::error(404, "not_found_error", Some("key"), message)
    }

    pub(super) fn database() -> Self {
        Self::error(
            500,
            "internal_server_error",
            Some("None"),
            "Internal Server Error, All connection attempts failed",
        )
    }

    /// Wrong types of fields.
    #[expect(clippy::needless_pass_by_value, reason = "handed over by map_err")]
    pub(super) fn invalid(complaints: Vec<Complaint>) -> Self {
        let detail =
            |it: &Complaint| json!({"type": "value_error", "loc": ["body", it.param], "msg": it.message});
        Self::detail(422, &complaints.iter().map(detail).collect())
    }

    /// An error that a fault rule demands.
    pub(super) fn of_status(code: u16) -> Self {
        let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
        let kind = match code {
            400 => "bad_request_error",
            401 => "token_not_found_in_db",
            404 => "not_found_error",
            _ => "internal_server_error",
        };
        Self::error(code, kind, None, reason.unwrap_or("Error"))
    }

    pub(super) fn into_reply(self) -> Reply {
        wire::json(self.status, &self.body)
    }
}
