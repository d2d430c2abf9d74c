//! Faults: the result for the client, and the effect at the server.

use std::time::Duration;

use futures::StreamExt;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::widgets::{cluster, make, refused, secret, secrets, widgets};
use crate::support::cluster::{Cluster, Effect, Request, Rule};

/// Creates a Secret while `effect` is in force for secrets.
async fn create_under(effect: Effect) -> (kube::Result<()>, Cluster) {
    let cluster = cluster();
    cluster.fault(Rule { resource: "secrets".to_owned(), ..Rule::next(effect) });
    let result =
        secrets(&cluster.client_named("operator")).create(&PostParams::default(), &secret("s", "x")).await;
    (result.map(drop), cluster)
}

fn stored(cluster: &Cluster) -> bool {
    cluster.find("secrets", "default", "s").is_some()
}

fn only(cluster: &Cluster) -> Request {
    let mut writes = cluster.writes("operator");
    assert_eq!(writes.len(), 1);
    writes.remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_applied() {
    let (result, cluster) =
        create_under(Effect::Status { code: 429, reason: "TooManyRequests".to_owned() }).await;
    let status = refused(result);
    assert_eq!((status.code, status.details.unwrap().retry_after_seconds), (429, 1));
    assert!(!stored(&cluster));
    assert_eq!((only(&cluster).status, only(&cluster).applied), (429, false));
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_break_before_or_after() {
    let (result, cluster) = create_under(Effect::DropBefore).await;
    assert!(matches!(result, Err(kube::Error::Service(_))));
    assert!(!stored(&cluster) && !only(&cluster).applied);
    let (result, cluster) = create_under(Effect::DropAfter).await;
    assert!(matches!(result, Err(kube::Error::Service(_))));
    assert!(stored(&cluster) && only(&cluster).applied);
    assert_eq!(only(&cluster).status, 0);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_may_be_answered_though_the_write_was_applied() {
    let (result, cluster) = create_under(Effect::AppliedStatus { code: 504 }).await;
    assert_eq!(refused(result).code, 504);
    assert!(stored(&cluster) && only(&cluster).applied);
}

#[tokio::test(start_paused = true)]
async fn requests_may_be_late_or_never_answered() {
    let start = Instant::now();
    create_under(Effect::Delay(Duration::from_secs(30))).await.0.unwrap();
    assert_eq!(start.elapsed().as_secs(), 30);
    create_under(Effect::DelayAnswer(Duration::from_secs(30))).await.0.unwrap();
    assert_eq!(start.elapsed().as_secs(), 60);
    timeout(Duration::from_hours(1), create_under(Effect::Hang)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_request_is_carried_out_though_its_client_has_gone() {
    let cluster = cluster();
    cluster.fault(Rule::next(Effect::Delay(Duration::from_secs(90))));
    let secrets = secrets(&cluster.client());
    let (params, sent) = (PostParams::default(), secret("s", "x"));
    let create = secrets.create(&params, &sent);
    timeout(Duration::from_secs(10), create).await.unwrap_err();
    assert!(!stored(&cluster));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(stored(&cluster));
}

#[tokio::test(start_paused = true)]
async fn a_rule_names_actor_verb_resource_and_name_and_counts() {
    let cluster = cluster();
    let (operator, user) = (cluster.client_named("operator"), cluster.client_named("user"));
    cluster.fault(Rule {
        actor: "operator".to_owned(),
        verb: "patch".to_owned(),
        resource: "widgets/status".to_owned(),
        name_contains: "a".to_owned(),
        skip: 1,
        times: 2,
        effect: Effect::Status { code: 503, reason: "ServiceUnavailable".to_owned() },
    });
    make(&widgets(&user), "a", json!({ "size": 1 })).await;
    let patched = async |client: &Client, phase: usize| {
        let patch = Patch::Merge(json!({ "status": { "phase": phase.to_string() } }));
        widgets(client).patch_status("a", &PatchParams::default(), &patch).await.is_ok()
    };
    let mut outcomes = Vec::new();
    for round in 0..4 {
        assert!(patched(&user, round).await);
        outcomes.push(patched(&operator, round).await);
    }
    assert_eq!(outcomes, [true, false, false, true]);
    assert_eq!(cluster.pending_faults(), 0);
}

#[tokio::test(start_paused = true)]
async fn cleared_faults_are_gone() {
    let cluster = cluster();
    cluster.fault(Rule { times: usize::MAX, ..Rule::next(Effect::DropBefore) });
    assert!(secrets(&cluster.client()).get("s").await.is_err_and(|e| matches!(e, kube::Error::Service(_))));
    cluster.clear_faults();
    assert_eq!(refused(secrets(&cluster.client()).get("s").await).code, 404);
}

/// The names that the watcher of `operator` reports within an hour, each with its time.
async fn seen(cluster: &Cluster) -> Vec<(String, u64)> {
    let start = Instant::now();
    let api = widgets(&cluster.client_named("operator"));
    let events = watcher(api, watcher::Config::default()).default_backoff().touched_objects();
    let events = events.filter_map(async |event| Some((event.ok()?.name_any(), start.elapsed().as_secs())));
    events.take_until(tokio::time::sleep(Duration::from_hours(1))).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_hidden_event_is_learnt_of_at_the_next_list() {
    let cluster = cluster();
    cluster.fault(Rule { actor: "operator".to_owned(), ..Rule::next(Effect::DropWatchEvent) });
    let user = widgets(&cluster.client_named("user"));
    let work = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        make(&user, "hidden", json!({ "size": 1 })).await;
        make(&user, "seen", json!({ "size": 1 })).await;
        tokio::time::sleep(Duration::from_secs(1000)).await;
        cluster.expire_history();
        cluster.stop_watches();
    };
    let (seen, ()) = tokio::join!(seen(&cluster), work);
    assert_eq!(seen[0], ("seen".to_owned(), 10));
    assert!(seen[1..].iter().any(|(name, at)| name == "hidden" && *at >= 1010), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_left_by_the_clients_own_timer() {
    let cluster = cluster();
    let rule = Rule { actor: "operator".to_owned(), verb: "watch".to_owned(), ..Rule::next(Effect::Silence) };
    cluster.fault(rule);
    let user = widgets(&cluster.client_named("user"));
    let work = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        make(&user, "late", json!({ "size": 1 })).await;
    };
    let (seen, ()) = tokio::join!(seen(&cluster), work);
    assert_eq!(seen, [("late".to_owned(), 295)]);
}
