//! `Chart.yaml`: what Artifact Hub shows of the chart.

use crate::support::helm::{chart, combination, objects, pods, rendered, root};
use keysmith::api::{ClusterConsoleToken, ConsoleToken, GatewayApiKey, ProjectSettings, ProviderKey};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// The text of an annotation.
fn text(name: &str) -> String {
    let chart: Value =
        serde_yaml::from_str(&fs::read_to_string(chart().join("Chart.yaml")).unwrap()).unwrap();
    let annotation = &chart["annotations"][format!("artifacthub.io/{name}")];
    annotation.as_str().unwrap_or_else(|| panic!("{name} is not a string: {annotation}")).to_owned()
}

/// The entries of an annotation that is a list, as text in YAML.
fn entries(name: &str) -> Vec<Value> {
    let list: Value = serde_yaml::from_str(&text(name)).unwrap();
    list.as_array().unwrap().clone()
}

/// The fields of an object that are strings with something in them.
fn said(object: &Value, fields: &[&str]) -> bool {
    fields.iter().all(|it| object[it].as_str().is_some_and(|words| !words.trim().is_empty()))
}

fn is<T: DeserializeOwned>(example: &Value) -> bool {
    serde_json::from_value::<T>(example.clone()).is_ok()
}

#[test]
fn the_category_licence_and_capabilities_are_of_the_lists_that_artifact_hub_knows() {
    assert_eq!(text("license"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(text("operator"), "true");
    assert_eq!(text("category"), "security");
    let levels = ["Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"];
    assert!(levels.contains(&text("operatorCapabilities").as_str()));
    for link in entries("links") {
        assert!(
            said(&link, &["name", "url"]) && link["url"].as_str().unwrap().starts_with("https://"),
            "{link}"
        );
    }
    let kinds = ["added", "changed", "deprecated", "removed", "fixed", "security"];
    for change in entries("changes") {
        assert!(said(&change, &["kind", "description"]), "{change}");
        assert!(kinds.contains(&change["kind"].as_str().unwrap()), "{change}");
    }
}

#[test]
fn the_listed_image_is_the_one_that_the_chart_runs() {
    let images: BTreeSet<_> = entries("images").iter().map(|it| it["image"].to_string()).collect();
    let objects = rendered(&combination("default"));
    let run: BTreeSet<_> =
        pods(&objects).iter().map(|(_, it)| it["containers"][0]["image"].to_string()).collect();
    assert_eq!(images, run);
}

#[test]
fn every_definition_is_listed_with_an_example_that_this_version_reads() {
    let mut defined = BTreeSet::new();
    for path in fs::read_dir(root().join("crds")).unwrap() {
        let crd = objects(&fs::read_to_string(path.unwrap().path()).unwrap()).remove(0);
        let [kind, version] =
            ["/spec/names/kind", "/spec/versions/0/name"].map(|it| crd.pointer(it).unwrap());
        defined.insert(json!([kind, version, crd["metadata"]["name"]]).to_string());
    }
    let listed = entries("crds");
    let names = |it: &Value| json!([it["kind"], it["version"], it["name"]]).to_string();
    assert_eq!(listed.iter().map(names).collect::<BTreeSet<_>>(), defined);
    assert!(listed.iter().all(|it| said(it, &["displayName", "description"])), "{listed:?}");

    let examples = entries("crdsExamples");
    let mut shown = BTreeSet::new();
    for example in &examples {
        let kind = example["kind"].as_str().unwrap();
        let read = match kind {
            "ClusterConsoleToken" => is::<ClusterConsoleToken>(example),
            "ConsoleToken" => is::<ConsoleToken>(example),
            "GatewayApiKey" => is::<GatewayApiKey>(example),
            "ProjectSettings" => is::<ProjectSettings>(example),
            "ProviderKey" => is::<ProviderKey>(example),
            other => panic!("{other} is no kind of Keysmith"),
        };
        assert!(read, "{example}");
        let version = example["apiVersion"].as_str().unwrap().trim_start_matches("keysmith.dev/");
        assert!(listed.iter().any(|it| it["kind"] == kind && it["version"] == version), "{example}");
        shown.insert(kind);
    }
    assert_eq!(shown.len(), listed.len(), "one example for each kind");
}
