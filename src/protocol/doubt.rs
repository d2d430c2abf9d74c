//! Whether a listing shows the account that the keys were made in: the listing is compared with what resources record.

use super::ports::Ports;
use crate::api::GatewayApiKey;
use crate::gateway::account::Listing;
use crate::plan::account::{self, Look, Recorded};
use crate::plan::identity::{AccountId, AnyToken, TokenRef};
use crate::plan::token;
use std::collections::BTreeSet;

/// What the comparison needs besides what every pass needs. It concerns the resources of all namespaces that the process watches.
pub trait DoubtPorts: Ports {
    /// That console token as the engine wrote it last: the cache may lag.
    fn newest_token(&self, token: &AnyToken) -> AnyToken;
    /// The console tokens that satisfy a condition.
    fn tokens_anywhere(&self, condition: impl Fn(&AnyToken) -> bool) -> Vec<AnyToken>;
    /// Visits the keys that are made with that token, as the engine wrote them last.
    fn each_key_anywhere(&self, token: &TokenRef, visit: impl FnMut(&GatewayApiKey));
}

/// Why that console token may lead to a different account, by its status or by this listing. A pass over a key checks this
/// before it treats the key as gone.
pub fn doubt<P: DoubtPorts>(ports: &P, token: &AnyToken, listing: &Listing) -> Option<String> {
    let token = ports.newest_token(token);
    let before = token.status().and_then(|it| it.account.clone())?;
    let newest = before.candidate.clone().filter(|it| it.credential != before.credential);
    let (credential, told) = newest.map_or_else(
        || (before.credential.clone(), before.told.then(|| before.id.clone())),
        |it| (it.credential, it.told.then_some(it.id)),
    );
    let recorded = recorded(ports, &token);
    let listed = listing.ids();
    let look = Look {
        now: ports.now(),
        as_of: listing.as_of,
        listed: &listed,
        recorded: &recorded,
        credential: &credential,
        told: told.as_deref(),
        whole: lists_whole_account(ports, &token),
        accepts: None,
    };
    let (after, judgement) = account::judge(Some(&before), &look);
    let doubt = account::message(&after, &judgement, &token::place(&token))?;
    // The token's own status must report the doubt.
    ports.enqueue_token(&token.reference());
    Some(doubt)
}

/// What resources record of the account of that console token, including keys made with other tokens of the account, if all of
/// them share one listing.
pub fn recorded<P: DoubtPorts>(ports: &P, token: &AnyToken) -> Vec<Recorded> {
    let capabilities = ports.capabilities(&token.spec().vendor);
    let lag = capabilities.map(|it| it.listing_lag).unwrap_or_default();
    let own = token.reference();
    let account = if lists_whole_account(ports, token) { account_of(ports, token) } else { None };
    let tokens = match &account {
        Some(account) => ports.tokens_anywhere(|it| account_of(ports, it).as_ref() == Some(account)),
        None => Vec::new(),
    };
    let tokens: BTreeSet<_> = tokens.iter().map(AnyToken::reference).chain([own.clone()]).collect();
    let mut recorded = Vec::new();
    for token in &tokens {
        ports.each_key_anywhere(token, |key| recorded.extend(account::recorded(key, lag, *token == own)));
    }
    recorded
}

/// Whether every token of the account lists all its keys.
fn lists_whole_account<P: Ports>(ports: &P, token: &AnyToken) -> bool {
    ports.capabilities(&token.spec().vendor).is_some_and(|it| it.lists_whole_account)
}

/// The account id that the vendor returned for that console token.
fn account_of<P: Ports>(ports: &P, token: &AnyToken) -> Option<AccountId> {
    let known = token.status()?.account.as_ref().filter(|it| it.told)?;
    Some(AccountId::organization(ports.place(token).api(), &known.id))
}
