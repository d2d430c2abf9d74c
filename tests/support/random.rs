//! Random numbers that can be drawn again: one seed, `KEYSMITH_SEED`, for all of them. `SplitMix64` takes six lines; a
//! library is not used, because a seed has to mean the same run after an update of dependencies. Values that should
//! shrink use proptest instead, with the same seed.

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// The seed in `KEYSMITH_SEED`.
fn given() -> Option<u64> {
    std::env::var("KEYSMITH_SEED").ok().and_then(|text| text.parse().ok())
}

/// A runner of proptest: the same cases in every run, others with another seed. Nothing is written to disk.
pub fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let mut seed = [7; 32];
    if let Some(given) = given() {
        seed[..8].copy_from_slice(&given.to_le_bytes());
    }
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// A random number generator (`SplitMix64`).
pub struct Rng {
    seed: u64,
    state: u64,
}

impl Rng {
    /// A generator with this seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// A generator with the seed in `KEYSMITH_SEED`, or with the caller's default.
    pub fn from_environment(default: impl FnOnce() -> u64) -> Self {
        Self::new(given().unwrap_or_else(default))
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index into a sequence of that length.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("less than a usize")
    }

    /// True with a probability of one half.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

impl std::fmt::Display for Rng {
    /// Shows the variable that repeats these numbers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KEYSMITH_SEED={}", self.seed)
    }
}
