//! Generated files are up to date, manifests for users fit the types, and the rules about source text hold.

use super::reference::documents;
use crate::support::helm;
use keysmith::api::{ClusterConsoleToken, ConsoleToken, GatewayApiKey, ProjectSettings, ProviderKey, Reason};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub fn keysmith(arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_keysmith")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_definitions_are_what_the_types_say() {
    for folder in ["crds", "charts/keysmith/files/crds"] {
        let folder = root().join(folder);
        let written = files(&folder, "yaml");
        let expected = keysmith::cli::crd_files().unwrap();
        assert_eq!(written.len(), expected.len(), "files in {}", folder.display());
        for (name, text) in expected {
            let found = fs::read_to_string(folder.join(&name)).unwrap();
            assert!(found == text, "{name} in {} is stale: run make generate", folder.display());
        }
    }
}

#[test]
fn no_reference_of_a_namespaced_kind_has_a_namespace() {
    fn search(value: &Value, place: &str) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            for (name, schema) in properties {
                assert_ne!(name, "namespace", "below {place}");
                search(schema, &format!("{place}.{name}"));
            }
        }
        for part in ["items", "additionalProperties"] {
            value.get(part).into_iter().for_each(|it| search(it, place));
        }
    }
    for crd in keysmith::api::crds() {
        let crd = serde_json::to_value(crd).unwrap();
        let spec = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").unwrap();
        search(spec, "spec");
        // A default inside spec would be a permanent difference to git.
        assert!(!spec.to_string().contains("\"default\":"), "a default in spec");
    }
}

#[test]
fn the_examples_fit_the_types() {
    fn fits<T: DeserializeOwned>(document: serde_yaml::Value, path: &Path) {
        serde_yaml::from_value::<T>(document).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let mut kinds = Vec::new();
    for path in files(&root().join("deploy/examples"), "yaml") {
        let text = fs::read_to_string(&path).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let document: serde_yaml::Value = serde::Deserialize::deserialize(document).unwrap();
            let kind = document.get("kind").and_then(|it| it.as_str()).unwrap_or_default().to_owned();
            match kind.as_str() {
                "ConsoleToken" => fits::<ConsoleToken>(document, &path),
                "ClusterConsoleToken" => fits::<ClusterConsoleToken>(document, &path),
                "GatewayApiKey" => fits::<GatewayApiKey>(document, &path),
                "ProviderKey" => fits::<ProviderKey>(document, &path),
                "ProjectSettings" => fits::<ProjectSettings>(document, &path),
                // The proxy to try keys at has more kinds.
                _ if path.ends_with("litellm-proxy/proxy.yaml") => {}
                "Namespace" | "Kustomization" | "ExternalSecret" => {}
                other => panic!("{}: {other} is no kind for an example", path.display()),
            }
            kinds.push(kind);
        }
    }
    for kind in ["ConsoleToken", "ClusterConsoleToken", "GatewayApiKey", "ProviderKey", "ProjectSettings"] {
        assert!(kinds.iter().any(|it| it == kind), "no example of {kind}");
    }
}

#[test]
fn every_reason_is_explained_in_the_documentation() {
    let text = documents();
    for (reason, _) in Reason::ALL {
        assert!(
            text.contains(&format!("`{}`", reason.as_str())),
            "the documentation says nothing of {}",
            reason.as_str()
        );
    }
}

#[test]
fn every_flag_is_explained_in_the_documentation() {
    let text = documents();
    let (ok, help, _) = keysmith(&["run", "--help"]);
    assert!(ok);
    let flags: Vec<_> = help
        .split(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '='))
        .filter(|word| word.starts_with("--") && word.len() > 3 && !matches!(*word, "--help" | "--version"))
        .collect();
    assert!(flags.len() >= 7, "{flags:?}");
    for flag in flags {
        assert!(text.contains(&format!("`{flag}`")), "the documentation says nothing of {flag}");
    }
}

