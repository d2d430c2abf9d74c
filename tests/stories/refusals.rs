//! Specifications that cannot be carried out are reported before any call.

use crate::support::drivers::Driver;
use crate::support::world::{TOKEN, World, key_spec, merged};
use keysmith::api::shared::Period;
use keysmith::emulator::Effect;
use keysmith::plan::capability::Support;
use keysmith::plan::spec_field::SpecField;
use kube::api::DeleteParams;
use serde_json::json;
use std::time::Duration;

pub async fn a_foreign_secret_is_refused_before_a_key_is_created(world: &mut World) {
    world.token().await;
    world.write_secret("checkout", &[("password", "theirs")]).await;
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let message = world.reason("GatewayApiKey", "checkout", "SecretConflict").await;
    assert!(message.contains("spec.secret.name") && message.contains("checkout"), "{message}");
    world.pass(Duration::from_secs(600), Duration::from_secs(2)).await;
    assert_eq!(world.entry("checkout", "password").await.as_deref(), Some("theirs"));
    assert!(world.vendor_writes().is_empty(), "no key was made");
    world.secrets().delete("checkout", &DeleteParams::default()).await.unwrap();
    world.served("checkout", "key").await;
    world.ready("GatewayApiKey", "checkout").await;
}

pub async fn of_two_resources_that_name_one_secret_the_first_wins(world: &mut World) {
    world.token().await;
    world.key("first", json!({"secret": {"name": "shared"}})).await;
    let id = world.served("shared", "key").await;
    world.create("GatewayApiKey", "second", key_spec(json!({"secret": {"name": "shared"}}))).await;
    let message = world.reason("GatewayApiKey", "second", "SecretConflict").await;
    assert!(message.contains("GatewayApiKey first"), "{message}");
    assert_eq!(world.served("shared", "key").await, id);
    world.delete("GatewayApiKey", "second").await;
    world.gone("GatewayApiKey", "second").await;
    assert_eq!(world.served("shared", "key").await, id);
}

pub async fn a_secret_that_appears_between_the_read_and_the_write_is_not_touched(world: &mut World) {
    world.token().await;
    // The vendor is slow; meanwhile a user creates a Secret of that name.
    let slow = Effect::Delay { millis: if world.is_simulated() { 5_000 } else { 1_000 } };
    world.fail_once("POST", slow);
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    world
        .eventually("the call is under way", async || match world.creations() {
            0 => Err("no call yet".to_owned()),
            _ => Ok(()),
        })
        .await;
    world.write_secret("checkout", &[("password", "theirs")]).await;
    world.reason("GatewayApiKey", "checkout", "SecretConflict").await;
    assert_eq!(world.entry("checkout", "password").await.as_deref(), Some("theirs"));
    world
        .eventually("the key that found no place is revoked", async || match world.keys().len() {
            0 => Ok(()),
            other => Err(format!("{other} keys")),
        })
        .await;
}

