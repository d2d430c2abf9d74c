//! Whether a listing shows the account that the keys were made in: the listing is compared with what resources
//! record.

use super::context::Context;
use crate::gateway::Vendors;
use crate::gateway::account::Listing;
use crate::plan::account::{self, Look, Recorded};
use crate::plan::identity::{AccountId, AnyToken, with_token};
use crate::plan::token;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Context {
    /// Why that ConsoleToken may point to a different account, by its status or by this listing. A pass over a key
    /// checks this before it treats the key as gone.
    pub fn doubt(&self, token: &AnyToken, listing: &Listing) -> Option<String> {
        let token = self.newest(token);
        let before = token.status().and_then(|it| it.account.clone())?;
        let newest = before.candidate.clone().filter(|it| it.credential != before.credential);
        let (credential, told) = newest.map_or_else(
            || (before.credential.clone(), before.told.then(|| before.id.clone())),
            |it| (it.credential, it.told.then_some(it.id)),
        );
        let recorded = self.recorded(&token);
        let listed = listing.ids();
        let capabilities = self.settings.vendors.capabilities(&token.spec().vendor);
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
        // The token's own status must report the doubt.
        self.queues.enqueue_token(&token.reference());
        Some(doubt)
    }

    /// What resources record of the account of that console token, including keys made with other tokens of the
    /// account, if all of them share one listing.
    pub fn recorded(&self, token: &AnyToken) -> Vec<Recorded> {
        let capabilities = self.settings.vendors.capabilities(&token.spec().vendor);
        let lag = capabilities.map(|it| it.listing_lag).unwrap_or_default();
        let whole = capabilities.is_some_and(|it| it.lists_whole_account);
        let own = token.reference();
        let vendors = self.settings.vendors;
        let account = whole.then(|| account_of(vendors, token)).flatten();
        let same = |it: &AnyToken| account.is_some() && account_of(vendors, it) == account;
        let tokens = self.everywhere.iter().flat_map(|stores| stores.all_tokens(same));
        let tokens: BTreeSet<_> = tokens.map(|it| it.reference()).chain([own.clone()]).collect();
        let mut recorded = Vec::new();
        for (token, stores) in
            tokens.iter().flat_map(|token| self.everywhere.iter().map(move |it| (token, it)))
        {
            stores.keys.each_made_with(token, |key| {
                // The cache may not show our own last write yet.
                let key = self.memory.newest(key);
                recorded.extend(account::recorded(&key, lag, *token == own));
            });
        }
        recorded
    }

    /// The newer of this token and our own last write of it.
    fn newest(&self, token: &AnyToken) -> AnyToken {
        with_token!(token, token => self.memory.newest(Arc::clone(token)).into())
    }
}

/// The account id that the vendor returned for that ConsoleToken.
fn account_of(vendors: Vendors, token: &AnyToken) -> Option<AccountId> {
    let known = token.status()?.account.as_ref().filter(|it| it.told)?;
    Some(AccountId::organization(vendors.place(token).place.api(), &known.id))
}
