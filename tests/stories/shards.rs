//! Operators that share the accounts of a cluster: every account has exactly one of them.

use crate::stories::leadership::until_it_leads;
use crate::support::replica::{Replica, times};
use crate::support::world::{ORG, TOKEN, World, key_spec, merged};
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use keysmith::plan::identity::TokenRef;
use keysmith::plan::ledger::Place;
use keysmith::plan::shard::Shard;
use keysmith::runtime::metrics::Metrics;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use std::time::Duration;

/// Accounts of each shard.
const ACCOUNTS: usize = 2;

fn shard(text: &str) -> Shard {
    Shard::parse(text).unwrap()
}

/// Organizations whose accounts are in a shard.
fn organizations_of(shard: Shard) -> impl Iterator<Item = String> {
    let is_in = move |organization: &String| {
        let place = Place::of(&TokenRef::shared("any"), "edgee", "http://emulator.test/edgee", organization);
        shard.works_at(&place)
    };
    (0..64).map(|it| format!("org_{it}")).filter(is_in)
}

/// Creates the ConsoleToken of an organization.
async fn token_of(world: &World, token: &str, organization: &str) {
    let vendor = json!({"vendor": {"edgee": {"organizationId": organization}}});
    world.create("ConsoleToken", token, merged(world.token_spec(), vendor)).await;
}

/// The ConsoleTokens of some accounts of a shard, by name; each account has its organization.
async fn accounts_of(world: &World, shard: Shard, name: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for (number, organization) in organizations_of(shard).take(ACCOUNTS).enumerate() {
        let token = format!("{name}-{number}");
        token_of(world, &token, &organization).await;
        tokens.push(token);
    }
    tokens
}

/// One credential for every organization of these stories.
async fn credential(world: &World) {
    let organizations: Vec<_> = (0..64).map(|it| format!("org_{it}")).collect();
    let mut all: Vec<_> = organizations.iter().map(String::as_str).collect();
    all.push(ORG);
    world.edgee().add_token(TOKEN, &all);
    world.write_secret("edgee-console", &[("token", TOKEN)]).await;
}

async fn make(world: &World, token: &str) {
    world
        .create(
            "GatewayApiKey",
            token,
            merged(key_spec(json!({})), json!({"consoleTokenRef": {"name": token}})),
        )
        .await;
}

async fn first_of(world: &World, text: &str) -> Replica {
    let replica = world.replica_of(shard(text), &format!("of {text}"), Metrics::default()).await;
    until_it_leads(world, &replica).await;
    replica
}

pub async fn every_account_has_exactly_one_shard(world: &mut World) {
    world.stop().await;
    credential(world).await;
    let (one, two) = (first_of(world, "1/2").await, first_of(world, "2/2").await);
    let firsts = accounts_of(world, shard("1/2"), "first").await;
    let seconds = accounts_of(world, shard("2/2"), "second").await;
    for token in firsts.iter().chain(&seconds) {
        make(world, token).await;
    }
    for token in firsts.iter().chain(&seconds) {
        world.ready("GatewayApiKey", token).await;
        world.ready("ConsoleToken", token).await;
    }
    assert_eq!(world.creations(), ACCOUNTS * 2);
    assert!(one.calls() > 0 && two.calls() > 0, "{} {}", one.calls(), two.calls());
    // Each shows the keys of its accounts alone.
    for (replica, own, other) in [(&one, &firsts, &seconds), (&two, &seconds, &firsts)] {
        let (_, metrics) = replica.serves("/metrics").await;
        let shown = |name: &String| metrics.contains(&format!("resource_name=\"{name}\""));
        assert!(own.iter().all(shown) && !other.iter().any(shown), "{metrics}");
        assert!(metrics.lines().any(|it| it == "keysmith_shards 2"), "{metrics}");
    }
    // Without the second, nobody calls for its accounts, and the first goes on.
    two.stop().await;
    world
        .create(
            "GatewayApiKey",
            "late",
            merged(key_spec(json!({})), json!({"consoleTokenRef": {"name": seconds[0]}})),
        )
        .await;
    world
        .create(
            "GatewayApiKey",
            "now",
            merged(key_spec(json!({})), json!({"consoleTokenRef": {"name": firsts[0]}})),
        )
        .await;
    world.ready("GatewayApiKey", "now").await;
    world.pass(Duration::from_secs(600), Duration::from_secs(5)).await;
    assert_eq!(world.creations(), ACCOUNTS * 2 + 1);
    let two = first_of(world, "2/2").await;
    world.ready("GatewayApiKey", "late").await;
    assert_eq!(world.creations(), ACCOUNTS * 2 + 2);
    one.stop().await;
    two.stop().await;
}