#[test]
fn times_of_an_election_that_cannot_work_are_refused_by_name() {
    for (flag, value) in
        [("--renew-deadline", "20s"), ("--retry-period", "1m"), ("--lease-duration", "1500ms")]
    {
        let (ok, _, said) = keysmith(&["run", "--leader-elect", flag, value]);
        assert!(!ok && said.starts_with(&format!("keysmith: {flag}: must be ")), "{said}");
    }
}

/// Objects by kind, namespace and name, without the labels in which a release of Helm differs from kustomize.
fn comparable(objects: Vec<Value>) -> BTreeMap<String, Value> {
    const OF_HELM: [&str; 3] = ["helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"];
    let strip = |object: &mut Value, pointer: &str| {
        let labels = object.pointer_mut(pointer).and_then(Value::as_object_mut);
        if let Some(labels) = labels {
            labels.retain(|name, _| !OF_HELM.contains(&name.as_str()));
        }
    };
    // A hook belongs to Helm, and the chart does not create the namespace.
    let shared = objects.into_iter().filter(|object| {
        object["kind"] != "Namespace" && object["metadata"]["annotations"]["helm.sh/hook"].is_null()
    });
    shared
        .map(|mut object| {
            strip(&mut object, "/metadata/labels");
            strip(&mut object, "/spec/template/metadata/labels");
            let place = object["metadata"]["namespace"].as_str().unwrap_or("-");
            (format!("{} in {place}", helm::title(&object)), object)
        })
        .collect()
}

pub fn kustomized(folder: &Path) -> Vec<Value> {
    let output = Command::new("kubectl").arg("kustomize").arg(folder).output().unwrap();
    helm::objects(&helm::said(output).unwrap())
}

fn chart(set: &str) -> Vec<Value> {
    let values = root().join("tests/charts/values/default.yaml");
    helm::objects(&helm::template(&values, &["--set", "crds.enabled=false", "--set", set]).unwrap())
}

fn assert_same(deploy: Vec<Value>, chart: Vec<Value>, place: &str) {
    let (deploy, chart) = (comparable(deploy), comparable(chart));
    let names = |it: &BTreeMap<String, Value>| it.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&deploy), names(&chart), "{place}");
    for (name, object) in &deploy {
        assert_eq!(*object, chart[name], "{name} of {place} differs from the chart");
    }
}

#[test]
fn deploy_holds_what_the_chart_renders() {
    assert_same(kustomized(&root().join("deploy")), chart("replicaCount=1"), "deploy");
    let cluster = kustomized(&root().join("deploy/overlays/cluster"));
    assert_same(cluster, chart("replicaCount=1"), "deploy/overlays/cluster");
    let namespaced = kustomized(&root().join("deploy/overlays/namespaced"));
    assert_same(namespaced, chart("namespaces={shop}"), "deploy/overlays/namespaced");
}

#[test]
fn the_network_policy_can_be_taken_away() {
    // A component does nothing by itself, so it is used in an overlay, as in deploy/kustomization.yaml.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("without-network-policy");
    fs::create_dir_all(&folder).unwrap();
    // kustomize takes relative paths only.
    let up = "../".repeat(folder.components().count() - 1);
    let deploy = root().join("deploy");
    let deploy = deploy.strip_prefix("/").unwrap().display();
    let text = format!(
        "resources: [{up}{deploy}/overlays/cluster]\ncomponents: [{up}{deploy}/components/no-network-policy]\n"
    );
    fs::write(folder.join("kustomization.yaml"), text).unwrap();
    assert_same(kustomized(&folder), chart("networkPolicy.enabled=false"), "without the policy");
}

#[test]
fn restarting_workloads_is_a_right_of_its_own_and_off_by_default() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let expected = serde_json::json!({
        "apiGroups": ["apps"],
        "resources": ["deployments", "statefulsets", "daemonsets"],
        "verbs": ["get", "list", "patch"],
    });
    let granted = |objects: &[Value]| -> bool {
        let rules = objects.iter().flat_map(|it| it["rules"].as_array().into_iter().flatten());
        let rules: Vec<_> = rules.filter(|rule| rule["apiGroups"] == serde_json::json!(["apps"])).collect();
        assert!(rules.iter().all(|it| **it == expected), "{rules:?}");
        !rules.is_empty()
    };
    assert!(granted(&helm::objects(&read("deploy/restart-workloads.yaml"))));
    assert!(granted(&chart("rbac.restartWorkloads=true")));
    assert!(!granted(&chart("replicaCount=1")) && !granted(&kustomized(&root().join("deploy"))));
}

