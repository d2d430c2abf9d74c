//! A million passes through the turns and the rate limits that ship, under paused time: no account is called faster than it
//! may be, none waits for another, what expires first comes first, and a namespace with one key does not wait for one with
//! thousands.

use jiff::Timestamp;
use keysmith::gateway::budget::{Budget, Purpose, Rate};
use keysmith::gateway::edgee;
use keysmith::plan::identity::TokenRef;
use keysmith::plan::turns::{Lane, Limits, Place, Rank};
use keysmith::runtime::clock::Clock;
use keysmith::runtime::turns::{Gate, Waiting};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

const KEYS: usize = 1_000_000;
const ACCOUNTS: usize = 500;
const RATE: u32 = edgee::CAPABILITIES.calls_per_second;
/// What a pass takes besides its call: writes to the API server.
const WRITES: Duration = Duration::from_millis(200);
/// The last namespace of each account has this many keys, the first one all the others.
const MODEST: usize = 1;

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// A key that is to be replaced.
#[derive(Clone, Copy)]
struct Key {
    account: usize,
    /// When it expires, as a number.
    expiry: usize,
    modest: bool,
}

impl Key {
    /// Key `number` of all: expiries are in no order, and the key of the modest namespace expires last.
    fn numbered(number: usize) -> Self {
        let (account, at) = (number % ACCOUNTS, number / ACCOUNTS);
        let all = KEYS / ACCOUNTS;
        let modest = at >= all - MODEST;
        Self { account, expiry: if modest { all } else { at * 7919 % (all - MODEST) }, modest }
    }

    fn place(self, limits: Limits) -> Place {
        let tenant =
            if self.modest { format!("modest-{}", self.account) } else { format!("greedy-{}", self.account) };
        Place {
            lane: Lane::Token(TokenRef::shared(&format!("account-{}", self.account))),
            tenant,
            rank: Rank::Due(Timestamp::from_second(i64::try_from(self.expiry).unwrap()).unwrap()),
            slots: Some(limits.slots(RATE)),
        }
    }
}

/// When the call of a key went out.
struct Called {
    key: Key,
    at: Duration,
}

