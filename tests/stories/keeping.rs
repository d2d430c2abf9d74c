//! Reconciled state: the Secret, the key at the vendor, and their settings.

use crate::support::drivers::Driver;
use crate::support::world::{TOKEN, World, merged};
use keysmith::emulator::{Effect, Seen};
use keysmith::plan::capability::Support;
use keysmith::plan::spec_field::SpecField;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;

pub async fn a_deleted_secret_comes_back_with_the_same_key(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.served("checkout", "key").await;
    world.secrets().delete("checkout", &DeleteParams::default()).await.unwrap();
    assert_eq!(world.served("checkout", "key").await, id);
    assert_eq!(world.vendor_writes(), [world.creation()]);
    assert!(world.event("SecretRestored").await.contains("deleted"));
}

pub async fn an_edited_secret_is_restored(world: &mut World) {
    world.forges_serials = true;
    world.token().await;
    let secret = json!({"template": {"metadata": {"labels": {"team": "shop"}}}});
    let rotation = json!({"overlap": "1s", "brownOut": "0s"});
    world.key("checkout", json!({"secret": secret, "rotation": rotation})).await;
    let mut id = world.served("checkout", "key").await;
    for patch in [
        json!({"data": {"key": "Zm9v"}}),
        json!({"data": {"key": null}}),
        json!({"data": {"more": "Zm9v"}}),
        json!({"metadata": {"annotations": {"keysmith.dev/key-id": "key_of_somebody_else"}}}),
        json!({"metadata": {"annotations": {"keysmith.dev/serial": "0", "keysmith.dev/content": null}}}),
        json!({"metadata": {"labels": {"team": null}}}),
        json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}),
    ] {
        world.secrets().patch("checkout", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        // The key is replaced only if its bytes are lost and the vendor cannot reveal them; for a second loss within
        // the hour, only on request.
        if patch.pointer("/data/key").is_some() && !world.vendor_id.reveals() {
            if patch["data"]["key"].is_null() {
                world.reason("GatewayApiKey", "checkout", "SecretContested").await;
                let asked =
                    json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "again"}}});
                world.edit("GatewayApiKey", "checkout", asked).await.unwrap();
            }
            id = replaced(world, &id).await;
        }
        let serial = world.status("GatewayApiKey", "checkout").await["serial"].to_string();
        world
            .eventually(&format!("{patch} is set right"), async || {
                let secret = world.secrets().get("checkout").await.unwrap();
                let labels = secret.metadata.labels.unwrap_or_default();
                let annotations = secret.metadata.annotations.unwrap_or_default();
                let entries = secret.data.unwrap_or_default().len();
                let right = entries == 1
                    && labels.get("team").is_some_and(|it| it == "shop")
                    && labels.get("app.kubernetes.io/managed-by").is_some_and(|it| it == "keysmith")
                    && annotations.get("keysmith.dev/key-id") == Some(&id)
                    && annotations.get("keysmith.dev/serial") == Some(&serial)
                    && annotations.contains_key("keysmith.dev/content");
                if right { Ok(()) } else { Err(format!("{entries} entries, {labels:?}, {annotations:?}")) }
            })
            .await;
        assert_eq!(world.served("checkout", "key").await, id, "after {patch}");
    }
    // Labels and annotations of other writers stay.
    let patch = json!({"metadata": {"annotations": {"example.com/note": "x"}}});
    world.secrets().patch("checkout", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    world
        .secrets()
        .patch("checkout", &PatchParams::default(), &Patch::Merge(json!({"data": {"key": "Zm9v"}})))
        .await
        .unwrap();
    if !world.vendor_id.reveals() {
        lost_again(world).await;
    }
    world.served("checkout", "key").await;
    let secret = world.secrets().get("checkout").await.unwrap();
    assert_eq!(secret.metadata.annotations.unwrap()["example.com/note"], "x");
}

/// A Secret that lost its key twice within an hour gets another one on request only.
async fn lost_again(world: &World) {
    world.reason("GatewayApiKey", "checkout", "SecretContested").await;
    let asked = world.clock.now().to_string();
    let asked = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": asked}}});
    world.edit("GatewayApiKey", "checkout", asked).await.unwrap();
}

