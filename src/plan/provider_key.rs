//! The state machine of a provider key: the credential of a model provider, stored at the gateway.
//!
//! The protocol is the same as for keys: claim a serial, send once per serial, find the result of a lost response
//! by the mark in the name. Two differences: nothing is written into a Secret, and the vendor documents creation
//! only. So a changed credential becomes a new provider key, after which the old one is deleted. Only a listing
//! proves that a deletion was applied.

use super::claim::{Claim, Purpose};
use super::decision::{GIVEN_UP, STRAGGLING};
use super::hash;
use super::listing::KeyId;
use super::naming::{Mark, Serial};
use super::retry::plus;
use crate::api::ProviderKeyStatus;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// Minimum time between the two listings that prove a provider key gone; it is raised above the listing lag.
const LOOKS_APART: SignedDuration = SignedDuration::from_mins(1);

/// A provider key as the vendor lists it. The vendor may withhold every field but the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProviderKey {
    /// The vendor's id, if shown.
    pub id: Option<KeyId>,
    /// The whole name, including the mark, if shown.
    pub name: Option<String>,
    /// The keys it is assigned to, if shown; empty means the whole organization.
    pub assigned_to: Option<BTreeSet<KeyId>>,
}

/// A complete listing of provider keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderKeyListing {
    /// When the listing began.
    pub as_of: Timestamp,
    /// All provider keys, including those of other owners.
    pub keys: Vec<ListedProviderKey>,
}

impl ProviderKeyListing {
    /// Whether the vendor shows enough to identify each provider key.
    fn tells(&self) -> bool {
        self.keys.iter().all(|it| it.id.is_some())
    }

    fn own<'a>(&'a self, mark: &'a Mark) -> impl Iterator<Item = (Serial, &'a KeyId, &'a ListedProviderKey)> {
        self.keys.iter().filter_map(|it| {
            let serial = mark.serial_in(it.name.as_deref()?)?;
            Some((serial, it.id.as_ref()?, it))
        })
    }

    /// Whether the listing differs from status.
    pub fn differs(&self, status: &ProviderKeyStatus) -> bool {
        let Some(id) = status.id.clone().map(KeyId) else {
            return false;
        };
        let shown = self.keys.iter().find(|it| it.id.as_ref() == Some(&id));
        let assigned: BTreeSet<_> = status.assigned_to.iter().cloned().map(KeyId).collect();
        let moved = shown.and_then(|it| it.assigned_to.as_ref()).is_some_and(|it| *it != assigned);
        moved || self.shows(&id) == Some(false) || status.missing_since.is_some()
    }

    /// Whether a provider key with this id is listed. `None`: the listing does not show ids.
    pub fn shows(&self, id: &KeyId) -> Option<bool> {
        self.tells().then(|| self.keys.iter().any(|it| it.id.as_ref() == Some(id)))
    }
}

/// The desired state at the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Salted hash of provider, name and credential.
    pub content: String,
    /// The keys it is assigned to; empty means the whole organization, which the specification must request
    /// explicitly.
    pub assigned_to: BTreeSet<KeyId>,
}

impl Wanted {
    /// Hash of what is sent, for the claim.
    pub fn digest(&self) -> u64 {
        let keys = self.assigned_to.iter().map(|id| id.0.as_bytes());
        let parts: Vec<_> = std::iter::once(self.content.as_bytes()).chain(keys).collect();
        let head = hash::digest(&parts).into_iter().take(8);
        head.fold(0, |number, byte| number << 8 | u64::from(byte))
    }
}

/// Everything that the decision depends on.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts are independent of each other")]
pub struct ProviderKeyFacts {
    /// The current time.
    pub now: Timestamp,
    /// The mark of this resource.
    pub mark: Mark,
    /// Whether our finalizer is on the resource.
    pub finalizer: bool,
    /// Its `metadata.generation`.
    pub generation: Option<i64>,
    /// Whether a check of the vendor was requested and not made yet.
    pub requested: bool,
    /// The claim in its annotations.
    pub claim: Option<Claim>,
    /// Its status.
    pub status: ProviderKeyStatus,
    /// The newest listing that is recent enough to trust.
    pub view: Option<ProviderKeyListing>,
    /// Whether this listing was obtained in this pass.
    pub looked: bool,
    /// Ids whose deletion was tried in this pass; the listing is newer than those calls.
    pub tried: BTreeSet<KeyId>,
    /// Whether changing the assignment in place was tried in this pass.
    pub reassigned: bool,
    /// How far a listing may lag behind.
    pub listing_lag: SignedDuration,
}

