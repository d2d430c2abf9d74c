//! The alerts and the dashboard of the chart: promtool checks and plays them, and every metric that they ask for is exported.

use crate::support::helm::{chart, combination, of_kind, rendered, root};
use keysmith::runtime::metrics::Metrics;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

fn alerts() -> Vec<Value> {
    let text = fs::read_to_string(chart().join("files/alerts.yaml")).unwrap();
    let file: Value = serde_yaml::from_str(&text).unwrap();
    let groups = file["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|it| it["rules"].as_array().unwrap().clone()).collect()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().unwrap()
}

/// The families that an operator exports before anything happened, as their samples are named.
fn families() -> BTreeSet<String> {
    let metrics = Metrics::default();
    metrics.leads(true);
    let text = keysmith::runtime::metrics::text::classic(&metrics.text());
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .flat_map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let parts: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            parts.iter().map(|part| format!("{name}{part}")).collect::<Vec<_>>()
        })
        .collect()
}

/// The metrics that an expression names.
fn asked(expression: &str) -> BTreeSet<String> {
    let word = regex::Regex::new(r"\b(?:keysmith|process)_[a-z_]+").unwrap();
    word.find_iter(expression).map(|it| it.as_str().to_owned()).collect()
}

#[test]
fn promtool_accepts_the_alerts_and_each_fires_when_it_should_and_not_when_not() {
    let promtool = root().join("tests/controlplane/promtool");
    for (folder, arguments) in [
        ("charts/keysmith/files", ["check", "rules", "alerts.yaml"]),
        ("tests/charts/alerts", ["test", "rules", "tests.yaml"]),
    ] {
        let output =
            Command::new(&promtool).args(arguments).current_dir(root().join(folder)).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
    }
    let text = fs::read_to_string(root().join("tests/charts/alerts/tests.yaml")).unwrap();
    let file: Value = serde_yaml::from_str(&text).unwrap();
    let tests: Vec<(String, bool)> = file["tests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let test = &it["promql_expr_test"][0];
            let (expression, said) = (test["expr"].as_str().unwrap(), it["name"].as_str().unwrap());
            let alert = said.split(':').next().unwrap().to_owned();
            assert!(expression.contains(&format!("alertname=\"{alert}\"")), "{said}");
            (alert, !test["exp_samples"].as_array().unwrap().is_empty())
        })
        .collect();
    for alert in alerts() {
        for fires in [true, false] {
            let wanted = (name(&alert).to_owned(), fires);
            assert!(tests.contains(&wanted), "no test of {wanted:?}");
        }
    }
}

#[test]
fn every_alert_says_what_follows_and_what_to_do_and_asks_for_what_is_exported() {
    let families = families();
    let runbooks = fs::read_to_string(root().join("docs/pages/runbooks.md")).unwrap();
    for alert in alerts() {
        let text = |field: &str| alert["annotations"][field].as_str().unwrap_or_default();
        assert!(text("summary").len() > 20 && text("description").len() > 40, "{}", name(&alert));
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{severity}");
        let asked = asked(alert["expr"].as_str().unwrap());
        assert!(!asked.is_empty() && asked.is_subset(&families), "{}: {asked:?}", name(&alert));
        assert!(runbooks.contains(&format!("\n## {}\n", name(&alert))), "no runbook of {}", name(&alert));
    }
}

#[test]
fn the_dashboard_asks_for_what_is_exported() {
    let text = fs::read_to_string(chart().join("files/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let families = families();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|it| it["targets"].as_array().into_iter().flatten());
    let expressions: Vec<_> = targets.map(|it| it["expr"].as_str().unwrap()).collect();
    assert!(expressions.len() > 20);
    for expression in &expressions {
        let asked = asked(expression);
        assert!(!asked.is_empty() && asked.is_subset(&families), "{expression}: {asked:?}");
    }
    // promtool parses each expression, with the variable of the dashboard filled in.
    let rules: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(number, it)| serde_json::json!({"record": format!("panel:{number}"), "expr": it.replace("$namespace", ".*")}))
        .collect();
    let file = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard-rules.yaml");
    fs::write(&path, file.to_string()).unwrap();
    let promtool = root().join("tests/controlplane/promtool");
    let output = Command::new(promtool).args(["check", "rules"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_chart_renders_alerts_and_dashboard_as_they_are_and_leaves_out_what_is_disabled() {
    let objects = rendered(&combination("monitored"));
    let rule = of_kind(&objects, "PrometheusRule")[0];
    let groups = rule["spec"]["groups"].as_array().unwrap();
    let rules: Vec<_> = groups.iter().flat_map(|it| it["rules"].as_array().unwrap()).collect();
    assert_eq!(rules.len(), alerts().len() - 1);
    for rule in rules {
        let alert = alerts().into_iter().find(|it| name(it) == name(rule)).unwrap();
        assert_eq!((&rule["expr"], &rule["for"]), (&alert["expr"], &alert["for"]));
        assert_eq!(rule["annotations"]["summary"], alert["annotations"]["summary"]);
        assert_eq!(rule["labels"]["severity"], alert["labels"]["severity"]);
        assert_eq!(rule["labels"]["team"], "platform");
        let runbook = format!("https://runbooks.example.com/keysmith/#{}", name(rule).to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], runbook);
        assert_ne!(name(rule), "KeysmithBudgetLow");
    }
    let config = of_kind(&objects, "ConfigMap")
        .into_iter()
        .find(|it| it["metadata"]["labels"]["grafana_dashboard"] == "1")
        .expect("the dashboard");
    let dashboard: Value = serde_json::from_str(config["data"]["keysmith.json"].as_str().unwrap()).unwrap();
    assert_eq!(dashboard["uid"], "keysmith");
    assert_eq!(config["metadata"]["namespace"], "monitoring");
}
