use super::*;
use crate::api::ClusterConsoleToken;
use proptest::prelude::*;
use serde_json::{Value, json};

fn limits(value: Value) -> Limits {
    serde_json::from_value(value).unwrap()
}

fn token() -> TokenRef {
    TokenRef::shared("edgee")
}

fn key(spec: &Value) -> GatewayApiKey {
    let mut whole = json!({"consoleTokenRef": {"kind": "ClusterConsoleToken", "name": "edgee"}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {"name": "checkout", "namespace": "shop", "labels": {"cost": "1", "blank": ""}}, "spec": whole,
    }))
    .unwrap()
}

#[test]
fn a_namespace_is_allowed_by_name_or_by_label_and_none_without_either() {
    let labels = |value: Value| serde_json::from_value::<BTreeMap<String, String>>(value).unwrap();
    let shop = labels(json!({"team": "shop", "tier": "gold"}));
    for (allowed, expected) in [
        (json!(null), false),
        (json!({}), false),
        (json!({"names": ["shop"]}), true),
        (json!({"names": ["other"]}), false),
        (json!({"selector": {}}), true),
        (json!({"selector": {"matchLabels": {"team": "shop"}}}), true),
        (json!({"selector": {"matchLabels": {"team": "shop", "tier": "tin"}}}), false),
        (json!({"names": ["shop"], "selector": {"matchLabels": {"team": "other"}}}), true),
        (
            json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "tin"]}]}}),
            true,
        ),
        (
            json!({"selector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]}}),
            false,
        ),
        (
            json!({"selector": {"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["gold"]}]}}),
            true,
        ),
        (json!({"selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}), true),
        (json!({"selector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}), false),
        (
            json!({"selector": {"matchExpressions": [{"key": "team", "operator": "Like", "values": ["shop"]}]}}),
            false,
        ),
    ] {
        let read: Option<AllowedNamespaces> = serde_json::from_value(allowed.clone()).unwrap();
        assert_eq!(allows(read.as_ref(), "shop", Some(&shop)), expected, "{allowed}");
    }
    let any: AllowedNamespaces = serde_json::from_value(json!({"selector": {}})).unwrap();
    assert!(!allows(Some(&any), "shop", None), "labels that cannot be read choose nothing");
}

#[test]
fn what_a_specification_may_not_have_is_refused_by_its_field() {
    let budget = |amount: &str, period: &str| json!({"budget": {"amount": amount, "period": period}});
    let most = json!({"budget": {"maximum": {"amount": "100", "period": "Monthly"}}});
    for (limit, spec, field) in [
        (json!({}), json!({}), None),
        (most.clone(), json!({}), Some("spec.budget")),
        (most.clone(), budget("100", "Monthly"), None),
        (most.clone(), budget("100.000001", "Monthly"), Some("spec.budget.amount")),
        (most.clone(), budget("9", "Daily"), Some("spec.budget.period")),
        (most.clone(), budget("100", "Once"), None),
        (most, budget("lots", "Monthly"), Some("spec.budget.amount")),
        (json!({"budget": {"required": true}}), json!({}), Some("spec.budget")),
        (json!({"budget": {"required": true}}), budget("1000000", "Daily"), None),
        (
            json!({"budget": {"perNamespace": {"amount": "5", "period": "Weekly"}}}),
            json!({}),
            Some("spec.budget"),
        ),
        (json!({"expiry": {"required": true}}), json!({}), Some("spec.expiresInDays")),
        (json!({"expiry": {"required": true}}), json!({"expiresInDays": 900}), None),
        (json!({"expiry": {"maximumDays": 90}}), json!({}), Some("spec.expiresInDays")),
        (json!({"expiry": {"maximumDays": 90}}), json!({"expiresInDays": 91}), Some("spec.expiresInDays")),
        (json!({"expiry": {"maximumDays": 90}}), json!({"expiresInDays": 90}), None),
        (json!({"types": ["Api"]}), json!({}), None),
        (json!({"types": ["Sandbox"]}), json!({}), Some("spec.type")),
        (json!({"models": ["anthropic/*"]}), json!({}), Some("spec.models")),
        (json!({"models": ["anthropic/*"]}), json!({"models": ["anthropic/opus"]}), None),
        (
            json!({"models": ["anthropic/*"]}),
            json!({"models": ["anthropic/opus", "openai/gpt"]}),
            Some("spec.models"),
        ),
        (json!({"requiredLabels": ["cost"]}), json!({}), None),
        (json!({"requiredLabels": ["blank"]}), json!({}), Some("metadata.labels")),
        (json!({"requiredLabels": ["none"]}), json!({}), Some("metadata.labels")),
        (json!({}), json!({"externalId": "key_1"}), Some("spec.externalId")),
        (json!({"permitted": ["ExternalId"]}), json!({"externalId": "key_1"}), None),
        (json!({}), json!({"deletionPolicy": "Retain"}), Some("spec.deletionPolicy Retain")),
        (json!({}), json!({"deletionPolicy": "Disable"}), None),
        (json!({}), json!({"debugMode": true}), Some("spec.debugMode")),
        (json!({}), json!({"debugMode": false}), None),
        (json!({}), json!({"debugMode": true, "externalId": "key_1"}), Some(SpecError::SEVERAL)),
    ] {
        let answer = check_key(&limits(limit.clone()), &token(), &key(&spec));
        assert_eq!(answer.as_ref().err().map(|it| it.field.as_str()), field, "{limit} {spec} {answer:?}");
        if let Err(refusal) = answer {
            assert_eq!(refusal.reason, Reason::LimitExceeded);
            assert!(refusal.to_string().contains("the limits of ClusterConsoleToken edgee"), "{refusal}");
        }
    }
}

#[test]
fn a_secret_has_only_the_type_and_the_labels_that_are_permitted() {
    let secret = |template: Value| json!({"secret": {"template": template}});
    let labelled = |label: &str| secret(json!({"metadata": {"labels": {label: "x"}}}));
    for (limit, spec, field) in [
        (json!({"types": ["Opaque"]}), json!({}), None),
        (json!({"types": ["example.com/llm"]}), json!({}), Some("spec.secret.template.type")),
        (json!({"types": ["example.com/llm"]}), secret(json!({"type": "example.com/llm"})), None),
        (json!({}), labelled("any"), None),
        (json!({"labels": []}), labelled("any"), Some("spec.secret.template.metadata.labels")),
        (json!({"labels": ["example.com/*"]}), labelled("example.com/team"), None),
    ] {
        let answer = check_secret(&limits(json!({"secret": limit})), &token(), &key(&spec));
        assert_eq!(answer.err().map(|it| it.field), field.map(str::to_owned), "{limit} {spec}");
    }
}

#[test]
fn a_namespace_that_is_not_allowed_is_told_so_and_what_exists_is_kept() {
    let shared: ClusterConsoleToken = serde_json::from_value(json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "ClusterConsoleToken", "metadata": {"name": "edgee"},
        "spec": {"vendor": {"edgee": {"organizationId": "o"}}, "secretRef": {"name": "a", "key": "k"}},
    }))
    .unwrap();
    let shared = AnyToken::from(shared);
    let refusal = of(&shared, "shop", None).unwrap_err();
    assert_eq!(
        (refusal.reason, refusal.field.as_str()),
        (Reason::NamespaceNotAllowed, "spec.consoleTokenRef")
    );
    assert!(refusal.message.contains("what exists keeps working"), "{refusal}");
    assert!(!may_retain(Some(&shared)) && !may_force_orphan(Some(&shared)));
    assert!(may_retain(None) && may_force_orphan(None), "a token that is gone limits nothing");
}

#[test]
fn a_pattern_stands_for_any_text_where_it_has_a_star() {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("*", "anything/at:all", true),
        ("anthropic/*", "anthropic/opus", true),
        ("anthropic/*", "xanthropic/opus", false),
        ("anthropic/*", "anthropic", false),
        ("*-mini", "gpt-mini", true),
        ("*-mini", "gpt-mini-2", false),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "ac", false),
        ("a*a", "a", false),
        ("gpt", "gpt", true),
        ("gpt", "gpt-5", false),
        ("a.c", "abc", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

/// A younger key whose call is on its way has no budget in status yet: an older one that grows meanwhile must not find its
/// room free.
#[test]
fn a_call_on_its_way_counts_with_what_it_asks_for() {
    let limit = limits(json!({"budget": {"perNamespace": {"amount": "1000", "period": "Monthly"}}}));
    let share = |age: &str, sent: u64, wanted: u64, open: bool| Share {
        exists: sent > 0,
        fits: true,
        age: (None, age.to_owned()),
        sent: sent * 1_000_000,
        wanted: wanted * 1_000_000,
        open,
    };
    let older = share("a", 100, 1000, true);
    for (younger, fits) in [
        (share("b", 0, 900, true), false),
        (share("b", 0, 900, false), true),
        (share("b", 50, 40, true), false),
    ] {
        assert_eq!(check_sum(&limit, &token(), &older, [&younger].into_iter()).is_ok(), fits, "{younger:?}");
    }
}

#[test]
fn old_keys_do_not_multiply_a_budget() {
    let bounded = json!({"budget": {"maximum": {"amount": "1", "period": "Monthly"}}});
    for (limit, most) in
        [(bounded, 1), (json!({"budget": {"required": true}}), usize::MAX), (json!({}), usize::MAX)]
    {
        assert_eq!(most_previous(&limits(limit)), most);
    }
}

fn shares() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0_u64..60, 0_u64..60), 1..8)
}

proptest! {
    /// Whatever is asked for and in whatever order the passes come, what the vendor holds stays within the sum.
    #[test]
    fn the_sum_of_the_budgets_of_a_namespace_is_never_exceeded(
        wishes in shares(), order in prop::collection::vec((0_usize..8, 0_u64..60), 0..40),
    ) {
        let limit = limits(json!({"budget": {"perNamespace": {"amount": "100", "period": "Monthly"}}, "keys": {"perNamespace": 3}}));
        let mut keys: Vec<Share> = wishes.iter().enumerate().map(|(index, (wanted, _))| Share {
            exists: false, fits: true, age: (None, format!("{index}")), sent: 0, wanted: wanted * 1_000_000, open: false,
        }).collect();
        let passes = (0..keys.len()).map(|index| (index, None));
        let passes = order.iter().map(|(index, wish)| (index % keys.len(), Some(*wish))).chain(passes);
        for (index, wish) in passes.collect::<Vec<_>>() {
            if let Some(wish) = wish {
                keys[index].wanted = wish * 1_000_000;
            }
            let others = keys.iter().filter(|it| it.age != keys[index].age);
            if check_sum(&limit, &token(), &keys[index], others).is_ok() {
                keys[index].exists = true;
                keys[index].sent = keys[index].wanted;
            }
            prop_assert!(keys.iter().filter(|it| it.exists).map(|it| it.sent).sum::<u64>() <= 100_000_000);
            prop_assert!(keys.iter().filter(|it| it.exists).count() <= 3);
        }
    }
}
