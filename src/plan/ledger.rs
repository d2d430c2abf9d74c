//! The ledger of keys left behind. A key that stays at a vendor although its resource is deleted is entered first,
//! so that it is not forgotten and no sweep deletes it as an orphan.

use super::hash;
use super::identity::{AccountId, Route, TokenKind, TokenRef, VendorApi};
use super::listing::Listed;
use super::naming::Mark;
use super::retry::plus;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Limit of the ledger of one namespace, in bytes: some three hundred entries.
pub const LARGEST: usize = 128 * 1024;
/// Length of an entry's name in characters.
const NAME: usize = 26;

/// Why a key was left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// `deletionPolicy: Retain`.
    Retain,
    /// `deletionPolicy: Disable`: the key still exists, switched off.
    Disable,
    /// The annotation `keysmith.dev/force-orphan`.
    ForceOrphan,
    /// The outcome of the deletion at the vendor is unknown.
    Unsure,
    /// The ConsoleToken leads to another account now, and the user accepted that.
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

/// The resource for which a key was created.
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

/// The location of a key. Parts that are unknown are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The driver.
    pub vendor: String,
    /// The id of the organization or account at the vendor.
    #[serde(default)]
    pub account: String,
    /// The endpoint of the management API.
    #[serde(default)]
    pub endpoint: String,
    /// The console token that leads there: a ConsoleToken in the resource's namespace, or one of
    /// `console_token_kind`.
    #[serde(default)]
    pub console_token: String,
    /// Kind of the console token, if not ConsoleToken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console_token_kind: Option<String>,
}

impl Place {
    /// A location of which only the console token is known.
    pub fn unknown(token: &TokenRef) -> Self {
        Self { console_token: token.name.clone(), console_token_kind: kind(token), ..Self::default() }
    }

    /// The location that a console token leads to, with this driver and endpoint, and this account if it is known.
    pub fn of(token: &TokenRef, vendor: &str, endpoint: &str, account: &str) -> Self {
        let (vendor, endpoint, account) = (vendor.to_owned(), endpoint.to_owned(), account.to_owned());
        Self { vendor, account, endpoint, ..Self::unknown(token) }
    }

    /// The management API of the location.
    pub fn api(&self) -> VendorApi {
        VendorApi::new(&self.vendor, &self.endpoint)
    }

    /// Whether both name the same account or, if neither names one, the same API.
    pub fn agrees(&self, other: &Self) -> bool {
        (self.api(), &self.account) == (other.api(), &other.account)
    }

    /// The console token that leads there, for a resource in this namespace. `None`: its kind is unknown to this
    /// version.
    fn token(&self, namespace: &str) -> Option<TokenRef> {
        match TokenKind::read(self.console_token_kind.as_deref())? {
            TokenKind::ConsoleToken => {
                Some(TokenRef::beside(Some(namespace.to_owned()), &self.console_token))
            }
            TokenKind::ClusterConsoleToken => Some(TokenRef::shared(&self.console_token)),
        }
    }
}

/// The kind as written in an entry; the default kind is omitted.
fn kind(token: &TokenRef) -> Option<String> {
    match token.kind {
        TokenKind::ConsoleToken => None,
        TokenKind::ClusterConsoleToken => Some(token.kind.name().to_owned()),
    }
}

/// The location that a console token leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlace {
    /// The console token.
    pub token: TokenRef,
    /// Its location.
    pub place: Place,
    /// The account in which its keys were created, from its status; empty if unknown.
    pub pinned: String,
    /// Whether it may now lead to another account.
    pub doubted: bool,
}

impl TokenPlace {
    /// The account and the console token that leads to it.
    pub fn route(&self) -> Route {
        let account = AccountId::of(self.place.api(), &self.place.account, self.token.clone());
        Route { account, token: self.token.clone() }
    }

    /// Whether this is the account that the token leads to now, or the one in which its keys were created.
    fn is_or_was(&self, account: &AccountId) -> bool {
        let pinned = AccountId::organization(self.place.api(), &self.pinned);
        *account == pinned || *account == self.route().account
    }
}

/// Minimum time between the two looks that prove a key gone. It is long, because without its entry a key that was kept on
/// purpose looks like an orphan: a vendor that hides keys for a while must not cost them their entries.
const LOOKS_APART: SignedDuration = SignedDuration::from_hours(24);

/// When the keys of entries were first missing at the vendor, by the names of the entries.
#[derive(Clone, Debug, Default)]
pub struct Missing(BTreeMap<String, Timestamp>);

impl Missing {
    /// Forgets entries that are not in the ledger any more.
    pub fn keep_only(&mut self, entries: &[Entry]) {
        let names: BTreeSet<_> = entries.iter().map(Entry::name).collect();
        self.0.retain(|name, _| names.contains(name));
    }

