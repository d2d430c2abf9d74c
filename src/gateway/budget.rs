//! The rate limit of an account: a token bucket, a pause that the vendor asked for, and a reserve, so that other
//! calls never starve revocations. A pause holds only for ordinary calls: a leaked key must not keep working because
//! some other call was throttled.

use crate::plan::fault::{Fault, FaultKind};
use crate::plan::retry::plus;
use crate::runtime::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Mutex, PoisonError};
use tokio::time::{Duration, Instant};

/// Longest wait for a permit; beyond it, the call fails and the resource retries later.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Length of a pause if the vendor's response names none.
const DEFAULT_PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// Shortest pause, whatever the vendor asked for: 0 or a date in the past would be no pause.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(2);
/// The part of the burst that only revocations may use.
const RESERVE: f64 = 2.0;

/// Purpose of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Anything but a revocation.
    Ordinary,
    /// A revocation.
    Revocation,
}

/// The rate limit of an account.
pub struct Budget {
    per_second: f64,
    burst: f64,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    tokens: f64,
    at: Instant,
    paused_until: Option<Timestamp>,
}

impl State {
    /// A revocation ignores the pause: another call was throttled, and the revocation pays from the bucket.
    fn paused(&self, purpose: Purpose, now: Timestamp) -> Result<(), Fault> {
        match self.paused_until.filter(|until| *until > now && purpose == Purpose::Ordinary) {
            None => Ok(()),
            until => Err(Fault::without_effect(FaultKind::Throttled { until })),
        }
    }
}

impl Budget {
    /// A rate limit with a full bucket.
    pub fn new(per_second: u32, burst: u32, clock: Clock) -> Self {
        let burst = f64::from(burst.max(4));
        let state = State { tokens: burst, at: Instant::now(), paused_until: None };
        Self { per_second: f64::from(per_second.max(1)), burst, clock, state: Mutex::new(state) }
    }

    /// Waits for a permit; fails if the wait would be long.
    pub async fn acquire(&self, purpose: Purpose) -> Result<(), Fault> {
        let wait = self.reserve(purpose)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
            // The vendor may have asked for a pause since.
            self.lock().paused(purpose, self.clock.now())?;
        }
        Ok(())
    }

    /// Whether the vendor's pause is over, for ordinary calls.
    pub fn open(&self) -> Result<(), Fault> {
        self.lock().paused(Purpose::Ordinary, self.clock.now())
    }

    /// Until when the vendor wants no ordinary calls. `None`: it takes them.
    pub fn paused_until(&self) -> Option<Timestamp> {
        self.lock().paused_until.filter(|until| *until > self.clock.now())
    }

    /// Starts a pause that the vendor asked for.
    pub fn pause(&self, until: Option<Timestamp>) {
        let now = self.clock.now();
        let until = until.map_or(plus(now, DEFAULT_PAUSE), |until| until.max(plus(now, SHORTEST_PAUSE)));
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(Some(until));
    }

    /// Whether the rate limit equals a new one: the bucket is full, and there is no pause.
    pub fn is_full(&self) -> bool {
        let state = self.lock();
        let earned = Instant::now().duration_since(state.at).as_secs_f64() * self.per_second;
        state.tokens + earned >= self.burst && state.paused(Purpose::Ordinary, self.clock.now()).is_ok()
    }

    fn reserve(&self, purpose: Purpose) -> Result<Duration, Fault> {
        let mut state = self.lock();
        state.paused(purpose, self.clock.now())?;
        let now = Instant::now();
        let earned = now.duration_since(state.at).as_secs_f64() * self.per_second;
        state.tokens = (state.tokens + earned).min(self.burst);
        state.at = now;
        let floor = if purpose == Purpose::Revocation { 0.0 } else { RESERVE };
        let missing = (floor + 1.0 - state.tokens).max(0.0);
        let wait = Duration::from_secs_f64(missing / self.per_second);
        if wait > LONGEST_WAIT {
            let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
            let until = plus(self.clock.now(), SignedDuration::from_secs(seconds));
            return Err(Fault::without_effect(FaultKind::Throttled { until: Some(until) }));
        }
        state.tokens -= 1.0;
        Ok(wait)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        let start = Instant::now();
        Clock::from_fn(move || {
            let nanos = i64::try_from(start.elapsed().as_nanos()).unwrap_or(i64::MAX);
            plus(Timestamp::UNIX_EPOCH, SignedDuration::from_nanos(nanos))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn calls_beyond_the_burst_go_out_at_the_rate() {
        let budget = Budget::new(10, 20, clock());
        let start = Instant::now();
        for _ in 0..58 {
            budget.acquire(Purpose::Ordinary).await.unwrap();
        }
        let seconds = start.elapsed().as_secs_f64();
        assert!((3.9..4.2).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_revocation_finds_a_turn_where_issuing_has_to_wait() {
        let budget = Budget::new(1, 4, clock());
        budget.acquire(Purpose::Ordinary).await.unwrap();
        budget.acquire(Purpose::Ordinary).await.unwrap();
        let start = Instant::now();
        budget.acquire(Purpose::Revocation).await.unwrap();
        assert!(start.elapsed().is_zero());
        budget.acquire(Purpose::Ordinary).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_the_vendor_asked_for_holds_for_every_ordinary_call() {
        let budget = Budget::new(10, 20, clock());
        budget.pause(Some(Timestamp::from_second(30).unwrap()));
        assert!(budget.acquire(Purpose::Ordinary).await.is_err() && budget.open().is_err());
        tokio::time::sleep(Duration::from_secs(30)).await;
        budget.acquire(Purpose::Ordinary).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_revocation_tries_through_a_pause_and_pays_from_the_bucket() {
        let budget = Budget::new(1, 4, clock());
        budget.pause(Some(Timestamp::from_second(30).unwrap()));
        let start = Instant::now();
        for _ in 0..4 {
            budget.acquire(Purpose::Revocation).await.unwrap();
        }
        assert!(start.elapsed().is_zero());
        budget.acquire(Purpose::Revocation).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(1), "the bucket is empty");
        assert!(budget.acquire(Purpose::Ordinary).await.is_err());
    }
}
