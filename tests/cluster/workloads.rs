//! Restarts of the workloads that read a Secret with a new key.

use crate::support::cluster::{Cluster, Effect, Rule};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use keysmith::api::rotation::WorkloadKind;
use keysmith::cluster::workloads::{Outcome, RESTARTER, Restart, Target, Which, annotation, restart};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

const DEPLOYMENT: WorkloadKind = WorkloadKind::Deployment;

/// A cluster with tokio's clock and the namespaces `shop` and `other`.
fn cluster() -> Cluster {
    let (epoch, start) = ("2026-11-21T00:00:00Z".parse::<Timestamp>().unwrap(), tokio::time::Instant::now());
    let cluster = Cluster::new(move || epoch + start.elapsed(), Vec::new());
    cluster.add_namespace("shop");
    cluster.add_namespace("other");
    cluster
}

/// A workload with a value in every field that a wrong write could lose.
fn manifest(kind: &str, name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {
            "name": name, "namespace": "shop",
            "labels": {"app": app}, "annotations": {"team": "checkout"}, "finalizers": ["example.dev/hold"],
        },
        "spec": {
            "selector": {"matchLabels": {"pod": name}},
            "minReadySeconds": 5,
            "template": {
                "metadata": {"labels": {"pod": name}, "annotations": {"prometheus.io/scrape": "true"}},
                "spec": {"containers": [{"name": "main", "image": "example.dev/shop:1", "env": [
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "llm", "key": "key"}}},
                ]}]},
            },
        },
    })
}

fn named(kind: WorkloadKind, name: &str) -> Target {
    Target { kind, which: Which::Name(name.to_owned()) }
}

fn labelled(kind: WorkloadKind, labels: &[(&str, &str)]) -> Target {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Target { kind, which: Which::Labels(labels) }
}

/// Writes that revision of the key's Secret to the targets.
async fn bring(cluster: &Cluster, uid: &str, revision: &str, targets: &[Target]) -> Outcome {
    let request = Restart { namespace: "shop", uid, revision, targets };
    restart(&cluster.client_named("operator"), &request).await
}

fn deployment(cluster: &Cluster, name: &str) -> Value {
    cluster.find("deployments.apps", "shop", name).unwrap()
}

/// The revision with which the pods of a Deployment were started.
fn carried(cluster: &Cluster, name: &str, uid: &str) -> Value {
    deployment(cluster, name)["spec"]["template"]["metadata"]["annotations"][annotation(uid)].clone()
}

