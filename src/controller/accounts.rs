//! The accounts at vendors, by ConsoleToken. The ConsoleToken's controller keeps them; the others use them.

use crate::gateway::account::Account;
use crate::protocol::token::TokenState;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What a ConsoleToken is good for.
pub type Standing = TokenState<Account>;

/// Accounts by namespace and name of their ConsoleToken.
#[derive(Default)]
pub struct Accounts(Mutex<HashMap<(String, String), Standing>>);

impl Accounts {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What that ConsoleToken is good for; `None` before its controller has looked at it.
    pub fn standing(&self, namespace: &str, name: &str) -> Option<Standing> {
        self.lock().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Records what it is good for. Returns whether its readiness changed.
    pub fn set(&self, namespace: &str, name: &str, standing: Standing) -> bool {
        let told = |it: &Standing| {
            (it.ready.clone(), it.doubt.is_some(), it.stalled, it.fingerprint.clone(), it.serial)
        };
        let now = told(&standing);
        let before = self.lock().insert((namespace.to_owned(), name.to_owned()), standing);
        before.is_none_or(|before| told(&before) != now)
    }

    /// The ConsoleToken is gone.
    pub fn remove(&self, namespace: &str, name: &str) {
        self.lock().remove(&(namespace.to_owned(), name.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_in_doubt_is_good_for_nothing_however_ready_it_is() {
        let standing = |doubt: Option<&str>| Standing {
            stalled: false,
            lost: false,
            account: None,
            doubt: doubt.map(str::to_owned),
            ready: Ok(()),
            uid: String::new(),
            serial: None,
            fingerprint: String::new(),
        };
        let doubted = standing(Some("it leads to another account"));
        for outcome in [doubted.usable().err(), doubted.trusted().err()] {
            assert_eq!(outcome.as_deref(), Some("it leads to another account"));
        }
        assert_eq!(standing(None).trusted().err().as_deref(), Some("it has not been verified"));
    }
}
