use super::*;

fn key(annotation: (&str, &str), status: &Value) -> GatewayApiKey {
    let key = json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {"name": "checkout", "namespace": "shop", "annotations": {annotation.0: annotation.1}},
        "spec": {"consoleTokenRef": {"name": "edgee"}}, "status": status,
    });
    serde_json::from_value(key).unwrap()
}

#[test]
fn a_request_is_done_when_status_echoes_it_and_a_key_works_and_no_leaked_one_does() {
    let before = key(("other", "1"), &json!({"serial": 1}));
    let progress = |request, annotation: Option<&str>, status: &Value| {
        let name = Request::annotation(request);
        let now = key(annotation.map_or(("other", "1"), |it| (name, it)), status);
        Asked { key: &before, request, value: "2" }.progress(&now)
    };
    let rotated =
        |serial: Option<u64>, handled: &str| json!({"serial": serial, "lastHandledRotateAt": handled});
    let rotate = |annotation, status: &Value| progress(Request::Rotate, annotation, status);
    assert_eq!(rotate(Some("2"), &rotated(Some(2), "2")), Progress::Done);
    assert_eq!(rotate(Some("2"), &rotated(Some(1), "1")), Progress::Open);
    // A later request, which is done or not; and a tool that put an earlier value back, or none.
    assert_eq!(rotate(Some("3"), &rotated(Some(2), "3")), Progress::Done);
    assert_eq!(rotate(Some("3"), &rotated(Some(1), "1")), Progress::Open);
    assert_eq!(rotate(Some("1"), &rotated(Some(1), "1")), Progress::Overwritten);
    assert_eq!(rotate(None, &rotated(Some(1), "1")), Progress::Overwritten);
    let previous = |serial: Option<u64>, leaked| {
        json!({
            "serial": serial, "lastHandledLeaked": "2",
            "previous": [{"id": "k1", "serial": 1, "replacedAt": "2026-01-01T00:00:00Z",
                "retireAfter": "2026-01-02T00:00:00Z", "leaked": leaked}],
        })
    };
    let leaked = |status: &Value| progress(Request::Leaked, Some("2"), status);
    assert_eq!(leaked(&previous(Some(2), true)), Progress::Open);
    assert_eq!(leaked(&previous(Some(2), false)), Progress::Done);
    assert_eq!(leaked(&previous(None, false)), Progress::NoKey);
}

#[test]
fn a_key_that_keysmith_only_looks_at_is_not_said_to_be_revoked() {
    let mut observed = key(("a", "b"), &json!({}));
    assert_eq!(Request::Leaked.refusal(&observed), None);
    observed.spec.management_policy = Some(ManagementPolicy::Observe);
    assert!(Request::Leaked.refusal(&observed).is_some_and(|it| it.contains("NOT revoke")));
}

#[test]
fn the_question_names_every_key_that_dies() {
    let previous = json!({"previous": [{"id": "k1", "serial": 1, "replacedAt": "2026-01-01T00:00:00Z",
        "retireAfter": "2026-01-02T00:00:00Z"}]});
    let text = consequence(&[&key(("a", "b"), &previous)]);
    assert!(
        text.contains("shop/checkout") && text.contains("Secret checkout and its previous key"),
        "{text}"
    );
}
