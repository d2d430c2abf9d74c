//! The state machine of a key. The phase is derived from the facts and never stored. Only the claim, the status and
//! the Secret store state.
//!
//! The protocol (ARCHITECTURE.md describes it in full): claim a serial by compare-and-swap; send one create call
//! per serial; if its outcome is unknown, look the key up by the mark in its name; write the Secret (guarded by the
//! fence) before status.

use super::capability::Recovery;
use super::claim::{Claim, Purpose};
use super::contest::{self, Contest, secret_fault};
use super::decision::{
    Decision, Served, Step, TAKEN, Why, again, immutable, issue, limited, newest, outranked, take,
};
use super::desired::Desired;
use super::facts::{Confirmed, Facts, Record, Target};
use super::listing::KeyId;
use super::missing::missing;
use super::naming::Serial;
use super::previous_keys::{self, Next};
use super::recovery::recover;
use super::requests::Cause;
use super::retry::plus;
use super::settings_drift::settings;
use super::unused_keys::unused;
use super::{adoption, rotation};
use jiff::{SignedDuration, Timestamp};

/// Minimum time between two keys of a resource that are already expired when they are created.
const BORN_EXPIRED: SignedDuration = SignedDuration::from_hours(1);
/// Changes of a Secret within this time cause one restart of its readers, not several.
const DEBOUNCE: SignedDuration = SignedDuration::from_secs(10);

/// How long the Secret has to be without its key until a new key is created, where the vendor does not reveal keys.
const LOST_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// The claim to write back if the resource lost its finalizer or its claim, for example by `kubectl replace`.
/// Without both, deleting the resource would leave its keys behind.
pub fn hold(record: &Record, finalizer: bool, claim: Option<Claim>, now: Timestamp) -> Option<Claim> {
    // Keys are counted from the first claim on, so a count means that a claim existed.
    let keeps = record.serial.is_some() || !record.previous.is_empty() || record.count.is_some();
    if !keeps || finalizer && claim.is_some() {
        return None;
    }
    let known = record.settled.max(record.serial.unwrap_or_default());
    // The lost claim may belong to a create call that is still running.
    let lost = || Claim { unsettled: Some(now), ..Claim::new(known.next(), now, Purpose::Restore) };
    Some(claim.filter(|claim| claim.serial >= known).unwrap_or_else(lost))
}

/// The next step for a key that should exist.
pub fn decide(facts: &Facts, desired: &Desired) -> Decision {
    if desired.suspended {
        // Even while suspended, an expired key must lose Ready and a leaked key must be revoked.
        let rest = Step::Rest(facts.record.expires_at.filter(|at| *at > facts.now));
        return leak_alone(facts).unwrap_or_else(|| take(rest, Why::Suspended));
    }
    if let Some(id) = desired.external_id.as_ref().filter(|_| desired.observed) {
        return if facts.bounds.refusal.is_some() { limited(facts) } else { adoption::observe(facts, id) };
    }
    let served = facts.record.id.as_ref().zip(facts.record.serial);
    let served = served.map(|(id, serial)| Served { id, serial });
    if let Some(next) = facts.record.next_attempt_at.filter(|next| *next > facts.now && !facts.demanded()) {
        return backing_off(facts, served.as_ref(), next);
    }
    // While revoking a leaked key fails, every second attempt goes to the other work, if there is any.
    let leaked_previous = leaked_previous(facts).map(|id| take(Step::Retire(id), Why::Leaked));
    let decision = match &leaked_previous {
        Some(retire) if facts.record.failures.is_multiple_of(2) => return retire.clone(),
        _ => decide_on(facts, desired, served),
    };
    leaked_previous.filter(|_| matches!(decision.step, Step::Rest(_))).unwrap_or(decision)
}

/// The decision apart from revoking leaked keys that have a successor.
fn decide_on(facts: &Facts, desired: &Desired, served: Option<Served<'_>>) -> Decision {
    if let Some(decision) = drop_leaked(facts).or_else(|| unwritable(facts)) {
        return decision;
    }
    if let Some(decision) = adoption::relink(facts) {
        return if facts.bounds.refusal.is_some() { limited(facts) } else { decision };
    }
    if let Some(claim) = facts.pending() {
        let decision = recover(facts, claim, served.is_some());
        return match (&decision.step, &served) {
            // While the outcome of a successor is unknown, keep the Secret of the served key correct, unless that
            // key is gone.
            (Step::Rest(_), Some(served)) if facts.confirmed != Confirmed::Gone => {
                mend(facts, served).unwrap_or(decision)
            }
            _ => decision,
        };
    }
    match (served, &desired.external_id) {
        (Some(served), _) => keep(facts, desired, &served),
        (None, _) if desired.idle.is_some() && is_first(facts) => take(Step::Rest(None), Why::Idle),
        (None, _) if facts.bounds.refusal.is_some() => limited(facts),
        (None, Some(id)) if facts.record.settled == Serial(0) || facts.record.immutable_hash.is_none() => {
            adoption::take_over(facts, desired, id)
        }
        (None, _) => issue(facts, Why::NeverIssued),
    }
}

