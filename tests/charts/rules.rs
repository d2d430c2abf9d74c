//! Rules for every set of values: rights, pods, refused values.

use crate::support::helm::{
    chart, combination, combinations, helm, objects, of_kind, pods, rendered, root, said, strings, template,
    title,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

fn rules(objects: &[Value]) -> Vec<(String, Value)> {
    let roles = objects.iter().filter(|it| it["kind"].as_str().unwrap().ends_with("Role"));
    roles
        .flat_map(|role| {
            let rules = role["rules"].as_array().unwrap().clone();
            rules.into_iter().map(|rule| (title(role), rule))
        })
        .collect()
}

#[test]
fn every_pod_keeps_to_the_restricted_standard() {
    for (name, values) in combinations() {
        let objects = rendered(&values);
        let pods = pods(&objects);
        assert!(!pods.is_empty());
        for (pod, spec) in pods {
            let place = format!("{pod} of {name}");
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{place}");
            assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{place}");
            for container in spec["containers"].as_array().unwrap() {
                let context = &container["securityContext"];
                assert_eq!(context["allowPrivilegeEscalation"], false, "{place}");
                assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{place}");
            }
            let own = &spec["containers"][0];
            assert_eq!(own["securityContext"]["readOnlyRootFilesystem"], true, "{place}");
            assert!(own["resources"]["limits"]["memory"].is_string(), "{place}");
            for dangerous in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(spec[dangerous].is_null(), "{dangerous} in {place}");
            }
        }
    }
}

#[test]
fn no_rule_reaches_further_than_it_must() {
    for (name, values) in combinations() {
        for (role, rule) in rules(&rendered(&values)) {
            let place = format!("{role} of {name}: {rule}");
            let all =
                |part: &str| strings(&rule[part]).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
            let (verbs, resources, groups) = (all("verbs"), all("resources"), all("apiGroups"));
            for set in [&verbs, &resources, &groups] {
                assert!(!set.is_empty() && !set.contains("*"), "{place}");
            }
            for verb in ["bind", "escalate", "impersonate"] {
                assert!(!verbs.contains(verb), "{place}");
            }
            for resource in
                ["pods", "pods/exec", "serviceaccounts/token", "customresourcedefinitions", "roles"]
            {
                assert!(!resources.contains(resource), "{place}");
            }
            if resources.contains("secrets") {
                assert!(!verbs.contains("delete") && !verbs.contains("deletecollection"), "{place}");
            }
            if resources.contains("configmaps") {
                // Certificate authorities are read by name. What is written is in the operator's own namespace: a Role.
                let ledger = place.starts_with("Role keysmith-ledger") || place.contains("ledger");
                let expected =
                    if ledger { json!(["get", "list", "create", "patch"]) } else { json!(["get"]) };
                assert_eq!(rule["verbs"], expected, "{place}");
            }
            if groups.contains("apps") {
                assert!(
                    ["everything", "namespaced"].contains(&name.as_str())
                        && rule["verbs"] == json!(["get", "list", "patch"]),
                    "{place}"
                );
            }
        }
    }
}

