//! Settings drift of the served key.

use super::decision::{Decision, Served, Step, TAKEN, Why, take};
use super::desired::Desired;
use super::drift::{self, Field};
use super::facts::Facts;
use super::listing::Listed;
use super::naming::{Mark, NameStyle};
use super::retry::plus;

/// Compares the settings with those of a direct read. If only a listing is known, a difference in it leads to a
/// direct read.
pub(super) fn settings(facts: &Facts, desired: &Desired, served: &Served<'_>) -> Option<Decision> {
    if let Some(key) = facts.confirmed.shown() {
        if let Some(mark) = foreign_mark(facts, key) {
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
fn foreign_mark(facts: &Facts, key: &Listed) -> Option<Mark> {
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