#[test]
fn explain_prints_the_table_for_people_and_for_programs() {
    let (ok, text, _) = keysmith(&["explain"]);
    assert!(ok && text.contains("edgee") && text.contains("expiresInDays"), "{text}");
    let (ok, json, _) = keysmith(&["explain", "edgee", "-o", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(ok);
    assert_eq!(json["drivers"][0]["name"], "edgee");
    assert!(json["drivers"][0]["fields"].as_array().unwrap().iter().any(|it| it["field"] == "budget"));
    let (ok, _, error) = keysmith(&["explain", "acme"]);
    assert!(!ok && error.contains("there are: edgee"), "{error}");
}

#[test]
fn an_error_about_a_flag_says_what_to_write() {
    for (arguments, words) in [
        (&["run", "--allowed-endpoints", "ftp://x"][..], "must begin with https://"),
        (&["run", "--allowed-endpoints", "https://user:pass@x"], "scheme, host, port and path only"),
        (&["run", "--poll-interval", "1ms"], "at least 1s"),
        (&["run", "--sweep-interval", "1ms"], "at least 1s"),
        (&["orphans", "--delete"], "add --yes"),
        (&["run", "--concurrency", "0"], "--concurrency"),
        (&["run", "--log-level", "loud=very"], "--log-level"),
    ] {
        let (ok, _, error) = keysmith(arguments);
        assert!(!ok && error.contains(words), "{arguments:?}: {error}");
    }
}

/// In the controllers every log line is about a resource, or about a Secret.
#[test]
fn a_log_line_of_a_controller_has_kind_namespace_and_name_as_fields() {
    let mut sources = files(&root().join("src/controller"), "rs");
    sources.push(root().join("src/controller.rs"));
    sources.extend(files(&root().join("src/protocol"), "rs"));
    let mut lines = 0;
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        lines += code.matches("log_about!(").count();
        for call in code.split("tracing::").skip(1).filter(|it| !it.starts_with("Instrument")) {
            let call = call.split(");").next().unwrap();
            // A queue belongs to a kind, and not to a single resource.
            let whole = call.contains("a queue of reconciles")
                || ["namespace", "name"].iter().all(|it| call.contains(it));
            assert!(call.contains("kind") && whole, "{}: tracing::{call}", path.display());
            lines += 1;
        }
    }
    assert!(lines >= 18, "{lines} lines were looked at");
}

#[test]
fn secrets_are_exposed_on_the_wire_and_in_the_secret_only() {
    let mut exposing = Vec::new();
    for path in files(&root().join("src"), "rs") {
        let text = fs::read_to_string(&path).unwrap();
        if text.split("#[cfg(test)]").next().unwrap().contains("expose_secret") {
            exposing.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
        }
    }
    assert_eq!(exposing, ["src/gateway/http.rs", "src/protocol/secret/assemble.rs"]);
}

/// SECURITY.md names tests; a test that was renamed or removed would leave a promise that nothing keeps.
#[test]
fn every_test_that_the_security_document_names_exists() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let sources: String = ["src", "tests"]
        .into_iter()
        .flat_map(|folder| files(&root().join(folder), "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let rows: Vec<_> =
        text.lines().filter(|it| it.starts_with("| ") && it.matches(" | ").count() == 2).collect();
    let table: Vec<_> = rows.iter().skip_while(|it| !it.starts_with("| threat |")).skip(2).collect();
    assert!(table.len() > 20, "{}", table.len());
    for row in table {
        let tests: Vec<_> = row.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            assert!(
                sources.contains(&format!("fn {test}(")) || sources.contains(&format!(": {test};")),
                "{test}"
            );
        }
    }
}
