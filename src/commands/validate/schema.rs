//! Checks a resource against its definition as the API server does: types, required and unknown fields, bounds, and the
//! rules (CEL). Rules about a change are left out, because there is no earlier state to compare with.

use super::cel;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Names that are less alike than this are not suggested.
const ALIKE: f64 = 0.75;

/// A field that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its path.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// What is wrong with a resource. Defaults are filled in, and `null` counts as not set, as at the API server.
pub fn check(crd: &CustomResourceDefinition, resource: &mut Value) -> Vec<Finding> {
    let version = resource["apiVersion"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let Some(version) = crd.spec.versions.iter().find(|it| it.name == version) else {
        let known: Vec<_> = crd.spec.versions.iter().map(|it| it.name.as_str()).collect();
        let message = format!("there is no such version; write {}/{}", crd.spec.group, known.join(" or "));
        return vec![Finding { field: "apiVersion".to_owned(), message }];
    };
    let Some(schema) = version.schema.as_ref().and_then(|it| it.open_api_v3_schema.as_ref()) else {
        return Vec::new();
    };
    let mut findings = Findings::default();
    // The API server checks metadata by itself, and drops status from what is applied.
    let metadata = resource["metadata"].take();
    if let Some(resource) = resource.as_object_mut() {
        resource.remove("status");
    }
    findings.value(schema, resource, "");
    resource["metadata"] = metadata;
    // A rule may rely on the types of what it reads.
    if findings.0.is_empty() {
        findings.rules(schema, resource, "");
    }
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Finding { field: field.to_owned(), message: message.into() });
    }

    fn value(&mut self, schema: &JSONSchemaProps, value: &mut Value, path: &str) {
        let wanted = schema.type_.as_deref().unwrap_or("object");
        let fits = match value {
            Value::Object(_) => wanted == "object",
            Value::Array(_) => wanted == "array",
            Value::String(_) => wanted == "string",
            Value::Bool(_) => wanted == "boolean",
            Value::Number(number) => {
                wanted == "number"
                    || wanted == "integer" && number.as_f64().is_some_and(|it| it.fract() == 0.0)
            }
            Value::Null => false,
        };
        if !fits {
            return self.add(path, format!("must be {}, and is {}", titled(wanted), titled(kind(value))));
        }
        if schema.enum_.as_ref().is_some_and(|known| !known.iter().any(|it| it.0 == *value)) {
            let known: Vec<_> = schema.enum_.iter().flatten().map(|it| it.0.to_string()).collect();
            return self.add(path, format!("must be one of {}", known.join(", ")));
        }
        match value {
            Value::Object(_) => self.object(schema, value, path),
            Value::Array(items) => self.array(schema, items, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) => self.number(schema, number.as_f64().unwrap_or_default(), path),
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn object(&mut self, schema: &JSONSchemaProps, value: &mut Value, path: &str) {
        let Value::Object(fields) = value else { return };
        fields.retain(|_, value| !value.is_null());
        let known = schema.properties.clone().unwrap_or_default();
        for (name, property) in &known {
            if let (Some(default), false) = (&property.default, fields.contains_key(name)) {
                fields.insert(name.clone(), default.0.clone());
            }
        }
        for name in schema.required.iter().flatten().filter(|it| !fields.contains_key(*it)) {
            self.add(&below(path, name), "is required");
        }
        if schema.max_properties.is_some_and(|most| over(fields.len(), most)) {
            self.add(
                path,
                format!("must have at most {} entries", schema.max_properties.unwrap_or_default()),
            );
        }
        if schema.min_properties.is_some_and(|least| is_below(least, fields.len())) {
            self.add(
                path,
                format!("must have at least {} entries", schema.min_properties.unwrap_or_default()),
            );
        }
        let open = schema.x_kubernetes_preserve_unknown_fields == Some(true);
        for (name, value) in fields.iter_mut() {
            match (known.get(name), schema.additional_properties.as_ref()) {
                (Some(property), _) => self.value(property, value, &below(path, name)),
                (None, Some(JSONSchemaPropsOrBool::Schema(entry))) => {
                    self.value(entry, value, &format!("{path}[{name}]"));
                }
                (None, Some(JSONSchemaPropsOrBool::Bool(true))) => {}
                // The API server fills these in at the top.
                (None, _)
                    if open
                        || path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str()) => {
                }
                (None, _) => self.add(&below(path, name), unknown(name, known.keys())),
            }
        }
    }

    fn array(&mut self, schema: &JSONSchemaProps, items: &mut [Value], path: &str) {
        if schema.max_items.is_some_and(|most| over(items.len(), most)) {
            self.add(path, format!("must have at most {} items", schema.max_items.unwrap_or_default()));
        }
        if schema.min_items.is_some_and(|least| is_below(least, items.len())) {
            self.add(path, format!("must have at least {} items", schema.min_items.unwrap_or_default()));
        }
        if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
            for (at, value) in items.iter_mut().enumerate() {
                self.value(item, value, &format!("{path}[{at}]"));
            }
        }
        let keys = schema.x_kubernetes_list_map_keys.clone().unwrap_or_default();
        if schema.x_kubernetes_list_type.as_deref().is_some_and(|it| it == "set" || it == "map") {
            let identity = |it: &Value| match keys.as_slice() {
                [] => it.to_string(),
                keys => keys.iter().map(|key| it[key].to_string()).collect::<Vec<_>>().join(","),
            };
            let mut seen = BTreeSet::new();
            if let Some(twice) = items.iter().map(identity).find(|it| !seen.insert(it.clone())) {
                self.add(path, format!("has {twice} twice"));
            }
        }
    }

    fn text(&mut self, schema: &JSONSchemaProps, text: &str, path: &str) {
        let length = text.chars().count();
        if schema.max_length.is_some_and(|most| over(length, most)) {
            self.add(path, format!("must have at most {} characters", schema.max_length.unwrap_or_default()));
        }
        if schema.min_length.is_some_and(|least| is_below(least, length)) {
            let least = schema.min_length.unwrap_or_default();
            let message = if least == 1 {
                "must not be empty".to_owned()
            } else {
                format!("must have at least {least} characters")
            };
            self.add(path, message);
        }
        if schema.format.as_deref() == Some("date-time") && text.parse::<jiff::Timestamp>().is_err() {
            self.add(path, "must be a time such as 2027-01-31T00:00:00Z");
        }
    }

    fn number(&mut self, schema: &JSONSchemaProps, number: f64, path: &str) {
        if schema.minimum.is_some_and(|least| number < least) {
            self.add(path, format!("must be at least {}", schema.minimum.unwrap_or_default()));
        }
        if schema.maximum.is_some_and(|most| number > most) {
            self.add(path, format!("must be at most {}", schema.maximum.unwrap_or_default()));
        }
    }

    /// The rules of a value and of everything in it.
    fn rules(&mut self, schema: &JSONSchemaProps, value: &Value, path: &str) {
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            if !is_about_a_change(&rule.rule) && cel::evaluate(&rule.rule, value) != Ok(true) {
                let field = format!("{path}{}", rule.field_path.as_deref().unwrap_or_default());
                self.add(field.trim_start_matches('.'), said(rule));
            }
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let property = schema.properties.as_ref().and_then(|it| it.get(name));
                    if let Some(property) = property {
                        self.rules(property, value, &below(path, name));
                    } else if let Some(JSONSchemaPropsOrBool::Schema(entry)) = &schema.additional_properties {
                        self.rules(entry, value, &format!("{path}[{name}]"));
                    }
                }
            }
            Value::Array(items) => {
                if let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items {
                    for (at, value) in items.iter().enumerate() {
                        self.rules(item, value, &format!("{path}[{at}]"));
                    }
                }
            }
            _ => {}
        }
    }
}

fn said(rule: &ValidationRule) -> String {
    rule.message.clone().unwrap_or_else(|| format!("must satisfy {}", rule.rule))
}

/// Whether a rule compares with an earlier state.
pub fn is_about_a_change(rule: &str) -> bool {
    rule.contains("oldSelf")
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn over(length: usize, most: i64) -> bool {
    i64::try_from(length).unwrap_or(i64::MAX) > most
}

fn is_below(least: i64, length: usize) -> bool {
    i64::try_from(length).unwrap_or(i64::MAX) < least
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let alike = known.map(|it| (strsim::jaro_winkler(it, name), it)).filter(|(alike, _)| *alike > ALIKE);
    match alike.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((_, name)) => format!("there is no such field; {name} is meant, perhaps"),
        None => "there is no such field; kubectl explain lists the fields".to_owned(),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::Null => "null",
    }
}

fn titled(kind: &str) -> &'static str {
    match kind {
        "object" => "a group of fields",
        "array" => "a list",
        "string" => "text (in quotes, where it looks like a number)",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        _ => "empty",
    }
}
