//! Which metrics a replica exports.

use super::resources::{Resource, TokenHealth};
use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// One key with every property, one that is being deleted, a token, and what else there is.
struct Shop {
    conditions: Vec<Condition>,
    blocked: Vec<Condition>,
}

fn condition(type_: &str, status: &str, reason: &str) -> Condition {
    Condition {
        last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        message: "CANARY".to_owned(),
        observed_generation: None,
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: type_.to_owned(),
    }
}

fn shop() -> Arc<Shop> {
    let conditions =
        vec![condition("Ready", "True", "Issued"), condition("BudgetLow", "True", "BudgetNearlySpent")];
    Arc::new(Shop { conditions, blocked: vec![condition("Ready", "False", "DeletionBlocked")] })
}

impl Source for Shop {
    fn each_resource(&self, visit: &mut dyn FnMut(Resource<'_>)) {
        let key = Resource {
            kind: "GatewayApiKey",
            namespace: "shop",
            name: "checkout",
            conditions: &self.conditions,
            deleting: false,
            expires_at: Some(jiff::Timestamp::from_second(1_800_000_000).unwrap()),
            next_rotation: Some(jiff::Timestamp::from_second(1_790_000_000).unwrap()),
            previous: 2,
        };
        visit(key);
        visit(Resource { name: "old", conditions: &self.blocked, deleting: true, ..key });
        visit(Resource { kind: "ConsoleToken", name: "edgee", next_rotation: None, ..key });
        visit(Resource { kind: "ClusterConsoleToken", namespace: "", name: "shared", ..key });
        visit(Resource { kind: "ProviderKey", name: "openai", ..key });
        visit(Resource { kind: "ProjectSettings", name: "project", ..key });
    }

    fn tokens(&self) -> Vec<TokenHealth> {
        vec![TokenHealth {
            token: TokenRef::beside(Some("shop".to_owned()), "edgee"),
            ready: true,
            doubted: false,
            held_back: true,
            listed_at: Some(jiff::Timestamp::from_second(1_780_000_000).unwrap()),
            waiting: 3,
        }]
    }

    fn queue(&self) -> (usize, f64) {
        (7, 1.5)
    }
}

fn fill(metrics: &Metrics) {
    let token = TokenRef::beside(Some("shop".to_owned()), "edgee");
    metrics.rotation_overdue("u", true);
    metrics.leak_open("u", true);
    metrics.orphans("acme", 1);
    let (namespace, name) = ("shop".to_owned(), "ci".to_owned());
    let spending = KeySpending { namespace, name, currency: "USD", micros: 1, budget: Some(2) };
    metrics.spending("u", vec![spending]);
    metrics.balance(&token, &Money { micros: 1, currency: "USD".to_owned() });
    metrics.orphans_revoked("acme", 1);
    metrics.rotated("Expiry");
}

/// Names of samples.
fn samples(metrics: &Metrics) -> Vec<String> {
    let text = metrics.text();
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split([' ', '{']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_replica_that_does_not_lead_exports_no_state_even_if_a_late_pass_sets_it() {
    const STATE: [&str; 8] = [
        "keysmith_console_token_ready",
        "keysmith_key_expiry_timestamp_seconds",
        "keysmith_rotations_overdue",
        "keysmith_leaks_open",
        "keysmith_orphaned_keys",
        "keysmith_key_spent",
        "keysmith_key_budget",
        "keysmith_account_balance",
    ];
    let metrics = Metrics::default();
    metrics.export(shop());
    let shown = |metrics: &Metrics| {
        let samples = samples(metrics);
        assert!(samples.iter().any(|it| it == "keysmith_rotations_total"), "counters stay: {samples:?}");
        assert!(samples.iter().any(|it| it == "keysmith_orphaned_keys_revoked_total"), "{samples:?}");
        STATE.into_iter().filter(|name| samples.iter().any(|it| it == name)).collect::<Vec<_>>()
    };
    metrics.leads(true);
    fill(&metrics);
    assert_eq!(shown(&metrics), STATE);
    metrics.leads(false);
    assert_eq!(shown(&metrics), [""; 0]);
    fill(&metrics);
    assert_eq!(shown(&metrics), [""; 0], "a pass that ran on");
    metrics.leads(true);
    assert_eq!(shown(&metrics), &STATE[..4], "it counts from nothing, and reads the caches");
    assert!(metrics.text().contains("keysmith_leaks_open 0"));
}

#[test]
fn a_key_is_exported_with_its_times_and_conditions_and_without_the_text_of_any() {
    let metrics = Metrics::default();
    metrics.leads(true);
    metrics.export(shop());
    let text = metrics.text();
    let key = r#"{resource_namespace="shop",resource_name="checkout""#;
    for line in [
        format!("keysmith_key_expiry_timestamp_seconds{key}}} 1800000000"),
        format!("keysmith_key_next_rotation_timestamp_seconds{key}}} 1790000000"),
        format!("keysmith_key_previous{key}}} 2"),
        format!(r#"keysmith_key_condition{key},condition="Ready",status="True",reason="Issued"}} 1"#),
        format!(r#"keysmith_key_condition{key},condition="BudgetLow",status="True",reason="BudgetNearlySpent"}} 1"#),
        r#"keysmith_deletion_blocked{kind="GatewayApiKey",resource_namespace="shop",resource_name="old"} 1"#.to_owned(),
        r#"keysmith_console_token_expiry_timestamp_seconds{resource_namespace="",resource_name="shared"} 1800000000"#.to_owned(),
        r#"keysmith_console_token_ready{resource_namespace="shop",resource_name="edgee"} 1"#.to_owned(),
        r#"keysmith_console_token_held_back{resource_namespace="shop",resource_name="edgee"} 1"#.to_owned(),
        r#"keysmith_console_token_last_poll_timestamp_seconds{resource_namespace="shop",resource_name="edgee"} 1780000000"#.to_owned(),
        r#"keysmith_console_token_passes_waiting{resource_namespace="shop",resource_name="edgee"} 3"#.to_owned(),
        "keysmith_queue_depth 7".to_owned(),
        "keysmith_queue_oldest_seconds 1.5".to_owned(),
        concat!(r#"keysmith_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#).to_owned(),
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in:\n{text}");
    }
    assert!(!text.contains("CANARY"));
}

/// A query over a metric that does not exist yet says nothing.
#[test]
fn every_family_is_there_from_the_start() {
    let metrics = Metrics::default();
    metrics.leads(true);
    let fresh = metrics.text();
    metrics.export(shop());
    fill(&metrics);
    metrics.reconciled("GatewayApiKey", "ok", Duration::ZERO);
    metrics.vendor_call("acme", "list", "ok");
    drop(metrics.vendor_call_begins("acme", "list"));
    metrics.kubernetes_request("GET", Some(200), Duration::ZERO);
    metrics.kubernetes_request("GET", None, Duration::ZERO);
    metrics.listing_entries_skipped("acme", 1);
    metrics.swept("ok");
    let families = |text: &str| -> Vec<String> {
        text.lines().filter(|it| it.starts_with("# TYPE ")).map(str::to_owned).collect()
    };
    let text = metrics.text();
    assert_eq!(families(&text), families(&fresh));
    assert!(families(&text).len() > 40);
    assert!(text.contains(r#"keysmith_kubernetes_requests_total{method="GET",code="none"} 1"#), "{text}");
    assert!(text.contains(r#"keysmith_vendor_calls_in_flight{vendor="acme"} 0"#), "{text}");
    #[cfg(target_os = "linux")]
    for name in ["process_resident_memory_bytes ", "process_start_time_seconds "] {
        assert!(text.lines().any(|it| it.starts_with(name) && !it.ends_with(" 0.0")), "{name}\n{text}");
    }
    for counted in [
        "keysmith_rotations_total{reason=\"Leaked\"} 0",
        "keysmith_left_behind_total{kind=\"ProviderKey\"} 0",
    ] {
        assert!(fresh.contains(counted), "{counted}");
    }
}
