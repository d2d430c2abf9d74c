//! Server-side apply.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::widgets::{Widgets, cluster, make, object, refused, secrets, version, widgets};

fn body(metadata: &Value, spec: Value) -> Patch<Value> {
    let mut body = json!({ "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": metadata });
    if !spec.is_null() {
        body["spec"] = spec;
    }
    Patch::Apply(body)
}

async fn apply(api: &Widgets, manager: &str, spec: Value) -> kube::Result<DynamicObject> {
    api.patch("a", &PatchParams::apply(manager), &body(&json!({ "name": "a" }), spec)).await
}

async fn force(api: &Widgets, manager: &str, spec: Value) -> DynamicObject {
    api.patch("a", &PatchParams::apply(manager).force(), &body(&json!({ "name": "a" }), spec)).await.unwrap()
}

async fn apply_status(api: &Widgets, manager: &str, status: Value) -> DynamicObject {
    let body = json!({ "apiVersion": "example.dev/v1", "kind": "Widget", "status": status });
    api.patch_status("a", &PatchParams::apply(manager).force(), &Patch::Apply(body)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_apply_creates_and_the_same_again_changes_nothing() {
    let widgets = widgets(&cluster().client());
    let made = apply(&widgets, "m", json!({ "size": 1, "inner": { "a": "x" } })).await.unwrap();
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    let same = apply(&widgets, "m", json!({ "size": 1, "inner": { "a": "x" } })).await.unwrap();
    assert_eq!(version(&same), version(&made));
    let managed = &made.managed_fields()[0];
    assert_eq!((managed.manager.as_deref(), managed.operation.as_deref()), (Some("m"), Some("Apply")));
    assert_eq!(managed.fields_v1.as_ref().unwrap().0["f:spec"]["f:inner"], json!({ "f:a": {} }));
}

#[tokio::test(start_paused = true)]
async fn a_field_that_a_manager_no_longer_applies_is_removed_unless_another_owns_it() {
    let widgets = widgets(&cluster().client());
    apply(&widgets, "one", json!({ "size": 1, "code": "ab", "inner": { "a": "x" }, "tags": ["t", "u"] }))
        .await
        .unwrap();
    apply(&widgets, "two", json!({ "size": 1, "code": "ab", "tags": ["u", "v"] })).await.unwrap();
    let left = apply(&widgets, "one", json!({ "size": 1 })).await.unwrap();
    assert_eq!(left.data["spec"], json!({ "size": 1, "colour": "red", "code": "ab", "tags": ["u", "v"] }));
}

#[tokio::test(start_paused = true)]
async fn a_field_changed_by_an_update_is_not_removed_by_the_next_apply() {
    let widgets = widgets(&cluster().client());
    apply(&widgets, "m", json!({ "size": 1, "code": "ab", "inner": { "a": "x" } })).await.unwrap();
    let patch = Patch::Merge(json!({ "spec": { "code": "cd" } }));
    widgets.patch("a", &PatchParams::default(), &patch).await.unwrap();
    let left = apply(&widgets, "m", json!({ "size": 1 })).await.unwrap();
    assert_eq!(left.data["spec"], json!({ "size": 1, "colour": "red", "code": "cd" }));
}

#[tokio::test(start_paused = true)]
async fn another_managers_field_is_a_conflict_without_force() {
    let widgets = widgets(&cluster().client());
    apply(&widgets, "one", json!({ "size": 1 })).await.unwrap();
    let status = refused(apply(&widgets, "two", json!({ "size": 2 })).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let cause = &status.details.unwrap().causes[0];
    assert_eq!((cause.reason.as_str(), cause.field.as_str()), ("FieldManagerConflict", ".spec.size"));
    assert_eq!(force(&widgets, "two", json!({ "size": 2 })).await.data["spec"]["size"], 2);
    // The field is the second manager's alone now, so the first leaves it in place.
    let left = force(&widgets, "one", json!({ "code": "ab" })).await;
    assert_eq!(left.data["spec"]["size"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_version_in_the_body_is_a_precondition_but_does_not_prevent_creation() {
    let widgets = widgets(&cluster().client());
    let params = PatchParams::apply("m").force();
    let old = json!({ "name": "a", "resourceVersion": "3" });
    let made = widgets.patch("a", &params, &body(&old, json!({ "size": 1 }))).await.unwrap();
    assert!(refused(widgets.patch("a", &params, &body(&old, json!({ "size": 2 }))).await).is_conflict());
    let seen = json!({ "name": "a", "resourceVersion": made.resource_version() });
    widgets.patch("a", &params, &body(&seen, json!({ "size": 2 }))).await.unwrap();
    let gone = json!({ "name": "b", "uid": "of-a-deleted-one" });
    let status = refused(widgets.patch("b", &params, &body(&gone, json!({ "size": 1 }))).await);
    assert!(status.is_conflict() && status.message.contains("no existing object was found"));
}

#[tokio::test(start_paused = true)]
async fn an_apply_to_the_status_owns_only_status_and_needs_the_object() {
    let cluster = cluster();
    let widgets = widgets(&cluster.client());
    let missing = Patch::Apply(json!({ "apiVersion": "example.dev/v1", "kind": "Widget", "status": {} }));
    assert_eq!(refused(widgets.patch_status("a", &PatchParams::apply("m"), &missing).await).code, 404);
    make(&widgets, "a", json!({ "size": 1 })).await;
    let ready = json!({ "type": "Ready", "status": "True" });
    apply_status(&widgets, "claim", json!({ "phase": "Claimed" })).await;
    apply_status(&widgets, "report", json!({ "conditions": [ready, { "type": "Other", "status": "True" }] }))
        .await;
    let last = apply_status(&widgets, "report", json!({ "conditions": [ready] })).await;
    assert_eq!(
        last.data["status"],
        json!({ "observedGeneration": -1, "phase": "Claimed", "conditions": [ready] })
    );
    assert_eq!((&last.data["spec"]["size"], last.metadata.generation), (&json!(1), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn lists_of_type_map_merge_by_key() {
    let widgets = widgets(&cluster().client());
    make(&widgets, "a", json!({ "size": 1 })).await;
    apply_status(&widgets, "one", json!({ "conditions": [{ "type": "A", "status": "True" }] })).await;
    let both =
        apply_status(&widgets, "two", json!({ "conditions": [{ "type": "B", "status": "True" }] })).await;
    assert_eq!(both.data["status"]["conditions"].as_array().unwrap().len(), 2);
    let changed =
        apply_status(&widgets, "one", json!({ "conditions": [{ "type": "A", "status": "False" }] })).await;
    assert_eq!(changed.data["status"]["conditions"][0], json!({ "type": "A", "status": "False" }));
}

#[tokio::test(start_paused = true)]
async fn an_applied_secret_is_replaced_key_by_key() {
    let secrets: Api<Secret> = secrets(&cluster().client());
    let applied = |data: Value| {
        Patch::Apply(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "labels": { "a": "b" } }, "stringData": data,
        }))
    };
    let params = PatchParams::apply("m").force();
    secrets.patch("s", &params, &applied(json!({ "x": "1", "y": "2" }))).await.unwrap();
    let foreign = Patch::Merge(json!({ "stringData": { "z": "3" } }));
    secrets.patch("s", &PatchParams::default(), &foreign).await.unwrap();
    let last = secrets.patch("s", &params, &applied(json!({ "x": "4" }))).await.unwrap();
    let data = last.data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["x", "z"]);
    assert_eq!(data["x"].0, b"4");
    assert_eq!(last.type_.as_deref(), Some("Opaque"));
}

#[tokio::test(start_paused = true)]
async fn an_apply_needs_a_manager_and_says_what_it_applies() {
    let widgets = widgets(&cluster().client());
    let params = PatchParams::default();
    assert_eq!(refused(widgets.patch("a", &params, &body(&json!({}), json!({ "size": 1 }))).await).code, 422);
    let kindless = Patch::Apply(json!({ "spec": { "size": 1 } }));
    assert_eq!(refused(widgets.patch("a", &PatchParams::apply("m"), &kindless).await).code, 400);
    let mut echoed: DynamicObject =
        object(json!({ "apiVersion": "example.dev/v1", "kind": "Widget", "metadata": {} }));
    echoed.metadata.managed_fields = Some(vec![]);
    let status = refused(widgets.patch("a", &PatchParams::apply("m"), &Patch::Apply(echoed)).await);
    assert_eq!((status.code, status.message.as_str()), (400, "metadata.managedFields must be nil"));
}