/// The possible steps. After every step but `Rest`, a new decision is made.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderKeyStep {
    /// Claim the serial and create a provider key under it; the one before becomes superseded.
    Create(Serial),
    /// Write back the finalizer and this claim, which the resource lost or never had; nothing is created under it.
    Hold(Claim),
    /// Record that listings have not shown the provider key since this time.
    RecordMissing(Timestamp),
    /// Record that a listing shows the provider key again.
    RecordFound,
    /// The provider key of a create call with an unknown outcome is found: record it.
    Recover(Serial, KeyId),
    /// Change the assignment in place, by an endpoint that the vendor does not document.
    Reassign(KeyId),
    /// Record an assignment that the listing shows.
    RecordAssignment,
    /// Obtain a listing that began after this time.
    Look(Timestamp),
    /// Try to delete these provider keys.
    Remove(Vec<KeyId>),
    /// Record which superseded provider keys are gone, and which the vendor did not delete.
    RecordSuperseded {
        /// Not listed any more.
        gone: Vec<KeyId>,
        /// Still listed, or the listing does not show ids.
        left: Vec<KeyId>,
    },
    /// Claim the deletion.
    ClaimDeletion(Claim),
    /// Remove the finalizer; report the provider keys that stay at the vendor.
    Release {
        /// Those that could not be deleted.
        left: Vec<KeyId>,
    },
    /// Do nothing before this time, or before something changes.
    Rest(Option<Timestamp>),
}

/// Reason for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKeyWhy {
    /// There is no provider key yet.
    NeverCreated,
    /// The finalizer or the claim is gone, for example after `kubectl replace`.
    Unheld,
    /// A listing does not show the provider key; one listing alone is no proof that it is gone.
    Missing,
    /// The outcome of the last create call is unknown.
    AnswerLost,
    /// The last create call was certainly not applied.
    AttemptFailed,
    /// The provider key was deleted at the vendor.
    Lost,
    /// The credential or the name changed.
    ContentChanged,
    /// The keys it is assigned to changed.
    AssignmentChanged,
    /// The vendor shows another assignment than the desired one.
    Drift,
    /// A superseded provider key still exists.
    Superseded,
    /// A retry is waiting for its backoff.
    BackingOff,
    /// The resource is being deleted.
    Deleting,
    /// A check was requested.
    Requested,
    /// The limits of the ClusterConsoleToken do not permit it.
    LimitExceeded,
    /// Nothing needs to be done.
    Fresh,
}

/// One step and its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderKeyDecision {
    /// What to do.
    pub step: ProviderKeyStep,
    /// Its reason.
    pub why: ProviderKeyWhy,
}

const fn take(step: ProviderKeyStep, why: ProviderKeyWhy) -> ProviderKeyDecision {
    ProviderKeyDecision { step, why }
}

impl ProviderKeyDecision {
    /// The decision, if the limits of the console token do not permit new or changed provider keys.
    #[must_use]
    pub fn limited(self) -> Self {
        match self.step {
            ProviderKeyStep::Create(_) | ProviderKeyStep::Reassign(_) | ProviderKeyStep::Rest(None) => {
                Self { step: ProviderKeyStep::Rest(None), why: ProviderKeyWhy::LimitExceeded }
            }
            _ => self,
        }
    }
}

impl ProviderKeyFacts {
    fn settled(&self) -> Serial {
        let settled = self.status.internal.settled_serial.or(self.status.serial);
        settled.and_then(Serial::believed).unwrap_or_default()
    }

    fn pending(&self) -> Option<Claim> {
        self.claim.filter(|claim| claim.purpose == Purpose::Create && claim.serial > self.settled())
    }

