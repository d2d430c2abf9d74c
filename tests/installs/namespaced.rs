//! An installation for some namespaces, with Roles in them and no `ClusterRole`.

use super::shell::{Shell, blocks};
use super::site::{Site, TOKEN, object};
use crate::support::helm::chart;
use crate::support::node::Engine;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_was_deleted_with_its_role_goes_when_the_rights_are_lent() {
    let mut site = Site::new("namespaced", Engine::EmptyRoot).await;
    site.kubectl(&["create", "namespace", "shop"]).unwrap();
    site.release("install", &chart(), &["--create-namespace", "--set", "namespaces={shop}"]);
    assert!(site.kubectl(&["get", "clusterrole", "keysmith"]).is_err());
    site.apply(
        &[
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "edgee-console", "namespace": "shop"}, "stringData": {"token": TOKEN}}),
            object("ConsoleToken", "edgee", site.console_token()),
            object("GatewayApiKey", "checkout", json!({"consoleTokenRef": {"name": "edgee"}})),
        ],
        &site.folder().join("apply.json"),
    );
    site.looked_at().await;
    site.assert_works("checkout");
    site.assert_rights_sufficed();

    site.kubectl(&["delete", "namespace", "shop", "--wait=false"]).unwrap();
    site.eventually("the Role is gone", || match site.kubectl(&["get", "role", "keysmith", "-n", "shop"]) {
        Ok(found) => Err(found),
        Err(_) => Ok(()),
    })
    .await;
    let [rescue] = blocks("charts/keysmith/README.md", "Rights").try_into().unwrap();
    Shell::new(&site).run(&rescue);
    assert!(site.keys().is_empty(), "its key is revoked");
    site.assert_silent();
}
