//! Field ownership for server-side apply: the manager of each leaf, stored in `metadata.managedFields` as the server
//! does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::merge::{ListType, field, identity, is_atomic_map, list_type};

/// Steps as `FieldsV1` spells them: `f:name`, `k:{"type":"Ready"}`, `v:"x"`.
pub(super) type Path = Vec<String>;
pub(super) type Leaves = BTreeMap<Path, Value>;

/// One entry of `managedFields`.
#[derive(Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) operation: String,
    pub(super) subresource: String,
    api_version: String,
    time: String,
    pub(super) paths: BTreeSet<Path>,
}

/// The writer of a request.
pub(super) struct Writer {
    pub(super) manager: String,
    pub(super) operation: &'static str,
    pub(super) subresource: String,
    pub(super) api_version: String,
    pub(super) time: String,
}

impl Writer {
    fn owns(&self, entry: &Entry) -> bool {
        entry.manager == self.manager
            && entry.operation == self.operation
            && entry.subresource == self.subresource
    }

    /// Replaces this writer's entry; an unchanged entry keeps its time, or every apply would be a change.
    fn store(&self, entries: &mut Vec<Entry>, paths: BTreeSet<Path>) {
        if let Some(entry) = entries.iter_mut().find(|e| self.owns(e)) {
            if entry.paths != paths {
                entry.paths = paths;
                entry.time.clone_from(&self.time);
            }
        } else {
            entries.push(Entry {
                manager: self.manager.clone(),
                operation: self.operation.to_owned(),
                subresource: self.subresource.clone(),
                api_version: self.api_version.clone(),
                time: self.time.clone(),
                paths,
            });
        }
        entries.retain(|e| !e.paths.is_empty());
    }
}

/// The leaves of an object that can be owned; identity and bookkeeping fields cannot.
pub(super) fn leaves(object: &Value, schema: &Value) -> Leaves {
    const NEVER: [&str; 11] = [
        "name",
        "namespace",
        "generateName",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    ];
    let mut found = Leaves::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        let mut value = value.clone();
        match name.as_str() {
            "apiVersion" | "kind" => continue,
            "metadata" => {
                if let Some(metadata) = value.as_object_mut() {
                    metadata.retain(|k, _| !NEVER.contains(&k.as_str()));
                }
                if value.as_object().is_some_and(Map::is_empty) {
                    continue;
                }
            }
            _ => {}
        }
        collect(&value, field(schema, name), &mut vec![format!("f:{name}")], &mut found);
    }
    found
}

fn collect(value: &Value, schema: &Value, path: &mut Path, found: &mut Leaves) {
    match (value, list_type(schema)) {
        (Value::Object(fields), _) if !fields.is_empty() && !is_atomic_map(schema) => {
            for (name, value) in fields {
                path.push(format!("f:{name}"));
                collect(value, field(schema, name), path, found);
                path.pop();
            }
        }
        (Value::Array(items), ListType::Map(keys)) => {
            for item in items {
                path.push(format!("k:{}", identity(item, &keys)));
                found.insert(path.clone(), Value::Null);
                collect(item, &schema["items"], path, found);
                path.pop();
            }
        }
        (Value::Array(items), ListType::Set) => {
            for item in items {
                path.push(format!("v:{item}"));
                found.insert(path.clone(), Value::Null);
                path.pop();
            }
        }
        _ => {
            found.insert(path.clone(), value.clone());
        }
    }
}

/// An ordinary write: the writer becomes the only owner of every field it changed, and a removed field has no owner.
pub(super) fn after_update(entries: &mut Vec<Entry>, writer: &Writer, old: &Leaves, new: &Leaves) {
    let changed: BTreeSet<Path> =
        new.iter().filter(|(path, value)| old.get(*path) != Some(value)).map(|(p, _)| p.clone()).collect();
    let mut own = BTreeSet::new();
    for entry in entries.iter_mut() {
        let mine = writer.owns(entry);
        let kept = entry.paths.iter().filter(|p| new.contains_key(*p) && (mine || !changed.contains(*p)));
        let kept: BTreeSet<Path> = kept.cloned().collect();
        if mine {
            own = kept;
        } else {
            entry.paths = kept;
        }
    }
    own.extend(changed);
    writer.store(entries, own);
}

