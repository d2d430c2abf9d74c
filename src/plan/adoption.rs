//! Keys that exist already: named by their id, found again after a restore from a backup, or only looked at.

use super::desired::Desired;
use super::facts::{Facts, KeyId};
use super::issuance::{Decision, Step, Why, take};
use super::naming::Mark;
use super::retry::plus;
use jiff::SignedDuration;

/// A key that is not there, or somebody else's, is looked at again this often.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// The key is only looked at. The shared listing shows it; nothing is asked for it alone.
pub fn observe(facts: &Facts, id: &KeyId) -> Decision {
    if facts.view.is_none() {
        return take(Step::Look(jiff::Timestamp::UNIX_EPOCH), Why::Observed);
    }
    match (&facts.external, &facts.confirmed) {
        (Some(_), _) | (None, Some(Some(_))) => take(Step::Rest(None), Why::Observed),
        // The listing may be older than the key.
        (None, None) => take(Step::Confirm(id.clone()), Why::Observed),
        (None, Some(None)) => take(Step::Rest(Some(plus(facts.now, AGAIN))), Why::ExternalMissing),
    }
}

/// A key that somebody names is taken over: claimed, given our mark, and recorded. What follows is what follows for
/// every key whose Secret is missing.
pub fn take_over(facts: &Facts, desired: &Desired, id: &KeyId) -> Decision {
    let rest = |why| take(Step::Rest(Some(plus(facts.now, AGAIN))), why);
    let key = match &facts.confirmed {
        None => return take(Step::Confirm(id.clone()), Why::TakenOver),
        Some(None) => return rest(Why::ExternalMissing),
        Some(Some(key)) => key,
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

/// A resource that came back from a backup has another UID and an empty status; its claim still carries the mark of
/// the keys that it had.
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
    // A backup need not bring the finalizer back, which comes with a claim.
    if !facts.finalizer {
        return Some(take(Step::BumpSerial(facts.next_serial()), Why::Relinked));
    }
    Some(take(Step::RecordKey(newest.serial, newest.key.id.clone()), Why::Relinked))
}
