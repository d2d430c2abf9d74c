//! Two releases of different controller classes, as documented.

use super::shell::{Shell, blocks};
use super::site::{NAMESPACE, Site, object};
use crate::support::helm::said;
use crate::support::node::{self, Engine};
use serde_json::json;
use std::process::Command;

const CANARY: &str = "keysmith-canary";

fn keysmith(site: &Site, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keysmith"));
    said(command.args(arguments).env("KUBECONFIG", &site.kubeconfig).output().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_releases_of_different_classes_work_side_by_side() {
    let mut site = Site::new("classes", Engine::EmptyRoot).await;
    let _node = node::start(&site.kubeconfig, CANARY, Engine::EmptyRoot, "classes-canary").await;
    let start = blocks("docs/pages/start/helm.md", "Install");
    let [install, token] = blocks("docs/pages/how-to/side-by-side.md", "Install").try_into().unwrap();
    for block in [&start[0], &start[1], &install, &token] {
        Shell::new(&site).run(block);
    }
    let key = json!({"consoleTokenRef": {"name": "edgee-canary"}});
    site.apply(&[object("GatewayApiKey", "tried", key)], &site.folder().join("tried.json"));
    site.looked_at().await;
    site.assert_works("checkout");
    site.assert_works("tried");
    let finalizers = |name: &str| site.get(&["gak", name, "-n", "shop"])["metadata"]["finalizers"].clone();
    assert_eq!(finalizers("checkout"), json!(["keysmith.dev/cleanup"]));
    assert_eq!(finalizers("tried"), json!(["keysmith.dev/cleanup-canary"]));
    let (lease, namespace) = ("keysmith-canary", CANARY);
    assert!(site.get(&["lease", lease, "-n", namespace])["spec"]["holderIdentity"].is_string());
    let told = keysmith(&site, &["doctor"]).unwrap();
    for part in [
        format!("ok       operator: Deployment {NAMESPACE}/keysmith"),
        format!("ok       operator of class canary: Deployment {CANARY}/keysmith-canary"),
    ] {
        assert!(told.contains(&part), "{part}:\n{told}");
    }
    site.assert_rights_sufficed();

    // One goes when nothing of its class is left, whatever the other one has.
    let uninstall = ["uninstall", CANARY, "--namespace", CANARY, "--wait"];
    let refused = site.helm_anywhere(&uninstall).unwrap_err();
    assert!(refused.contains("uninstall-check"), "{refused}");
    site.kubectl(&["delete", "gak/tried", "ctok/edgee-canary", "-n", "shop"]).unwrap();
    site.helm_anywhere(&uninstall).unwrap();
    site.looked_at().await;
    site.assert_works("checkout");
    assert_eq!(site.keys().len(), 1);
    assert!(site.get(&["crds"])["items"].as_array().is_some_and(|it| it.len() >= 5));
}
