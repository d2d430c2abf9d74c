//! The sweep: finds orphans, keys at the vendor with our cluster's mark that no resource accounts for. It uses a
//! listing that was made anyway. Resources are read after the listing: in the other order, a key that is just being
//! created would look like an orphan.

use super::context::Context;
use crate::cluster::{inventory, ledger};
use crate::gateway::account::{Account, Listing};
use crate::gateway::shares::ListingId;
use crate::plan;
use crate::plan::decision::STRAGGLING;
use crate::plan::hash;
use crate::plan::identity::log_token;
use crate::plan::identity::{AnyToken, with_token};
use crate::plan::ledger::Entry;
use crate::plan::listing::KeyId;
use crate::plan::orphans::{self, AT_ONCE, Known, Orphan, Sight, Suspects};
use crate::plan::retry;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a sweep ended early; nothing is concluded from it.
#[derive(Debug, thiserror::Error)]
enum Skipped {
    #[error("the resources cannot be read: {}", crate::cluster::brief(.0))]
    Resources(#[from] kube::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(
        "keys of this account were left behind although the ledger of their namespace was full, so that a key of theirs would look like an orphan; \
         look at keysmith orphans, then remove the annotation keysmith.dev/ledger-lacks from that ledger"
    )]
    Incomplete,
}

/// Results of earlier sweeps, by listing: console tokens that share a listing are swept once. All of it may be lost:
/// two more sweeps are needed then.
#[derive(Default)]
pub struct Sweeps {
    every: Option<SignedDuration>,
    listings: Mutex<HashMap<ListingId, Remembered>>,
    /// When the key of a ledger entry was first missing, by the entry's name.
    missing: Mutex<HashMap<String, Timestamp>>,
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
    fn forget(&self, listing: &ListingId) -> Option<(&'static str, usize)> {
        let mut listings = self.lock();
        let vendor = listings.remove(listing)?.vendor;
        Some((vendor, orphans_of(&listings, vendor)))
    }

    /// Forgets listings that no token uses any more: tokens come to point to other accounts.
    fn forget_unlisted(&self, is_listed: impl Fn(&ListingId) -> bool) {
        self.lock().retain(|listing, _| is_listed(listing));
    }

    /// Forgets the results of an earlier leadership period.
    pub fn forget_all(&self) {
        self.lock().clear();
        self.missing().clear();
    }

    /// Whether a sweep is due. The first one is somewhere within the first interval, so that a restart of the
    /// operator does not start all sweeps at once.
    fn is_due(&self, listing: &ListingId, vendor: &'static str, seed: &str, now: Timestamp) -> bool {
        let Some(every) = self.every.filter(|_| !self.stopped.load(Ordering::Relaxed)) else {
            return false;
        };
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

    fn suspects(&self, listing: &ListingId) -> Suspects {
        self.lock().get(listing).and_then(|it| it.suspects.clone()).unwrap_or_default()
    }

    /// Remembers the result of a sweep. Returns the number of orphans at that vendor, each counted once even if
    /// several listings show it.
    fn found(&self, listing: &ListingId, suspects: Suspects) -> Option<(&'static str, usize)> {
        let mut listings = self.lock();
        let remembered = listings.get_mut(listing)?;
        remembered.suspects = Some(suspects);
        let vendor = remembered.vendor;
        Some((vendor, orphans_of(&listings, vendor)))
    }

    fn missing(&self) -> MutexGuard<'_, HashMap<String, Timestamp>> {
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

/// A ConsoleToken with this listing is gone: forgets the listing, unless another token shares it.
pub fn forget(context: &Context, listing: &ListingId) {
    if context.accounts.list(listing) {
        return;
    }
    if let Some((vendor, left)) = context.sweeps.forget(listing) {
        context.metrics.orphans(vendor, left);
    }
}

/// Sweeps if that is due, right after a listing. Errors of a sweep do not affect the ConsoleToken.
pub async fn after_listing(context: &Context, token: &AnyToken, account: &Account, listing: &Listing) {
    let uid = token.uid().unwrap_or_default();
    let state = context.accounts.state(&token.reference());
    // In a different account, every key of ours would look deleted.
    if state.is_some_and(|it| it.uid == uid && it.doubt.is_some()) {
        return;
    }
    let id = account.lists();
    let seed = context.accounts.seed(&id, &uid);
    if !context.sweeps.is_due(&id, account.capabilities().name, &seed, context.clock.now()) {
        return;
    }
    context.sweeps.forget_unlisted(|it| *it == *id || context.accounts.list(it));
    let sweep = Sweep { context, token, account, listing, id };
    let outcome = match sweep.run().await {
        Ok(()) => "ok",
        Err(error) => {
            log_token!(warn, token, %error, "no sweep for orphaned keys this time; the next one comes by itself");
            "skipped"
        }
    };
    context.metrics.swept(outcome);
}

struct Sweep<'a> {
    context: &'a Context,
    token: &'a AnyToken,
    account: &'a Account,
    listing: &'a Listing,
    id: Arc<ListingId>,
}

impl Sweep<'_> {
    async fn run(&self) -> Result<(), Skipped> {
        let before = self.context.sweeps.suspects(&self.id);
        let known = self.known_by_marks().await?;
        let mut orphans = orphans::sweep(self.sight(), &known, &before);
        if !orphans.is_empty() {
            // This is rare, and worth reading every resource in full.
            orphans = orphans::sweep(self.sight(), &self.known_by_everything().await?, &before);
            self.drop_gone(&mut orphans, &before).await;
        }
        if let Some(notice) = orphans::found(&orphans, &before) {
            with_token!(self.token, token => self.context.notify(token.as_ref(), notice));
        }
        let revoked = self.revoke(&orphans, &before).await;
        orphans.retain(|it| !revoked.as_ref().is_ok_and(|ids| ids.contains(&it.key.id)));
        if let Some((vendor, left)) = self.context.sweeps.found(&self.id, orphans::suspects(&orphans)) {
            self.context.metrics.orphans(vendor, left);
        }
        self.close_entries(&known.book.entries).await;
        revoked.map(drop)
    }

