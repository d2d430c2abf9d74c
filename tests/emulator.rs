//! What the emulated vendors answer. A test looks at answers and at the world, never at the order of calls.

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
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "emulator/support.rs"]
mod support;

#[path = "emulator/access.rs"]
mod access;
#[path = "emulator/accounts.rs"]
mod accounts;
#[path = "emulator/control.rs"]
mod control;
#[path = "emulator/cortecs.rs"]
mod cortecs;
#[path = "emulator/cortecs_projects.rs"]
mod cortecs_projects;
#[path = "emulator/distorted.rs"]
mod distorted;
#[path = "emulator/edenai_budgets.rs"]
mod edenai_budgets;
#[path = "emulator/edenai_v2.rs"]
mod edenai_v2;
#[path = "emulator/edenai_v3.rs"]
mod edenai_v3;
#[path = "emulator/edenai_v3_access.rs"]
mod edenai_v3_access;
#[path = "emulator/export.rs"]
mod export;
#[path = "emulator/faults.rs"]
mod faults;
#[path = "emulator/gateway.rs"]
mod gateway;
#[path = "emulator/keys.rs"]
mod keys;
#[path = "emulator/listing.rs"]
mod listing;
#[path = "emulator/provider_keys.rs"]
mod provider_keys;
#[path = "emulator/surface.rs"]
mod surface;
#[path = "emulator/tcp.rs"]
mod tcp;
