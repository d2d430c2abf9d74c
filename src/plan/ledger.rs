//! The ledger of what was left behind: a key that stays at a vendor although its resource goes is written down
//! first, so that nobody has to remember it, and so that no sweep takes it for an orphan.

use super::facts::Listed;
use super::hash;
use super::identity::{AccountId, Route, TokenKind, TokenRef, VendorApi};
use super::naming::Mark;
use super::retry::plus;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A ConfigMap holds 1 MiB; the rest is for its metadata and for writers that did not see each other.
pub const LARGEST: usize = 900 * 1024;
/// Characters of an entry's name.
const NAME: usize = 26;

/// Why a key was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// `deletionPolicy: Retain`.
    Retain,
    /// `deletionPolicy: Disable`: the key is there and refused.
    Disable,
    /// The annotation `keysmith.dev/force-orphan`.
    ForceOrphan,
    /// Whether the vendor removed it could not be learnt.
    Unsure,
    /// The ConsoleToken leads to another account now, and that was accepted.
    AccountChanged,
    /// A reason that this version does not know.
    #[serde(other)]
    Other,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Retain => "kept by deletionPolicy Retain",
            Self::Disable => "disabled by deletionPolicy Disable",
            Self::ForceOrphan => "left by keysmith.dev/force-orphan",
            Self::Unsure => "its removal was not confirmed",
            Self::AccountChanged => "left in an account that its ConsoleToken does not lead to any more",
            Self::Other => "left for a reason that another version wrote down",
        })
    }
}

/// The resource that a key was made for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// Where a key is. Parts that nobody could tell any more are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The driver.
    pub vendor: String,
    /// The organization or account at the vendor.
    #[serde(default)]
    pub account: String,
    /// The management API.
    #[serde(default)]
    pub endpoint: String,
    /// The console token that led there: a ConsoleToken in the namespace of the resource, or one of `console_token_kind`.
    #[serde(default)]
    pub console_token: String,
    /// Its kind, where it is another one than ConsoleToken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_token_kind: Option<String>,
}

impl Place {
    /// Only which console token led there is known.
    pub fn unknown(token: &TokenRef) -> Self {
        Self { console_token: token.name.clone(), console_token_kind: kind(token), ..Self::default() }
    }

    /// Where that console token leads: by that driver and endpoint, and to that account where one is known.
    pub fn of(token: &TokenRef, (vendor, endpoint): (&str, &str), account: &str) -> Self {
        let (vendor, endpoint, account) = (vendor.to_owned(), endpoint.to_owned(), account.to_owned());
        Self { vendor, account, endpoint, ..Self::unknown(token) }
    }

    /// The API at which it is.
    pub fn api(&self) -> VendorApi {
        VendorApi::new(&self.vendor, &self.endpoint)
    }

    /// Whether both name the same account; where neither knows one, the same API.
    pub fn agrees(&self, other: &Self) -> bool {
        (self.api(), &self.account) == (other.api(), &other.account)
    }

    /// The console token that led there, for a resource of that namespace. `None`: it is of a kind that this version does not
    /// know, and no other one is meant.
    fn token(&self, namespace: &str) -> Option<TokenRef> {
        match TokenKind::read(self.console_token_kind.as_deref())? {
            TokenKind::ConsoleToken => {
                Some(TokenRef::beside(Some(namespace.to_owned()), &self.console_token))
            }
        }
    }
}

/// As it is written down: what was always meant needs no word.
fn kind(token: &TokenRef) -> Option<String> {
    match token.kind {
        TokenKind::ConsoleToken => None,
    }
}

/// Where a console token leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlace {
    /// The console token.
    pub token: TokenRef,
    /// Where it leads.
    pub place: Place,
    /// The account that its keys were made in, as its status says; empty where it says nothing.
    pub pinned: String,
    /// Whether it may lead to another one now.
    pub doubted: bool,
}

impl TokenPlace {
    /// The account, and how it is reached.
    pub fn route(&self) -> Route {
        let account = AccountId::of(self.place.api(), &self.place.account, self.token.clone());
        Route { account, token: self.token.clone() }
    }

    /// Whether that is the account it leads to, or the one that its keys were made in.
    fn is_or_was(&self, account: &AccountId) -> bool {
        let pinned = AccountId::organization(self.place.api(), &self.pinned);
        *account == pinned || *account == self.route().account
    }
}

