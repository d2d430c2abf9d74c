//! The state machine of a provider credential at the gateway.
//!
//! The same protocol as for keys: claim, one send per serial, a lost answer is found by the mark in the name. The
//! differences: nothing is delivered, and the vendor documents creation only. So a changed credential is a new
//! deposit followed by the removal of the old one, and of a removal only the listing is believed.

use super::claim::{Claim, Purpose};
use super::facts::KeyId;
use super::hash;
use super::issuance::{GIVEN_UP, STRAGGLING};
use super::naming::{Mark, Serial};
use super::retry::plus;
use crate::api::ProviderKeyStatus;
use crate::api::condition::{self, READY};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// Between the two looks that do not show a deposit lies at least this, and more than a listing may lag.
const LOOKS_APART: SignedDuration = SignedDuration::from_mins(1);

/// A deposit as the vendor lists it. Everything but the provider may be withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedProviderKey {
    /// The vendor's id, where shown.
    pub id: Option<KeyId>,
    /// The whole name, mark included, where shown.
    pub name: Option<String>,
    /// The keys it is assigned to, where shown; empty is the whole organization.
    pub assigned_to: Option<BTreeSet<KeyId>>,
}

/// A complete listing of deposits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderKeyListing {
    /// When it was begun.
    pub as_of: Timestamp,
    /// All of them, ours and others'.
    pub keys: Vec<ListedProviderKey>,
}

impl ProviderKeyListing {
    /// Whether the vendor shows enough to tell one deposit from another.
    fn tells(&self) -> bool {
        self.keys.iter().all(|it| it.id.is_some())
    }

    fn own<'a>(&'a self, mark: &'a Mark) -> impl Iterator<Item = (Serial, &'a KeyId, &'a ListedProviderKey)> {
        self.keys.iter().filter_map(|it| {
            let serial = mark.serial_in(it.name.as_deref()?)?;
            Some((serial, it.id.as_ref()?, it))
        })
    }

    /// Whether what status remembers is not shown as it should be.
    pub fn differs(&self, status: &ProviderKeyStatus) -> bool {
        let Some(id) = status.id.clone().map(KeyId) else {
            return false;
        };
        let shown = self.keys.iter().find(|it| it.id.as_ref() == Some(&id));
        let assigned: BTreeSet<_> = status.assigned_to.iter().cloned().map(KeyId).collect();
        let moved = shown.and_then(|it| it.assigned_to.as_ref()).is_some_and(|it| *it != assigned);
        moved || self.shows(&id) == Some(false) || status.missing_since.is_some()
    }

    /// Whether a deposit of that id is shown. `None`: the listing cannot tell.
    pub fn shows(&self, id: &KeyId) -> Option<bool> {
        self.tells().then(|| self.keys.iter().any(|it| it.id.as_ref() == Some(id)))
    }
}

/// What should be at the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Salted hash of provider, name and credential.
    pub content: String,
    /// The keys it is for; empty is the whole organization, asked for explicitly.
    pub assigned_to: BTreeSet<KeyId>,
}

impl Wanted {
    /// Recognises what is sent, for the claim.
    pub fn digest(&self) -> u64 {
        let keys = self.assigned_to.iter().map(|id| id.0.as_bytes());
        let parts: Vec<_> = std::iter::once(self.content.as_bytes()).chain(keys).collect();
        let head = hash::digest(&parts).into_iter().take(8);
        head.fold(0, |number, byte| number << 8 | u64::from(byte))
    }
}

