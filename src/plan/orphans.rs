//! Orphans: keys at a vendor that carry our cluster's mark and that no resource accounts for. Either a finalizer
//! was removed by force, or a create call was applied after every waiting operator had given up.
//!
//! A key counts as an orphan only if no resource accounts for it at two sweeps, far enough apart for any running
//! call to end. It is deleted only if the ledger would have an entry for it had it been left behind on purpose.

use super::decision::STRAGGLING;
use super::ledger::Book;
use super::listing::{KeyId, Listed};
use super::naming::{ClusterId, Mark};
use super::report::Notice;
use super::retry::plus;
use super::time::clock;
use crate::api::EventReason;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashSet};

/// Minimum time between the first reading and the deciding listing; it is raised to `STRAGGLING`.
pub const APART: SignedDuration = SignedDuration::from_mins(10);
/// How far the clocks of vendor and cluster may differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);
/// Limit of deletions per sweep, so that a person can notice a mistake before all keys are gone.
pub const AT_ONCE: usize = 20;
/// Limit of ids named in an event.
const SHOWN: usize = 5;

/// A listing as input of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// Our cluster.
    pub cluster: &'a ClusterId,
    /// When the listing began.
    pub as_of: Timestamp,
    /// When the resources and the ledger had been read, after the listing.
    pub read_at: Timestamp,
    /// Every key of the account.
    pub keys: &'a [Listed],
}

/// What accounts for keys. It is read after the listing.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The marks of all resources of the cluster, including former marks.
    pub marks: HashSet<Mark>,
    /// The ids in the status of resources.
    pub ids: HashSet<String>,
    /// The ledger. It is read last, because an entry is written before its resource is deleted.
    pub book: Book,
}

/// Suspected orphans of earlier sweeps, each with the time of the first reading in which no resource and no ledger entry
/// accounted for it. The listing may be older, because a sweep may pause after it.
pub type Suspects = BTreeMap<KeyId, Timestamp>;

/// What happens to an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Seen once: a resource may still turn out to account for it.
    Suspected,
    /// Seen by two sweeps: it will be deleted.
    Confirmed,
    /// Seen by two sweeps, but perhaps older than the ledger: only a person can know whether it was left behind on
    /// purpose.
    Unvouched,
}

/// A key that no resource accounts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The key.
    pub key: Listed,
    /// The time of the first reading in which nothing accounted for it.
    pub since: Timestamp,
    /// What happens to it.
    pub stage: Stage,
    /// Why only a person may delete it, whatever the stage; `None` if the ledger would have an entry for it.
    pub doubt: Option<&'static str>,
}

impl Known {
    /// Whether the key carries our cluster's mark and neither a resource nor the ledger accounts for it.
    pub fn is_orphan(&self, cluster: &ClusterId, key: &Listed) -> bool {
        self.lacks(cluster, key) && !self.book.entries.iter().any(|entry| entry.covers(key))
    }

    /// Whether the key carries our cluster's mark and no resource accounts for it; the ledger is ignored.
    pub fn lacks(&self, cluster: &ClusterId, key: &Listed) -> bool {
        let mark = Mark::parse(&key.name).map(|(mark, _)| mark).filter(|mark| mark.is_of(cluster));
        mark.is_some_and(|mark| !self.marks.contains(&mark)) && !self.ids.contains(&key.id.0)
    }

    /// Whether the ledger would have an entry for this key had it been left behind on purpose.
    pub fn vouches_for(&self, key: &Listed) -> bool {
        match (key.created_at, self.book.since) {
            (Some(created), Some(since)) => created >= plus(since, CLOCK_SKEW),
            _ => false,
        }
    }

    /// Why the key may have been left behind on purpose without an entry in the ledger; `None` if there would be
    /// one.
    pub fn doubt(&self, key: &Listed) -> Option<&'static str> {
        match (key.created_at, self.book.since) {
            _ if self.vouches_for(key) => None,
            (_, None) => Some("there is no ledger"),
            (None, _) => Some("the vendor does not say when it was made"),
            (Some(created), Some(since)) if created < since => Some("it is older than the ledger"),
            _ => Some("it is hardly younger than the ledger"),
        }
    }
}

