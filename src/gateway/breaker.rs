//! One circuit breaker per ConsoleToken: the first 401 or 403 opens it for every dependent, and a successful probe
//! closes it.

use crate::plan::fault::{Fault, FaultKind};
use std::sync::Mutex;
use std::sync::PoisonError;

/// Open while the vendor rejects the token.
#[derive(Default)]
pub struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    open: bool,
    /// Whether it closed since that was asked last.
    recovered: bool,
}

impl Breaker {
    /// A fault while the breaker is open.
    pub fn check(&self) -> Result<(), Fault> {
        if self.lock().open { Err(Fault::without_effect(FaultKind::BreakerOpen)) } else { Ok(()) }
    }

    /// Records the fault of a call. Returns whether it opened the breaker.
    pub fn learn(&self, fault: &Fault) -> bool {
        let mut state = self.lock();
        let opens = fault.blames_token() && !state.open;
        state.open |= opens;
        opens
    }

    /// Closes the breaker after a successful listing.
    pub fn close(&self) {
        let mut state = self.lock();
        state.recovered |= state.open;
        state.open = false;
    }

    /// Whether the breaker closed since this was asked last, by whichever listing: what waits for the token does not know it.
    pub fn take_recovered(&self) -> bool {
        std::mem::take(&mut self.lock().recovered)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breaker_that_closed_is_told_apart_from_one_that_was_never_open_and_once() {
        let breaker = Breaker::default();
        breaker.close();
        assert!(!breaker.take_recovered(), "it was never open");
        assert!(breaker.learn(&Fault::without_effect(FaultKind::TokenRefused)));
        assert!(breaker.check().is_err() && !breaker.take_recovered());
        breaker.close();
        assert!(breaker.check().is_ok());
        assert!(breaker.take_recovered() && !breaker.take_recovered());
    }
}
