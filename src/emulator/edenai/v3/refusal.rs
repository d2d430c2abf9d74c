//! The errors of v3 (§2.10). Only the 401 of an inference key is documented; the rest is as Django REST framework
//! answers.

use http::StatusCode;
use serde_json::json;

use crate::emulator::edenai::v2::by_field;
use crate::emulator::fields::Complaint;
use crate::emulator::wire::{self, Reply};

#[derive(Debug)]
pub(super) enum Refusal {
    Invalid(Vec<Complaint>),
    Detail { status: u16, detail: String },
}

impl Refusal {
    pub(super) fn new(status: u16, detail: &str) -> Self {
        Self::Detail { status, detail: detail.to_owned() }
    }

    pub(super) fn one(complaint: Complaint) -> Self {
        Self::Invalid(vec![complaint])
    }

    pub(super) fn unauthorized(given: bool) -> Self {
        let detail = if given { "Invalid token." } else { "Authentication credentials were not provided." };
        Self::new(401, detail)
    }

    /// In the vendor's own words.
    pub(super) fn inference_key() -> Self {
        Self::new(
            401,
            "This endpoint needs a management key. An inference key (sk-eden...) cannot manage an organization; \
             mint a management key from the dashboard and use it here.",
        )
    }

    pub(super) fn scope(needed: &str) -> Self {
        Self::new(403, &format!("This management key lacks the scope {needed}."))
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "Not found.")
    }

    pub(super) fn taken() -> Self {
        Self::new(409, "An active key with this name already exists.")
    }

    /// An error that a fault rule demands.
    pub(super) fn of_status(code: u16) -> Self {
        let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
        Self::new(code, reason.unwrap_or("Error"))
    }

    pub(super) fn into_reply(self, flat: bool) -> Reply {
        match self {
            Self::Invalid(complaints) if flat => {
                let messages: Vec<_> = complaints.iter().map(|it| it.message.as_str()).collect();
                wire::json(400, &json!({ "detail": messages.join(" ") }))
            }
            Self::Invalid(complaints) => wire::json(400, &by_field(&complaints)),
            Self::Detail { status, detail } => wire::json(status, &json!({ "detail": detail })),
        }
    }
}
