//! Deletion, finalizers, garbage collection, namespaces.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
    Preconditions,
};
use kube::runtime::controller::Action;
use kube::runtime::finalizer::{Event, finalizer};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::widgets::{
    Widgets, cluster, make, object, refused, secret, secrets, version, widget, widget_crd, widgets,
    widgets_in,
};
use crate::support::cluster::Cluster;

async fn set_finalizers(api: &Widgets, name: &str, finalizers: Value) -> kube::Result<DynamicObject> {
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
    api.patch(name, &PatchParams::default(), &patch).await
}

fn owned_by_widget(owner: &DynamicObject, name: &str) -> Secret {
    let mut child = secret(name, "x");
    child.metadata.owner_references = object(json!([{
        "apiVersion": "example.dev/v1", "kind": "Widget", "name": owner.name_any(), "uid": owner.uid(), "controller": true,
    }]));
    child
}

fn has_secret(cluster: &Cluster, name: &str) -> bool {
    cluster.find("secrets", "default", name).is_some()
}

#[tokio::test(start_paused = true)]
async fn a_deletion_without_finalizers_removes_at_once() {
    let widgets = widgets(&cluster().client());
    let made = make(&widgets, "a", json!({ "size": 1 })).await;
    let status = widgets.delete("a", &DeleteParams::default()).await.unwrap().right().expect("it is gone");
    assert!(status.is_success());
    assert_eq!(status.details.unwrap().uid, made.uid().unwrap());
    assert_eq!(refused(widgets.get("a").await).code, 404);
    assert_eq!(refused(widgets.delete("a", &DeleteParams::default()).await).code, 404);
}

#[tokio::test(start_paused = true)]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let widgets = widgets(&cluster().client());
    make(&widgets, "a", json!({ "size": 1 })).await;
    set_finalizers(&widgets, "a", json!(["x.dev/one", "x.dev/two"])).await.unwrap();
    let marked = widgets.delete("a", &DeleteParams::default()).await.unwrap().left().expect("it is held");
    assert!(marked.metadata.deletion_timestamp.is_some());
    assert_eq!(marked.metadata.generation, Some(2));
    let again = widgets.delete("a", &DeleteParams::default()).await.unwrap().left().expect("it is held");
    assert_eq!(version(&again), version(&marked));
    assert!(refused(set_finalizers(&widgets, "a", json!(["x.dev/one", "x.dev/new"])).await).is_invalid());
    set_finalizers(&widgets, "a", json!(["x.dev/two"])).await.unwrap();
    set_finalizers(&widgets, "a", json!(null)).await.unwrap();
    assert_eq!(refused(widgets.get("a").await).code, 404);
}

