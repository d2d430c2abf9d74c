//! Many keys at once, at a vendor with a low rate limit.

use crate::support::replica::Limit;
use crate::support::world::{TOKEN, World, key_spec};
use serde_json::json;
use std::time::Duration;

pub async fn many_keys_wait_for_a_rate_limit_permit_and_none_takes_a_second_serial(world: &mut World) {
    world.token().await;
    let names: Vec<_> = (0..60).map(|number| format!("key-{number}")).collect();
    for name in &names {
        world.create("GatewayApiKey", name, key_spec(json!({}))).await;
    }
    for name in &names {
        world.ready("GatewayApiKey", name).await;
        assert_eq!(world.status("GatewayApiKey", name).await["serial"], json!(1), "{name}");
    }
    assert_eq!(world.vendor().created_total(), 60);
}

/// A vendor limits the rate of accounts, not of tokens.
pub async fn eight_namespaces_of_one_account_share_its_budget(world: &mut World) {
    world.stop().await;
    let limit = Limit::new(10);
    (world.everywhere, world.limit) = (true, Some(limit.clone()));
    world.start().await;
    let place = world.namespace.clone();
    let namespaces: Vec<_> = (0..8).map(|number| format!("team-{number}")).collect();
    let keys: Vec<_> = (0..6).map(|number| format!("key-{number}")).collect();
    for namespace in &namespaces {
        world.cluster().add_namespace(namespace);
        world.namespace.clone_from(namespace);
        world.write_secret("edgee-console", &[("token", TOKEN)]).await;
        world.create("ConsoleToken", "edgee", world.token_spec()).await;
        for key in &keys {
            world.create("GatewayApiKey", key, key_spec(json!({}))).await;
        }
    }
    for namespace in &namespaces {
        world.namespace.clone_from(namespace);
        world.ready("ConsoleToken", "edgee").await;
        for key in &keys {
            world.ready("GatewayApiKey", key).await;
        }
    }
    assert_eq!(world.vendor().created_total(), 48);
    // With eight separate budgets, 43 of 160 calls were refused. Some of our calls are two requests, so a burst may
    // exceed the limit a little.
    assert!(limit.refused() <= 8, "{} calls were refused", limit.refused());
    // At rest one listing serves all of them. The tokens take turns to list, which also proves each token.
    world.pass(Duration::from_secs(3600), Duration::ZERO).await;
    let before = world.emulator.calls().len();
    world.pass(Duration::from_secs(3 * 3600), Duration::ZERO).await;
    let calls = world.emulator.calls().len() - before;
    assert!((32..=41).contains(&calls), "{calls} calls in three hours");
    // A change by a human is noticed by the token that owns the key.
    world.namespace.clone_from(&namespaces[5]);
    let id = world.status("GatewayApiKey", "key-3").await["id"].as_str().unwrap().to_owned();
    assert!(world.vendor().delete_key(&id));
    world.pass(Duration::from_secs(400), Duration::ZERO).await;
    assert_ne!(world.status("GatewayApiKey", "key-3").await["id"], json!(id));
    world.namespace = place;
}

/// Several namespaces, each with a token of one account: the account is listed once per poll, however the namespaces
/// are watched.
pub async fn watched_namespaces_of_one_account_list_it_once_per_poll(world: &mut World) {
    world.stop().await;
    let place = world.namespace.clone();
    world.beside = (0..5).map(|number| format!("team-{number}")).collect();
    let namespaces = world.beside.clone();
    for namespace in &namespaces {
        world.cluster().add_namespace(namespace);
    }
    world.start().await;
    for namespace in &namespaces {
        world.namespace.clone_from(namespace);
        world.token().await;
        world.key("checkout", json!({})).await;
    }
    world.pass(Duration::from_secs(2 * 3600), Duration::ZERO).await;
    world.emulator.clear_calls();
    world.pass(Duration::from_secs(10 * 3600), Duration::ZERO).await;
    let times: Vec<_> = world.emulator.calls().iter().map(|it| it.at).collect();
    // The interval is moved by up to a tenth in either direction.
    let early = times.windows(2).filter(|it| it[1].duration_since(it[0]).as_secs() < 270).count();
    assert_eq!(early, 0, "of {} listings in 120 polls", times.len());
    world.namespace = place;
}
