//! What a reader of the documentation types, and what a collector of traces gets: the binary that users run, on a real control
//! plane, with the emulator as the vendor.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

mod support {
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod canary;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod ground;
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod plane;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod policies;
    #[allow(dead_code, reason = "the stories use the rest")]
    pub mod process;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
}
mod documents {
    mod commands;
    mod found;
    mod table;
    #[cfg(feature = "otlp")]
    mod traces;
}
