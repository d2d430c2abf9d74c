//! Every combination, and what `deploy/` holds, before a real API server: a dry run on the server goes through
//! admission, validation and defaulting, and stores nothing.

use crate::support::helm::{combinations, objects, root, template, title};
use crate::support::plane;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs kubectl with this standard input; returns success and the text of both streams.
pub fn kubectl(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(plane::kubeconfig())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn apply(arguments: &[&str], manifest: &str, place: &str) -> String {
    let always = ["apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-"];
    let (ok, text) = kubectl(&[&always[..], arguments].concat(), manifest);
    assert!(ok, "{place}: {text}");
    text
}

/// A namespace that enforces the restricted standard for pods, and warns of objects that violate it.
fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
    }}})
}

fn prepare() {
    let spaces = ["keysmith-system", "shop", "search", "monitoring"].map(namespace);
    apply(
        &[],
        &serde_json::to_string(&json!({"apiVersion": "v1", "kind": "List", "items": spaces})).unwrap(),
        "namespaces",
    );
    let monitors = std::fs::read_to_string(root().join("tests/charts/fixtures/monitors.yaml")).unwrap();
    apply(&[], &monitors, "monitors");
    let (ok, text) = kubectl(
        &[
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd/servicemonitors.monitoring.coreos.com",
            "crd/podmonitors.monitoring.coreos.com",
            "crd/prometheusrules.monitoring.coreos.com",
        ],
        "",
    );
    assert!(ok, "{text}");
}

#[test]
fn the_api_server_takes_every_combination_and_every_overlay() {
    prepare();
    for (name, values) in combinations() {
        let manifest = template(&values, &[]).unwrap();
        let text = apply(&["--dry-run=server"], &manifest, &name);
        assert_eq!(text.matches("(server dry run)").count(), objects(&manifest).len(), "{name}: {text}");
        assert!(!text.to_lowercase().contains("warning"), "{name}: {text}");
    }
    for overlay in overlays() {
        let (ok, manifest) = kubectl(&["kustomize", root().join(&overlay).to_str().unwrap()], "");
        assert!(ok, "{overlay}: {manifest}");
        let text = apply(&["--dry-run=server"], &manifest, &overlay);
        assert!(!text.to_lowercase().contains("warning"), "{overlay}: {text}");
    }
    // Proves that the server validates a dry run: an unknown field is refused.
    let deployment =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, namespace: shop}\nspec: {replica: 1}\n";
    let (ok, text) =
        kubectl(&["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"], deployment);
    assert!(!ok && text.contains("replica"), "{text}");
}

/// A field that the server or the operator filled in would be a permanent difference to git.
#[test]
fn the_server_adds_nothing_to_what_the_examples_say() {
    prepare();
    let mut seen = 0;
    let vendors = ["edgee", "edenai", "edenai-v2", "cortecs", "litellm", "openrouter"];
    let emulated = vendors.map(|vendor| format!("emulator/{vendor}"));
    let folders = vendors.into_iter().chain(["gitops"]).map(str::to_owned).chain(emulated);
    for folder in folders.map(|it| format!("deploy/examples/{it}")) {
        let folder = &folder;
        let (ok, manifest) = kubectl(&["kustomize", root().join(folder).to_str().unwrap()], "");
        assert!(ok, "{folder}: {manifest}");
        let own = |it: &Value| it["apiVersion"] == "keysmith.dev/v1alpha1";
        let said: Vec<_> = objects(&manifest).into_iter().filter(own).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": said}).to_string();
        let answer: Value =
            serde_json::from_str(&apply(&["--dry-run=server", "-o", "json"], &list, folder)).unwrap();
        // The answer is one object for one document, and a list for several.
        let stored = answer["items"].as_array().cloned().unwrap_or_else(|| vec![answer]);
        assert_eq!(stored.len(), said.len(), "{folder}");
        for (stored, object) in stored.iter().zip(&said) {
            assert_eq!(title(stored), title(object));
            assert_eq!(stored["spec"], object["spec"], "{} of {folder}", title(object));
            seen += 1;
        }
    }
    assert!(seen >= 40, "{seen}");
}

/// Folders below `deploy/` that `kubectl apply -k` takes.
fn overlays() -> Vec<String> {
    ["deploy", "deploy/overlays/cluster", "deploy/overlays/namespaced"].map(str::to_owned).into()
}
