//! How many keys were created today under the name of a resource, even if the resource was deleted since: kept in
//! memory, and in the status of the ConsoleToken for the next process.

use super::context::Context;
use crate::api::ConsoleTokenStatus;
use crate::api::console_token::MintedToday;
use crate::api::rotation::KeyCount;
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::mints::Mints;
use jiff::Timestamp;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

/// Counts by console token.
#[derive(Default)]
pub struct MintedKeys(Mutex<HashMap<TokenRef, Mints>>);

impl MintedKeys {
    fn with<T>(
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

impl Context {
    /// The keys created within a day for a resource of that name with that console token, including those of deleted
    /// resources.
    pub fn minted(&self, token: &TokenRef, name: &str) -> Option<KeyCount> {
        let now = self.clock.now();
        self.minted_keys.with(token, || self.remembered(token), |it| it.of(name, now))
    }

    /// Counts a key created for the resource of that name.
    pub fn count_minted(&self, token: &TokenRef, name: &str) {
        let now = self.clock.now();
        let known = || self.remembered(token).or_else(|| Some(Vec::new()));
        self.minted_keys.with(token, known, |it| it.count(name, now));
    }

    /// The counts for the status of that ConsoleToken, if they exceed those in it.
    pub fn minted_today(&self, token: &AnyToken, now: Timestamp) -> Option<Vec<MintedToday>> {
        let stands = token.status().map(ConsoleTokenStatus::keys_today).unwrap_or_default();
        let known = stands.clone();
        self.minted_keys.with(&token.reference(), || Some(known), |it| it.to_keep(&stands, now))
    }

    fn remembered(&self, token: &TokenRef) -> Option<Vec<MintedToday>> {
        let token = self.stores.token(token)?;
        Some(token.status().map(ConsoleTokenStatus::keys_today).unwrap_or_default())
    }
}
