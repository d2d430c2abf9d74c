//! A served key that the vendor says is gone. One look is no proof: a listing may be cut short, a replica may lag, a token
//! may belong to another account. It is believed after two looks at least a minute apart, and its key stays one of ours.

use super::facts::Facts;
use super::issuance::{Decision, Served, Step, Why, again, take};
use super::retry::plus;
use super::rotation::Cause;
use jiff::{SignedDuration, Timestamp};

/// Between the two looks lies at least this, and more than twice the time that a listing may lag.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// What follows for a served key that is missing, or was at the last look. `None`: it is there.
pub(super) fn missing(facts: &Facts, served: &Served<'_>) -> Option<Decision> {
    let gone = facts.confirmed == Some(None);
    let Some(since) = facts.record.missing_since else {
        return gone.then(|| first(facts, served));
    };
    let sure = plus(since, APART.max(facts.ability.listing_lag * 2));
    match &facts.confirmed {
        Some(Some(_)) => None,
        None => Some(look(facts, served, sure)),
        Some(None) => Some(second(facts, served, sure)),
    }
}

fn first(facts: &Facts, served: &Served<'_>) -> Decision {
    if facts.doubted {
        return doubted(facts);
    }
    take(Step::Miss(served.id.clone()), Why::KeyMissing)
}

/// Asked again when the time has come, or when a listing shows it.
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
    // A listing is asked as well: it shows whether other keys of the account are there.
    if facts.view.as_ref().is_none_or(|view| view.as_of < sure) {
        return take(Step::Look(plus(sure, -SignedDuration::from_nanos(1))), Why::KeyMissing);
    }
    if listed(facts, served) {
        // The two disagree, and one that shows a key is no proof that it is gone.
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
