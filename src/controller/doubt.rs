//! Whether a listing shows the account that the keys were made in: what resources record is compared with it.

use super::context::Context;
use crate::api::console_token::ConsoleTokenAccount;
use crate::api::{ConsoleToken, GatewayApiKey};
use crate::cluster::watch;
use crate::gateway::Vendors;
use crate::gateway::account::Listing;
use crate::plan::account::{self, Look, Recorded};
use crate::plan::token;
use kube::ResourceExt;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

impl Context {
    /// Why the account of that ConsoleToken is doubted, by its status or by this listing. For a pass over a key, before it
    /// believes that the key is gone.
    pub fn doubt(&self, token: &ConsoleToken, listing: &Listing) -> Option<String> {
        let token = self.memory.newest(Arc::new(token.clone()));
        let before = token.status.as_ref().and_then(|it| it.account.clone())?;
        let newest = before.candidate.clone().filter(|it| it.credential != before.credential);
        let (credential, told) = newest.map_or_else(
            || (before.credential.clone(), before.told.then(|| before.id.clone())),
            |it| (it.credential, it.told.then_some(it.id)),
        );
        let recorded = self.recorded(&token);
        let listed = ids(listing);
        let capabilities = self.settings.vendors.capabilities(&token.spec.vendor);
        let look = Look {
            now: self.clock.now(),
            as_of: listing.as_of,
            listed: &listed,
            recorded: &recorded,
            credential: &credential,
            told: told.as_deref(),
            whole: capabilities.is_some_and(|it| it.lists_whole_account),
            accepts: None,
        };
        let (after, judgement) = account::judge(Some(&before), &look);
        let doubt = account::message(&after, &judgement, &token::place(&token))?;
        // Its status is to say so.
        let _ = self.wakers.tokens.send(watch::reference(token.as_ref()));
        Some(doubt)
    }

    /// What resources record of the account of that ConsoleToken, whatever tokens of it made the keys, if all of them list
    /// the same ones.
    pub fn recorded(&self, token: &ConsoleToken) -> Vec<Recorded> {
        let capabilities = self.settings.vendors.capabilities(&token.spec.vendor);
        let lag = capabilities.map(|it| it.listing_lag).unwrap_or_default();
        let whole = capabilities.is_some_and(|it| it.lists_whole_account);
        let own = place_of(token);
        let tokens = watch::all(&self.stores.tokens, |it| {
            place_of(it) == own || whole && is_same(self.settings.vendors, it, token)
        });
        let tokens: HashSet<_> = tokens.iter().map(|it| place_of(it.as_ref())).chain([own.clone()]).collect();
        let keys = self.stores.keys.state();
        let keys = keys.iter().filter_map(|it| it.0.as_ref().ok());
        keys.filter_map(|key| {
            let place = token_of(key);
            if !tokens.contains(&place) {
                return None;
            }
            // What we wrote ourselves a moment ago is not in the store yet.
            let key = self.memory.newest(Arc::new(key.clone()));
            account::recorded(&key, lag, place == own)
        })
        .collect()
    }

    /// The keys that were made with that ConsoleToken.
    pub fn keys_of(&self, token: &ConsoleToken) -> Vec<Arc<GatewayApiKey>> {
        let own = place_of(token);
        watch::all(&self.stores.keys, |it| token_of(it) == own)
    }
}

/// The ids in a listing.
pub fn ids(listing: &Listing) -> BTreeSet<&str> {
    listing.keys.iter().map(|it| it.id.0.as_str()).collect()
}

fn place_of(token: &ConsoleToken) -> (String, String) {
    (token.namespace().unwrap_or_default(), token.name_any())
}

fn token_of(key: &GatewayApiKey) -> (String, String) {
    (key.namespace().unwrap_or_default(), key.spec.console_token_ref.name.clone())
}

/// Whether both are known to lead to one account.
fn is_same(vendors: Vendors, one: &ConsoleToken, other: &ConsoleToken) -> bool {
    let known = |it: &ConsoleTokenAccount| it.told.then(|| it.id.clone());
    let account = |it: &ConsoleToken| it.status.as_ref()?.account.as_ref().and_then(known);
    let (left, right) = (vendors.place(one).place, vendors.place(other).place);
    (left.vendor, left.endpoint) == (right.vendor, right.endpoint)
        && account(one).is_some_and(|id| account(other) == Some(id))
}
