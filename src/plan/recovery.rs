//! A create call whose outcome is unknown: its key is found by its mark, or the call is known not to have been
//! applied.

use super::capability::Recovery;
use super::claim::Claim;
use super::decision::{Decision, GIVEN_UP, Step, Why, issue, outranked, take};
use super::facts::{Facts, Held};
use super::listing::Listed;
use super::retry::plus;
use jiff::{SignedDuration, Timestamp};

/// How far the vendor's clock may differ from ours when a key's creation time is compared with the claim.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// Decides after a create call that was claimed, and perhaps sent, without a recorded outcome.
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
    // The key is ours only if it was created after our claim; another writer may have planted a key under our next
    // name.
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
        // The key cannot be used if the Secret rejects this claim, or if the vendor reveals a key only once. It
        // becomes an unused key once another one is served.
        if outranked(facts, claim.serial) {
            return lost();
        }
        if facts.ability.recovery != Recovery::Reveal {
            // Its creator may still be about to write it into the Secret.
            let ended = plus(claim.at, GIVEN_UP);
            let wait = take(Step::Rest(Some(ended)), Why::AnswerLost);
            return if facts.now < ended { wait } else { lost() };
        }
        return take(Step::Recover(claim.serial, own.key.id.clone()), Why::AnswerLost);
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

/// Extra wait after several create calls with unknown outcomes in a row: 1, 3, 7, then 15 minutes. Such calls are
/// counted by the serials above the last one with a known outcome.
fn patience(facts: &Facts, claim: Claim) -> SignedDuration {
    let lost_before = claim.serial.0.saturating_sub(facts.record.settled.0).saturating_sub(1);
    let minutes = (1_i64 << lost_before.min(4)) - 1;
    SignedDuration::from_mins(minutes)
}

/// From this time on, a new listing shows the key of a create call sent at `sent`, if there is one.
pub(super) fn settles(facts: &Facts, sent: Timestamp) -> Timestamp {
    plus(sent, facts.ability.listing_lag + GIVEN_UP)
}
