//! The purpose of each set of values, as a rule. Only three sets also have a golden file (`golden`): everything off,
//! everything on, and roles without a `ClusterRole`.

use crate::support::helm::{combination, of_kind, rendered, title};
use serde_json::{Value, json};

/// The objects without those of `helm test`, which are tested in `pods`.
fn objects(name: &str) -> Vec<Value> {
    let all = rendered(&combination(name)).into_iter();
    all.filter(|it| it["metadata"]["annotations"]["helm.sh/hook"] != "test").collect()
}

fn values(name: &str) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(combination(name)).unwrap()).unwrap()
}

fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

fn selector() -> Value {
    json!({"app.kubernetes.io/name": "keysmith", "app.kubernetes.io/instance": "keysmith"})
}

/// Whether every selected label is among these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().unwrap().iter().all(|(name, value)| labels[name] == *value)
}

/// Whether the values at these paths are in the object, at these places.
fn stands(object: &Value, values: &Value, places: &[(&str, &str)]) {
    for (said, place) in places {
        let (said_value, found) = (values.pointer(said), object.pointer(place));
        assert!(said_value.is_some(), "{said} is not in the values");
        assert_eq!(found, said_value, "{said} at {place} of {}", title(object));
    }
}

/// The set bring-your-own: objects managed outside the release are not rendered, and references use the given names.
#[test]
fn service_account_rbac_crds_and_uninstall_check_can_be_managed_outside_the_release() {
    let objects = rendered(&combination("bring-your-own"));
    let kinds: Vec<_> = objects.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["NetworkPolicy", "Deployment"], "and nothing else");
    assert_eq!(objects[1]["metadata"]["name"], "llm-keys");
    assert_eq!(objects[1]["spec"]["template"]["spec"]["serviceAccountName"], "llm-operator");
}

