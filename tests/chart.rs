//! The Helm chart: what it renders, and that an API server takes it. What becomes of live resources when a release is
//! installed, upgraded, rolled back and removed is in `install.rs`.
//!
//! `KEYSMITH_UPDATE=1 cargo test --all-features --test chart` writes the goldens and the chart's README anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::similar_names,
    clippy::items_after_statements,
    reason = "tables and fakes hand things over as they come"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

mod support {
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod canary;
    pub mod helm;
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod plane;
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod process;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
}
mod charts {
    mod accepted;
    mod golden;
    mod reference;
    mod rules;
}
