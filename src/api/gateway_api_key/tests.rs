use super::*;
use jiff::Timestamp;
use serde_json::json;

/// A status as stored by version 0.1.
fn stored() -> GatewayApiKeyStatus {
    let status = json!({
        "id": "key_1", "serial": 3, "settledSerial": 3, "appliedGeneration": 2, "failedAsks": 7, "madeAs": "hash",
        "restartedFor": "3-abc", "keyCount": {"since": "2026-01-01T00:00:00Z", "serial": 3, "made": 1},
        "carriedSpend": {"micros": 5},
    });
    serde_json::from_value(status).unwrap()
}

#[test]
fn a_status_of_version_0_1_is_understood_and_its_fields_move_with_the_next_write() {
    let stored = stored();
    let internal = stored.read_internal();
    assert_eq!((internal.settled_serial, internal.applied_generation), (Some(3), Some(2)));
    assert_eq!(
        (internal.failed_requests_hash, internal.immutable_fields_hash.as_deref()),
        (Some(7), Some("hash"))
    );
    assert_eq!(internal.restarted_revision.as_deref(), Some("3-abc"));
    assert_eq!(internal.key_count.as_ref().map(|it| it.made), Some(1));
    assert_eq!(internal.carried_spend.as_ref().map(|it| it.micros), Some(5));
    let moved = serde_json::to_value(stored.moved()).unwrap();
    let mut fields: Vec<_> = moved.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["id", "internal", "serial"], "{moved}");
    assert_eq!(moved["internal"]["immutableFieldsHash"], "hash");
}

#[test]
fn what_version_0_1_wrote_into_conditions_alone_is_understood_and_costs_no_write_of_its_own() {
    let said = |kind: &str, status: &str, reason: &str| {
        json!({"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 2,
               "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let status = |conditions: serde_json::Value| {
        serde_json::from_value::<GatewayApiKeyStatus>(json!({"id": "key_1", "conditions": conditions}))
            .unwrap()
    };
    let works =
        status(json!([said("Ready", "True", "Issued"), said("ConsumersMissing", "False", "ConsumersFound")]));
    let internal = works.read_internal();
    let last = internal.last_pass.unwrap();
    assert_eq!((last.generation, last.works, last.given_up), (Some(2), true, false));
    assert_eq!(internal.consumers_found_generation, Some(2));
    // What a pass that changes nothing would write is what is stored.
    let mut unchanged = works.clone().moved();
    crate::api::Verdict::settled(crate::api::Reason::Issued, "").apply(
        &mut unchanged.conditions,
        &mut unchanged.internal.last_pass,
        Some(2),
        Timestamp::UNIX_EPOCH,
    );
    assert_eq!(unchanged, works.moved());

    let stalled =
        status(json!([said("Ready", "False", "Unsupported"), said("Stalled", "True", "Unsupported")]));
    assert!(stalled.read_internal().last_pass.unwrap().gave_up(Some(2)));
    let spent = status(json!([
        said("Ready", "False", "BudgetSpent"),
        said("Stalled", "True", "BudgetSpent"),
        said("BudgetExhausted", "True", "BudgetSpent"),
        said("BudgetLow", "True", "BudgetNearlySpent"),
        said("RotationOverdue", "True", "Replacing"),
    ]));
    let internal = spent.read_internal();
    assert!(!internal.last_pass.unwrap().given_up && internal.rotation_overdue);
    assert!(internal.budget_spent_since.is_some() && internal.budget_generation == Some(2));
}

#[test]
fn the_present_place_has_the_last_word() {
    let mut status = stored();
    status.internal.settled_serial = Some(4);
    assert_eq!(status.read_internal().settled_serial, Some(4));
}

#[test]
fn a_status_that_differs_in_nothing_but_the_place_of_its_fields_is_not_written() {
    let stored = stored().moved();
    let mut former = stored.clone();
    former.former_settled_serial = serde_json::from_value(json!(3)).unwrap();
    assert_eq!(stored, former);
}
