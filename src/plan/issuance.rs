//! The state machine of a key. Phases are derived from the facts, never stored; what is stored is the claim, and
//! what status and Secret say of themselves.
//!
//! The protocol (ARCHITECTURE.md has it whole): claim by compare-and-swap, one send per
//! serial, an ambiguous answer is looked up by the mark in the name, the Secret is written (guarded) before status.

use super::claim::{Claim, Purpose};
use super::desired::Desired;
use super::drift::{self, Field};
use super::facts::{Facts, Held, KeyId, Listed, Target};
use super::naming::Serial;
use super::retry::plus;
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
/// How far the vendor's clock may be off when a found key is compared with the claim that preceded it.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);
/// Between two keys of a resource that are expired when they are made lies at least this.
const BORN_EXPIRED: SignedDuration = SignedDuration::from_hours(1);
/// A Secret's name that is taken is looked at again this often.
const TAKEN: SignedDuration = SignedDuration::from_secs(60);

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
    Outrank(Serial),
    /// Have the served key revealed and write its Secret again.
    Restore(Serial, KeyId),
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
    /// The outcome of the last create call is unknown.
    AnswerLost,
    /// The last create call certainly came to nothing.
    AttemptFailed,
    /// The key was deleted at the vendor.
    KeyLost,
    /// The key expired.
    Expired,
    /// The Secret was deleted.
    SecretDeleted,
    /// The Secret was edited.
    SecretEdited,
    /// The template changed.
    TemplateChanged,
    /// The Secret's name belongs to somebody else.
    SecretTaken(String),
    /// The Secret has another type than the template asks for.
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
    /// The resource is being deleted.
    Deleting,
    /// Everything is as it should be.
    Fresh,
}

const fn take(step: Step, why: Why) -> Decision {
    Decision { step, why }
}

/// The next step for a key that should exist.
pub fn decide(facts: &Facts, desired: &Desired) -> Decision {
    if let Target::Foreign { owner } = &facts.target {
        return take(Step::Rest(Some(plus(facts.now, TAKEN))), Why::SecretTaken(owner.clone()));
    }
    if facts.target.held().is_some_and(|held| !held.kind_fits) {
        return take(Step::Rest(None), Why::TypeFixed);
    }
    if let Some(next) = facts.record.next_attempt_at.filter(|next| *next > facts.now && !facts.demanded()) {
        return take(Step::Rest(Some(next)), Why::BackingOff);
    }
    if let Some(claim) = facts.pending() {
        return recover(facts, claim);
    }
    match (&facts.record.id, facts.record.serial) {
        (Some(id), Some(serial)) => keep(facts, desired, &Served { id, serial }),
        _ => issue(facts, Why::NeverIssued),
    }
}

struct Served<'a> {
    id: &'a KeyId,
    serial: Serial,
}

fn issue(facts: &Facts, why: Why) -> Decision {
    take(Step::Issue(facts.next_serial()), why)
}

/// A create call went out, or was about to, and its outcome is not recorded.
fn recover(facts: &Facts, claim: Claim) -> Decision {
    if let Some(Held { serial: Some(serial), key_id: Some(id), .. }) = facts.target.held()
        && *serial == claim.serial
    {
        return take(Step::Commit(*serial, id.clone()), Why::AnswerLost);
    }
    let Some(view) = facts.view.as_ref().filter(|view| view.as_of > claim.at) else {
        return take(Step::Look(claim.at), Why::AnswerLost);
    };
    // Only a key that our claim preceded is ours; one planted under our next name is not.
    let preceded = |key: &Listed| key.created_at.is_none_or(|at| at >= plus(claim.at, -CLOCK_SKEW));
    let mut found: Vec<_> =
        facts.own().filter(|own| own.serial == claim.serial && preceded(&own.key)).collect();
    found.sort_by(|one, other| one.key.id.cmp(&other.key.id));
    if let Some(own) = found.first() {
        // Nothing could be delivered under this claim; the key is a spare once another one is.
        if outranked(facts, claim.serial) {
            return issue(facts, Why::AttemptFailed);
        }
        return take(Step::Adopt(claim.serial, own.key.id.clone()), Why::AnswerLost);
    }
    let settled = plus(settles(facts, claim.at), patience(facts, claim));
    if facts.now < settled {
        return take(Step::Rest(Some(settled)), Why::AnswerLost);
    }
    if view.as_of < settled {
        return take(Step::Look(settled), Why::AnswerLost);
    }
    issue(facts, Why::AttemptFailed)
}

/// A vendor that loses one answer after the other is given ever more time: a minute more, two, four, … a quarter
/// of an hour. Lost serials are those above the last settled one.
fn patience(facts: &Facts, claim: Claim) -> SignedDuration {
    let lost_before = claim.serial.0.saturating_sub(facts.record.settled.0).saturating_sub(1);
    let minutes = (1_i64 << lost_before.min(4)) - 1;
    SignedDuration::from_mins(minutes)
}

/// When a create call sent at `sent` can no longer turn up in a listing begun later.
fn settles(facts: &Facts, sent: Timestamp) -> Timestamp {
    plus(sent, facts.listing_lag + GIVEN_UP)
}