pub async fn a_shard_that_is_killed_is_taken_over_by_its_replica_alone(world: &mut World) {
    world.stop().await;
    credential(world).await;
    let one = first_of(world, "1/2").await;
    let two = first_of(world, "2/2").await;
    let spare = world.replica_of(shard("1/2"), "spare", Metrics::default()).await;
    let tokens = accounts_of(world, shard("1/2"), "first").await;
    make(world, &tokens[0]).await;
    one.kill();
    let took = until_it_leads(world, &spare).await;
    assert!(took <= times(world.is_simulated()).lease + SignedDuration::from_secs(1), "{took:#}");
    assert!(two.leads());
    make(world, &tokens[1]).await;
    for token in &tokens {
        world.ready("GatewayApiKey", token).await;
        assert!(world.accepts(&world.entry(token, "key").await.unwrap()));
    }
    assert_eq!(world.creations(), ACCOUNTS);
    spare.stop().await;
    two.stop().await;
}

pub async fn shards_of_another_number_wait_for_those_that_lead(world: &mut World) {
    world.stop().await;
    credential(world).await;
    let whole = world.replica("whole", Metrics::default()).await;
    until_it_leads(world, &whole).await;
    let shards = [
        world.replica_of(shard("1/2"), "one", Metrics::default()).await,
        world.replica_of(shard("2/2"), "two", Metrics::default()).await,
    ];
    world.pass(Duration::from_secs(300), Duration::from_secs(8)).await;
    assert!(whole.leads() && !shards.iter().any(Replica::leads));
    let tokens = accounts_of(world, shard("2/2"), "second").await;
    make(world, &tokens[0]).await;
    world.ready("GatewayApiKey", &tokens[0]).await;
    assert_eq!(shards.iter().map(Replica::calls).sum::<usize>(), 0);
    whole.stop().await;
    for shard in &shards {
        until_it_leads(world, shard).await;
    }
    make(world, &tokens[1]).await;
    world.ready("GatewayApiKey", &tokens[1]).await;
    // And back: the shards are in the way of an operator of all accounts until the last one is gone.
    let whole = world.replica("whole again", Metrics::default()).await;
    let [one, two] = shards;
    one.stop().await;
    world.pass(Duration::from_secs(300), Duration::from_secs(8)).await;
    assert!(!whole.leads());
    two.stop().await;
    until_it_leads(world, &whole).await;
    whole.stop().await;
}

/// Two divisions may begin at once, or one may come back after its Lease had run out.
pub async fn of_two_numbers_of_shards_that_lead_the_lower_one_steps_back(world: &mut World) {
    world.stop().await;
    let leases: Api<Lease> = Api::namespaced(world.user.clone(), &world.namespace);
    let held = || {
        let renewed = MicroTime(world.clock.now());
        json!({"holderIdentity": "another", "leaseDurationSeconds": 3600, "renewTime": renewed})
    };
    let whole = world.replica("whole", Metrics::default()).await;
    until_it_leads(world, &whole).await;
    let lease = json!({"metadata": {"name": "keysmith-1-of-2"}, "spec": held()});
    leases.create(&PostParams::default(), &serde_json::from_value(lease).unwrap()).await.unwrap();
    let start = world.clock.now();
    while whole.leads() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let took = world.clock.now().duration_since(start);
        assert!(
            took <= times(world.is_simulated()).lease + SignedDuration::from_secs(5),
            "it goes on: {took:#}"
        );
    }
    leases.delete("keysmith-1-of-2", &DeleteParams::default()).await.unwrap();
    until_it_leads(world, &whole).await;
    whole.stop().await;
    // A shard goes on: it is the other that steps back.
    let one = first_of(world, "1/2").await;
    let spec = Patch::Merge(json!({"spec": held()}));
    leases.patch("keysmith", &PatchParams::default(), &spec).await.unwrap();
    world.pass(Duration::from_secs(120), Duration::from_secs(8)).await;
    assert!(one.leads());
    one.stop().await;
}

pub async fn keys_whose_token_comes_late_hold_no_turn_in_another_shard(world: &mut World) {
    world.stop().await;
    credential(world).await;
    let (one, two) = (first_of(world, "1/2").await, first_of(world, "2/2").await);
    // Without their tokens, these keys are the second shard's: by name. With them, they are the first one's.
    let by_name =
        |name: &String| shard("2/2").works_for(&TokenRef::beside(Some(world.namespace.clone()), name));
    let tokens: Vec<_> = (0..).map(|it| format!("late-{it}")).filter(by_name).take(5).collect();
    let key = |token: &str, number: usize| {
        (format!("{token}-{number}"), json!({"consoleTokenRef": {"name": token}}))
    };
    for (name, spec) in tokens.iter().flat_map(|token| (0..10).map(|it| key(token, it))) {
        world.create("GatewayApiKey", &name, merged(key_spec(json!({})), spec)).await;
    }
    for token in &tokens {
        world.reason("GatewayApiKey", &key(token, 9).0, "ConsoleTokenMissing").await;
    }
    for (token, organization) in tokens.iter().zip(organizations_of(shard("1/2"))) {
        token_of(world, token, &organization).await;
    }
    for (name, _) in tokens.iter().flat_map(|token| (0..10).map(|it| key(token, it))) {
        world.ready("GatewayApiKey", &name).await;
    }
    let calls = two.calls();
    for token in accounts_of(world, shard("2/2"), "second").await {
        make(world, &token).await;
        world.ready("GatewayApiKey", &token).await;
    }
    assert!(two.calls() > calls);
    one.stop().await;
    two.stop().await;
}
