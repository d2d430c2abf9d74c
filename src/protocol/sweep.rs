//! The sweep finds orphans: keys at the vendor with our cluster's mark that no resource accounts for. It uses a listing that was
//! made anyway, and revokes the orphans that two sweeps agree on; `plan::orphans` decides. It also removes the ledger's entries
//! of keys that are gone.
//!
//! Resources are read after the listing: in the other order, a key that is just being created would look like an orphan.
//! The ledger is read after the resources, because an entry is written before its resource is deleted.

use super::ports::{Ports, VendorPort};
use crate::cluster::ledger;
use crate::gateway::account::Listing;
use crate::plan::decision::STRAGGLING;
use crate::plan::identity::{AnyToken, log_token};
use crate::plan::ledger::{Book, Entry, Missing, TokenPlace};
use crate::plan::listing::KeyId;
use crate::plan::orphans::{self, AT_ONCE, Known, Orphan, Sight, Suspects};
use crate::plan::report::Notice;
use crate::plan::retry::plus;
use std::collections::BTreeSet;

/// What a sweep needs besides what every pass needs.
#[expect(
    async_fn_in_trait,
    reason = "the live adapter is where futures have to be Send, and where that is checked"
)]
pub trait SweepPorts: Ports {
    /// The marks of all resources of the cluster, read from the API server and not from a cache. The ledger is not included.
    async fn known_by_marks(&self) -> kube::Result<Known>;
    /// The marks of all resources and the vendor ids that they name, read in full. The ledger is not included.
    async fn known_by_everything(&self) -> kube::Result<Known>;
    /// Whether `stop_sweeps` was called in this process.
    fn sweeps_stopped(&self) -> bool;
    /// The ledger, which is created if there is none: from then on it says what was left behind on purpose.
    async fn open_ledger(&self) -> Result<Book, ledger::Error>;
    /// Accesses what is remembered of the ledger's entries whose keys are missing. This memory may be lost.
    fn missing<T>(&self, change: impl FnOnce(&mut Missing) -> T) -> T;
    /// Queues an event of the console token whose listing is swept; it may be dropped.
    fn announce(&self, token: &AnyToken, notice: Notice);
}

/// Why a sweep ended early; nothing is concluded from it.
#[derive(Debug, thiserror::Error)]
pub enum Skipped {
    /// The API server did not list the resources.
    #[error("the resources cannot be read: {}", crate::cluster::brief(.0))]
    Resources(#[from] kube::Error),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The ledger is known to lack entries of this account.
    #[error(
        "keys of this account were left behind although the ledger of their namespace was full, so that a key of theirs would look like an orphan; \
         look at keysmith orphans, then remove the annotation keysmith.dev/ledger-lacks from that ledger"
    )]
    Incomplete,
    /// The ledger lacks a key, and could not be marked.
    #[error(
        "a key that stays at its vendor is not in the ledger, which could not be marked either, so that the key would look like an orphan; \
         look at keysmith orphans, then restart the operator"
    )]
    Stopped,
    /// The console token may lead to a different account, in which every key of this cluster looks deleted.
    #[error("the console token may lead to a different account: {0}")]
    Doubted(String),
}

/// The result of a sweep.
#[derive(Debug)]
pub struct Swept {
    /// The orphans that are left, for the next sweep.
    pub suspects: Suspects,
    /// The keys that were revoked.
    pub revoked: Vec<KeyId>,
    /// Why nothing was revoked, if that could not be decided.
    pub undecided: Option<Skipped>,
}

/// One sweep of one listing.
pub struct Sweep<'a, P: SweepPorts> {
    /// The ports.
    pub ports: &'a P,
    /// The console token that listed.
    pub token: &'a AnyToken,
    /// The location that it leads to.
    pub place: TokenPlace,
    /// Its account.
    pub account: &'a P::Vendor,
    /// The listing.
    pub listing: &'a Listing,
}

