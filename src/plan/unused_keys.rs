//! Unused keys of ours.

use super::capability::Recovery;
use super::decision::{Served, Step, Why, newest, take};
use super::facts::{Facts, Target};
use super::listing::KeyId;
use super::previous_keys::Next;
use super::retry::plus;
use jiff::SignedDuration;

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
    unused_keys(facts)
        .into_iter()
        .next()
        .filter(|_| undelivered && facts.ability.recovery == Recovery::Rotate)
}

fn unused_keys(facts: &Facts) -> Vec<KeyId> {
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
pub(super) fn unused(facts: &Facts, served: &Served<'_>) -> Next {
    let act = |step| Next::Act(take(step, Why::Unused));
    let unused = unused_keys(facts);
    let unannounced: Vec<_> =
        unused.iter().filter(|id| !facts.record.told.contains_key(id)).cloned().collect();
    if !unannounced.is_empty() {
        return act(Step::Announce(unannounced));
    }
    let due = |id: &KeyId| facts.record.told.get(id).map(|told| plus(*told, facts.poll));
    let Some(first) = unused.iter().filter_map(due).min() else {
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
    act(Step::Revoke(unused.into_iter().filter(|id| due(id).is_some_and(|due| due <= facts.now)).collect()))
}
