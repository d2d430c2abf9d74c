//! How many keys were made within a day under one name: a resource that is deleted and created again has another UID and
//! an empty status, and the brake on making keys is not to be had so cheaply.

use super::retry::plus;
use crate::api::console_token::MintedToday;
use crate::api::rotation::KeyCount;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Keys are counted over this time.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// One key a day is what every new resource takes; it is not worth a place in status.
const NOTABLE: u64 = 2;
/// As many names are kept in status, those with most keys.
const MOST: usize = 100;

/// Counts by the name of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mints(BTreeMap<String, (Timestamp, u64)>);

impl Mints {
    /// A key was made under that name. A count begins anew after a day.
    pub fn count(&mut self, name: &str, now: Timestamp) {
        self.0.retain(|_, (since, _)| now < plus(*since, DAY));
        let (_, made) = self.0.entry(name.to_owned()).or_insert((now, 0));
        *made = made.saturating_add(1);
    }

    /// What was made under that name within the running day.
    pub fn of(&self, name: &str, now: Timestamp) -> Option<KeyCount> {
        let (since, made) = *self.0.get(name).filter(|(since, _)| now < plus(*since, DAY))?;
        Some(KeyCount { since, serial: 0, made })
    }

    /// Takes over what status remembers of an earlier process.
    pub fn restore(&mut self, known: &[MintedToday]) {
        for it in known {
            let (since, made) = self.0.entry(it.name.clone()).or_insert((it.since, 0));
            *since = it.since.min(*since);
            *made = made.saturating_add(it.made);
        }
    }

    /// What status is to remember, given what stands there: what only ran out stays until something else is written.
    pub fn to_keep(&self, stands: &[MintedToday], now: Timestamp) -> Option<Vec<MintedToday>> {
        let running = self.0.iter().filter(|(_, (since, made))| now < plus(*since, DAY) && *made >= NOTABLE);
        let mut keep: Vec<_> = running
            .map(|(name, (since, made))| MintedToday { name: name.clone(), since: *since, made: *made })
            .collect();
        keep.sort_by(|one, other| other.made.cmp(&one.made).then_with(|| one.name.cmp(&other.name)));
        keep.truncate(MOST);
        keep.sort_by(|one, other| one.name.cmp(&other.name));
        let news = keep.iter().any(|it| !stands.contains(it));
        news.then_some(keep)
    }
}