/// The set single: without an election, two pods must never run at once, and no rights for a Lease are granted.
#[test]
fn without_leader_election_a_pod_goes_before_the_next_comes() {
    let (one, several) = (objects("single"), objects("default"));
    let election = |objects: &[Value]| {
        let deployment = only(objects, "Deployment");
        let args = deployment["spec"]["template"]["spec"]["containers"][0]["args"].to_string();
        let roles =
            of_kind(objects, "Role").iter().filter(|it| title(it).contains("leader-election")).count();
        (deployment["spec"]["strategy"]["type"].clone(), args.contains("--leader-elect"), roles)
    };
    assert_eq!(election(&one), (json!("Recreate"), false, 0));
    assert_eq!(election(&several), (json!("RollingUpdate"), true, 1));
    assert_eq!(only(&one, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"], json!(["run"]));
    assert!(!json!(one).to_string().contains("leases"), "no right to a Lease");
}

/// The set replicas: the requested number of pods, of the image with that digest, spread, and evicted one by one.
#[test]
fn replicas_are_of_one_digest_spread_and_evicted_as_the_budget_says() {
    let objects = objects("replicas");
    let deployment = only(&objects, "Deployment");
    assert_eq!(deployment["spec"]["replicas"], 3);
    let said = values("replicas")["image"].clone();
    let image = format!("{}@{}", said["repository"].as_str().unwrap(), said["digest"].as_str().unwrap());
    for object in objects.iter().filter(|it| it.pointer("/spec/template/spec").is_some()) {
        assert_eq!(object["spec"]["template"]["spec"]["containers"][0]["image"], image, "{}", title(object));
    }
    let spread = &deployment["spec"]["template"]["spec"]["topologySpreadConstraints"];
    assert_eq!(spread.as_array().unwrap().len(), 1);
    assert_eq!(spread[0]["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(spread[0]["whenUnsatisfiable"], "ScheduleAnyway", "one node is enough");
    assert_eq!(spread[0]["labelSelector"]["matchLabels"], selector());
    let budget = only(&objects, "PodDisruptionBudget");
    assert_eq!(budget["spec"], json!({"maxUnavailable": 1, "selector": {"matchLabels": selector()}}));
}

/// Whether the port that monitors scrape, policies open and services lead to is a port of the container.
fn has_port(objects: &[Value], name: &Value) {
    let ports = &only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert!(ports.as_array().unwrap().iter().any(|it| it["name"] == *name), "{name} is not in {ports}");
}

/// The set monitored: Prometheus finds the Service by the monitor, and the pods by the Service.
#[test]
fn a_service_monitor_selects_the_service_and_that_the_pods() {
    let objects = objects("monitored");
    assert!(of_kind(&objects, "PodMonitor").is_empty());
    let (monitor, service) = (only(&objects, "ServiceMonitor"), only(&objects, "Service"));
    let pods = &only(&objects, "Deployment")["spec"]["template"]["metadata"]["labels"];
    assert!(selects(&monitor["spec"]["selector"]["matchLabels"], &service["metadata"]["labels"]));
    assert_eq!(monitor["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"], "metrics");
    assert!(selects(&service["spec"]["selector"], pods));
    assert_eq!(monitor["spec"]["namespaceSelector"]["matchNames"], json!(["keysmith-system"]));
    assert_eq!(monitor["spec"]["endpoints"][0]["path"], "/metrics");
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
    has_port(&objects, &service["spec"]["ports"][0]["targetPort"]);
    stands(
        monitor,
        &values("monitored"),
        &[
            ("/serviceMonitor/namespace", "/metadata/namespace"),
            ("/serviceMonitor/labels/release", "/metadata/labels/release"),
            ("/serviceMonitor/metricRelabelings", "/spec/endpoints/0/metricRelabelings"),
        ],
    );
}

/// The set pod-monitor: no Service is needed.
#[test]
fn a_pod_monitor_selects_the_pods_without_a_service() {
    let objects = objects("pod-monitor");
    assert!(of_kind(&objects, "Service").is_empty() && of_kind(&objects, "ServiceMonitor").is_empty());
    let monitor = only(&objects, "PodMonitor");
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], selector());
    assert_eq!(monitor["spec"]["namespaceSelector"]["matchNames"], json!(["keysmith-system"]));
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(endpoint["path"], "/metrics");
    has_port(&objects, &endpoint["port"]);
    assert_eq!(monitor["metadata"]["namespace"], "keysmith-system");
    stands(
        monitor,
        &values("pod-monitor"),
        &[("/podMonitor/annotations/example.com~1owner", "/metadata/annotations/example.com~1owner")],
    );
}

/// The set locked-down; the ports of outgoing traffic are tested in `rules`.
#[test]
fn traffic_comes_in_for_metrics_and_goes_where_the_values_say() {
    let objects = objects("locked-down");
    let policy = only(&objects, "NetworkPolicy");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], selector());
    let ingress = policy["spec"]["ingress"].as_array().unwrap();
    assert_eq!(ingress.len(), 2, "from metricsFrom, and from the pod of helm test");
    for rule in ingress {
        assert_eq!(rule["ports"], json!([{"port": "http", "protocol": "TCP"}]));
    }
    has_port(&objects, &json!("http"));
    let protocols = |at: usize| policy["spec"]["egress"][at]["ports"].to_string().matches("UDP").count();
    assert_eq!((0..4).map(protocols).collect::<Vec<_>>(), [2, 0, 0, 0], "DNS goes by both, the rest by TCP");
    stands(
        policy,
        &values("locked-down"),
        &[
            ("/networkPolicy/metricsFrom", "/spec/ingress/0/from"),
            ("/networkPolicy/dns/to", "/spec/egress/0/to"),
            ("/networkPolicy/apiServer/to", "/spec/egress/1/to"),
            ("/networkPolicy/vendors/to", "/spec/egress/2/to"),
            ("/networkPolicy/extraEgress/0", "/spec/egress/3"),
        ],
    );
}

