//! The admission policies that the chart renders, from its golden file. On a real API server they hold for the operators
//! of all stories: what an operator has to write is proven to be admitted.

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;
use std::path::PathBuf;

/// The policies and their bindings, for every operator of the stories.
fn rendered() -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    // The one about workloads is rendered where workloads are restarted.
    for golden in ["default", "namespaced"] {
        let new = rendered_in(golden).into_iter();
        let known = |it: &Value| {
            found.iter().any(|other| {
                other["kind"] == it["kind"] && other["metadata"]["name"] == it["metadata"]["name"]
            })
        };
        let new: Vec<_> = new.filter(|it| !known(it)).collect();
        found.extend(new);
    }
    found
}

fn rendered_in(golden: &str) -> Vec<Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/charts/golden/{golden}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    // Each story has an operator of its own, under a service account of its own.
    let text = text
        .replace(
            "request.userInfo.username == 'system:serviceaccount:keysmith-system:keysmith'",
            "request.userInfo.username.startsWith('system:serviceaccount:keysmith-system:')",
        )
        .replace(
            "!(request.userInfo.username in ['system:serviceaccount:keysmith-system:keysmith'])",
            "!request.userInfo.username.startsWith('system:serviceaccount:keysmith-system:')",
        )
        .replace("name: keysmith-operator-", "name: stories-operator-")
        .replace("policyName: keysmith-", "policyName: stories-")
        .replace("name: keysmith-references", "name: stories-references")
        .replace("name: keysmith-limits", "name: stories-limits");
    let policies = || text.split("---").filter(|it| it.contains("kind: ValidatingAdmissionPolicy\n"));
    let one = "request.userInfo.username in ['system:serviceaccount:keysmith-system:keysmith']";
    assert!(
        !policies().any(|it| it.contains(one) || it.contains("username == '")),
        "for the operators of stories, too"
    );
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| -> Value { serde::Deserialize::deserialize(document).unwrap() })
        .filter(|object| object["kind"].as_str().is_some_and(|kind| kind.starts_with("ValidatingAdmission")))
        .collect()
}

/// Installs them.
pub async fn install(admin: &Client) {
    let policies = rendered();
    assert_eq!(policies.len(), 12);
    for policy in policies {
        let kind = policy["kind"].as_str().unwrap();
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let api: Api<DynamicObject> = Api::all_with(admin.clone(), &ApiResource::from_gvk(&gvk));
        let name = policy["metadata"]["name"].as_str().unwrap().to_owned();
        let params = PatchParams::apply("stories").force();
        api.patch(&name, &params, &Patch::Apply(&policy)).await.unwrap();
    }
}
