//! Patches: RFC 7386 merge, and the schema-aware merge that apply and strategic merge share.

use serde_json::{Map, Value, json};

/// How a list is merged, by its `x-kubernetes-list-type`.
pub(super) enum ListType {
    Atomic,
    Set,
    Map(Vec<String>),
}

pub(super) fn list_type(schema: &Value) -> ListType {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListType::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            ListType::Map(keys.filter_map(Value::as_str).map(str::to_owned).collect())
        }
        _ => ListType::Atomic,
    }
}

pub(super) fn is_atomic_map(schema: &Value) -> bool {
    schema["x-kubernetes-map-type"] == "atomic"
}

/// The schema of one field; `Null` if unknown, which merges as granular maps and atomic lists.
pub(super) fn field<'a>(schema: &'a Value, name: &str) -> &'a Value {
    let declared = schema.get("properties").and_then(|p| p.get(name));
    declared.or_else(|| schema.get("additionalProperties")).unwrap_or(&Value::Null)
}

/// The fields of `item` that identify it in a list of type map.
pub(super) fn identity(item: &Value, keys: &[String]) -> Value {
    let found = keys.iter().filter_map(|key| item.get(key).map(|value| (key.clone(), value.clone())));
    Value::Object(found.collect())
}

/// Merges `patch` into `live`. With a `Null` schema this is RFC 7386: null removes, lists are replaced.
/// With a schema, lists of type set and map are merged by element.
pub(super) fn merge(live: &mut Value, patch: &Value, schema: &Value) {
    match patch {
        Value::Object(fields) => {
            if !live.is_object() || is_atomic_map(schema) {
                *live = json!({});
            }
            merge_fields(live.as_object_mut().expect("just made an object"), fields, schema);
        }
        Value::Array(items) if live.is_array() => {
            merge_list(live.as_array_mut().expect("just checked"), items, schema);
        }
        other => *live = other.clone(),
    }
}

fn merge_fields(live: &mut Map<String, Value>, patch: &Map<String, Value>, schema: &Value) {
    for (name, value) in patch {
        if value.is_null() {
            live.remove(name);
        } else {
            merge(live.entry(name.clone()).or_insert(Value::Null), value, field(schema, name));
        }
    }
}

fn merge_list(live: &mut Vec<Value>, items: &[Value], schema: &Value) {
    match list_type(schema) {
        ListType::Atomic => *live = items.to_vec(),
        ListType::Set => {
            for item in items {
                if !live.contains(item) {
                    live.push(item.clone());
                }
            }
        }
        ListType::Map(keys) => {
            for item in items {
                let wanted = identity(item, &keys);
                match live.iter_mut().find(|other| identity(other, &keys) == wanted) {
                    Some(found) => merge(found, item, &schema["items"]),
                    None => live.push(item.clone()),
                }
            }
        }
    }
}

/// Drops nulls in an applied object, which own nothing, before ownership is computed.
pub(super) fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, v| !v.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// Whether a patch has strategic merge directives (`$patch`, `$setElementOrder`, …), which are not supported and
/// refused.
pub(super) fn has_directives(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, v)| name.starts_with('$') || has_directives(v)),
        Value::Array(items) => items.iter().any(has_directives),
        _ => false,
    }
}