/// Fields the applied object would change although another manager owns them: `(manager, path)`.
pub(super) fn conflicts(
    entries: &[Entry],
    writer: &Writer,
    live: &Leaves,
    applied: &Leaves,
) -> Vec<(String, String)> {
    let others = entries.iter().filter(|e| !writer.owns(e));
    let changed =
        |path: &&Path| live.contains_key(*path) && applied.get(*path).is_some_and(|v| v != &live[*path]);
    let found = others.flat_map(|e| e.paths.iter().filter(changed).map(|p| (e.manager.clone(), dotted(p))));
    found.collect()
}

/// An apply: returns the fields that this manager applied before, applies no longer, and no other manager owns.
pub(super) fn after_apply(
    entries: &mut Vec<Entry>,
    writer: &Writer,
    live: &Leaves,
    applied: &Leaves,
) -> Vec<Path> {
    let before = entries.iter().find(|e| writer.owns(e)).map(|e| e.paths.clone()).unwrap_or_default();
    for entry in entries.iter_mut().filter(|e| !writer.owns(e)) {
        entry.paths.retain(|path| applied.get(path).is_none_or(|value| live.get(path) == Some(value)));
    }
    writer.store(entries, applied.keys().cloned().collect());
    let kept: Vec<&Path> = entries.iter().flat_map(|e| &e.paths).collect();
    before.into_iter().filter(|path| !kept.iter().any(|other| other.starts_with(path))).collect()
}

/// Removes the value at `path`, and every map or list that becomes empty.
pub(super) fn remove(value: &mut Value, path: &[String]) {
    let [step, rest @ ..] = path else { return };
    match value {
        Value::Object(fields) => {
            let name = step.strip_prefix("f:").unwrap_or(step);
            let Some(child) = fields.get_mut(name) else { return };
            remove(child, rest);
            if rest.is_empty() || is_empty(child) {
                fields.remove(name);
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut().filter(|item| matches(item, step)) {
                remove(item, rest);
            }
            items.retain(|item| !(rest.is_empty() && matches(item, step)));
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn matches(item: &Value, step: &str) -> bool {
    let (sort, text) = step.split_at(2);
    let wanted: Value = serde_json::from_str(text).unwrap_or_default();
    match sort {
        "k:" => wanted.as_object().is_some_and(|keys| keys.iter().all(|(k, v)| item.get(k) == Some(v))),
        _ => *item == wanted,
    }
}

fn dotted(path: &Path) -> String {
    path.iter().fold(String::new(), |said, step| match step.strip_prefix("f:") {
        Some(name) => format!("{said}.{name}"),
        None => format!("{said}[{}]", &step[2..]),
    })
}

pub(super) fn read(object: &Value) -> Vec<Entry> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = |entry: &Value| {
        let mut paths = BTreeSet::new();
        decode(&entry["fieldsV1"], &mut Vec::new(), &mut paths);
        Entry {
            manager: text(&entry["manager"]),
            operation: text(&entry["operation"]),
            subresource: text(&entry["subresource"]),
            api_version: text(&entry["apiVersion"]),
            time: text(&entry["time"]),
            paths,
        }
    };
    entries.map(read).collect()
}

pub(super) fn write(object: &mut Value, entries: &[Entry]) {
    let rendered: Vec<Value> = entries.iter().map(render).collect();
    if rendered.is_empty() {
        object["metadata"].as_object_mut().expect("metadata is an object").remove("managedFields");
    } else {
        object["metadata"]["managedFields"] = Value::Array(rendered);
    }
}

fn render(entry: &Entry) -> Value {
    let mut fields = json!({});
    for path in &entry.paths {
        let mut node = &mut fields;
        for step in path {
            node = &mut node[step.as_str()];
        }
        if node.is_null() {
            *node = json!({});
        }
        if path.last().is_some_and(|step| step.starts_with("k:")) {
            node["."] = json!({});
        }
    }
    let mut rendered = json!({
        "manager": entry.manager, "operation": entry.operation, "apiVersion": entry.api_version,
        "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": fields,
    });
    if !entry.subresource.is_empty() {
        rendered["subresource"] = json!(entry.subresource);
    }
    rendered
}

fn decode(node: &Value, path: &mut Path, paths: &mut BTreeSet<Path>) {
    let fields = node.as_object();
    if fields.is_none_or(Map::is_empty) && !path.is_empty() {
        paths.insert(path.clone());
    }
    for (step, child) in fields.into_iter().flatten() {
        if step == "." {
            paths.insert(path.clone());
        } else {
            path.push(step.clone());
            decode(child, path, paths);
            path.pop();
        }
    }
}
