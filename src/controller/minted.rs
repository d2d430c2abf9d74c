//! How many keys were created today under the name of a resource, even if the resource was deleted since: kept in
//! memory, and in the status of the ConsoleToken for the next process.

use crate::api::console_token::MintedToday;
use crate::plan::identity::TokenRef;
use crate::plan::mints::Mints;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

/// Counts by console token.
#[derive(Default)]
pub struct MintedKeys(Mutex<HashMap<TokenRef, Mints>>);

impl MintedKeys {
    /// Accesses the counts of a console token. `known`: the counts in its status, which are read once; `None`: its status is not
    /// known yet.
    pub fn with<T>(
        &self,
        token: &TokenRef,
        known: impl FnOnce() -> Option<Vec<MintedToday>>,
        then: impl FnOnce(&mut Mints) -> T,
    ) -> T {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mints = match tokens.entry(token.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => match known() {
                Some(known) => {
                    let mut mints = Mints::default();
                    mints.restore(&known);
                    entry.insert(mints)
                }
                // The ConsoleToken is not in the store yet, and neither is the count in its status.
                None => return then(&mut Mints::default()),
            },
        };
        then(mints)
    }

    /// Forgets the counts of an earlier leadership period; they are read from status again.
    pub fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