fn refusal(code: u16, verb: &str, name: &str) -> Rule {
    let effect = Effect::Status { code, reason: "Refused".to_owned() };
    Rule { verb: verb.to_owned(), name_contains: name.to_owned(), ..Rule::next(effect) }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|it| (*it).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn one_annotation_of_the_template_is_written_and_nothing_else() {
    let kinds = [
        (WorkloadKind::Deployment, "Deployment", "deployments.apps"),
        (WorkloadKind::StatefulSet, "StatefulSet", "statefulsets.apps"),
        (WorkloadKind::DaemonSet, "DaemonSet", "daemonsets.apps"),
    ];
    for (kind, name, resource) in kinds {
        let cluster = cluster();
        let mut expected = cluster.store_unchecked(manifest(name, "web", "web"));
        let outcome = bring(&cluster, "uid-1", "7", &[named(kind, "web")]).await;
        assert_eq!(outcome.restarted, [format!("{name}/web")]);
        assert!(outcome.missing.is_empty() && outcome.forbidden.is_empty() && outcome.failed.is_none());

        let mut found = cluster.find(resource, "shop", "web").unwrap();
        let owners = found["metadata"]["managedFields"].take();
        let ours: Vec<_> =
            owners.as_array().unwrap().iter().filter(|it| it["manager"] == RESTARTER).collect();
        let field = format!("f:{}", annotation("uid-1"));
        let fields = json!({"f:spec": {"f:template": {"f:metadata": {"f:annotations": {field: {}}}}}});
        assert_eq!(ours.len(), 1, "{name}");
        assert_eq!(ours[0]["fieldsV1"], fields, "{name}");

        expected["spec"]["template"]["metadata"]["annotations"][annotation("uid-1")] = json!("7");
        for object in [&mut expected, &mut found] {
            for moving in ["resourceVersion", "generation", "managedFields"] {
                object["metadata"].as_object_mut().unwrap().remove(moving);
            }
        }
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_template_without_metadata_gets_some() {
    let cluster = cluster();
    let mut bare = manifest("Deployment", "web", "web");
    bare["spec"]["template"].as_object_mut().unwrap().remove("metadata");
    cluster.store_unchecked(bare);
    let _ = bring(&cluster, "uid-1", "7", &[named(DEPLOYMENT, "web")]).await;
    assert_eq!(carried(&cluster, "web", "uid-1"), "7");
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_is_there_is_not_written_again() {
    let cluster = cluster();
    cluster.store_unchecked(manifest("Deployment", "web", "web"));
    let targets = [named(DEPLOYMENT, "web"), labelled(DEPLOYMENT, &[("app", "web")])];
    assert_eq!(bring(&cluster, "uid-1", "7", &targets).await.restarted, ["Deployment/web"]);
    let before = deployment(&cluster, "web");
    let again = bring(&cluster, "uid-1", "7", &targets).await;
    assert!(again.restarted.is_empty() && again.missing.is_empty() && again.failed.is_none());
    assert_eq!(cluster.writes("operator").len(), 1);
    assert_eq!(deployment(&cluster, "web"), before);
    assert_eq!(bring(&cluster, "uid-1", "8", &targets).await.restarted, ["Deployment/web"]);
    assert_eq!(carried(&cluster, "web", "uid-1"), "8");
}

#[tokio::test(start_paused = true)]
async fn labels_select_by_all_of_them_in_the_namespace_of_the_key() {
    let cluster = cluster();
    for (name, app, tier) in [("a", "web", "front"), ("b", "web", "front"), ("c", "web", "back")] {
        let mut object = manifest("Deployment", name, app);
        object["metadata"]["labels"]["tier"] = json!(tier);
        cluster.store_unchecked(object.clone());
        object["kind"] = json!("StatefulSet");
        cluster.store_unchecked(object.clone());
        object["kind"] = json!("Deployment");
        object["metadata"]["namespace"] = json!("other");
        cluster.store_unchecked(object);
    }
    let outcome =
        bring(&cluster, "uid-1", "7", &[labelled(DEPLOYMENT, &[("app", "web"), ("tier", "front")])]).await;
    assert_eq!(outcome.restarted, ["Deployment/a", "Deployment/b"]);
    let written: Vec<_> = cluster.writes("operator").into_iter().filter(|it| it.changed).collect();
    assert!(written.iter().all(|it| it.namespace.as_deref() == Some("shop") && it.resource == "deployments"));
    assert_eq!(written.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_label_selects_nothing_and_a_name_leads_nowhere_else() {
    let cluster = cluster();
    cluster.store_unchecked(manifest("Deployment", "web", "web"));
    let mut elsewhere = manifest("Deployment", "web", "web");
    elsewhere["metadata"]["namespace"] = json!("other");
    cluster.store_unchecked(elsewhere);
    let strange = ["", "web/scale", "web?dryRun=All", "../../other/deployments/web", "..", "web%2fscale"];
    let mut targets: Vec<_> = strange.iter().map(|name| named(DEPLOYMENT, name)).collect();
    targets.push(labelled(DEPLOYMENT, &[]));
    targets.push(labelled(DEPLOYMENT, &[("app", "nobody")]));
    let outcome = bring(&cluster, "uid-1", "7", &targets).await;
    assert_eq!(outcome.missing.len(), targets.len());
    assert_eq!(outcome.missing[6..], names(&["Deployment without labels", "Deployment app=nobody"]));
    assert!(cluster.writes("operator").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_forbidden_workload_is_reported_and_does_not_stop_the_others() {
    let cluster = cluster();
    for name in ["hidden", "locked", "web"] {
        cluster.store_unchecked(manifest("Deployment", name, name));
    }
    cluster.fault(refusal(403, "get", "hidden"));
    cluster.fault(refusal(403, "patch", "locked"));
    cluster.fault(refusal(403, "list", ""));
    cluster.fault(refusal(404, "patch", "gone-meanwhile"));
    cluster.store_unchecked(manifest("Deployment", "gone-meanwhile", "web"));
    let targets = [
        named(DEPLOYMENT, "gone"),
        named(DEPLOYMENT, "hidden"),
        named(DEPLOYMENT, "locked"),
        named(DEPLOYMENT, "gone-meanwhile"),
        labelled(WorkloadKind::DaemonSet, &[("app", "agent")]),
        named(DEPLOYMENT, "web"),
    ];
    let outcome = bring(&cluster, "uid-1", "7", &targets).await;
    assert_eq!(outcome.restarted, ["Deployment/web"]);
    assert_eq!(outcome.missing, ["Deployment/gone", "Deployment/gone-meanwhile"]);
    assert_eq!(outcome.forbidden, ["Deployment/hidden", "Deployment/locked", "DaemonSet app=agent"]);
    assert!(outcome.failed.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failed_restart_is_retried_and_the_others_are_not_repeated() {
    let cluster = cluster();
    for name in ["a", "b", "c"] {
        cluster.store_unchecked(manifest("Deployment", name, "web"));
    }
    let targets = [labelled(DEPLOYMENT, &[("app", "web")])];
    // Another writer creates it at the same time.
    cluster.fault(refusal(409, "patch", "b"));
    let first = bring(&cluster, "uid-1", "7", &targets).await;
    assert_eq!(first.restarted, ["Deployment/a", "Deployment/c"]);
    assert!(matches!(first.failed, Some(kube::Error::Api(status)) if status.code == 409));
    let second = bring(&cluster, "uid-1", "7", &targets).await;
    assert_eq!(second.restarted, ["Deployment/b"]);
    assert!(second.failed.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_restart_refused_by_an_admission_policy_is_reported_and_not_retried_for_ever() {
    let cluster = cluster();
    cluster.store_unchecked(manifest("Deployment", "a", "web"));
    let targets = [labelled(DEPLOYMENT, &[("app", "web")])];
    for code in [400, 422] {
        cluster.fault(refusal(code, "patch", "a"));
        let outcome = bring(&cluster, "uid-1", "7", &targets).await;
        assert_eq!(outcome.forbidden, ["Deployment/a"], "{code}");
        assert!(outcome.failed.is_none() && outcome.restarted.is_empty(), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_in_trouble_is_left_alone_and_a_lost_answer_is_no_second_restart() {
    for (effect, restarted_later) in [
        (Effect::Status { code: 503, reason: "ServiceUnavailable".to_owned() }, 2),
        (Effect::Status { code: 429, reason: "TooManyRequests".to_owned() }, 2),
        (Effect::DropBefore, 2),
        (Effect::DropAfter, 1),
    ] {
        let cluster = cluster();
        for name in ["a", "b"] {
            cluster.store_unchecked(manifest("Deployment", name, "web"));
        }
        cluster.fault(Rule { verb: "patch".to_owned(), ..Rule::next(effect.clone()) });
        let targets = [labelled(DEPLOYMENT, &[("app", "web")]), named(DEPLOYMENT, "b")];
        let first = bring(&cluster, "uid-1", "7", &targets).await;
        assert!(first.failed.is_some() && first.restarted.is_empty(), "{effect:?}");
        assert_eq!(cluster.writes("operator").len(), 1, "{effect:?}");
        let second = bring(&cluster, "uid-1", "7", &targets).await;
        assert_eq!(second.restarted.len(), restarted_later, "{effect:?}");
        assert_eq!(carried(&cluster, "a", "uid-1"), "7", "{effect:?}");
        assert_eq!(deployment(&cluster, "a")["metadata"]["generation"], 2, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_keys_restart_one_workload_and_leave_each_other_alone() {
    let cluster = cluster();
    cluster.store_unchecked(manifest("Deployment", "web", "web"));
    let targets = [named(DEPLOYMENT, "web")];
    let (one, two) =
        tokio::join!(bring(&cluster, "uid-1", "7", &targets), bring(&cluster, "uid-2", "3", &targets));
    assert_eq!((one.restarted, two.restarted), (names(&["Deployment/web"]), names(&["Deployment/web"])));
    assert_eq!(bring(&cluster, "uid-1", "8", &targets).await.restarted, ["Deployment/web"]);
    assert_eq!(carried(&cluster, "web", "uid-1"), "8");
    assert_eq!(carried(&cluster, "web", "uid-2"), "3");
    assert!(bring(&cluster, "uid-2", "3", &targets).await.restarted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn applying_the_workload_again_keeps_the_restart_annotation() {
    let cluster = cluster();
    let api: Api<Deployment> = Api::namespaced(cluster.client_named("user"), "shop");
    let params = PatchParams::apply("gitops").force();
    let patch = Patch::Apply(manifest("Deployment", "web", "web"));
    api.patch("web", &params, &patch).await.unwrap();
    let _ = bring(&cluster, "uid-1", "7", &[named(DEPLOYMENT, "web")]).await;
    let before = deployment(&cluster, "web");
    api.patch("web", &params, &patch).await.unwrap();
    assert_eq!(deployment(&cluster, "web"), before);
    assert_eq!(carried(&cluster, "web", "uid-1"), "7");
}

#[test]
fn an_annotation_is_one_keys_and_fits_into_kubernetes() {
    let name = annotation("0f4b8a3e-9f0e-4c55-9a55-1d3b1f6f2a10");
    let (prefix, rest) = name.split_once('/').unwrap();
    assert_eq!((prefix, rest.len()), ("keysmith.dev", "secret-".len() + 8));
    assert!(rest.bytes().all(|it| it.is_ascii_lowercase() || it == b'-' || it.is_ascii_digit()));
    assert_ne!(name, annotation("0f4b8a3e-9f0e-4c55-9a55-1d3b1f6f2a11"));
}

/// A controller hands its work to another thread.
#[test]
fn a_restart_can_be_awaited_on_any_thread() {
    fn sent<T: Send>(_: impl FnOnce(&'static kube::Client, &'static Restart<'static>) -> T) {}
    sent(restart);
}
