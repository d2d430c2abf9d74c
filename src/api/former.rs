//! Status fields that version 0.1 stored elsewhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A field in its former place. It is read until the next write of status moves it. The API server drops fields
/// that are not in the CRD, so the CRD has to keep it until then.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Former<T>(Option<T>);

impl<T> Default for Former<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Former<T> {
    /// Whether the former field is absent.
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The present field's value or, without one, the former one.
    pub fn or(&self, present: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        present.or_else(|| self.0.clone())
    }
}

/// All values are equal, so that a status which differs only in the place of a field is not written: the next write
/// moves it.
impl<T> PartialEq for Former<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
