//! One run: a scenario, its faults, and the result.

use super::fault::{Point, Strike};
use super::goal::Goal;
use super::scenario::Scenario;
use super::stage::Stage;
use keysmith::emulator::VendorId;
use std::time::Duration;
use tokio::time::Instant;

/// The end state has to last this long, which includes a poll.
const QUIET: Duration = Duration::from_secs(340);
/// Points within this time after the goal belong to the run: events, the echo of the last write.
const AFTERMATH: Duration = Duration::from_secs(2);
/// A world that has not reached the goal after this long never will. Missed events are made good within 11 hours.
const HOPELESS: Duration = Duration::from_hours(13);
/// The same limit for the preparation, without faults.
const PREPARED: Duration = Duration::from_mins(5);

/// A scenario and its faults.
#[derive(Clone, Debug)]
pub struct Case {
    /// The vendor.
    pub vendor_id: VendorId,
    /// The scenario.
    pub scenario: Scenario,
    /// The faults, in order.
    pub strikes: Vec<Strike>,
}

/// The result of a case.
pub struct Report {
    /// The points until the goal was reached for the first time, and shortly after.
    pub points: Vec<Point>,
    /// The faults that happened, with their points.
    pub struck: Vec<(Strike, Point)>,
    /// The violations; empty means success.
    pub wrong: Vec<String>,
}

impl Report {
    /// A run that failed before it started.
    pub fn failed(wrong: String) -> Self {
        Self { points: Vec::new(), struck: Vec::new(), wrong: vec![wrong] }
    }
}

impl std::fmt::Display for Case {
    /// The form of `KEYSMITH_SWEEP`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let strikes: Vec<_> = self.strikes.iter().map(ToString::to_string).collect();
        write!(f, "{}/{}:{}", self.vendor_id.name(), self.scenario.name(), strikes.join(","))
    }
}

impl Case {
    /// Parses `vendor/scenario:number:fault,number:fault`.
    pub fn parse(text: &str) -> Option<Self> {
        let (vendor, rest) = text.split_once('/')?;
        let vendor_id = VendorId::ALL.into_iter().find(|it| it.name() == vendor)?;
        let (scenario, strikes) = rest.split_once(':')?;
        let strike = |text: &str| {
            let (at, fault) = text.split_once(':')?;
            Some(Strike { at: at.parse().ok()?, fault: super::fault::Fault::parse(fault)? })
        };
        let strikes = strikes.split(',').filter(|it| !it.is_empty()).map(strike).collect::<Option<_>>()?;
        Some(Self { vendor_id, scenario: Scenario::parse(scenario)?, strikes })
    }

    /// Runs it in a world of its own.
    pub fn run(&self) -> Report {
        alone(async {
            match set(self.vendor_id, self.scenario).await {
                Ok(stage) => self.play(&stage).await,
                Err(wrong) => Report::failed(wrong),
            }
        })
    }

    /// Runs it on a prepared stage.
    pub async fn play(&self, stage: &Stage) -> Report {
        stage.observer.allow_for(self.strikes.len());
        stage.line.count(&self.strikes);
        let goal = self.scenario.act(stage).await;
        let (mut points, wrong) = settle(stage, &goal).await;
        let mut wrong: Vec<_> = wrong.into_iter().collect();
        wrong.extend(stage.observer.findings());
        let struck = stage.line.struck();
        let all = stage.line.points();
        points = points.min(all.len());
        Report { points: all[..points].to_vec(), struck, wrong }
    }
}

/// Runs in a separate runtime, whose time passes when all tasks wait.
pub fn alone<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(run)
}

/// A stage with the initial state of the scenario.
pub async fn set(vendor_id: VendorId, scenario: Scenario) -> Result<Stage, String> {
    let stage = Stage::set(vendor_id);
    let goal = scenario.prepare(&stage).await;
    let start = Instant::now();
    // The operator is then running and idle, so that every run begins at the same point.
    tokio::time::sleep(Duration::from_secs(3)).await;
    while let Err(wrong) = goal.check(&stage) {
        if start.elapsed() > PREPARED {
            return Err(format!("the stage could not be set: {wrong}"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(stage)
}

/// Lets time pass until the goal is reached and lasts. Returns the number of points, and the violation if the goal is
/// never reached.
async fn settle(stage: &Stage, goal: &Goal) -> (usize, Option<String>) {
    let start = Instant::now();
    let (mut stamp, mut right_since, mut points) = (None, None, None);
    let mut wrong = String::new();
    while start.elapsed() < HOPELESS {
        let now = Some(stage.observer.stamp());
        if stamp != now {
            stamp = now;
            match goal.check(stage) {
                Ok(()) => drop(right_since.get_or_insert_with(Instant::now)),
                Err(what) => (wrong, right_since) = (what, None),
            }
        }
        let right_for = right_since.map(|since| since.elapsed());
        if right_for >= Some(AFTERMATH) {
            points.get_or_insert_with(|| stage.line.passed());
        }
        if right_for >= Some(QUIET) {
            return (points.unwrap_or_default(), None);
        }
        tokio::time::sleep(pace(start.elapsed())).await;
    }
    (points.unwrap_or_else(|| stage.line.passed()), Some(wrong))
}

/// The interval of checks grows, because a check costs more than the time between.
fn pace(elapsed: Duration) -> Duration {
    match elapsed.as_secs() {
        0..=9 => Duration::from_millis(200),
        10..=299 => Duration::from_secs(2),
        _ => Duration::from_secs(20),
    }
}