#[test]
fn the_roles_for_people_name_every_kind_and_neither_secrets_nor_status() {
    let objects = rendered(&combination("default"));
    let plurals: Vec<_> = of_kind(&objects, "CustomResourceDefinition")
        .iter()
        .map(|it| it["spec"]["names"]["plural"].as_str().unwrap().to_owned())
        .collect();
    let mut seen = Vec::new();
    for role in of_kind(&objects, "ClusterRole") {
        let labels = role["metadata"]["labels"].as_object().unwrap();
        let to = |whom: &str| labels.get(&format!("rbac.authorization.k8s.io/aggregate-to-{whom}")).is_some();
        if !to("admin") {
            continue;
        }
        let rules = role["rules"].as_array().unwrap();
        // Verbs that the admission policy asks for are those of administrators.
        if !to("edit") {
            let asked: BTreeSet<_> = rules.iter().flat_map(|rule| strings(&rule["verbs"])).collect();
            assert_eq!(asked, BTreeSet::from(["abandon", "adopt", "claim", "mint"]));
            continue;
        }
        assert_eq!(strings(&rules[0]["apiGroups"]), ["keysmith.dev"]);
        let reads = strings(&rules[0]["verbs"]).iter().all(|it| ["get", "list", "watch"].contains(it));
        assert_eq!(to("view"), reads, "who may only look does not write");
        // A ClusterConsoleToken is written by cluster administrators, and named by users of allowed namespaces.
        let namespaced = plurals.iter().filter(|it| *it != "clusterconsoletokens").cloned().collect();
        let expected: Vec<_> = if reads { plurals.clone() } else { namespaced };
        assert_eq!(strings(&rules[0]["resources"]), expected);
        assert_eq!(rules.len(), if reads { 1 } else { 2 });
        assert!(rules.iter().skip(1).all(|it| strings(&it["verbs"]) == ["use"]));
        assert!(to("edit"));
        seen.push(reads);
    }
    seen.sort_unstable();
    assert_eq!(seen, [false, true]);
}

