//! The spending of keys and the balance of accounts.

use crate::support::drivers::Driver;
use crate::support::world::World;
use keysmith::emulator::VendorId;
use serde_json::{Value, json};
use std::time::Duration;

fn usage(world: &World) -> Value {
    match world.vendor_id {
        VendorId::Cortecs => json!({"interval": "1m", "path": "/manage/usage", "lowBalance": "20"}),
        VendorId::EdenAiV2 | VendorId::OpenRouter => json!({"interval": "1m", "lowBalance": "20"}),
        VendorId::EdenAiV3 | VendorId::Edgee | VendorId::LiteLlm => json!({"interval": "1m"}),
    }
}

async fn spent(world: &World, name: &str, expected: &str) {
    world
        .eventually(&format!("status of {name} says {expected}"), async || {
            let usage = world.status("GatewayApiKey", name).await["usage"].clone();
            if usage["spent"] == expected { Ok(()) } else { Err(usage.to_string()) }
        })
        .await;
}

pub async fn spending_is_read_where_requested_and_reported_in_steps(world: &mut World) {
    world.token().await;
    let spec = world.vendor_id.full(json!({"budget": {"amount": "100", "period": "Monthly"}}));
    world.key("checkout", spec).await;
    world.key("other", json!({})).await;
    let id = world.status("GatewayApiKey", "checkout").await["id"].as_str().unwrap().to_owned();
    assert!(world.vendor().spend(&id, 12_345_678));
    world.pass(Duration::from_secs(600), Duration::from_secs(2)).await;
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["usage"], Value::Null, "it is not requested");
    world.edit("ConsoleToken", "edgee", json!({"spec": {"usage": usage(world)}})).await.unwrap();
    spent(world, "checkout", "12").await;
    spent(world, "other", "0").await;
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["usage"]["currency"], world.vendor_id.capabilities().budget.currency);
    let measured = world.vendor_id != VendorId::Cortecs;
    assert_eq!(status["budgetUsed"], if measured { json!("10%") } else { Value::Null });
    let metrics = world.metrics.text();
    let line =
        metrics.lines().find(|it| it.starts_with("keysmith_key_spent{") && it.contains("\"checkout\""));
    assert!(line.is_some_and(|it| it.ends_with(" 12.345678")), "{line:?}");
    // A small increase causes no write, and one call serves all keys.
    world.pass(Duration::from_secs(130), Duration::from_secs(2)).await;
    let (writes, calls) = (world.writes().len(), world.emulator.calls().len());
    assert!(world.vendor().spend(&id, 100_000));
    world.pass(Duration::from_secs(3600), Duration::from_secs(2)).await;
    assert_eq!(world.writes()[writes..], Vec::<String>::new());
    let part = |path: &str| world.vendor_id.asks_beside(path);
    let reads = world.emulator.calls()[calls..].iter().filter(|call| !part(&call.path)).count();
    assert!(reads < 3600 / 54 * 2 + 3600 / 270 + 4, "{reads} calls in an hour");
    // Spending that is not requested any more is not shown any more.
    world.edit("ConsoleToken", "edgee", json!({"spec": {"usage": null}})).await.unwrap();
    world.ready("ConsoleToken", "edgee").await;
    world
        .edit(
            "GatewayApiKey",
            "checkout",
            json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "x"}}}),
        )
        .await
        .unwrap();
    world
        .eventually("usage is gone", async || {
            let usage = world.status("GatewayApiKey", "checkout").await["usage"].clone();
            if usage.is_null() { Ok(()) } else { Err(usage.to_string()) }
        })
        .await;
}

pub async fn a_low_balance_is_reported_once(world: &mut World) {
    if !world.vendor_id.capabilities().usage.balance {
        return;
    }
    world.token().await;
    world.edit("ConsoleToken", "edgee", json!({"spec": {"usage": usage(world)}})).await.unwrap();
    let low = async |expected: &str| {
        world
            .eventually("the balance is reported", async || {
                match world.condition("ConsoleToken", "edgee", "LowBalance").await {
                    Some((status, ..)) if status == expected => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
    };
    low("False").await;
    let balance = world.status("ConsoleToken", "edgee").await["balance"].clone();
    assert_eq!(balance["currency"], world.vendor_id.capabilities().budget.currency);
    assert_ne!(balance["amount"], Value::Null);
    let threshold = json!({"spec": {"usage": {"lowBalance": "1000000"}}});
    world.edit("ConsoleToken", "edgee", threshold).await.unwrap();
    low("True").await;
    world.event("LowBalance").await;
    assert!(world.metrics.text().contains("keysmith_account_balance{"));
    assert_eq!(world.condition("ConsoleToken", "edgee", "Ready").await.unwrap().0, "True");
}

pub async fn unreadable_spending_is_reported_and_keys_still_work(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    // At Cortecs the path has to be given, and this one does not exist.
    let usage = if world.vendor_id == VendorId::Cortecs {
        json!({"interval": "1m", "path": "/nowhere"})
    } else {
        let broken = keysmith::emulator::Effect::Status { code: 403, retry_after: None };
        for path in ["/logs/export", "/manage/usage", "/cost_management", "/daily/activity", "/credits"] {
            world.emulator.faults().add(keysmith::emulator::Rule::always("GET", path, broken.clone()));
        }
        json!({"interval": "1m"})
    };
    world.edit("ConsoleToken", "edgee", json!({"spec": {"usage": usage}})).await.unwrap();
    world
        .eventually("it is said", async || {
            match world.condition("ConsoleToken", "edgee", "UsageRead").await {
                Some((status, reason, _)) if status == "False" && reason == "UsageUnknown" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    world.pass(Duration::from_secs(600), Duration::from_secs(2)).await;
    assert_eq!(world.condition("ConsoleToken", "edgee", "Ready").await.unwrap().0, "True");
    world.key("another", json!({})).await;
}

pub async fn a_warning_that_could_never_come_is_refused_and_keys_work_on(world: &mut World) {
    if world.vendor_id.capabilities().usage.balance {
        return;
    }
    world.token().await;
    let asked = json!({"spec": {"usage": {"interval": "1m", "lowBalance": "20"}}});
    // A real API server itself reports what the schema alone can detect.
    if !world.is_simulated() {
        let error = world.edit("ConsoleToken", "edgee", asked).await.map(drop).unwrap_err().to_string();
        assert!(error.contains("spec.usage.lowBalance"), "{error}");
        return;
    }
    world.edit("ConsoleToken", "edgee", asked).await.unwrap();
    let refused = async || match world.condition("ConsoleToken", "edgee", "UsageRead").await {
        Some((_, reason, message)) if reason == "Unsupported" => Ok(message),
        other => Err(format!("{other:?}")),
    };
    let message = world.eventually("it is refused", refused).await;
    assert!(message.starts_with("spec.usage.lowBalance: "), "{message}");
    world.key("checkout", json!({})).await;
    world.edit("ConsoleToken", "edgee", json!({"spec": {"usage": {"lowBalance": null}}})).await.unwrap();
    spent(world, "checkout", "0").await;
}
