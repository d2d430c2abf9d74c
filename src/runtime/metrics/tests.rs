//! Which metrics a replica exports.

use super::*;

fn fill(metrics: &Metrics) {
    let token = TokenRef::beside(Some("shop".to_owned()), "edgee");
    metrics.token(&token, true, Some(1));
    metrics.account_doubted(&token, true);
    metrics.rotation_overdue("u", true);
    metrics.leak_open("u", true);
    metrics.orphans("acme", 1);
    let (namespace, name) = ("shop".to_owned(), "ci".to_owned());
    let spending = KeySpending { namespace, name, currency: "USD", micros: 1, budget: Some(2) };
    metrics.spending("u", vec![spending]);
    metrics.balance(&token, &Money { micros: 1, currency: "USD".to_owned() });
    metrics.orphans_revoked("acme", 1);
    metrics.rotated("Expiry".to_owned());
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
    const STATE: [&str; 9] = [
        "keysmith_console_token_ready",
        "keysmith_console_token_expiry_timestamp_seconds",
        "keysmith_accounts_doubted",
        "keysmith_rotations_overdue",
        "keysmith_leaks_open",
        "keysmith_orphaned_keys",
        "keysmith_key_spent",
        "keysmith_key_budget",
        "keysmith_account_balance",
    ];
    let metrics = Metrics::default();
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
    let flags = ["keysmith_rotations_overdue", "keysmith_leaks_open"];
    assert_eq!(shown(&metrics), flags, "it counts from nothing");
    assert!(metrics.text().contains("keysmith_leaks_open 0"));
}
