use super::*;
use crate::api::shared::Period;
use crate::gateway::edenai_v3::CAPABILITIES as EDEN_AI;
use crate::gateway::edgee::CAPABILITIES as EDGEE;
use serde_json::json;

fn key(spec: serde_json::Value) -> GatewayApiKey {
    let mut whole = json!({"consoleTokenRef": {"name": "edgee"}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {"name": "checkout", "namespace": "shop"}, "spec": whole,
    }))
    .unwrap()
}

#[test]
fn everything_left_out_means_an_unlimited_active_key_named_like_the_resource() {
    let wanted = desired(&key(json!({})), &EDGEE, None).unwrap();
    assert_eq!(wanted.settings.display_name, "checkout");
    assert!(wanted.settings.active && !wanted.settings.debug_mode && wanted.settings.budget.is_none());
    assert_eq!(wanted.secret.name, "checkout");
}

#[test]
fn what_cannot_be_is_refused_with_the_field_and_what_to_do() {
    let budget = |amount: &str, period: &str| json!({"budget": {"amount": amount, "period": period}});
    let table = [
        (budget("-5", "Monthly"), "spec.budget.amount", "not negative"),
        (budget("2.50", "Monthly"), "spec.budget.amount", "whole USD"),
        (budget("250", "Weekly"), "spec.budget.period", "use spec.budget.period: Monthly"),
        (budget("ten", "Monthly"), "spec.budget.amount", "decimal number"),
        (budget("1e3", "Monthly"), "spec.budget.amount", "decimal number"),
        (budget("0", "Monthly"), "spec.budget.amount", "active: false"),
        (json!({"type": "CodingAgent"}), "spec.codingAssistant", "required with type CodingAgent"),
        (json!({"codingAssistant": "codex"}), "spec.codingAssistant", "only allowed with it"),
        (json!({"expiresInDays": 0}), "spec.expiresInDays", "at least 1"),
        (json!({"displayName": "a [b]"}), "spec.displayName", "square brackets"),
        (json!({"email": "nobody"}), "spec.email", "team@example.com"),
        (json!({"type": "CodingAgent", "codingAssistant": "A B"}), "spec.codingAssistant", "small letters"),
    ];
    for (spec, field, words) in table {
        let refusal = desired(&key(spec.clone()), &EDGEE, None).expect_err(&spec.to_string());
        assert_eq!(refusal.field, field, "{spec}");
        assert!(refusal.message.contains(words), "{spec}: {refusal}");
    }
}

#[test]
fn several_fields_that_a_vendor_lacks_are_listed_each_once() {
    let spec = json!({
        "type": "CodingAgent", "codingAssistant": "codex", "models": ["m"], "email": "a@example.com", "active": false,
        "debugMode": true, "rotation": {"brownOut": "1h", "maxOverlap": "48h"}, "deletionPolicy": "Disable",
    });
    let refusal = desired(&key(spec), &EDEN_AI, None).unwrap_err();
    let said = refusal.to_string();
    assert!(
        said.starts_with("Eden AI v3 cannot honour 9 fields: spec.active (keys cannot be switched off"),
        "{said}"
    );
    for field in
        ["codingAssistant", "email", "rotation.brownOut", "rotation.maxOverlap", "deletionPolicy", "type"]
    {
        assert_eq!(said.matches(&format!("spec.{field} (")).count(), 1, "{said}");
    }
}

#[test]
fn a_budget_of_nothing_is_told_what_the_vendor_has() {
    let spec = || key(json!({"budget": {"amount": "0.00", "period": "Monthly"}}));
    assert!(desired(&spec(), &EDGEE, None).unwrap_err().message.contains("active: false"));
    let refusal = desired(&spec(), &EDEN_AI, None).unwrap_err();
    assert!(
        !refusal.message.contains("active") && refusal.message.contains("delete the resource"),
        "{refusal}"
    );
}

#[test]
fn entries_of_a_key_that_ends_at_once_are_not_kept() {
    let spec = || key(json!({"rotation": {"overlap": "0s"}, "secret": {"keepPrevious": true}}));
    assert_eq!(desired(&spec(), &EDEN_AI, None).unwrap_err().field, "spec.secret.keepPrevious");
    assert!(desired(&spec(), &EDGEE, None).is_ok());
}

#[test]
fn a_key_that_costs_nothing_has_no_budget() {
    let spec = key(json!({"type": "Sandbox", "budget": {"amount": "5", "period": "Monthly"}}));
    assert_eq!(desired(&spec, &EDEN_AI, None).unwrap_err().field, "spec.budget");
}

#[test]
fn a_field_without_effect_keeps_no_served_key_from_being_looked_after() {
    let window = json!({"from": "02:00", "until": "04:00", "timeZone": "UTC"});
    let written = json!({"OPENAI_API_KEY": "a", "OPENAI_BASE_URL": "b"});
    let table = [
        (json!({"rotation": {"windows": [window]}}), "spec.rotation.windows"),
        (json!({"rotation": {"renewBefore": "24h"}}), "spec.rotation.renewBefore"),
        (json!({"rotation": {"renewBeforePercentage": 10}}), "spec.rotation.renewBeforePercentage"),
        (json!({"rotation": {"maxAge": "1h"}}), "spec.rotation.maxAge"),
        (json!({"secret": {"preset": "OpenAI", "template": {"data": written}}}), "spec.secret.preset"),
    ];
    for (spec, field) in table {
        let key = key(spec);
        let refusal = desired(&key, &EDGEE, None).unwrap_err();
        assert_eq!((refusal.field.as_str(), refusal.tolerated), (field, true));
        assert_eq!(read(&key, &EDGEE, None).unwrap().idle, Some(refusal));
    }
    let wrong = key(json!({"rotation": {"maxAge": "30s"}}));
    assert!(!read(&wrong, &EDGEE, None).unwrap_err().tolerated);
}

#[test]
fn a_whole_amount_may_be_written_with_zero_cents() {
    let spec = key(json!({"budget": {"amount": "250.00", "period": "Monthly"}}));
    let wanted = desired(&spec, &EDGEE, None).unwrap();
    assert_eq!(wanted.settings.budget, Some(Limit { micros: 250_000_000, period: Period::Monthly }));
}