/// The orphans in a listing, each with what happens to it.
pub fn sweep(sight: Sight<'_>, known: &Known, before: &Suspects) -> Vec<Orphan> {
    let orphans = sight.keys.iter().filter(|key| known.is_orphan(sight.cluster, key));
    orphans.map(|key| judge(key, sight, known, before)).collect()
}

fn judge(key: &Listed, sight: Sight<'_>, known: &Known, before: &Suspects) -> Orphan {
    let first = before.get(&key.id).copied();
    let since = first.unwrap_or(sight.read_at);
    let stage = match first {
        Some(first) if sight.as_of < decided_after(first) => Stage::Suspected,
        Some(_) if known.vouches_for(key) => Stage::Confirmed,
        Some(_) => Stage::Unvouched,
        None => Stage::Suspected,
    };
    Orphan { key: key.clone(), since, stage, doubt: known.doubt(key) }
}

/// Earliest start of the deciding listing, after the first reading.
pub fn decided_after(first: Timestamp) -> Timestamp {
    plus(first, APART.max(STRAGGLING))
}

/// The suspects to pass to the next sweep.
pub fn suspects(orphans: &[Orphan]) -> Suspects {
    orphans.iter().map(|it| (it.key.id.clone(), it.since)).collect()
}

/// The keys to delete now.
pub fn condemned(orphans: &[Orphan]) -> Vec<KeyId> {
    let confirmed = orphans.iter().filter(|it| it.stage == Stage::Confirmed);
    confirmed.take(AT_ONCE).map(|it| it.key.id.clone()).collect()
}

/// The event for newly seen orphans. It announces a deletion only of those that will be deleted.
pub fn found(orphans: &[Orphan], before: &Suspects) -> Option<Notice> {
    let new: Vec<_> = orphans.iter().filter(|it| !before.contains_key(&it.key.id)).collect();
    let after = clock(decided_after(new.first()?.since));
    let ids = |doubted: bool| -> Vec<&KeyId> {
        new.iter().filter(|it| it.doubt.is_some() == doubted).map(|it| &it.key.id).collect()
    };
    let (doomed, left) = (ids(false), ids(true));
    let mut fates = Vec::new();
    if !doomed.is_empty() {
        fates.push(format!(
            "{} may be in use, and will be revoked by the first sweep after {after} unless a resource accounts for it by then; to keep one, \
             take the mark out of its name in the vendor's console",
            shown(doomed.iter().copied())
        ));
    }
    if let Some(doubt) = new.iter().find_map(|it| it.doubt) {
        fates.push(format!(
            "{} still WORKS and is not revoked by Keysmith, because {doubt}, and it may have been kept on purpose: revoke it with `keysmith orphans \
             --delete --key ID` if not",
            shown(left.iter().copied())
        ));
    }
    let (count, fates) = (count(new.len()), fates.join("; "));
    let note = format!(
        "no resource accounts for {count} at the vendor with this cluster's mark: {fates}; `keysmith orphans` lists them"
    );
    Some(Notice::warning(EventReason::OrphansFound, note))
}

/// The event after orphans were deleted.
pub fn revoked(ids: &[KeyId]) -> Option<Notice> {
    (!ids.is_empty()).then(|| {
        let note = format!(
            "{} revoked at the vendor, for which no resource accounted at two sweeps: {}",
            count(ids.len()),
            shown(ids.iter())
        );
        Notice::warning(EventReason::OrphansRevoked, note)
    })
}

fn count(keys: usize) -> String {
    if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") }
}

fn shown<'a>(ids: impl ExactSizeIterator<Item = &'a KeyId>) -> String {
    let more = ids.len().saturating_sub(SHOWN);
    let text = ids.take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}