#[tokio::test(start_paused = true)]
async fn kubes_own_finalizer_helper_works() {
    let widgets = widgets(&cluster().client());
    let handle = async |seen: Option<&str>| {
        let object = Arc::new(widgets.get("a").await.unwrap());
        let mut called = None;
        finalizer(&widgets, "x.dev/one", object, async |event| {
            called = Some(if matches!(event, Event::Apply(_)) { "apply" } else { "cleanup" });
            Ok::<_, Infallible>(Action::await_change())
        })
        .await
        .unwrap();
        assert_eq!(called, seen);
    };
    make(&widgets, "a", json!({ "size": 1 })).await;
    handle(None).await;
    assert_eq!(widgets.get("a").await.unwrap().finalizers(), ["x.dev/one"]);
    handle(Some("apply")).await;
    widgets.delete("a", &DeleteParams::default()).await.unwrap();
    handle(Some("cleanup")).await;
    assert_eq!(refused(widgets.get("a").await).code, 404);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_keeps_to_its_preconditions() {
    let widgets = widgets(&cluster().client());
    let made = make(&widgets, "a", json!({ "size": 1 })).await;
    let only = |uid: &str| DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        ..DeleteParams::default()
    };
    assert!(refused(widgets.delete("a", &only("another")).await).is_conflict());
    widgets.delete("a", &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.unwrap();
    widgets.delete("a", &only(&made.uid().unwrap())).await.unwrap();
    assert_eq!(refused(widgets.delete("a", &DeleteParams::foreground()).await).code, 404);
    make(&widgets, "b", json!({ "size": 1 })).await;
    assert_eq!(refused(widgets.delete("b", &DeleteParams::foreground()).await).code, 400);
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_deleted_by_selector() {
    let secrets = secrets(&cluster().client());
    for name in ["a", "b"] {
        secrets.create(&PostParams::default(), &secret(name, "x")).await.unwrap();
    }
    let chosen = ListParams::default().fields("metadata.name=a");
    secrets.delete_collection(&DeleteParams::default(), &chosen).await.unwrap();
    let left = secrets.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn children_follow_their_owner() {
    let cluster = cluster();
    let client = cluster.client();
    let (widgets, secrets) = (widgets(&client), secrets(&client));
    let owner = make(&widgets, "a", json!({ "size": 1 })).await;
    secrets.create(&PostParams::default(), &owned_by_widget(&owner, "child")).await.unwrap();
    secrets.create(&PostParams::default(), &secret("free", "x")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(has_secret(&cluster, "child"));
    widgets.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(has_secret(&cluster, "child"), "the collector comes a little later");
    sleep(Duration::from_secs(1)).await;
    assert!(!has_secret(&cluster, "child") && has_secret(&cluster, "free"));
    let last = cluster.requests().pop().unwrap();
    assert_eq!((last.actor.as_str(), last.verb.as_str()), ("garbage-collector", "delete"));
}

#[tokio::test(start_paused = true)]
async fn a_recreated_owner_is_another_owner() {
    let cluster = cluster();
    let client = cluster.client();
    let (widgets, secrets) = (widgets(&client), secrets(&client));
    let first = make(&widgets, "a", json!({ "size": 1 })).await;
    widgets.delete("a", &DeleteParams::default()).await.unwrap();
    make(&widgets, "a", json!({ "size": 1 })).await;
    secrets.create(&PostParams::default(), &owned_by_widget(&first, "child")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(!has_secret(&cluster, "child"));
}

#[tokio::test(start_paused = true)]
async fn an_owner_in_another_namespace_is_no_owner() {
    let cluster = cluster();
    cluster.add_namespace("team");
    let client = cluster.client();
    let owner = make(&widgets_in(&client, "team"), "a", json!({ "size": 1 })).await;
    secrets(&client).create(&PostParams::default(), &owned_by_widget(&owner, "child")).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(!has_secret(&cluster, "child"));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_scoped_owner_may_have_children_in_any_namespace() {
    let cluster = cluster();
    let mut crd = widget_crd();
    crd["metadata"]["name"] = json!("gadgets.example.dev");
    crd["spec"]["scope"] = json!("Cluster");
    crd["spec"]["names"] = json!({ "plural": "gadgets", "singular": "gadget", "kind": "Gadget" });
    cluster.install(crd);
    let client = cluster.client();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v1", "Gadget"));
    let gadgets: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let sent = json!({
        "apiVersion": "example.dev/v1", "kind": "Gadget", "spec": { "size": 1 },
        "metadata": { "name": "a", "namespace": "default" },
    });
    let made = gadgets.create(&PostParams::default(), &object(sent)).await.unwrap();
    assert_eq!(made.namespace(), None);
    let mut child = owned_by_widget(&made, "child");
    child.metadata.owner_references.as_mut().unwrap()[0].kind = "Gadget".to_owned();
    secrets(&client).create(&PostParams::default(), &child).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(has_secret(&cluster, "child"));
    gadgets.delete("a", &DeleteParams::default()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert!(!has_secret(&cluster, "child"));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_is_terminating_until_all_in_it_is_gone() {
    let cluster = cluster();
    cluster.add_namespace("team");
    let client = cluster.client();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let (widgets, secrets) = (widgets_in(&client, "team"), Api::<Secret>::namespaced(client.clone(), "team"));
    make(&widgets, "a", json!({ "size": 1 })).await;
    set_finalizers(&widgets, "a", json!(["x.dev/one"])).await.unwrap();
    secrets.create(&PostParams::default(), &secret("s", "x")).await.unwrap();
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(namespaces.get("team").await.unwrap().status.unwrap().phase.as_deref(), Some("Terminating"));
    assert_eq!(refused(secrets.get("s").await).code, 404);
    assert!(widgets.get("a").await.unwrap().metadata.deletion_timestamp.is_some());
    let status = refused(widgets.create(&PostParams::default(), &widget("b", json!({ "size": 1 }))).await);
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert_eq!(status.details.unwrap().causes[0].reason, "NamespaceTerminating");
    set_finalizers(&widgets, "a", json!(null)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(refused(namespaces.get("team").await).code, 404);
    assert_eq!(refused(namespaces.delete("default", &DeleteParams::default()).await).code, 403);
}
