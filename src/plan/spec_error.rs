//! An invalid or unsupported specification, found before any call to the vendor.

use crate::api::{Reason, Verdict};
use std::fmt;

/// The field that is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// The reason for the condition.
    pub reason: Reason,
    /// Path of the field from the top of the resource; [`SpecError::SEVERAL`] if the message names several fields.
    pub field: String,
    /// What is wrong with it and what to do, one clause.
    pub message: String,
    /// Whether an existing key or token is still maintained: earlier versions accepted the field, and an
    /// application must not lose its key because this version does not.
    pub tolerated: bool,
}

impl SpecError {
    /// Value of `field` if the message names several fields.
    pub const SEVERAL: &str = "";

    /// The vendor does not support the field.
    pub fn unsupported(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: Reason::Unsupported, field: field.into(), message: message.into(), tolerated: false }
    }

    /// The field's value is invalid.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: Reason::InvalidSpec, field: field.into(), message: message.into(), tolerated: false }
    }

    /// The field has no effect beside another one, or would do harm over time. An existing key is still maintained.
    pub fn idle(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { tolerated: true, ..Self::invalid(field, message) }
    }

    /// An object that the field references does not exist.
    pub fn missing(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: Reason::SecretMissing, field: field.into(), message: message.into(), tolerated: false }
    }

    /// A referenced Secret has invalid content.
    pub fn secret(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: Reason::SecretInvalid, field: field.into(), message: message.into(), tolerated: false }
    }

    /// The verdict for status: stalled, but waiting if an object is missing that another tool may be about to
    /// create.
    pub fn verdict(&self) -> Verdict {
        match self.reason {
            Reason::SecretMissing | Reason::ConsoleTokenMissing => {
                Verdict::waiting(self.reason, self.to_string())
            }
            reason => Verdict::stalled(reason, self.to_string()),
        }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            Self::SEVERAL => formatter.write_str(&self.message),
            field => write!(formatter, "{field}: {}", self.message),
        }
    }
}