/// Waits until the Secret holds another key than that one, and only that key exists. Returns its id.
async fn replaced(world: &World, id: &str) -> String {
    world
        .eventually("the key is replaced", async || {
            if world.only_key_id().is_some_and(|it| it != id) {
                Ok(())
            } else {
                Err(format!("{:?}", world.keys()))
            }
        })
        .await;
    world.served("checkout", "key").await
}

pub async fn a_foreign_key_named_in_the_secret_is_neither_adopted_nor_revoked(world: &mut World) {
    world.forges_serials = true;
    let theirs = world.vendor().add_key("theirs");
    world.token().await;
    world.key("checkout", json!({})).await;
    // A user who may edit Secrets, but nothing else, points the annotations at a foreign key.
    world.stop().await;
    let forged =
        json!({"metadata": {"annotations": {"keysmith.dev/key-id": theirs.id, "keysmith.dev/serial": "2"}}});
    world.secrets().patch("checkout", &PatchParams::default(), &Patch::Merge(forged)).await.unwrap();
    let claim = json!({"metadata": {"annotations": {
        "keysmith.dev/claim": format!(r#"{{"serial":2,"at":"{}","purpose":"create"}}"#, world.clock.now()),
    }}});
    world.edit("GatewayApiKey", "checkout", claim).await.unwrap();
    world.start().await;
    world.pass(Duration::from_secs(600), Duration::from_secs(5)).await;
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_ne!(status["id"], theirs.id.as_str());
    world.delete("GatewayApiKey", "checkout").await;
    world.gone("GatewayApiKey", "checkout").await;
    assert_eq!(world.only_key().id, theirs.id, "only theirs is left");
    assert!(world.accepts(&theirs.secret));
}

pub async fn a_key_deleted_in_the_console_is_issued_again(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.served("checkout", "key").await;
    // A listing may lag behind the creation, so a young key does not count as lost.
    world.pass(Duration::from_secs(60), Duration::from_secs(0)).await;
    assert!(world.vendor().delete_key(&id));
    if !world.is_simulated() {
        ask_for_a_look(world).await;
    }
    let new = world.served("checkout", "key").await;
    assert_ne!(new, id);
    world
        .eventually("status names the new key", async || {
            let status = world.status("GatewayApiKey", "checkout").await;
            if status["id"] == new.as_str() && status["serial"] == 2 {
                Ok(())
            } else {
                Err(status.to_string())
            }
        })
        .await;
    world.event("KeyLost").await;
}

async fn ask_for_a_look(world: &World) {
    let patch = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "now"}}});
    world.edit("GatewayApiKey", "checkout", patch).await.unwrap();
}

pub async fn settings_drift_in_the_console_is_corrected(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({"models": ["m-1"], "budget": {"amount": "5", "period": "Monthly"}})).await;
    let id = world.served("checkout", "key").await;
    let changed = world.edgee().edit_key(&id, |key| {
        key.active = false;
        key.models = vec!["m-2".to_owned()];
        key.max_usage = None;
        key.email = Some("somebody@example.com".to_owned());
        key.name = key.name.replace("checkout", "mine now");
    });
    assert!(changed);
    world
        .eventually("the key is set right", async || {
            let key = world.only_edgee_key();
            let right = key.active
                && key.models == ["m-1"]
                && key.max_usage == Some(5)
                && key.email.is_none()
                && key.name.starts_with("checkout [ks-");
            if right { Ok(()) } else { Err(format!("{key:?}")) }
        })
        .await;
    let note = world.event("DriftCorrected").await;
    for field in ["spec.active", "spec.models", "spec.budget", "spec.email", "spec.displayName"] {
        assert!(note.contains(field), "{note}");
    }
}

pub async fn limits_removed_in_the_console_are_restored(world: &mut World) {
    world.token().await;
    let limits = json!({"budget": {"amount": "5", "period": "Monthly"}, "expiresInDays": 90});
    world.key("checkout", limits).await;
    let before = world.only_key();
    assert!(before.expires_at.is_some() && world.vendor().unlimit(&before.id));
    world
        .eventually("the limits are back", async || {
            let key = world.only_key();
            let expiry =
                |key: &Seen| key.expires_at.map(|at| at.duration_since(key.created_at).as_hours() / 24);
            let right = key.budget_micros == Some(5_000_000) && expiry(&key) == expiry(&before);
            if right { Ok(()) } else { Err(format!("{:?} {key:?}", key.budget_micros)) }
        })
        .await;
    assert_eq!(world.served("checkout", "key").await, before.id, "in place");
    let note = world.event("DriftCorrected").await;
    assert!(note.contains("spec.budget"), "{note}");
    let moved = world.vendor_id.capabilities().support(SpecField::ExpiresInDays) == Support::InPlace;
    assert_eq!(note.contains("spec.expiresInDays"), moved, "{note}");
}