/// A key is served: keep it, its Secret and its settings true.
fn keep(facts: &Facts, desired: &Desired, served: &Served<'_>) -> Decision {
    if facts.confirmed == Some(None) {
        return issue(facts, Why::KeyLost);
    }
    if let Some(expired) = facts.record.expires_at.filter(|at| *at <= facts.now) {
        // A key that is expired at birth says that a clock is wrong; one after the other does not help.
        let born_expired =
            facts.claim.filter(|claim| expired <= claim.at).map(|claim| plus(claim.at, BORN_EXPIRED));
        if let Some(again) = born_expired.filter(|it| *it > facts.now) {
            return take(Step::Rest(Some(again)), Why::BackingOff);
        }
        return issue(facts, Why::Expired);
    }
    if let Some(why) = secret_fault(facts, served) {
        if outranked(facts, newest(facts, served)) {
            return take(Step::Outrank(facts.next_serial()), why);
        }
        return take(Step::Restore(served.serial, served.id.clone()), why);
    }
    settings(facts, desired, served).or_else(|| spare(facts, served)).unwrap_or_else(|| {
        // A key that expires is looked at when it does; everything else announces itself.
        take(Step::Rest(facts.record.expires_at), Why::Fresh)
    })
}

/// Whether the Secret refuses writers with that serial: it was edited by hand, or the claim was.
fn outranked(facts: &Facts, serial: Serial) -> bool {
    let held = facts.target.held();
    held.and_then(|held| held.serial.max(held.fence)).is_some_and(|it| it > serial)
}

/// The highest serial that this resource's own records answer for.
fn newest(facts: &Facts, served: &Served<'_>) -> Serial {
    facts.claim.map_or(served.serial, |claim| claim.serial.max(served.serial))
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

/// Compares the settings: against a direct answer where there is one; a listing is only a hint to ask.
fn settings(facts: &Facts, desired: &Desired, served: &Served<'_>) -> Option<Decision> {
    let email = facts.record.email.as_ref();
    if let Some(Some(key)) = &facts.confirmed {
        let fields = drift::drift(&desired.settings, key, email);
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
            let fields = drift::drift(&desired.settings, &own.key, email);
            if fields.is_empty() { None } else { confirm(Why::Drift(fields)) }
        }
        // A young key may be missing from a listing that lags. It is looked for again then: if it is gone for good,
        // no later listing differs from this one, and nobody would be woken.
        None => match facts.record.created_at.map(|at| plus(at, facts.listing_lag)) {
            Some(shown) if facts.now < shown => Some(take(Step::Rest(Some(shown)), Why::Fresh)),
            Some(shown) if view.as_of <= shown => Some(take(Step::Look(shown), Why::KeyLost)),
            _ => confirm(Why::KeyLost),
        },
    }
}

/// Keys of ours that nothing uses: an attempt that turned up late, a predecessor. Serials above the claim are
/// left alone: they belong to somebody who knows more than we do.
fn spare(facts: &Facts, served: &Served<'_>) -> Option<Decision> {
    let newest = newest(facts, served);
    let held = facts.target.held().and_then(|held| held.key_id.as_ref());
    let spares: Vec<_> = facts
        .own()
        .filter(|own| own.serial <= newest && own.key.id != *served.id && Some(&own.key.id) != held)
        .map(|own| own.key.id.clone())
        .collect();
    (!spares.is_empty()).then(|| take(Step::Revoke(spares), Why::Spare))
}

/// The next step for a key whose resource is being deleted.
pub fn retire(facts: &Facts) -> Decision {
    let because = |step| take(step, Why::Deleting);
    if !facts.finalizer {
        return because(Step::Rest(None));
    }
    let Some(claim) = facts.claim.filter(|claim| claim.purpose == Purpose::Delete) else {
        // The finalizer came with a claim. If that cannot be read any more, it may have been for a call still going.
        let unsettled = match facts.claim {
            Some(_) => facts.pending().map(|claim| claim.at),
            None => Some(facts.now),
        };
        let serial = facts.next_serial();
        return because(Step::ClaimDeletion(Claim {
            serial,
            at: facts.now,
            purpose: Purpose::Delete,
            unsettled,
            sent: None,
        }));
    };
    // The id in the Secret's annotations is no evidence: whoever edits Secrets could have any key removed. A key
    // of ours that status does not name is found by its mark.
    let known = facts.record.id.iter();
    let view = facts.view.as_ref().filter(|view| view.as_of > claim.at);
    let listed = facts.own().map(|own| &own.key.id).filter(|_| view.is_some());
    let mut live: Vec<_> = known.chain(listed).filter(|id| !facts.gone.contains(*id)).cloned().collect();
    live.sort();
    live.dedup();
    if !live.is_empty() {
        return because(Step::Revoke(live));
    }
    let Some(view) = view else {
        return because(Step::Look(claim.at));
    };
    match claim.unsettled.map(|sent| plus(settles(facts, sent), STRAGGLING)) {
        Some(settled) if facts.now < settled => because(Step::Rest(Some(settled))),
        Some(settled) if view.as_of < settled => because(Step::Look(settled)),
        _ => because(Step::Release),
    }
}
