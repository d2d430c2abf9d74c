//! The rate limit of an account: a token bucket, a rate that is halved when the vendor throttles and slowly regained, a
//! pause that the vendor asked for, and a reserve, so that other calls never starve revocations. A pause holds only for ordinary calls: a leaked key must not keep working because
//! some other call was throttled.

use crate::plan::capability::Capabilities;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::retry::plus;
use crate::runtime::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::time::{Duration, Instant};

/// Longest wait for a permit; beyond it, the call fails and the resource retries later.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Length of a pause if the vendor's response names none.
const DEFAULT_PAUSE: SignedDuration = SignedDuration::from_secs(5);
/// Shortest pause, whatever the vendor asked for: 0 or a date in the past would be no pause.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(2);
/// The part of the burst that only revocations may use.
const RESERVE: f64 = 2.0;
/// The smallest burst: the reserve, and something for the other calls.
const LEAST_BURST: f64 = 4.0;
/// The rate below which it is not halved: a call in five seconds, which is the longest wait.
const SLOWEST: f64 = 0.2;
/// The share of the rate that is regained in a second: about a minute from half of it, eight minutes from a hundredth.
const REGAINED: f64 = 0.01;
/// The shortest time between two calls that waited, as a share of the usual one: when a process that was held up makes good for
/// it, no second has more than 1.2 times the calls.
const CATCHING_UP: f64 = 0.86;
/// Refusals this soon after the rate was halved are of calls that were sent before.
const IN_FLIGHT: Duration = Duration::from_secs(1);

/// Purpose of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Anything but a revocation.
    Ordinary,
    /// A revocation.
    Revocation,
}

/// The number of calls per second that an account is given by its driver, and how many may go out at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    per_second: f64,
    burst: f64,
}

impl Rate {
    /// That of a driver.
    pub fn of(capabilities: &Capabilities) -> Self {
        Self::new(capabilities.calls_per_second, capabilities.burst)
    }

    fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), burst: f64::from(burst).max(LEAST_BURST) }
    }

    /// That of a person, who knows what the vendor allows: a fifth of a second's calls may go out at once, so that from ten
    /// calls per second on no second has more than 1.2 times the calls.
    fn given(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, burst: (per_second / 5.0).max(LEAST_BURST) }
    }
}

/// The rate limit of an account.
pub struct Budget {
    usual: Rate,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    /// The rate as it is set: the lowest that a token of the account is given, or the driver's.
    set: Rate,
    /// The rates that tokens of the account are given, as long as their connections live.
    given: Vec<(Weak<()>, u32)>,
    /// Calls per second at present: halved when the vendor throttles, and slowly raised again.
    per_second: f64,
    /// Calls per second when the vendor throttled last.
    refused: f64,
    /// When the rate was halved last.
    halved: Option<Instant>,
    tokens: f64,
    at: Instant,
    /// When the last call went out that had waited.
    waited: Option<Instant>,
    paused_until: Option<Timestamp>,
}

impl State {
    /// Accounts for the time since the last call: earned permits, and a rate that rises again.
    fn pass_time(&mut self, now: Instant) {
        let seconds = now.duration_since(self.at).as_secs_f64();
        self.at = now;
        self.tokens = (self.tokens + seconds * self.per_second).min(self.burst());
        let regained = seconds * self.refused.max(self.per_second) * REGAINED;
        self.per_second = (self.per_second + regained).min(self.set.per_second);
    }

    /// What may go out at once at the present rate.
    fn burst(&self) -> f64 {
        (self.set.burst * self.per_second / self.set.per_second).max(LEAST_BURST)
    }

    /// Sets the lowest of the given rates, or the usual one.
    fn set_rate(&mut self, usual: Rate) {
        self.given.retain(|(it, _)| it.strong_count() > 0);
        let lowest = self.given.iter().map(|(_, it)| *it).min();
        let rate = lowest.map_or(usual, Rate::given);
        if rate != self.set {
            // What the vendor taught is kept as a share.
            let share = rate.per_second / self.set.per_second;
            self.per_second = (self.per_second * share).max(SLOWEST);
            self.refused *= share;
            self.set = rate;
            self.tokens = self.tokens.min(self.burst());
        }
    }

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
    pub fn new(rate: Rate, clock: Clock) -> Self {
        let state = State {
            set: rate,
            given: Vec::new(),
            per_second: rate.per_second,
            refused: rate.per_second,
            halved: None,
            tokens: rate.burst,
            at: Instant::now(),
            waited: None,
            paused_until: None,
        };
        Self { usual: rate, clock, state: Mutex::new(state) }
    }

    /// Sets the calls per second that a token of the account is given, if any, until its connection is gone. Where tokens are
    /// given different numbers, the lowest counts: the vendor limits the account.
    pub fn give(&self, connection: &Arc<()>, per_second: Option<u32>) {
        let mut state = self.lock();
        let own = Arc::downgrade(connection);
        state.given.retain(|(it, _)| !it.ptr_eq(&own));
        state.given.extend(per_second.map(|it| (own, it)));
        state.pass_time(Instant::now());
        state.set_rate(self.usual);
    }

    /// Calls per second, as they are set and not as throttled at present.
    pub fn calls_per_second(&self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "set from a whole number of 32 bits"
        )]
        let whole = self.lock().set.per_second as u32;
        whole
    }

    /// The vendor throttles: a pause, and half the calls per second. Calls that were sent before the vendor said so do not
    /// halve the rate again.
    pub fn throttled(&self, until: Option<Timestamp>) {
        {
            let now = Instant::now();
            let mut state = self.lock();
            state.pass_time(now);
            if state.halved.is_none_or(|it| now.duration_since(it) >= IN_FLIGHT) {
                state.refused = state.per_second;
                state.per_second = (state.per_second / 2.0).max(SLOWEST);
                state.halved = Some(now);
                state.tokens = state.tokens.min(state.burst());
            }
        }
        self.pause(until);
    }

    /// Waits for a permit; fails if the wait would be long.
    pub async fn acquire(&self, purpose: Purpose) -> Result<(), Fault> {
        let wait = self.reserve(purpose)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
            while let Some(until) = self.too_soon() {
                tokio::time::sleep_until(until).await;
            }
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

    /// Whether the rate limit equals a new one: the bucket is full, the rate is that of the driver, and there is no pause.
    pub fn is_full(&self) -> bool {
        let mut state = self.lock();
        state.pass_time(Instant::now());
        state.set_rate(self.usual);
        let open = state.paused(Purpose::Ordinary, self.clock.now()).is_ok();
        open && state.per_second >= self.usual.per_second && state.tokens >= self.usual.burst
    }

    /// Until when a call that has waited has to wait on, because another one has just gone out. `None`: it goes out now.
    fn too_soon(&self) -> Option<Instant> {
        let (now, mut state) = (Instant::now(), self.lock());
        let apart = Duration::from_secs_f64(CATCHING_UP / state.per_second);
        let next = state.waited.map(|it| it + apart).filter(|it| *it > now);
        if next.is_none() {
            state.waited = Some(now);
        }
        next
    }

    fn reserve(&self, purpose: Purpose) -> Result<Duration, Fault> {
        let mut state = self.lock();
        state.paused(purpose, self.clock.now())?;
        state.pass_time(Instant::now());
        let floor = if purpose == Purpose::Revocation { 0.0 } else { RESERVE };
        let missing = (floor + 1.0 - state.tokens).max(0.0);
        let wait = Duration::from_secs_f64(missing / state.per_second);
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
mod tests;
