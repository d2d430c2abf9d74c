//! What becomes of a key whose resource is being deleted.

use super::claim::{Claim, Purpose};
use super::facts::{Facts, KeyId};
use super::issuance::{Decision, STRAGGLING, Step, Why, settles};
use super::naming::Serial;
use super::retry::plus;
use crate::api::rotation::DeletionPolicy;

/// What somebody wants to become of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What the specification says.
    pub policy: DeletionPolicy,
    /// Whether somebody lets the resource go, whatever becomes of the key.
    pub forced: bool,
}

/// A key that stays at the vendor when its resource goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The vendor's id; none for a key that may have been made by a call without an answer.
    pub id: Option<KeyId>,
    /// Its serial, as far as known.
    pub serial: Option<Serial>,
    /// Why it stays.
    pub why: LeftWhy,
}

/// Why a key stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftWhy {
    /// The specification says so.
    Policy(DeletionPolicy),
    /// Somebody let the resource go.
    Forced,
    /// It does not carry our mark any more.
    NotOurs,
}

const fn take(step: Step, why: Why) -> Decision {
    Decision { step, why }
}

/// The next step for a key whose resource is being deleted.
pub fn retire(facts: &Facts, ending: Ending) -> Decision {
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
        DeletionPolicy::Disable => disable(facts, claim),
        DeletionPolicy::Delete => revoke(facts, claim),
    }
}

/// The claim of a deletion, which fences out every create call that is still on its way to its Secret.
fn fence(facts: &Facts) -> Claim {
    // The finalizer came with a claim. If that cannot be read any more, it may have been for a call still going.
    let unsettled = match facts.claim {
        Some(_) => facts.pending().map(|claim| claim.at),
        None => Some(facts.now),
    };
    Claim { unsettled, ..Claim::new(facts.next_serial(), facts.now, Purpose::Delete) }
}

fn revoke(facts: &Facts, claim: Claim) -> Decision {
    let because = |step| take(step, Why::Deleting);
    let Some(view) = facts.view.as_ref().filter(|view| view.as_of > claim.at) else {
        return because(Step::Look(claim.at));
    };
    let mut live: Vec<_> = facts.own().map(|own| own.key.id.clone()).collect();
    live.sort();
    live.dedup();
    if !live.is_empty() {
        return because(Step::Revoke(live));
    }
    if let Some(decision) = unlisted(facts) {
        return decision;
    }
    match claim.unsettled.map(|sent| plus(settles(facts, sent), STRAGGLING)) {
        Some(settled) if facts.now < settled => because(Step::Rest(Some(settled))),
        Some(settled) if view.as_of < settled => because(Step::Look(settled)),
        _ => because(Step::Release),
    }
}

/// The key that status names and the listing does not show: a young one may be missing from a listing that lags. Only
/// what carries our mark is removed: neither an id in a Secret's annotations nor one in status is evidence.
fn unlisted(facts: &Facts) -> Option<Decision> {
    let id = facts.record.id.as_ref().filter(|id| !facts.gone.contains(*id))?;
    match &facts.confirmed {
        None => Some(take(Step::Confirm(id.clone()), Why::Deleting)),
        Some(Some(key)) if key.id == *id && facts.identity.serial_in(&key.name).is_some() => {
            Some(take(Step::Revoke(vec![id.clone()]), Why::Deleting))
        }
        Some(_) => None,
    }
}

fn disable(facts: &Facts, claim: Claim) -> Decision {
    if facts.view.as_ref().is_none_or(|view| view.as_of <= claim.at) {
        return take(Step::Look(claim.at), Why::Deleting);
    }
    let works = |id: &&super::facts::OwnKey| id.key.shown.active != Some(false);
    let working: Vec<KeyId> = facts.own().filter(works).map(|own| own.key.id.clone()).collect();
    if working.is_empty() {
        return take(Step::Release, Why::LeftBehind);
    }
    take(Step::Disable(working), Why::Deleting)
}
