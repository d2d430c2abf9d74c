//! A Secret that something else in the cluster changes back: a policy or another controller. It is set right twice; the
//! same change found once more is left as it is, said, and tried again later or when asked.

use super::facts::{Facts, Target};
use super::retry::plus;
use crate::api::rotation::SecretContest;
use jiff::{SignedDuration, Timestamp};

/// A change that was set right this often within `LATELY` and is there again is contested.
const OFTEN: u32 = 2;
/// People delete a Secret more than once to see it come back.
const OFTEN_DELETED: u32 = 5;
/// How long a repair counts.
pub const LATELY: SignedDuration = SignedDuration::from_mins(10);
/// A contested Secret is set right again after this time; and no key is made for a lost one more often.
pub const AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// The state of a Secret that is not there.
const ABSENT: &str = "absent";

/// What is known of a fight over the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contest {
    /// There is none: what differs is set right.
    None,
    /// It was set right often enough.
    Found,
    /// It is left as it is until this time.
    Left(Timestamp),
}

/// The state that the Secret is in.
pub fn state(facts: &Facts) -> &str {
    facts.target.held().map_or(ABSENT, |held| held.state.as_str())
}

/// Whether what differs in the Secret is to be set right.
pub fn judge(facts: &Facts) -> Contest {
    let standing = facts.record.contest.as_ref().filter(|it| it.state == state(facts));
    let until = standing.map(|it| plus(it.since, AGAIN)).filter(|until| facts.now < *until);
    // A request is one more try.
    let tries = often(&facts.target) + u32::from(facts.demanded());
    match until {
        Some(until) if !facts.demanded() || facts.mended >= tries => Contest::Left(until),
        None if facts.mended >= tries => Contest::Found,
        _ => Contest::None,
    }
}

const fn often(target: &Target) -> u32 {
    if matches!(target, Target::Absent) { OFTEN_DELETED } else { OFTEN }
}

/// Until when no key is made for a Secret that lost one again, where that costs a key each time.
pub fn lost_again(facts: &Facts) -> Option<Timestamp> {
    let record = &facts.record;
    let for_this = record.rotated_for.as_deref() == Some("SecretLost");
    let until = record.rotated_at.filter(|_| for_this && !facts.demanded()).map(|at| plus(at, AGAIN))?;
    (facts.now < until).then_some(until)
}

/// What status remembers of it.
pub fn found(facts: &Facts) -> SecretContest {
    let differs = match &facts.target {
        Target::Ours(held) => held.differs.clone(),
        _ => vec!["the Secret is deleted".to_owned()],
    };
    SecretContest { state: state(facts).to_owned(), differs, since: super::report::to_the_second(facts.now) }
}
