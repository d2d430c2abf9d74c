//! A specification that cannot be carried out, found before any call.

use crate::api::{Reason, Verdict};
use std::fmt;

/// Names the field and says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// Why, as a reason in a condition.
    pub reason: Reason,
    /// The field, as a path from the top of the resource; [`SpecError::SEVERAL`] where the message names several.
    pub field: String,
    /// What is wrong with it and what to do, one clause.
    pub message: String,
    /// Whether a key or token that is served already is looked after in spite of it: earlier versions admitted the field, and
    /// an application must not lose its key because this one does not.
    pub tolerated: bool,
}

impl SpecError {
    /// In the place of a field where the message names several.
    pub const SEVERAL: &str = "";

    /// The vendor cannot honour the field.
    pub fn unsupported(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: Reason::Unsupported, field: field.into(), message: message.into(), tolerated: false }
    }

    /// The field's value cannot be.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: Reason::InvalidSpec, field: field.into(), message: message.into(), tolerated: false }
    }

    /// The field has no effect beside another one, or a bad one in the long run. What is served already goes on.
    pub fn idle(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { tolerated: true, ..Self::invalid(field, message) }
    }

    /// Something the field points to is not there.
    pub fn missing(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: Reason::SecretMissing, field: field.into(), message: message.into(), tolerated: false }
    }

    /// Something the field points to cannot be what it should be.
    pub fn secret(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: Reason::SecretInvalid, field: field.into(), message: message.into(), tolerated: false }
    }

    /// What status says: stalled, but for what is missing, which other tools may be about to bring.
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
