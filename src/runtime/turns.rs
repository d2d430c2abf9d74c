//! Lets passes wait for their turn (`plan::turns`). A pass that waits is a place in the queue and a callback, and no
//! future: kube's controller polls every future that it holds each time one of them moves.

use crate::plan::turns::{Lane, Limits, Pace, Place, Turns};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Length of a pass from which its vendor counts as slow.
const SLOW: Duration = Duration::from_secs(10);

/// Longest pause of a lane. After that, passes run and report the pause in status, if it is not over.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Called when the turn of a pass has come.
type Wake = Box<dyn FnOnce() + Send>;
/// A pass that waits: its number, since when, and what wakes it.
type Waiter = (u64, Instant, Wake);
type State = Turns<Waiter>;

/// The turns of all passes of the process.
#[derive(Clone)]
pub struct Gate {
    state: Arc<Mutex<State>>,
    last: Arc<AtomicU64>,
}

impl Gate {
    /// A gate with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { state: Arc::new(Mutex::new(Turns::new(limits))), last: Arc::default() }
    }

    /// Queues a pass. `wake` is called when its turn comes later; if the turn has come already, it is not called.
    pub fn enter(&self, place: Place, wake: impl FnOnce() + Send + 'static) -> Waiting {
        let (number, place) = (self.last.fetch_add(1, Ordering::Relaxed), Arc::new(place));
        let mut state = self.state();
        let ticket = state.enter(place.as_ref().clone(), (number, Instant::now(), Box::new(wake)));
        let mut started = state.start(&place.lane);
        drop(state);
        started.retain(|(it, ..)| *it != number);
        call(started);
        Waiting { gate: self.clone(), place, ticket, taken: false }
    }

    /// The vendor of this lane asked for a pause of this length.
    pub fn pause(&self, lane: &Lane, time: Duration) {
        if self.state().pause(lane) {
            let (gate, lane) = (self.clone(), lane.clone());
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                let started = gate.state().resume(&lane);
                call(started);
            });
        }
    }

    /// Number of passes that wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting()
    }

    /// Number of passes that wait for a turn in this lane.
    pub fn waiting_in(&self, lane: &Lane) -> usize {
        self.state().waiters().filter(|(it, _)| *it == lane).count()
    }

    /// For how long the first of the passes that wait has waited.
    pub fn oldest(&self) -> Duration {
        self.state().waiters().map(|(_, (_, since, _))| since.elapsed()).max().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, lane: &Lane, tenant: &str, pace: Option<Pace>) {
        let started = self.state().end(lane, tenant, pace);
        call(started);
    }
}

fn call(started: Vec<Waiter>) {
    for (_, _, wake) in started {
        wake();
    }
}

/// A pass that waits. Dropping it leaves the queue, or gives the turn back that has come meanwhile.
pub struct Waiting {
    gate: Gate,
    place: Arc<Place>,
    ticket: u64,
    taken: bool,
}

impl Waiting {
    /// Where it waits.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether its turn has come.
    pub fn has_come(&self) -> bool {
        !self.gate.state().is_waiting(self.ticket)
    }

    /// The turn, if it has come; otherwise it goes on waiting.
    pub fn turn(mut self) -> Result<Turn, Self> {
        if !self.has_come() {
            return Err(self);
        }
        self.taken = true;
        Ok(Turn { gate: self.gate.clone(), place: Arc::clone(&self.place), began: Instant::now() })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let waited = self.gate.state().withdraw(self.ticket);
        if !waited {
            self.gate.end(&self.place.lane, &self.place.tenant, None);
        }
    }
}

/// The turn of a pass. Dropping it ends the turn.
pub struct Turn {
    gate: Gate,
    place: Arc<Place>,
    began: Instant,
}

impl Turn {
    /// The vendor asked for a pause of this length, which is no fault of the pass.
    pub fn paused(&self, time: Duration) {
        self.gate.pause(&self.place.lane, time.min(LONGEST_PAUSE));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let pace = if self.began.elapsed() >= SLOW { Pace::Slow } else { Pace::Brisk };
        self.gate.end(&self.place.lane, &self.place.tenant, Some(pace));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::identity::TokenRef;
    use crate::plan::turns::Rank;
    use std::sync::atomic::AtomicUsize;

    fn place(tenant: &str) -> Place {
        Place {
            lane: Lane::Token(TokenRef::beside(Some("shop".to_owned()), "a")),
            tenant: tenant.to_owned(),
            rank: Rank::New,
            slots: None,
        }
    }

    #[tokio::test]
    async fn a_turn_is_handed_on_when_it_ends_and_when_its_pass_is_dropped() {
        let gate = Gate::new(Limits { lane: 1, tenant: 1, all: 9 });
        let woken = Arc::new(AtomicUsize::new(0));
        let enter = |tenant: &str| {
            let woken = Arc::clone(&woken);
            gate.enter(place(tenant), move || {
                let _ = woken.fetch_add(1, Ordering::Relaxed);
            })
        };
        let Ok(turn) = enter("a").turn() else { panic!("the slot is free") };
        let (dropped, given_up, next) = (enter("b"), enter("c"), enter("d"));
        let Err(next) = next.turn() else { panic!("the slot is taken") };
        assert!(!dropped.has_come() && woken.load(Ordering::Relaxed) == 0);
        drop(given_up);
        drop(turn);
        assert!(dropped.has_come() && woken.load(Ordering::Relaxed) == 1);
        // Its turn has come, and it is dropped before it takes it.
        drop(dropped);
        assert!(next.has_come() && woken.load(Ordering::Relaxed) == 2);
        drop(next.turn());
        assert_eq!(gate.waiting(), 0);
        assert!(enter("e").turn().is_ok());
    }
}