/// A human changes key `x`, and before the next poll the deletion of another resource lists the vendor.
async fn looked_at_by_another(
    world: &mut World,
    fields: serde_json::Value,
    change: impl FnOnce(&World, &str),
) {
    world.token().await;
    world.key("x", fields).await;
    let id = world.only_key().id;
    world.key("z", json!({})).await;
    tokio::time::sleep(Duration::from_secs(900)).await;
    change(world, &id);
    world.delete("GatewayApiKey", "z").await;
    world.gone("GatewayApiKey", "z").await;
    let lists = world.calls("GET");
    world.pass(Duration::from_secs(2 * 330), Duration::from_secs(5)).await;
    assert!(world.calls("GET") > lists, "there was a poll");
}

pub async fn drift_is_corrected_although_another_listing_saw_it_first(world: &mut World) {
    let limits = json!({"budget": {"amount": "5", "period": "Monthly"}, "expiresInDays": 90});
    looked_at_by_another(world, limits, |world, id| assert!(world.vendor().unlimit(id))).await;
    let key = world.only_key();
    assert_eq!(key.budget_micros, Some(5_000_000), "{key:?}");
    assert!(world.event("DriftCorrected").await.contains("spec.budget"));
}

pub async fn a_disabled_key_is_enabled_again_although_another_listing_saw_it_first(world: &mut World) {
    looked_at_by_another(world, json!({}), |world, id| {
        let changed = world.edgee().edit_key(id, |key| {
            key.active = false;
            key.max_usage = Some(9999);
        });
        assert!(changed);
    })
    .await;
    let key = world.only_edgee_key();
    assert!(key.active && key.max_usage.is_none(), "{key:?}");
}

pub async fn an_unused_key_is_revoked_although_another_listing_saw_it_first(world: &mut World) {
    let fields = json!({"rotation": {"trigger": "a", "overlap": "1s", "brownOut": "0s"}});
    world.token().await;
    world.key("x", fields).await;
    let name = world.only_key().name;
    world.edit("GatewayApiKey", "x", json!({"spec": {"rotation": {"trigger": "b"}}})).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let id = world.served("x", "key").await;
    world.key("z", json!({})).await;
    tokio::time::sleep(Duration::from_secs(900)).await;
    // The first key's create call lands once more, weeks later.
    world.vendor().add_key(&name);
    world.delete("GatewayApiKey", "z").await;
    world.gone("GatewayApiKey", "z").await;
    tokio::time::sleep(Duration::from_secs(2 * 330)).await;
    assert_eq!(world.served("x", "key").await, id);
}

