//! Create, update, merge patch, status.

use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::widgets::{cluster, make, object, refused, secret, secrets, version, widget, widgets, widgets_in};

#[tokio::test(start_paused = true)]
async fn a_new_object_gets_its_metadata_and_defaults_from_the_server() {
    let made = make(&widgets(&cluster().client()), "a", json!({ "size": 1 })).await;
    assert_eq!(made.metadata.generation, Some(1));
    assert_eq!(made.uid().unwrap().len(), 36);
    assert_eq!(made.creation_timestamp().unwrap().0.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(made.data["spec"]["colour"], "red");
    assert_eq!(made.data["status"], json!({ "observedGeneration": -1 }));
}

#[tokio::test(start_paused = true)]
async fn a_status_sent_with_a_new_object_is_ignored() {
    let mut sent = widget("a", json!({ "size": 1 }));
    sent.data["status"] = json!({ "phase": "Done" });
    let made = widgets(&cluster().client()).create(&PostParams::default(), &sent).await.unwrap();
    assert_eq!(made.data["status"], json!({ "observedGeneration": -1 }));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_taken_once_and_generated_ones_differ() {
    let widgets = widgets(&cluster().client());
    make(&widgets, "a", json!({ "size": 1 })).await;
    let again = refused(widgets.create(&PostParams::default(), &widget("a", json!({ "size": 1 }))).await);
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    let mut unnamed = widget("", json!({ "size": 1 }));
    unnamed.metadata.name = None;
    unnamed.metadata.generate_name = Some("w-".to_owned());
    let one = widgets.create(&PostParams::default(), &unnamed).await.unwrap().name_any();
    let other = widgets.create(&PostParams::default(), &unnamed).await.unwrap().name_any();
    assert!(one.starts_with("w-") && one.len() == 7 && one != other);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_created_in_a_missing_namespace() {
    let elsewhere = widgets_in(&cluster().client(), "nowhere");
    let status = refused(elsewhere.create(&PostParams::default(), &widget("a", json!({ "size": 1 }))).await);
    assert_eq!((status.code, status.message.as_str()), (404, "namespaces \"nowhere\" not found"));
}

#[tokio::test(start_paused = true)]
async fn a_version_on_a_new_object_is_refused() {
    let mut sent = widget("a", json!({ "size": 1 }));
    sent.metadata.resource_version = Some("7".to_owned());
    assert_eq!(refused(widgets(&cluster().client()).create(&PostParams::default(), &sent).await).code, 500);
}

#[tokio::test(start_paused = true)]
async fn an_update_of_an_older_version_is_a_conflict() {
    let widgets = widgets(&cluster().client());
    let mut first = make(&widgets, "a", json!({ "size": 1 })).await;
    first.data["spec"]["size"] = json!(2);
    let second = widgets.replace("a", &PostParams::default(), &first).await.unwrap();
    assert!(version(&second) > version(&first));
    let status = refused(widgets.replace("a", &PostParams::default(), &first).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert!(status.message.ends_with("please apply your changes to the latest version and try again"));
    first.metadata.resource_version = None;
    assert_eq!(refused(widgets.replace("a", &PostParams::default(), &first).await).code, 422);
    assert_eq!(
        refused(widgets.replace("b", &PostParams::default(), &widget("b", json!({}))).await).code,
        404
    );
}

#[tokio::test(start_paused = true)]
async fn secrets_may_be_updated_without_a_version_and_leases_created_by_a_put() {
    let client = cluster().client();
    secrets(&client).create(&PostParams::default(), &secret("s", "one")).await.unwrap();
    secrets(&client).replace("s", &PostParams::default(), &secret("s", "two")).await.unwrap();
    let leases: Api<Lease> = Api::default_namespaced(client);
    let lease: Lease = object(json!({ "metadata": { "name": "l", "resourceVersion": "" }, "spec": {} }));
    leases.replace("l", &PostParams::default(), &lease).await.unwrap();
    assert_eq!(refused(leases.replace("l", &PostParams::default(), &lease).await).code, 422);
}

#[tokio::test(start_paused = true)]
async fn a_version_or_uid_in_a_merge_patch_is_a_precondition() {
    let widgets = widgets(&cluster().client());
    let made = make(&widgets, "a", json!({ "size": 1 })).await;
    let patch = |metadata: serde_json::Value, size: i32| {
        Patch::Merge(json!({ "metadata": metadata, "spec": { "size": size } }))
    };
    let params = PatchParams::default();
    let seen = json!({ "resourceVersion": made.resource_version() });
    widgets.patch("a", &params, &patch(seen.clone(), 2)).await.unwrap();
    assert!(refused(widgets.patch("a", &params, &patch(seen, 3)).await).is_conflict());
    let wrong = json!({ "uid": "another" });
    assert!(refused(widgets.patch("a", &params, &patch(wrong, 3)).await).is_conflict());
    widgets.patch("a", &params, &patch(json!({}), 4)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_merge_patch_removes_with_null_and_replaces_lists() {
    let widgets = widgets(&cluster().client());
    make(&widgets, "a", json!({ "size": 1, "code": "ab", "tags": ["x", "y"] })).await;
    let patch = Patch::Merge(json!({ "spec": { "code": null, "tags": ["z"] } }));
    let patched = widgets.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data["spec"], json!({ "size": 1, "colour": "red", "tags": ["z"] }));
}

#[tokio::test(start_paused = true)]
async fn a_strategic_patch_is_for_builtin_kinds_and_merges_finalizers() {
    let client = cluster().client();
    let mut kept = secret("s", "x");
    kept.metadata.finalizers = Some(vec!["example.dev/one".to_owned()]);
    secrets(&client).create(&PostParams::default(), &kept).await.unwrap();
    let patch = Patch::Strategic(json!({ "metadata": { "finalizers": ["example.dev/two"] } }));
    let patched = secrets(&client).patch("s", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.finalizers(), ["example.dev/one", "example.dev/two"]);
    let widgets = widgets(&client);
    make(&widgets, "a", json!({ "size": 1 })).await;
    assert_eq!(refused(widgets.patch("a", &PatchParams::default(), &patch).await).code, 415);
}

#[tokio::test(start_paused = true)]
async fn the_main_endpoint_and_the_status_endpoint_keep_apart() {
    let widgets = widgets(&cluster().client());
    make(&widgets, "a", json!({ "size": 1 })).await;
    let both = Patch::Merge(json!({
        "metadata": { "labels": { "x": "y" } }, "spec": { "size": 2 }, "status": { "phase": "Done" },
    }));
    let main = widgets.patch("a", &PatchParams::default(), &both).await.unwrap();
    assert_eq!((&main.data["spec"]["size"], &main.data["status"]["phase"]), (&json!(2), &json!(null)));
    let both = Patch::Merge(json!({
        "metadata": { "labels": { "x": "z" } }, "spec": { "size": 3 }, "status": { "phase": "Done" },
    }));
    let status = widgets.patch_status("a", &PatchParams::default(), &both).await.unwrap();
    assert_eq!((&status.data["spec"]["size"], &status.data["status"]["phase"]), (&json!(2), &json!("Done")));
    assert_eq!(status.labels()["x"], "y");
    let stale = widgets.replace_status("a", &PostParams::default(), &main).await;
    assert!(refused(stale).is_conflict());
    let fresh = widgets.replace_status("a", &PostParams::default(), &status).await.unwrap();
    assert_eq!(version(&fresh), version(&status));
    let secrets = secrets(&cluster().client());
    assert_eq!(refused(secrets.patch_status("s", &PatchParams::default(), &both).await).code, 404);
}

#[tokio::test(start_paused = true)]
async fn the_generation_counts_changes_of_the_spec_only() {
    let widgets = widgets(&cluster().client());
    make(&widgets, "a", json!({ "size": 1 })).await;
    let params = PatchParams::default();
    let patch = |value| Patch::Merge(value);
    let labelled =
        widgets.patch("a", &params, &patch(json!({ "metadata": { "labels": { "x": "y" } } }))).await;
    assert_eq!(labelled.unwrap().metadata.generation, Some(1));
    let status = widgets.patch_status("a", &params, &patch(json!({ "status": { "phase": "x" } }))).await;
    assert_eq!(status.unwrap().metadata.generation, Some(1));
    let spec = widgets.patch("a", &params, &patch(json!({ "spec": { "size": 2 } }))).await;
    assert_eq!(spec.unwrap().metadata.generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_changes_nothing_is_no_change() {
    let cluster = cluster();
    let client = cluster.client_named("user");
    let widgets = widgets(&client);
    let made = make(&widgets, "a", json!({ "size": 1 })).await;
    let patch = Patch::Merge(json!({ "spec": { "size": 1 }, "metadata": { "finalizers": [] } }));
    let same = widgets.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(version(&same), version(&made));
    let written = cluster.writes("user");
    assert_eq!(
        written.iter().map(|r| (r.applied, r.changed)).collect::<Vec<_>>(),
        [(true, true), (true, false)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_answers_but_stores_nothing() {
    let cluster = cluster();
    let client = cluster.client();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let made: Secret = secrets(&client).create(&dry, &secret("s", "x")).await.unwrap();
    assert!(made.uid().is_some() && cluster.find("secrets", "default", "s").is_none());
    let widgets = widgets(&client);
    make(&widgets, "a", json!({ "size": 1 })).await;
    let patch = Patch::Merge(json!({ "spec": { "size": 5 } }));
    let shown = widgets.patch("a", &PatchParams::default().dry_run(), &patch).await.unwrap();
    assert_eq!(shown.data["spec"]["size"], 5);
    assert_eq!(cluster.find("widgets.example.dev", "default", "a").unwrap()["spec"]["size"], 1);
    assert!(!cluster.requests().last().unwrap().applied);
    let bad = Patch::Merge(json!({ "spec": { "size": 50 } }));
    assert!(refused(widgets.patch("a", &PatchParams::default().dry_run(), &bad).await).is_invalid());
}
