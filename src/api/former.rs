//! Fields of status in the place where version 0.1 kept them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A field in its former place: it is read until the next write of status moves it. The API server drops fields that the
/// definition does not have, so that the definition has to keep them for that long.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Former<T>(Option<T>);

impl<T> Default for Former<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Former<T> {
    /// Whether nothing stands in the former place.
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// What stands in the present place, or else in the former one.
    pub fn or(&self, present: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        present.or_else(|| self.0.clone())
    }
}

/// Status that differs in nothing but the place of a field is not worth a write: the move goes with the next one.
impl<T> PartialEq for Former<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