/// Everything the decision depends on.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts are independent of each other")]
pub struct ProviderKeyFacts {
    /// The time.
    pub now: Timestamp,
    /// Marks everything of this resource.
    pub mark: Mark,
    /// Whether our finalizer is on it.
    pub finalizer: bool,
    /// Its generation.
    pub generation: Option<i64>,
    /// Whether a look at the vendor was asked for and has not happened yet.
    pub requested: bool,
    /// The claim in its annotations.
    pub claim: Option<Claim>,
    /// Its status.
    pub status: ProviderKeyStatus,
    /// The newest listing that may be believed.
    pub view: Option<ProviderKeyListing>,
    /// Whether that listing was obtained in this very pass.
    pub looked: bool,
    /// Ids whose removal was tried in this pass; the view is newer than that.
    pub tried: BTreeSet<KeyId>,
    /// Whether an assignment was tried in place in this pass.
    pub reassigned: bool,
    /// How far a listing may lag.
    pub listing_lag: SignedDuration,
}

/// What can be done. Every step but `Rest` is followed by a new decision.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderKeyStep {
    /// Claim the serial and deposit under it; what was there before becomes superseded.
    Create(Serial),
    /// Put the finalizer and this claim back, which the object lost or never had; nothing is created under it.
    Hold(Claim),
    /// Record that listings have not shown it since then.
    RecordMissing(Timestamp),
    /// Record that a listing shows it again.
    RecordFound,
    /// The lost answer is found: record it.
    Adopt(Serial, KeyId),
    /// Change the assignment in place, by house style.
    Reassign(KeyId),
    /// Record an assignment that the listing shows.
    RecordAssignment,
    /// Obtain a listing that was begun after this time.
    Look(Timestamp),
    /// Try to remove these.
    Remove(Vec<KeyId>),
    /// Record which superseded deposits are gone, and which the vendor did not remove.
    RecordSuperseded {
        /// No longer shown.
        gone: Vec<KeyId>,
        /// Still shown, or nothing can be told.
        left: Vec<KeyId>,
    },
    /// Claim the deletion.
    ClaimDeletion(Claim),
    /// Take the finalizer off; these stay behind at the vendor, and that is said.
    Release {
        /// What could not be removed.
        left: Vec<KeyId>,
    },
    /// Nothing to do before this time, or before something changes.
    Rest(Option<Timestamp>),
}

/// Why a step is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKeyWhy {
    /// There is no deposit yet.
    NeverCreated,
    /// Finalizer or claim are gone, as after `kubectl replace`.
    Unheld,
    /// A listing does not show it, which one look does not prove.
    Missing,
    /// The outcome of the last create call is unknown.
    AnswerLost,
    /// The last create call certainly came to nothing.
    AttemptFailed,
    /// It was removed at the vendor.
    Lost,
    /// The credential or the name changed.
    ContentChanged,
    /// The keys it is for changed.
    AssignmentChanged,
    /// The vendor does not show the assignment it should have.
    Drift,
    /// Something superseded is still there.
    Superseded,
    /// A failure is waited out.
    BackingOff,
    /// The resource is being deleted.
    Deleting,
    /// Somebody asked for a look.
    Requested,
    /// Everything is as it should be.
    Fresh,
}

/// A step and why.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderKeyDecision {
    /// What to do.
    pub step: ProviderKeyStep,
    /// Why.
    pub why: ProviderKeyWhy,
}

const fn take(step: ProviderKeyStep, why: ProviderKeyWhy) -> ProviderKeyDecision {
    ProviderKeyDecision { step, why }
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

    /// What has been missing since then, and still is at this time, is gone.
    fn believed_gone(&self, since: Timestamp) -> Timestamp {
        plus(since, LOOKS_APART.max(self.listing_lag + SignedDuration::from_secs(1)))
    }

    fn id(&self) -> Option<KeyId> {
        self.status.id.clone().map(KeyId)
    }
}

/// The claim to put back, with the finalizer, where something is recorded at the vendor and either is missing: without
/// them a deletion would leave it there. `None`: they are there, or nothing is recorded.
pub fn hold(facts: &ProviderKeyFacts) -> Option<Claim> {
    let status = &facts.status;
    let recorded = status.id.is_some() || !status.superseded.is_empty() || !status.left_behind.is_empty();
    if !recorded || facts.finalizer && facts.claim.is_some() {
        return None;
    }
    // The lost claim may have been for a call that is still going.
    let lost = || Claim {
        unsettled: Some(facts.now),
        ..Claim::new(facts.highest_serial(), facts.now, Purpose::Restore)
    };
    Some(facts.claim.unwrap_or_else(lost))
}

