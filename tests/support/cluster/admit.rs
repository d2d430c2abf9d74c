//! What every object must satisfy, whatever its schema: names, labels, finalizers, owners; and the rules of
//! built-in kinds.

use std::sync::LazyLock;

use k8s_openapi::ByteString;
use regex::Regex;
use serde_json::{Value, json};

use super::failure::{Cause, Failure};
use super::kind::Kind;

const LABEL_NAME: &str = "[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*";

static DNS_SUBDOMAIN: LazyLock<Regex> = LazyLock::new(|| anchored(SUBDOMAIN));
static DNS_LABEL: LazyLock<Regex> = LazyLock::new(|| anchored("[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"));
static LABEL_VALUE: LazyLock<Regex> = LazyLock::new(|| anchored(&format!("(?:{LABEL_NAME})?")));
static QUALIFIED: LazyLock<Regex> = LazyLock::new(|| anchored(&format!("(?:{SUBDOMAIN}/)?{LABEL_NAME}")));
static DATA_KEY: LazyLock<Regex> = LazyLock::new(|| anchored("[-._a-zA-Z0-9]{1,253}"));

const SECRET_LIMIT: usize = 1 << 20;
const ANNOTATIONS_LIMIT: usize = 256 << 10;

fn anchored(pattern: &str) -> Regex {
    Regex::new(&format!("^{pattern}$")).expect("a constant pattern compiles")
}

/// RFC 1123: a label for namespaces, a subdomain for everything else.
pub(super) fn check_name(kind: &Kind, name: &str, causes: &mut Vec<Cause>) {
    let (pattern, most, sort) =
        if kind.is_namespace() { (&*DNS_LABEL, 63, "label") } else { (&*DNS_SUBDOMAIN, 253, "subdomain") };
    if name.len() > most || !pattern.is_match(name) {
        let message = format!("{name:?}: must be a lowercase RFC 1123 {sort} of at most {most} characters");
        causes.push(Cause::invalid("metadata.name", message));
    }
}

pub(super) fn check_metadata(object: &Value, causes: &mut Vec<Cause>) {
    let metadata = &object["metadata"];
    for (key, value) in metadata["labels"].as_object().into_iter().flatten() {
        check_key(key, "metadata.labels", causes);
        if !value.as_str().is_some_and(|v| LABEL_VALUE.is_match(v)) {
            let message = format!("{value}: a valid label must be an empty string or 63 characters or less");
            causes.push(Cause::invalid("metadata.labels", message));
        }
    }
    let mut size = 0;
    for (key, value) in metadata["annotations"].as_object().into_iter().flatten() {
        check_key(&key.to_lowercase(), "metadata.annotations", causes);
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        let message = format!("Too long: may not be more than {ANNOTATIONS_LIMIT} bytes");
        causes.push(Cause::new("metadata.annotations", "FieldValueTooLong", message));
    }
    for finalizer in texts(&metadata["finalizers"]) {
        check_key(finalizer, "metadata.finalizers", causes);
    }
    check_owners(&metadata["ownerReferences"], causes);
}

fn check_key(key: &str, path: &str, causes: &mut Vec<Cause>) {
    if !QUALIFIED.is_match(key) {
        causes.push(Cause::invalid(
            path,
            format!("{key:?}: name part must consist of alphanumeric characters"),
        ));
    }
}

fn check_owners(owners: &Value, causes: &mut Vec<Cause>) {
    let path = "metadata.ownerReferences";
    let owners = owners.as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, owner) in owners.iter().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().is_none_or(str::is_empty) {
                causes.push(Cause::invalid(&format!("{path}[{index}].{field}"), "must not be empty"));
            }
        }
    }
    if owners.iter().filter(|owner| owner["controller"] == true).count() > 1 {
        causes.push(Cause::invalid(path, "Only one reference can have Controller set to true"));
    }
}

/// The rules that compare an update with what is stored.
pub(super) fn check_update(kind: &Kind, old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if !old["metadata"]["deletionTimestamp"].is_null() {
        let before: Vec<&str> = texts(&old["metadata"]["finalizers"]).collect();
        let added: Vec<&str> =
            texts(&new["metadata"]["finalizers"]).filter(|f| !before.contains(f)).collect();
        if !added.is_empty() {
            let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
            causes.push(Cause::forbidden("metadata.finalizers", &format!("{why} {added:?}")));
        }
    }
    if kind.is_secret() {
        check_secret_update(old, new, causes);
    }
    if kind.is_event() {
        let fixed = |object: &Value| {
            let fields = object.as_object().into_iter().flatten();
            let fixed =
                fields.filter(|(k, _)| *k != "series" && *k != "metadata" && !k.starts_with("deprecated"));
            fixed.map(|(k, v)| (k.clone(), v.clone())).collect::<serde_json::Map<_, _>>()
        };
        if kind.group == "events.k8s.io" && fixed(old) != fixed(new) {
            causes.push(Cause::invalid("note", "field is immutable"));
        }
    }
}

