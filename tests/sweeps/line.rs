//! The line between the operator and the world: everything that passes it, in either direction, gets a number, and a
//! fault may be set for that number. Nothing of a killed operator passes the line any more, so its remaining tasks have
//! no effect.

use super::fault::{Fault, Point, Strike};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The treatment of an arrival at the line.
pub enum Passage {
    /// The operator is dead: the request never arrives and is never answered.
    Dead,
    /// The request passes, with this fault.
    Open(Option<Fault>),
}

#[derive(Default)]
struct State {
    /// The generation of the live operator; others are dead.
    generation: u64,
    counting: bool,
    points: Vec<Point>,
    strikes: Vec<Strike>,
    struck: Vec<(Strike, Point)>,
}

/// The line. Clones are the same one.
#[derive(Clone, Default)]
pub struct Line {
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a new operator, and no other one any more.
    pub fn admit(&self) -> u64 {
        let mut state = self.state();
        state.generation += 1;
        state.generation
    }

    /// Starts numbering from 1, with these faults.
    pub fn count(&self, strikes: &[Strike]) {
        let mut state = self.state();
        state.counting = true;
        state.points.clear();
        state.struck.clear();
        state.strikes = strikes.to_vec();
    }

    /// The points so far.
    pub fn points(&self) -> Vec<Point> {
        self.state().points.clone()
    }

    /// The number of points so far.
    pub fn passed(&self) -> usize {
        self.state().points.len()
    }

    /// The faults that happened, with their points.
    pub fn struck(&self) -> Vec<(Strike, Point)> {
        self.state().struck.clone()
    }

    /// Kills the operator at once, whatever the number.
    pub fn kill(&self) {
        self.state().generation += 1;
        self.killed.notify_one();
    }

    /// Waits until the operator is killed.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// A request or event of that operator arrives.
    pub fn arrive(&self, generation: u64, point: Point) -> Passage {
        let mut state = self.state();
        if state.generation != generation {
            return Passage::Dead;
        }
        if !state.counting {
            return Passage::Open(None);
        }
        state.points.push(point);
        let at = state.points.len();
        let strike = state.strikes.iter().find(|strike| strike.at == at).copied();
        let Some(strike) = strike.filter(|it| it.fault.applies(&state.points[at - 1])) else {
            return Passage::Open(None);
        };
        let point = state.points[at - 1].clone();
        state.struck.push((strike, point));
        if strike.fault.kills() {
            // From now on nothing of it passes; requests under way are carried out.
            state.generation += 1;
            self.killed.notify_one();
        }
        if strike.fault == Fault::KilledBefore {
            return Passage::Dead;
        }
        Passage::Open(Some(strike.fault))
    }

    /// Whether that operator may still receive events.
    pub fn is_alive(&self, generation: u64) -> bool {
        self.state().generation == generation
    }
}
