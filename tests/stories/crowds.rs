//! Many keys at once, at a vendor with a low rate limit.

use crate::support::replica::Limit;
use crate::support::world::{TOKEN, World, key_spec};
use keysmith::emulator::{Effect, Rule};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

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

/// The rate of the ConsoleToken holds for its account, and an edit of it from then on. A vendor that allows less than that
/// refuses few calls: its refusals halve the rate.
pub async fn keys_are_made_at_the_rate_that_the_token_is_given(world: &mut World) {
    world.token().await;
    let give = async |world: &World, rate: u32| {
        let rate = json!({"spec": {"callsPerSecond": rate}});
        world.edit("ConsoleToken", "edgee", rate).await.unwrap();
        world.pass(Duration::from_secs(2), Duration::ZERO).await;
    };
    give(world, 1).await;
    for number in 0..60 {
        world.create("GatewayApiKey", &format!("key-{number}"), key_spec(json!({}))).await;
    }
    world.pass(Duration::from_secs(20), Duration::ZERO).await;
    let slowly = world.keys().len();
    assert!((8..=26).contains(&slowly), "{slowly} keys in twenty seconds at one call per second");
    give(world, 500).await;
    world.pass(Duration::from_secs(15), Duration::ZERO).await;
    assert_eq!(world.keys().len(), 60, "none waits any longer");
}

/// See the story before: here the token says more than the vendor allows.
pub async fn a_vendor_that_throttles_is_called_less(world: &mut World) {
    let limit = Limit::new(3);
    everywhere(world, Some(limit.clone())).await;
    world.token().await;
    world.edit("ConsoleToken", "edgee", json!({"spec": {"callsPerSecond": 100}})).await.unwrap();
    for number in 0..300 {
        world.create("GatewayApiKey", &format!("key-{number}"), key_spec(json!({}))).await;
    }
    let began = Instant::now();
    for number in 0..300 {
        world.ready("GatewayApiKey", &format!("key-{number}")).await;
    }
    let (took, refused) = (began.elapsed().as_secs(), limit.refused());
    assert!(took < 300, "{took} s for 300 keys at three calls per second");
    assert!(refused < 60, "{refused} calls were refused");
}

/// Restarts the operator for all namespaces, at a vendor with that rate limit.
async fn everywhere(world: &mut World, limit: Option<Limit>) {
    world.stop().await;
    (world.everywhere, world.limit) = (true, limit);
    world.start().await;
}

/// A vendor limits the rate of accounts, not of tokens.
pub async fn eight_namespaces_of_one_account_share_its_budget(world: &mut World) {
    let limit = Limit::new(10);
    everywhere(world, Some(limit.clone())).await;
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

/// Creates a namespace with a console token of that organization, and moves there.
async fn tenant(world: &mut World, namespace: &str, organization: &str) {
    world.cluster().add_namespace(namespace);
    world.namespace = namespace.into();
    let token = format!("edgee-emulated-{organization}");
    world.edgee().add_token(&token, &[organization]);
    world.write_secret("edgee-console", &[("token", &token)]).await;
    let mut spec = world.token_spec();
    spec["vendor"]["edgee"]["organizationId"] = json!(organization);
    world.create("ConsoleToken", "edgee", spec).await;
    world.ready("ConsoleToken", "edgee").await;
}

/// How long a new key takes until it is Ready.
async fn time_to_ready(world: &World, name: &str) -> Duration {
    let began = Instant::now();
    world.key(name, json!({})).await;
    began.elapsed()
}

/// Every create call of one organization hangs. A hundred keys wait for it, and the key of another organization takes
/// as long as it does alone; so does another key of the same namespace.
pub async fn a_vendor_that_hangs_delays_no_key_of_another_account(world: &mut World) {
    everywhere(world, None).await;
    let place = world.namespace.clone();
    tenant(world, "modest", "org_modest").await;
    let alone = time_to_ready(world, "alone").await;
    tenant(world, "greedy", "org_greedy").await;
    world.emulator.faults().add(Rule::always("POST", "org_greedy", Effect::Hang));
    for number in 0..100 {
        world.create("GatewayApiKey", &format!("key-{number}"), key_spec(json!({}))).await;
    }
    world.pass(Duration::from_secs(5), Duration::ZERO).await;
    world.namespace = "modest".into();
    for number in 0..5 {
        let beside = time_to_ready(world, &format!("beside-{number}")).await;
        assert!(beside <= alone + Duration::from_millis(500), "{beside:?} instead of {alone:?}");
        world.pass(Duration::from_secs(20), Duration::ZERO).await;
    }
    // A vendor in trouble is asked by one pass at a time, after the first ones.
    world.emulator.clear_calls();
    world.pass(Duration::from_secs(300), Duration::ZERO).await;
    let calls = world.emulator.calls().len();
    assert!(calls < 60, "{calls} calls within five minutes");
    // It recovers, and all keys are made.
    world.emulator.faults().clear();
    world.namespace = "greedy".into();
    for number in 0..100 {
        world.ready("GatewayApiKey", &format!("key-{number}")).await;
    }
    assert_eq!(world.edgee().keys("org_greedy").len(), 100);
    world.namespace = place;
}

/// Two namespaces share an account that allows a call now and then: the one with two hundred keys and the one with one
/// key take turns, and a declared leak does not wait for new keys.
pub async fn namespaces_of_one_account_take_turns_and_a_leak_comes_first(world: &mut World) {
    everywhere(world, Some(Limit::new(2))).await;
    let place = world.namespace.clone();
    tenant(world, "greedy", "org_shared").await;
    world.key("leaked", json!({})).await;
    let leaked = world.status("GatewayApiKey", "leaked").await["id"].as_str().unwrap().to_owned();
    tenant(world, "modest", "org_shared").await;
    world.namespace = "greedy".into();
    for number in 0..200 {
        world.create("GatewayApiKey", &format!("key-{number}"), key_spec(json!({}))).await;
    }
    world.namespace = "modest".into();
    world.key("one", json!({})).await;
    let made = |world: &World| world.edgee().keys("org_shared").len();
    assert!(made(world) < 30, "{} keys of the other namespace came first", made(world));
    world.namespace = "greedy".into();
    let annotation = json!({"metadata": {"annotations": {"keysmith.dev/leaked": "today"}}});
    world.edit("GatewayApiKey", "leaked", annotation).await.unwrap();
    world
        .eventually("the leaked key is revoked", async || {
            let there = world.edgee().keys("org_shared").iter().any(|key| key.id == leaked);
            if there { Err(format!("{} keys", made(world))) } else { Ok(()) }
        })
        .await;
    assert!(made(world) < 150, "the leak waited for {} new keys", made(world));
    for number in 0..200 {
        world.ready("GatewayApiKey", &format!("key-{number}")).await;
    }
    world.namespace = place;
}
