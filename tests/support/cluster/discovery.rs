//! Discovery: `/api`, `/apis` and below, `/version`, health.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kind::Kind;
use super::state::State;

impl State {
    /// The answer to a path outside the resources, if there is one.
    pub(super) fn discover(&self, path: &str) -> Option<Value> {
        let steps: Vec<&str> = path.split('/').skip(1).collect();
        match steps[..] {
            ["version"] => Some(json!({
                "major": "1", "minor": "36", "gitVersion": "v1.36.0-simulated", "gitCommit": "", "gitTreeState": "clean",
                "buildDate": "2026-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64",
            })),
            ["api"] => {
                Some(json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] }))
            }
            ["api", version] => self.resources("", version),
            ["apis"] => {
                let groups: Vec<Value> =
                    self.groups().iter().map(|(name, version)| group(name, version)).collect();
                Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
            }
            ["apis", name] => self.groups().get(name).map(|version| group(name, version)),
            ["apis", group, version] => self.resources(group, version),
            _ => None,
        }
    }

    fn groups(&self) -> BTreeMap<&str, &str> {
        let named = self.kinds().filter(|kind| !kind.group.is_empty());
        named.map(|kind| (kind.group.as_str(), kind.version.as_str())).collect()
    }

    fn resources(&self, group: &str, version: &str) -> Option<Value> {
        let found: Vec<Value> = self
            .kinds()
            .filter(|kind| kind.group == group && kind.version == version)
            .flat_map(|kind| {
                [resource(kind, ""), resource(kind, "/status")].into_iter().take(1 + usize::from(kind.status))
            })
            .collect();
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        (!found.is_empty()).then(|| {
            json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": found,
            })
        })
    }
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/{version}"), "version": version });
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": [version], "preferredVersion": version,
    })
}

fn resource(kind: &Kind, subresource: &str) -> Value {
    let verbs: &[&str] = if subresource.is_empty() {
        &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    } else {
        &["get", "patch", "update"]
    };
    json!({
        "name": format!("{}{subresource}", kind.plural), "singularName": kind.kind.to_lowercase(),
        "namespaced": kind.namespaced, "kind": kind.kind, "verbs": verbs,
    })
}
