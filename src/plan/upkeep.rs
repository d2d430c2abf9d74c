//! Settings drift of the served key, and unused keys of ours.

use super::capability::Recovery;
use super::decision::{Decision, Served, Step, TAKEN, Why, newest, take};
use super::desired::Desired;
use super::drift::{self, Field};
use super::facts::{Facts, Target};
use super::listing::{KeyId, Listed};
use super::naming::{Mark, NameStyle};
use super::previous_keys::Next;
use super::retry::plus;
use jiff::SignedDuration;

/// Compares the settings with those of a direct read. If only a listing is known, a difference in it leads to a
/// direct read.
pub(super) fn settings(facts: &Facts, desired: &Desired, served: &Served<'_>) -> Option<Decision> {
    if let Some(key) = facts.confirmed.shown() {
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
        // A listing that lags may not show a new key yet, so another listing is obtained after the lag, and not with the
        // next poll.
        None => match facts.record.created_at.map(|at| plus(at, facts.ability.listing_lag)) {
            Some(shown) if facts.now < shown => Some(take(Step::Rest(Some(shown)), Why::Fresh)),
            Some(shown) if view.as_of <= shown => Some(take(Step::Look(shown), Why::KeyLost)),
            _ => confirm(Why::KeyLost),
        },
    }
}

/// The mark in the key's name if it belongs to another resource: two resources may have the same `externalId`.
fn somebody_elses(facts: &Facts, key: &Listed) -> Option<Mark> {
    let ours = facts.identity.serial_in(&key.name).is_some();
    Mark::parse(&key.name).map(|(mark, _)| mark).filter(|_| !ours)
}

/// The settings that differ; a name without our mark counts as a difference. Where names cannot change, a key found
/// again after a restore keeps the mark of its former resource.
fn differing(facts: &Facts, desired: &Desired, key: &Listed) -> Vec<Field> {
    let mut fields = drift::drift(&desired.settings, key, &facts.record.sent);
    // A specification edit may change only the spelling of a value. That is sent once, whatever the vendor makes of
    // it.
    if facts.record.generation != facts.generation {
        let spelt = drift::spelt_otherwise(&desired.settings, key);
        fields.extend(
            spelt
                .into_iter()
                .filter(|it| !facts.amended.contains(it) && !fields.contains(it))
                .collect::<Vec<_>>(),
        );
        fields.sort_unstable();
    }
    fields.retain(|it| !desired.kept.contains(it));
    let marked = facts.identity.mark.serial_in(&key.name).is_some() || facts.ability.names == NameStyle::Slug;
    if !marked && !fields.contains(&Field::DisplayName) {
        fields.insert(0, Field::DisplayName);
    }
    fields
}

/// An unused key of ours that can be rotated instead of creating another key. The key must never have been in a
/// Secret, which is certain only if the Secret is absent or holds exactly the served key.
pub fn reusable(facts: &Facts) -> Option<KeyId> {
    let undelivered = match &facts.target {
        Target::Absent => true,
        Target::Ours(held) => {
            held.intact
                && held.key_id.is_some()
                && held.key_id == facts.record.id
                && held.serial == facts.record.serial
        }
        Target::Foreign { .. } => false,
    };
    spares(facts).into_iter().next().filter(|_| undelivered && facts.ability.recovery == Recovery::Rotate)
}

fn spares(facts: &Facts) -> Vec<KeyId> {
    let record = &facts.record;
    let newest = facts.claim.map(|claim| claim.serial).max(record.serial).unwrap_or_default();
    let held = facts.target.held().and_then(|held| held.key_id.as_ref());
    let used = |id: &KeyId| Some(id) == record.id.as_ref() || Some(id) == held;
    let previous = |id: &KeyId| record.previous.iter().any(|key| key.id == id.0);
    let own = facts.own().filter(|own| own.serial <= newest).map(|own| own.key.id.clone());
    own.filter(|id| !used(id) && !previous(id)).collect()
}

/// Unused keys of ours: the late result of a create call, or a duplicate made by a person. They are announced and
/// revoked one poll later; until then a person can keep one by removing the mark from its name. Keys with a serial
/// above the claim are left alone, because an operator with newer state created them.
pub(super) fn spare(facts: &Facts, served: &Served<'_>) -> Next {
    let act = |step| Next::Act(take(step, Why::Spare));
    let spares = spares(facts);
    let untold: Vec<_> = spares.iter().filter(|id| !facts.record.told.contains_key(id)).cloned().collect();
    if !untold.is_empty() {
        return act(Step::Announce(untold));
    }
    let due = |id: &KeyId| facts.record.told.get(id).map(|told| plus(*told, facts.poll));
    let Some(first) = spares.iter().filter_map(due).min() else {
        return Next::Wait(None);
    };
    if facts.now < first {
        return Next::Wait(Some(first));
    }
    // The mark may have been removed from its name since.
    if facts.view.as_ref().is_none_or(|view| view.as_of < first) {
        return act(Step::Look(plus(first, -SignedDuration::from_nanos(1))));
    }
    let newest = newest(facts, served);
    // The operator that created such a key may still be about to write it into the Secret, so the fence comes
    // first.
    let fence = facts.target.held().and_then(|held| held.fence);
    if fence < Some(newest) {
        return act(Step::FenceSecret(newest));
    }
    act(Step::Revoke(spares.into_iter().filter(|id| due(id).is_some_and(|due| due <= facts.now)).collect()))
}
