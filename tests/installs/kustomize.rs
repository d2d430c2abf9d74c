//! The manifests of `deploy/`, applied as the documentation says.

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

/// A token that the platform team shares makes a key in a namespace that it allows, within its limits; what it refuses, a
/// dry run shows.
async fn share(site: &mut Site) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edgee-console", "namespace": NAMESPACE}, "stringData": {"token": TOKEN}});
    let mut spec = site.console_token();
    spec["allowedNamespaces"] = json!({"selector": {"matchLabels": {"llm-tier": "standard"}}});
    spec["limits"] = json!({"budget": {"maximum": {"amount": "20", "period": "Monthly"}}});
    let token = json!({"apiVersion": "keysmith.dev/v1alpha1", "kind": "ClusterConsoleToken", "metadata": {"name": "platform"}, "spec": spec});
    site.apply(&[secret, token], &site.folder().join("shared.json"));
    let file = site.folder().join("key.json");
    let key = |amount: &str| {
        let token = json!({"kind": "ClusterConsoleToken", "name": "platform"});
        let budget = json!({"amount": amount, "period": "Monthly"});
        object("GatewayApiKey", "shared", json!({"consoleTokenRef": token, "budget": budget}))
    };
    let rehearse = |amount: &str| {
        std::fs::write(&file, key(amount).to_string()).unwrap();
        site.kubectl(&["create", "--dry-run=server", "-f", file.to_str().unwrap()])
    };
    let refused = async |amount: &str, words: &str| {
        site.eventually(words, || match rehearse(amount) {
            Err(error) if error.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    };
    refused("15", "does not allow namespace shop").await;
    site.kubectl(&["label", "namespace", "shop", "llm-tier=standard"]).unwrap();
    refused("500", "spec.budget.amount: must be at most 20").await;
    rehearse("15").unwrap();
    site.apply(&[key("15")], &file);
    site.looked_at().await;
    site.assert_works("shared");
    // The token counts what there is when it is looked at.
    site.looked_at().await;
    let status = &site.get(&["clusterconsoletoken", "platform"])["status"];
    assert_eq!(status["namespaces"][0]["namespace"], "shop", "{status}");
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
    share(&mut site).await;
    site.kubectl(&["delete", "gak", "checkout", "shared", "-n", "shop", "--timeout=60s"]).unwrap();
    assert!(site.keys().is_empty());
    site.kubectl(&["delete", "deployment", "keysmith", "-n", NAMESPACE]).unwrap();
    site.stopped().await;
    site.assert_silent();
    site.assert_rights_sufficed();
    if podman {
        remove_podman_folder();
    }
}
