//! What is generated is fresh, what is written for users fits the types, and the rules that are about text hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

use keysmith::api::{ConsoleToken, GatewayApiKey, ProviderKey, Reason};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
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

fn keysmith(arguments: &[&str]) -> (bool, String, String) {
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
        // Defaults inside spec are permanent differences to what is in git.
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
                "GatewayApiKey" => fits::<GatewayApiKey>(document, &path),
                "ProviderKey" => fits::<ProviderKey>(document, &path),
                "Namespace" | "Kustomization" => {}
                other => panic!("{}: {other} is no kind for an example", path.display()),
            }
            kinds.push(kind);
        }
    }
    for kind in ["ConsoleToken", "GatewayApiKey", "ProviderKey"] {
        assert!(kinds.iter().any(|it| it == kind), "no example of {kind}");
    }
}

#[test]
fn every_reason_is_explained_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for (reason, _) in Reason::ALL {
        assert!(
            readme.contains(&format!("`{}`", reason.as_str())),
            "README says nothing of {}",
            reason.as_str()
        );
    }
}

#[test]
fn every_flag_is_explained_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (ok, help, _) = keysmith(&["run", "--help"]);
    assert!(ok);
    let flags: Vec<_> = help
        .split(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '='))
        .filter(|word| word.starts_with("--") && word.len() > 3 && !matches!(*word, "--help" | "--version"))
        .collect();
    assert!(flags.len() >= 7, "{flags:?}");
    for flag in flags {
        assert!(readme.contains(&format!("`{flag}`")), "README says nothing of {flag}");
    }
}

#[test]
fn every_flag_of_orphans_is_explained_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (ok, help, _) = keysmith(&["orphans", "--help"]);
    assert!(ok && help.contains("Exit codes:"));
    for flag in
        ["--namespace", "--console-token", "--key", "--output", "--delete", "--yes", "--ledger-namespace"]
    {
        assert!(
            help.contains(flag) && readme.contains(&format!("`{flag}`")),
            "README says nothing of {flag}"
        );
    }
}

#[test]
fn the_ledger_is_the_only_config_map_that_the_operator_may_touch() {
    let mut kinds = Vec::new();
    for document in
        serde_yaml::Deserializer::from_str(&fs::read_to_string(root().join("deploy/role.yaml")).unwrap())
    {
        let role: Value = serde::Deserialize::deserialize(document).unwrap();
        for rule in role["rules"].as_array().into_iter().flatten() {
            if rule["resources"].as_array().unwrap().contains(&Value::from("configmaps")) {
                let created = rule["verbs"] == serde_json::json!(["create"]);
                assert!(created || rule["resourceNames"] == serde_json::json!(["keysmith-ledger"]), "{rule}");
                kinds.push(role["kind"].as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(kinds, ["Role", "Role"], "in one namespace, not in all");
    let chart = fs::read_to_string(root().join("charts/keysmith/templates/role.yaml")).unwrap();
    assert!(chart.contains("resourceNames: [keysmith-ledger]"));
}

#[test]
fn restarting_workloads_is_a_right_of_its_own_and_off_by_default() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    assert!(!read("deploy/role.yaml").contains("apps"));
    let optional = read("deploy/restart-workloads.yaml");
    let role = serde_yaml::Deserializer::from_str(&optional).next().unwrap();
    let role: Value = serde::Deserialize::deserialize(role).unwrap();
    let expected = serde_json::json!({
        "apiGroups": ["apps"],
        "resources": ["deployments", "statefulsets", "daemonsets"],
        "verbs": ["get", "list", "patch"],
    });
    assert_eq!(role["rules"], serde_json::json!([expected]));
    let kustomization: Value = serde_yaml::from_str(&read("deploy/kustomization.yaml")).unwrap();
    let resources = kustomization["resources"].as_array().unwrap();
    assert!(!resources.contains(&Value::from("restart-workloads.yaml")), "only for those who ask for it");
    let values: Value = serde_yaml::from_str(&read("charts/keysmith/values.yaml")).unwrap();
    assert_eq!(values["rbac"]["restartWorkloads"], false);
    let chart = read("charts/keysmith/templates/role.yaml");
    assert!(
        chart.contains("{{- if .Values.rbac.restartWorkloads }}")
            && chart.contains("verbs: [get, list, patch]\n  {{- end }}")
    );
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
fn bad_flags_are_told_what_to_write() {
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

#[test]
fn the_pure_layer_neither_waits_nor_reads_a_clock() {
    let mut sources = files(&root().join("src/plan"), "rs");
    sources.push(root().join("src/plan.rs"));
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        for forbidden in [
            "async fn",
            ".await",
            "kube::Client",
            "Timestamp::now",
            "SystemTime",
            "Instant",
            "tokio::",
            "std::fs",
        ] {
            assert!(!text.contains(forbidden), "{} has {forbidden}", path.display());
        }
    }
}

#[test]
fn a_vendor_is_named_in_its_own_file_and_in_the_one_match_only() {
    for path in files(&root().join("src"), "rs") {
        let shown = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let may = shown.starts_with("src/gateway")
            || shown.starts_with("src/emulator")
            || shown.starts_with("src/api");
        if may || shown == "src/cli.rs" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        // Tests and documentation may give examples.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let text = line.split('"').step_by(2).collect::<String>().to_lowercase();
            assert!(!text.contains("edgee"), "{shown}: {line}");
        }
    }
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
    assert_eq!(exposing, ["src/cluster/secret.rs", "src/gateway/http.rs"]);
}
