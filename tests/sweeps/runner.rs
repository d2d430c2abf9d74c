//! Runs many cases on a few threads, and reports on them.

use super::case::{self, Case, Report};
use super::fault::{Fault, Point, Strike};
use super::scenario::Scenario;
use super::stage::Stage;
use keysmith::emulator::VendorId;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of cores of the smallest supported machine.
const THREADS: usize = 2;
/// The number of tries of a case whose fault did not happen: concurrent points do not always have the same order.
const TRIES: usize = 3;

/// Prints although the test harness captures the output of passing tests.
pub fn say(line: &str) {
    // A failure to print cannot be reported.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A case and its result.
pub type Finished = (Case, Report);

/// Every fault at every point where it can happen.
pub fn singles(vendor_id: VendorId, scenario: Scenario, points: &[Point]) -> Vec<Case> {
    let strikes = strikes(points, 1);
    strikes.map(|strike| Case { vendor_id, scenario, strikes: vec![strike] }).collect()
}

/// The possible faults from the point of that number on.
pub fn strikes(points: &[Point], from: usize) -> impl Iterator<Item = Strike> {
    points.iter().enumerate().skip(from - 1).flat_map(|(index, point)| {
        let fitting = Fault::ALL.into_iter().filter(|fault| fault.applies(point));
        fitting.map(move |fault| Strike { at: index + 1, fault })
    })
}

/// Runs all cases. The results have the order of the cases.
pub fn run_all(cases: Vec<Case>) -> Vec<Finished> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(cases.len()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((at, case)) = take(&cases, &next) {
                    let report = run(case);
                    results.lock().unwrap().push((at, report));
                }
            });
        }
    });
    ordered(cases, results.into_inner().unwrap())
}

/// Runs them one after the other in one world per thread, for a scenario that ends in its initial state.
pub fn run_in_one_world(cases: Vec<Case>) -> Vec<Finished> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(cases.len()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while next.load(Ordering::Relaxed) < cases.len() {
                    // After a violation the world is dropped, and the next case begins in a new one.
                    case::alone(play_on(&cases, &next, &results));
                }
            });
        }
    });
    ordered(cases, results.into_inner().unwrap())
}

async fn play_on(cases: &[Case], next: &AtomicUsize, results: &Mutex<Vec<(usize, Report)>>) {
    let mut stage: Option<Stage> = None;
    while let Some((at, case)) = take(cases, next) {
        let ready = match stage.take() {
            Some(stage) => Ok(stage),
            None => case::set(case.vendor_id, case.scenario).await,
        };
        let report = match ready {
            Ok(ready) => {
                let report = case.play(&ready).await;
                stage = Some(ready);
                report
            }
            Err(wrong) => Report::failed(wrong),
        };
        let good = report.wrong.is_empty();
        results.lock().unwrap().push((at, report));
        if !good {
            return;
        }
    }
}

fn take<'a>(cases: &'a [Case], next: &AtomicUsize) -> Option<(usize, &'a Case)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    cases.get(at).map(|case| (at, case))
}

fn ordered(cases: Vec<Case>, mut results: Vec<(usize, Report)>) -> Vec<Finished> {
    results.sort_by_key(|(at, _)| *at);
    cases.into_iter().zip(results).map(|(case, (_, report))| (case, report)).collect()
}

/// Runs one case; a panic in it is a violation.
pub fn run(case: &Case) -> Report {
    let mut report = Report::failed("it did not run".to_owned());
    for _ in 0..TRIES {
        report = catch_unwind(AssertUnwindSafe(|| case.run()))
            .unwrap_or_else(|_| Report::failed("it panicked".to_owned()));
        if report.struck.len() == case.strikes.len() || !report.wrong.is_empty() {
            break;
        }
    }
    report
}

/// Prints the violations of a case, and how to repeat it.
pub fn complain(case: &Case, report: &Report) {
    say(&format!("VIOLATION in {} at {}", case.scenario.name(), case.vendor_id.name()));
    for (strike, point) in &report.struck {
        say(&format!("  at point {} ({}): {}", strike.at, point.what, strike.fault.name()));
    }
    for wrong in &report.wrong {
        say(&format!("  {wrong}"));
    }
    say(&format!("  again: KEYSMITH_SWEEP={case} cargo test --test sweep"));
}

/// Prints the result of a case if it has violations.
pub fn complain_if(case: &Case, report: &Report) {
    if report.wrong.is_empty() {
        say(&format!(
            "{case}: all is well; {} of {} faults happened",
            report.struck.len(),
            case.strikes.len()
        ));
    } else {
        complain(case, report);
    }
}