pub async fn a_reconcile_request_lists_the_vendor(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.served("checkout", "key").await;
    assert!(world.edgee().edit_key(&id, |key| key.debug_mode = true));
    ask_for_a_look(world).await;
    world
        .eventually("the asked-for look is echoed", async || {
            let status = world.status("GatewayApiKey", "checkout").await;
            if status["lastHandledReconcileAt"] == "now" { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    assert!(!world.only_edgee_key().debug_mode);
}

pub async fn an_amendment_that_the_vendor_ignores_is_reported(world: &mut World) {
    world.edgee().set_switches(|it| {
        it.ignored_updates.insert("max_usage".to_owned());
    });
    world.token().await;
    world.key("checkout", json!({})).await;
    world
        .edit("GatewayApiKey", "checkout", json!({"spec": {"budget": {"amount": "7", "period": "Monthly"}}}))
        .await
        .unwrap();
    let message = world.reason("GatewayApiKey", "checkout", "NotApplied").await;
    assert!(message.contains("spec.budget"), "{message}");
    let calls = world.vendor_writes().len();
    world.pass(Duration::from_secs(120), Duration::from_secs(3)).await;
    assert!(world.vendor_writes().len() <= calls + 4, "no hot loop: {:?}", world.vendor_writes());
    world.edgee().set_switches(|it| it.ignored_updates.clear());
    ask_for_a_look(world).await;
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(world.only_edgee_key().max_usage, Some(7));
}

pub async fn an_expired_key_is_replaced(world: &mut World) {
    world.token().await;
    let rotation = json!({"overlap": "1m", "brownOut": "0s"});
    world.key("checkout", json!({"expiresInDays": 30, "rotation": rotation})).await;
    let id = world.served("checkout", "key").await;
    // No operator runs that could rotate the key in time.
    world.stop().await;
    // A vendor may have got a slightly later expiry.
    tokio::time::sleep(Duration::from_secs(30 * 86_400 + 900)).await;
    let dead = world.vendor_id.capabilities().ability().expires;
    assert_eq!(world.accepts(&world.entry("checkout", "key").await.unwrap()), !dead);
    world.start().await;
    replaced(world, &id).await;
    world.ready("GatewayApiKey", "checkout").await;
    world.event(if dead { "KeyExpired" } else { "Rotated" }).await;
}

pub async fn a_key_that_was_expired_when_it_was_made_is_not_made_again_and_again(world: &mut World) {
    world.token().await;
    let rotation = json!({"overlap": "1m", "brownOut": "0s"});
    world.key("checkout", json!({"expiresInDays": 1, "rotation": rotation})).await;
    // The vendor's clock is far behind ours: every key that it creates has expired already.
    let past = world.clock.now() - jiff::SignedDuration::from_hours(1);
    let id = world.only_key().id;
    assert!(world.edgee().edit_key(&id, |key| key.expires_at = Some(past)));
    ask_for_a_look(world).await;
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!(world.creations(), 1);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    world.served("checkout", "key").await;
}

pub async fn last_use_is_shown_to_the_hour_and_written_no_oftener(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.served("checkout", "key").await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let writes = world.writes().len();
    for _ in 0..180 {
        let now = world.clock.now();
        assert!(world.edgee().edit_key(&id, |key| key.last_used_at = Some(now)));
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let status = world.status("GatewayApiKey", "checkout").await;
    let used = status["lastUsedAt"].as_str().unwrap();
    assert!(used.ends_with(":00:00Z"), "{used}");
    let writes = world.writes().len() - writes;
    assert!((1..=4).contains(&writes), "{writes} writes in three hours of constant use");
}

pub async fn a_late_create_call_is_found_by_its_mark_and_removed(world: &mut World) {
    world.token().await;
    // The call lands long after its sender gave up and created another key.
    world.fail_once("POST", Effect::Delay { millis: 400_000 });
    world.key("checkout", json!({})).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    world.served("checkout", "key").await;
    let status = world.status("GatewayApiKey", "checkout").await;
    assert_eq!(status["serial"], 2);
}

/// The API server drops fields that the definition does not have: the former places have to be in it.
pub async fn a_status_of_version_0_1_is_understood_and_moves_with_the_next_write(world: &mut World) {
    world.token().await;
    world.key("checkout", json!({})).await;
    let id = world.served("checkout", "key").await;
    let creations = world.creations();
    let internal = world.status("GatewayApiKey", "checkout").await["internal"].clone();
    let former = json!({
        "internal": null, "settledSerial": internal["settledSerial"], "madeAs": internal["immutableFieldsHash"],
        "appliedGeneration": internal["appliedGeneration"], "keyCount": internal["keyCount"],
    });
    let patch = Patch::Merge(json!({"status": former}));
    world.api("GatewayApiKey").patch_status("checkout", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(world.status("GatewayApiKey", "checkout").await["madeAs"], internal["immutableFieldsHash"]);
    let asked = json!({"metadata": {"annotations": {"keysmith.dev/reconcile-requested-at": "now"}}});
    world.edit("GatewayApiKey", "checkout", asked).await.unwrap();
    world
        .eventually("the fields are moved", async || {
            let status = world.status("GatewayApiKey", "checkout").await;
            let moved =
                status["internal"] == internal && status["madeAs"].is_null() && status["keyCount"].is_null();
            if moved { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(
        (world.served("checkout", "key").await, world.creations()),
        (id, creations),
        "nothing is made"
    );
}

/// Without a right to list and watch Secrets they are read by name, once per poll; nothing else is slower.
pub async fn secrets_that_are_not_watched_are_read_once_per_poll(world: &mut World) {
    world.stop().await;
    world.watch_secrets = false;
    world.start().await;
    world.token().await;
    world.key("checkout", json!({})).await;
    let before = world.cluster().requests().len();
    world.lose_secret("checkout").await;
    world.pass(Duration::from_secs(700), Duration::ZERO).await;
    assert!(world.entry("checkout", "key").await.is_some(), "the Secret is back after a poll");
    let requests = world.cluster().requests().split_off(before);
    let listed = |it: &&crate::support::cluster::Request| {
        it.actor == "operator" && it.resource == "secrets" && (it.verb == "list" || it.verb == "watch")
    };
    assert_eq!(requests.iter().filter(listed).count(), 0);
    // A new token in the Secret is picked up by the poll of the token.
    world.write_secret("edgee-console", &[("token", "edgee-emulated-unknown")]).await;
    world.reason("ConsoleToken", "edgee", "TokenRefused").await;
    // So is a Secret that comes long after the token gave up waiting for it.
    let late = merged(world.token_spec(), json!({"secretRef": {"name": "late", "key": "token"}}));
    world.create("ConsoleToken", "late", late).await;
    world.reason("ConsoleToken", "late", "SecretMissing").await;
    world.pass(Duration::from_secs(3600), Duration::from_secs(10)).await;
    world.write_secret("late", &[("token", TOKEN)]).await;
    world.pass(Duration::from_secs(90), Duration::from_secs(1)).await;
    world.ready("ConsoleToken", "late").await;
    // The Secret of another name was held for a dependent. Renamed while no operator runs, it is let go all the same.
    world.key("shop", json!({"consoleTokenRef": {"name": "late"}})).await;
    world.stop().await;
    world.write_secret("later", &[("token", TOKEN)]).await;
    let renamed = json!({"spec": {"secretRef": {"name": "later", "key": "token"}}});
    world.edit("ConsoleToken", "late", renamed).await.unwrap();
    world.start().await;
    world.pass(Duration::from_secs(60), Duration::from_secs(1)).await;
    world.secrets().delete("late", &DeleteParams::default()).await.unwrap();
    let gone = async || {
        world.secrets().get_opt("late").await.unwrap().map_or(Ok(()), |it| Err(format!("{:?}", it.metadata)))
    };
    world.eventually("the former Secret goes", gone).await;
}

/// A server may fill in what a request leaves out. Such a limit is not fought, and a new key has it as well; the specification
/// counts as soon as it names the field.
pub async fn a_limit_that_the_server_fills_in_is_kept(world: &mut World) {
    let defaults = json!({"max_budget": 20, "budget_duration": "30d", "models": ["gpt-small"], "duration": "90d", "rpm_limit": 50});
    let Value::Object(defaults) = defaults else { unreachable!() };
    world.emulator.litellm().set_switches(|it| it.defaults = defaults);
    world.token().await;
    world.key("checkout", json!({"rotation": {"trigger": "a", "overlap": "1s", "brownOut": "0s"}})).await;
    let limits = || {
        let keys = world.emulator.litellm().keys();
        let newest = keys.into_iter().filter(|key| key.minted).max_by_key(|key| key.serial).unwrap();
        (newest.budget, newest.rhythm, newest.models, newest.rates.requests, newest.expires.is_some())
    };
    let filled = (Some(20_000_000), Some("30d".to_owned()), vec!["gpt-small".to_owned()], Some(50), true);
    world.pass(Duration::from_secs(1200), Duration::from_secs(5)).await;
    assert_eq!(limits(), filled);
    let calls = world.vendor_writes().len();
    assert_eq!(calls, 1, "{:?}", world.vendor_writes());
    super::rotating::rotate(world, "checkout", super::rotating::trigger("b")).await;
    world.pass(Duration::from_secs(1200), Duration::from_secs(5)).await;
    assert_eq!(limits(), filled);
    let spec = json!({"spec": {"budget": {"amount": "30", "period": "Daily"}, "models": ["gpt-large"]}});
    world.edit("GatewayApiKey", "checkout", spec).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    let named = (Some(30_000_000), Some("1d".to_owned()), vec!["gpt-large".to_owned()], Some(50), true);
    assert_eq!(limits(), named);
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"budget": null}})).await.unwrap();
    world.ready("GatewayApiKey", "checkout").await;
    assert_eq!(limits().0, None, "once named, left out means none");
}
