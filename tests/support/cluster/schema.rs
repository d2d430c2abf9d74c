//! Structural schemas: pruning, defaulting, validation. CEL rules (`x-kubernetes-validations`) are not evaluated.

use std::collections::HashSet;

use regex::Regex;
use serde_json::{Map, Value};

use super::failure::Cause;
use super::merge::{ListType, field, identity, list_type};

/// Drops every field the schema does not name, below `spec` and `status` as at the top.
pub(super) fn prune(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
            let additional = schema.get("additionalProperties").filter(|a| **a != Value::Bool(false));
            let declared = schema.get("properties").and_then(Value::as_object);
            fields.retain(|name, _| {
                open || additional.is_some() || declared.is_some_and(|d| d.contains_key(name))
            });
            for (name, value) in fields {
                let known = declared.is_some_and(|d| d.contains_key(name))
                    || additional.is_some_and(Value::is_object);
                if known {
                    prune(value, field(schema, name));
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune(item, &schema["items"])),
        _ => {}
    }
}

/// Drops nulls that the schema does not allow, then fills in defaults, outermost first.
pub(super) fn fill_defaults(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| !value.is_null() || allows_null(field(schema, name)));
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    fields.entry(name.clone()).or_insert_with(|| default.clone());
                }
            }
            for (name, value) in fields {
                fill_defaults(value, field(schema, name));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill_defaults(item, &schema["items"])),
        _ => {}
    }
}

fn allows_null(schema: &Value) -> bool {
    schema.is_null() || schema["nullable"] == true
}

/// Appends the violations of `value`. A violation that has not changed since `old` is tolerated, as the server's
/// ratcheting does, so that a tightened schema does not lock old objects.
pub(super) fn validate(
    value: &Value,
    old: Option<&Value>,
    schema: &Value,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    if old == Some(value) || (value.is_null() && allows_null(schema)) {
        return;
    }
    if let Some(cause) = wrong_type(value, schema, path) {
        causes.push(cause);
        return;
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        let supported: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        causes.push(Cause::new(path, "FieldValueNotSupported", message));
    }
    match value {
        Value::Object(fields) => validate_object(fields, old, schema, path, causes),
        Value::Array(items) => validate_list(items, old, schema, path, causes),
        Value::String(text) => validate_text(text, schema, path, causes),
        Value::Number(_) => validate_number(value, schema, path, causes),
        _ => {}
    }
    validate_combinations(value, schema, path, causes);
}

fn wrong_type(value: &Value, schema: &Value, path: &str) -> Option<Cause> {
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema["x-kubernetes-int-or-string"] == true {
        let fits = matches!(actual, "integer" | "string");
        return (!fits).then(|| mistyped(path, actual, "integer,string"));
    }
    let wanted = schema["type"].as_str()?;
    let whole = || value.as_f64().is_some_and(|n| n.fract() == 0.0);
    let fits = wanted == actual
        || (wanted == "number" && actual == "integer")
        || (wanted == "integer" && actual == "number" && whole());
    (!fits).then(|| mistyped(path, actual, wanted))
}

fn mistyped(path: &str, actual: &str, wanted: &str) -> Cause {
    let message =
        format!("Invalid value: \"{actual}\": {path} in body must be of type {wanted}: \"{actual}\"");
    Cause::new(path, "FieldValueTypeInvalid", message)
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn validate_object(
    fields: &Map<String, Value>,
    old: Option<&Value>,
    schema: &Value,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    causes.extend(required.filter(|r| !fields.contains_key(*r)).map(|r| Cause::required(&below(path, r))));
    check_count(fields.len(), schema, "Properties", path, causes);
    for (name, value) in fields {
        let before = old.and_then(|o| o.get(name));
        validate(value, before, field(schema, name), &below(path, name), causes);
    }
}

fn validate_list(items: &[Value], old: Option<&Value>, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    check_count(items.len(), schema, "Items", path, causes);
    let keys = match list_type(schema) {
        ListType::Atomic => None,
        ListType::Set => Some(Vec::new()),
        ListType::Map(keys) => Some(keys),
    };
    let mut seen = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut before = None;
        if let Some(keys) = &keys {
            let name = if keys.is_empty() { item.clone() } else { identity(item, keys) };
            if !seen.insert(name.to_string()) {
                causes.push(Cause::new(&path, "FieldValueDuplicate", format!("Duplicate value: {name}")));
            }
            let others = old.and_then(Value::as_array).into_iter().flatten();
            before = others.filter(|_| !keys.is_empty()).find(|other| identity(other, keys) == name);
        }
        validate(item, before, &schema["items"], &path, causes);
    }
}

