//! Runs the commands of documents as a user would type them.

use super::site::{ORG, Site, TOKEN};
use crate::support::helm::root;
use crate::support::image::{REGISTRY, say};
use std::os::unix::fs::symlink;
use std::process::Command;

/// The blocks of commands of that section, up to the next heading.
pub fn blocks(document: &str, section: &str) -> Vec<String> {
    let document = std::fs::read_to_string(root().join(document)).unwrap();
    let section = document.split(&format!("\n## {section}\n")).nth(1).unwrap().split("\n##").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|it| it.split("\n```").next().unwrap().to_owned());
    blocks.collect()
}

/// A user's shell, at the top of the repository.
pub struct Shell<'a> {
    site: &'a Site,
    path: String,
}

impl<'a> Shell<'a> {
    /// With the pinned helm for `helm`.
    pub fn new(site: &'a Site) -> Self {
        let bin = crate::support::image::folder("bin");
        symlink(root().join("tests/controlplane/helm"), bin.join("helm")).unwrap();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Self { site, path }
    }

    /// Runs a block; returns its output.
    ///
    /// The block is changed in three places: the registry, and the endpoint of the vendor, which has to be set twice if it
    /// is not the vendor's own.
    pub fn run(&self, block: &str) -> String {
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
        say(&format!("as documented:\n{commands}\n{out}"));
        out.into_owned()
    }
}
