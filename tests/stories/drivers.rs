//! Stories that hold for every vendor and run at each of them; `world.vendor_id` is the vendor.

use crate::support::drivers::Driver;
use crate::support::invariants::AtRest;
use crate::support::world::{TOKEN, World, key_spec};
use keysmith::emulator::{Effect, Seen};
use keysmith::plan::capability::{Recovery, Support};
use keysmith::plan::spec_field::SpecField;
use serde_json::{Value, json};
use std::time::Duration;

const DAY: u64 = 86_400;

/// The key in the Secret, if the vendor's gateway accepts it.
async fn served(world: &World, name: &str) -> Result<Seen, String> {
    world.serves(name, "key", AtRest::SERVED).await
}

/// Waits until the Secret holds a working key, and there is no other key.
async fn only(world: &World, name: &str) -> Seen {
    world
        .eventually(&format!("Secret {name} holds the one key, and it works"), async || {
            world.serves(name, "key", AtRest::ONE_KEY_SERVED).await
        })
        .await
}

/// Waits until the Secret holds another key than that one.
async fn next_after(world: &World, name: &str, before: &Seen) -> Seen {
    world
        .eventually(&format!("Secret {name} holds another key"), async || {
            let key = served(world, name).await?;
            if key.secret == before.secret { Err("still the old one".to_owned()) } else { Ok(key) }
        })
        .await
}

fn trigger(value: &str) -> Value {
    json!({"spec": {"rotation": {"trigger": value}}})
}

pub async fn every_supported_field_reaches_the_vendor(world: &mut World) {
    world.token().await;
    let spec = json!({"budget": {"amount": "250", "period": "Monthly"}, "expiresInDays": 90});
    world.key("checkout", world.vendor_id.full(spec)).await;
    let key = only(world, "checkout").await;
    if world.vendor_id.capabilities().support(SpecField::Budget) != Support::Unsupported {
        assert_eq!(key.budget_micros, Some(250_000_000));
    }
    let status = world.status("GatewayApiKey", "checkout").await;
    let shown: jiff::Timestamp = status["expiresAt"].as_str().expect("an expiry").parse().unwrap();
    let days = |at: jiff::Timestamp| (at.duration_since(key.created_at).as_hours() + 12) / 24;
    assert_eq!(days(shown), 90);
    // Keysmith itself implements an expiry that the vendor does not support, and the vendor does not know of it.
    let own = world.vendor_id.capabilities().support(SpecField::ExpiresInDays) == Support::Operator;
    assert_eq!(key.expires_at.map(days), if own { None } else { Some(90) });
}

pub async fn an_edit_reaches_the_same_key_where_the_vendor_can(world: &mut World) {
    world.token().await;
    let spec = world.vendor_id.full(json!({"budget": {"amount": "100", "period": "Monthly"}}));
    world.key("checkout", spec).await;
    let before = only(world, "checkout").await;
    let patch = world.vendor_id.changeable(json!({"budget": {"amount": "300"}, "displayName": "Renamed"}));
    world.edit("GatewayApiKey", "checkout", json!({"spec": patch})).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    let after = only(world, "checkout").await;
    assert_eq!(after.secret, before.secret, "the key is the same one");
    let table = world.vendor_id.capabilities();
    if table.support(SpecField::Budget) == Support::InPlace {
        assert_eq!(after.budget_micros, Some(300_000_000));
        world.edit("GatewayApiKey", "checkout", json!({"spec": {"budget": null}})).await.unwrap();
        world.ready("GatewayApiKey", "checkout").await;
        assert_eq!(only(world, "checkout").await.budget_micros, None, "the cap is off");
    }
    if table.support(SpecField::DisplayName) == Support::InPlace {
        assert!(after.name.starts_with("Renamed [ks-"), "{}", after.name);
    }
}

