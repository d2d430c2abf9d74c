//! The served kinds: a table of built-in kinds, and the kinds of CRDs.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    coordination::v1::Lease,
    core::v1::{ConfigMap, Event as CoreEvent, Namespace, Secret},
    events::v1::Event,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

type Decode = fn(Value) -> Result<Value, String>;

/// One served resource.
#[allow(clippy::struct_excessive_bools, reason = "each is one rule of the server, independent of the others")]
#[allow(clippy::struct_field_names, reason = "`kind` is what Kubernetes calls it")]
pub(super) struct Kind {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) kind: String,
    pub(super) namespaced: bool,
    /// Whether `/status` exists; if it does, the main endpoint ignores the status.
    pub(super) status: bool,
    /// Whether `metadata.generation` is kept; the API server does not keep it for Secrets, for one.
    pub(super) generation: bool,
    /// Whether an update may omit the resourceVersion.
    pub(super) unconditional_update: bool,
    /// Whether a PUT of a missing object creates it.
    pub(super) create_on_update: bool,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`.
    pub(super) selectable: Vec<String>,
    /// The structural schema of a custom kind.
    pub(super) schema: Option<Value>,
    /// List types by path, for apply and strategic merge: the schema plus what metadata always has.
    pub(super) merging: Value,
    /// The decoder of a built-in kind: its Go-like type drops unknown fields.
    decode: Option<Decode>,
}

impl Kind {
    /// `plural` or `plural.group`: how messages and keys name the resource.
    pub(super) fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub(super) fn is_builtin(&self) -> bool {
        self.decode.is_some()
    }

    pub(super) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    pub(super) fn is_secret(&self) -> bool {
        self.is("", "secrets")
    }

    pub(super) fn is_namespace(&self) -> bool {
        self.is("", "namespaces")
    }

    pub(super) fn is_event(&self) -> bool {
        self.plural == "events" && self.is_builtin()
    }

    /// Decodes a body as the server's own types would: unknown fields are dropped, wrong types are an error.
    pub(super) fn decode(&self, object: Value) -> Result<Value, String> {
        let mut object = match self.decode {
            Some(decode) => decode(object)?,
            None => object,
        };
        let metadata = object.get_mut("metadata").map(Value::take).unwrap_or_default();
        let metadata = if metadata.is_null() { json!({}) } else { metadata };
        object["metadata"] = without_empty(typed::<ObjectMeta>(metadata)?);
        Ok(object)
    }

    /// A custom kind, from its `CustomResourceDefinition`. Only the storage version is served.
    pub(super) fn custom(crd: &Value) -> Self {
        let spec = &crd["spec"];
        let versions = spec["versions"].as_array().expect("a CRD has versions");
        let version = versions.iter().find(|v| v["storage"] == true).unwrap_or(&versions[0]);
        let schema = version["schema"]["openAPIV3Schema"].clone();
        let paths = version["selectableFields"].as_array().into_iter().flatten();
        Self {
            group: text(&spec["group"]),
            version: text(&version["name"]),
            plural: text(&spec["names"]["plural"]),
            kind: text(&spec["names"]["kind"]),
            namespaced: spec["scope"] == "Namespaced",
            status: version["subresources"]["status"].is_object(),
            generation: true,
            unconditional_update: false,
            create_on_update: false,
            selectable: paths.map(|f| text(&f["jsonPath"]).trim_start_matches('.').to_owned()).collect(),
            merging: with_metadata(&schema),
            schema: schema.is_object().then_some(schema),
            decode: None,
        }
    }

    fn builtin(group: &str, plural: &str, kind: &str, decode: Decode) -> Self {
        Self {
            group: group.to_owned(),
            version: "v1".to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced: true,
            status: false,
            generation: false,
            unconditional_update: true,
            create_on_update: false,
            selectable: Vec::new(),
            schema: None,
            merging: with_metadata(&Value::Null),
            decode: Some(decode),
        }
    }
}

/// Everything served without a CRD.
pub(super) fn builtins() -> Vec<Kind> {
    let workload = |plural, kind, decode| {
        let base = Kind::builtin("apps", plural, kind, decode);
        Kind { status: true, generation: true, ..base }
    };
    let selectable = |fields: &[&str]| fields.iter().map(|&f| f.to_owned()).collect();
    let involved = ["involvedObject.kind", "involvedObject.namespace", "involvedObject.name"];
    vec![
        Kind {
            namespaced: false,
            status: true,
            selectable: selectable(&["status.phase"]),
            ..Kind::builtin("", "namespaces", "Namespace", typed::<Namespace>)
        },
        Kind::builtin("", "configmaps", "ConfigMap", typed::<ConfigMap>),
        Kind { selectable: selectable(&["type"]), ..Kind::builtin("", "secrets", "Secret", typed::<Secret>) },
        Kind {
            selectable: involved.into_iter().chain(["reason", "type"]).map(str::to_owned).collect(),
            create_on_update: true,
            ..Kind::builtin("", "events", "Event", typed::<CoreEvent>)
        },
        Kind {
            selectable: selectable(&["reason", "type"]),
            create_on_update: true,
            ..Kind::builtin("events.k8s.io", "events", "Event", typed::<Event>)
        },
        Kind {
            unconditional_update: false,
            create_on_update: true,
            ..Kind::builtin("coordination.k8s.io", "leases", "Lease", typed::<Lease>)
        },
        workload("deployments", "Deployment", typed::<Deployment>),
        workload("statefulsets", "StatefulSet", typed::<StatefulSet>),
        workload("daemonsets", "DaemonSet", typed::<DaemonSet>),
        Kind {
            namespaced: false,
            status: true,
            generation: true,
            unconditional_update: false,
            ..Kind::builtin(
                "apiextensions.k8s.io",
                "customresourcedefinitions",
                "CustomResourceDefinition",
                Ok,
            )
        },
    ]
}

/// A CRD as the server stores it once its names are accepted and it is served.
pub(super) fn established(mut crd: Value, at: &str) -> Value {
    let condition = |kind: &str, reason: &str| json!({ "type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": at });
    crd["apiVersion"] = json!("apiextensions.k8s.io/v1");
    crd["kind"] = json!("CustomResourceDefinition");
    crd["status"] = json!({
        "acceptedNames": crd["spec"]["names"],
        "storedVersions": [Kind::custom(&crd).version],
        "conditions": [
            condition("NamesAccepted", "NoConflicts"),
            condition("Established", "InitialNamesAccepted"),
        ],
    });
    crd
}

fn typed<T: DeserializeOwned + Serialize>(value: Value) -> Result<Value, String> {
    let value: T = serde_json::from_value(value).map_err(|e| e.to_string())?;
    serde_json::to_value(value).map_err(|e| e.to_string())
}

/// Go's `omitempty`: empty maps, lists and strings of metadata are never stored.
fn without_empty(mut metadata: Value) -> Value {
    if let Some(fields) = metadata.as_object_mut() {
        fields.retain(|_, value| match value {
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::String(text) => !text.is_empty(),
            other => !other.is_null(),
        });
    }
    metadata
}

fn with_metadata(schema: &Value) -> Value {
    let mut schema = if schema.is_object() { schema.clone() } else { json!({}) };
    schema["properties"]["metadata"] = json!({ "properties": {
        "finalizers": { "x-kubernetes-list-type": "set" },
        "ownerReferences": { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"] },
    }});
    schema
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
