//! The rules of Secrets.

use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::widgets::{cluster, object, refused, secret, secrets};

#[tokio::test(start_paused = true)]
async fn plain_text_becomes_data_and_the_type_is_opaque() {
    let cluster = cluster();
    secrets(&cluster.client()).create(&PostParams::default(), &secret("s", "hello")).await.unwrap();
    let stored = cluster.find("secrets", "default", "s").unwrap();
    assert_eq!((&stored["data"], &stored["type"]), (&json!({ "key": "aGVsbG8=" }), &json!("Opaque")));
    assert!(stored.get("stringData").is_none() && stored["metadata"].get("generation").is_none());
}

#[tokio::test(start_paused = true)]
async fn data_must_be_base64_under_valid_keys_and_below_one_mebibyte() {
    let client = cluster().client();
    let secrets = secrets(&client);
    secrets.create(&PostParams::default(), &secret("s", "x")).await.unwrap();
    let params = PatchParams::default();
    let not_base64 = Patch::Merge(json!({ "data": { "key": "no base64!" } }));
    assert_eq!(refused(secrets.patch("s", &params, &not_base64).await).code, 400);
    let bad_key = Patch::Merge(json!({ "stringData": { "no key": "x" } }));
    assert!(refused(secrets.patch("s", &params, &bad_key).await).is_invalid());
    let too_long = Patch::Merge(json!({ "stringData": { "key": "x".repeat((1 << 20) + 1) } }));
    assert!(refused(secrets.patch("s", &params, &too_long).await).is_invalid());
    let tls = object(
        json!({ "metadata": { "name": "t" }, "type": "kubernetes.io/tls", "stringData": { "tls.crt": "" } }),
    );
    assert!(refused(secrets.create(&PostParams::default(), &tls).await).is_invalid());
}

#[tokio::test(start_paused = true)]
async fn the_type_cannot_change_and_an_immutable_secret_cannot_change_at_all() {
    let secrets = secrets(&cluster().client());
    secrets.create(&PostParams::default(), &secret("s", "x")).await.unwrap();
    let params = PatchParams::default();
    let retype = Patch::Merge(json!({ "type": "example.dev/other" }));
    assert!(refused(secrets.patch("s", &params, &retype).await).is_invalid());
    secrets.patch("s", &params, &Patch::Merge(json!({ "immutable": true }))).await.unwrap();
    for change in [json!({ "stringData": { "key": "y" } }), json!({ "immutable": false })] {
        assert!(refused(secrets.patch("s", &params, &Patch::Merge(change)).await).is_invalid());
    }
    let label = Patch::Merge(json!({ "metadata": { "labels": { "still": "possible" } } }));
    secrets.patch("s", &params, &label).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_version_is_remembered() {
    let cluster = cluster();
    let secrets = secrets(&cluster.client());
    let made = secrets.create(&PostParams::default(), &secret("s", "one")).await.unwrap();
    tokio::time::advance(std::time::Duration::from_mins(1)).await;
    secrets.replace("s", &PostParams::default(), &secret("s", "two")).await.unwrap();
    secrets.delete("s", &DeleteParams::default()).await.unwrap();
    let history = cluster.secret_history();
    let values: Vec<_> =
        history.iter().map(|v| v.object.as_ref().map(|o| o["data"]["key"].clone())).collect();
    assert_eq!(values, [Some(json!("b25l")), Some(json!("dHdv")), None]);
    assert!(history.iter().all(|v| Some(&v.uid) == made.uid().as_ref()));
    assert!(history[1].at.duration_since(history[0].at).as_secs() >= 60);
    assert!(!cluster.dump().to_string().contains("dHdv"));
}