pub async fn a_budget_for_once_is_what_is_left_and_an_edit_fills_it_up_unless_the_vendor_counts_on(
    world: &mut World,
) {
    let periods = world.vendor_id.capabilities().budget.periods;
    if !periods.contains(&keysmith::api::shared::Period::Once) {
        return;
    }
    world.token().await;
    let once = |amount: &str| json!({"amount": amount, "period": "Once"});
    world
        .key(
            "checkout",
            json!({"budget": once("10"), "rotation": {"overlap": "1s", "brownOut": "0s", "trigger": "a"}}),
        )
        .await;
    let key = only(world, "checkout").await;
    assert!(world.vendor().spend(&key.id, 7_000_000));
    // A spent budget is no drift.
    world.pass(Duration::from_secs(1200), Duration::from_secs(5)).await;
    assert_eq!(only(world, "checkout").await.remaining_micros, Some(3_000_000));
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"budget": once("20")}})).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    let keeps_spent = world.vendor_id.capabilities().budget.keeps_spent;
    let left = if keeps_spent { 13_000_000 } else { 20_000_000 };
    assert_eq!(only(world, "checkout").await.remaining_micros, Some(left));
    // A new key has the rest of the old key's budget.
    assert!(world.vendor().spend(&key.id, 5_000_000));
    world.pass(Duration::from_secs(700), Duration::from_secs(5)).await;
    let old = only(world, "checkout").await;
    world.edit("GatewayApiKey", "checkout", trigger("b")).await.unwrap();
    next_after(world, "checkout", &old).await;
    world
        .eventually("the new key has what was left", async || {
            match served(world, "checkout").await?.remaining_micros {
                Some(micros) if micros == left - 5_000_000 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    let rotation = world.status("GatewayApiKey", "checkout").await["lastRotation"].clone();
    assert_eq!(rotation["budget"], "CarriedOver");
}

pub async fn everything_it_cannot_do_is_refused_at_once_and_before_any_call(world: &mut World) {
    world.token().await;
    let all = json!({
        "type": "Sandbox", "codingAssistant": "codex", "models": ["m"], "email": "a@example.com",
        "budget": {"amount": "5", "period": "Daily"}, "active": false, "debugMode": true,
        "deletionPolicy": "Disable", "secret": {"preset": "Anthropic"}, "rotation": {"maxOverlap": "48h"},
    });
    // The API server itself requires an assistant and its type together.
    let mut spec = all.clone();
    spec.as_object_mut().unwrap().remove("codingAssistant");
    let calls = world.emulator.calls().len();
    world.create("GatewayApiKey", "checkout", key_spec(spec.clone())).await;
    let message = world.reason("GatewayApiKey", "checkout", "Unsupported").await;
    let table = world.vendor_id.capabilities();
    let unsupported = SpecField::ALL.into_iter().filter(|it| table.support(*it) == Support::Unsupported);
    for field in unsupported.map(SpecField::name) {
        let written = spec.get(field).is_some();
        assert_eq!(message.contains(&format!("spec.{field}")), written, "{field}: {message}");
    }
    let named = |field: &str| message.contains(&format!("spec.{field}"));
    assert_eq!(named("type"), !table.types.contains(&keysmith::api::gateway_api_key::KeyType::Sandbox));
    assert_eq!(named("deletionPolicy"), !table.disable);
    assert_eq!(named("rotation.maxOverlap"), !table.last_used);
    assert!(message.contains(table.title), "{message}");
    let made = world.emulator.calls()[calls..].iter().filter(|call| call.method != "GET").count();
    assert_eq!(made, 0, "calls for what was refused");
    let patch: Value = spec.as_object().unwrap().keys().map(|field| (field.clone(), Value::Null)).collect();
    world.edit("GatewayApiKey", "checkout", json!({"spec": patch})).await.unwrap();
    only(world, "checkout").await;
}

pub async fn a_key_is_rotated_before_it_expires_without_a_refused_call(world: &mut World) {
    world.look_rarely().await;
    world.token().await;
    let spec = json!({"expiresInDays": 6, "rotation": {"overlap": "2h", "brownOut": "0s"}});
    world.key("checkout", spec).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 * 4 {
        tokio::time::sleep(Duration::from_secs(DAY / 4)).await;
        seen.insert(served(world, "checkout").await.expect("a key that works").secret);
        assert!(world.vendor().keys().len() <= 2, "{:?}", world.vendor().keys());
    }
    // One key every four days, plus or minus the spread of each resource.
    assert!((4..=7).contains(&seen.len()), "{} keys in twenty days", seen.len());
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["lastRotation"]["reason"], "Expiry");
}

pub async fn an_expiry_is_moved_and_cleared_as_the_vendor_can(world: &mut World) {
    world.token().await;
    world
        .key("checkout", json!({"expiresInDays": 60, "rotation": {"overlap": "1s", "brownOut": "0s"}}))
        .await;
    let before = only(world, "checkout").await;
    let support = world.vendor_id.capabilities().support(SpecField::ExpiresInDays);
    let same = support != Support::AtCreation;
    for days in [Some(90), None] {
        world.edit("GatewayApiKey", "checkout", json!({"spec": {"expiresInDays": days}})).await.unwrap();
        let expected = days.map(|days: i64| days * 24);
        world
            .eventually("the expiry follows", async || {
                let status = world.status("GatewayApiKey", "checkout").await;
                let at = status["expiresAt"].as_str().map(|it| it.parse::<jiff::Timestamp>().unwrap());
                let from: jiff::Timestamp = status["createdAt"].as_str().unwrap().parse().unwrap();
                let hours = at.map(|at| at.duration_since(from).as_hours());
                // A vendor may show whole seconds only, and a little more than ordered.
                let same = hours.map(|it| (it + 12) / 24) == expected.map(|it| it / 24);
                if same { Ok(()) } else { Err(format!("{hours:?}")) }
            })
            .await;
        world.ready("GatewayApiKey", "checkout").await;
        let after = only(world, "checkout").await;
        assert_eq!(after.secret == before.secret, same, "{days:?}");
        if support != Support::Operator {
            let hours = after.expires_at.map(|at| at.duration_since(after.created_at).as_hours());
            assert_eq!(hours.map(|it| (it + 12) / 24), expected.map(|it| it / 24), "at the vendor");
        }
    }
}

pub async fn a_lost_secret_comes_back_with_a_key_that_works(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"rotation": {"overlap": "2s", "brownOut": "0s"}})).await;
    let before = only(world, "checkout").await;
    world.secrets().delete("checkout", &kube::api::DeleteParams::default()).await.unwrap();
    if world.vendor_id.capabilities().recovery == Recovery::Reveal {
        assert_eq!(only(world, "checkout").await.id, before.id);
        return;
    }
    // An application that has read the old key can use it during the overlap.
    next_after(world, "checkout", &before).await;
    assert!(world.vendor().accepts(&before.secret));
    assert_ne!(only(world, "checkout").await.id, before.id);
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["lastRotation"]["reason"], "SecretLost");
}

