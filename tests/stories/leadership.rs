//! Two operators, of which one is the leader.

use crate::support::cluster::{Effect as Broken, Rule as Breaks};
use crate::support::replica::{Replica, times};
use crate::support::world::{ORG, World, key_spec};
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use keysmith::cluster::lease;
use keysmith::emulator::{Effect, Rule};
use keysmith::runtime::metrics::Metrics;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use std::time::Duration;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Two operators, of which the first leads, instead of the one that every story begins with.
async fn pair(world: &mut World) -> (Replica, Replica) {
    world.stop().await;
    let first = world.replica("first", Metrics::default()).await;
    until_it_leads(world, &first).await;
    let second = world.replica("second", Metrics::default()).await;
    ready(world, &second).await;
    (first, second)
}

async fn ready(world: &World, replica: &Replica) {
    world
        .eventually("it is ready", async || match replica.serves("/readyz").await {
            (200, _) => Ok(()),
            (_, text) => Err(text),
        })
        .await;
}

/// Waits until that operator leads; returns how long that took.
pub async fn until_it_leads(world: &World, replica: &Replica) -> SignedDuration {
    let start = world.clock.now();
    while !replica.leads() {
        assert!(passed(world, start) < SignedDuration::from_mins(2), "it never leads");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    passed(world, start)
}

fn passed(world: &World, since: jiff::Timestamp) -> SignedDuration {
    world.clock.now().duration_since(since)
}

/// Faults of requests for the Lease.
fn breaks(actor: &str, verb: &str, effect: Broken) -> Breaks {
    let (actor, verb, resource) = (actor.to_owned(), verb.to_owned(), "leases".to_owned());
    Breaks { actor, verb, resource, times: usize::MAX, ..Breaks::next(effect) }
}

pub async fn the_other_leads_within_a_second_after_a_graceful_stop(world: &mut World) {
    let (first, second) = pair(world).await;
    world.token().await;
    world.key("before", json!({})).await;
    first.stop().await;
    let took = until_it_leads(world, &second).await;
    assert!(took < SECOND, "{took:#}");
    world.key("after", json!({})).await;
    assert_eq!(world.keys().len(), 2);
    second.stop().await;
    let lease = world.lease().await.unwrap().spec.unwrap();
    assert_eq!(lease.holder_identity.as_deref(), Some(""), "no candidate need wait for its end");
}

pub async fn the_other_leads_within_the_lease_and_a_second_after_a_kill(world: &mut World) {
    let (first, second) = pair(world).await;
    world.token().await;
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    first.kill();
    let took = until_it_leads(world, &second).await;
    let times = times(world.is_simulated());
    assert!(took <= times.lease + SECOND, "{took:#}");
    // The Lease is not taken from a leader that is only slow.
    assert!(took >= times.lease - times.retry - SECOND, "{took:#}");
    world.ready("GatewayApiKey", "checkout").await;
    world.served("checkout", "key").await;
    second.stop().await;
}

pub async fn the_one_that_stands_by_is_ready_and_does_nothing(world: &mut World) {
    let (first, second) = pair(world).await;
    world.token().await;
    world.key("checkout", json!({})).await;
    world.edit("GatewayApiKey", "checkout", json!({"spec": {"models": ["m"]}})).await.unwrap();
    world.secrets().delete("checkout", &DeleteParams::default()).await.unwrap();
    world.served("checkout", "key").await;
    let calls = first.calls();
    world.pass(Duration::from_secs(900), Duration::from_secs(6)).await;
    assert!(first.calls() > calls, "the one that leads looks at the vendor time and again");
    assert_eq!((first.leads(), second.leads(), second.calls()), (true, false, 0));
    for path in ["/readyz", "/healthz"] {
        assert_eq!(second.serves(path).await.0, 200, "{path}");
    }
    if world.is_simulated() {
        assert_eq!(world.cluster().writes("second").len() + world.cluster().writes("second-lease").len(), 0);
    }
    second.stop().await;
    first.stop().await;
}

pub async fn passes_under_way_are_finished_before_the_lease_is_released(world: &mut World) {
    let (first, second) = pair(world).await;
    world.token().await;
    let slow: u32 = if world.is_simulated() { 20_000 } else { 4_000 };
    world.fail_once("POST", Effect::Delay { millis: slow.into() });
    let start = world.clock.now();
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    world
        .eventually("the call is under way", async || match world.creations() {
            0 => Err("no call yet".to_owned()),
            _ => Ok(()),
        })
        .await;
    first.tell_to_stop();
    until_it_leads(world, &second).await;
    // The call took longer than the lease: the Lease was renewed meanwhile, and no second call was sent.
    assert!(passed(world, start) >= SignedDuration::from_millis(slow.into()), "it led too early");
    assert_eq!(world.creations(), 1);
    world.served("checkout", "key").await;
    first.stop().await;
    second.stop().await;
}

pub async fn a_leader_that_takes_long_to_finish_keeps_the_lease_until_then(world: &mut World) {
    let (first, second) = pair(world).await;
    world.token().await;
    // Longer than a loop may be silent: the loops of a leader that stops are silent for good, but it is not unhealthy.
    let refused = Broken::Status { code: 503, reason: "ServiceUnavailable".to_owned() };
    let (verb, resource) = ("create".to_owned(), "secrets".to_owned());
    world.cluster().fault(Breaks { verb, resource, times: 5, ..breaks("first", "", refused) });
    world.create("GatewayApiKey", "checkout", key_spec(json!({}))).await;
    let start = world.clock.now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.tell_to_stop();
    while first.leads() {
        assert!(passed(world, start) < SECOND * 60, "it never finishes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(passed(world, start) > SECOND * 44, "{:#}", passed(world, start));
    assert!(until_it_leads(world, &second).await < SECOND);
    first.stop().await;
    assert_eq!(world.creations(), 1);
    world.served("checkout", "key").await;
    second.stop().await;
}

pub async fn a_deleted_lease_is_created_again(world: &mut World) {
    let (first, second) = pair(world).await;
    let leases: Api<Lease> = Api::namespaced(world.user.clone(), &world.namespace);
    leases.delete(lease::NAME, &DeleteParams::default()).await.unwrap();
    world
        .eventually("one of them has it", async || {
            let lease = world.lease().await.ok_or("no lease")?;
            let holder = lease.spec.unwrap().holder_identity.unwrap();
            let leads = (first.leads(), second.leads());
            let fits = (holder == "first" && leads == (true, false))
                || (holder == "second" && leads == (false, true));
            fits.then_some(()).ok_or(format!("{holder} has it, they say {leads:?}"))
        })
        .await;
    world.token().await;
    second.stop().await;
    first.stop().await;
}

pub async fn taking_over_lists_nothing(world: &mut World) {
    let (first, second) = pair(world).await;
    world.token().await;
    for number in 0..5 {
        world.key(&format!("key-{number}"), json!({})).await;
    }
    let looks = |world: &World| {
        let all = world.cluster().requests().into_iter();
        all.filter(|it| it.actor == "second" && (it.verb == "list" || it.verb == "watch")).count()
    };
    let (before, written) = (looks(world), world.cluster().writes("second").len());
    first.stop().await;
    until_it_leads(world, &second).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(looks(world), before, "its caches are warm");
    assert_eq!(world.cluster().writes("second").len(), written, "settled keys need no write");
    assert_eq!(second.calls(), 1, "one listing verifies the token and every key");
    second.stop().await;
}

pub async fn a_leader_that_is_cut_off_ceases_to_act_before_another_begins(world: &mut World) {
    let (first, second) = pair(world).await;
    world.token().await;
    for effect in
        [Broken::DropBefore, Broken::Hang, Broken::Status { code: 503, reason: "Unavailable".to_owned() }]
    {
        world.cluster().fault(breaks("first-lease", "", effect));
        let start = world.clock.now();
        while first.leads() {
            assert!(!second.leads() && passed(world, start) <= SECOND * 10, "{:#}", passed(world, start));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        until_it_leads(world, &second).await;
        assert!(passed(world, start) <= SECOND * 16, "{:#}", passed(world, start));
        assert_eq!(first.serves("/readyz").await.0, 200, "it stands by");
        let (calls, writes) = (first.calls(), world.cluster().writes("first").len());
        tokio::time::sleep(Duration::from_mins(11)).await;
        assert_eq!(
            (first.calls(), world.cluster().writes("first").len()),
            (calls, writes),
            "and does nothing"
        );
        // The restarted replica becomes ready with its caches when the other one hands over.
        world.cluster().clear_faults();
        world.cluster().fault(breaks("second-lease", "", Broken::DropBefore));
        until_it_leads(world, &first).await;
        assert!(!second.leads());
        world.cluster().clear_faults();
        // Its watch restarts after a backoff; until then the replica sees renewals late, and waits longer.
        tokio::time::sleep(Duration::from_mins(2)).await;
    }
    world.key("checkout", json!({})).await;
    first.stop().await;
    second.stop().await;
}

/// The vendor may show too little of a provider key to find it again.
pub async fn a_provider_key_is_recorded_although_its_reconcile_is_dropped(world: &mut World) {
    world.stop().await;
    let first = world.replica("first", Metrics::default()).await;
    until_it_leads(world, &first).await;
    world.token().await;
    world.write_secret("byok", &[("api_key", "canary-1")]).await;
    let slow = Effect::DelayAfter { millis: 20_000 };
    world.emulator.faults().add(Rule::once("POST", "/provider-keys", slow));
    let spec = json!({
        "consoleTokenRef": {"name": "edgee"}, "provider": "openai",
        "credentialsRef": {"name": "byok"}, "scope": "Organization",
    });
    world.create("ProviderKey", "openai", spec).await;
    while world.emulator.count("POST", "/provider-keys") == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.cluster().fault(breaks("first-lease", "", Broken::DropBefore));
    while first.leads() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(world.status("ProviderKey", "openai").await["id"].is_null(), "the answer is still under way");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!first.leads());
    let id = world.edgee().provider_keys(ORG)[0].id.clone();
    assert_eq!(world.status("ProviderKey", "openai").await["id"], json!(id));
    world.cluster().clear_faults();
    first.stop().await;
}

pub async fn a_renewal_whose_answer_is_lost_loses_nothing(world: &mut World) {
    let (first, second) = pair(world).await;
    for effect in [Broken::DropAfter, Broken::AppliedStatus { code: 504 }, Broken::DropBefore] {
        world.cluster().fault(Breaks { times: 3, ..breaks("first-lease", "update", effect) });
        for _ in 0..300 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!((first.leads(), second.leads()), (true, false));
        }
        assert_eq!(world.cluster().pending_faults(), 0);
    }
    first.stop().await;
    second.stop().await;
}

pub async fn a_candidate_without_watch_events_takes_over_at_the_end_of_the_lease(world: &mut World) {
    world.stop().await;
    let first = world.replica("first", Metrics::default()).await;
    until_it_leads(world, &first).await;
    world.cluster().fault(breaks("second-lease", "watch", Broken::Silence));
    let second = world.replica("second", Metrics::default()).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((first.leads(), second.leads()), (true, false), "it knows that it may be mistaken");
    first.stop().await;
    let took = until_it_leads(world, &second).await;
    assert!(took <= SECOND * 16, "{took:#}");
    second.stop().await;
}

pub async fn a_leader_that_hangs_says_so_and_is_replaced(world: &mut World) {
    let (first, second) = pair(world).await;
    world.token().await;
    first.hang();
    let start = world.clock.now();
    until_it_leads(world, &second).await;
    assert!(passed(world, start) <= SECOND * 50, "{:#}", passed(world, start));
    let (code, text) = first.serves("/healthz").await;
    assert_eq!(code, 503, "{text}");
    assert!(text.contains("the controller of GatewayApiKeys has not moved for 30 s"), "{text}");
    assert_eq!(first.serves("/readyz").await.0, 503);
    assert!(!first.leads());
    world.key("checkout", json!({})).await;
    // The restarted replica does not lead either.
    second.stop().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!first.leads());
    first.kill();
}

pub async fn a_replica_is_ready_when_its_caches_are_filled_and_lets_others_go_first(world: &mut World) {
    world.stop().await;
    let slow = Breaks {
        actor: "first".to_owned(),
        verb: "list".to_owned(),
        resource: "gatewayapikeys".to_owned(),
        ..Breaks::next(Broken::Delay(Duration::from_secs(10)))
    };
    world.cluster().fault(slow);
    let first = world.replica("first", Metrics::default()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (code, text) = first.serves("/readyz").await;
    assert_eq!((code, text.as_str()), (503, "not ready: 1 of the caches are not filled yet\n"));
    assert_eq!(first.serves("/healthz").await.0, 200, "it is not ill");
    let second = world.replica("second", Metrics::default()).await;
    assert!(until_it_leads(world, &second).await < SECOND);
    ready(world, &first).await;
    assert!(!first.leads());
    second.stop().await;
    assert!(until_it_leads(world, &first).await < SECOND);
    // A cache that is never filled does not block the election for ever.
    first.stop().await;
    world.cluster().fault(Breaks {
        actor: "third".to_owned(),
        verb: "list".to_owned(),
        resource: "providerkeys".to_owned(),
        times: usize::MAX,
        ..Breaks::next(Broken::Status { code: 403, reason: "Forbidden".to_owned() })
    });
    let third = world.replica("third", Metrics::default()).await;
    assert!(until_it_leads(world, &third).await < SECOND * 16);
    world.token().await;
    world.key("checkout", json!({})).await;
    assert_eq!(third.serves("/readyz").await.0, 503);
    third.stop().await;
}

/// The names of the exported samples of the present state.
async fn state_of(replica: &Replica) -> Vec<String> {
    const STATE: [&str; 7] = [
        "keysmith_console_token_ready",
        "keysmith_key_spent",
        "keysmith_key_budget",
        "keysmith_orphaned_keys",
        "keysmith_leaks_open",
        "keysmith_rotations_overdue",
        "keysmith_accounts_doubted",
    ];
    let (_, text) = replica.serves("/metrics").await;
    assert!(text.contains("keysmith_leader_transitions_total"), "counters stay: {text}");
    let exported = |name: &&str| text.lines().any(|line| line.split([' ', '{']).next() == Some(*name));
    STATE.iter().filter(|name| exported(name)).map(|name| (*name).to_owned()).collect()
}

pub async fn a_replica_that_lost_the_lease_exports_no_state_until_it_leads_again(world: &mut World) {
    let (first, second) = pair(world).await;
    world.token().await;
    world.edit("ConsoleToken", "edgee", json!({"spec": {"usage": {"interval": "1m"}}})).await.unwrap();
    world.key("checkout", json!({"budget": {"amount": "100", "period": "Monthly"}})).await;
    let spending = |it: &Vec<String>| it.iter().any(|name| name == "keysmith_key_spent");
    let whole = async |replica: &Replica| {
        world
            .eventually("state is exported", async || match state_of(replica).await {
                state if spending(&state) && state.contains(&"keysmith_key_budget".to_owned()) => Ok(()),
                state => Err(format!("{state:?}")),
            })
            .await;
        let state = state_of(replica).await;
        for name in ["keysmith_console_token_ready", "keysmith_leaks_open", "keysmith_rotations_overdue"] {
            assert!(state.iter().any(|it| it == name), "{state:?}");
        }
    };
    whole(&first).await;
    assert_eq!(state_of(&second).await, [""; 0], "one that never led knows nothing");
    // A pass that is under way when the Lease is lost, and goes on.
    world.fail_once("POST", Effect::Delay { millis: 30_000 });
    world.create("GatewayApiKey", "late", key_spec(json!({}))).await;
    world
        .eventually("the call is under way", async || {
            if world.creations() > 1 { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    let refused = Broken::Status { code: 500, reason: "InternalError".to_owned() };
    world.cluster().fault(breaks("first-lease", "update", refused));
    until_it_leads(world, &second).await;
    for _ in 0..60 {
        assert_eq!(state_of(&first).await, [""; 0]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    whole(&second).await;
    world.cluster().clear_faults();
    second.stop().await;
    until_it_leads(world, &first).await;
    whole(&first).await;
    first.stop().await;
}

pub async fn one_operator_alone_leads_without_a_lease(world: &mut World) {
    world.token().await;
    assert!(world.metrics.text().lines().any(|line| line == "keysmith_leader 1"));
    assert!(world.lease().await.is_none());
}

pub async fn one_operator_alone_is_ready_when_its_caches_are_filled(world: &mut World) {
    // Several tasks wait for each cache, and all of them have to be notified.
    ready(world, world.alone()).await;
}
