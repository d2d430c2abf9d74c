//! Pairs of faults: all of them, or a sample that a seed draws.

use super::case::Case;
use super::fault::{Point, Strike};
use super::runner::{self, Told};

/// One of so many that are alike is tried.
const THINNED: usize = 40;

/// Whether all pairs are asked for.
pub fn is_complete() -> bool {
    std::env::var("KEYSMITH_CHAOS").is_ok_and(|value| value == "1")
}

/// Chance that can be repeated.
pub struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    /// By `KEYSMITH_SEED`, or another one every time.
    pub fn from_environment() -> Self {
        let given = std::env::var("KEYSMITH_SEED").ok().and_then(|text| text.parse().ok());
        let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let seed = given.unwrap_or_else(now);
        Self { seed, state: seed }
    }

    /// What to set `KEYSMITH_SEED` to.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    /// Keys beside each other are as good as each other: of the looks at their Secrets a few stand for all.
    pub fn thin_out(&mut self, mut cases: Vec<Case>, points: &[Point]) -> Vec<Case> {
        let alike = |point: &Point| point.what.contains(" secrets/") && point.what.contains('-');
        cases.retain(|case| !alike(&points[case.strikes[0].at - 1]) || self.below(THINNED) == 0);
        cases
    }

    /// One of so many, drawn.
    pub fn one_of(&mut self, many: usize, mut cases: Vec<Case>) -> Vec<Case> {
        cases.retain(|_| self.below(many) == 0);
        cases
    }

    /// A second fault after the first: wherever the run with the first one went, until it came to rest. At most
    /// `amount` of all such pairs.
    pub fn pairs(&mut self, told: &[Told], amount: usize) -> Vec<Case> {
        let mut pairs: Vec<(usize, Strike)> = Vec::new();
        for (index, (case, report)) in told.iter().enumerate() {
            let later = runner::strikes(&report.points, case.strikes[0].at + 1);
            pairs.extend(later.map(|second| (index, second)));
        }
        runner::say(&format!("sweep: {} pairs, of which {} are tried", pairs.len(), amount.min(pairs.len())));
        while pairs.len() > amount {
            // Drawn to the front, the rest is cut off.
            for at in 0..amount {
                let other = at + self.below(pairs.len() - at);
                pairs.swap(at, other);
            }
            pairs.truncate(amount);
        }
        let pair = |(index, second): (usize, Strike)| {
            let (case, _) = &told[index];
            Case { strikes: vec![case.strikes[0], second], ..case.clone() }
        };
        pairs.into_iter().map(pair).collect()
    }
}
