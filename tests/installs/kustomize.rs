//! The manifests of `deploy/`, applied as README says.

use super::site::{NAMESPACE, Site, TOKEN, object};
use crate::support::helm::root;
use crate::support::image::{REGISTRY, has, is_root};
use crate::support::node::{Engine, remove_podman_folder};
use serde_json::json;

/// `deploy/` with the image and the endpoint of this site.
fn overlay(site: &Site) -> String {
    let folder = site.folder().canonicalize().unwrap();
    // Kustomize needs a relative path.
    let up = "../".repeat(folder.components().count() - 1);
    let deploy = format!("{up}{}", root().join("deploy").strip_prefix("/").unwrap().display());
    let patch = json!([
        {"op": "replace", "path": "/spec/template/spec/containers/0/env/1", "value": {"name": "KEYSMITH_ALLOWED_ENDPOINTS", "value": site.origin()}},
    ]);
    let image = json!({"name": "keysmith", "newName": format!("{REGISTRY}/keysmith"), "newTag": env!("CARGO_PKG_VERSION")});
    let patch = json!({"target": {"kind": "Deployment", "name": "keysmith"}, "patch": patch.to_string()});
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [deploy],
        "images": [image], "patches": [patch],
    });
    std::fs::write(folder.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manifests_make_a_key_with_the_rights_of_their_service_account_only() {
    let podman = is_root() && has(&["podman", "runc"]);
    let mut site = Site::new("kustomize", if podman { Engine::Podman } else { Engine::EmptyRoot }).await;
    let crds = root().join("crds");
    site.kubectl(&["apply", "--server-side", "-f", crds.to_str().unwrap()]).unwrap();
    site.kubectl(&["apply", "-k", &overlay(&site)]).unwrap();
    site.kubectl(&["rollout", "status", "deployment/keysmith", "-n", NAMESPACE, "--timeout=90s"]).unwrap();
    site.kubectl(&["create", "namespace", "shop"]).unwrap();
    let objects = [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edgee-console", "namespace": "shop"}, "stringData": {"token": TOKEN}}),
        object("ConsoleToken", "edgee", site.console_token()),
        object("GatewayApiKey", "checkout", json!({"consoleTokenRef": {"name": "edgee"}})),
    ];
    site.apply(&objects, &site.folder().join("apply.json"));
    site.looked_at().await;
    site.assert_works("checkout");
    site.kubectl(&["delete", "gak", "checkout", "-n", "shop", "--timeout=60s"]).unwrap();
    assert!(site.keys().is_empty());
    site.kubectl(&["delete", "deployment", "keysmith", "-n", NAMESPACE]).unwrap();
    site.stopped().await;
    site.assert_silent();
    site.assert_rights_sufficed();
    if podman {
        remove_podman_folder();
    }
}