pub async fn a_refused_token_is_reported_and_a_new_one_is_picked_up(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    assert!(world.vendor().revoke_token(TOKEN));
    let asked = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "now"}}});
    world.edit("ConsoleToken", "edgee", asked).await.unwrap();
    let message = world.reason("ConsoleToken", "edgee", "TokenRefused").await;
    assert!(message.contains("edgee-console") || message.contains("V3"), "{message}");
    let other = "sk-ek_live_emulated-story-token-2";
    world.vendor().add_token(other);
    world.write_secret("edgee-console", &[("token", other)]).await;
    world.ready("ConsoleToken", "edgee").await;
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"rotation": {"trigger": "a"}}})).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    only(world, "checkout").await;
}

pub async fn an_expiry_that_was_moved_at_the_vendor_is_planned_for(world: &mut World) {
    if world.vendor_id.capabilities().support(SpecField::ExpiresInDays) != Support::AtCreation {
        // At other vendors the expiry is moved back.
        return;
    }
    world.token().await;
    let spec = json!({"expiresInDays": 90, "rotation": {"overlap": "1s", "brownOut": "0s"}});
    world.key("checkout", spec).await;
    let key = only(world, "checkout").await;
    let soon = world.clock.now() + jiff::SignedDuration::from_mins(70);
    assert!(world.vendor().expire(&key.id, Some(soon)));
    world
        .eventually("it is replaced before", async || {
            let status = world.status("GatewayApiKey", "checkout").await;
            let reason = &status["lastRotation"]["reason"];
            if reason == "Expiry" { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    assert!(world.clock.now() < soon, "the old one works still");
    let later = world.clock.now() + jiff::SignedDuration::from_hours(24 * 900);
    world.ready("GatewayApiKey", "checkout").await;
    let next = |status: &serde_json::Value| status["nextRotationTime"].as_str().map(str::to_owned);
    let before = next(&world.status("GatewayApiKey", "checkout").await);
    assert!(world.vendor().expire(&served(world, "checkout").await.unwrap().id, Some(later)));
    world
        .eventually("the plan follows", async || {
            let now = next(&world.status("GatewayApiKey", "checkout").await);
            if now > before { Ok(()) } else { Err(format!("{now:?} {before:?}")) }
        })
        .await;
}

pub async fn an_expiry_that_the_vendor_does_not_show_is_reported_and_used_for_rotation(world: &mut World) {
    if world.vendor_id.capabilities().support(SpecField::ExpiresInDays) != Support::AtCreation {
        return;
    }
    world.token().await;
    world.key("checkout", json!({"expiresInDays": 30})).await;
    let key = only(world, "checkout").await;
    assert!(world.vendor().expire(&key.id, None));
    let said = world
        .eventually("it is said", async || {
            let found = world.condition("GatewayApiKey", "checkout", "ExpiryUnconfirmed").await;
            found.filter(|it| it.0 == "True").ok_or_else(|| "not said".to_owned())
        })
        .await;
    assert!(said.2.contains("spec.expiresInDays: 30"), "{said:?}");
    let status = world.status("GatewayApiKey", "checkout").await;
    assert!(status["nextRotationTime"].is_string(), "{status}");
}

pub async fn a_successor_shares_what_is_left_of_the_budget(world: &mut World) {
    if !world.vendor_id.capabilities().tells_remaining {
        return;
    }
    world.token().await;
    let spec = json!({
        "budget": {"amount": "10", "period": "Monthly"}, "rotation": {"overlap": "2h", "trigger": "a"},
    });
    world.key("checkout", spec).await;
    let old = only(world, "checkout").await;
    assert!(world.vendor().spend(&old.id, 9_000_000));
    let new = super::rotating::rotate(world, "checkout", trigger("b")).await;
    let left = new.remaining_micros.unwrap();
    assert!(left <= 1_000_000, "never more than what was left, from its first moment: {left}");
    world
        .eventually("both together have what was left", async || {
            let left: u64 = world.keys().iter().filter_map(|key| key.remaining_micros).sum();
            if left <= 1_000_000 { Ok(()) } else { Err(left.to_string()) }
        })
        .await;
    assert!(world.accepts(&world.entry("checkout", "key").await.unwrap()));
    world.pass(Duration::from_secs(3 * 3600), Duration::ZERO).await;
    let new = only(world, "checkout").await;
    assert_eq!(new.remaining_micros, Some(1_000_000), "what the old one did not spend came back");
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["lastRotation"]["budget"], "CarriedOver");
    world.pass(Duration::from_secs(11 * 86_400), Duration::ZERO).await;
    assert_eq!(only(world, "checkout").await.remaining_micros, Some(10_000_000), "the next month has all");
}

pub async fn a_successor_whose_answer_was_lost_shares_the_budget_too(world: &mut World) {
    if !world.vendor_id.capabilities().tells_remaining {
        return;
    }
    world.token().await;
    let spec = json!({
        "budget": {"amount": "10", "period": "Monthly"}, "rotation": {"overlap": "2h", "trigger": "a"},
    });
    world.key("checkout", spec).await;
    let old = only(world, "checkout").await;
    assert!(world.vendor().spend(&old.id, 9_000_000));
    world.fail_once("POST", Effect::DropAfter);
    super::rotating::rotate(world, "checkout", trigger("b")).await;
    world
        .eventually("both together have what was left", async || {
            let left: u64 = world.keys().iter().filter_map(|key| key.remaining_micros).sum();
            if left <= 1_000_000 { Ok(()) } else { Err(left.to_string()) }
        })
        .await;
    assert!(world.accepts(&world.entry("checkout", "key").await.unwrap()));
}

pub async fn previous_keys_are_limited_and_the_spendable_budget_is_reported(world: &mut World) {
    world.token().await;
    let spec = world.vendor_id.full(json!({
        "budget": {"amount": "100", "period": "Monthly"}, "rotation": {"overlap": "12h", "trigger": "a"},
    }));
    world.key("checkout", spec).await;
    let asked = |value: usize| json!({"metadata": {"annotations": {"keysmith.dev/rotate-requested-at": value.to_string()}}});
    for value in 1..=4 {
        super::rotating::rotate(world, "checkout", asked(value)).await;
        world
            .eventually("no more than two old keys", async || {
                let keys = world.keys().len();
                if keys <= 3 { Ok(()) } else { Err(format!("{keys} keys")) }
            })
            .await;
    }
    assert_eq!(world.keys().len(), 3, "the served one and two old ones");
    if world.vendor_id.capabilities().support(SpecField::Budget) != Support::Unsupported {
        let events = world.events().await;
        let shown = events.iter().any(|(reason, note)| {
            reason == "Rotated" && (note.contains("together") || note.contains("share"))
        });
        assert!(shown, "{events:?}");
    }
}
