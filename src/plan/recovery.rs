//! A create call without a recorded outcome: found again by its mark, or known to have come to nothing.

use super::capability::Recovery;
use super::claim::Claim;
use super::facts::{Facts, Held, Listed};
use super::issuance::{Decision, GIVEN_UP, Step, Why, issue, outranked, take};
use super::retry::plus;
use jiff::{SignedDuration, Timestamp};

/// How far the vendor's clock may be off when a found key is compared with the claim that preceded it.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// A create call went out, or was about to, and its outcome is not recorded.
pub(super) fn recover(facts: &Facts, claim: Claim, served: bool) -> Decision {
    if let Some(held @ Held { serial: Some(serial), key_id: Some(id), .. }) = facts.target.held()
        && *serial == claim.serial
        && held.holds(*serial)
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
    let lost = || {
        if served {
            take(Step::AbandonAttempt(claim.serial), Why::AttemptFailed)
        } else {
            issue(facts, Why::AttemptFailed)
        }
    };
    found.sort_by(|one, other| one.key.id.cmp(&other.key.id));
    if let Some(own) = found.first() {
        // Nothing can be delivered under this claim, or the vendor shows a key only once; it is a spare once another
        // one is served.
        if outranked(facts, claim.serial) {
            return lost();
        }
        if facts.ability.recovery != Recovery::Reveal {
            // Its maker may be about to deliver it.
            let ended = plus(claim.at, GIVEN_UP);
            let wait = take(Step::Rest(Some(ended)), Why::AnswerLost);
            return if facts.now < ended { wait } else { lost() };
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
    lost()
}

/// A vendor that loses one answer after the other is given ever more time: a minute more, two, four, … a quarter
/// of an hour. Lost serials are those above the last settled one.
fn patience(facts: &Facts, claim: Claim) -> SignedDuration {
    let lost_before = claim.serial.0.saturating_sub(facts.record.settled.0).saturating_sub(1);
    let minutes = (1_i64 << lost_before.min(4)) - 1;
    SignedDuration::from_mins(minutes)
}

/// When a create call sent at `sent` can no longer turn up in a listing begun later.
pub(super) fn settles(facts: &Facts, sent: Timestamp) -> Timestamp {
    plus(sent, facts.ability.listing_lag + GIVEN_UP)
}
