//! One breaker per ConsoleToken: the first 401 or 403 opens it for every dependant, and one probe closes it.

use crate::plan::fault::{Fault, FaultKind};
use std::sync::Mutex;
use std::sync::PoisonError;

/// Open while the vendor refuses the token.
#[derive(Default)]
pub struct Breaker(Mutex<bool>);

impl Breaker {
    /// Refuses a call while open.
    pub fn check(&self) -> Result<(), Fault> {
        if *self.lock() { Err(Fault::without_effect(FaultKind::BreakerOpen)) } else { Ok(()) }
    }

    /// Learns from the outcome of a call. Returns whether that opened the breaker.
    pub fn learn(&self, fault: &Fault) -> bool {
        let mut open = self.lock();
        let opens = fault.blames_token() && !*open;
        *open |= opens;
        opens
    }

    /// A probe was answered.
    pub fn close(&self) {
        *self.lock() = false;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
