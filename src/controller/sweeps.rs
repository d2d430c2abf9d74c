//! What is remembered of sweeps between two of them, and when one is due.

use crate::gateway::shares::ListingId;
use crate::plan::hash;
use crate::plan::ledger::Missing;
use crate::plan::listing::KeyId;
use crate::plan::orphans::Suspects;
use crate::plan::retry;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Results of earlier sweeps, by listing: console tokens that share a listing are swept once. All of it may be lost:
/// two more sweeps are needed then.
#[derive(Default)]
pub struct Sweeps {
    every: Option<SignedDuration>,
    listings: Mutex<HashMap<ListingId, Remembered>>,
    /// When the keys of the ledger's entries were first missing.
    missing: Mutex<Missing>,
    /// Whether the ledger lacks a key and could not be marked, so that nothing is swept any more.
    stopped: AtomicBool,
}

struct Remembered {
    vendor: &'static str,
    due: Timestamp,
    /// Orphans of the last sweep; `None` before the first one.
    suspects: Option<Suspects>,
}

impl Sweeps {
    /// `every`: the interval; `None` is never, for an operator that does not see every namespace: it cannot know
    /// which resources account for a key.
    pub fn new(every: Option<SignedDuration>) -> Self {
        Self { every, ..Self::default() }
    }

    /// Stops all sweeps until the process restarts.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether they are stopped.
    pub fn are_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether sweeps are enabled.
    pub fn are_on(&self) -> bool {
        self.every.is_some()
    }

    /// The number of orphans for status; before the first sweep, the number that status shows already. `None` for
    /// none.
    pub fn count(&self, listing: Option<&ListingId>, shown: Option<u32>) -> Option<u32> {
        self.every?;
        match self.lock().get(listing?).and_then(|it| it.suspects.as_ref()) {
            None => shown,
            Some(suspects) => u32::try_from(suspects.len()).ok().filter(|it| *it > 0),
        }
    }

    /// Forgets a listing that no console token uses any more. Returns the vendor and the number of its remaining
    /// orphans, if the listing was ever swept.
    pub fn forget(&self, listing: &ListingId) -> Option<(&'static str, usize)> {
        let mut listings = self.lock();
        let vendor = listings.remove(listing)?.vendor;
        Some((vendor, orphans_of(&listings, vendor)))
    }

    /// Forgets listings that no token uses any more: tokens come to point to other accounts.
    pub fn forget_unlisted(&self, is_listed: impl Fn(&ListingId) -> bool) {
        self.lock().retain(|listing, _| is_listed(listing));
    }

    /// Forgets the results of an earlier leadership period.
    pub fn forget_all(&self) {
        self.lock().clear();
        self.missing().clear();
    }

    /// Whether a sweep is due. The first one is somewhere within the first interval, so that a restart of the
    /// operator does not start all sweeps at once.
    pub fn is_due(&self, listing: &ListingId, vendor: &'static str, seed: &str, now: Timestamp) -> bool {
        let Some(every) = self.every else { return false };
        let mut listings = self.lock();
        let remembered = listings.entry(listing.clone()).or_insert_with(|| {
            let wait = every.as_secs_f64() * hash::fraction(&[b"sweep", seed.as_bytes()]);
            let wait = SignedDuration::try_from_secs_f64(wait).unwrap_or(every);
            Remembered { vendor, due: retry::plus(now, wait), suspects: None }
        });
        let due = now >= remembered.due;
        if due {
            remembered.due = retry::plus(now, retry::jittered(every, seed));
        }
        due
    }

    /// The sweep that was due did not take place, and is due again.
    pub fn retry(&self, listing: &ListingId, now: Timestamp) {
        if let Some(remembered) = self.lock().get_mut(listing) {
            remembered.due = now;
        }
    }

    /// The orphans of the last sweep of that listing.
    pub fn suspects(&self, listing: &ListingId) -> Suspects {
        self.lock().get(listing).and_then(|it| it.suspects.clone()).unwrap_or_default()
    }

    /// Remembers the result of a sweep. Returns the number of orphans at that vendor, each counted once even if
    /// several listings show it.
    pub fn found(&self, listing: &ListingId, suspects: Suspects) -> Option<(&'static str, usize)> {
        let mut listings = self.lock();
        let remembered = listings.get_mut(listing)?;
        remembered.suspects = Some(suspects);
        let vendor = remembered.vendor;
        Some((vendor, orphans_of(&listings, vendor)))
    }

    /// When the keys of the ledger's entries were first missing.
    pub fn missing(&self) -> MutexGuard<'_, Missing> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ListingId, Remembered>> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn orphans_of(listings: &HashMap<ListingId, Remembered>, vendor: &str) -> usize {
    let suspects = listings.values().filter(|it| it.vendor == vendor).flat_map(|it| &it.suspects);
    suspects.flat_map(Suspects::keys).collect::<BTreeSet<&KeyId>>().len()
}