impl<P: SweepPorts> Sweep<'_, P> {
    /// Sweeps. `before`: the suspects of the last sweep of this listing.
    pub async fn run(&self, before: &Suspects) -> Result<Swept, Skipped> {
        self.may_conclude()?;
        let known = self.with_ledger(self.ports.known_by_marks().await?).await?;
        let mut orphans = orphans::sweep(self.sight(), &known, before);
        if !orphans.is_empty() {
            // This is rare, and worth reading every resource in full.
            let known = self.known_by_everything().await?;
            orphans = orphans::sweep(self.sight(), &known, before);
            self.drop_gone(&mut orphans, before).await;
        }
        if let Some(notice) = orphans::found(&orphans, before) {
            self.ports.announce(self.token, notice);
        }
        let (revoked, undecided) = match self.condemned(&orphans, before).await {
            Ok(condemned) => (self.revoke(condemned).await, None),
            Err(skipped) => (Vec::new(), Some(skipped)),
        };
        orphans.retain(|it| !revoked.contains(&it.key.id));
        self.close_entries(&known.book.entries).await;
        Ok(Swept { suspects: orphans::suspects(&orphans), revoked, undecided })
    }

    /// Whether the listing and the ledger can be relied on.
    fn may_conclude(&self) -> Result<(), Skipped> {
        if self.ports.sweeps_stopped() {
            return Err(Skipped::Stopped);
        }
        let state = self.ports.token_state(&self.token.reference());
        let state = state.filter(|it| Some(&it.uid) == self.token.meta().uid.as_ref());
        state.and_then(|it| it.doubt).map_or(Ok(()), |doubt| Err(Skipped::Doubted(doubt)))
    }

    /// The input of `plan::orphans`; call it after the resources and the ledger were read.
    fn sight(&self) -> Sight<'_> {
        Sight {
            cluster: self.ports.cluster(),
            as_of: self.listing.as_of,
            read_at: self.ports.now(),
            keys: &self.listing.keys,
        }
    }

    async fn known_by_everything(&self) -> Result<Known, Skipped> {
        self.with_ledger(self.ports.known_by_everything().await?).await
    }

    async fn with_ledger(&self, known: Known) -> Result<Known, Skipped> {
        let book = self.ports.open_ledger().await?;
        if book.may_lack(&self.place.place) {
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

    /// The orphans to revoke: those that two sweeps agree on, after reading once more everything that might account for them.
    async fn condemned(&self, orphans: &[Orphan], before: &Suspects) -> Result<Vec<KeyId>, Skipped> {
        let mut condemned = orphans::condemned(orphans);
        if !condemned.is_empty() {
            let known = self.known_by_everything().await?;
            let still = orphans::sweep(self.sight(), &known, before);
            condemned.retain(|id| still.iter().any(|it| it.key.id == *id));
        }
        Ok(condemned)
    }

    async fn revoke(&self, condemned: Vec<KeyId>) -> Vec<KeyId> {
        let mut revoked = Vec::new();
        for id in condemned {
            // A pass beside this sweep may have found the ledger wanting since.
            if let Err(skipped) = self.may_conclude() {
                log_token!(warn, self.token, %skipped, "no further orphan is revoked");
                break;
            }
            if let Err(fault) = self.account.revoke(&id).await {
                log_token!(warn, self.token, key = id.0, %fault, "an orphaned key could not be revoked; tried again by the next sweep");
                break;
            }
            revoked.push(id);
        }
        if let Some(notice) = orphans::revoked(&revoked) {
            self.ports.announce(self.token, notice);
        }
        revoked
    }

    /// Removes the ledger's entries of deleted keys, so that the ledger lists what exists: those whose keys listings have not
    /// shown for a day, and the vendor says that they are gone.
    async fn close_entries(&self, entries: &[Entry]) {
        let now = self.ports.now();
        let here = entries.iter().filter(|it| it.is_reached_by(&self.place));
        let (listed, unseen): (Vec<_>, Vec<_>) =
            here.partition(|it| self.listing.keys.iter().any(|key| it.covers(key)));
        let missed: Vec<_> = unseen.into_iter().filter(|it| self.may_be_missed(it)).collect();
        let due: Vec<_> = self.ports.missing(|missing| {
            missing.keep_only(entries);
            for entry in listed {
                missing.found(entry);
            }
            missed.into_iter().filter(|it| missing.is_gone(it, now)).collect()
        });
        for entry in due.into_iter().take(AT_ONCE) {
            if self.is_confirmed_gone(entry).await
                && let Err(error) = self.ports.strike(entry).await
            {
                let (key, serial) = (&entry.key_id, entry.serial);
                log_token!(debug, self.token, key, serial, %error, "an entry of a key that is gone stays until the next sweep");
            }
        }
    }

    /// Whether a listing without the entry's key says something. Without an id, the key may never have been created: if it was,
    /// it is listed by then.
    fn may_be_missed(&self, entry: &Entry) -> bool {
        let settled = plus(entry.time, STRAGGLING + self.account.capabilities().listing_lag);
        entry.key_id.is_some() || self.listing.as_of >= settled
    }

    /// Whether the vendor confirms that the key of an entry is gone. A key that it shows counts as found.
    async fn is_confirmed_gone(&self, entry: &Entry) -> bool {
        let Some(id) = &entry.key_id else { return true };
        match self.account.get(&KeyId(id.clone())).await {
            Ok(None) => true,
            Ok(Some(_)) => {
                self.ports.missing(|missing| missing.found(entry));
                false
            }
            Err(_) => false,
        }
    }
}
