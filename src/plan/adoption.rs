//! Existing keys: adopted by their id, found again after a restore from a backup, or only observed.

use super::decision::{Decision, Step, Why, take};
use super::desired::Desired;
use super::facts::{Confirmed, Facts};
use super::listing::KeyId;
use super::naming::Mark;
use super::retry::plus;
use jiff::SignedDuration;

/// Retry interval for a key that does not exist or belongs to another owner.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// Observes the key. It is normally read from the shared listing, without a call of its own.
pub fn observe(facts: &Facts, id: &KeyId) -> Decision {
    if facts.view.is_none() {
        return take(Step::Look(jiff::Timestamp::UNIX_EPOCH), Why::Observed);
    }
    match (&facts.external, &facts.confirmed) {
        (Some(_), _) | (None, Confirmed::Shown(_)) => take(Step::Rest(None), Why::Observed),
        // The listing may be older than the key.
        (None, Confirmed::NotRead) => take(Step::Confirm(id.clone()), Why::Observed),
        (None, Confirmed::Gone) => take(Step::Rest(Some(plus(facts.now, AGAIN))), Why::ExternalMissing),
    }
}

/// Adopts the key named in `externalId`: claims a serial, adds our mark and records the key. Then the usual steps
/// for a missing Secret follow.
pub fn take_over(facts: &Facts, desired: &Desired, id: &KeyId) -> Decision {
    let rest = |why| take(Step::Rest(Some(plus(facts.now, AGAIN))), why);
    let key = match &facts.confirmed {
        Confirmed::NotRead => return take(Step::Confirm(id.clone()), Why::TakenOver),
        Confirmed::Gone => return rest(Why::ExternalMissing),
        Confirmed::Shown(key) => key,
    };
    if let Some(serial) = facts.identity.serial_in(&key.name) {
        if !facts.finalizer {
            return take(Step::BumpSerial(facts.next_serial()), Why::TakenOver);
        }
        return take(Step::RecordKey(serial, id.clone()), Why::TakenOver);
    }
    if let Some((mark, _)) = Mark::parse(&key.name) {
        return rest(Why::OwnedElsewhere(mark.same_cluster(&facts.identity.mark)));
    }
    match facts.claim.filter(|claim| facts.finalizer && claim.serial > facts.record.settled) {
        None => take(Step::BumpSerial(facts.next_serial()), Why::TakenOver),
        Some(claim) => take(
            Step::TagKey(id.clone(), claim.serial, desired.settings.display_name.clone()),
            Why::TakenOver,
        ),
    }
}

/// Finds the keys of a resource restored from a backup. Such a resource has a new UID and an empty status, but its
/// claim still contains the mark of its keys.
pub fn relink(facts: &Facts) -> Option<Decision> {
    let claim = facts.claim?;
    let former = facts.identity.former.as_ref()?;
    let blank = facts.record.id.is_none() && facts.record.settled.0 == 0;
    if !blank {
        return None;
    }
    if facts.view.is_none() {
        return Some(take(Step::Look(jiff::Timestamp::UNIX_EPOCH), Why::Relinked));
    }
    let theirs = |name: &str| former.serial_in(name).filter(|serial| *serial <= claim.serial);
    let newest = facts.own().filter(|own| theirs(&own.key.name).is_some()).max_by_key(|own| own.serial)?;
    // A backup may lack the finalizer, which is added together with a claim.
    if !facts.finalizer {
        return Some(take(Step::BumpSerial(facts.next_serial()), Why::Relinked));
    }
    Some(take(Step::RecordKey(newest.serial, newest.key.id.clone()), Why::Relinked))
}
