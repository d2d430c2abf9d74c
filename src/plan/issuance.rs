//! The state machine of a key. Phases are derived from the facts, never stored; what is stored is the claim, and
//! what status and Secret say of themselves.
//!
//! The protocol (ARCHITECTURE.md has it whole): claim by compare-and-swap, one send per
//! serial, an ambiguous answer is looked up by the mark in the name, the Secret is written (guarded) before status.

use super::adoption;
use super::capability::Recovery;
use super::claim::{Claim, Purpose};
use super::contest::{self, Contest};
use super::desired::Desired;
use super::drift::Field;
use super::facts::{Facts, KeyId, Record, Target};
use super::missing::missing;
use super::naming::Serial;
use super::previous_keys::{self, Next};
use super::recovery::recover;
use super::retry::plus;
use super::rotation::{self, Cause};
use super::upkeep::{settings, spare};
use jiff::{SignedDuration, Timestamp};

/// A create call that has not been sent this long after its claim is not sent any more.
pub const SEND_WITHIN: SignedDuration = SignedDuration::from_secs(5);
/// How long after its claim a create call has an end for its sender: `SEND_WITHIN`, the wait for a turn in the
/// budget (5 s) and the deadline of the call (30 s). What is not listed then, lag apart, is taken for lost; should it
/// turn up all the same, its mark betrays it to the next poll.
pub const GIVEN_UP: SignedDuration = SignedDuration::from_secs(40);
/// How long a create call may still be carried out after its sender gave up. Only a deletion waits that long: after
/// it nobody is left to look.
pub const STRAGGLING: SignedDuration = SignedDuration::from_secs(120);
/// Between two keys of a resource that are expired when they are made lies at least this.
const BORN_EXPIRED: SignedDuration = SignedDuration::from_hours(1);
/// A Secret's name that is taken is looked at again this often.
pub(super) const TAKEN: SignedDuration = SignedDuration::from_secs(60);
/// Changes of a Secret that follow each other closely cost its readers one restart.
const DEBOUNCE: SignedDuration = SignedDuration::from_secs(10);

/// A Secret is lost for good once it was seen so for this long, where that costs a new key.
const SURE: SignedDuration = SignedDuration::from_secs(5);

/// One step, and why it is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do.
    pub step: Step,
    /// Why.
    pub why: Why,
}

/// What can be done. Every step but `Rest` is followed by a new decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Claim the serial, mint a key under it, deliver it, commit it.
    Issue(Serial),
    /// The lost answer is found: have its secret revealed, deliver and commit it.
    Adopt(Serial, KeyId),
    /// The Secret holds the claimed key already: only status is missing.
    Commit(Serial, KeyId),
    /// Claim the serial without making a key, so that the Secret can be written although what stands in it
    /// outranks the last claim.
    BumpSerial(Serial),
    /// Have the served key revealed and write its Secret again.
    Restore(Serial, KeyId),
    /// Write the Secret again around the served key, whose bytes stand in it.
    Rewrite(Serial, KeyId),
    /// Leave the Secret as it is: something in the cluster changes it back.
    Contest,
    /// Write down that the vendor does not show the served key.
    Miss(KeyId),
    /// Tell that keys carry our mark and that nothing uses them: they are revoked a poll later.
    Announce(Vec<KeyId>),
    /// The claimed serial came to nothing, and the served key is still there: claim the next one, so that nothing of
    /// it is recorded or delivered any more.
    AbandonAttempt(Serial),
    /// Keep everybody with an older claim from writing the Secret.
    FenceSecret(Serial),
    /// Record a key that exists already as the served one.
    RecordKey(Serial, KeyId),
    /// Put our mark with that serial behind that name of a key.
    TagKey(KeyId, Serial, String),
    /// Stop counting on the served key, which leaked, although no other is there yet.
    DropLeaked(KeyId),
    /// Revoke a key whose place another one has taken, and forget it.
    Retire(KeyId),
    /// Switch such a key on or off.
    Switch(KeyId, bool),
    /// Leave such a key no more of its budget than this, in millionths: the rest is its successor's.
    Cut(KeyId, u64),
    /// Take the entries of the old key out of the Secret.
    PrunePrevious,
    /// Restart what reads the Secret only when it starts.
    Restart(String),
    /// Change settings of the served key.
    Amend(KeyId, Vec<Field>),
    /// Ask the vendor for the served key.
    Confirm(KeyId),
    /// Obtain a listing that was begun after this time.
    Look(Timestamp),
    /// Remove keys that carry our mark and that nothing uses.
    Revoke(Vec<KeyId>),
    /// Claim the deletion, which fences out everybody who still holds an older claim.
    ClaimDeletion(Claim),
    /// Switch keys off that stay when their resource goes.
    Disable(Vec<KeyId>),
    /// Take the finalizer off.
    Release,
    /// Nothing to do before this time, or before something changes.
    Rest(Option<Timestamp>),
}

