//! A served key that the vendor says is gone. One look is no proof: a listing may be truncated, a replica may lag,
//! a token may lead to another account. The key counts as lost after two looks at least a minute apart, and then
//! becomes a previous key.

use super::decision::{Decision, Served, Step, Why, again, take};
use super::facts::{Confirmed, Facts};
use super::requests::Cause;
use super::retry::plus;
use jiff::{SignedDuration, Timestamp};

/// Minimum time between the two looks; it is raised to twice the listing lag.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// The next step for a served key that is missing now or was at the last look; `None` if it is there.
pub(super) fn missing(facts: &Facts, served: &Served<'_>) -> Option<Decision> {
    let gone = facts.confirmed == Confirmed::Gone;
    let Some(since) = facts.record.missing_since else {
        return gone.then(|| first(facts, served));
    };
    let sure = plus(since, APART.max(facts.ability.listing_lag * 2));
    match &facts.confirmed {
        Confirmed::Shown(_) => None,
        Confirmed::NotRead => Some(look(facts, served, sure)),
        Confirmed::Gone => Some(second(facts, served, sure)),
    }
}

fn first(facts: &Facts, served: &Served<'_>) -> Decision {
    if facts.doubted {
        return doubted(facts);
    }
    take(Step::Miss(served.id.clone()), Why::KeyMissing)
}

/// Reads the key again at the time of the second look, or as soon as a listing shows it.
fn look(facts: &Facts, served: &Served<'_>, sure: Timestamp) -> Decision {
    let confirm = take(Step::Confirm(served.id.clone()), Why::KeyMissing);
    let since = facts.record.missing_since;
    if listed(facts, served) && facts.view.as_ref().is_some_and(|view| Some(view.as_of) > since) {
        return confirm;
    }
    if facts.now < sure && !facts.requested {
        return take(Step::Rest(Some(sure)), Why::KeyMissing);
    }
    confirm
}

fn second(facts: &Facts, served: &Served<'_>, sure: Timestamp) -> Decision {
    if facts.now < sure {
        return take(Step::Rest(Some(sure)), Why::KeyMissing);
    }
    // A listing is needed too: it shows whether other keys of the account are there.
    if facts.view.as_ref().is_none_or(|view| view.as_of < sure) {
        return take(Step::Look(plus(sure, -SignedDuration::from_nanos(1))), Why::KeyMissing);
    }
    if listed(facts, served) {
        // The read and the listing disagree. A listing that shows the key means that it may still exist.
        return take(Step::Rest(Some(plus(facts.now, APART))), Why::KeyMissing);
    }
    if facts.doubted {
        return doubted(facts);
    }
    again(facts, Cause::KeyLost)
}

fn doubted(facts: &Facts) -> Decision {
    take(Step::Rest(Some(plus(facts.now, APART))), Why::AccountDoubted)
}

fn listed(facts: &Facts, served: &Served<'_>) -> bool {
    facts.own().any(|own| own.key.id == *served.id)
}
