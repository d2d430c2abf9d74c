//! Every command of the documentation is run, here or elsewhere, or says why not.

use super::found;
use super::table::{TABLE, Where};
use crate::support::ground::{Ground, TOKEN, root};
use keysmith::emulator::edgee::NewKey;
use keysmith::plan::naming::Mark;
use serde_json::json;
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

#[test]
fn every_command_of_the_documentation_is_in_the_table() {
    let found = found::all();
    let known: BTreeSet<_> = TABLE.iter().map(|(command, _)| (*command).to_owned()).collect();
    let missing: Vec<_> = found.difference(&known).collect();
    let stale: Vec<_> = known.difference(&found).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not in the table: {missing:#?}\nin no page: {stale:#?}");
    assert!(found.len() > 100, "{}", found.len());
    for (command, place) in TABLE {
        match place {
            Where::In(file, text) => assert!(found::has(file, text), "{command}: {file} has no {text:?}"),
            Where::Nowhere(why) => assert!(!why.is_empty(), "{command}"),
            Where::Here(..) => {}
        }
        if let Some(target) = command.strip_prefix("make ") {
            let target = format!("\n{}:", target.split(' ').next().unwrap());
            assert!(found::has("Makefile", &target), "{command}");
        }
    }
}

#[test]
fn every_resource_of_the_documentation_is_valid() {
    let mut count = 0;
    for (page, text) in found::yaml() {
        if !text.contains("kind: ") || !text.contains("apiVersion: keysmith.dev/") {
            continue;
        }
        count += 1;
        let mut command = Command::new(env!("CARGO_BIN_EXE_keysmith"));
        command
            .args(["validate", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{page}:\n{text}\n{said}");
    }
    assert!(count >= 6, "{count}");
}

/// A reader's shell.
struct Shell<'a> {
    ground: &'a Ground,
    folder: PathBuf,
    path: String,
    /// The key that a person made at the vendor, for a while.
    by_hand: Mutex<String>,
}

impl<'a> Shell<'a> {
    /// In a folder that looks like that of the repository, with the binary under both of its names.
    fn new(ground: &'a Ground) -> Self {
        let folder = ground.folder.join("reader");
        let _ = std::fs::remove_dir_all(&folder);
        let bin = folder.join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        for name in ["keysmith", "kubectl-keysmith"] {
            symlink(env!("CARGO_BIN_EXE_keysmith"), bin.join(name)).unwrap();
        }
        for name in ["deploy", "crds"] {
            // kubectl does not follow a link to a folder.
            let copied = Command::new("cp").arg("-r").arg(root().join(name)).arg(folder.join(name)).status();
            assert!(copied.unwrap().success());
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        Self { ground, folder, path, by_hand: Mutex::default() }
    }

    /// Runs a command as documented, but for the vendor's address and the names that a reader fills in.
    fn run(&self, documented: &str, codes: &[i32], answer: &str) -> String {
        let command = self.filled_in(documented);
        let mut shell = Command::new("bash");
        if answer.is_empty() {
            shell.args(["-euo", "pipefail", "-c", &command]).stdin(Stdio::null());
        } else {
            // A question is asked on a terminal only.
            let typed = format!("echo {answer} | script -qec {} /dev/null", quoted(&command));
            shell.args(["-euo", "pipefail", "-c", &typed]);
        }
        shell.current_dir(&self.folder).env("KUBECONFIG", &self.ground.kubeconfig).env("PATH", &self.path);
        shell.env("EDGEE_TOKEN", TOKEN).env("HOME", &self.folder).env("SHELL", "/bin/bash");
        shell.env("KEYSMITH_ALLOWED_ENDPOINTS", format!("http://127.0.0.1:{}", self.ground.port));
        let output = shell.output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let code = output.status.code().unwrap();
        assert!(codes.contains(&code), "{documented}\nas {command}\nended with {code}:\n{said}");
        said
    }

    fn filled_in(&self, command: &str) -> String {
        let origin = format!("127.0.0.1:{}", self.ground.port);
        let endpoint = format!("organizationId: org_12345}}}}\n  endpoint: http://{origin}/edgee");
        let mut command = command
            .replace("127.0.0.1:8787", &origin)
            .replace("organizationId: org_12345}}", &endpoint)
            .replace("org_demo", "org_12345")
            .replace("ACCOUNT", "org_12345")
            .replace("FOLDER", "manual")
            .replace("cctok NAME", "cctok shared")
            .replace("ctok NAME", "ctok edgee")
            .replace("gak NAME", "gak checkout")
            .replace("gatewayapikey NAME", "gatewayapikey checkout -n shop")
            .replace("secret NAME", "secret edgee-console")
            .replace("-n NAMESPACE", "-n shop")
            .replace("-n NS", "-n shop")
            .replace("SECRET", "checkout");
        if command.contains("consoleTokenRef: {name: edgee}") {
            command = command.replace("metadata: {name: checkout, namespace: shop}", CHECKOUT);
        }
        if command.contains("checkout-llm") {
            command = command.replace("checkout-llm", "checkout");
        }
        if command.contains("abcdefghijklmnop") {
            let keys = self.ground.vendor.edgee().keys("org_12345");
            let name = keys.into_iter().map(|it| it.name).find(|it| Mark::parse(it).is_some()).unwrap();
            command = command.replace("checkout [ks-abcdef-abcdefghijklmnop-2]", &name);
        }
        if command.contains("key_000042") {
            command = command.replace("key_000042", &self.ground.keys()[0]);
        }
        command
    }
}

/// The key of the story: with a label to choose it by.
const CHECKOUT: &str = "metadata: {name: checkout, namespace: shop, labels: {team: shop}}";

fn quoted(command: &str) -> String {
    format!("'{}'", command.replace('\'', r"'\''"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reader_types_works() {
    let ground = Ground::new("documented").await;
    let shell = Shell::new(&ground);
    for (command, place) in TABLE {
        let Where::Here(codes, answer) = place else { continue };
        prepare(&ground, &shell, command).await;
        let said = shell.run(command, codes, answer);
        look_at(&shell, command, &said);
    }
    assert!(ground.keys().is_empty(), "the last key that was left is revoked: {:?}", ground.keys());
    ground.operator.lock().unwrap().as_ref().unwrap().assert_silent();
}

/// What no other test looks at.
fn look_at(shell: &Shell<'_>, command: &str, said: &str) {
    if command.contains("doctor --ask-vendors") {
        let line = "ConsoleToken shop/edgee: edgee, account org_12345; keys in the account: 1, with a mark of Keysmith: 1";
        assert!(said.contains(line), "{said}");
    }
    if command.contains("report -A --ask-vendors") {
        let page = std::fs::read_to_string(shell.folder.join("keys.html")).unwrap();
        let part = page.split("<h2>At the vendors, without a resource</h2>").nth(1).unwrap();
        let rows = part.split("</table>").next().unwrap();
        assert!(rows.contains("made-by-hand") && rows.matches("<tr>").count() == 2, "{rows}");
        assert!(rows.contains("keysmith adopt takes it over") && said.is_empty(), "{rows}\n{said}");
    }
}

/// What has to be there before a command, beyond what the commands before it have made.
async fn prepare(ground: &Ground, shell: &Shell<'_>, command: &str) {
    if command.contains("describe cctok") {
        // The operator's namespace, where it runs outside of a cluster.
        let literal = format!("--from-literal=token={TOKEN}");
        ground.kubectl(&["create", "secret", "generic", "shared", "-n", "default", &literal]);
        let spec = json!({"vendor": {"edgee": {"organizationId": "org_12345"}}, "secretRef": {"name": "shared", "key": "token"},
            "endpoint": format!("http://127.0.0.1:{}/edgee", ground.port), "allowedNamespaces": {"names": ["shop"]}});
        ground.apply(
            "shared",
            &json!({"apiVersion": "keysmith.dev/v1alpha1", "kind": "ClusterConsoleToken", "metadata": {"name": "shared"}, "spec": spec}),
        );
    }
    if command.contains("keysmith adopt") {
        let key = NewKey::named("made-by-hand");
        let id = ground.vendor.edgee().add_key("org_12345", key).id;
        *shell.by_hand.lock().unwrap() = id;
    }
    if command.contains("support-bundle") {
        assert!(ground.vendor.edgee().delete_key(&shell.by_hand.lock().unwrap()));
    }
    if command.contains("found.txt") {
        let template = "go-template={{.data.key | base64decode}}";
        let key = ground.kubectl(&["get", "secret", "checkout", "-n", "shop", "-o", template]);
        std::fs::write(shell.folder.join("found.txt"), key).unwrap();
    }
    if command.contains("argocd-cm") {
        ground.kubectl(&["create", "namespace", "argocd"]);
        ground.kubectl(&["create", "configmap", "argocd-cm", "-n", "argocd"]);
    }
    if command.contains("lastRotation") || command.contains("LeakOpen") {
        let served = if command.contains("LeakOpen") { "LeakOpen" } else { "lastRotation" };
        ground
            .eventually("the request is done", async || {
                let key = ground.get(&["gak", "checkout", "-n", "shop"]);
                let done = match served {
                    "LeakOpen" => {
                        key["status"]["lastHandledLeaked"]
                            == key["metadata"]["annotations"]["keysmith.dev/leaked"]
                    }
                    _ => key["status"]["lastRotation"].is_object(),
                };
                if done { Ok(()) } else { Err(key["status"].to_string()) }
            })
            .await;
    }
    if command.contains("orphans") {
        // What is left must not be too young for the ledger to be sure of it.
        ground.until_keys("the retained key is left", |keys| keys.len() == 1).await;
    }
}