/// Why a step is taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// There is no key yet.
    NeverIssued,
    /// There is no key yet, and a field has no effect: `Desired::idle`.
    Idle,
    /// The outcome of the last create call is unknown.
    AnswerLost,
    /// The last create call certainly came to nothing.
    AttemptFailed,
    /// The key was deleted at the vendor.
    KeyLost,
    /// The vendor does not show the served key; a second look decides.
    KeyMissing,
    /// All keys of the account are missing at once: it may be another one.
    AccountDoubted,
    /// The Secret is immutable, and something has to be written into it.
    SecretImmutable,
    /// Something in the cluster changes the Secret back.
    Contested,
    /// The Secret was deleted.
    SecretDeleted,
    /// The Secret was edited.
    SecretEdited,
    /// The template changed.
    TemplateChanged,
    /// The Secret's name belongs to somebody else.
    SecretTaken(String),
    /// The Secret has another type than the template requests for.
    TypeFixed,
    /// The specification changed, or somebody asked for a look.
    SpecChanged,
    /// The key was changed at the vendor.
    Drift(Vec<Field>),
    /// The vendor accepted a change and does not show it.
    NotApplied(Vec<Field>),
    /// A key of ours that nothing uses.
    Spare,
    /// A failure is waited out.
    BackingOff,
    /// A new key takes the place of the served one.
    Rotation(Cause),
    /// The served key leaked.
    Leaked,
    /// An old key works beside its successor until its time is over.
    Overlap,
    /// The same, and it is still used.
    StillInUse,
    /// More old keys work beside the served one than the policy admits.
    TooMany,
    /// Too many keys were made within a day.
    MintingStopped(Timestamp),
    /// The Secret changed, and its readers do not know.
    Republished,
    /// `spec.suspend`
    Suspended,
    /// `managementPolicy: Observe`
    Observed,
    /// The key named in `externalId` is taken over.
    TakenOver,
    /// The key named in `externalId` does not exist.
    ExternalMissing,
    /// It is managed by another resource of this cluster (true) or by another cluster (false).
    OwnedElsewhere(bool),
    /// The resource was restored from a backup.
    Relinked,
    /// The vendor key stays when its resource goes, because the policy or somebody says so.
    LeftBehind,
    /// The resource is being deleted.
    Deleting,
    /// Everything is as it should be.
    Fresh,
}

pub(super) const fn take(step: Step, why: Why) -> Decision {
    Decision { step, why }
}

/// The claim that puts back what a resource has lost: its finalizer, or the claim itself, such as after `kubectl replace`.
/// Without them a deletion would leave its keys behind.
pub fn hold(record: &Record, (finalizer, claim): (bool, Option<Claim>), now: Timestamp) -> Option<Claim> {
    // Keys are counted from the first claim on.
    let keeps = record.serial.is_some() || !record.previous.is_empty() || record.count.is_some();
    if !keeps || finalizer && claim.is_some() {
        return None;
    }
    let known = record.settled.max(record.serial.unwrap_or_default());
    // The lost claim may have been for a call that is still going.
    let lost = || Claim { unsettled: Some(now), ..Claim::new(known.next(), now, Purpose::Restore) };
    Some(claim.filter(|claim| claim.serial >= known).unwrap_or_else(lost))
}

