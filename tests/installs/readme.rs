//! The page "With Helm", word by word.

use super::shell::{Shell, blocks};
use super::site::{NAMESPACE, Site};
use crate::support::node::Engine;
use serde_json::{Value, json};

fn leader(site: &Site) -> String {
    let lease = site.get(&["lease", "keysmith", "-n", NAMESPACE]);
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    holder.split('_').next().unwrap().to_owned()
}

async fn another_leads(site: &Site, than: &str) {
    let another = |found: String| if found.is_empty() || found == than { Err(found) } else { Ok(()) };
    site.eventually("another one leads", || another(leader(site))).await;
}

/// Pods that are up, by name.
fn ready(site: &Site) -> Vec<String> {
    let pods = site.get(&["pods", "-n", NAMESPACE]);
    let up = |it: &&Value| {
        it["metadata"]["deletionTimestamp"].is_null()
            && it["status"]["containerStatuses"][0]["ready"] == json!(true)
    };
    let name = |it: &Value| it["metadata"]["name"].as_str().unwrap().to_owned();
    pods["items"].as_array().unwrap().iter().filter(up).map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_commands_install_use_upgrade_fail_over_and_remove() {
    let mut site = Site::new("readme", Engine::EmptyRoot).await;
    let [install, key, upgrade, fail_over, remove] =
        blocks("docs/pages/start/helm.md", "Install").try_into().unwrap();
    Shell::new(&site).run(&install);
    assert_eq!(ready(&site).len(), 2);
    let [test] = blocks("docs/pages/start/helm.md", "Test the release").try_into().unwrap();
    let told = Shell::new(&site).run(&test);
    assert!(told.contains("Succeeded"), "{told}");
    let first = leader(&site);

    Shell::new(&site).run(&key);
    site.assert_works("checkout");
    let id = site.get(&["gak", "checkout", "-n", "shop"])["status"]["id"].clone();
    assert_eq!(json!(site.keys()), json!([id]));

    Shell::new(&site).run(&upgrade);
    let pods = ready(&site);
    assert!(pods.len() == 2 && !pods.contains(&first), "all of them are new: {pods:?}");
    site.looked_at().await;

    // After a drain the leader has time to finish. After a kill it has none, and the other replica waits for its Lease.
    let second = leader(&site);
    Shell::new(&site).run(&fail_over);
    another_leads(&site, &second).await;
    site.looked_at().await;
    let third = leader(&site);
    site.kubectl(&["delete", "pod", &third, "-n", NAMESPACE, "--grace-period=0", "--force"]).unwrap();
    another_leads(&site, &third).await;
    site.looked_at().await;
    site.assert_works("checkout");
    assert_eq!(
        (json!(site.keys()), site.vendor.count("POST", "/api_keys")),
        (json!([id]), 1),
        "it is the first key"
    );

    site.assert_rights_sufficed();
    Shell::new(&site).run(&remove);
    assert!(site.keys().is_empty(), "it is revoked");
    site.stopped().await;
    site.assert_silent();
    assert!(site.kubectl(&["get", "clusterrole", "keysmith"]).is_err());
}
