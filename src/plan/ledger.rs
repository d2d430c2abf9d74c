//! The ledger of what was left behind: a key that stays at a vendor although its resource goes is written down
//! first, so that nobody has to remember it, and so that no sweep takes it for an orphan.

use super::facts::Listed;
use super::hash;
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
    /// The ConsoleToken that led there, in the namespace of the resource.
    #[serde(default)]
    pub console_token: String,
}

/// Where a ConsoleToken leads. Without its namespace its name says nothing: another namespace has one of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenPlace {
    /// The namespace of the ConsoleToken.
    pub namespace: String,
    /// Where it leads.
    pub place: Place,
    /// The account that its keys were made in, as its status says; empty where it says nothing.
    pub pinned: String,
    /// Whether it may lead to another one now.
    pub doubted: bool,
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

    /// Whether that ConsoleToken is known to lead to the account that the key is in: by the account, where both sides know
    /// it, and otherwise only if it is the ConsoleToken of the resource.
    pub fn is_reached_by(&self, token: &TokenPlace) -> bool {
        let (here, there) = (&self.place, &token.place);
        if (&here.vendor, &here.endpoint) != (&there.vendor, &there.endpoint) || token.doubted {
            return false;
        }
        // The ConsoleToken of the resource leads elsewhere since then, unless the former token was put back.
        if self.why == Why::AccountChanged {
            return here.account == token.pinned || here.account == there.account;
        }
        if here.account.is_empty() || there.account.is_empty() {
            return (&self.owner.namespace, &here.console_token) == (&token.namespace, &there.console_token);
        }
        here.account == there.account
    }

    /// Whether a key that this ConsoleToken shows is the one, although nobody knows whether it leads to the same account:
    /// a mark is nobody else's.
    pub fn is_shown_by(&self, token: &TokenPlace, key: &Listed) -> bool {
        let (here, there) = (&self.place, &token.place);
        let unknown = here.account.is_empty() || there.account.is_empty();
        let own =
            self.mark.as_deref().and_then(Mark::read).is_some_and(|mark| mark.serial_in(&key.name).is_some());
        let near = (&here.vendor, &here.endpoint) == (&there.vendor, &there.endpoint) && unknown && own;
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
mod tests {
    use super::*;
    use crate::plan::facts::{KeyId, Shown};
    use crate::plan::naming::{ClusterId, Serial};

    fn entry() -> Entry {
        Entry {
            time: Timestamp::UNIX_EPOCH,
            owner: Owner { uid: "u".into(), ..Owner::default() },
            place: Place { vendor: "v".into(), ..Place::default() },
            key_id: Some("key_1".into()),
            mark: None,
            serial: None,
            why: Why::Retain,
        }
    }

    fn listed(id: &str, name: String) -> Listed {
        let (created_at, expires_at, last_used_at) = (None, None, None);
        Listed {
            id: KeyId(id.into()),
            name,
            created_at,
            expires_at,
            last_used_at,
            spent: None,
            remaining: None,
            unread: Vec::new(),
            shown: Shown::default(),
        }
    }

    #[test]
    fn an_entry_survives_the_ledger_in_documented_words() {
        let written = Entry { mark: Some("ks-a-b".into()), serial: Some(3), ..entry() };
        let text = written.encode();
        assert_eq!(Entry::decode(&text), Some(written));
        assert_eq!(
            text,
            r#"{"time":"1970-01-01T00:00:00Z","kind":"","namespace":"","name":"","uid":"u","vendor":"v","account":"","endpoint":"","consoleToken":"","keyId":"key_1","mark":"ks-a-b","serial":3,"why":"Retain"}"#
        );
        assert_eq!(Entry::decode(&text.replace("Retain", "Sold")).map(|it| it.why), Some(Why::Other));
        assert_eq!(Entry::decode("{}"), None);
    }

    #[test]
    fn a_name_is_the_key_and_its_account_and_nothing_else() {
        let later = Entry { time: Timestamp::MAX, why: Why::Unsure, serial: Some(9), ..entry() };
        assert_eq!(entry().name(), later.name());
        for other in [
            Entry { key_id: Some("key_2".into()), ..entry() },
            Entry { place: Place { account: "o".into(), ..entry().place }, ..entry() },
            Entry { key_id: None, ..entry() },
        ] {
            assert_ne!(entry().name(), other.name());
        }
    }

    #[test]
    fn a_token_of_the_same_name_in_another_namespace_leads_elsewhere_unless_the_account_is_known() {
        let place = |account: &str, token: &str| Place {
            vendor: "v".into(),
            account: account.into(),
            endpoint: "https://v".into(),
            console_token: token.into(),
        };
        let left = |account: &str| Entry {
            owner: Owner { namespace: "a".into(), ..Owner::default() },
            place: place(account, "main"),
            ..entry()
        };
        let token = |namespace: &str, account: &str, name: &str| TokenPlace {
            namespace: namespace.into(),
            place: place(account, name),
            ..TokenPlace::default()
        };
        let pinned = |account: &str| TokenPlace { pinned: account.into(), ..token("a", "", "main") };
        let moved = || Entry { why: Why::AccountChanged, ..left("old") };
        for (entry, other, expected) in [
            (left(""), token("a", "", "main"), true),
            (left(""), token("b", "", "main"), false),
            (left(""), token("a", "", "other"), false),
            (left("o"), token("b", "o", "other"), true),
            (left("o"), token("a", "p", "main"), false),
            // Written down before the vendor told, or told no more.
            (left(""), token("a", "o", "main"), true),
            (left(""), token("b", "o", "main"), false),
            (left("o"), token("a", "", "main"), true),
            (left("o"), token("b", "", "main"), false),
            // It leads elsewhere since then, or there again, or nobody knows.
            (moved(), pinned("new"), false),
            (moved(), pinned("old"), true),
            (moved(), token("b", "old", "other"), true),
            (left(""), TokenPlace { doubted: true, ..pinned("old") }, false),
        ] {
            assert_eq!(entry.is_reached_by(&other), expected, "{entry:?} {other:?}");
        }
        let elsewhere = Place { endpoint: "https://w".into(), ..place("o", "main") };
        assert!(!left("o").is_reached_by(&TokenPlace {
            namespace: "a".into(),
            place: elsewhere,
            ..TokenPlace::default()
        }));
        assert_ne!(left("").name(), Entry { owner: Owner::default(), ..left("") }.name());
        assert_eq!(left("o").name(), Entry { owner: Owner::default(), ..left("o") }.name());
    }

    #[test]
    fn a_key_with_the_mark_is_the_one_whichever_token_shows_it() {
        let mark = Mark::new(&ClusterId("c".into()), "u");
        let left = Entry { mark: Some(mark.to_string()), ..entry() };
        let token = TokenPlace { namespace: "b".into(), place: entry().place, ..TokenPlace::default() };
        assert!(left.is_shown_by(&token, &listed("key_1", mark.name("x", Serial(1)))));
        assert!(
            !left.is_shown_by(&token, &listed("key_1", "x".into())),
            "an id alone may be another account's"
        );
        let known = Place { account: "p".into(), ..entry().place };
        let other = Entry { place: Place { account: "o".into(), ..entry().place }, ..left };
        let token = TokenPlace { namespace: "b".into(), place: known, ..TokenPlace::default() };
        assert!(!other.is_shown_by(&token, &listed("key_1", mark.name("x", Serial(1)))));
    }

    #[test]
    fn a_key_is_gone_after_two_looks_a_minute_and_more_than_the_lag_apart() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (now, lag, expected) in
            [(59, 30, false), (60, 30, true), (60, 60, false), (90, 90, false), (91, 90, true)]
        {
            assert_eq!(is_gone(at(0), at(now), SignedDuration::from_secs(lag)), expected, "{now} {lag}");
        }
    }

    #[test]
    fn an_entry_covers_its_key_by_id_or_by_mark_and_serial() {
        let mark = Mark::new(&ClusterId("c".into()), "u");
        let (one, two) = (mark.name("x", Serial(1)), mark.name("x", Serial(2)));
        assert!(entry().covers(&listed("key_1", one.clone())));
        assert!(!entry().covers(&listed("key_2", one.clone())));
        let marked = Entry { key_id: None, mark: Some(mark.to_string()), ..entry() };
        assert!(marked.covers(&listed("key_2", one.clone())) && marked.covers(&listed("key_3", two.clone())));
        let second = Entry { serial: Some(2), ..marked };
        assert!(!second.covers(&listed("key_2", one)) && second.covers(&listed("key_3", two)));
        assert!(!Entry { key_id: None, ..entry() }.covers(&listed("key_1", "x".into())));
    }
}
