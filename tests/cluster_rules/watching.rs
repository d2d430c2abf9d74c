//! Watches, as kube sends them and as kube's watcher uses them.

use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, PartialObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use super::widgets::{Widgets, cluster, make, secret, secrets, widgets};
use crate::support::cluster::Cluster;

fn described<K: ResourceExt>(event: WatchEvent<K>) -> String {
    match event {
        WatchEvent::Added(object) => format!("ADDED {}", object.name_any()),
        WatchEvent::Modified(object) => format!("MODIFIED {}", object.name_any()),
        WatchEvent::Deleted(object) => format!("DELETED {}", object.name_any()),
        WatchEvent::Bookmark(mark) if mark.metadata.annotations.is_empty() => "BOOKMARK".to_owned(),
        WatchEvent::Bookmark(_) => "INITIAL END".to_owned(),
        WatchEvent::Error(status) => format!("ERROR {} {}", status.code, status.reason),
    }
}

async fn watch(api: &Widgets, params: &WatchParams, version: &str) -> Vec<String> {
    let stream = api.watch(params, version).await.unwrap();
    stream.map_ok(described).try_collect().await.unwrap()
}

async fn label(api: &Widgets, name: &str, labels: serde_json::Value) {
    let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_from_its_version_and_ends_at_its_timeout_with_a_bookmark() {
    let widgets = widgets(&cluster().client());
    let from = make(&widgets, "a", json!({ "size": 1 })).await.resource_version().unwrap();
    make(&widgets, "b", json!({ "size": 1 })).await;
    let start = Instant::now();
    let work = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        label(&widgets, "b", json!({ "x": "y" })).await;
        widgets.delete("a", &DeleteParams::default()).await.unwrap();
    };
    let params = WatchParams::default().timeout(20);
    let (events, ()) = tokio::join!(watch(&widgets, &params, &from), work);
    assert_eq!(events, ["ADDED b", "MODIFIED b", "DELETED a", "BOOKMARK"]);
    assert_eq!(start.elapsed().as_secs(), 20);
    let unmarked = WatchParams::default().timeout(20).disable_bookmarks();
    assert_eq!(watch(&widgets, &unmarked, "0").await, ["ADDED b"]);
}

#[tokio::test(start_paused = true)]
async fn through_a_selector_objects_come_and_go() {
    let widgets = widgets(&cluster().client());
    let from = make(&widgets, "a", json!({ "size": 1 })).await.resource_version().unwrap();
    label(&widgets, "a", json!({ "on": "yes" })).await;
    label(&widgets, "a", json!({ "on": "yes", "more": "x" })).await;
    label(&widgets, "a", json!({ "on": null })).await;
    let params = WatchParams::default().timeout(5).disable_bookmarks();
    let by_label = watch(&widgets, &params.clone().labels("on"), &from).await;
    assert_eq!(by_label, ["ADDED a", "MODIFIED a", "DELETED a"]);
    assert!(watch(&widgets, &params.fields("metadata.name=b"), &from).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_version_is_an_error_event_inside_the_stream() {
    let cluster = cluster();
    let widgets = widgets(&cluster.client());
    let from = make(&widgets, "a", json!({ "size": 1 })).await.resource_version().unwrap();
    cluster.expire_history();
    assert_eq!(watch(&widgets, &WatchParams::default(), &from).await, ["ERROR 410 Expired"]);
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_ends_its_initial_events_with_a_bookmark() {
    let widgets = widgets(&cluster().client());
    make(&widgets, "a", json!({ "size": 1 })).await;
    let params = WatchParams::default().timeout(5).initial_events();
    assert_eq!(watch(&widgets, &params, "0").await, ["ADDED a", "INITIAL END", "BOOKMARK"]);
}

#[tokio::test(start_paused = true)]
async fn a_metadata_watch_hides_the_data() {
    let client = cluster().client();
    secrets(&client).create(&PostParams::default(), &secret("s", "hidden")).await.unwrap();
    let metadata: Api<PartialObjectMeta<Secret>> = Api::default_namespaced(client.clone());
    let stream = metadata.watch(&WatchParams::default().timeout(5), "0").await.unwrap();
    let events: Vec<_> = stream.map_ok(described).try_collect().await.unwrap();
    assert_eq!(events, ["ADDED s", "BOOKMARK"]);
}

/// The name in the next event; the watcher recovers from errors by itself.
async fn next_name(stream: &mut (impl Stream<Item = watcher::Result<impl ResourceExt>> + Unpin)) -> String {
    loop {
        let next = tokio::time::timeout(Duration::from_hours(24), stream.next()).await;
        if let Ok(object) = next.expect("an event comes").expect("a watcher never ends") {
            return object.name_any();
        }
    }
}

/// Runs kube's own watcher over the widgets, calls `disturb`, and expects an event for a later widget.
async fn survives(disturb: impl AsyncFnOnce(&Cluster)) {
    let cluster = cluster();
    let widgets = widgets(&cluster.client());
    make(&widgets, "a", json!({ "size": 1 })).await;
    let watched = super::widgets::widgets(&cluster.client_named("watcher"));
    let mut seen = watcher(watched, watcher::Config::default()).default_backoff().touched_objects().boxed();
    assert_eq!(next_name(&mut seen).await, "a");
    let widgets = widgets.clone();
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        disturb(&cluster).await;
        make(&widgets, "b", json!({ "size": 1 })).await;
    };
    let watching = async { while next_name(&mut seen).await != "b" {} };
    tokio::join!(watching, later);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_survives_the_end_of_its_watch() {
    survives(async |cluster| cluster.stop_watches()).await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_survives_lost_history() {
    survives(async |cluster| {
        cluster.expire_history();
        cluster.stop_watches();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_survives_hours_of_silence() {
    survives(async |_| tokio::time::sleep(Duration::from_hours(4)).await).await;
}

#[tokio::test(start_paused = true)]
async fn events_come_after_the_answer_to_the_write() {
    let cluster = cluster();
    let widgets = widgets(&cluster.client());
    let stream = widgets.watch(&WatchParams::default(), "0").await.unwrap();
    let seen = async {
        let mut stream = stream.boxed();
        stream.try_next().await.unwrap();
        Instant::now()
    };
    let written = async {
        make(&widgets, "a", json!({ "size": 1 })).await;
        Instant::now()
    };
    let (seen, written) = tokio::join!(seen, written);
    assert!(seen > written);
}
