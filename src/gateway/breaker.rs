//! One circuit breaker per ConsoleToken: the first 401 or 403 opens it for every dependent, and a successful probe
//! closes it.

use crate::plan::fault::{Fault, FaultKind};
use std::sync::Mutex;
use std::sync::PoisonError;

/// Open while the vendor rejects the token.
#[derive(Default)]
pub struct Breaker(Mutex<bool>);

impl Breaker {
    /// A fault while the breaker is open.
    pub fn check(&self) -> Result<(), Fault> {
        if *self.lock() { Err(Fault::without_effect(FaultKind::BreakerOpen)) } else { Ok(()) }
    }

    /// Records the fault of a call. Returns whether it opened the breaker.
    pub fn learn(&self, fault: &Fault) -> bool {
        let mut open = self.lock();
        let opens = fault.blames_token() && !*open;
        *open |= opens;
        opens
    }

    /// Closes the breaker after a successful probe.
    pub fn close(&self) {
        *self.lock() = false;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
