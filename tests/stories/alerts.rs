//! The alerts of the chart on what a real run exports: promtool plays the scrape, as if it stayed so for hours.

use crate::support::world::{TOKEN, World};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// Fails unless exactly these alerts fire on this scrape.
fn assert_firing(scrape: &str, place: &str, expected: &[&str]) {
    let root = concat!(env!("CARGO_MANIFEST_DIR"));
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    let series: Vec<Value> = samples
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, value)| json!({"series": series, "values": format!("{value}x300")}))
        .collect();
    assert!(series.len() > 50, "{scrape}");
    let firing: Vec<Value> =
        expected.iter().map(|it| json!({"labels": format!("{{alertname=\"{it}\"}}"), "value": 1})).collect();
    let test = json!({
        "rule_files": [format!("{root}/charts/keysmith/files/alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [{
            "expr": "group by (alertname) (ALERTS{alertstate=\"firing\"})", "eval_time": "4h", "exp_samples": firing,
        }]}],
    });
    let path = format!("{}/alerts-{place}.yaml", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, test.to_string()).unwrap();
    let promtool = format!("{root}/tests/controlplane/promtool");
    let output = Command::new(promtool).args(["test", "rules", &path]).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{place}: {said}");
}

pub async fn alerts_fire_for_what_needs_a_person_and_for_nothing_else(world: &mut World) {
    world.token().await;
    for name in ["checkout", "search", "old"] {
        world.key(name, json!({"expiresInDays": 30, "budget": {"amount": "10", "period": "Monthly"}})).await;
    }
    world.pass(Duration::from_secs(600), Duration::from_secs(2)).await;
    assert_firing(&world.metrics.text(), "healthy", &[]);
    // The vendor refuses the token, a key leaks, and a resource is deleted.
    assert!(world.vendor().revoke_token(TOKEN));
    world
        .edit("GatewayApiKey", "checkout", json!({"metadata": {"annotations": {"keysmith.dev/leaked": "a"}}}))
        .await
        .unwrap();
    world.delete("GatewayApiKey", "old").await;
    world.pass(Duration::from_secs(900), Duration::from_secs(2)).await;
    let text = world.metrics.text();
    assert!(text.contains("keysmith_leaks_open 1"), "{text}");
    let refused = ["KeysmithConsoleTokenRefused", "KeysmithDeletionBlocked", "KeysmithLeakOpen"];
    assert_firing(&text, "refused", &refused);
    // A new token mends all of it, and the series of what is deleted go.
    world.vendor().add_token(TOKEN);
    world
        .eventually("it is deleted", async || {
            world
                .api("GatewayApiKey")
                .get_opt("old")
                .await
                .unwrap()
                .map_or(Ok(()), |_| Err("not yet".to_owned()))
        })
        .await;
    world.pass(Duration::from_secs(900), Duration::from_secs(2)).await;
    world.ready("GatewayApiKey", "checkout").await;
    let text = world.metrics.text();
    assert_firing(&text, "mended", &[]);
    assert!(!text.contains("resource_name=\"old\""), "{text}");
    assert!(text.contains("keysmith_key_expiry_timestamp_seconds{"), "{text}");
}
