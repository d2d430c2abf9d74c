//! The decisions, and whole histories of them with faults.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support {
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod invariants;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod random;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod report;
}
mod plans {
    pub mod accounts;
    pub mod adopting;
    pub mod class;
    pub mod cluster;
    pub mod deciding;
    pub mod deletion;
    pub mod fate;
    pub mod fields;
    pub mod found;
    pub mod generator;
    pub mod histories;
    pub mod history;
    pub mod keeping;
    pub mod known;
    pub mod known_provider_keys;
    pub mod mints;
    pub mod model;
    pub mod mutant;
    pub mod notices;
    pub mod orphans;
    pub mod peace;
    pub mod previous_keys;
    pub mod provider_deciding;
    pub mod provider_deletion;
    pub mod provider_histories;
    pub mod provider_model;
    pub mod provider_world;
    pub mod rotating;
    pub mod rules;
    pub mod scheduler;
    pub mod search;
    pub mod searches;
    pub mod sweeping;
    pub mod tampered;
    pub mod user;
    pub mod vendor;
    pub mod world;
}
