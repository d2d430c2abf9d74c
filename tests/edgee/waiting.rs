//! An account with waiting callers: pauses by Retry-After, refusals, and failures.

use super::account::{Client, mint};
use super::world::{KEYS, TOKEN, World, driver, id, wire, world};
use crate::support::vendor::InProcess;
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use keysmith::emulator::Effect;
use keysmith::gateway::transport::Transport;
use keysmith::plan::fault::{Fault, FaultKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn throttled(retry_after: Option<&str>) -> Effect {
    let retry_after = retry_after.map(str::to_owned);
    Effect::Status { code: 429, retry_after }
}

fn pause_until(fault: &Fault) -> Option<Timestamp> {
    match fault.kind {
        FaultKind::Throttled { until } => until,
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_one_call_was_asked_for_holds_for_all_calls_but_revocations_and_ends() {
    for (asked, seconds) in [(Some("30"), 30), (None, 5), (Some("soon"), 5)] {
        let world = world();
        let key = world.key_by_hand("old");
        let client = Client::of(&world);
        world.fault_once("POST", KEYS, throttled(asked));
        let until = world.clock.now() + SignedDuration::from_secs(seconds);
        mint(&client.account, "n").await.err().unwrap();
        sleep(Duration::from_millis(seconds.unsigned_abs() * 1000 - 1)).await;
        let faults = [
            client.account.list(Timestamp::MAX).await.err().unwrap(),
            client.account.probe().await.err().unwrap(),
            client.account.get(&id(&key.id)).await.unwrap_err(),
            mint(&client.account, "n").await.err().unwrap(),
            client.account.list_provider_keys().await.unwrap_err(),
        ];
        for fault in faults {
            assert_eq!(pause_until(&fault), Some(until), "{fault:?}");
        }
        assert_eq!(world.emulator.calls().len(), 1);
        assert_eq!(world.keys().len(), 1);
        // A revocation ignores the pause, because the vendor throttled another call.
        client.account.revoke(&id(&key.id)).await.unwrap();
        assert_eq!(world.keys().len(), 0);
        sleep(Duration::from_millis(1)).await;
        mint(&client.account, "n").await.unwrap();
        assert_eq!(world.keys().len(), 1);
    }
}

/// The account also honours the Retry-After of a failing vendor; without one, calls go on.
#[tokio::test(start_paused = true)]
async fn a_pause_that_a_failing_vendor_asks_for_holds_for_the_account() {
    for (code, asked, seconds) in
        [(503, Some("30"), 30), (503, Some("0"), 2), (429, Some("0"), 2), (503, None, 0)]
    {
        let world = world();
        let client = Client::of(&world);
        let retry_after = asked.map(str::to_owned);
        world.fault_once("POST", KEYS, Effect::Status { code, retry_after });
        mint(&client.account, "n").await.err().unwrap();
        if seconds > 0 {
            sleep(Duration::from_millis(seconds * 1000 - 1)).await;
            let fault = mint(&client.account, "n").await.err().unwrap();
            assert!(matches!(fault.kind, FaultKind::Throttled { until: Some(_) }), "{fault:?}");
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(world.emulator.calls().len(), 1);
        mint(&client.account, "n").await.unwrap();
    }
}

/// So many callers that most of them wait for a permit when the first answers arrive.
async fn crowd(client: &Client) -> Vec<Fault> {
    let key = id("key_000001");
    let outcomes = join_all((0..150).map(|_| client.account.get(&key))).await;
    outcomes.into_iter().filter_map(Result::err).collect()
}

/// A vendor with a slow connection, so that other callers arrive and wait.
struct Far(InProcess);

#[async_trait]
impl Transport for Far {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        let answer = self.0.send(request).await;
        sleep(Duration::from_millis(50)).await;
        answer
    }
}

fn far_client(world: &World) -> Client {
    let transport = Arc::new(Far(InProcess(world.emulator.clone())));
    let edgee = driver(wire("http://edgee.test/edgee", TOKEN, transport, &world.clock));
    Client::with(edgee, world)
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_a_permit_also_keep_the_pause() {
    let world = world();
    world.key_by_hand("old");
    let client = far_client(&world);
    world.fault_always("GET", KEYS, throttled(Some("60")));
    let faults = crowd(&client).await;
    assert_eq!(faults.len(), 150);
    // The burst was sent before the first answer; no call was sent after it.
    assert!(world.emulator.calls().len() <= 60, "{}", world.emulator.calls().len());
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_a_permit_do_not_send_a_refused_token_again() {
    let world = world();
    assert!(world.emulator.edgee().revoke_token(TOKEN));
    let client = far_client(&world);
    let faults = crowd(&client).await;
    assert_eq!(faults.len(), 150);
    assert!(world.emulator.calls().len() <= 60, "{}", world.emulator.calls().len());
    assert_eq!(client.alarms(), 1);
}

async fn listings(world: &World, client: &Client) -> (Vec<Fault>, Duration) {
    let since = world.clock.now() - SignedDuration::from_secs(1);
    let start = Instant::now();
    let outcomes = join_all((0..100).map(|_| client.account.list(since))).await;
    (outcomes.into_iter().filter_map(Result::err).collect(), start.elapsed())
}

/// A failing vendor does not get the same request a hundred times, and no caller waits for a hundred deadlines.
#[tokio::test(start_paused = true)]
async fn a_failed_listing_fails_for_every_waiting_caller() {
    let slow = [
        (Effect::Hang, FaultKind::Timeout { seconds: 30 }),
        (Effect::Status { code: 500, retry_after: None }, FaultKind::Failed { status: 500, until: None }),
        (Effect::Html, FaultKind::Malformed("it is not JSON")),
    ];
    for (effect, kind) in slow {
        let world = world();
        world.fault_always("GET", KEYS, effect);
        let client = far_client(&world);
        let (faults, took) = listings(&world, &client).await;
        assert_eq!(faults, vec![Fault::without_effect(kind.clone()); 100]);
        assert!((1..=2).contains(&world.emulator.calls().len()), "{kind}");
        assert!(took <= Duration::from_secs(60), "{kind}: {took:?}");
        // A later caller sends a new request.
        world.emulator.faults().clear();
        client.account.list(world.clock.now() - SignedDuration::from_secs(1)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_the_vendor_bears_are_put_off_and_not_lost() {
    let world = world();
    let client = Client::of(&world);
    let start = Instant::now();
    let outcomes = join_all((0..150).map(|_| async { mint(&client.account, "n").await })).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(world.keys().len(), 150);
    let seconds = start.elapsed().as_secs_f64();
    assert!((4.4..5.1).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_would_wait_too_long_for_a_permit_fails_without_a_call() {
    let world = world();
    let client = Client::of(&world);
    let outcomes = join_all((0..600).map(|_| async { mint(&client.account, "n").await })).await;
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    assert_eq!(world.keys().len() + refused.len(), 600);
    assert!(refused.iter().all(|fault| pause_until(fault).is_some()));
}
