//! Reads the fields of a JSON object and collects every complaint, so that one answer names all of them.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A field of a partial update: vendors distinguish a present null from an omitted field (§1.6).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given<T> {
    Omitted,
    Null,
    Value(T),
}

impl<T> Given<T> {
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Omitted | Self::Null => None,
        }
    }

    /// Null clears.
    pub(super) fn amend_option(self, slot: &mut Option<T>) {
        match self {
            Self::Omitted => {}
            Self::Null => *slot = None,
            Self::Value(value) => *slot = Some(value),
        }
    }
}

impl<T: Default> Given<T> {
    /// Null resets to the default.
    pub(super) fn amend(self, slot: &mut T) {
        match self {
            Self::Omitted => {}
            Self::Null => *slot = T::default(),
            Self::Value(value) => *slot = value,
        }
    }
}

/// A complaint about one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) param: String,
    pub(super) message: String,
}

impl Complaint {
    pub(super) fn new(param: &str, message: impl Into<String>) -> Self {
        Self { param: param.to_owned(), message: message.into() }
    }
}

/// Lays the given fields over the existing ones, so that a caller names only what it changes.
pub(super) fn laid_over<S: Serialize + DeserializeOwned>(
    current: &S,
    patch: Map<String, Value>,
) -> Result<S, serde_json::Error> {
    let mut merged = serde_json::to_value(current)?;
    if let Some(merged) = merged.as_object_mut() {
        merged.extend(patch);
    }
    serde_json::from_value(merged)
}

pub(super) struct Fields {
    body: Map<String, Value>,
    complaints: Vec<Complaint>,
}

impl Fields {
    /// An empty body reads as an empty object; anything but an object is a complaint.
    pub(super) fn parse(body: &[u8]) -> Self {
        let (body, complaints) = match serde_json::from_slice(body) {
            Ok(Value::Object(body)) => (body, Vec::new()),
            Err(_) if body.is_empty() => (Map::new(), Vec::new()),
            _ => (Map::new(), vec![Complaint::new("body", "Body must be a JSON object.")]),
        };
        Self { body, complaints }
    }

    /// The fields of an object inside the body.
    pub(super) fn of(body: Map<String, Value>) -> Self {
        Self { body, complaints: Vec::new() }
    }

    /// Drops a field, as a server does that does not know it.
    pub(super) fn ignore(&mut self, name: &str) {
        self.body.remove(name);
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.body.keys().map(String::as_str)
    }

    pub(super) fn complain(&mut self, param: &str, message: impl Into<String>) {
        self.complaints.push(Complaint::new(param, message));
    }

    /// The complaints, if there are any.
    pub(super) fn finish(self) -> Result<(), Vec<Complaint>> {
        if self.complaints.is_empty() { Ok(()) } else { Err(self.complaints) }
    }

    pub(super) fn text(&mut self, name: &str) -> Given<String> {
        self.read(name, "must be a string", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&mut self, name: &str) -> Given<bool> {
        self.read(name, "must be a boolean", Value::as_bool)
    }

    pub(super) fn texts(&mut self, name: &str) -> Given<Vec<String>> {
        self.read(name, "must be an array of strings", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    pub(super) fn amount(&mut self, name: &str) -> Given<u64> {
        self.read(name, "must be a non-negative integer", Value::as_u64)
    }

    pub(super) fn positive(&mut self, name: &str) -> Given<i64> {
        self.read(name, "must be a positive integer", |value| value.as_i64().filter(|n| *n > 0))
    }

    pub(super) fn time(&mut self, name: &str) -> Given<Timestamp> {
        self.read(name, "must be an RFC 3339 time", |value| value.as_str()?.parse().ok())
    }

    /// Absent, null and blank are all missing.
    pub(super) fn required_text(&mut self, name: &str) -> String {
        let before = self.complaints.len();
        let text = self.text(name).value().unwrap_or_default();
        if text.trim().is_empty() && self.complaints.len() == before {
            self.complain(name, format!("{name} is required."));
        }
        text
    }

    /// May be omitted, but not given as null or blank.
    pub(super) fn text_if_given(&mut self, name: &str) -> Option<String> {
        let given = self.body.contains_key(name);
        given.then(|| self.required_text(name))
    }

    pub(super) fn read<T>(
        &mut self,
        name: &str,
        rule: &str,
        parse: impl Fn(&Value) -> Option<T>,
    ) -> Given<T> {
        match self.body.get(name) {
            None => Given::Omitted,
            Some(Value::Null) => Given::Null,
            Some(value) => parse(value).map_or_else(
                || {
                    self.complaints.push(Complaint::new(name, format!("{name} {rule}.")));
                    Given::Omitted
                },
                Given::Value,
            ),
        }
    }
}