/// The next step for a key that should exist.
pub fn decide(facts: &Facts, desired: &Desired) -> Decision {
    if desired.suspended {
        // Suspended or not, an expired key is not Ready any more, and a leaked one is revoked.
        let rest = Step::Rest(facts.record.expires_at.filter(|at| *at > facts.now));
        return leak_alone(facts).unwrap_or_else(|| take(rest, Why::Suspended));
    }
    if let Some(id) = desired.external_id.as_ref().filter(|_| desired.observed) {
        return adoption::observe(facts, id);
    }
    let served = facts.record.id.as_ref().zip(facts.record.serial);
    let served = served.map(|(id, serial)| Served { id, serial });
    if let Some(next) = facts.record.next_attempt_at.filter(|next| *next > facts.now && !facts.demanded()) {
        return backing_off(facts, served.as_ref(), next);
    }
    // While the revocation of a leaked key fails, everything else has every other turn, and no turn is wasted.
    let dying = dying(facts).map(|id| take(Step::Retire(id), Why::Leaked));
    let decision = match &dying {
        Some(retire) if facts.record.failures.is_multiple_of(2) => return retire.clone(),
        _ => decide_on(facts, desired, served),
    };
    dying.filter(|_| matches!(decision.step, Step::Rest(_))).unwrap_or(decision)
}

/// The same, whatever becomes of leaked keys in whose place another one is served.
fn decide_on(facts: &Facts, desired: &Desired, served: Option<Served<'_>>) -> Decision {
    if let Some(decision) = drop_leaked(facts).or_else(|| unwritable(facts)) {
        return decision;
    }
    if let Some(decision) = adoption::relink(facts) {
        return decision;
    }
    if let Some(claim) = facts.pending() {
        let decision = recover(facts, claim, served.is_some());
        return match (&decision.step, &served) {
            // What is served is kept up while the outcome of its successor is awaited, unless it is known to be gone.
            (Step::Rest(_), Some(served)) if facts.confirmed != Some(None) => {
                mend(facts, served).unwrap_or(decision)
            }
            _ => decision,
        };
    }
    match (served, &desired.external_id) {
        (Some(served), _) => keep(facts, desired, &served),
        (None, _) if desired.idle.is_some() && is_first(facts) => take(Step::Rest(None), Why::Idle),
        (None, Some(id)) if facts.record.settled == Serial(0) || facts.record.immutable_hash.is_none() => {
            adoption::take_over(facts, desired, id)
        }
        (None, _) => issue(facts, Why::NeverIssued),
    }
}

/// Whether no key was ever made, asked for or taken over, so that no application knows one.
fn is_first(facts: &Facts) -> bool {
    let record = &facts.record;
    facts.claim.is_none()
        && record.immutable_hash.is_none()
        && record.settled == Serial(0)
        && record.previous.is_empty()
}

/// A failure is waited out. A Secret that was well when the failure was written down, or that is not there at all, is
/// mended at once, whatever failed.
fn backing_off(facts: &Facts, served: Option<&Served<'_>>, next: Timestamp) -> Decision {
    let absent = facts.target == Target::Absent && facts.ability.recovery == Recovery::Reveal;
    let at_once = facts.record.ready || absent || facts.key_stands();
    let unwell = |served| mend(facts, served).filter(|it| at_once && it.why != Why::Overlap);
    let gone = facts.confirmed == Some(None);
    let mended = served.filter(|_| unwritable(facts).is_none() && !gone).and_then(unwell);
    mended.unwrap_or_else(|| take(Step::Rest(Some(next)), Why::BackingOff))
}

/// A Secret that will not be written, whatever is put into it.
fn unwritable(facts: &Facts) -> Option<Decision> {
    match &facts.target {
        Target::Foreign { owner } => {
            Some(take(Step::Rest(Some(plus(facts.now, TAKEN))), Why::SecretTaken(owner.clone())))
        }
        Target::Ours(held) if !held.kind_fits => Some(take(Step::Rest(None), Why::TypeFixed)),
        _ => None,
    }
}

