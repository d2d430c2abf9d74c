//! The accounts at vendors, by ConsoleToken. The ConsoleToken's controller maintains them; the other controllers use
//! them.

use crate::gateway::account::Account;
use crate::gateway::shares::ListingId;
use crate::plan::identity::TokenRef;
use crate::protocol::ports::TokenState;
use jiff::SignedDuration;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Accounts by their console token.
#[derive(Default)]
pub struct Accounts(Mutex<HashMap<TokenRef, TokenState<Account>>>);

impl Accounts {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TokenRef, TokenState<Account>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// State of that console token; `None` before its controller has verified it.
    pub fn state(&self, token: &TokenRef) -> Option<TokenState<Account>> {
        self.lock().get(token).cloned()
    }

    /// The states of all console tokens.
    pub fn all(&self) -> Vec<(TokenRef, TokenState<Account>)> {
        self.lock().iter().map(|(token, state)| (token.clone(), state.clone())).collect()
    }

    /// Records the state. Returns whether it changed in a field that dependents react to.
    pub fn set(&self, token: TokenRef, state: TokenState<Account>) -> bool {
        let visible = |it: &TokenState<Account>| {
            (
                it.ready.clone(),
                it.doubt.is_some(),
                it.stalled,
                it.fingerprint.clone(),
                it.serial,
                it.generation,
            )
        };
        let now = visible(&state);
        let before = self.lock().insert(token, state);
        before.is_none_or(|before| visible(&before) != now)
    }

    /// Forgets a deleted console token.
    pub fn remove(&self, token: &TokenRef) {
        self.lock().remove(token);
    }

    /// Whether any console token uses this listing.
    pub fn list(&self, listing: &ListingId) -> bool {
        self.lock().values().filter_map(|it| it.account.as_ref()).any(|it| *it.lists() == *listing)
    }

    /// Seed of the jitter for polls and sweeps of a listing: the same for all console tokens that share the listing.
    /// `uid` is the UID of a token that may not be recorded here yet.
    pub fn seed(&self, listing: &ListingId, uid: &str) -> String {
        let tokens = self.lock();
        let lists = |it: &&TokenState<Account>| {
            it.account.as_ref().is_some_and(|account| *account.lists() == *listing)
        };
        let uids = tokens.values().filter(lists).map(|it| it.uid.as_str());
        uids.chain([uid]).min().unwrap_or_default().to_owned()
    }

    /// Whether that console token is the next to list, of those that share a listing: the one whose own last listing
    /// is the oldest. Each token has to list by itself now and then to prove that it may; this order lets those
    /// listings serve as the poll.
    pub fn is_first(&self, token: &TokenRef, account: &Account, poll: SignedDuration) -> bool {
        let Some(own) = account.proven_until(poll) else {
            return true;
        };
        let listing = account.lists();
        let tokens = self.lock();
        let others = tokens.iter().filter(|(other, _)| *other != token);
        let others = others.filter_map(|(other, it)| Some((it.account.as_ref()?, other)));
        let mut others = others.filter(|(it, _)| it.lists() == listing);
        !others.any(|(it, other)| it.proven_until(poll).is_some_and(|proven| (proven, other) < (own, token)))
    }

    /// Forgets the states of an earlier leadership period, because another replica may have acted since.
    pub fn forget_all(&self) {
        self.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn an_account_in_doubt_is_good_for_nothing_however_ready_it_is() {
        let state = |doubt: Option<&str>| TokenState {
            stalled: false,
            lost: false,
            account: None::<Arc<Account>>,
            doubt: doubt.map(str::to_owned),
            ready: Ok(()),
            uid: String::new(),
            generation: None,
            serial: None,
            fingerprint: String::new(),
        };
        let doubted = state(Some("it leads to another account"));
        for outcome in [doubted.usable().err(), doubted.trusted().err()] {
            assert_eq!(outcome.as_deref(), Some("it leads to another account"));
        }
        assert_eq!(state(None).trusted().err().as_deref(), Some("it has not been verified"));
    }
}
