//! Names, metadata, schemas, events.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder};
use serde_json::{Value, json};

use super::widgets::{cluster, make, object, refused, widget, widget_crd, widgets};

/// The paths in the refusal of a spec.
async fn faults_of(spec: Value) -> Vec<String> {
    let result = widgets(&cluster().client()).create(&PostParams::default(), &widget("a", spec)).await;
    let status = refused(result);
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    status.details.unwrap().causes.into_iter().map(|cause| cause.field).collect()
}

#[tokio::test(start_paused = true)]
async fn a_spec_is_held_to_its_schema() {
    for (spec, path) in [
        (json!({}), "spec.size"),
        (json!({ "size": "one" }), "spec.size"),
        (json!({ "size": 0 }), "spec.size"),
        (json!({ "size": 11 }), "spec.size"),
        (json!({ "size": 1, "colour": "blue" }), "spec.colour"),
        (json!({ "size": 1, "code": "UP" }), "spec.code"),
        (json!({ "size": 1, "code": "a" }), "spec.code"),
        (json!({ "size": 1, "code": "abcde" }), "spec.code"),
        (json!({ "size": 1, "limits": { "a": 1, "b": 2, "c": 3 } }), "spec.limits"),
        (json!({ "size": 1, "limits": { "a": "b" } }), "spec.limits.a"),
        (json!({ "size": 1, "tags": ["a", "b", "c", "d"] }), "spec.tags"),
        (json!({ "size": 1, "tags": ["a", "a"] }), "spec.tags[1]"),
    ] {
        assert_eq!(faults_of(spec.clone()).await, [path], "{spec}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_kind_object_and_path() {
    let result = widgets(&cluster().client()).create(&PostParams::default(), &widget("a", json!({}))).await;
    assert_eq!(refused(result).message, "Widget.example.dev \"a\" is invalid: spec.size: Required value");
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_pruned_unless_the_schema_keeps_them() {
    let spec = json!({ "size": 1, "typo": 1, "free": { "any": { "thing": 1 } }, "limits": { "a": 1 }, "code": null });
    let made = make(&widgets(&cluster().client()), "a", spec).await;
    let kept = json!({ "size": 1, "colour": "red", "free": { "any": { "thing": 1 } }, "limits": { "a": 1 } });
    assert_eq!(made.data["spec"], kept);
}

#[tokio::test(start_paused = true)]
async fn a_tightened_schema_tolerates_what_has_not_changed() {
    let cluster = cluster();
    let widgets = widgets(&cluster.client());
    make(&widgets, "a", json!({ "size": 9 })).await;
    let mut crd = widget_crd();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"]["maximum"] =
        json!(5);
    cluster.install(crd);
    let params = PatchParams::default();
    widgets.patch("a", &params, &Patch::Merge(json!({ "spec": { "code": "ab" } }))).await.unwrap();
    assert!(
        refused(widgets.patch("a", &params, &Patch::Merge(json!({ "spec": { "size": 8 } }))).await)
            .is_invalid()
    );
}

#[tokio::test(start_paused = true)]
async fn an_unchecked_object_is_stored_as_it_is() {
    let cluster = cluster();
    let stored = cluster.store_unchecked(json!({
        "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": { "name": "odd" }, "spec": { "size": "huge" },
    }));
    assert!(stored["metadata"]["uid"].is_string());
    assert_eq!(widgets(&cluster.client()).get("odd").await.unwrap().data["spec"]["size"], "huge");
}

#[tokio::test(start_paused = true)]
async fn names_and_metadata_are_checked() {
    let widgets = widgets(&cluster().client());
    for (metadata, path) in [
        (json!({ "name": "Upper" }), "metadata.name"),
        (json!({ "name": "a".repeat(254) }), "metadata.name"),
        (json!({ "generateName": "end-.-" }), "metadata.name"),
        (json!({ "name": "a", "labels": { "k": "no spaces" } }), "metadata.labels"),
        (json!({ "name": "a", "labels": { "-k": "v" } }), "metadata.labels"),
        (json!({ "name": "a", "annotations": { "a": "x".repeat(300_000) } }), "metadata.annotations"),
        (json!({ "name": "a", "finalizers": ["not one"] }), "metadata.finalizers"),
        (
            json!({ "name": "a", "ownerReferences": [{ "apiVersion": "v1", "kind": "Secret", "name": "s", "uid": "" }] }),
            "metadata.ownerReferences[0].uid",
        ),
    ] {
        let sent = json!({ "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": metadata, "spec": { "size": 1 } });
        let status = refused(widgets.create(&PostParams::default(), &object(sent)).await);
        assert_eq!(status.code, 422);
        assert_eq!(status.details.unwrap().causes[0].field, path);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_must_agree_with_its_address() {
    let widgets = widgets(&cluster().client());
    let mut sent = widget("a", json!({ "size": 1 }));
    sent.metadata.namespace = Some("elsewhere".to_owned());
    assert_eq!(refused(widgets.create(&PostParams::default(), &sent).await).code, 400);
    make(&widgets, "a", json!({ "size": 1 })).await;
    let rename = Patch::Merge(json!({ "metadata": { "name": "b" } }));
    assert_eq!(refused(widgets.patch("a", &PatchParams::default(), &rename).await).code, 400);
}

#[tokio::test(start_paused = true)]
async fn events_are_recorded_and_held_to_their_rules() {
    let cluster = cluster();
    let recorder = Recorder::new(cluster.client_named("operator"), "keysmith".into());
    let event = |note: &str| Event {
        type_: EventType::Normal,
        reason: "Made".to_owned(),
        note: Some(note.to_owned()),
        action: "Make".to_owned(),
        secondary: None,
    };
    let about: ObjectReference = object(json!({ "kind": "Widget", "name": "a", "namespace": "default" }));
    recorder.publish(&event("first"), &about).await.unwrap();
    recorder.publish(&event("first"), &about).await.unwrap();
    let stored = &cluster.dump()["events.events.k8s.io"];
    assert_eq!((stored[0]["note"].as_str(), stored[0]["series"]["count"].as_i64()), (Some("first"), Some(2)));
    assert!(cluster.writes("operator").is_empty());
    let other = Event { reason: "Other".to_owned(), ..event(&"x".repeat(1025)) };
    assert!(refused(recorder.publish(&other, &about).await).is_invalid());
}