    fn highest_serial(&self) -> Serial {
        let listed =
            self.view.as_ref().and_then(|view| view.own(&self.mark).map(|(serial, ..)| serial).max());
        let claimed = self.claim.map(|claim| claim.serial);
        [claimed, Some(self.settled()), self.status.serial.and_then(Serial::believed), listed]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or_default()
    }

    fn next_serial(&self) -> Serial {
        self.highest_serial().next()
    }

    fn settles(&self, sent: Timestamp) -> Timestamp {
        plus(sent, self.listing_lag + GIVEN_UP)
    }

    /// From this time on, a provider key that has been missing since `since` counts as gone if it is still missing.
    fn believed_gone(&self, since: Timestamp) -> Timestamp {
        plus(since, LOOKS_APART.max(self.listing_lag + SignedDuration::from_secs(1)))
    }

    fn id(&self) -> Option<KeyId> {
        self.status.id.clone().map(KeyId)
    }
}

/// The claim to write back, together with the finalizer, if either is missing although the vendor may hold a
/// provider key: without them, deleting the resource would leave it behind. `None`: both are present, or nothing is
/// recorded.
pub fn hold(facts: &ProviderKeyFacts) -> Option<Claim> {
    let status = &facts.status;
    let recorded = status.id.is_some() || !status.superseded.is_empty() || !status.left_behind.is_empty();
    if !recorded || facts.finalizer && facts.claim.is_some() {
        return None;
    }
    // The lost claim may belong to a create call that is still running.
    let lost = || Claim {
        unsettled: Some(facts.now),
        ..Claim::new(facts.highest_serial(), facts.now, Purpose::Restore)
    };
    Some(facts.claim.unwrap_or_else(lost))
}

/// The next step for a provider key that should exist.
pub fn decide(facts: &ProviderKeyFacts, wanted: &Wanted) -> ProviderKeyDecision {
    if let Some(claim) = hold(facts) {
        return take(ProviderKeyStep::Hold(claim), ProviderKeyWhy::Unheld);
    }
    let attempted = facts.status.internal.last_pass.as_ref().and_then(|it| it.generation);
    let changed = facts.requested || attempted != facts.generation;
    let different =
        facts.status.internal.credential_hash.as_ref().is_some_and(|content| *content != wanted.content);
    // The backoff is for the content of the last claim, if known; other content is sent without waiting.
    let other = facts.claim.and_then(|claim| claim.sent).map_or(different, |sent| sent != wanted.digest());
    let waiting = facts.status.next_attempt_at.filter(|next| *next > facts.now && !changed && !other);
    if let Some(next) = waiting {
        return take(ProviderKeyStep::Rest(Some(next)), ProviderKeyWhy::BackingOff);
    }
    if let Some(claim) = facts.pending() {
        return recover(facts, claim);
    }
    let Some(id) = facts.id() else {
        return take(ProviderKeyStep::Create(facts.next_serial()), ProviderKeyWhy::NeverCreated);
    };
    if different {
        return take(ProviderKeyStep::Create(facts.next_serial()), ProviderKeyWhy::ContentChanged);
    }
    assignment(facts, wanted, &id)
        .or_else(|| lost(facts, &id))
        .or_else(|| superseded(facts, &id))
        .unwrap_or_else(|| {
            if facts.requested && !facts.looked {
                return take(ProviderKeyStep::Look(facts.now), ProviderKeyWhy::Requested);
            }
            match facts.status.missing_since {
                Some(since) => {
                    take(ProviderKeyStep::Rest(Some(facts.believed_gone(since))), ProviderKeyWhy::Missing)
                }
                None => take(ProviderKeyStep::Rest(None), ProviderKeyWhy::Fresh),
            }
        })
}

fn recover(facts: &ProviderKeyFacts, claim: Claim) -> ProviderKeyDecision {
    let Some(view) = facts.view.as_ref().filter(|view| view.as_of > claim.at) else {
        return take(ProviderKeyStep::Look(claim.at), ProviderKeyWhy::AnswerLost);
    };
    let found = view.own(&facts.mark).find(|(serial, ..)| *serial == claim.serial);
    if let Some((serial, id, _)) = found {
        return take(ProviderKeyStep::Recover(serial, id.clone()), ProviderKeyWhy::AnswerLost);
    }
    let settled = facts.settles(claim.at);
    if facts.now < settled {
        return take(ProviderKeyStep::Rest(Some(settled)), ProviderKeyWhy::AnswerLost);
    }
    if view.as_of < settled {
        return take(ProviderKeyStep::Look(settled), ProviderKeyWhy::AnswerLost);
    }
    take(ProviderKeyStep::Create(facts.next_serial()), ProviderKeyWhy::AttemptFailed)
}

