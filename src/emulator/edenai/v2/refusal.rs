//! The errors of v2: three shapes on one API (§2.4).

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::emulator::fields::Complaint;
use crate::emulator::wire::{self, Reply};

#[derive(Debug)]
pub(super) enum Refusal {
    /// 400: `message` is an object of arrays.
    Invalid(Vec<Complaint>),
    /// `message` is a string.
    Typed { status: u16, kind: &'static str, message: String },
    /// 404: `details`, in the plural.
    NotFound,
    /// The form of Django REST framework, where the documentation is silent.
    Detail { status: u16, detail: String },
}

impl Refusal {
    pub(super) fn one(param: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Complaint::new(param, message)])
    }

    pub(super) fn unauthorized(given: bool) -> Self {
        let detail = if given { "Invalid token." } else { "Authentication credentials were not provided." };
        Self::Detail { status: 401, detail: detail.to_owned() }
    }

    pub(super) fn forbidden() -> Self {
        let message = "You do not have permission to manage tokens".to_owned();
        Self::Typed { status: 403, kind: "permission_error", message }
    }

    /// An error that a fault rule demands.
    pub(super) fn of_status(code: u16) -> Self {
        match code {
            401 => Self::unauthorized(true),
            403 => Self::forbidden(),
            404 => Self::NotFound,
            405 => Self::Detail { status: 405, detail: "Method not allowed.".to_owned() },
            code => {
                let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
                let message = reason.unwrap_or("Error").to_owned();
                Self::Typed { status: code, kind: "emulated_fault", message }
            }
        }
    }

    pub(super) fn into_reply(self) -> Reply {
        match self {
            Self::Invalid(complaints) => {
                let message = by_field(&complaints);
                wire::json(400, &json!({ "error": { "type": "validation_error", "message": message } }))
            }
            Self::Typed { status, kind, message } => {
                wire::json(status, &json!({ "error": { "type": kind, "message": message } }))
            }
            Self::NotFound => wire::json(404, &json!({ "details": "Not Found" })),
            Self::Detail { status, detail } => wire::json(status, &json!({ "detail": detail })),
        }
    }
}

/// `{"name":["…"]}`.
pub(in crate::emulator::edenai) fn by_field(complaints: &[Complaint]) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    for Complaint { param, message } in complaints {
        let messages = fields.entry(param).or_insert_with(|| json!([]));
        if let Some(messages) = messages.as_array_mut() {
            messages.push(json!(message));
        }
    }
    Value::Object(fields)
}
