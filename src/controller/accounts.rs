//! The accounts at vendors, by ConsoleToken. The ConsoleToken's controller keeps them; the others use them.

use crate::gateway::account::Account;
use crate::plan::naming::Serial;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a ConsoleToken is good for.
#[derive(Clone)]
pub struct Standing {
    /// The way to the vendor: kept while the token is not Ready, so that what it made can be cleaned up.
    pub account: Option<Arc<Account>>,
    /// Why the account cannot be trusted to be the one that the keys were made in: nothing is made, nothing is revoked.
    pub doubt: Option<String>,
    /// Whether new work may be begun, and if not, why.
    pub ready: Result<(), String>,
    /// Whether only a person can make it ready.
    pub stalled: bool,
    /// Its token is gone and cannot come back: the Secret went with its namespace, which is being deleted.
    pub lost: bool,
    /// UID of the ConsoleToken: one of the same name that came later is another.
    pub uid: String,
    /// Serial of the credential, where Keysmith made it.
    pub serial: Option<Serial>,
    /// Recognises the credential, endpoint and place the account was made of.
    pub fingerprint: String,
}

impl Standing {
    /// The account, if what was made with it may be removed: not while it may be another one.
    pub fn trusted(&self) -> Result<&Arc<Account>, String> {
        self.doubt.clone().map_or(Ok(()), Err)?;
        self.account.as_ref().ok_or_else(|| "it has not been verified".to_owned())
    }

    /// The account, if new work may be begun with it now.
    pub fn usable(&self) -> Result<&Arc<Account>, String> {
        self.doubt.clone().map_or(Ok(()), Err)?;
        self.ready.clone()?;
        let account = self.account.as_ref().ok_or("it has not been verified")?;
        account.usable().map_err(|fault| fault.to_string())?;
        Ok(account)
    }
}

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
