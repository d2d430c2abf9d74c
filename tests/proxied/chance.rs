//! The same chance every time, so that a run can be repeated as far as processes allow it.

/// Numbers from a seed.
pub struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    /// `KEYSMITH_SEED` chooses others.
    pub fn from_environment() -> Self {
        let seed = std::env::var("KEYSMITH_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(7);
        Self { seed, state: seed }
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True half of the time.
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

impl std::fmt::Display for Chance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "seed {}", self.seed)
    }
}