/// Changes the assignment in place first. If the listing then does not show it, a new provider key replaces the old
/// one.
fn assignment(facts: &ProviderKeyFacts, wanted: &Wanted, id: &KeyId) -> Option<ProviderKeyDecision> {
    let recorded: BTreeSet<_> = facts.status.assigned_to.iter().cloned().map(KeyId).collect();
    let listed = facts.view.as_ref().and_then(|view| {
        view.keys.iter().find(|it| it.id.as_ref() == Some(id)).and_then(|it| it.assigned_to.as_ref())
    });
    if facts.reassigned {
        return match listed {
            Some(shown) if *shown == wanted.assigned_to => (recorded != wanted.assigned_to)
                .then(|| take(ProviderKeyStep::RecordAssignment, ProviderKeyWhy::AssignmentChanged)),
            _ => Some(take(ProviderKeyStep::Create(facts.next_serial()), ProviderKeyWhy::AssignmentChanged)),
        };
    }
    let drifted = listed.is_some_and(|shown| *shown != wanted.assigned_to);
    if recorded != wanted.assigned_to {
        return Some(take(ProviderKeyStep::Reassign(id.clone()), ProviderKeyWhy::AssignmentChanged));
    }
    drifted.then(|| take(ProviderKeyStep::Reassign(id.clone()), ProviderKeyWhy::Drift))
}

/// A provider key counts as gone only if two listings, too far apart to share a cause, do not show it.
fn lost(facts: &ProviderKeyFacts, id: &KeyId) -> Option<ProviderKeyDecision> {
    let because = |step, why| Some(take(step, why));
    let since = facts.status.missing_since;
    let Some(view) = &facts.view else {
        let due = since.map(|since| facts.believed_gone(since)).filter(|due| *due <= facts.now)?;
        return because(ProviderKeyStep::Look(due), ProviderKeyWhy::Missing);
    };
    let old_enough = facts.status.created_at.is_none_or(|at| plus(at, facts.listing_lag) < view.as_of);
    if view.shows(id) != Some(false) || !old_enough {
        return since.and_then(|_| because(ProviderKeyStep::RecordFound, ProviderKeyWhy::Fresh));
    }
    // A listing of the poll is only a hint; the decision needs a listing obtained for this purpose.
    let look = || because(ProviderKeyStep::Look(facts.now), ProviderKeyWhy::Missing);
    match since {
        None if !facts.looked => look(),
        None => because(ProviderKeyStep::RecordMissing(view.as_of), ProviderKeyWhy::Missing),
        Some(since) if facts.now < facts.believed_gone(since) => None,
        Some(since) if !facts.looked || view.as_of < facts.believed_gone(since) => look(),
        Some(_) => because(ProviderKeyStep::Create(facts.next_serial()), ProviderKeyWhy::Lost),
    }
}

fn superseded(facts: &ProviderKeyFacts, id: &KeyId) -> Option<ProviderKeyDecision> {
    let because = |step| Some(take(step, ProviderKeyWhy::Superseded));
    let mut old: Vec<_> = facts.status.superseded.iter().cloned().map(KeyId).collect();
    let newest = facts.claim.map(|claim| claim.serial).max(Some(facts.settled()));
    let known: BTreeSet<_> = facts.status.left_behind.iter().cloned().map(KeyId).collect();
    if let Some(view) = &facts.view {
        let unused = view.own(&facts.mark).filter(|(serial, own, _)| Some(*serial) <= newest && *own != id);
        old.extend(unused.map(|(_, own, _)| own.clone()).filter(|own| !known.contains(own)));
    }
    old.sort();
    old.dedup();
    if old.is_empty() {
        return None;
    }
    let untried: Vec<_> = old.iter().filter(|it| !facts.tried.contains(*it)).cloned().collect();
    if !untried.is_empty() {
        return because(ProviderKeyStep::Remove(untried));
    }
    let Some(view) = &facts.view else {
        return because(ProviderKeyStep::Look(facts.now));
    };
    let (gone, left): (Vec<_>, Vec<_>) = old.into_iter().partition(|it| view.shows(it) == Some(false));
    // A listing may lag behind a deletion, so what it still shows counts only after the lag.
    let believable = facts.status.created_at.map_or(facts.now, |at| facts.settles(at));
    if !left.is_empty() && facts.now < believable {
        return because(ProviderKeyStep::Rest(Some(believable)));
    }
    because(ProviderKeyStep::RecordSuperseded { gone, left })
}

