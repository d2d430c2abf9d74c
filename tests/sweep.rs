//! The sweep: the whole operator runs in a simulated world. Every request and event between the operator and Kubernetes or
//! the vendor is numbered, and every possible fault happens at every number, alone and in pairs. After any fault, there is
//! one key per resource in the end, its Secret works and worked all the time, and no other key or resource is left.
//!
//! | environment | |
//! |---|---|
//! | `KEYSMITH_CHAOS=1` | every single fault at every vendor, and thousands of pairs, instead of a small sample |
//! | `KEYSMITH_PAIRS=all` | all pairs at every vendor: hours |
//! | `KEYSMITH_SEED=7` | repeats the sample of that seed |
//! | `KEYSMITH_SWEEP=edgee/create:7:killed-after,9:lost` | this case only, with every point printed |
//! | `KEYSMITH_SWEEP=create` | this scenario only, whether or not it is among those that are swept; or this vendor |
//! | `KEYSMITH_CHAOS_REPORT=file` | appends the numbers to that file |

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
    pub mod cluster;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod drivers;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod invariants;
    #[allow(dead_code, reason = "not every program uses all of it")]
    pub mod random;
}
mod sweeps {
    pub mod case;
    pub mod fault;
    pub mod goal;
    pub mod kubernetes;
    pub mod line;
    pub mod observer;
    pub mod runner;
    pub mod sample;
    pub mod scenario;
    pub mod stage;
    pub mod tally;
    pub mod vendor;
    pub mod wanted;
}

use keysmith::emulator::VendorId;
use std::time::Instant;
use support::random::Rng;
use sweeps::case::Case;
use sweeps::runner::{self, Finished, say};
use sweeps::sample;
use sweeps::scenario::{PAIRED, SCENARIOS, Scenario};
use sweeps::tally::Tally;

/// The number of pairs per scenario at Edgee if not all run.
const SAMPLE: usize = 160;
/// The number of pairs per scenario at Edgee at full length: a third of all, and others in each run.
const LONG_SAMPLE: usize = 6_000;

#[test]
fn nothing_that_goes_wrong_once_or_twice_leaves_a_key_too_many_or_a_secret_that_does_not_work() {
    let only = std::env::var("KEYSMITH_SWEEP").ok();
    if let Some(text) = only.as_ref().filter(|text| text.contains(':')) {
        return again(text);
    }
    let chosen = chosen(only.as_deref());
    let mut rng = sample::rng();
    say(&format!("sweep: {rng}"));
    let mut total = Tally::default();
    for (vendor_id, scenario) in chosen {
        let start = Instant::now();
        let tally = sweep(vendor_id, scenario, &mut rng);
        let seconds = start.elapsed().as_secs_f64();
        say(&format!(
            "sweep: {:10} {:16} {tally}, {seconds:.1} s, {:.0} runs/s",
            vendor_id.name(),
            scenario.name(),
            tally.rate(seconds)
        ));
        total.add(&tally);
    }
    say(&format!("sweep: {:27} {total}", "all"));
    total.append_to_report();
    assert_eq!(total.violations, 0, "the sweep found violations; each is printed with how to see it again");
}

/// The selected cases: all, one vendor (`cortecs`), one scenario (`create`), or one scenario at one vendor
/// (`cortecs/create`).
fn chosen(only: Option<&str>) -> Vec<(VendorId, Scenario)> {
    let (vendor, scenario) = match only.map(|text| text.split_once('/').unwrap_or((text, text))) {
        None => (None, None),
        Some((vendor, scenario)) => {
            let vendor = VendorId::ALL.into_iter().find(|it| it.name() == vendor);
            let scenario = Scenario::parse(scenario);
            assert!(
                vendor.is_some() || scenario.is_some(),
                "there is no vendor and no scenario of that name"
            );
            (vendor, scenario)
        }
    };
    let vendors = vendor.map_or(VendorId::ALL.to_vec(), |vendor| vec![vendor]);
    let scenarios = scenario.map_or(SCENARIOS.to_vec(), |scenario| vec![scenario]);
    vendors.into_iter().flat_map(|vendor| scenarios.iter().map(move |scenario| (vendor, *scenario))).collect()
}

/// All single faults of a scenario, and pairs of them.
fn sweep(vendor_id: VendorId, scenario: Scenario, rng: &mut Rng) -> Tally {
    let reference = Case { vendor_id, scenario, strikes: Vec::new() };
    let report = runner::run(&reference);
    let points = report.points.clone();
    let mut cases = runner::singles(vendor_id, scenario, &points);
    if scenario == Scenario::Restart && !sample::is_complete() {
        cases = sample::thin_out(rng, cases, &points);
    }
    if vendor_id != VendorId::Edgee && !sample::is_complete() {
        cases = sample::one_of(rng, if PAIRED.contains(&scenario) { 2 } else { 6 }, cases);
    }
    let mut tally = Tally { points: points.len(), ..Tally::default() };
    judge(&mut tally, &[(reference, report)]);
    let together = scenario == Scenario::Restart;
    let results = if together { runner::run_in_one_world(cases) } else { runner::run_all(cases) };
    tally.faults = judge(&mut tally, &results);
    if PAIRED.contains(&scenario) {
        let pairs = sample::pairs(rng, &results, most_pairs(vendor_id));
        for some in pairs.chunks(1000) {
            let results = runner::run_all(some.to_vec());
            tally.pairs += judge(&mut tally, &results);
        }
    }
    tally
}

/// How many pairs of a scenario are tried at that vendor.
fn most_pairs(vendor_id: VendorId) -> usize {
    if sample::takes_all_pairs() {
        return usize::MAX;
    }
    // The engine under the other vendors is the same.
    let part = if vendor_id == VendorId::Edgee { 1 } else { 4 };
    let sample = if sample::is_complete() { LONG_SAMPLE } else { SAMPLE };
    sample / part
}

/// Prints the violations. Returns the number of cases in which the faults happened.
fn judge(tally: &mut Tally, results: &[Finished]) -> usize {
    for (case, report) in results.iter().filter(|(_, report)| !report.wrong.is_empty()) {
        tally.violations += 1;
        runner::complain(case, report);
    }
    let happened = results.iter().filter(|(case, report)| report.struck.len() == case.strikes.len()).count();
    tally.missed += results.len() - happened;
    happened
}

/// Runs one case, and prints every point.
fn again(text: &str) {
    let case = Case::parse(text).unwrap_or_else(|| panic!("KEYSMITH_SWEEP={text} is no case"));
    let report = runner::run(&case);
    for (index, point) in report.points.iter().enumerate() {
        let strikes = report.struck.iter().filter(|(strike, _)| strike.at == index + 1);
        let faults: Vec<_> = strikes.map(|(strike, _)| strike.fault.name()).collect();
        let mark = if faults.is_empty() { "" } else { "  <- " };
        say(&format!("{:4} {}{mark}{}", index + 1, point.what, faults.join(", ")));
    }
    runner::complain_if(&case, &report);
    assert!(report.wrong.is_empty(), "{:?}", report.wrong);
}
