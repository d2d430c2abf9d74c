//! Which fields a vendor blames when it rejects a request. The body is untrusted: only names of our own request are
//! taken from it, and shown as the names of the spec fields behind them.

use crate::plan::fault::FaultKind;
use serde_json::{Map, Value};

/// The vendor's name of a request field, and the spec field behind it. `None`: no spec field sets it.
pub type Field = (&'static str, Option<&'static str>);

/// Where vendors put their errors by field: lists, or objects with one entry per field.
const PLACES: [&str; 12] = [
    "",
    "/error",
    "/error/message",
    "/error/params",
    "/error/details",
    "/error/errors",
    "/error/issues",
    "/errors",
    "/detail",
    "/details",
    "/message",
    "/issues",
];
/// Where an entry of such a list names its field.
const POINTERS: [&str; 8] =
    ["/loc", "/param", "/field", "/path", "/pointer", "/source/pointer", "/property", "/attribute"];
/// Fields beside the text of an error that is not an object of errors by field.
const PROSE: [&str; 7] = ["message", "title", "code", "status", "detail", "error", "instance"];
/// Parts of a request other than its body.
const ELSEWHERE: [&str; 4] = ["path", "query", "header", "cookie"];

/// The rejection of a request with those fields.
pub fn of(status: u16, body: &[u8], fields: &[Field]) -> FaultKind {
    let named = named(body, fields);
    let mut settable: Vec<_> = named.iter().filter_map(|(_, path)| *path).collect();
    settable.dedup();
    if settable.is_empty() && !named.is_empty() {
        return FaultKind::RejectedOurs { status, fields: named.iter().map(|(name, _)| *name).collect() };
    }
    FaultKind::Rejected { status, fields: settable }
}

/// The fields that the body names, in the order of the request.
fn named(body: &[u8], fields: &[Field]) -> Vec<Field> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for place in PLACES.iter().filter_map(|place| body.pointer(place)) {
        match place {
            Value::Array(complaints) => names.extend(complaints.iter().filter_map(|it| pointed(it, fields))),
            Value::Object(complaints) => {
                // As OpenAI's errors do: `{"error": {"message": …, "param": "models"}}`.
                names.extend(complaints.get("param").and_then(Value::as_str).and_then(|it| own(it, fields)));
                keyed(complaints, fields, &mut names);
            }
            _ => {}
        }
    }
    fields.iter().copied().filter(|(name, _)| names.contains(name)).collect()
}

fn own(name: &str, fields: &[Field]) -> Option<&'static str> {
    fields.iter().map(|it| it.0).find(|it| *it == name)
}

/// The innermost field that an entry points to, such as `["body", "name"]`, `["body", "models", 0]` or `body.name`.
fn pointed(complaint: &Value, fields: &[Field]) -> Option<&'static str> {
    let pointer = POINTERS.iter().find_map(|it| complaint.pointer(it))?;
    let parts: Vec<&str> = match pointer {
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => {
            text.split(['.', '/', '[', ']', '>']).map(|it| it.trim_matches(['-', ' '])).collect()
        }
        _ => return None,
    };
    let first = parts.iter().find(|it| !it.is_empty())?;
    if parts.len() > 1 && ELSEWHERE.contains(first) {
        return None;
    }
    parts.iter().rev().find_map(|part| own(part, fields))
}

