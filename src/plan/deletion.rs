//! What happens to a key whose resource is being deleted.

use super::claim::{Claim, Purpose};
use super::decision::{Decision, STRAGGLING, Step, Why, take};
use super::facts::Facts;
use super::listing::{KeyId, Listed};
use super::naming::Serial;
use super::recovery::settles;
use super::retry::plus;
use crate::api::rotation::DeletionPolicy;
use jiff::Timestamp;

/// What the user wants to happen to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The deletion policy in the specification.
    pub policy: DeletionPolicy,
    /// Whether the annotation `keysmith.dev/force-orphan` releases the resource, whatever happens to the key.
    pub forced: bool,
}

/// A key that stays at the vendor when its resource is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The vendor's id.
    pub id: KeyId,
    /// Its serial, if known.
    pub serial: Option<Serial>,
    /// Why it stays.
    pub why: LeftWhy,
}

/// Why a key stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftWhy {
    /// The deletion policy in the specification.
    Policy(DeletionPolicy),
    /// The annotation `keysmith.dev/force-orphan`.
    Forced,
    /// The key does not carry our mark any more.
    NotOurs,
}

/// The next step for a key whose resource is being deleted.
pub fn decide(facts: &Facts, ending: Ending) -> Decision {
    if !facts.finalizer {
        return take(Step::Rest(None), Why::Deleting);
    }
    if ending.forced {
        return take(Step::Release, Why::LeftBehind);
    }
    let Some(claim) = facts.claim.filter(|claim| claim.purpose == Purpose::Delete) else {
        return take(Step::ClaimDeletion(fence(facts)), Why::Deleting);
    };
    match ending.policy {
        DeletionPolicy::Retain => take(Step::Release, Why::LeftBehind),
        DeletionPolicy::Disable => end(facts, claim, true),
        DeletionPolicy::Delete => end(facts, claim, false),
    }
}

/// The claim of the deletion. It fences out every create call whose key is not in the Secret yet.
fn fence(facts: &Facts) -> Claim {
    // The finalizer was added together with a claim. If that claim is unreadable, its create call may still be
    // running.
    let unsettled = match facts.claim {
        Some(claim) if claim.purpose == Purpose::Restore => claim.unsettled,
        Some(_) => facts.pending().map(|claim| claim.at),
        None => Some(facts.now),
    };
    Claim { unsettled, ..Claim::new(facts.next_serial(), facts.now, Purpose::Delete) }
}

/// Deletes or disables every key of ours: first those in status, even if no listing shows them, then any others in
/// a listing.
fn end(facts: &Facts, claim: Claim, off: bool) -> Decision {
    let because = |step| take(step, Why::Deleting);
    let act = |ids| because(if off { Step::Disable(ids) } else { Step::Revoke(ids) });
    let open = |key: &&Listed| !off || works(facts, key);
    let recorded = recorded(facts, off);
    if !recorded.is_empty() {
        return act(recorded);
    }
    let Some(view) = facts.view.as_ref().filter(|view| view.as_of > claim.at) else {
        return because(Step::Look(claim.at));
    };
    let mut live: Vec<_> = facts.own().map(|own| &own.key).filter(open).map(|key| key.id.clone()).collect();
    live.retain(|id| !facts.strays.contains(id));
    live.sort();
    live.dedup();
    if !live.is_empty() {
        return act(live);
    }
    match clear(facts, claim) {
        Some(clear) if facts.now < clear => because(Step::Rest(Some(clear))),
        Some(clear) if view.as_of < clear => because(Step::Look(clear)),
        _ if off => take(Step::Release, Why::LeftBehind),
        _ => because(Step::Release),
    }
}

/// The keys in status that are not deleted or disabled yet. An id in status does not prove ownership, so the key's
/// mark is checked right before the call.
fn recorded(facts: &Facts, off: bool) -> Vec<KeyId> {
    let record = &facts.record;
    let served = record.id.clone().filter(|_| record.serial.is_some());
    let previous = record.previous.iter().map(|key| KeyId(key.id.clone()));
    let done = |id: &KeyId| {
        facts.gone.contains(id) || facts.strays.contains(id) || off && facts.disabled.contains(id)
    };
    let mut ids: Vec<_> = served.into_iter().chain(previous).filter(|id| !done(id)).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// When a listing is complete: no create call with an unknown outcome can still make a key.
fn clear(facts: &Facts, claim: Claim) -> Option<Timestamp> {
    claim.unsettled.map(|sent| plus(settles(facts, sent), STRAGGLING))
}

fn works(facts: &Facts, key: &Listed) -> bool {
    key.shown.active != Some(false) && !facts.disabled.contains(&key.id)
}