/// Runs passes as their turns come.
struct Stage {
    limits: Limits,
    gate: Gate,
    accounts: Vec<Arc<Budget>>,
    began: Instant,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Stage {
    fn new(limits: Limits) -> Self {
        let budget = || Arc::new(Budget::new(Rate::of(&edgee::CAPABILITIES), Clock::system()));
        Self {
            limits,
            gate: Gate::new(limits),
            accounts: (0..ACCOUNTS).map(|_| budget()).collect(),
            began: Instant::now(),
            running: Arc::default(),
            most: Arc::default(),
        }
    }

    /// Enters every key at once.
    fn enter(&self, keys: usize) -> (UnboundedReceiver<usize>, HashMap<usize, Waiting>) {
        let (come, turns) = unbounded_channel();
        let mut waiting = HashMap::with_capacity(keys);
        for number in 0..keys {
            let wake = come.clone();
            let place = Key::numbered(number).place(self.limits);
            let one = self.gate.enter(place, move || {
                let _ = wake.send(number);
            });
            if one.has_come() {
                come.send(number).unwrap();
            }
            waiting.insert(number, one);
        }
        (turns, waiting)
    }

    async fn run(&self, keys: usize) -> Vec<Called> {
        let (mut turns, mut waiting) = self.enter(keys);
        let (done, mut ended) = unbounded_channel();
        let mut called = Vec::with_capacity(keys);
        while called.len() < keys {
            tokio::select! {
                Some(number) = turns.recv() => {
                    let Ok(turn) = waiting.remove(&number).unwrap().turn() else { panic!("its turn has come") };
                    let key = Key::numbered(number);
                    let (budget, done, began) = (Arc::clone(&self.accounts[key.account]), done.clone(), self.began);
                    self.most.fetch_max(self.running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    let running = Arc::clone(&self.running);
                    tokio::spawn(async move {
                        budget.acquire(Purpose::Ordinary).await.expect("the slots are for half a second of calls");
                        let at = began.elapsed();
                        tokio::time::sleep(WRITES).await;
                        running.fetch_sub(1, Ordering::Relaxed);
                        drop(turn);
                        let _ = done.send(Called { key, at });
                    });
                }
                Some(one) = ended.recv() => called.push(one),
            }
        }
        called
    }
}

#[tokio::test(start_paused = true)]
async fn a_million_keys_are_replaced_at_the_rate_of_their_accounts_and_in_the_order_of_their_expiry() {
    // Accounts enough for the limit of each to decide, and not the one of all.
    let limits = Limits { all: ACCOUNTS * 16, ..Limits::per_account(8) };
    let stage = Stage::new(limits);
    let called = stage.run(KEYS).await;
    assert_eq!(stage.gate.waiting(), 0);

    let seconds = called.iter().map(|it| it.at).max().unwrap().as_secs_f64();
    let at_best = number(KEYS / ACCOUNTS) / f64::from(RATE);
    assert!(seconds <= at_best * 1.05, "{seconds} s for what takes {at_best} s at the rate of the accounts");
    let mut busiest: HashMap<(usize, u64), u32> = HashMap::new();
    for one in &called {
        *busiest.entry((one.key.account, one.at.as_secs())).or_default() += 1;
    }
    let most = busiest.values().max().unwrap();
    let burst = edgee::CAPABILITIES.burst;
    assert!(*most <= RATE + burst, "{most} calls in one second");
    let turned: HashMap<usize, f64> =
        called.iter().filter(|it| it.key.modest).map(|it| (it.key.account, it.at.as_secs_f64())).collect();
    assert_eq!(turned.len(), ACCOUNTS);
    assert!(
        turned.values().all(|it| *it < 3.0),
        "a key of a modest namespace waits for those of a greedy one"
    );
    // Beyond what had begun before all of them waited, the order is that of expiry.
    let slots = limits.slots(RATE);
    let mut last = vec![(0_usize, 0_usize); ACCOUNTS];
    for one in called.iter().filter(|it| !it.key.modest) {
        let (count, highest) = &mut last[one.key.account];
        *count += 1;
        let late = highest.saturating_sub(one.key.expiry);
        assert!(*count <= 2 * slots || late <= 2 * slots, "{late} keys that expire later came before");
        if *count > slots {
            *highest = (*highest).max(one.key.expiry);
        }
    }
}

/// With more accounts than the limit of all has room for, memory is bounded and everything is done.
#[tokio::test(start_paused = true)]
async fn no_more_passes_run_at_once_than_the_limit_of_all_accounts() {
    let limits = Limits::per_account(8);
    let stage = Stage::new(limits);
    let called = stage.run(KEYS).await;
    assert_eq!((called.len(), stage.gate.waiting()), (KEYS, 0));
    assert_eq!(stage.most.load(Ordering::Relaxed), limits.all);
    // A pass of 0.2 s for each place: what the places permit is used.
    let seconds = called.iter().map(|it| it.at).max().unwrap().as_secs_f64();
    let at_best = number(KEYS) / number(limits.all) * WRITES.as_secs_f64();
    assert!(seconds <= at_best * 1.05, "{seconds} s for what takes {at_best} s with {} places", limits.all);
    let of_account =
        |account: usize| called.iter().filter(move |it| it.key.account == account).map(|it| it.at);
    for account in [0, ACCOUNTS / 2, ACCOUNTS - 1] {
        let half = of_account(account).nth(KEYS / ACCOUNTS / 2).unwrap().as_secs_f64();
        assert!(
            (0.3..0.7).contains(&(half / seconds)),
            "account {account} is served with the others: {half} of {seconds}"
        );
    }
}
