//! Orphans: keys that carry our cluster's mark and that no resource accounts for. Somebody took a finalizer off by
//! force, or a create call arrived after everybody who waited for it had gone.
//!
//! A key is taken for one only if it was unaccounted for at two sweeps, far enough apart for whatever was on its way
//! to have arrived; and it is removed only if the ledger would know had it been left behind on purpose.

use super::facts::{KeyId, Listed};
use super::issuance::STRAGGLING;
use super::ledger::Book;
use super::naming::{ClusterId, Mark};
use super::report::{Notice, clock};
use super::retry::plus;
use crate::api::EventReason;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashSet};

/// Between the first and the deciding listing lies at least this, and at least `STRAGGLING`.
pub const APART: SignedDuration = SignedDuration::from_mins(10);
/// How far the vendor's clock and the cluster's may differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);
/// One sweep removes no more than this; a mistake of somebody's is then noticed before it is complete.
pub const AT_ONCE: usize = 20;
/// So many ids are spelt out in an event.
const SHOWN: usize = 5;

/// A listing, as a sweep looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// Which cluster we are.
    pub cluster: &'a ClusterId,
    /// When the listing was begun.
    pub as_of: Timestamp,
    /// Every key of the account.
    pub keys: &'a [Listed],
}

/// What accounts for keys, read after the listing.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The marks of all resources of the cluster, former ones included.
    pub marks: HashSet<Mark>,
    /// The ids that resources name.
    pub ids: HashSet<String>,
    /// What was left behind on purpose. Read last: an entry is written before its resource goes.
    pub book: Book,
}

/// Keys that earlier sweeps could not account for, and when the listing was begun that showed them first.
pub type Suspects = BTreeMap<KeyId, Timestamp>;

/// What is to be done about an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It may still turn out to be somebody's.
    Suspected,
    /// Two sweeps agree.
    Confirmed,
    /// Two sweeps agree, and it is older than the ledger: whether it was left behind on purpose, only people know.
    Unvouched,
}

/// A key that nothing accounts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The key.
    pub key: Listed,
    /// When the listing was begun that showed it first.
    pub since: Timestamp,
    /// What is to be done about it.
    pub stage: Stage,
    /// Why it is left to people, whatever the stage; `None` where the ledger would know of it.
    pub doubt: Option<&'static str>,
}

impl Known {
    /// Whether that key is one of our cluster's that nothing accounts for.
    pub fn is_orphan(&self, cluster: &ClusterId, key: &Listed) -> bool {
        self.lacks(cluster, key) && !self.book.entries.iter().any(|entry| entry.covers(key))
    }

    /// Whether that key is one of our cluster's and no resource accounts for it, whatever the ledger says.
    pub fn lacks(&self, cluster: &ClusterId, key: &Listed) -> bool {
        let mark = Mark::parse(&key.name).map(|(mark, _)| mark).filter(|mark| mark.is_of(cluster));
        mark.is_some_and(|mark| !self.marks.contains(&mark)) && !self.ids.contains(&key.id.0)
    }

    /// Whether the ledger would know of that key, had it been left behind on purpose.
    pub fn vouches_for(&self, key: &Listed) -> bool {
        match (key.created_at, self.book.since) {
            (Some(created), Some(since)) => created >= plus(since, CLOCK_SKEW),
            _ => false,
        }
    }

    /// Why that key may have been left behind on purpose although the ledger does not say so; `None` where it would.
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

/// The keys that nothing accounts for, each with what is to be done about it.
pub fn sweep(sight: Sight<'_>, known: &Known, before: &Suspects) -> Vec<Orphan> {
    let orphans = sight.keys.iter().filter(|key| known.is_orphan(sight.cluster, key));
    orphans.map(|key| judge(key, sight.as_of, known, before)).collect()
}

fn judge(key: &Listed, as_of: Timestamp, known: &Known, before: &Suspects) -> Orphan {
    let first = before.get(&key.id).copied();
    let since = first.unwrap_or(as_of);
    let stage = match first {
        Some(first) if as_of >= decided_after(first) && known.vouches_for(key) => Stage::Confirmed,
        Some(first) if as_of >= decided_after(first) => Stage::Unvouched,
        _ => Stage::Suspected,
    };
    Orphan { key: key.clone(), since, stage, doubt: known.doubt(key) }
}

/// The listing that decides is begun at this time at the earliest.
pub fn decided_after(first: Timestamp) -> Timestamp {
    plus(first, APART.max(STRAGGLING))
}

/// What the next sweep has to know.
pub fn suspects(orphans: &[Orphan]) -> Suspects {
    orphans.iter().map(|it| (it.key.id.clone(), it.since)).collect()
}

/// The keys to remove now.
pub fn condemned(orphans: &[Orphan]) -> Vec<KeyId> {
    let confirmed = orphans.iter().filter(|it| it.stage == Stage::Confirmed);
    confirmed.take(AT_ONCE).map(|it| it.key.id.clone()).collect()
}

/// The event when orphans are seen that were not there before. It promises a removal only of those that will be removed.
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

/// The event when orphans were removed.
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
