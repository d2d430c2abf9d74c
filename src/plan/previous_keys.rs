//! What happens to a previous key: it works for the overlap and as long as it is used, is then switched off
//! (brown-out) if the vendor supports that, and is then deleted.

use super::budget;
use super::decision::{Decision, Step, Why};
use super::desired::Desired;
use super::facts::Facts;
use super::listing::{KeyId, happened};
use super::policy::Policy;
use super::retry::plus;
use crate::api::rotation::PreviousKey;
use jiff::{SignedDuration, Timestamp};

/// A key that was not used for this time, or for a quarter of the overlap if that is shorter, counts as unused.
const QUIET: SignedDuration = SignedDuration::from_hours(1);

/// The next action for the previous keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Act now.
    Act(Decision),
    /// Wait until this time, or until something changes.
    Wait(Option<Timestamp>),
}

/// The next action: that of the first previous key that needs one, otherwise the earliest wait.
pub fn next(facts: &Facts, desired: &Desired) -> Next {
    if let Some(decision) = too_many(facts, &desired.policy) {
        return Next::Act(decision);
    }
    let mut wait: Option<Timestamp> = None;
    for key in &facts.record.previous {
        match of(facts, &desired.policy, key) {
            Next::Act(decision) => return Next::Act(decision),
            Next::Wait(until) => wait = [wait, until].into_iter().flatten().min(),
        }
    }
    if let Some((id, share)) = budget::to_cut(facts) {
        return Next::Act(Decision { step: Step::Cut(id, share), why: Why::Overlap });
    }
    Next::Wait(wait)
}

/// If more previous keys exist than the policy permits, the oldest is deleted at once, because each may spend a
/// whole budget.
fn too_many(facts: &Facts, policy: &Policy) -> Option<Decision> {
    let previous = &facts.record.previous;
    if previous.len() <= policy.max_previous || !facts.proven {
        return None;
    }
    let oldest = previous.iter().min_by_key(|key| (key.replaced_at, key.serial))?;
    Some(Decision { step: Step::Retire(KeyId(oldest.id.clone())), why: Why::TooMany })
}

/// The earliest time at which a previous key may be deleted, under the current policy.
pub fn retire_after(key: &PreviousKey, policy: &Policy) -> Timestamp {
    if key.leaked {
        return key.replaced_at;
    }
    bounded(key, plus(key.replaced_at, policy.overlap))
}

/// If Keysmith enforces the expiry of a key, the key is not kept beyond it.
fn bounded(key: &PreviousKey, time: Timestamp) -> Timestamp {
    key.expires_at.map_or(time, |expires| time.min(expires))
}

fn of(facts: &Facts, policy: &Policy, key: &PreviousKey) -> Next {
    let id = KeyId(key.id.clone());
    let act = |step, why| Next::Act(Decision { step, why });
    let after = retire_after(key, policy);
    if key.leaked {
        return act(Step::Retire(id), Why::Leaked);
    }
    // Keep the previous console token until its successor was used successfully.
    if !facts.proven {
        return Next::Wait(None);
    }
    if facts.now < after {
        // The overlap was raised while the key is switched off, perhaps because applications failed.
        return match key.disabled_at {
            Some(_) => act(Step::Switch(id, true), Why::Overlap),
            None => Next::Wait(Some(after)),
        };
    }
    let off = key.disabled_at;
    let bound = bounded(key, plus(key.replaced_at, policy.max_overlap));
    if off.is_none() && facts.now < bound && facts.ability.last_used {
        // A listing from before the end of the overlap cannot tell whether the key was in use at its end.
        if facts.view.as_ref().is_none_or(|view| view.as_of < after) {
            return act(Step::Look(plus(after, -SignedDuration::from_nanos(1))), Why::Overlap);
        }
        if let Some(quiet) = quiet_at(facts, policy, &id) {
            if quiet > facts.now {
                return Next::Wait(Some(quiet.min(bound)));
            }
            // The key may have been used since this listing.
            if facts.view.as_ref().is_some_and(|view| view.as_of < quiet) {
                return act(Step::Look(plus(quiet, -SignedDuration::from_nanos(1))), Why::Overlap);
            }
        }
    }
    // A key that the vendor does not show cannot be switched off.
    let shown = facts.own().any(|own| own.key.id == id);
    if policy.brown_out.is_zero() || key.missing_since.is_some() && !shown {
        return act(Step::Retire(id.clone()), retired(facts, policy, &id));
    }
    match off.map(|off| plus(off, policy.brown_out)) {
        None => act(Step::Switch(id.clone(), false), retired(facts, policy, &id)),
        Some(end) if facts.now < end => Next::Wait(Some(end)),
        Some(_) => act(Step::Retire(id), Why::Overlap),
    }
}

fn retired(facts: &Facts, policy: &Policy, id: &KeyId) -> Why {
    let used = quiet_at(facts, policy, id).is_some_and(|quiet| quiet > facts.now);
    if used { Why::StillInUse } else { Why::Overlap }
}

/// When the key counts as unused; `None` if the vendor does not say that it was used.
fn quiet_at(facts: &Facts, policy: &Policy, id: &KeyId) -> Option<Timestamp> {
    let listed = facts.own().find(|own| own.key.id == *id)?;
    // A last use in the future would count as in use forever.
    Some(plus(happened(listed.key.last_used_at, facts.now)?, quiet(policy)))
}

/// How long a key must not have been used to count as unused.
pub fn quiet(policy: &Policy) -> SignedDuration {
    QUIET.min(policy.overlap / 4)
}
