//! A token of another account, or of an account that has lost its keys: the keys are held, and none is lost.

use crate::support::drivers::Driver as _;
use crate::support::elsewhere::{lead, vendors};
use crate::support::world::World;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use keysmith::plan::ledger::{Entry, Why};
use kube::Api;
use serde_json::json;
use std::time::Duration;

/// The token of the other account.
const OTHER: &str = "sk-ek_live_emulated-story-other";
const ACCEPT: &str = "keysmith.dev/accept-account";

/// Two settled keys, old enough to be in every listing, in an account with the name `account` at the vendor.
async fn settled(world: &mut World, account: Option<&str>) -> Vec<String> {
    lead(account, []);
    world.vendors = vendors();
    world.stop().await;
    world.start().await;
    world.token().await;
    for name in ["one", "two"] {
        world.key(name, json!({})).await;
    }
    world.vendor().add_token(OTHER);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let ids: Vec<_> = world.keys().into_iter().map(|key| key.id).collect();
    assert_eq!(ids.len(), 2);
    ids
}

async fn put(world: &World, token: &str) {
    world.write_secret("edgee-console", &[("token", token)]).await;
}

async fn accept(world: &World, account: Option<&str>) {
    world
        .edit("ConsoleToken", "edgee", json!({"metadata": {"annotations": {ACCEPT: account}}}))
        .await
        .unwrap();
}

/// Verifies that for a day no key is created, revoked or lost.
async fn nothing_happens(world: &World) {
    let (writes, keys) = (world.vendor_writes(), world.keys());
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert_eq!(world.vendor_writes(), writes, "nothing is made or revoked");
    assert_eq!(world.keys().len(), keys.len());
    for name in ["one", "two"] {
        assert!(world.accepts(&world.entry(name, "key").await.unwrap()), "{name}");
    }
}

async fn doubted(world: &World) -> Option<Timestamp> {
    let status = world.status("ConsoleToken", "edgee").await;
    status["account"]["doubtedSince"].as_str().map(|it| it.parse().unwrap())
}

fn gauge(world: &World) -> bool {
    let metrics = world.metrics.text();
    metrics.lines().any(|it| it.starts_with("keysmith_accounts_doubted{") && it.ends_with(" 1"))
}

pub async fn a_token_of_another_account_is_refused_until_the_old_one_is_back(world: &mut World) {
    let ids = settled(world, Some("home")).await;
    assert_eq!(world.status("ConsoleToken", "edgee").await["account"]["id"], "home");
    lead(Some("away"), ids);
    put(world, OTHER).await;
    let message = world.reason("ConsoleToken", "edgee", "AccountChanged").await;
    assert!(message.contains("account home") && message.contains("account away"), "{message}");
    assert!(gauge(world) && doubted(world).await.is_some());
    nothing_happens(world).await;
    let count = world.events().await.iter().filter(|(reason, _)| reason == "AccountChanged").count();
    assert_eq!(count, 1, "once");
    lead(Some("home"), []);
    put(world, crate::support::world::TOKEN).await;
    world.reason("ConsoleToken", "edgee", "Verified").await;
    assert!(!gauge(world) && doubted(world).await.is_none());
    nothing_happens(world).await;
}

pub async fn a_token_of_another_account_is_suspected_by_its_missing_keys(world: &mut World) {
    let ids = settled(world, None).await;
    lead(None, ids);
    put(world, OTHER).await;
    let message = world.reason("ConsoleToken", "edgee", "AccountSuspicious").await;
    let status = world.status("ConsoleToken", "edgee").await;
    let (old, new) = (&status["account"]["id"], &status["account"]["candidate"]["id"]);
    assert!(old != new && message.contains(new.as_str().unwrap()), "{message}");
    nothing_happens(world).await;
    // The doubt survives a restart of the operator.
    world.stop().await;
    world.start().await;
    nothing_happens(world).await;
    world.reason("ConsoleToken", "edgee", "AccountSuspicious").await;
    lead(None, []);
    put(world, crate::support::world::TOKEN).await;
    world.reason("ConsoleToken", "edgee", "Verified").await;
    nothing_happens(world).await;
}

pub async fn keys_that_are_missing_together_are_a_doubt_that_ends_by_itself(world: &mut World) {
    let ids = settled(world, Some("home")).await;
    lead(Some("home"), ids.clone());
    world.reason("ConsoleToken", "edgee", "AccountSuspicious").await;
    nothing_happens(world).await;
    // One listed key is enough. A user deleted the other key, which its own verification detects.
    lead(Some("home"), ids.into_iter().skip(1));
    world.reason("ConsoleToken", "edgee", "Verified").await;
    world.ready("GatewayApiKey", "two").await;
    lead(Some("home"), []);
}

pub async fn another_account_is_accepted_and_the_keys_left_behind_are_in_the_ledger(world: &mut World) {
    let ids = settled(world, Some("home")).await;
    lead(Some("away"), ids.clone());
    put(world, OTHER).await;
    world.reason("ConsoleToken", "edgee", "AccountChanged").await;
    accept(world, Some("somewhere")).await;
    nothing_happens(world).await;
    accept(world, Some("away")).await;
    world.reason("ConsoleToken", "edgee", "Verified").await;
    let note = world.event("AccountAccepted").await;
    assert!(note.contains("account away") && note.contains("account home"), "{note}");
    world
        .eventually("both keys are made anew", async || {
            let keys = world.keys().len();
            if keys == 4 { Ok(()) } else { Err(format!("{keys} keys")) }
        })
        .await;
    for name in ["one", "two"] {
        world.ready("GatewayApiKey", name).await;
        let status = world.status("GatewayApiKey", name).await;
        assert!(!ids.iter().any(|id| status["id"] == id.as_str()), "{status}");
    }
    let ledger: Api<ConfigMap> = Api::namespaced(world.user.clone(), &world.ledger_namespace);
    let entries =
        ledger.get(&format!("keysmith-ledger-{}", world.namespace)).await.unwrap().data.unwrap_or_default();
    let entries: Vec<_> = entries.values().map(|it| Entry::decode(it).unwrap()).collect();
    for id in &ids {
        let entry = entries.iter().find(|it| it.key_id.as_ref() == Some(id)).expect("it is in the ledger");
        assert_eq!((entry.why, entry.serial), (Why::AccountChanged, Some(1)));
        let account = entry.place.account.as_str();
        assert!(["home", &world.vendor_id.account()].contains(&account), "{entry:?}");
    }
    let status = world.status("ConsoleToken", "edgee").await;
    assert_eq!(
        (&status["account"]["id"], &status["lastHandledAcceptAccount"]),
        (&json!("away"), &json!("away"))
    );
    // The annotation stays, and does not accept the next account.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let elsewhere: Vec<_> = world.keys().into_iter().map(|key| key.id).collect();
    lead(Some("home"), elsewhere.clone());
    put(world, crate::support::world::TOKEN).await;
    world.reason("ConsoleToken", "edgee", "AccountChanged").await;
    lead(Some("away"), ids);
    put(world, OTHER).await;
    world.reason("ConsoleToken", "edgee", "Verified").await;
    accept(world, None).await;
    world
        .eventually("the echo goes with the annotation", async || {
            let status = world.status("ConsoleToken", "edgee").await;
            if status["lastHandledAcceptAccount"].is_null() { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
}
