//! README's section "Install", word by word.

use super::site::{NAMESPACE, ORG, Site, TOKEN};
use crate::support::helm::root;
use crate::support::image::{REGISTRY, say};
use crate::support::node::Engine;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::process::Command;

/// The blocks of commands of that section, up to its first heading.
fn blocks() -> Vec<String> {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split("\n## Install\n").nth(1).unwrap().split("\n##").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|it| it.split("\n```").next().unwrap().to_owned());
    blocks.collect()
}

/// Somebody in a shell, at the top of the repository.
struct Shell<'a> {
    site: &'a Site,
    path: String,
}

impl<'a> Shell<'a> {
    /// With the pinned helm for `helm`.
    fn new(site: &'a Site) -> Self {
        let bin = crate::support::image::folder("bin");
        symlink(root().join("tests/controlplane/helm"), bin.join("helm")).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Self { site, path }
    }

    /// Runs a block; what it printed.
    ///
    /// Its words are changed in three places: the registry, and the endpoint of the vendor, which Keysmith has to be told
    /// of twice when it is not the vendor's own.
    fn run(&self, block: &str) -> String {
        let origin = self.site.origin();
        let endpoint = format!("organizationId: {ORG}}}}}\n  endpoint: {origin}/edgee");
        let commands = block
            .replace("REGISTRY", REGISTRY)
            .replace(" --wait", &format!(" --wait --set allowedEndpoints='{{{origin}}}'"))
            .replace(&format!("organizationId: {ORG}}}}}"), &endpoint);
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &commands]).current_dir(root());
        shell.env("KUBECONFIG", &self.site.kubeconfig).env("EDGEE_TOKEN", TOKEN).env("PATH", &self.path);
        // Neither docker nor buildah, so that the image is where the node looks for it.
        shell.env("ENGINE", "none").env("ARCH", "amd64");
        let output = shell.output().unwrap();
        let (out, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{commands}\n{out}{errors}");
        say(&format!("README:\n{commands}\n{out}"));
        out.into_owned()
    }
}

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
async fn the_commands_of_readme_install_use_upgrade_fail_over_and_remove() {
    let mut site = Site::new("readme", Engine::EmptyRoot).await;
    let [install, key, upgrade, fail_over, remove] = blocks().try_into().unwrap();
    Shell::new(&site).run(&install);
    assert_eq!(ready(&site).len(), 2);
    let first = leader(&site);

    Shell::new(&site).run(&key);
    site.assert_works("checkout");
    let id = site.get(&["gak", "checkout", "-n", "shop"])["status"]["id"].clone();
    let made = || site.vendor.edgee().keys(ORG).into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(json!(made()), json!([id]));

    Shell::new(&site).run(&upgrade);
    let pods = ready(&site);
    assert!(pods.len() == 2 && !pods.contains(&first), "all of them are new: {pods:?}");
    site.looked_at().await;

    // Drained: the leader has its time to finish. Killed: it has none, and its Lease is waited for.
    let second = leader(&site);
    Shell::new(&site).run(&fail_over);
    another_leads(&site, &second).await;
    site.looked_at().await;
    let third = leader(&site);
    site.kubectl(&["delete", "pod", &third, "-n", NAMESPACE, "--grace-period=0", "--force"]).unwrap();
    another_leads(&site, &third).await;
    site.looked_at().await;
    site.assert_works("checkout");
    let made = || site.vendor.edgee().keys(ORG).into_iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(
        (json!(made()), site.vendor.count("POST", "/api_keys")),
        (json!([id]), 1),
        "it is the first key"
    );

    site.assert_rights_sufficed();
    Shell::new(&site).run(&remove);
    assert_eq!(site.vendor.edgee().keys(ORG).len(), 0, "it is revoked");
    site.stopped().await;
    assert!(site.kubectl(&["get", "clusterrole", "keysmith"]).is_err());
}
