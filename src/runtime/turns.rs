//! Lets passes wait for their turn (`plan::turns`).

use crate::plan::turns::{Lane, Limits, Pace, Place, Turns};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Length of a pass from which its vendor counts as slow.
const SLOW: Duration = Duration::from_secs(10);

type State = Turns<oneshot::Sender<()>>;

/// The turns of all passes of the process.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Mutex<State>>);

impl Gate {
    /// A gate with these limits.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(Turns::new(limits))))
    }

    /// Queues a pass.
    pub fn enter(&self, place: Place) -> Waiting {
        let (sender, started) = oneshot::channel();
        let mut state = self.state();
        let ticket = state.enter(place.clone(), sender);
        wake(state.start(&place.lane));
        drop(state);
        Waiting { gate: self.clone(), place, ticket, started, over: false }
    }

    /// Number of passes that wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, lane: &Lane, tenant: &str, pace: Pace) {
        let started = self.state().end(lane, tenant, pace);
        wake(started);
    }
}

/// A pass that was dropped while it waited ends its turn by itself.
fn wake(started: Vec<oneshot::Sender<()>>) {
    for waiter in started {
        let _ = waiter.send(());
    }
}

/// A pass that waits. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Waiting {
    gate: Gate,
    place: Place,
    ticket: u64,
    started: oneshot::Receiver<()>,
    over: bool,
}

impl Waiting {
    /// Where it waits.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Waits for the turn. Dropping the returned future keeps the place in the queue.
    pub async fn turn(&mut self) -> Turn {
        // The sender is dropped only with the gate, which this value holds.
        let _ = (&mut self.started).await;
        self.over = true;
        Turn { gate: self.gate.clone(), place: self.place.clone(), began: Instant::now() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let waited = self.gate.state().withdraw(self.ticket);
        if !waited {
            self.gate.end(&self.place.lane, &self.place.tenant, Pace::Brisk);
        }
    }
}

/// The turn of a pass. Dropping it ends the turn.
#[derive(Debug)]
pub struct Turn {
    gate: Gate,
    place: Place,
    began: Instant,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let pace = if self.began.elapsed() >= SLOW { Pace::Slow } else { Pace::Brisk };
        self.gate.end(&self.place.lane, &self.place.tenant, pace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::identity::TokenRef;
    use crate::plan::turns::Rank;
    use futures::FutureExt;

    fn place(tenant: &str) -> Place {
        Place {
            lane: Lane::Token(TokenRef::beside(Some("shop".to_owned()), "a")),
            tenant: tenant.to_owned(),
            rank: Rank::New,
        }
    }

    #[tokio::test]
    async fn a_turn_is_handed_on_when_it_ends_and_when_its_pass_is_dropped() {
        let gate = Gate::new(Limits { lane: 1, tenant: 1 });
        let turn = gate.enter(place("a")).turn().await;
        let (mut dropped, given_up, mut next) =
            (gate.enter(place("b")), gate.enter(place("c")), gate.enter(place("d")));
        assert!(next.turn().now_or_never().is_none() && dropped.turn().now_or_never().is_none());
        drop(given_up);
        drop(turn);
        // Its turn has come, and it is dropped before it notices.
        drop(dropped);
        drop(next.turn().await);
        assert_eq!(gate.waiting(), 0);
        drop(gate.enter(place("e")).turn().await);
    }
}