/// A leaked key in whose place another one is served, or that was given up, and that is not revoked yet.
fn dying(facts: &Facts) -> Option<KeyId> {
    let leaked = facts.record.previous.iter().filter(|key| key.leaked).map(|key| KeyId(key.id.clone()));
    leaked.into_iter().find(|id| !facts.gone.contains(id))
}

/// A key that leaked is dead as soon as another one is served, or as soon as making one does not succeed at once.
fn drop_leaked(facts: &Facts) -> Option<Decision> {
    let record = &facts.record;
    let failed = record.rotation_failures > 0 && record.failed_requests == Some(facts.requests.fingerprint());
    let hindered = facts.pending().is_some()
        || failed
        || unwritable(facts).is_some()
        || immutable(facts)
        || rotation::stopped(facts).is_some();
    let id = record.id.as_ref().filter(|_| rotation::leaked(facts) && hindered)?;
    Some(take(Step::DropLeaked(id.clone()), Why::Leaked))
}

/// The same where no key can be made at all, because the specification cannot be carried out.
pub fn leak_alone(facts: &Facts) -> Option<Decision> {
    let record = &facts.record;
    if let Some(id) = dying(facts) {
        return Some(match record.next_attempt_at.filter(|next| *next > facts.now) {
            Some(next) => take(Step::Rest(Some(next)), Why::BackingOff),
            None => take(Step::Retire(id), Why::Leaked),
        });
    }
    let id = record.id.as_ref().filter(|_| record.serial.is_some() && rotation::leaked(facts))?;
    Some(take(Step::DropLeaked(id.clone()), Why::Leaked))
}

pub(super) struct Served<'a> {
    pub(super) id: &'a KeyId,
    pub(super) serial: Serial,
}

pub(super) fn issue(facts: &Facts, why: Why) -> Decision {
    match rotation::stopped(facts) {
        Some(until) => take(Step::Rest(Some(until)), Why::MintingStopped(until)),
        None if immutable(facts) => take(Step::Rest(None), Why::SecretImmutable),
        None => take(Step::Issue(facts.next_serial()), why),
    }
}

fn immutable(facts: &Facts) -> bool {
    facts.target.held().is_some_and(|held| held.immutable)
}

/// What keeps the served key from being replaced, and until when, if that is known.
fn hindered(facts: &Facts) -> Option<(Why, Option<Timestamp>)> {
    let stopped = rotation::stopped(facts).map(|until| (Why::MintingStopped(until), Some(until)));
    stopped.or_else(|| immutable(facts).then_some((Why::SecretImmutable, None)))
}