    fn sight(&self) -> Sight<'_> {
        Sight { cluster: &self.context.cluster, as_of: self.listing.as_of, keys: &self.listing.keys }
    }

    async fn known_by_marks(&self) -> Result<Known, Skipped> {
        let known = inventory::marks(&self.context.client, &self.context.cluster).await?;
        self.with_ledger(known).await
    }

    async fn known_by_everything(&self) -> Result<Known, Skipped> {
        let known = inventory::everything(&self.context.client, &self.context.cluster).await?;
        self.with_ledger(known).await
    }

    /// The ledger is read after the resources, because an entry is written before its resource is deleted.
    async fn with_ledger(&self, known: Known) -> Result<Known, Skipped> {
        let book = self.context.ledger.open().await?;
        if book.may_lack(&self.context.settings.vendors.place(self.token).place) {
            return Err(Skipped::Incomplete);
        }
        Ok(Known { book, ..known })
    }

    /// Drops keys that were revoked during the listing, or before a listing that lags: they are no orphans.
    async fn drop_gone(&self, orphans: &mut Vec<Orphan>, before: &Suspects) {
        let mut gone = BTreeSet::new();
        for id in orphans.iter().map(|it| &it.key.id).filter(|id| !before.contains_key(*id)).take(AT_ONCE) {
            if let Ok(None) = self.account.get(id).await {
                gone.insert(id.clone());
            }
        }
        orphans.retain(|it| !gone.contains(&it.key.id));
    }

    /// Revokes the orphans that two sweeps agree on, after reading once more everything that might account for them.
    async fn revoke(&self, orphans: &[Orphan], before: &Suspects) -> Result<Vec<KeyId>, Skipped> {
        let mut revoked = Vec::new();
        let condemned = orphans::condemned(orphans);
        if condemned.is_empty() {
            return Ok(revoked);
        }
        let still = orphans::sweep(self.sight(), &self.known_by_everything().await?, before);
        let still: BTreeSet<_> = still.into_iter().map(|it| it.key.id).collect();
        for id in condemned.into_iter().filter(|id| still.contains(id)) {
            if let Err(fault) = self.account.revoke(&id).await {
                log_token!(warn, self.token, key = id.0, %fault, "an orphaned key could not be revoked; tried again by the next sweep");
                break;
            }
            revoked.push(id);
        }
        self.context.metrics.orphans_revoked(self.account.capabilities().name, revoked.len());
        if let Some(notice) = orphans::revoked(&revoked) {
            with_token!(self.token, token => self.context.notify(token.as_ref(), notice));
        }
        Ok(revoked)
    }

    /// Removes the ledger entries of deleted keys, so that the ledger lists what exists.
    async fn close_entries(&self, entries: &[Entry]) {
        self.forget_closed(entries);
        let place = self.context.settings.vendors.place(self.token);
        let here = entries.iter().filter(|it| it.is_reached_by(&place));
        let (listed, unseen): (Vec<_>, Vec<_>) =
            here.partition(|it| self.listing.keys.iter().any(|key| it.covers(key)));
        for entry in listed {
            self.context.sweeps.missing().remove(&entry.name());
        }
        for entry in unseen.into_iter().take(AT_ONCE) {
            if self.is_gone(entry).await
                && let Err(error) = self.context.ledger.forget(entry).await
            {
                let (key, serial) = (&entry.key_id, entry.serial);
                log_token!(debug, self.token, key, serial, %error, "an entry of a key that is gone stays until the next sweep");
            }
        }
    }

    /// Forgets what is remembered of entries that are not in the ledger any more.
    fn forget_closed(&self, entries: &[Entry]) {
        let names: BTreeSet<_> = entries.iter().map(Entry::name).collect();
        self.context.sweeps.missing().retain(|name, _| names.contains(name));
    }

    /// Whether two checks, far enough apart, found the key missing. If the vendor cannot return a single key, a check
    /// is a listing, which may lag.
    async fn is_gone(&self, entry: &Entry) -> bool {
        let lag = self.account.capabilities().listing_lag;
        let missing = match &entry.key_id {
            Some(id) => matches!(self.account.get(&KeyId(id.clone())).await, Ok(None)),
            // The key may never have been created: if it was, it is listed by now.
            None => self.listing.as_of >= retry::plus(entry.time, STRAGGLING + lag),
        };
        let (now, name) = (self.context.clock.now(), entry.name());
        let mut before = self.context.sweeps.missing();
        if !missing {
            before.remove(&name);
            return false;
        }
        plan::ledger::is_gone(*before.entry(name).or_insert(now), now, lag)
    }
}