fn check_secret_update(old: &Value, new: &Value, causes: &mut Vec<Cause>) {
    if old["type"] != new["type"] {
        causes.push(Cause::invalid("type", format!("{}: field is immutable", new["type"])));
    }
    if old["immutable"] == true {
        let why = "field is immutable when `immutable` is set";
        if new["immutable"] != true {
            causes.push(Cause::forbidden("immutable", why));
        }
        if old["data"] != new["data"] {
            causes.push(Cause::forbidden("data", why));
        }
    }
}

/// Rules of built-in kinds that do not depend on what is stored.
pub(super) fn check_builtin(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    if kind.is_secret() {
        check_secret(object, causes);
    } else if kind.is("events.k8s.io", "events") {
        check_event(object, causes);
    }
}

fn check_secret(secret: &Value, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in secret["data"].as_object().into_iter().flatten() {
        if !DATA_KEY.is_match(key) {
            let message = format!(
                "{key:?}: a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
            );
            causes.push(Cause::invalid(&format!("data[{key}]"), message));
        }
        size += serde_json::from_value::<ByteString>(value.clone()).map_or(0, |bytes| bytes.0.len());
    }
    if size > SECRET_LIMIT {
        let message = format!("Too long: may not be more than {SECRET_LIMIT} bytes");
        causes.push(Cause::new("data", "FieldValueTooLong", message));
    }
    let needed: &[&str] = match secret["type"].as_str() {
        Some("kubernetes.io/tls") => &["tls.crt", "tls.key"],
        Some("kubernetes.io/dockerconfigjson") => &[".dockerconfigjson"],
        Some("kubernetes.io/ssh-auth") => &["ssh-privatekey"],
        _ => &[],
    };
    let missing = needed.iter().filter(|key| secret["data"].get(**key).is_none());
    causes.extend(missing.map(|key| Cause::required(&format!("data[{key}]"))));
}

fn check_event(event: &Value, causes: &mut Vec<Cause>) {
    if event["eventTime"].is_null() {
        causes.push(Cause::required("eventTime"));
    }
    for (field, most, needed) in [
        ("reportingController", 253, true),
        ("reportingInstance", 128, true),
        ("action", 128, true),
        ("reason", 128, true),
        ("note", 1024, false),
    ] {
        let text = event[field].as_str().unwrap_or_default();
        if needed && text.is_empty() {
            causes.push(Cause::required(field));
        }
        if text.len() > most {
            causes.push(Cause::invalid(field, format!("can have at most {most} characters")));
        }
    }
    if !["Normal", "Warning"].contains(&event["type"].as_str().unwrap_or_default()) {
        causes.push(Cause::invalid("type", "has invalid value"));
    }
    let home = event["metadata"]["namespace"].as_str().unwrap_or_default();
    let fits = match event["regarding"]["namespace"].as_str().unwrap_or_default() {
        "" => ["default", "kube-system"].contains(&home),
        about => about == home,
    };
    if !fits {
        causes.push(Cause::invalid("regarding.namespace", "does not match event.namespace"));
    }
}

/// What decoding a Secret does before anything else: `stringData` goes into `data`, the type has a default.
pub(super) fn fold_string_data(secret: &mut Value) -> Result<(), Failure> {
    if !secret["data"].is_null() && !secret["data"].is_object() {
        return Err(Failure::bad_request(
            "Secret in version \"v1\" cannot be handled as a Secret: data is no map",
        ));
    }
    let plain = secret.as_object_mut().and_then(|s| s.remove("stringData")).unwrap_or_default();
    if !plain.is_null() && !plain.is_object() {
        return Err(Failure::bad_request(
            "Secret in version \"v1\" cannot be handled as a Secret: stringData is no map",
        ));
    }
    for (key, value) in plain.as_object().into_iter().flatten() {
        let text = value.as_str();
        let text = text.ok_or_else(|| Failure::bad_request("stringData holds a value that is no string"))?;
        secret["data"][key] = json!(ByteString(text.as_bytes().to_vec()));
    }
    if secret["type"].as_str().is_none_or(str::is_empty) {
        secret["type"] = json!("Opaque");
    }
    Ok(())
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
