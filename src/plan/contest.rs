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
/// Whatever is changed: something that changes it each time in another way does not stop by itself.
const OFTEN_CHANGED: u32 = 12;
/// How long a repair counts.
pub const LATELY: SignedDuration = SignedDuration::from_mins(10);
/// A contested Secret is set right again after this time; and no key is made for a lost one more often.
pub const AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// The state of a Secret that is not there.
const ABSENT: &str = "absent";
/// A state that is another one each time.
const CHANGING: &str = "changing";

/// How often a Secret was set right lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mends {
    /// Out of the very state that it is in.
    pub this: u32,
    /// Out of any state, but for a Secret that was deleted.
    pub whatever: u32,
}

impl Mends {
    /// Counts the repairs of which the times and the states before them are written down; those that are long ago are
    /// forgotten.
    pub fn count(written: &mut Vec<(String, Timestamp)>, state: &str, now: Timestamp) -> Self {
        written.retain(|(_, at)| plus(*at, LATELY) > now);
        let count = |those: &dyn Fn(&str) -> bool| {
            u32::try_from(written.iter().filter(|(it, _)| those(it)).count()).unwrap_or(u32::MAX)
        };
        Self { this: count(&|it| it == state), whatever: count(&|it| it != ABSENT) }
    }
}

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
    let standing = facts.record.contest.as_ref().filter(|it| stands(facts, it));
    let until = standing.map(|it| plus(it.since, AGAIN)).filter(|until| facts.now < *until);
    let often = is_often(facts);
    match until {
        Some(until) if !facts.demanded() || often => Contest::Left(until),
        None if often => Contest::Found,
        _ => Contest::None,
    }
}

/// Whether the Secret is still what that contest is about.
pub fn stands(facts: &Facts, contest: &SecretContest) -> bool {
    let changed = || state(facts) != ABSENT && super::issuance::is_lost(facts);
    contest.state == state(facts) || contest.state == CHANGING && changed()
}

/// Whether it was set right often enough. A request is one more try.
fn is_often(facts: &Facts) -> bool {
    let more = u32::from(facts.demanded());
    let changes = state(facts) != ABSENT && facts.mended.whatever >= OFTEN_CHANGED + more;
    facts.mended.this >= often(&facts.target) + more || changes
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
    let same = facts.mended.this >= often(&facts.target);
    let state = if same { state(facts) } else { CHANGING };
    SecretContest { state: state.to_owned(), differs, since: super::report::to_the_second(facts.now) }
}
