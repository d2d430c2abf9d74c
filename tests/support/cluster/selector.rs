//! Label and field selectors.

use serde_json::Value;

use super::failure::Failure;
use super::kind::Kind;

/// The selectors of a list or watch.
#[derive(Default)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, String, bool)>,
}

enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    pub(super) fn parse(kind: &Kind, labels: Option<&str>, fields: Option<&str>) -> Result<Self, Failure> {
        let labels = split_outside_parentheses(labels.unwrap_or_default());
        let labels = labels.into_iter().map(requirement).collect::<Result<_, _>>()?;
        let terms = fields.unwrap_or_default().split(',').filter(|t| !t.is_empty());
        let fields = terms.map(|term| field_term(kind, term)).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let label = |key: &str| labels.get(key).and_then(Value::as_str);
        let labelled = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Requirement::NotIn(key, values) => !label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        });
        labelled
            && self.fields.iter().all(|(path, value, equal)| (field_value(object, path) == *value) == *equal)
    }
}

/// A missing field selects as the empty string, as it does on the server.
fn field_value(object: &Value, path: &str) -> String {
    match path.split('.').fold(object, |value, step| value.get(step).unwrap_or(&Value::Null)) {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn field_term(kind: &Kind, term: &str) -> Result<(String, String, bool), Failure> {
    let (path, rest) = term.split_once(['=', '!']).ok_or_else(|| invalid(term))?;
    let equal = !term[path.len()..].starts_with('!');
    let value = rest.trim_start_matches('=');
    let known = ["metadata.name", "metadata.namespace"].contains(&path)
        || kind.selectable.iter().any(|field| field == path);
    if !known {
        return Err(Failure::bad_request(format!("field label not supported: {path}")));
    }
    Ok((path.to_owned(), value.to_owned(), equal))
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let separators = |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    };
    text.split(separators).map(str::trim).filter(|term| !term.is_empty()).collect()
}

fn requirement(term: &str) -> Result<Requirement, Failure> {
    if let Some(key) = term.strip_prefix('!') {
        return key_of(key).map(Requirement::Absent);
    }
    if let Some((head, values)) = term.strip_suffix(')').and_then(|t| t.split_once('(')) {
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        return match head.split_whitespace().collect::<Vec<_>>()[..] {
            [key, "in"] => Ok(Requirement::In(key_of(key)?, values)),
            [key, "notin"] => Ok(Requirement::NotIn(key_of(key)?, values)),
            _ => Err(invalid(term)),
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(key_of(key)?, vec![value.trim().to_owned()]));
    }
    match term.split_once('=') {
        Some((key, value)) => {
            Ok(Requirement::In(key_of(key)?, vec![value.trim_start_matches('=').trim().to_owned()]))
        }
        None => key_of(term).map(Requirement::Exists),
    }
}

fn key_of(text: &str) -> Result<String, Failure> {
    let key = text.trim();
    if key.is_empty() || key.contains([' ', '(', ')']) { Err(invalid(text)) } else { Ok(key.to_owned()) }
}

fn invalid(term: &str) -> Failure {
    Failure::bad_request(format!("unable to parse requirement: \"{term}\""))
}
