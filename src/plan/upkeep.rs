//! The settings of the served key, and keys of ours that nothing uses.

use super::desired::Desired;
use super::drift::{self, Field};
use super::facts::{Facts, Listed};
use super::issuance::{Decision, Served, Step, TAKEN, Why, newest, take};
use super::naming::Mark;
use super::retry::plus;

/// Compares the settings: against a direct answer where there is one; a listing is only a hint to ask.
pub(super) fn settings(facts: &Facts, desired: &Desired, served: &Served<'_>) -> Option<Decision> {
    if let Some(Some(key)) = &facts.confirmed {
        if let Some(mark) = somebody_elses(facts, key) {
            let why = Why::OwnedElsewhere(mark.same_cluster(&facts.identity.mark));
            return Some(take(Step::Rest(Some(plus(facts.now, TAKEN))), why));
        }
        let fields = differing(facts, desired, key);
        if fields.is_empty() {
            return None;
        }
        if fields.iter().all(|field| facts.amended.contains(field)) {
            return Some(take(Step::Rest(None), Why::NotApplied(fields)));
        }
        let why = if facts.changed() { Why::SpecChanged } else { Why::Drift(fields.clone()) };
        return Some(take(Step::Amend(served.id.clone(), fields), why));
    }
    let confirm = |why| Some(take(Step::Confirm(served.id.clone()), why));
    if facts.changed() {
        return confirm(Why::SpecChanged);
    }
    let view = facts.view.as_ref()?;
    match facts.own().find(|own| own.key.id == *served.id) {
        Some(own) => {
            let fields = differing(facts, desired, &own.key);
            if fields.is_empty() { None } else { confirm(Why::Drift(fields)) }
        }
        // A young key may be missing from a listing that lags. It is looked for again then: if it is gone for good,
        // no later listing differs from this one, and nobody would be woken.
        None => match facts.record.created_at.map(|at| plus(at, facts.ability.listing_lag)) {
            Some(shown) if facts.now < shown => Some(take(Step::Rest(Some(shown)), Why::Fresh)),
            Some(shown) if view.as_of <= shown => Some(take(Step::Look(shown), Why::KeyLost)),
            _ => confirm(Why::KeyLost),
        },
    }
}

/// The mark in the key's name, if it is another resource's: two resources may have been given one `externalId`.
fn somebody_elses(facts: &Facts, key: &Listed) -> Option<Mark> {
    let ours = facts.identity.serial_in(&key.name).is_some();
    Mark::parse(&key.name).map(|(mark, _)| mark).filter(|_| !ours)
}

/// The settings that differ; a name without our mark is one of them.
fn differing(facts: &Facts, desired: &Desired, key: &Listed) -> Vec<Field> {
    let mut fields = drift::drift(&desired.settings, key, facts.record.email.as_ref());
    let marked = facts.identity.mark.serial_in(&key.name).is_some();
    if !marked && !fields.contains(&Field::DisplayName) {
        fields.insert(0, Field::DisplayName);
    }
    fields
}

/// Keys of ours that nothing uses: an attempt that turned up late, a predecessor. Serials above the claim are
/// left alone: they belong to somebody who knows more than we do.
pub(super) fn spare(facts: &Facts, served: &Served<'_>) -> Option<Decision> {
    let newest = newest(facts, served);
    let held = facts.target.held().and_then(|held| held.key_id.as_ref());
    let spares: Vec<_> = facts
        .own()
        .filter(|own| own.serial <= newest && own.key.id != *served.id && Some(&own.key.id) != held)
        .filter(|own| !facts.record.previous.iter().any(|key| key.id == own.key.id.0))
        .map(|own| own.key.id.clone())
        .collect();
    if spares.is_empty() {
        return None;
    }
    // The maker of one may still be about to deliver it.
    let fence = facts.target.held().and_then(|held| held.fence);
    let step = if fence < Some(newest) { Step::Fence(newest) } else { Step::Revoke(spares) };
    Some(take(step, Why::Spare))
}