/// Between the two looks that do not show a key lies at least this, and more than a listing may lag.
const LOOKS_APART: SignedDuration = SignedDuration::from_mins(1);

/// Whether a key that was missing first at one time and is missing at another is gone. Where a single key is looked up by
/// a listing, one look is no proof.
pub fn is_gone(first: Timestamp, now: Timestamp, listing_lag: SignedDuration) -> bool {
    let apart = LOOKS_APART.max(plus_a_second(listing_lag));
    now >= plus(first, apart)
}

fn plus_a_second(span: SignedDuration) -> SignedDuration {
    span.saturating_add(SignedDuration::from_secs(1))
}

/// One key that was left behind. Never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When it was left.
    pub time: Timestamp,
    /// What it was made for.
    #[serde(flatten)]
    pub owner: Owner,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// The vendor's id; `None` where only the mark is known, after a create call without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The mark in its name, as `Mark` is displayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// The serial in its name; `None` means every key with that mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// Why it was left.
    pub why: Why,
}

impl Entry {
    /// The name of the entry: the same for the same key, whoever writes it down and however often.
    pub fn name(&self) -> String {
        let serial = self.serial.map(|it| it.to_string()).unwrap_or_default();
        let by_mark = || format!("{} {serial}", self.mark.as_deref().unwrap_or(&self.owner.uid));
        let key = self.key_id.clone().unwrap_or_else(by_mark);
        let (place, namespace) = (&self.place, &self.owner.namespace);
        let mut parts = vec![&place.vendor, &place.endpoint, &place.account, &key];
        // Where only the token tells the account, the same id in another namespace is another key.
        if place.account.is_empty() {
            parts.extend([namespace, &place.console_token]);
        }
        let parts: Vec<_> = parts.into_iter().map(String::as_bytes).collect();
        hash::base32(&parts, NAME)
    }

    /// The account that the key is in, and the console token by which it was reached.
    fn route(&self) -> Option<Route> {
        let token = self.place.token(&self.owner.namespace)?;
        Some(Route { account: AccountId::of(self.place.api(), &self.place.account, token.clone()), token })
    }

    /// Whether that console token is known to lead to the account that the key is in: by the account, where both sides know
    /// it, and otherwise only if it is the console token of the resource.
    pub fn is_reached_by(&self, token: &TokenPlace) -> bool {
        let Some(route) = self.route().filter(|_| !token.doubted) else {
            return false;
        };
        // The console token of the resource leads elsewhere since then, unless the former token was put back.
        if self.why == Why::AccountChanged {
            return token.is_or_was(&route.account);
        }
        route.meets(&token.route())
    }

    /// Whether a key that this ConsoleToken shows is the one, although nobody knows whether it leads to the same account:
    /// a mark is nobody else's.
    pub fn is_shown_by(&self, token: &TokenPlace, key: &Listed) -> bool {
        let (here, there) = (&self.place, &token.place);
        let unknown = here.account.is_empty() || there.account.is_empty();
        let own =
            self.mark.as_deref().and_then(Mark::read).is_some_and(|mark| mark.serial_in(&key.name).is_some());
        let near = here.api() == there.api() && unknown && own;
        (near || self.is_reached_by(token)) && self.covers(key)
    }

    /// As it stands in the ledger.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an entry. `None`: somebody broke it.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether this entry speaks of that key. The account is not asked: to spare one key too many does no harm.
    pub fn covers(&self, key: &Listed) -> bool {
        match (&self.key_id, self.mark.as_deref().and_then(Mark::read)) {
            (Some(id), _) => *id == key.id.0,
            (None, Some(mark)) => {
                mark.serial_in(&key.name).is_some_and(|it| self.serial.is_none_or(|serial| serial == it.0))
            }
            (None, None) => false,
        }
    }

    /// Whether both say the same, whenever they were written.
    pub fn agrees(&self, other: &Self) -> bool {
        *self == Self { time: self.time, ..other.clone() }
    }
}

/// The ledger as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Since when it has been kept: what was left before may have stood in one that is lost. `None`: there is none.
    pub since: Option<Timestamp>,
    /// What stands in it.
    pub entries: Vec<Entry>,
}

#[cfg(test)]
mod tests;
