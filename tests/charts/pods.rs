//! Fields of pods that a cluster asks for, values that a parent chart shares, and the pod of `helm test`.

use crate::support::helm::{
    RELEASE, chart, combination, combinations, helm, of_kind, pods, rendered, said, strings, template, title,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// The operator's pod template.
fn operator(objects: &[Value]) -> &Value {
    &of_kind(objects, "Deployment")[0]["spec"]["template"]
}

/// Whether there is a selector, and every label of it is among these.
fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|it| it.iter().all(|(name, value)| labels[name] == *value))
}

#[test]
fn timings_of_probes_are_added_and_path_and_port_stay() {
    let probes = |name: &str| {
        let objects = rendered(&combination(name));
        let own = &operator(&objects)["spec"]["containers"][0];
        [own["livenessProbe"].clone(), own["readinessProbe"].clone()]
    };
    let [live, ready] = ["/healthz", "/readyz"].map(|path| json!({"path": path, "port": "http"}));
    assert_eq!(probes("default"), [json!({"httpGet": live}), json!({"httpGet": ready})]);
    assert_eq!(
        probes("subchart"),
        [
            json!({"httpGet": live, "periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 6}),
            json!({"httpGet": ready, "initialDelaySeconds": 2, "periodSeconds": 5, "successThreshold": 2}),
        ]
    );
}

#[test]
fn pod_spec_extra_adds_fields_and_refuses_those_that_the_chart_sets() {
    let mut fields = BTreeSet::new();
    for (_, values) in combinations() {
        let objects = rendered(&values);
        fields.extend(operator(&objects)["spec"].as_object().unwrap().keys().cloned());
    }
    for added in ["schedulerName", "shareProcessNamespace"] {
        assert!(fields.remove(added), "{added} of the set subchart is not in the pod");
    }
    assert!(fields.len() >= 17, "a field without a set of values that sets it: {fields:?}");
    for field in fields {
        let set = format!("podSpecExtra.{field}=x");
        let error = template(&combination("default"), &["--set", &set]).expect_err(&set);
        assert!(error.contains(&format!("podSpecExtra.{field}: the chart sets this field")), "{error}");
    }
}

#[test]
fn values_that_a_parent_chart_shares_reach_every_pod_and_those_of_the_release_come_first() {
    let objects = rendered(&combination("subchart"));
    let image = format!("registry.example.com/mirror/platform/keysmith:{}", env!("CARGO_PKG_VERSION"));
    let found = pods(&objects);
    assert_eq!(found.len(), 3, "the operator, the check before an uninstallation, the test");
    for (pod, spec) in found {
        assert_eq!(spec["containers"][0]["image"], image, "{pod}");
        assert_eq!(spec["imagePullSecrets"], json!([{"name": "registry"}, {"name": "mirror"}]), "{pod}");
        assert_eq!(spec["nodeSelector"], json!({"kubernetes.io/os": "linux", "pool": "operators"}), "{pod}");
        assert_eq!(spec["tolerations"][0]["key"], "pool", "{pod}");
        assert_eq!(spec["runtimeClassName"], "gvisor", "{pod}");
    }
    for object in &objects {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["team"], "platform", "{}", title(object));
        assert_eq!(labels["cost-center"], "42", "{}", title(object));
        assert_eq!(labels["app.kubernetes.io/name"], "keysmith", "{}", title(object));
    }
    let pod = operator(&objects);
    assert_eq!(pod["metadata"]["labels"]["team"], "keysmith", "podLabels come before commonLabels");
    assert_eq!(pod["spec"]["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod["spec"]["hostAliases"], json!([{"ip": "10.0.0.5", "hostnames": ["llm.example.com"]}]));
}

#[test]
fn the_registry_of_a_parent_chart_takes_the_place_of_the_one_in_the_repository() {
    for (repository, path) in [
        ("keysmith", "keysmith"),
        ("platform/keysmith", "platform/keysmith"),
        ("registry.example.org/platform/keysmith", "platform/keysmith"),
        ("localhost/keysmith", "keysmith"),
        ("registry:5000/platform/keysmith", "platform/keysmith"),
    ] {
        let set = format!("global.imageRegistry=registry.example.com,image.repository={repository}");
        let manifest = template(&combination("default"), &["--set", &set]).unwrap();
        assert!(manifest.contains(&format!("image: \"registry.example.com/{path}:")), "{repository}");
    }
}

#[test]
fn globals_for_other_parts_of_a_parent_chart_are_admitted() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("parent-chart");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("charts")).unwrap();
    symlink(chart(), folder.join("charts/keysmith")).unwrap();
    fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: platform\nversion: 1.0.0\n").unwrap();
    let shared = json!({
        "imageRegistry": "registry.example.com",
        "storageClass": "fast",
        "domains": [{"name": "example.com"}],
        "postgresql": {"auth": {"username": "shop"}},
    });
    fs::write(folder.join("values.yaml"), json!({"global": shared}).to_string()).unwrap();
    let render = |set: &str| {
        let mut command = helm();
        command.args(["template", "platform"]).arg(&folder).args(["--set", set]);
        said(command.output().unwrap())
    };
    let manifest = render("keysmith.replicaCount=2").unwrap();
    assert!(manifest.contains("image: \"registry.example.com/keysmith:"));
    let error = render("global.imageRegistry=https://registry.example.com").unwrap_err();
    assert!(error.contains("/global/imageRegistry"), "{error}");
}

#[test]
fn helm_test_asks_the_operator_for_readiness_through_the_network_policy_and_without_rights() {
    for (name, values) in combinations() {
        let objects = rendered(&values);
        let (hooks, release): (Vec<_>, Vec<_>) =
            objects.iter().partition(|it| it["metadata"]["annotations"]["helm.sh/hook"] == "test");
        if name == "bring-your-own" {
            assert!(hooks.is_empty(), "helmTest.enabled is false");
            continue;
        }
        let hook = |kind: &str| *hooks.iter().find(|it| it["kind"] == kind).unwrap();
        let (service, job) = (hook("Service"), hook("Job"));
        assert_eq!(hooks.len(), 2, "{name}");
        for it in &hooks {
            let policy = &it["metadata"]["annotations"]["helm.sh/hook-delete-policy"];
            assert_eq!(*policy, "before-hook-creation,hook-succeeded", "{name}: {}", title(it));
        }
        let (labels, spec) =
            (&job["spec"]["template"]["metadata"]["labels"], &job["spec"]["template"]["spec"]);
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        let (host, port) = (&service["metadata"]["name"], &service["spec"]["ports"][0]);
        let url = format!("--url=http://{}.{}:{}/readyz", host.as_str().unwrap(), RELEASE.1, port["port"]);
        assert_eq!(strings(&spec["containers"][0]["args"])[..2], ["ready", url.as_str()], "{name}");
        assert!(selects(&service["spec"]["selector"], &operator(&objects)["metadata"]["labels"]), "{name}");
        let ports = operator(&objects)["spec"]["containers"][0]["ports"].as_array().unwrap();
        assert!(ports.iter().any(|it| it["name"] == port["targetPort"]), "{name}");
        // No selector of the release may take the pod of the test for one of the operator's.
        for object in release {
            for place in ["/spec/selector", "/spec/selector/matchLabels", "/spec/podSelector/matchLabels"] {
                let selector = object.pointer(place).unwrap_or(&Value::Null);
                assert!(!selects(selector, labels), "{name}: {}", title(object));
            }
        }
        for policy in of_kind(&objects, "NetworkPolicy") {
            let admitted = policy["spec"]["ingress"].as_array().unwrap().iter().any(|rule| {
                let peers = rule["from"].as_array();
                peers.is_none_or(|it| {
                    it.iter().any(|peer| selects(&peer["podSelector"]["matchLabels"], labels))
                })
            });
            assert!(admitted, "{name}: {policy}");
        }
    }
}
