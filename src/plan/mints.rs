//! How many keys were created within a day under one name. A resource that is deleted and created again has another
//! UID and an empty status, so counting by name keeps the daily limit effective.

use super::identity::{TokenKind, TokenRef};
use super::retry::plus;
use crate::api::console_token::MintedToday;
use crate::api::rotation::KeyCount;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Keys are counted over this time.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Smaller counts are not stored in status: every new resource takes one key.
const NOTABLE: u64 = 2;
/// Limit of names in status; those with the most keys are kept.
const MOST: usize = 100;

/// Limit of namespaces in status.
const MOST_TOTALS: usize = 500;

/// The name under which the keys of a resource are counted: its own or, with a ClusterConsoleToken, behind its
/// namespace.
pub fn name_of(token: &TokenRef, namespace: &str, name: &str) -> String {
    match token.kind {
        TokenKind::ConsoleToken => name.to_owned(),
        TokenKind::ClusterConsoleToken => format!("{namespace}/{name}"),
    }
}

/// The name under which all keys of a namespace are counted, with a ClusterConsoleToken.
pub fn total_of(token: &TokenRef, namespace: &str) -> Option<String> {
    match token.kind {
        TokenKind::ConsoleToken => None,
        TokenKind::ClusterConsoleToken => Some(format!("{namespace}/")),
    }
}

fn is_total(name: &str) -> bool {
    name.ends_with('/')
}

/// Counts by the name of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mints(BTreeMap<String, (Timestamp, u64)>);

impl Mints {
    /// Counts a key created under this name. The count restarts after a day.
    pub fn count(&mut self, name: &str, now: Timestamp) {
        self.0.retain(|_, (since, _)| now < plus(*since, DAY));
        let (_, made) = self.0.entry(name.to_owned()).or_insert((now, 0));
        *made = made.saturating_add(1);
    }

    /// The number of keys created under this name in the current day.
    pub fn of(&self, name: &str, now: Timestamp) -> Option<KeyCount> {
        let (since, made) = *self.0.get(name).filter(|(since, _)| now < plus(*since, DAY))?;
        Some(KeyCount { since, serial: 0, made })
    }

    /// Adds the counts in status, which an earlier process wrote.
    pub fn restore(&mut self, known: &[MintedToday]) {
        for it in known {
            let (since, made) = self.0.entry(it.name.clone()).or_insert((it.since, 0));
            *since = it.since.min(*since);
            *made = made.saturating_add(it.made);
        }
    }

    /// The counts to write to status, or `None` if no write is needed: an expired count alone is not worth a write.
    /// `stands`: the present counts in status.
    pub fn to_keep(&self, stands: &[MintedToday], now: Timestamp) -> Option<Vec<MintedToday>> {
        let notable = |name: &str, made: u64| made >= NOTABLE || is_total(name);
        let running =
            self.0.iter().filter(|(name, (since, made))| now < plus(*since, DAY) && notable(name, *made));
        let mut keep: Vec<_> = running
            .map(|(name, (since, made))| MintedToday { name: name.clone(), since: *since, made: *made })
            .collect();
        let rank = |it: &MintedToday| (!is_total(&it.name), std::cmp::Reverse(it.made));
        keep.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.name.cmp(&other.name)));
        let totals = keep.iter().filter(|it| is_total(&it.name)).count().min(MOST_TOTALS);
        keep.truncate(totals + MOST);
        keep.sort_by(|one, other| one.name.cmp(&other.name));
        let news = keep.iter().any(|it| !stands.contains(it));
        news.then_some(keep)
    }
}