/// A provider key that was created or found.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its serial.
    pub serial: Serial,
    /// The vendor's id.
    pub id: KeyId,
    /// When the vendor created it, if shown.
    pub created_at: Option<Timestamp>,
}

/// The status after a provider key was created or found; the one before becomes superseded.
#[must_use]
pub fn record(
    mut status: ProviderKeyStatus,
    recorded: &Recorded,
    wanted: &Wanted,
    now: Timestamp,
) -> ProviderKeyStatus {
    if let Some(old) = status.id.replace(recorded.id.0.clone()).filter(|old| *old != recorded.id.0) {
        status.superseded.push(old);
    }
    status.serial = Some(recorded.serial.0);
    status.internal.settled_serial = Some(recorded.serial.0);
    status.internal.credential_hash = Some(wanted.content.clone());
    status.assigned_to = wanted.assigned_to.iter().map(|id| id.0.clone()).collect();
    status.created_at = recorded.created_at.or(Some(now));
    status.missing_since = None;
    status.failures = None;
    status.next_attempt_at = None;
    status
}

/// The next step for a provider key whose resource is being deleted.
pub fn decide_deletion(facts: &ProviderKeyFacts) -> ProviderKeyDecision {
    let because = |step| take(step, ProviderKeyWhy::Deleting);
    if !facts.finalizer {
        return because(ProviderKeyStep::Rest(None));
    }
    let Some(claim) = facts.claim.filter(|claim| claim.purpose == Purpose::Delete) else {
        // The finalizer was added together with a claim. If that claim is unreadable, its create call may still be
        // running.
        let unsettled = match facts.claim {
            Some(claim) if claim.purpose == Purpose::Restore => claim.unsettled,
            Some(_) => facts.pending().map(|claim| claim.at),
            None => Some(facts.now),
        };
        let serial = facts.next_serial();
        return because(ProviderKeyStep::ClaimDeletion(Claim {
            unsettled,
            ..Claim::new(serial, facts.now, Purpose::Delete)
        }));
    };
    let view = facts.view.as_ref().filter(|view| view.as_of > claim.at);
    let mut live: Vec<_> = facts.id().into_iter().collect();
    live.extend(facts.status.superseded.iter().cloned().map(KeyId));
    live.extend(view.iter().flat_map(|view| view.own(&facts.mark)).map(|(_, id, _)| id.clone()));
    live.sort();
    live.dedup();
    let untried: Vec<_> = live.iter().filter(|id| !facts.tried.contains(*id)).cloned().collect();
    if !untried.is_empty() {
        return because(ProviderKeyStep::Remove(untried));
    }
    let Some(view) = view else {
        return because(ProviderKeyStep::Look(claim.at));
    };
    match claim.unsettled.map(|sent| plus(facts.settles(sent), STRAGGLING)) {
        Some(settled) if facts.now < settled => return because(ProviderKeyStep::Rest(Some(settled))),
        Some(settled) if view.as_of < settled => return because(ProviderKeyStep::Look(settled)),
        _ => {}
    }
    let left: Vec<_> = live.into_iter().filter(|id| view.shows(id) != Some(false)).collect();
    // A listing may lag behind a deletion, so what it still shows counts only after the lag.
    let believable = facts.settles(claim.at);
    if !left.is_empty() && facts.now < believable {
        return because(ProviderKeyStep::Rest(Some(believable)));
    }
    if !left.is_empty() && view.as_of < believable {
        return because(ProviderKeyStep::Look(believable));
    }
    because(ProviderKeyStep::Release { left })
}