    /// The key of that entry exists.
    pub fn found(&mut self, entry: &Entry) {
        self.0.remove(&entry.name());
    }

    /// The key of that entry is missing at `now`. Returns whether it is gone: a single look is no
    /// proof.
    pub fn is_gone(&mut self, entry: &Entry, now: Timestamp) -> bool {
        let first = *self.0.entry(entry.name()).or_insert(now);
        now >= plus(first, LOOKS_APART)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// One key that was left behind. An entry never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When the key was left behind.
    pub time: Timestamp,
    /// The resource for which it was created.
    #[serde(flatten)]
    pub owner: Owner,
    /// Its location.
    #[serde(flatten)]
    pub place: Place,
    /// The vendor's id; `None` if only the mark is known, after a create call with an unknown outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The mark in its name, in the format of `Display` for `Mark`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// The serial in its name; `None` means every key with that mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// Why it was left behind.
    pub why: Why,
}

impl Entry {
    /// The name of the entry, derived from the key: repeated writes and all writers use the same name.
    pub fn name(&self) -> String {
        let serial = self.serial.map(|it| it.to_string()).unwrap_or_default();
        let by_mark = || format!("{} {serial}", self.mark.as_deref().unwrap_or(&self.owner.uid));
        let key = self.key_id.clone().unwrap_or_else(by_mark);
        let (place, namespace) = (&self.place, &self.owner.namespace);
        let mut parts = vec![&place.vendor, &place.endpoint, &place.account, &key];
        // Without an account id, the same key id in another namespace is another key.
        if place.account.is_empty() {
            parts.extend([namespace, &place.console_token]);
        }
        let parts: Vec<_> = parts.into_iter().map(String::as_bytes).collect();
        hash::base32(&parts, NAME)
    }

    /// The account of the key and the console token that led to it.
    fn route(&self) -> Option<Route> {
        let token = self.place.token(&self.owner.namespace)?;
        Some(Route { account: AccountId::of(self.place.api(), &self.place.account, token.clone()), token })
    }

    /// Whether this console token is known to lead to the key's account: by the account ids if both are known,
    /// otherwise only if it is the resource's own console token.
    pub fn is_reached_by(&self, token: &TokenPlace) -> bool {
        let Some(route) = self.route().filter(|_| !token.doubted) else {
            return false;
        };
        // The resource's console token leads to another account since then, unless the former token was put back.
        if self.why == Why::AccountChanged {
            return token.is_or_was(&route.account);
        }
        route.meets(&token.route())
    }

    /// Whether the key shown by this ConsoleToken is the one in this entry. If it is unknown whether the accounts
    /// are the same, the mark decides, because marks are unique.
    pub fn is_shown_by(&self, token: &TokenPlace, key: &Listed) -> bool {
        let (here, there) = (&self.place, &token.place);
        let unknown = here.account.is_empty() || there.account.is_empty();
        let own =
            self.mark.as_deref().and_then(Mark::read).is_some_and(|mark| mark.serial_in(&key.name).is_some());
        let near = here.api() == there.api() && unknown && own;
        (near || self.is_reached_by(token)) && self.covers(key)
    }

    /// The JSON form in the ledger.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads an entry; `None` if it is malformed.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether the entry is about this key. The account is not compared: to keep one key too many does no harm.
    pub fn covers(&self, key: &Listed) -> bool {
        match (&self.key_id, self.mark.as_deref().and_then(Mark::read)) {
            (Some(id), _) => *id == key.id.0,
            (None, Some(mark)) => {
                mark.serial_in(&key.name).is_some_and(|it| self.serial.is_none_or(|serial| serial == it.0))
            }
            (None, None) => false,
        }
    }

    /// Whether both entries are equal apart from their time.
    pub fn agrees(&self, other: &Self) -> bool {
        *self == Self { time: self.time, ..other.clone() }
    }
}

/// The content of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// Since when the ledger has existed: keys left behind earlier may be missing in it. `None`: there is no
    /// ledger.
    pub since: Option<Timestamp>,
    /// Its entries.
    pub entries: Vec<Entry>,
    /// Accounts of keys that were left behind although the ledger of their namespace was full.
    pub lacks: Vec<Place>,
    /// Whether the ledger lacks keys of accounts that are not in `lacks`.
    pub lacks_any: bool,
}

impl Book {
    /// Whether the ledger may lack keys of this account: then a key that looks like an orphan may be one that was
    /// left on purpose.
    pub fn may_lack(&self, place: &Place) -> bool {
        let near =
            |it: &&Place| it.api() == place.api() && (it.account.is_empty() || it.account == place.account);
        self.lacks_any
            || self.lacks.iter().any(|it| near(&it) || place.account.is_empty() && it.api() == place.api())
    }
}

#[cfg(test)]
mod tests;
