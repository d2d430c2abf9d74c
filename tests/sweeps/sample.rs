//! Pairs of faults: all of them, or a random sample.

use super::case::Case;
use super::fault::{Point, Strike};
use super::runner::{self, Finished};
use crate::support::random::Rng;

/// One of this many similar cases runs.
const THINNED: usize = 40;

/// Whether the sweep has its full length.
pub fn is_complete() -> bool {
    std::env::var("KEYSMITH_CHAOS").is_ok_and(|value| value == "1")
}

/// Whether all pairs run at every vendor.
pub fn takes_all_pairs() -> bool {
    std::env::var("KEYSMITH_PAIRS").is_ok_and(|value| value == "all")
}

/// Seeded by `KEYSMITH_SEED`, or by the time.
pub fn rng() -> Rng {
    Rng::from_environment(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    })
}

/// Similar keys are interchangeable: a sample of the reads of their Secrets stands for all.
pub fn thin_out(rng: &mut Rng, mut cases: Vec<Case>, points: &[Point]) -> Vec<Case> {
    let alike = |point: &Point| point.what.contains(" secrets/") && point.what.contains('-');
    cases.retain(|case| !alike(&points[case.strikes[0].at - 1]) || rng.index(THINNED) == 0);
    cases
}

/// A random sample: one of `many`.
pub fn one_of(rng: &mut Rng, many: usize, mut cases: Vec<Case>) -> Vec<Case> {
    cases.retain(|_| rng.index(many) == 0);
    cases
}

/// A second fault after the first: at any point of the run with the first fault, until it came to rest. At most
/// `amount` of all such pairs.
pub fn pairs(rng: &mut Rng, results: &[Finished], amount: usize) -> Vec<Case> {
    let mut pairs: Vec<(usize, Strike)> = Vec::new();
    for (index, (case, report)) in results.iter().enumerate() {
        let later = runner::strikes(&report.points, case.strikes[0].at + 1);
        pairs.extend(later.map(|second| (index, second)));
    }
    runner::say(&format!("sweep: {} pairs, of which {} are tried", pairs.len(), amount.min(pairs.len())));
    while pairs.len() > amount {
        // The drawn pairs are moved to the front, and the others are cut off.
        for at in 0..amount {
            let other = at + rng.index(pairs.len() - at);
            pairs.swap(at, other);
        }
        pairs.truncate(amount);
    }
    let pair = |(index, second): (usize, Strike)| {
        let (case, _) = &results[index];
        Case { strikes: vec![case.strikes[0], second], ..case.clone() }
    };
    pairs.into_iter().map(pair).collect()
}
