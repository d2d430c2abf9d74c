//! The steps of a body before it is stored.

use serde_json::{Value, json};

use super::admit;
use super::call::Call;
use super::failure::{Cause, Failure};
use super::kind::Kind;
use super::merge::without_nulls;
use super::schema;

/// The content of an apply: no nulls, no bookkeeping, and only the fields that this endpoint can write.
pub(super) fn applied_body(call: &Call) -> Result<Value, Failure> {
    if call.query("fieldManager").is_none() {
        let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
        return Err(Failure::new(422, "Invalid", message));
    }
    let mut body = call.object()?;
    without_nulls(&mut body);
    if body["apiVersion"].is_null() || body["kind"].is_null() {
        return Err(Failure::bad_request("apiVersion and kind are required in an applied object"));
    }
    if !body["metadata"]["managedFields"].is_null() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    if call.kind.is_secret() && !body["stringData"].is_null() {
        let had_type = !body["type"].is_null();
        admit::fold_string_data(&mut body)?;
        if !had_type {
            body.as_object_mut().expect("an object").remove("type");
        }
    }
    if !call.subresource.is_empty() {
        let metadata = body["metadata"].as_object_mut();
        if let Some(metadata) = metadata {
            metadata.retain(|k, _| ["name", "namespace", "uid", "resourceVersion"].contains(&k.as_str()));
        }
        let fields = body.as_object_mut().expect("an object");
        fields.retain(|k, _| ["apiVersion", "kind", "metadata", "status"].contains(&k.as_str()));
    } else if call.kind.status {
        body.as_object_mut().expect("an object").remove("status");
    }
    // Indexing above may have created an empty metadata; the address fills it in.
    if body["metadata"].is_null() {
        body["metadata"] = json!({});
    }
    Ok(body)
}

/// The body must agree with the address, which fills in missing fields.
pub(super) fn addressed(call: &Call, mut object: Value) -> Result<Value, Failure> {
    let kind = &call.kind;
    for (field, expected) in [("apiVersion", kind.api_version()), ("kind", kind.kind.clone())] {
        let given = object[field].as_str().unwrap_or_default();
        if given.is_empty() && !kind.is_builtin() {
            return Err(Failure::bad_request(format!("Object '{field}' is missing")));
        }
        if !given.is_empty() && given != expected {
            let message =
                format!("the {field} in the data ({given}) does not match the expected {field} ({expected})");
            return Err(Failure::bad_request(message));
        }
        object[field] = json!(expected);
    }
    if object["metadata"].is_null() {
        object["metadata"] = json!({});
    }
    let metadata = &mut object["metadata"];
    if let Some(fields) = metadata.as_object_mut().filter(|_| !kind.namespaced) {
        fields.remove("namespace");
    }
    let named = call.name.as_deref().filter(|_| call.verb != "create");
    for (field, expected) in [("namespace", call.namespace.as_deref()), ("name", named)] {
        let given = metadata[field].as_str().unwrap_or_default();
        let Some(expected) = expected else { continue };
        if !given.is_empty() && given != expected {
            let message = format!(
                "the {field} of the object ({given}) does not match the {field} on the URL ({expected})"
            );
            return Err(Failure::bad_request(message));
        }
        metadata[field] = json!(expected);
    }
    Ok(object)
}

pub(super) fn check_preconditions(
    kind: &Kind,
    name: &str,
    current: &Value,
    wanted: &Value,
) -> Result<(), Failure> {
    let given = |field: &str| wanted[field].as_str().filter(|text| !text.is_empty());
    let current = &current["metadata"];
    if let Some(uid) = given("uid").filter(|uid| current["uid"] != **uid) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            current["uid"]
        );
        return Err(Failure::conflict(kind, name, &why));
    }
    if given("resourceVersion").is_some_and(|version| current["resourceVersion"] != *version) {
        return Err(Failure::modified(kind, name));
    }
    Ok(())
}

/// Metadata kept by the server stays; the status changes only through `/status`, and only the status changes there.
pub(super) fn keep_what_cannot_change(call: &Call, current: &Value, next: &mut Value) {
    const KEPT: [&str; 7] = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "managedFields",
    ];
    if !call.subresource.is_empty() {
        let status = next["status"].take();
        *next = current.clone();
        next["status"] = status;
    } else if call.kind.status {
        next["status"] = current["status"].clone();
    }
    let fields = next.as_object_mut().expect("an object");
    fields.retain(|name, value| name != "status" || !value.is_null());
    for field in KEPT {
        match &current["metadata"][field] {
            Value::Null => drop(next["metadata"].as_object_mut().expect("metadata").remove(field)),
            value => next["metadata"][field] = value.clone(),
        }
    }
}

/// Decodes, prunes, defaults and validates, in the server's order.
pub(super) fn prepared(
    kind: &Kind,
    name: &str,
    mut object: Value,
    old: Option<&Value>,
    mut causes: Vec<Cause>,
) -> Result<Value, Failure> {
    if kind.is_secret() {
        admit::fold_string_data(&mut object)?;
    }
    let mut object = kind.decode(object).map_err(|why| {
        Failure::bad_request(format!(
            "{0} in version \"{1}\" cannot be handled as a {0}: {why}",
            kind.kind, kind.version
        ))
    })?;
    admit::check_metadata(&object, &mut causes);
    if let Some(schema) = &kind.schema {
        let header = ["apiVersion", "kind", "metadata"].map(|field| (field, object[field].take()));
        object.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        schema::prune(&mut object, schema);
        schema::fill_defaults(&mut object, schema);
        for (field, value) in header {
            object[field] = value;
        }
        schema::validate(&object, old, &kind.merging, "", &mut causes);
    }
    admit::check_builtin(kind, &object, &mut causes);
    if let Some(old) = old {
        admit::check_update(kind, old, &object, &mut causes);
    }
    if causes.is_empty() { Ok(object) } else { Err(Failure::invalid(kind, name, &causes)) }
}

/// The content whose changes `metadata.generation` counts.
pub(super) fn content(kind: &Kind, object: &Value) -> Value {
    let mut content = object.clone();
    if let Some(fields) = content.as_object_mut() {
        fields.retain(|name, _| name != "metadata" && !(kind.status && name == "status"));
    }
    content
}

pub(super) fn bump_generation(object: &mut Value) {
    let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
    object["metadata"]["generation"] = json!(generation + 1);
}