/// A key is served: keep it, its Secret and its settings true, and replace it in time.
fn keep(facts: &Facts, desired: &Desired, served: &Served<'_>) -> Decision {
    // A key that leaked is not put into a Secret again, and is no other cause's to retire with an overlap.
    if rotation::leaked(facts) {
        return issue(facts, Why::Rotation(Cause::Leaked));
    }
    if let Some(decision) = missing(facts, served) {
        return decision;
    }
    if let Some(expired) = facts.expired() {
        return replace_expired(facts, expired);
    }
    // A Secret that cannot be mended is no reason to keep the key that was in it.
    let due = rotation::due(facts, desired);
    let hindered = hindered(facts);
    if let Some(due) = due.filter(|due| due.at <= facts.now && hindered.is_none()) {
        return issue(facts, Why::Rotation(due.cause));
    }
    if let Some(decision) = mend(facts, served) {
        return decision;
    }
    // Before the old key goes, and whatever else does not succeed.
    let mut waits = vec![facts.record.expires_at.filter(|at| *at > facts.now)];
    for next in [restart(facts, desired), previous_keys::next(facts, desired)] {
        match next {
            Next::Act(decision) => return decision,
            Next::Wait(until) => waits.push(until),
        }
    }
    if let Some(decision) = settings(facts, desired, served) {
        return decision;
    }
    match spare(facts, served) {
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
    let wake = waits.into_iter().flatten().min();
    take(Step::Rest(wake), overdue.map_or(Why::Fresh, |(why, _)| why.clone()))
}

fn replace_expired(facts: &Facts, expired: Timestamp) -> Decision {
    // A key that is expired at birth says that a clock is wrong; one after the other does not help.
    let born_expired =
        facts.claim.filter(|claim| expired <= claim.at).map(|claim| plus(claim.at, BORN_EXPIRED));
    if let Some(again) = born_expired.filter(|it| *it > facts.now) {
        return take(Step::Rest(Some(again)), Why::BackingOff);
    }
    again(facts, Cause::Expired)
}

/// A key that does not work any more is replaced at once, but not as often as the vendor loses answers.
pub(super) fn again(facts: &Facts, cause: Cause) -> Decision {
    match rotation::retry(facts) {
        Some(at) => take(Step::Rest(Some(at)), Why::BackingOff),
        None => issue(facts, Why::Rotation(cause)),
    }
}

/// The Secret holds the served key as it should.
fn mend(facts: &Facts, served: &Served<'_>) -> Option<Decision> {
    let Some(why) = secret_fault(facts, served) else {
        let previous = facts.target.held().and_then(|held| held.previous);
        let stale = previous.is_some_and(|it| !facts.record.previous.iter().any(|key| key.serial == it.0));
        let outrank = || take(Step::BumpSerial(facts.next_serial()), Why::Overlap);
        return match (stale, outranked(facts, newest(facts, served))) {
            (false, _) => None,
            (true, false) => Some(take(Step::PrunePrevious, Why::Overlap)),
            // Somebody edited the fence, or died while raising it.
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
    if !facts.key_stands() && facts.ability.recovery != Recovery::Reveal {
        return lost_for_good(facts);
    }
    if outranked(facts, newest(facts, served)) {
        return facts.pending().is_none().then(|| take(Step::BumpSerial(facts.next_serial()), why));
    }
    let (serial, id) = (served.serial, served.id.clone());
    let step = if facts.key_stands() { Step::Rewrite(serial, id) } else { Step::Restore(serial, id) };
    Some(take(step, why))
}

/// The bytes of the key are nowhere, and the vendor does not show them again.
fn lost_for_good(facts: &Facts) -> Option<Decision> {
    let wait = rotation::retry(facts);
    let awaited = wait.or_else(|| facts.pending().and(Some(facts.now)));
    // One look may have been at the past, and a new key is more than a look.
    let sure = plus(facts.lost_since.unwrap_or(facts.now), SURE);
    match (awaited, contest::lost_again(facts)) {
        // The outcome of the last attempt comes first.
        (Some(_), _) if wait.is_none() => None,
        (Some(until), _) => Some(take(Step::Rest(Some(until)), Why::BackingOff)),
        (None, _) if facts.now < sure => Some(take(Step::Rest(Some(sure)), Why::BackingOff)),
        (None, Some(until)) => Some(take(Step::Rest(Some(until)), Why::Contested)),
        (None, None) => Some(issue(facts, Why::Rotation(Cause::SecretLost))),
    }
}

/// Whoever reads the Secret only when it starts is restarted for its present content, once.
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

/// Whether the Secret refuses writers with that serial: it was edited by hand, or the claim was.
pub(super) fn outranked(facts: &Facts, serial: Serial) -> bool {
    let held = facts.target.held();
    held.and_then(|held| held.serial.max(held.fence)).is_some_and(|it| it > serial)
}

/// The highest serial that this resource's own records answer for.
pub(super) fn newest(facts: &Facts, served: &Served<'_>) -> Serial {
    facts.claim.map_or(served.serial, |claim| claim.serial.max(served.serial))
}

/// Whether the Secret does not hold the served key as it should.
pub fn is_lost(facts: &Facts) -> bool {
    let served = facts.record.id.as_ref().zip(facts.record.serial);
    served.is_some_and(|(id, serial)| secret_fault(facts, &Served { id, serial }).is_some())
}

fn secret_fault(facts: &Facts, served: &Served<'_>) -> Option<Why> {
    let Some(held) = facts.target.held() else {
        return Some(Why::SecretDeleted);
    };
    let ours = held.serial == Some(served.serial) && held.key_id.as_ref() == Some(served.id);
    if !ours || !held.intact {
        return Some(Why::SecretEdited);
    }
    (!held.current).then_some(Why::TemplateChanged)
}