pub async fn a_specification_that_cannot_be_carried_out_names_the_field(world: &mut World) {
    world.token().await;
    let budget = |amount: &str, period: &str| json!({"budget": {"amount": amount, "period": period}});
    let data = |template: &str| json!({"secret": {"template": {"data": {"a": template}}}});
    let capabilities = world.vendor_id.capabilities();
    let budgets = capabilities.support(SpecField::Budget) != Support::Unsupported;
    let amount = if budgets { ("InvalidSpec", "spec.budget.amount") } else { ("Unsupported", "spec.budget") };
    let (field, value) = world.vendor_id.refused();
    let refused_field = format!("spec.{field}");
    let mut table = vec![
        ("refused", json!({field: value}), "Unsupported", refused_field.as_str()),
        ("negative", budget("-5", "Monthly"), amount.0, amount.1),
        ("nothing", budget("0", "Monthly"), amount.0, amount.1),
        ("broken", data("{{ key"), "InvalidSpec", "spec.secret.template.data[a]"),
        ("unknown", data("{{ passwort }}"), "InvalidSpec", "spec.secret.template.data[a]"),
        (
            "reserved",
            json!({"secret": {"template": {"type": "helm.sh/release.v1"}}}),
            "InvalidSpec",
            "spec.secret.template.type",
        ),
    ];
    if budgets && !capabilities.budget.periods.contains(&Period::Weekly) {
        table.push(("weekly", budget("250", "Weekly"), "Unsupported", "spec.budget.period"));
    }
    if budgets && capabilities.budget.whole {
        table.push(("fraction", budget("2.5", "Monthly"), "Unsupported", "spec.budget.amount"));
    }
    for (name, spec, reason, field) in &table {
        match world.try_create("GatewayApiKey", name, key_spec(spec.clone())).await {
            Ok(_) => {
                let message = world.reason("GatewayApiKey", name, reason).await;
                assert!(message.contains(field), "{name}: {message}");
            }
            // A real API server itself reports what the schema alone can detect.
            Err(error) => {
                assert!(!world.is_simulated() && error.to_string().contains(field), "{name}: {error}");
            }
        }
    }
    world.pass(Duration::from_secs(3600), Duration::from_secs(2)).await;
    assert!(world.vendor_writes().is_empty());
    let status = world.status("GatewayApiKey", "refused").await;
    assert!(
        status["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["type"] == "Stalled" && it["status"] == "True")
    );
    // Reverting the edit recovers.
    world.edit("GatewayApiKey", "refused", json!({"spec": {field: null}})).await.unwrap();
    world.ready("GatewayApiKey", "refused").await;
    let status = world.status("GatewayApiKey", "refused").await;
    assert!(status["conditions"].as_array().unwrap().iter().all(|it| it["type"] == "Ready"), "{status}");
}

pub async fn a_served_key_outlives_an_edit_that_cannot_be_carried_out(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.served("checkout", "key").await;
    let (field, value) = world.vendor_id.refused();
    world.edit("GatewayApiKey", "checkout", json!({"spec": {field: value}})).await.unwrap();
    world.reason("GatewayApiKey", "checkout", "Unsupported").await;
    assert_eq!(world.served("checkout", "key").await, id);
    assert_eq!(world.vendor_writes(), [world.creation()]);
}

pub async fn an_immutable_secret_type_is_reported_and_changes_after_the_secret_is_deleted(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"overlap": "1s", "brownOut": "0s"}})).await;
    let id = world.served("checkout", "key").await;
    let patch = json!({"spec": {"secret": {"template": {"type": "example.com/llm"}}}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
    let message = world.reason("GatewayApiKey", "checkout", "InvalidSpec").await;
    assert!(message.contains("delete the Secret"), "{message}");
    world.secrets().delete("checkout", &DeleteParams::default()).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    let same = world.served("checkout", "key").await == id;
    assert_eq!(same, world.vendor_id.reveals(), "a key that is not shown again is replaced");
    assert_eq!(world.secrets().get("checkout").await.unwrap().type_.as_deref(), Some("example.com/llm"));
}

pub async fn a_resource_that_cannot_be_decoded_is_reported_and_stops_no_other(world: &mut World) {
    let object = json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
        "metadata": {"name": "odd", "namespace": world.namespace},
        "spec": {"consoleTokenRef": {"name": "edgee"}, "expiresInDays": -3},
    });
    world.cluster().store_unchecked(object);
    let message = world.reason("GatewayApiKey", "odd", "Undecodable").await;
    assert!(message.contains("-3") && message.contains("nothing was done"), "{message}");
    world.token().await;
    world.key("fine", json!({})).await;
    let writes = world.writes().len();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(world.writes().len(), writes);
}

/// A refusal is remembered for the vendor that it was about: the same specification counts anew at another one.
pub async fn a_refusal_of_one_vendor_is_none_of_another(world: &mut World) {
    world.token().await;
    let weekly = json!({"budget": {"amount": "5", "period": "Weekly"}});
    world.create("GatewayApiKey", "checkout", key_spec(weekly)).await;
    world.reason("GatewayApiKey", "checkout", "Unsupported").await;
    // Nothing was made with the token.
    let forced = json!({"metadata": {"annotations": {"keysmith.dev/force-orphan": "yes"}}});
    world.edit("ConsoleToken", "edgee", forced).await.unwrap();
    world.delete("ConsoleToken", "edgee").await;
    world.gone("ConsoleToken", "edgee").await;
    let other = keysmith::emulator::VendorId::LiteLlm;
    world.emulator.vendor(other).add_token(TOKEN);
    let secret = json!({"secretRef": {"name": "edgee-console", "key": "token"}});
    world.create("ConsoleToken", "edgee", merged(other.token_spec(), secret)).await;
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(world.emulator.vendor(other).keys()[0].budget_micros, Some(5_000_000));
}
