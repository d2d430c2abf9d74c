//! An account: its circuit breaker, and the listings that its callers share.

use super::world::{KEYS, TOKEN, World, id, order, provider_key_order, renamed, world};
use futures::future::join_all;
use jiff::SignedDuration;
use keysmith::api::console_token::Vendor;
use keysmith::emulator::Effect;
use keysmith::gateway::Minted;
use keysmith::gateway::account::{Account, Parts};
use keysmith::gateway::edgee::Edgee;
use keysmith::gateway::shares::{Membership, Shares};
use keysmith::plan::fault::{Fault, FaultKind};
use keysmith::runtime::metrics::Metrics;
use secrecy::SecretString;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Client {
    pub account: Account,
    pub metrics: Metrics,
    alarms: Arc<AtomicUsize>,
}

impl Client {
    pub fn of(world: &World) -> Self {
        Self::with(world.edgee(), world)
    }

    pub fn with(edgee: Edgee, world: &World) -> Self {
        Self::sharing(&Arc::default(), (edgee, TOKEN), world)
    }

    /// The account of that token, which shares its state with other tokens of the account.
    pub fn sharing(shares: &Arc<Shares>, (edgee, token): (Edgee, &str), world: &World) -> Self {
        let shares = Arc::clone(shares);
        let id = shares.of_credential(&Vendor::default(), "edgee", "", &SecretString::from(token.to_owned()));
        let (alarms, metrics) = (Arc::new(AtomicUsize::new(0)), Metrics::default());
        let rung = Arc::clone(&alarms);
        let account = Account::new(Parts {
            gateway: Box::new(edgee),
            gateway_url: "http://edgee.test/edgee-gateway".to_owned(),
            alarm: Box::new(move || {
                rung.fetch_add(1, Ordering::Relaxed);
            }),
            clock: world.clock.clone(),
            metrics: metrics.clone(),
            membership: Membership { shares, id },
        });
        Self { account, metrics, alarms }
    }

    pub fn alarms(&self) -> usize {
        self.alarms.load(Ordering::Relaxed)
    }
}

fn breaker_open() -> Fault {
    Fault::without_effect(FaultKind::BreakerOpen)
}

fn revoke_token(world: &World) {
    assert!(world.emulator.edgee().revoke_token(TOKEN));
}

fn restore_token(world: &World) {
    world.emulator.edgee().add_token(TOKEN, &[super::world::ORG]);
}

/// Creates a key in the way the controllers do.
pub async fn mint(account: &Account, name: &str) -> Result<Minted, Fault> {
    let turn = account.permit().await?;
    account.mint(&order(name), &turn).await
}

async fn create_provider_key(account: &Account) -> Result<(), Fault> {
    let turn = account.permit().await?;
    account.create_provider_key(&provider_key_order("n", &[]), &turn).await.map(drop)
}

