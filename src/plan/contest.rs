//! A Secret that another writer in the cluster, such as a policy or a controller, keeps changing back. The Secret
//! is repaired twice. If the same change appears again, it is reported and left, and repaired again later or on
//! request.

use super::decision::{Served, Why};
use super::facts::{Facts, Mends, Target};
use super::retry::plus;
use crate::api::rotation::SecretContest;
use jiff::{SignedDuration, Timestamp};

/// A change that was repaired this often within `LATELY` and appears again is contested.
const OFTEN: u32 = 2;
/// Limit for deletions; higher, because people delete a Secret several times to see it come back.
const OFTEN_DELETED: u32 = 5;
/// Limit for changes of any kind: a writer that changes the Secret in another way each time does not stop by
/// itself.
const OFTEN_CHANGED: u32 = 12;
/// How long a repair is counted.
pub const LATELY: SignedDuration = SignedDuration::from_mins(10);
/// Time until a contested Secret is repaired again; also the minimum time between two keys created for lost
/// Secrets.
pub const AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// State of a Secret that does not exist.
const ABSENT: &str = "absent";
/// Recorded state of a Secret that differs in another way each time.
const CHANGING: &str = "changing";

/// What is known of a contest over the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contest {
    /// No contest: differences are repaired.
    None,
    /// A contest was just found: the Secret was repaired often enough.
    Found,
    /// The Secret is left as it is until this time.
    Left(Timestamp),
}

/// The present state of the Secret.
pub fn state(facts: &Facts) -> &str {
    facts.target.held().map_or(ABSENT, |held| held.state.as_str())
}

/// Whether differences in the Secret are repaired.
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

/// Whether the Secret is still in the state that this contest is about.
pub fn stands(facts: &Facts, contest: &SecretContest) -> bool {
    let changed = || state(facts) != ABSENT && is_lost(facts);
    contest.state == state(facts) || contest.state == CHANGING && changed()
}

/// Whether the Secret was repaired often enough. A request permits one more repair.
fn is_often(facts: &Facts) -> bool {
    let more = u32::from(facts.demanded());
    let changes = state(facts) != ABSENT && facts.mended.whatever >= OFTEN_CHANGED + more;
    facts.mended.this >= often(&facts.target) + more || changes
}

const fn often(target: &Target) -> u32 {
    if matches!(target, Target::Absent) { OFTEN_DELETED } else { OFTEN }
}

/// Until when no key is created for a Secret that was lost again, because each loss costs a new key.
pub fn lost_again(facts: &Facts) -> Option<Timestamp> {
    let record = &facts.record;
    let for_this = record.rotated_for.as_deref() == Some("SecretLost");
    let until = record.rotated_at.filter(|_| for_this && !facts.demanded()).map(|at| plus(at, AGAIN))?;
    (facts.now < until).then_some(until)
}

/// The contest as recorded in status.
pub fn found(facts: &Facts) -> SecretContest {
    let differs = match &facts.target {
        Target::Ours(held) => held.differs.clone(),
        _ => vec!["the Secret is deleted".to_owned()],
    };
    let same = facts.mended.this >= often(&facts.target);
    let state = if same { state(facts) } else { CHANGING };
    SecretContest { state: state.to_owned(), differs, since: super::time::to_the_second(facts.now) }
}

/// Counts the recorded repairs, each with its time and the state before it, and drops those older than `LATELY`.
pub fn mends(written: &mut Vec<(String, Timestamp)>, state: &str, now: Timestamp) -> Mends {
    written.retain(|(_, at)| plus(*at, LATELY) > now);
    let count = |those: &dyn Fn(&str) -> bool| {
        u32::try_from(written.iter().filter(|(it, _)| those(it)).count()).unwrap_or(u32::MAX)
    };
    Mends { this: count(&|it| it == state), whatever: count(&|it| it != ABSENT) }
}

/// Whether the Secret does not hold the served key correctly.
pub fn is_lost(facts: &Facts) -> bool {
    let served = facts.record.id.as_ref().zip(facts.record.serial);
    served.is_some_and(|(id, serial)| secret_fault(facts, &Served { id, serial }).is_some())
}

/// Why the Secret has to be written again.
pub(super) fn secret_fault(facts: &Facts, served: &Served<'_>) -> Option<Why> {
    let Some(held) = facts.target.held() else {
        return Some(Why::SecretDeleted);
    };
    let ours = held.serial == Some(served.serial) && held.key_id.as_ref() == Some(served.id);
    if !ours || !held.intact {
        return Some(Why::SecretEdited);
    }
    (!held.current).then_some(Why::TemplateChanged)
}