/// The fields that an object has errors for, including nested ones.
fn keyed(complaints: &Map<String, Value>, fields: &[Field], names: &mut Vec<&'static str>) {
    let prose = PROSE.iter().any(|it| complaints.contains_key(*it));
    for (name, complaint) in complaints {
        let Some(name) = own(name, fields).filter(|_| !complaint.is_null()) else { continue };
        // `name` and `type` of an error describe the error itself, not a field of the request.
        if prose && !complaint.is_array() && !complaint.is_object() {
            continue;
        }
        let inner = complaint.as_object().into_iter().flatten();
        let inner: Vec<_> = inner.filter_map(|(name, _)| own(name, fields)).collect();
        if inner.is_empty() {
            names.push(name);
        }
        names.extend(inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        ("name", Some("spec.displayName")),
        ("type", Some("spec.type")),
        ("models", Some("spec.models")),
        ("max_usage", Some("spec.budget")),
        ("active_balance", Some("spec.budget")),
        ("settings", Some("spec.settings")),
        ("preference", Some("spec.settings.preference")),
        ("created_at", None),
    ];

    #[test]
    fn a_refusal_names_the_fields_of_the_specification_in_every_shape_that_vendors_have() {
        let table: [(&str, &[&str]); 31] = [
            (r#"{"error":{"message":"m","type":"t","param":"models","code":"400"}}"#, &["spec.models"]),
            (r#"{"error":{"message":"m","type":"t","param":null,"code":"400"}}"#, &[]),
            (r#"{"detail":[{"loc":["body","name"],"msg":"m","type":"missing"}]}"#, &["spec.displayName"]),
            (r#"{"detail":[{"loc":["body","models",0],"msg":"m","type":"t"}]}"#, &["spec.models"]),
            (r#"{"detail":[{"loc":["body",0,"max_usage"]}]}"#, &["spec.budget"]),
            (r#"{"detail":[{"loc":["body","settings","preference"]}]}"#, &["spec.settings.preference"]),
            (
                r#"{"detail":[{"loc":["body","name","str"]},{"loc":["body","max_usage"]}]}"#,
                &["spec.displayName", "spec.budget"],
            ),
            (r#"{"detail":[{"loc":["name"]}]}"#, &["spec.displayName"]),
            (r#"{"detail":[{"loc":["query","name"]}]}"#, &[]),
            (r#"{"detail":[{"loc":["body"]}]}"#, &[]),
            (r#"{"detail":[{"loc":"body.name"}]}"#, &["spec.displayName"]),
            (r#"{"detail":[{"loc":"body -> name"}]}"#, &["spec.displayName"]),
            (r#"{"detail":{"name":["m"]}}"#, &["spec.displayName"]),
            (r#"{"detail":"Bad name"}"#, &[]),
            (r#"{"detail":"Field 'name' is too long"}"#, &[]),
            (r#"{"detail":"max_usage"}"#, &[]),
            (r#"{"error":"name"}"#, &[]),
            (r#"{"error":{"params":[{"param":"models"}]}}"#, &["spec.models"]),
            (r#"{"error":{"type":"x","message":{"name":["taken"]}}}"#, &["spec.displayName"]),
            (r#"{"error":{"type":"x","message":"y"}}"#, &[]),
            (
                r#"{"name":["taken"],"active_balance":["no"],"max_usage":["no"]}"#,
                &["spec.displayName", "spec.budget"],
            ),
            (r#"{"name":"taken"}"#, &["spec.displayName"]),
            (r#"{"name":"ValidationError","message":"m"}"#, &[]),
            (r#"{"type":"about:blank","title":"Bad Request","status":400}"#, &[]),
            (r#"{"errors":[{"field":"type"}]}"#, &["spec.type"]),
            (r#"{"errors":[{"source":{"pointer":"/data/attributes/name"}}]}"#, &["spec.displayName"]),
            (r#"{"issues":[{"path":["models",1]}]}"#, &["spec.models"]),
            (r#"{"settings":{"preference":["no"]}}"#, &["spec.settings.preference"]),
            (r#"{"settings":["no"]}"#, &["spec.settings"]),
            (r#"[{"loc":["body","name"]}]"#, &["spec.displayName"]),
            (r#"{"detail":[{"loc":["body","created_at"]},{"loc":["body","name"]}]}"#, &["spec.displayName"]),
        ];
        for (body, fields) in table {
            let fields = fields.to_vec();
            assert_eq!(
                of(422, body.as_bytes(), FIELDS),
                FaultKind::Rejected { status: 422, fields },
                "{body}"
            );
        }
    }

    #[test]
    fn a_field_that_no_specification_sets_is_told_as_such() {
        let body = br#"{"detail":[{"loc":["body","created_at"],"msg":"CANARY"}]}"#;
        let fault = of(422, body, FIELDS);
        assert_eq!(fault, FaultKind::RejectedOurs { status: 422, fields: vec!["created_at"] });
        assert!(fault.to_string().contains("created_at, which Keysmith fills in"), "{fault}");
    }

    #[test]
    fn nothing_that_the_vendor_made_up_is_repeated() {
        for body in [
            "",
            "nonsense",
            "null",
            "7",
            "[]",
            "[[[]]]",
            r#"{"detail":[{"loc":["body","CANARY"]},7,null,"name"]}"#,
        ] {
            assert_eq!(
                of(422, body.as_bytes(), FIELDS),
                FaultKind::Rejected { status: 422, fields: vec![] },
                "{body}"
            );
        }
    }
}