#[test]
fn with_namespaces_nothing_is_granted_in_the_whole_cluster() {
    let objects = rendered(&combination("namespaced"));
    for object in &objects {
        let kind = object["kind"].as_str().unwrap();
        assert!(!kind.starts_with("ClusterRole"), "{}", title(object));
    }
    let places: BTreeSet<_> =
        of_kind(&objects, "Role").iter().map(|it| it["metadata"]["namespace"].as_str().unwrap()).collect();
    assert_eq!(places, BTreeSet::from(["keysmith-system", "kube-system", "search", "shop"]));
    for role in of_kind(&objects, "Role") {
        if role["metadata"]["namespace"] == "kube-system" {
            let only = json!([{"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}]);
            assert_eq!(role["rules"], only);
        }
    }
}

#[test]
fn every_binding_is_to_a_role_of_the_release_and_for_its_service_account() {
    for (name, values) in combinations() {
        let objects = rendered(&values);
        let accounts = of_kind(&objects, "ServiceAccount");
        let policies = of_kind(&objects, "ValidatingAdmissionPolicy");
        for binding in of_kind(&objects, "ValidatingAdmissionPolicyBinding") {
            let named = |it: &Value| it["metadata"]["name"] == binding["spec"]["policyName"];
            assert!(policies.iter().any(|it| named(it)), "{name}: {}", title(binding));
        }
        let of_role = |it: &&Value| it["kind"].as_str().unwrap().ends_with("RoleBinding");
        for binding in objects.iter().filter(of_role) {
            let role = objects.iter().find(|it| {
                it["kind"] == binding["roleRef"]["kind"]
                    && it["metadata"]["name"] == binding["roleRef"]["name"]
                    && it["metadata"]["namespace"] == binding["metadata"]["namespace"]
            });
            assert!(role.is_some(), "{name}: {}", title(binding));
            assert_eq!(binding["subjects"].as_array().unwrap().len(), 1);
            assert_eq!(binding["subjects"][0]["name"], accounts[0]["metadata"]["name"]);
            assert_eq!(binding["subjects"][0]["namespace"], accounts[0]["metadata"]["namespace"]);
        }
        for (pod, spec) in pods(&objects) {
            let account = accounts.first().map_or(json!("llm-operator"), |it| it["metadata"]["name"].clone());
            assert_eq!(spec["serviceAccountName"], account, "{pod} of {name}");
        }
    }
}

#[test]
fn a_budget_for_disruptions_and_a_spread_come_with_several_replicas_only() {
    let parts = |name: &str| {
        let objects = rendered(&combination(name));
        let spread =
            of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["topologySpreadConstraints"]
                .clone();
        (of_kind(&objects, "PodDisruptionBudget").len(), !spread.is_null())
    };
    assert_eq!(parts("replicas"), (1, true));
    assert_eq!(parts("default"), (0, false));
    assert_eq!(parts("single"), (0, false), "with one replica it would only keep nodes from being drained");
}

#[test]
fn traffic_goes_out_to_dns_the_api_server_and_vendors_with_the_ports_of_admitted_endpoints() {
    let objects = rendered(&combination("locked-down"));
    let policy = of_kind(&objects, "NetworkPolicy")[0];
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    let egress = policy["spec"]["egress"].as_array().unwrap();
    let ports = |at: usize| -> Vec<_> {
        let ports = egress[at]["ports"].as_array().unwrap();
        ports.iter().map(|it| it["port"].as_u64().unwrap()).collect()
    };
    let all: Vec<_> = (0..egress.len()).map(ports).collect();
    assert_eq!(
        all,
        [vec![53, 53, 5353, 5353], vec![443, 6443, 8443, 16443], vec![443, 8787, 80], vec![3128]]
    );
    assert!(egress[..3].iter().all(|it| it["to"].is_array()), "nothing goes anywhere where that was said");
}

#[test]
fn the_selector_is_the_one_that_running_deployments_have() {
    for (name, values) in combinations() {
        let objects = rendered(&values);
        let deployments = of_kind(&objects, "Deployment");
        let count = deployments.len();
        for (number, deployment) in (1..).zip(deployments) {
            let selector = &deployment["spec"]["selector"]["matchLabels"];
            let mut fixed =
                json!({"app.kubernetes.io/name": "keysmith", "app.kubernetes.io/instance": "keysmith"});
            if count > 1 {
                fixed["keysmith.dev/shard"] = json!(format!("{number}-of-{count}"));
            }
            assert_eq!(*selector, fixed, "{name}: it can never change");
            assert_eq!(
                deployment["spec"]["template"]["metadata"]["labels"]["keysmith.dev/shard"],
                fixed["keysmith.dev/shard"]
            );
        }
    }
}

#[test]
fn every_flag_and_variable_of_the_pods_is_one_of_the_program() {
    let help = |command: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_keysmith")).args([command, "--help"]).output().unwrap();
        said(output).unwrap()
    };
    for (name, values) in combinations() {
        for (pod, spec) in pods(&rendered(&values)) {
            let container = &spec["containers"][0];
            let arguments = strings(&container["args"]);
            let help = help(arguments[0]);
            for argument in &arguments[1..] {
                let flag = argument.split('=').next().unwrap();
                let known = help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n"));
                assert!(known, "{flag} of {pod} in {name}");
            }
            let variables = container["env"].as_array().into_iter().flatten();
            for variable in variables.filter_map(|it| it["name"].as_str()) {
                let known = help.contains(&format!("[env: {variable}="));
                assert!(known || !variable.starts_with("KEYSMITH_"), "{variable} of {pod} in {name}");
            }
        }
    }
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    let values = combination("default");
    for (set, words) in [
        ("replicaCont=2", "additional properties 'replicaCont' not allowed"),
        ("crds.keepp=true", "/crds"),
        ("pollInterval=5", "/pollInterval"),
        ("pollInterval=5 minutes", "/pollInterval"),
        ("maxKeysPerDay=0", "/maxKeysPerDay"),
        ("namespaces={Shop}", "/namespaces/0"),
        ("allowedEndpoints={llm.example.com}", "/allowedEndpoints/0"),
        ("allowedEndpoints={https://user:pass@example.com}", "/allowedEndpoints/0"),
        ("allowedEndpoints={https://llm.example.com/v1}", "/allowedEndpoints/0"),
        ("log.level=inof", "/log/level"),
        ("log.level=verbose", "/log/level"),
        ("log.level=keysmith=inof", "/log/level"),
        ("log.level=foo=debug", "/log/level"),
        ("image.digest=latest", "/image/digest"),
        ("replicaCount=2,leaderElection.enabled=false", "two operators would work at once"),
        ("serviceMonitor.enabled=true,podMonitor.enabled=true", "choose one"),
        ("serviceMonitor.renderMode=never", "/serviceMonitor/renderMode"),
        ("podMonitor.renderMode=true", "/podMonitor/renderMode"),
        ("prometheusRule.renderMode=skip", "/prometheusRule/renderMode"),
        ("helmTest.enabled=maybe", "/helmTest/enabled"),
        ("livenessProbe.httpGet.path=/metrics", "additional properties 'httpGet' not allowed"),
        ("livenessProbe.successThreshold=2", "additional properties 'successThreshold' not allowed"),
        ("readinessProbe.exec.command={true}", "additional properties 'exec' not allowed"),
        ("readinessProbe.periodSeconds=0", "/readinessProbe/periodSeconds"),
        ("hostAliases[0].ip=10.0.0.5", "/hostAliases/0"),
        ("runtimeClassName=GVisor", "/runtimeClassName"),
        ("podSpecExtra=schedulerName", "/podSpecExtra"),
        ("global.imageRegistry=https://registry.example.com", "/global/imageRegistry"),
        ("global.imagePullSecrets=registry", "/global/imagePullSecrets"),
        ("global.commonLabels=team", "/global/commonLabels"),
        ("global.nodeSelector=linux", "/global/nodeSelector"),
        ("consoleTokens[0].name=edgee,consoleTokens[0].token=x", "additional properties 'token' not allowed"),
        ("consoleTokens[0].name=edgee,consoleTokens[0].secretRef.value=x", "'value' not allowed"),
        ("consoleTokens[0].name=edgee", "vendor"),
    ] {
        let error = template(&values, &["--set", set]).expect_err(set);
        assert!(error.contains(words), "{set}: {error}");
    }
}

#[test]
fn monitors_and_alerts_are_rendered_skipped_or_refused_where_their_definitions_are_missing() {
    let values = combination("default");
    for (value, kind) in [
        ("serviceMonitor", "ServiceMonitor"),
        ("podMonitor", "PodMonitor"),
        ("prometheusRule", "PrometheusRule"),
    ] {
        let served = format!("monitoring.coreos.com/v1/{kind}");
        let rendered = |mode: &str, served: &[&str]| {
            let set = format!("{value}.enabled=true,{value}.renderMode={mode}");
            let more = [&["--set", set.as_str()][..], served].concat();
            template(&values, &more).map(|manifest| of_kind(&objects(&manifest), kind).len())
        };
        let served = ["--api-versions", served.as_str()];
        assert_eq!(rendered("alwaysRender", &[]), Ok(1), "{kind}");
        assert_eq!(rendered("skipIfMissing", &[]), Ok(0), "{kind}");
        assert_eq!(rendered("skipIfMissing", &served), Ok(1), "{kind}");
        assert_eq!(rendered("failIfMissing", &served), Ok(1), "{kind}");
        let error = rendered("failIfMissing", &[]).unwrap_err();
        let words = format!("{value}.renderMode: failIfMissing, and the cluster does not serve {kind}");
        assert!(error.contains(&words), "{error}");
    }
}

#[test]
fn values_of_the_previous_chart_are_still_values() {
    let previous =
        std::fs::read_to_string(root().join("tests/charts/previous/keysmith/values.yaml")).unwrap();
    let now = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    let [previous, now]: [Value; 2] = [previous, now].map(|it| serde_yaml::from_str(&it).unwrap());
    fn covers(previous: &Value, now: &Value, place: &str) {
        for (name, value) in previous.as_object().into_iter().flatten() {
            assert_eq!(*value == Value::Null, now[name] == Value::Null, "{place}.{name} is gone");
            covers(value, &now[name], &format!("{place}.{name}"));
        }
    }
    covers(&previous, &now, "");
    let values = root().join("tests/charts/previous/keysmith/values.yaml");
    template(&values, &[]).unwrap();
}

#[test]
fn two_releases_of_different_classes_have_no_object_in_common_and_let_each_other_work() {
    let render = |release: &str, namespace: &str, set: &[&str]| {
        let mut command = helm();
        command.args(["template", release]).arg(chart()).args(["--namespace", namespace]);
        command.args(set.iter().flat_map(|it| ["--set", it]));
        objects(&said(command.output().unwrap()).unwrap())
    };
    let all = ["leaderElection.enabled=true", "clusterTokensOnly=true", "rbac.restartWorkloads=true"];
    let first = ["admissionPolicies.otherOperators={keysmith-canary/keysmith-canary}"];
    let second = [
        "controllerClass=canary",
        "crds.enabled=false",
        "admissionPolicies.otherOperators={keysmith-system/keysmith}",
    ];
    let first = render("keysmith", "keysmith-system", &[&all[..], &first].concat());
    let second = render("keysmith-canary", "keysmith-canary", &[&all[..], &second].concat());
    let places = |objects: &[Value]| -> BTreeSet<String> {
        objects.iter().map(|it| format!("{} {}", it["metadata"]["namespace"], title(it))).collect()
    };
    let (one, two) = (places(&first), places(&second));
    assert!(one.len() > 20 && two.len() > 15 && one.is_disjoint(&two), "{:?}", one.intersection(&two));
    let lease = |objects: &[Value]| -> Vec<Value> {
        let rules = rules(objects).into_iter().filter(|(_, it)| it["resources"] == json!(["leases"]));
        rules.filter_map(|(_, it)| it.get("resourceNames").cloned()).collect()
    };
    assert_eq!(lease(&first), [json!(["keysmith"])]);
    assert_eq!(lease(&second), [json!(["keysmith-canary"])]);
    let accounts = [
        "system:serviceaccount:keysmith-system:keysmith",
        "system:serviceaccount:keysmith-canary:keysmith-canary",
    ];
    for (objects, own) in [(&first, accounts[0]), (&second, accounts[1])] {
        let policies = of_kind(objects, "ValidatingAdmissionPolicy");
        assert!(policies.len() > 5);
        for policy in policies {
            let conditions = policy["spec"]["matchConditions"].to_string();
            let about_people = conditions.contains("no-operator");
            // Rules for people hold for neither operator, and those for an operator for its own one.
            assert!(
                accounts.iter().all(|it| conditions.contains(it) == (about_people || *it == own)),
                "{conditions}"
            );
        }
    }
}

#[test]
fn a_console_token_of_the_release_stays_and_holds_no_secret() {
    let objects = rendered(&combination("tokens"));
    let tokens = of_kind(&objects, "ConsoleToken");
    assert_eq!(tokens.len(), 2);
    for token in tokens {
        assert_eq!(token["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        let token: keysmith::api::ConsoleToken = serde_json::from_value(token.clone()).unwrap();
        assert!(token.spec.secret_name().starts_with("edgee-"));
    }
    assert!(of_kind(&objects, "Secret").is_empty());
}

#[test]
fn the_notes_name_the_next_step_in_the_namespace_that_is_watched() {
    let notes = |set: &str| {
        let output = helm()
            .args(["install", "keysmith", "--dry-run=client", "--namespace", "keysmith-system", "--set", set])
            .arg(chart())
            .output()
            .unwrap();
        said(output).unwrap().split("NOTES:").nth(1).unwrap().to_owned()
    };
    let everywhere = notes("crds.enabled=true");
    for line in [
        "kubectl rollout status deployment/keysmith -n keysmith-system",
        "helm test keysmith -n keysmith-system",
        "kind: ConsoleToken",
        "kind: GatewayApiKey",
    ] {
        assert!(everywhere.contains(line), "{line} is not in:\n{everywhere}");
    }
    assert!(!everywhere.contains("no part of this release") && everywhere.contains("set image.repository"));
    assert!(!notes("image.repository=registry.example/keysmith").contains("image.repository"));
    let shared = notes("clusterTokensOnly=true");
    for line in [
        "-n keysmith-system --from-literal",
        "kind: ClusterConsoleToken\n",
        "{name: edgee, kind: ClusterConsoleToken}",
    ] {
        assert!(shared.contains(line), "{line} is not in:\n{shared}");
    }
    assert!(notes("controllerClass=canary").contains("     controllerClass: canary\n"));
    assert!(notes("namespaces={shop}").contains("metadata: {name: edgee, namespace: shop}"));
    assert!(notes("crds.enabled=false").contains("no part of this release"));
}
