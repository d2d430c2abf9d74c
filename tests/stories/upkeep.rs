//! Problems that do not stop the reconciliation of a working key.

use super::telling::wait_for_condition;
use crate::support::cluster::{Effect as Broken, Rule};
use crate::support::world::{TOKEN, World, key_spec, merged};
use keysmith::emulator::Effect;
use serde_json::{Value, json};
use std::time::Duration;

fn annotated(name: &str, value: &str) -> Value {
    json!({"metadata": {"annotations": {name: value}}})
}

fn forbidden(verb: &str, resource: &str, name: &str) -> Rule {
    Rule {
        actor: "operator".to_owned(),
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        name_contains: name.to_owned(),
        ..Rule::next(Broken::Status { code: 403, reason: "Forbidden".to_owned() })
    }
}

/// As an earlier version admitted it: the application keeps its key, and Argo CD and Flux see the problem.
pub async fn a_field_without_effect_is_reported_and_the_key_is_still_reconciled(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let window = json!({"from": "02:00", "until": "04:00", "timeZone": "UTC"});
    let idle = json!({"rotation": {"windows": [window]}});
    world.edit("GatewayApiKey", "checkout", json!({"spec": idle})).await.unwrap();
    let (reason, _) = wait_for_condition(world, "GatewayApiKey", "checkout", "Stalled", "True").await;
    assert_eq!(reason, "InvalidSpec");
    let message = world.reason("GatewayApiKey", "checkout", "InvalidSpec").await;
    assert!(message.starts_with("spec.rotation.windows: has no effect"), "{message}");
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(
        status["observedGeneration"], 2,
        "kstatus looks at Stalled only in a status of this generation"
    );
    let first = world.only_key().id;
    let rotate = annotated("keysmith.dev/rotate-requested-at", "now");
    world.edit("GatewayApiKey", "checkout", rotate).await.unwrap();
    world.event("Rotated").await;
    assert_ne!(world.status("GatewayApiKey", "checkout").await["id"], first.as_str());
    assert!(world.accepts(&world.entry("checkout", "key").await.unwrap()));
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Ready").await.unwrap().0, "True");
    // A leaked key is revoked and replaced, although the first attempt to create its successor fails.
    let leaked = world.entry("checkout", "key").await.unwrap();
    world.fail_once("POST", Effect::Status { code: 503, retry_after: None });
    world.edit("GatewayApiKey", "checkout", annotated("keysmith.dev/leaked", "yes")).await.unwrap();
    world
        .eventually("the leaked key is dead, and applications have another", async || {
            let held = world.entry("checkout", "key").await.unwrap_or_default();
            if world.accepts(&leaked) || !world.accepts(&held) { Err(held) } else { Ok(()) }
        })
        .await;
    world.reason("GatewayApiKey", "checkout", "InvalidSpec").await;
    let made = world.keys().len();
    // A new resource gets no key before the field is corrected.
    world.create("GatewayApiKey", "new", merged(key_spec(json!({})), idle)).await;
    wait_for_condition(world, "GatewayApiKey", "new", "Stalled", "True").await;
    assert_eq!(world.condition("GatewayApiKey", "new", "Ready").await.unwrap().0, "False");
    assert_eq!(world.keys().len(), made);
    let corrected = json!({"spec": {"rotation": null}});
    world.edit("GatewayApiKey", "checkout", corrected).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(world.condition("GatewayApiKey", "checkout", "Stalled").await, None);
}

/// A new key has a budget of its own if the vendor counts for each key.
pub async fn a_key_whose_budget_is_spent_is_replaced_when_asked(world: &mut World) {
    world.token().await;
    let usage = json!({"spec": {"usage": {"interval": "1m"}}});
    world.edit("ConsoleToken", "edgee", usage).await.unwrap();
    world.key("checkout", json!({"budget": {"amount": "20", "period": "Monthly"}})).await;
    let first = world.only_key().id;
    assert!(world.vendor().spend(&first, 21_000_000));
    world.reason("GatewayApiKey", "checkout", "BudgetSpent").await;
    let rotate = annotated("keysmith.dev/rotate-requested-at", "now");
    world.edit("GatewayApiKey", "checkout", rotate).await.unwrap();
    world.event("Rotated").await;
    world.event("BudgetAvailable").await;
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(world.condition("GatewayApiKey", "checkout", "BudgetExhausted").await.unwrap().0, "False");
}

