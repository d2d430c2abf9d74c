//! Get, list, discovery.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ListParams, PartialObjectMeta, Patch, PatchParams, PostParams, VersionMatch};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::widgets::{cluster, make, object, refused, secret, secrets, widgets, widgets_in};

fn names<T: ResourceExt>(list: impl IntoIterator<Item = T>) -> Vec<String> {
    list.into_iter().map(|object| object.name_any()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_starts_with_its_own_namespaces_and_an_identity() {
    let namespaces: Api<Namespace> = Api::all(cluster().client());
    assert_eq!(names(namespaces.list(&ListParams::default()).await.unwrap()), ["default", "kube-system"]);
    assert!(namespaces.get("kube-system").await.unwrap().uid().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_a_404_that_names_it() {
    let status = refused(secrets(&cluster().client()).get("nothing").await);
    assert_eq!((status.code, status.reason.as_str()), (404, "NotFound"));
    assert_eq!(status.message, "secrets \"nothing\" not found");
    assert_eq!(status.details.unwrap().kind, "secrets");
}

#[tokio::test(start_paused = true)]
async fn lists_are_chosen_by_label_and_by_field() {
    let widgets = widgets(&cluster().client());
    for (name, labels, colour) in [
        ("a", json!({ "tier": "web" }), "red"),
        ("b", json!({ "tier": "db", "old": "" }), "green"),
        ("c", json!({}), "green"),
    ] {
        let value = json!({
            "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": { "name": name, "labels": labels },
            "spec": { "size": 1, "colour": colour },
        });
        widgets.create(&PostParams::default(), &object(value)).await.unwrap();
    }
    for (selector, expected) in [
        ("tier=web", vec!["a"]),
        ("tier", vec!["a", "b"]),
        ("!tier", vec!["c"]),
        ("tier in (web,db),old", vec!["b"]),
        ("tier notin (web)", vec!["b", "c"]),
        ("tier!=web", vec!["b", "c"]),
    ] {
        let list = widgets.list(&ListParams::default().labels(selector)).await.unwrap();
        assert_eq!(names(list), expected, "{selector}");
    }
    for (selector, expected) in [
        ("metadata.name=b", vec!["b"]),
        ("spec.colour=green", vec!["b", "c"]),
        ("spec.colour!=green,metadata.namespace=default", vec!["a"]),
    ] {
        let list = widgets.list(&ListParams::default().fields(selector)).await.unwrap();
        assert_eq!(names(list), expected, "{selector}");
    }
    let status = refused(widgets.list(&ListParams::default().fields("spec.size=1")).await);
    assert_eq!((status.code, status.message.as_str()), (400, "field label not supported: spec.size"));
}

#[tokio::test(start_paused = true)]
async fn a_paged_list_is_of_one_moment() {
    let cluster = cluster();
    let widgets = widgets(&cluster.client());
    for name in ["a", "b", "c"] {
        make(&widgets, name, json!({ "size": 1 })).await;
    }
    let first = widgets.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(1));
    make(&widgets, "d", json!({ "size": 1 })).await;
    let token = first.metadata.continue_.clone().unwrap();
    let second = widgets.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!(names(second.items), ["c"]);
    assert_eq!(first.metadata.resource_version, second.metadata.resource_version);
    cluster.expire_history();
    assert_eq!(refused(widgets.list(&ListParams::default().continue_token(&token)).await).code, 410);
}

#[tokio::test(start_paused = true)]
async fn a_list_may_be_of_the_past_but_not_of_the_future() {
    let widgets = widgets(&cluster().client());
    let then = make(&widgets, "a", json!({ "size": 1 })).await.resource_version().unwrap();
    make(&widgets, "b", json!({ "size": 1 })).await;
    let exact = ListParams::default().at(&then).matching(VersionMatch::Exact);
    assert_eq!(names(widgets.list(&exact).await.unwrap()), ["a"]);
    let future = ListParams::default().at("999999").matching(VersionMatch::NotOlderThan);
    assert_eq!(refused(widgets.list(&future).await).code, 504);
}

#[tokio::test(start_paused = true)]
async fn a_namespaced_list_sees_its_namespace_and_an_all_list_sees_all() {
    let cluster = cluster();
    cluster.add_namespace("team");
    let client = cluster.client();
    make(&widgets(&client), "a", json!({ "size": 1 })).await;
    make(&widgets_in(&client, "team"), "b", json!({ "size": 1 })).await;
    assert_eq!(names(widgets_in(&client, "team").list(&ListParams::default()).await.unwrap()), ["b"]);
    secrets(&client).create(&PostParams::default(), &secret("s", "x")).await.unwrap();
    let all: Api<Secret> = Api::all(client);
    assert_eq!(names(all.list(&ListParams::default()).await.unwrap()), ["s"]);
}

#[tokio::test(start_paused = true)]
async fn metadata_only_requests_never_carry_the_data() {
    let client = cluster().client();
    secrets(&client).create(&PostParams::default(), &secret("s", "hidden")).await.unwrap();
    let metadata: Api<PartialObjectMeta<Secret>> = Api::default_namespaced(client.clone());
    assert_eq!(metadata.get("s").await.unwrap().types.unwrap().kind, "PartialObjectMetadata");
    assert_eq!(names(metadata.list(&ListParams::default()).await.unwrap()), ["s"]);
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
    let patched = secrets(&client).patch_metadata("s", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.labels()["a"], "b");
    let request = http::Request::get("/api/v1/namespaces/default/secrets")
        .header("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    let text = client.request_text(request.body(Vec::new()).unwrap()).await.unwrap();
    assert!(!text.contains("\"data\""), "{text}");
}

#[tokio::test(start_paused = true)]
async fn discovery_lists_what_is_served() {
    let client = cluster().client();
    assert_eq!(client.apiserver_version().await.unwrap().major, "1");
    let groups = client.list_api_groups().await.unwrap().groups;
    assert!(groups.iter().any(|group| group.name == "example.dev"));
    let resources = client.list_api_group_resources("example.dev/v1").await.unwrap().resources;
    assert_eq!(resources.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["widgets", "widgets/status"]);
    assert_eq!(client.list_core_api_versions().await.unwrap().versions, ["v1"]);
    let core = client.list_core_api_resources("v1").await.unwrap().resources;
    assert!(core.iter().any(|r| r.name == "secrets" && r.namespaced));
    kube::Discovery::new(client).run().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_group_is_plain_text_and_an_unknown_resource_is_a_status() {
    let client = cluster().client();
    let get = |path: &str| client.request_text(http::Request::get(path).body(Vec::new()).unwrap());
    let status = refused(get("/apis/none.dev/v1/things").await);
    assert_eq!((status.code, status.message.as_str()), (404, "404 page not found"));
    let status = refused(get("/apis/example.dev/v1/things").await);
    assert_eq!((status.code, status.reason.as_str()), (404, "NotFound"));
    assert_eq!(get("/readyz").await.unwrap(), "ok");
}
