//! The driver for Edgee: its quirks, its faults, and the way there.
//!
//! Tests look at what the vendor holds afterwards. Only where no emulated vendor would answer so (a cursor that
//! loops, garbage) is an answer written by hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(
    clippy::needless_pass_by_value,
    clippy::type_complexity,
    clippy::too_many_arguments,
    reason = "tables and fakes hand things over as they come"
)]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it is surprised"
)]

mod support {
    pub mod canned;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod garbage;
    pub mod hostile;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod ordeals;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod orders;
    pub mod vendor;
}

mod edgee {
    mod account;
    mod canary;
    mod canned;
    mod coding;
    mod echoes;
    mod export;
    mod faults;
    mod garbage;
    mod listing;
    mod paths;
    mod provider_keys;
    mod refusals;
    mod secrets;
    mod settings;
    mod tcp;
    mod throttling;
    mod tls;
    mod waiting;
    mod world;
}
