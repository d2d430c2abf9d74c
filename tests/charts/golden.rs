//! The rendered chart, compared with the reviewed golden files.

use crate::support::helm::{chart, combination, combinations, helm, objects, root, said, template};
use serde_json::Value;
use std::fs;

/// Whether golden files are written instead of compared.
pub fn updating() -> bool {
    std::env::var_os("KEYSMITH_UPDATE").is_some()
}

/// The manifest without definitions, which are thousands of lines and compared with `crds/` instead.
fn without_definitions(manifest: &str) -> String {
    let mut text = String::new();
    for document in manifest.split("\n---\n") {
        if !document.contains("\nkind: CustomResourceDefinition\n") {
            text.push_str(document.trim_start_matches("---\n").trim_end());
            text.push_str("\n---\n");
        }
    }
    text.trim_end_matches("---\n").to_owned()
}

/// The sets of values whose output is compared word by word: no values, everything on, and roles without a
/// `ClusterRole`. The other sets are tested by rules (`combinations`).
const GOLDEN: [&str; 3] = ["default", "everything", "namespaced"];

#[test]
fn the_golden_combinations_render_what_they_did() {
    let mut stale = Vec::new();
    for name in GOLDEN {
        let now = without_definitions(&template(&combination(name), &[]).unwrap());
        let path = root().join(format!("tests/charts/golden/{name}.yaml"));
        if updating() {
            fs::write(&path, &now).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != now {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "{stale:?} differ: run with KEYSMITH_UPDATE=1 and read the diff");
    let goldens = fs::read_dir(root().join("tests/charts/golden")).unwrap().count();
    assert_eq!(goldens, GOLDEN.len(), "a golden without values");
}

/// Helm writes `0.0` as `0`.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => fields.iter().map(|(name, it)| (name.clone(), plain(it))).collect(),
        other => other.clone(),
    }
}

#[test]
fn the_definitions_in_the_chart_are_those_of_the_repository_with_labels_and_kept() {
    let values = combination("default");
    let rendered = |more: &[&str]| objects(&template(&values, more).unwrap());
    let kept = rendered(&[]);
    let mut found = 0;
    for path in fs::read_dir(root().join("crds")).unwrap() {
        let written = objects(&fs::read_to_string(path.unwrap().path()).unwrap()).remove(0);
        let same = kept.iter().find(|it| it["metadata"]["name"] == written["metadata"]["name"]).unwrap();
        assert!(plain(&same["spec"]) == plain(&written["spec"]), "{}", same["metadata"]["name"]);
        assert_eq!(same["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        assert_eq!(same["metadata"]["labels"]["app.kubernetes.io/name"], "keysmith");
        found += 1;
    }
    assert!(found >= 3);
    let definitions = |objects: Vec<Value>| {
        objects.into_iter().filter(|it| it["kind"] == "CustomResourceDefinition").collect::<Vec<_>>()
    };
    assert!(definitions(rendered(&["--set", "crds.enabled=false"])).is_empty());
    let loose = definitions(rendered(&["--set", "crds.keep=false"]));
    assert_eq!(loose.len(), found);
    assert!(loose.iter().all(|it| it["metadata"]["annotations"].is_null()));
}

#[test]
fn the_linter_has_nothing_to_say_about_any_combination() {
    for (name, values) in combinations() {
        let output =
            helm().args(["lint", "--strict", "--values"]).arg(&values).arg(chart()).output().unwrap();
        let text = said(output).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!text.contains("[WARNING]") && !text.contains("[ERROR]"), "{name}: {text}");
    }
}
