//! Keys as a vendor shows them.

use super::naming::{Identity, Mark, Serial};
use crate::api::shared::RateLimit;
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The vendor's id of a key or provider key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A spending limit in millionths of the vendor's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Millionths.
    pub micros: u64,
    /// Length of the period after which the limit resets.
    pub period: crate::api::shared::Period,
}

/// A setting that a key may be without, as the vendor shows it; in an answer, a field that may be absent, null, or a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setting<T> {
    /// The vendor does not show it, or not in a form that can be read. Of a field: it is absent.
    #[default]
    Hidden,
    /// The key has none. Of a field: it is null.
    Unset,
    /// The key has this one.
    Set(T),
}

impl<T> Setting<T> {
    /// What the vendor shows of it.
    pub fn shown(value: Option<T>) -> Self {
        value.map_or(Self::Unset, Self::Set)
    }

    /// The value, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Hidden | Self::Unset => None,
        }
    }

    /// The same of a borrowed value.
    pub const fn as_ref(&self) -> Setting<&T> {
        match self {
            Self::Hidden => Setting::Hidden,
            Self::Unset => Setting::Unset,
            Self::Set(value) => Setting::Set(value),
        }
    }
}

/// The settings of a key as the vendor shows them. `None`: the vendor does not show the field at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The name without the mark.
    pub display_name: Option<String>,
    /// Whether the vendor accepts calls with this key.
    pub active: Option<bool>,
    /// The permitted models; empty means every model.
    pub models: Option<Vec<String>>,
    /// The spending limit.
    pub budget: Setting<Limit>,
    /// Whether a spending limit exists, for vendors that do not show the amount.
    pub capped: Option<bool>,
    /// Whether the spending limit may be below the budget, because it leaves out what other keys of the resource spent in the
    /// running period: for vendors that count what a key spent against its limit, and cannot be told what was spent before.
    pub may_be_reduced: bool,
    /// Whether the spending limit resets in a rhythm that a specification cannot have; then `budget` is hidden.
    pub other_period: bool,
    /// Limits of requests and tokens.
    pub rate_limit: Setting<RateLimit>,
    /// The e-mail address.
    pub email: Setting<String>,
    /// Debug mode.
    pub debug_mode: Option<bool>,
}

/// A key as the vendor lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The vendor's id.
    pub id: KeyId,
    /// The whole name, including the mark.
    pub name: String,
    /// When the vendor created it.
    pub created_at: Option<Timestamp>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// Amount spent in the current period, in millionths of the vendor's currency, if listings show it.
    pub spent: Option<u64>,
    /// Amount left to spend, in millionths of the vendor's currency, if listings show that instead.
    pub remaining: Option<u64>,
    /// Its settings.
    pub shown: Shown,
    /// Fields that are present in the response but malformed. Such a field is `None` above, which then means
    /// neither "absent" nor "never". `unread_expiry` checks for the expiry, the one field that decisions depend on.
    pub unread: Vec<Unread>,
}

/// How far a vendor's clock may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(15);

/// Drops a timestamp of a past event if it lies in the future, because it cannot be true.
pub fn happened(at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    at.filter(|at| *at <= super::retry::plus(now, AHEAD))
}

impl Listed {
    /// Without timestamps of past events that lie in the future; they count as unknown.
    #[must_use]
    pub fn as_of(self, now: Timestamp) -> Self {
        Self {
            created_at: happened(self.created_at, now),
            last_used_at: happened(self.last_used_at, now),
            ..self
        }
    }

    /// Whether the expiry in the response is malformed. Then `expires_at` is `None`, but does not mean "never".
    pub fn unread_expiry(&self) -> bool {
        self.unread.iter().any(|it| it.is_expiry)
    }

    /// The malformed fields, by the vendor's names.
    pub fn unread_fields(&self) -> Vec<&'static str> {
        self.unread.iter().map(|it| it.field).collect()
    }
}

/// A field of a response that is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The vendor's name of the field.
    pub field: &'static str,
    /// Whether it is the expiry.
    pub is_expiry: bool,
}

/// A key at the vendor that carries our mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// The serial in its name.
    pub serial: Serial,
    /// The key.
    pub key: Listed,
}

/// Finds keys of a listing by their id or their mark, without a walk over all of them. It holds twenty bytes for a key.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Positions, in the order of the ids.
    by_id: Vec<u32>,
    /// Positions of keys with a mark, by a hash of the mark.
    by_mark: Vec<(u64, u32)>,
}

impl Lookup {
    /// The lookup for these keys.
    pub fn new(keys: &[Listed]) -> Self {
        let positions = || 0..u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let mut by_id: Vec<_> = positions().collect();
        by_id.sort_by(|one, other| at(keys, *one).id.cmp(&at(keys, *other).id));
        let marked = positions().filter_map(|it| Some((hash_of(&Mark::parse(&at(keys, it).name)?.0), it)));
        let mut by_mark: Vec<_> = marked.collect();
        by_mark.sort_unstable();
        Self { by_id, by_mark }
    }

    /// The key with that id, among the keys that the lookup was made for.
    pub fn by_id<'a>(&self, keys: &'a [Listed], id: &str) -> Option<&'a Listed> {
        let place = self.by_id.binary_search_by(|it| at(keys, *it).id.0.as_str().cmp(id)).ok()?;
        Some(at(keys, self.by_id[place]))
    }

    /// The keys with one of the identity's marks, and their serials, in the order of the listing.
    pub fn own<'a>(&self, keys: &'a [Listed], identity: &Identity) -> Vec<(Serial, &'a Listed)> {
        let mut places: Vec<_> = [Some(&identity.mark), identity.former.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|mark| {
                let hash = hash_of(mark);
                let first = self.by_mark.partition_point(|(it, _)| *it < hash);
                self.by_mark[first..].iter().take_while(move |(it, _)| *it == hash).map(|(_, place)| *place)
            })
            .collect();
        places.sort_unstable();
        let key = |place| {
            let key = at(keys, place);
            Some((identity.serial_in(&key.name)?, key))
        };
        places.into_iter().filter_map(key).collect()
    }
}

fn at(keys: &[Listed], place: u32) -> &Listed {
    &keys[usize::try_from(place).unwrap_or(usize::MAX)]
}

fn hash_of(mark: &Mark) -> u64 {
    let mut hasher = DefaultHasher::new();
    mark.hash(&mut hasher);
    hasher.finish()
}

/// A complete listing, reduced to the keys that carry our mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// When the listing *began*: it contains every key that existed then, apart from the listing lag.
    pub as_of: Timestamp,
    /// Our keys.
    pub own: Vec<OwnKey>,
}