/// The set tokens: every value of a token is in its spec, and nothing else is.
#[test]
fn a_console_token_of_the_release_is_as_the_values_say() {
    let (objects, said) = (objects("tokens"), values("tokens"));
    let tokens = of_kind(&objects, "ConsoleToken");
    for (token, said) in tokens.into_iter().zip(said["consoleTokens"].as_array().unwrap()) {
        let mut spec = said.as_object().unwrap().clone();
        assert_eq!(Some(&token["metadata"]["name"]), spec.remove("name").as_ref());
        let namespace = spec.remove("namespace").unwrap_or(json!("keysmith-system"));
        assert_eq!(token["metadata"]["namespace"], namespace);
        let annotations = spec.remove("annotations").unwrap_or(json!({}));
        assert!(selects(&annotations, &token["metadata"]["annotations"]), "{annotations}");
        assert_eq!(token["spec"], Value::Object(spec));
    }
}

/// The set extras, for pods: additions by users are at the places they name.
#[test]
fn everything_of_ones_own_reaches_its_place() {
    let (objects, said) = (objects("extras"), values("extras"));
    stands(
        only(&objects, "Deployment"),
        &said,
        &[
            ("/deploymentAnnotations", "/metadata/annotations"),
            ("/podAnnotations", "/spec/template/metadata/annotations"),
            ("/podLabels/example.com~1l", "/spec/template/metadata/labels/example.com~1l"),
            ("/strategy", "/spec/strategy"),
            ("/imagePullSecrets", "/spec/template/spec/imagePullSecrets"),
            ("/priorityClassName", "/spec/template/spec/priorityClassName"),
            ("/nodeSelector", "/spec/template/spec/nodeSelector"),
            ("/tolerations", "/spec/template/spec/tolerations"),
            ("/affinity", "/spec/template/spec/affinity"),
            ("/dnsPolicy", "/spec/template/spec/dnsPolicy"),
            ("/dnsConfig", "/spec/template/spec/dnsConfig"),
            ("/extraVolumes", "/spec/template/spec/volumes"),
            ("/extraVolumeMounts", "/spec/template/spec/containers/0/volumeMounts"),
            ("/extraContainers/0", "/spec/template/spec/containers/1"),
            (
                "/topologySpreadConstraints/0/topologyKey",
                "/spec/template/spec/topologySpreadConstraints/0/topologyKey",
            ),
        ],
    );
    let own = &only(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(own["args"].as_array().unwrap().last(), said["extraArgs"].as_array().unwrap().last());
    assert_eq!(own["env"].as_array().unwrap().last(), said["extraEnv"].as_array().unwrap().last());
}

/// The set extras, for other objects.
#[test]
fn labels_names_and_objects_of_ones_own_are_everywhere_they_should_be() {
    let (objects, said) = (objects("extras"), values("extras"));
    stands(
        only(&objects, "Job"),
        &said,
        &[
            ("/imagePullSecrets", "/spec/template/spec/imagePullSecrets"),
            ("/nodeSelector", "/spec/template/spec/nodeSelector"),
            ("/tolerations", "/spec/template/spec/tolerations"),
        ],
    );
    stands(
        only(&objects, "ServiceAccount"),
        &said,
        &[
            ("/serviceAccount/annotations", "/metadata/annotations"),
            ("/serviceAccount/labels/example.com~1kind", "/metadata/labels/example.com~1kind"),
        ],
    );
    stands(
        only(&objects, "Service"),
        &said,
        &[
            ("/metrics/service/annotations", "/metadata/annotations"),
            ("/metrics/service/port", "/spec/ports/0/port"),
        ],
    );
    let mut names = Vec::new();
    for object in &objects {
        match object["kind"].as_str().unwrap() {
            "ConfigMap" => names.push(object["metadata"]["name"].as_str().unwrap()),
            _ => assert_eq!(object["metadata"]["labels"]["team"], "platform", "{}", title(object)),
        }
    }
    // As objects, and as text that is a template.
    assert_eq!(names, ["notes", "keysmith-more"], "the release's name contains the override");
    let notes = of_kind(&objects, "ConfigMap")[0];
    assert_eq!(
        (&notes["metadata"]["namespace"], &notes["data"]["release"]),
        (&json!("keysmith-system"), &json!("keysmith"))
    );
    assert_eq!(only(&objects, "Deployment")["metadata"]["name"], "keysmith");
}