/// The next step for a deposit that should exist.
pub fn decide(facts: &ProviderKeyFacts, wanted: &Wanted) -> ProviderKeyDecision {
    if let Some(claim) = hold(facts) {
        return take(ProviderKeyStep::Hold(claim), ProviderKeyWhy::Unheld);
    }
    let attempted = condition::find(&facts.status.conditions, READY).and_then(|it| it.observed_generation);
    let changed = facts.requested || attempted != facts.generation;
    let different =
        facts.status.internal.credential_hash.as_ref().is_some_and(|content| *content != wanted.content);
    // What was sent under the last claim is what failed; something else need not wait.
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
        return take(ProviderKeyStep::Adopt(serial, id.clone()), ProviderKeyWhy::AnswerLost);
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

/// Tried in place first; where the listing does not show it then, a new deposit takes the old one's place.
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

/// One look is no proof: it is gone when two looks that cannot share a cause do not show it.
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
    // Listings of the poll are a hint; one obtained on purpose counts.
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
        let spares = view.own(&facts.mark).filter(|(serial, own, _)| Some(*serial) <= newest && *own != id);
        old.extend(spares.map(|(_, own, _)| own.clone()).filter(|own| !known.contains(own)));
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
    // A listing may lag behind a removal: what it still shows counts only once the lag is over.
    let believable = facts.status.created_at.map_or(facts.now, |at| facts.settles(at));
    if !left.is_empty() && facts.now < believable {
        return because(ProviderKeyStep::Rest(Some(believable)));
    }
    because(ProviderKeyStep::RecordSuperseded { gone, left })
}

/// A deposit that was made or found.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its serial.
    pub serial: Serial,
    /// The vendor's id.
    pub id: KeyId,
    /// When the vendor took it, where it tells.
    pub created_at: Option<Timestamp>,
}

/// Status once a deposit is at the vendor: what was there before becomes superseded.
#[must_use]
pub fn record(
    mut status: ProviderKeyStatus,
    deposit: &Recorded,
    wanted: &Wanted,
    now: Timestamp,
) -> ProviderKeyStatus {
    if let Some(old) = status.id.replace(deposit.id.0.clone()).filter(|old| *old != deposit.id.0) {
        status.superseded.push(old);
    }
    status.serial = Some(deposit.serial.0);
    status.internal.settled_serial = Some(deposit.serial.0);
    status.internal.credential_hash = Some(wanted.content.clone());
    status.assigned_to = wanted.assigned_to.iter().map(|id| id.0.clone()).collect();
    status.created_at = deposit.created_at.or(Some(now));
    status.missing_since = None;
    status.failures = None;
    status.next_attempt_at = None;
    status
}

/// The next step for a deposit whose resource is being deleted.
pub fn decide_deletion(facts: &ProviderKeyFacts) -> ProviderKeyDecision {
    let because = |step| take(step, ProviderKeyWhy::Deleting);
    if !facts.finalizer {
        return because(ProviderKeyStep::Rest(None));
    }
    let Some(claim) = facts.claim.filter(|claim| claim.purpose == Purpose::Delete) else {
        // The finalizer came with a claim. If that cannot be read any more, it may have been for a call still going.
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
    // A listing may lag behind a removal: what it still shows counts only once the lag is over.
    let believable = facts.settles(claim.at);
    if !left.is_empty() && facts.now < believable {
        return because(ProviderKeyStep::Rest(Some(believable)));
    }
    if !left.is_empty() && view.as_of < believable {
        return because(ProviderKeyStep::Look(believable));
    }
    because(ProviderKeyStep::Release { left })
}