/// Whether no key was ever created, claimed or adopted, so that no application knows one.
fn is_first(facts: &Facts) -> bool {
    let record = &facts.record;
    facts.claim.is_none()
        && record.immutable_hash.is_none()
        && record.settled == Serial(0)
        && record.previous.is_empty()
}

/// Waits for the backoff. Exception: the Secret is repaired at once if it was correct when the failure was recorded, if
/// the key's bytes are still in it, or if it is absent and the vendor reveals the key. Entries of deleted keys are pruned
/// later, and nothing is repaired if the key is gone or the Secret cannot be written.
fn backing_off(facts: &Facts, served: Option<&Served<'_>>, next: Timestamp) -> Decision {
    let absent = facts.target == Target::Absent && facts.ability.recovery == Recovery::Reveal;
    let at_once = facts.record.worked || absent || facts.key_is_in_secret();
    let repair = |served| mend(facts, served).filter(|it| at_once && it.why != Why::Overlap);
    let gone = facts.confirmed == Confirmed::Gone;
    let mended = served.filter(|_| unwritable(facts).is_none() && !gone).and_then(repair);
    mended.unwrap_or_else(|| take(Step::Rest(Some(next)), Why::BackingOff))
}

/// A reason why the Secret cannot be written at all: another owner, or a type that cannot change.
fn unwritable(facts: &Facts) -> Option<Decision> {
    match &facts.target {
        Target::Foreign { owner } => {
            Some(take(Step::Rest(Some(plus(facts.now, TAKEN))), Why::SecretTaken(owner.clone())))
        }
        Target::Ours(held) if !held.kind_fits => Some(take(Step::Rest(None), Why::TypeFixed)),
        _ => None,
    }
}

/// A leaked previous key that is not revoked yet.
fn leaked_previous(facts: &Facts) -> Option<KeyId> {
    let leaked = facts.record.previous.iter().filter(|key| key.leaked).map(|key| KeyId(key.id.clone()));
    leaked.into_iter().find(|id| !facts.gone.contains(id))
}

/// A leaked key is revoked before its successor exists if the successor cannot be created at once.
fn drop_leaked(facts: &Facts) -> Option<Decision> {
    let record = &facts.record;
    let failed = record.rotation_failures > 0 && record.failed_requests == Some(facts.requests.fingerprint());
    let hindered = facts.pending().is_some()
        || failed
        || unwritable(facts).is_some()
        || immutable(facts)
        || facts.bounds.refusal.is_some()
        || rotation::stopped(facts).is_some();
    let id = record.id.as_ref().filter(|_| rotation::leaked(facts) && hindered)?;
    Some(take(Step::DropLeaked(id.clone()), Why::Leaked))
}

/// Handles a leaked key while the specification is invalid and no successor can be created.
pub fn leak_alone(facts: &Facts) -> Option<Decision> {
    let record = &facts.record;
    if let Some(id) = leaked_previous(facts) {
        return Some(match record.next_attempt_at.filter(|next| *next > facts.now) {
            Some(next) => take(Step::Rest(Some(next)), Why::BackingOff),
            None => take(Step::Retire(id), Why::Leaked),
        });
    }
    let id = record.id.as_ref().filter(|_| record.serial.is_some() && rotation::leaked(facts))?;
    Some(take(Step::DropLeaked(id.clone()), Why::Leaked))
}

/// What prevents a replacement of the served key, and until when, if that is known.
fn hindered(facts: &Facts) -> Option<(Why, Option<Timestamp>)> {
    let stopped = rotation::stopped(facts).map(|until| (Why::MintingStopped(until), Some(until)));
    let limited = || match limited(facts) {
        Decision { step: Step::Rest(until), why: why @ Why::LimitExceeded(_) } => Some((why, until)),
        _ => None,
    };
    stopped.or_else(|| immutable(facts).then_some((Why::SecretImmutable, None))).or_else(limited)
}

/// Keeps the served key, its Secret and its settings correct, and replaces the key in time.
fn keep(facts: &Facts, desired: &Desired, served: &Served<'_>) -> Decision {
    // A leaked key is not written into a Secret again, and must not get an overlap by a rotation for another cause.
    if rotation::leaked(facts) {
        return issue(facts, Why::Rotation(Cause::Leaked));
    }
    if let Some(decision) = missing(facts, served) {
        return decision;
    }
    if let Some(expired) = facts.expired() {
        return replace_expired(facts, expired);
    }
    // A due rotation comes first: a Secret that cannot be repaired must not block the replacement of its key.
    let due = rotation::due(facts, desired);
    let hindered = hindered(facts);
    if let Some(due) = due.filter(|due| due.at <= facts.now && hindered.is_none()) {
        return issue(facts, Why::Rotation(due.cause));
    }
    if let Some(decision) = mend(facts, served) {
        return decision;
    }
    // The restart comes before the deletion of previous keys. The pass always wakes at the expiry.
    let mut waits = vec![facts.record.expires_at.filter(|at| *at > facts.now)];
    for next in [restart(facts, desired), previous_keys::next(facts, desired)] {
        match next {
            Next::Act(decision) => return decision,
            Next::Wait(until) => waits.push(until),
        }
    }
    let frozen = facts.bounds.frozen().map(|_| limited(facts));
    if let Some(decision) = settings(facts, desired, served).filter(|_| frozen.is_none()) {
        return decision;
    }
    match unused(facts, served) {
        Next::Act(decision) => return decision,
        Next::Wait(until) => waits.push(until),
    }
    if let Contest::Left(until) = contest::judge(facts) {
        waits.push(Some(until));
    }
    let overdue = due.filter(|due| due.at <= facts.now).and(hindered.as_ref());
    waits.push(match (due, &hindered) {
        (Some(due), Some((_, until))) => until.map(|until| until.max(due.at)),
        (due, _) => due.map(|due| due.at),
    });
    if let Some(Decision { step: Step::Rest(until), .. }) = &frozen {
        waits.push(*until);
    }
    let wake = waits.into_iter().flatten().min();
    let fresh = frozen.map_or(Why::Fresh, |decision| decision.why);
    take(Step::Rest(wake), overdue.map_or(fresh, |(why, _)| why.clone()))
}