/// Spending that was read once is not shown for ever.
pub async fn spending_that_is_not_read_any_more_is_unknown(world: &mut World) {
    world.token().await;
    let usage = |spec: Value| json!({"spec": {"usage": spec}});
    world.edit("ConsoleToken", "edgee", usage(json!({"interval": "1m"}))).await.unwrap();
    world.key("checkout", json!({"budget": {"amount": "20", "period": "Monthly"}})).await;
    wait_for_condition(world, "GatewayApiKey", "checkout", "BudgetLow", "False").await;
    world.edit("ConsoleToken", "edgee", usage(Value::Null)).await.unwrap();
    let (reason, _) = wait_for_condition(world, "GatewayApiKey", "checkout", "BudgetLow", "Unknown").await;
    assert_eq!(reason, "SpendingNotRead");
    let status = world.status("GatewayApiKey", "checkout").await;
    assert!(status["usage"].is_null() && status["budgetUsed"] == "unknown", "{status}");
}

/// A missing right is not reported as a missing Secret.
pub async fn secrets_that_may_not_be_read_are_reported_by_every_kind(world: &mut World) {
    let times = 6;
    world.cluster().fault(Rule { times, ..forbidden("get", "secrets", "edgee-console") });
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
    world.create("ConsoleToken", "edgee", world.token_spec()).await;
    let message = world.reason("ConsoleToken", "edgee", "SecretRefused").await;
    assert!(message.contains("get on Secrets"), "{message}");
    world.ready("ConsoleToken", "edgee").await;
    world.cluster().fault(Rule { times, ..forbidden("get", "secrets", "byok") });
    world.write_secret("byok", &[("api_key", "canary-credential")]).await;
    let provider = json!({"consoleTokenRef": {"name": "edgee"}, "provider": "openai", "scope": "Organization",
                          "credentialsRef": {"name": "byok"}});
    world.create("ProviderKey", "openai", provider).await;
    let message = world.reason("ProviderKey", "openai", "SecretRefused").await;
    assert!(message.contains("get on Secrets"), "{message}");
    world.ready("ProviderKey", "openai").await;
}

/// Nothing is reported about workloads that were not read.
pub async fn workloads_that_may_not_be_looked_for_are_unknown(world: &mut World) {
    world.token().await;
    world.cluster().fault(Rule { times: 2, ..forbidden("get", "deployments", "web") });
    let restart = json!([{"kind": "Deployment", "name": "web"}]);
    world.key("checkout", json!({"rotation": {"restart": restart}})).await;
    let (reason, message) =
        wait_for_condition(world, "GatewayApiKey", "checkout", "ConsumersMissing", "Unknown").await;
    assert_eq!(reason, "ConsumersUnknown");
    assert!(message.contains("rbac.restartWorkloads"), "{message}");
    world.ready("GatewayApiKey", "checkout").await;
    // The workload is looked for again, and does not exist.
    wait_for_condition(world, "GatewayApiKey", "checkout", "ConsumersMissing", "True").await;
}

/// The conditions on the budget are written with the key.
pub async fn a_new_key_with_a_budget_costs_no_more_writes(world: &mut World) {
    world.token().await;
    let before = world.writes().len();
    world.key("checkout", json!({"budget": {"amount": "20", "period": "Monthly"}})).await;
    world.pass(Duration::from_secs(60), Duration::from_secs(3)).await;
    let writes = world.writes().split_off(before);
    let count = writes.iter().filter(|it| *it == "patch gatewayapikeys/status").count();
    assert_eq!(count, 1, "{writes:?}");
    assert_eq!(world.condition("GatewayApiKey", "checkout", "BudgetLow").await.unwrap().0, "Unknown");
}