fn check_count(count: usize, schema: &Value, what: &str, path: &str, causes: &mut Vec<Cause>) {
    let bound = |which: &str| schema[format!("{which}{what}")].as_u64();
    if bound("max").is_some_and(|max| count as u64 > max) {
        let message = format!("Too many: {count}: must have at most {} items", bound("max").unwrap_or(0));
        causes.push(Cause::new(path, "FieldValueTooMany", message));
    }
    if bound("min").is_some_and(|min| (count as u64) < min) {
        let least = bound("min").unwrap_or(0);
        let message = format!("{count}: {path} in body should have at least {least} {}", what.to_lowercase());
        causes.push(Cause::invalid(path, message));
    }
}

fn validate_text(text: &str, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    if let Some(max) = schema["maxLength"].as_u64().filter(|max| length > *max) {
        causes.push(Cause::new(
            path,
            "FieldValueTooLong",
            format!("Too long: may not be more than {max} bytes"),
        ));
    }
    let mut refuse = |said: String| {
        causes.push(Cause::invalid(path, format!("{text:?}: {path} in body should {said}")));
    };
    if let Some(min) = schema["minLength"].as_u64().filter(|min| length < *min) {
        refuse(format!("be at least {min} chars long"));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let regex =
            Regex::new(pattern).unwrap_or_else(|e| panic!("the pattern at {path} does not compile: {e}"));
        if !regex.is_match(text) {
            refuse(format!("match '{pattern}'"));
        }
    }
    if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
        refuse("be of type date-time".to_owned());
    }
}

fn validate_number(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(number) = value.as_f64() else { return };
    let mut refuse = |said: String| {
        causes.push(Cause::invalid(path, format!("{value}: {path} in body should be {said}")));
    };
    if let Some(min) = schema["minimum"].as_f64() {
        let exclusive = schema["exclusiveMinimum"] == true;
        if number < min || (exclusive && number <= min) {
            refuse(format!("greater than {}{min}", if exclusive { "" } else { "or equal to " }));
        }
    }
    if let Some(max) = schema["maximum"].as_f64() {
        let exclusive = schema["exclusiveMaximum"] == true;
        if number > max || (exclusive && number >= max) {
            refuse(format!("less than {}{max}", if exclusive { "" } else { "or equal to " }));
        }
    }
    if schema["multipleOf"].as_f64().is_some_and(|step| (number / step).fract() != 0.0) {
        refuse(format!("a multiple of {}", schema["multipleOf"]));
    }
}

fn validate_combinations(value: &Value, schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let list = |name: &str| schema[name].as_array().map(Vec::as_slice).unwrap_or_default();
    for part in list("allOf") {
        validate(value, None, part, path, causes);
    }
    let fits = |part: &Value| {
        let mut found = Vec::new();
        validate(value, None, part, path, &mut found);
        found.is_empty()
    };
    let shown = || format!("{path} in body");
    if !list("anyOf").is_empty() && !list("anyOf").iter().any(fits) {
        causes.push(Cause::invalid(path, format!("{} must validate at least one schema (anyOf)", shown())));
    }
    if !list("oneOf").is_empty() && list("oneOf").iter().filter(|part| fits(part)).count() != 1 {
        causes
            .push(Cause::invalid(path, format!("{} must validate one and only one schema (oneOf)", shown())));
    }
    if schema.get("not").is_some_and(fits) {
        causes.push(Cause::invalid(path, format!("{} must not validate the schema (not)", shown())));
    }
}