/// Makes every kind of call.
async fn every_call(account: &Account) -> Vec<Result<(), Fault>> {
    let key = id("key_000001");
    let now = jiff::Timestamp::MAX;
    vec![
        account.list(now).await.map(drop),
        account.get(&key).await.map(drop),
        mint(account, "n").await.map(drop),
        account.recover(&key).await.map(drop),
        account.amend(&key, &renamed("x")).await,
        account.revoke(&key).await,
        account.list_provider_keys().await.map(drop),
        create_provider_key(account).await,
        account.assign_provider_key(&key, &[]).await,
        account.delete_provider_key(&key).await,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_shown_to_the_vendor_once_and_then_by_the_probe_only() {
    let world = world();
    let key = world.key_by_hand("old");
    revoke_token(&world);
    let client = Client::of(&world);
    client.account.usable().unwrap();
    let first = client.account.get(&id(&key.id)).await.unwrap_err();
    assert_eq!(first, Fault::without_effect(FaultKind::TokenRefused));
    assert_eq!(client.alarms(), 1);
    assert_eq!(client.account.usable(), Err(breaker_open()));
    for outcome in every_call(&client.account).await {
        assert_eq!(outcome, Err(breaker_open()));
    }
    assert_eq!(world.emulator.calls().len(), 1);

    let probed = client.account.probe().await.err().unwrap();
    assert_eq!(probed, Fault::without_effect(FaultKind::TokenRefused));
    assert_eq!(world.emulator.calls().len(), 2);
    assert_eq!(client.alarms(), 1, "the alarm rings when the breaker opens, and not while it is open");

    restore_token(&world);
    assert_eq!(client.account.get(&id(&key.id)).await.unwrap_err(), breaker_open());
    client.account.probe().await.unwrap();
    client.account.usable().unwrap();
    mint(&client.account, "new").await.unwrap();
    assert_eq!(world.keys().len(), 2);
}

/// The positions of the provider-key calls among the calls of `every_call`.
const ABOUT_PROVIDER_KEYS: [u32; 4] = [6, 7, 8, 9];

#[tokio::test(start_paused = true)]
async fn every_kind_of_call_opens_the_breaker_and_a_second_refusal_notifies_again_after_it_closed() {
    let client_calls = 10;
    for call in 0..client_calls {
        for code in [401, 403] {
            let world = world();
            let client = Client::of(&world);
            // A valid token lets the calls before the tested one pass.
            world.emulator.faults().add(keysmith::emulator::Rule {
                method: None,
                path_contains: String::new(),
                skip: call,
                times: Some(1),
                effect: Effect::Status { code, retry_after: None },
            });
            let outcomes = every_call(&client.account).await;
            // A 403 on provider keys says nothing about keys.
            let opens = code == 401 || !ABOUT_PROVIDER_KEYS.contains(&call);
            assert_eq!(client.alarms(), usize::from(opens), "call {call}, {code}");
            let refused = outcomes.iter().filter(|it| **it == Err(breaker_open())).count();
            let after = if opens { (client_calls - call - 1) as usize } else { 0 };
            assert_eq!(refused, after, "call {call}");
            client.account.probe().await.unwrap();
            revoke_token(&world);
            client.account.revoke(&id("key_000001")).await.unwrap_err();
            assert_eq!(client.alarms(), usize::from(opens) + 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_refusals_notify_once() {
    let world = world();
    revoke_token(&world);
    let client = Client::of(&world);
    let key = id("key_000001");
    let outcomes = join_all((0..50).map(|_| client.account.get(&key))).await;
    assert!(outcomes.iter().all(Result::is_err));
    assert_eq!(client.alarms(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_other_fault_opens_the_breaker() {
    for effect in [
        Effect::Status { code: 400, retry_after: None },
        Effect::Status { code: 404, retry_after: None },
        Effect::Status { code: 500, retry_after: None },
        Effect::Html,
        Effect::DropAfter,
        Effect::Hang,
    ] {
        let world = world();
        let client = Client::of(&world);
        world.fault_once("POST", KEYS, effect.clone());
        mint(&client.account, "n").await.err().unwrap();
        client.account.usable().unwrap();
        mint(&client.account, "n").await.unwrap();
        assert_eq!(client.alarms(), 0, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_otherwise_leaves_the_breaker_as_it_is() {
    let world = world();
    revoke_token(&world);
    let client = Client::of(&world);
    client.account.probe().await.err().unwrap();
    restore_token(&world);
    world.fault_once("GET", KEYS, Effect::Status { code: 500, retry_after: None });
    client.account.probe().await.err().unwrap();
    assert_eq!(client.account.usable(), Err(breaker_open()));
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_share_one_listing() {
    let world = world();
    world.key_by_hand("old");
    world.fault_always("GET", KEYS, Effect::Delay { millis: 200 });
    let client = Client::of(&world);
    let since = world.clock.now() - SignedDuration::from_secs(1);
    let listings = join_all((0..100).map(|_| client.account.list(since))).await;
    assert!(listings.iter().all(|it| it.as_ref().unwrap().keys.len() == 1));
    assert!((1..=2).contains(&world.emulator.calls().len()));
    // The listing also serves later callers, as long as it is new enough for them.
    client.account.list(since).await.unwrap();
    assert!((1..=2).contains(&world.emulator.calls().len()));
}

/// A caller that needs the state after the start of a listing does not get that listing.
#[tokio::test(start_paused = true)]
async fn a_listing_under_way_does_not_serve_a_caller_that_needs_a_later_one() {
    let world = world();
    world.fault_always("GET", KEYS, Effect::DelayAfter { millis: 1000 });
    let client = Client::of(&world);
    let early = world.clock.now() - SignedDuration::from_secs(1);
    let late = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        world.key_by_hand("made while the first listing was under way");
        let since = world.clock.now();
        join_all((0..50).map(|_| client.account.list(since))).await
    };
    let (first, late) = tokio::join!(client.account.list(early), late);
    assert!(first.unwrap().keys.is_empty());
    assert!(late.iter().all(|it| it.as_ref().unwrap().keys.len() == 1));
    assert_eq!(world.emulator.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_caller_does_not_cancel_the_shared_listing() {
    let world = world();
    world.fault_always("GET", KEYS, Effect::Delay { millis: 1000 });
    let client = Arc::new(Client::of(&world));
    let since = world.clock.now() - SignedDuration::from_secs(1);
    let leaver = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.account.list(since).await.map(drop) }
    });
    tokio::task::yield_now().await;
    let rest = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.account.list(since).await.map(drop) }
    });
    tokio::task::yield_now().await;
    leaver.abort();
    rest.await.unwrap().unwrap();
}

fn another_token(world: &World) -> Edgee {
    world.emulator.edgee().add_token(OTHER, &[super::world::ORG]);
    super::world::driver(world.wire_with(OTHER))
}

const OTHER: &str = "ek_live_emulated-other-token";

/// Two tokens of one account, as `join` connects them once the vendor has shown the account.
fn two_tokens(world: &World) -> (Client, Client) {
    let shares = Arc::default();
    let first = Client::sharing(&shares, (world.edgee(), TOKEN), world);
    let second = Client::sharing(&shares, (another_token(world), TOKEN), world);
    (first, second)
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_vendor_refuses_has_no_part_in_what_another_token_lists() {
    let world = world();
    world.key_by_hand("old");
    let (good, bad) = two_tokens(&world);
    good.account.probe().await.unwrap();
    // The refused token has never proven itself.
    assert!(bad.account.latest().is_none() && bad.account.proven_until(SignedDuration::ZERO).is_none());
    assert!(world.emulator.edgee().revoke_token(OTHER));
    let long_ago = world.clock.now() - SignedDuration::from_secs(60);
    let refused = Fault::without_effect(FaultKind::TokenRefused);
    assert_eq!(bad.account.list(long_ago).await.err(), Some(refused.clone()));
    assert_eq!((bad.alarms(), good.alarms()), (1, 0));
    good.account.usable().unwrap();
    // The token was valid once, and is not any more.
    world.emulator.edgee().add_token(OTHER, &[super::world::ORG]);
    bad.account.probe().await.unwrap();
    assert!(bad.account.latest().is_some());
    assert!(world.emulator.edgee().revoke_token(OTHER));
    bad.account.get(&id("key_000001")).await.unwrap_err();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    good.account.probe().await.unwrap();
    assert!(bad.account.latest().is_none());
    assert_eq!(bad.account.list(long_ago).await.err(), Some(breaker_open()));
    // The failure of one token does not affect the other.
    good.account.list(world.clock.now()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tokens_of_one_account_share_its_pause_and_its_listings() {
    let world = world();
    let (first, second) = two_tokens(&world);
    first.account.probe().await.unwrap();
    second.account.probe().await.unwrap();
    let since = world.clock.now() - SignedDuration::from_secs(60);
    let calls = world.emulator.calls().len();
    assert!(Arc::ptr_eq(
        &first.account.list(since).await.unwrap(),
        &second.account.list(since).await.unwrap()
    ));
    assert_eq!(world.emulator.calls().len(), calls);
    world.fault_once("GET", KEYS, Effect::Status { code: 429, retry_after: Some("30".into()) });
    first.account.get(&id("key_000001")).await.unwrap_err();
    let calls = world.emulator.calls().len();
    let paused = second.account.get(&id("key_000001")).await.unwrap_err();
    assert!(matches!(paused.kind, FaultKind::Throttled { .. }), "{paused}");
    assert_eq!(world.emulator.calls().len(), calls);
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    second.account.get(&id("key_000001")).await.unwrap();
    // Each token proves itself once an hour, independently of the other.
    assert!(second.account.proven_until(SignedDuration::ZERO).is_some());
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    first.account.probe().await.unwrap();
    assert!(second.account.proven_until(SignedDuration::ZERO).is_none());
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_their_outcome() {
    let world = world();
    let client = Client::of(&world);
    world.fault_once("POST", KEYS, Effect::Status { code: 500, retry_after: None });
    mint(&client.account, "n").await.err().unwrap();
    mint(&client.account, "n").await.unwrap();
    let text = client.metrics.text();
    for outcome in ["failed", "ok"] {
        let line =
            format!(r#"keysmith_vendor_calls_total{{vendor="edgee",call="mint",outcome="{outcome}"}} 1"#);
        assert!(text.contains(&line), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_skipped_are_counted_by_vendor() {
    let world = world();
    let rows = vec![serde_json::json!({"id": "k", "name": "theirs", "models": "*"}), serde_json::json!(7)];
    world.fault_always("GET", KEYS, Effect::ExtraRows { rows });
    let client = Client::of(&world);
    let since = world.clock.now() - SignedDuration::from_secs(1);
    assert!(client.account.list(since).await.unwrap().keys.is_empty());
    let text = client.metrics.text();
    let line = r#"keysmith_listing_entries_skipped_total{vendor="edgee"} 2"#;
    assert!(text.contains(line), "{text}");
}
