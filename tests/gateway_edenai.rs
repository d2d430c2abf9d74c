//! The drivers for Eden AI: v2, v3 and its issuer: quirks, faults, and what is made of nonsense.
//!
//! Tests look at what the vendor holds afterwards. Only where no emulated vendor would answer so is an answer written
//! by hand.

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

mod support {
    pub mod canned;
    pub mod garbage;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod hostile;
    pub mod ordeals;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod orders;
    pub mod vendor;
}

mod edenai {
    mod budgets;
    mod canary;
    mod expiry;
    mod faults;
    mod garbage;
    mod issuer;
    mod left;
    mod listing;
    mod reissue;
    mod spending;
    mod v2;
    mod v3;
    mod whose;
    mod world;
}