fn replace_expired(facts: &Facts, expired: Timestamp) -> Decision {
    // A key that is already expired when created means a wrong clock; creating more keys in a row does not help.
    let born_expired =
        facts.claim.filter(|claim| expired <= claim.at).map(|claim| plus(claim.at, BORN_EXPIRED));
    if let Some(again) = born_expired.filter(|it| *it > facts.now) {
        return take(Step::Rest(Some(again)), Why::BackingOff);
    }
    again(facts, Cause::Expired)
}

/// Repairs the Secret if it does not hold the served key correctly, and prunes entries of deleted previous keys. `None`:
/// nothing is to be written now, because the Secret is correct, is left as it is, or an attempt is pending.
fn mend(facts: &Facts, served: &Served<'_>) -> Option<Decision> {
    let Some(why) = secret_fault(facts, served) else {
        let previous = facts.target.held().and_then(|held| held.previous);
        let stale = previous.is_some_and(|it| !facts.record.previous.iter().any(|key| key.serial == it.0));
        let outrank = || take(Step::BumpSerial(facts.next_serial()), Why::Overlap);
        return match (stale, outranked(facts, newest(facts, served))) {
            (false, _) => None,
            (true, false) => Some(take(Step::PrunePrevious, Why::Overlap)),
            // The fence was edited by hand, or an operator crashed while raising it.
            (true, true) => facts.pending().is_none().then(outrank),
        };
    };
    match contest::judge(facts) {
        Contest::Found => return Some(take(Step::Contest, Why::Contested)),
        Contest::Left(_) if facts.serves() => return None,
        Contest::Left(until) => return Some(take(Step::Rest(Some(until)), Why::Contested)),
        Contest::None => {}
    }
    if immutable(facts) {
        return Some(take(Step::Rest(None), Why::SecretImmutable));
    }
    if !facts.key_is_in_secret() && facts.ability.recovery != Recovery::Reveal {
        return lost_for_good(facts);
    }
    if outranked(facts, newest(facts, served)) {
        return facts.pending().is_none().then(|| take(Step::BumpSerial(facts.next_serial()), why));
    }
    let (serial, id) = (served.serial, served.id.clone());
    let step = if facts.key_is_in_secret() { Step::Rewrite(serial, id) } else { Step::Restore(serial, id) };
    Some(take(step, why))
}

/// Replaces the key if its bytes are lost and the vendor does not reveal them again. `None`: an attempt is pending.
fn lost_for_good(facts: &Facts) -> Option<Decision> {
    let wait = rotation::retry(facts);
    let awaited = wait.or_else(|| facts.pending().and(Some(facts.now)));
    // One read may come from a stale cache, and a new key is expensive: wait before the key counts as lost.
    let sure = plus(facts.lost_since.unwrap_or(facts.now), LOST_AFTER);
    match (awaited, contest::lost_again(facts)) {
        // The outcome of the last attempt has to be known first.
        (Some(_), _) if wait.is_none() => None,
        (Some(until), _) => Some(take(Step::Rest(Some(until)), Why::BackingOff)),
        (None, _) if facts.now < sure => Some(take(Step::Rest(Some(sure)), Why::BackingOff)),
        (None, Some(until)) => Some(take(Step::Rest(Some(until)), Why::Contested)),
        (None, None) => Some(issue(facts, Why::Rotation(Cause::SecretLost))),
    }
}

/// Restarts workloads that read the Secret only at start, once per content.
fn restart(facts: &Facts, desired: &Desired) -> Next {
    let (Some(revision), Some(done)) = (&facts.revision, &facts.record.restarted_for) else {
        return Next::Wait(None);
    };
    if desired.policy.restart.is_empty() || revision == done {
        return Next::Wait(None);
    }
    match facts.record.rotated_at.map(|at| plus(at, DEBOUNCE)).filter(|quiet| *quiet > facts.now) {
        Some(quiet) => Next::Wait(Some(quiet)),
        None => Next::Act(take(Step::Restart(revision.clone()), Why::Republished)),
    }
}
