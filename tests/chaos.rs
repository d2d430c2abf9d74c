//! The real binary on a real kube-apiserver and etcd, through proxies that lose, hold, repeat and refuse requests,
//! while the process is killed, paused and run twice.
//!
//! A short run has a selection of the faults. `KEYSMITH_CHAOS=1` runs all of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so"
)]
#![allow(clippy::print_stdout, reason = "what was played is shown")]
#![allow(clippy::disallowed_methods, reason = "tests may look at secrets and clocks")]

mod support {
    #[allow(dead_code, reason = "this program reads what other processes printed")]
    pub mod canary;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod invariants;
    #[allow(dead_code, reason = "other programs record with it")]
    pub mod plane;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod policies;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod random;
    pub mod report;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod rights;
}
mod proxied {
    pub mod duels;
    pub mod faults;
    pub mod gate;
    pub mod load;
    pub mod neighbours;
    pub mod observer;
    pub mod outages;
    pub mod proxy;
    pub mod replica;
    pub mod stage;
    pub mod story;
    pub mod sweep;
    pub mod traffic;
    pub mod wires;
}

use proxied::{duels, load, neighbours, outages, sweep};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_ends_well_whatever_happens_to_one_of_its_requests() {
    sweep::every_request_meets_every_fault().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_at_once_keep_ten_keys_single() {
    duels::two_at_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_namespace_goes_once_the_vendor_is_back() {
    outages::a_namespace_goes_once_the_vendor_is_back().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_is_carried_through_rotations_without_a_refused_call() {
    load::rotations().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_stranger() {
    neighbours::nobody_waits_for_a_stranger().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_namespace_goes_by_force_deletion_although_its_token_is_lost() {
    outages::a_namespace_whose_token_is_lost_goes_by_force_deletion().await;
}
