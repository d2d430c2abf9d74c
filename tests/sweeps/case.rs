//! One run: a scenario, the faults that strike it, and what came of it.

use super::fault::{Point, Strike};
use super::goal::Goal;
use super::scenario::Scenario;
use super::stage::Stage;
use keysmith::emulator::Surface;
use std::time::Duration;
use tokio::time::Instant;

/// What must hold at the end has to hold this long; a poll falls into it.
const QUIET: Duration = Duration::from_secs(340);
/// What passes the line this long after the world is right belongs to it: events, the echo of the last write.
const AFTERMATH: Duration = Duration::from_secs(2);
/// A world that is not right after this long never will be. Missed events are made good within 11 hours.
const HOPELESS: Duration = Duration::from_hours(13);
/// The same before anything goes wrong.
const PREPARED: Duration = Duration::from_mins(5);

/// A scenario and its faults.
#[derive(Clone, Debug)]
pub struct Case {
    /// At which vendor.
    pub surface: Surface,
    /// What happens.
    pub scenario: Scenario,
    /// What goes wrong, in order.
    pub strikes: Vec<Strike>,
}

/// What came of a case.
pub struct Report {
    /// The points until the world was right for the first time, and what followed at once.
    pub points: Vec<Point>,
    /// What happened to whom.
    pub struck: Vec<(Strike, Point)>,
    /// What was wrong; empty is good.
    pub wrong: Vec<String>,
}

impl Report {
    /// A run that came to nothing.
    pub fn failed(wrong: String) -> Self {
        Self { points: Vec::new(), struck: Vec::new(), wrong: vec![wrong] }
    }
}

impl std::fmt::Display for Case {
    /// As it is written in `KEYSMITH_SWEEP`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let strikes: Vec<_> = self.strikes.iter().map(ToString::to_string).collect();
        write!(f, "{}/{}:{}", self.surface.name(), self.scenario.name(), strikes.join(","))
    }
}

impl Case {
    /// The case that is written `vendor/scenario:number:fault,number:fault`.
    pub fn parse(text: &str) -> Option<Self> {
        let (vendor, rest) = text.split_once('/')?;
        let surface = Surface::ALL.into_iter().find(|it| it.name() == vendor)?;
        let (scenario, strikes) = rest.split_once(':')?;
        let strike = |text: &str| {
            let (at, fault) = text.split_once(':')?;
            Some(Strike { at: at.parse().ok()?, fault: super::fault::Fault::parse(fault)? })
        };
        let strikes = strikes.split(',').filter(|it| !it.is_empty()).map(strike).collect::<Option<_>>()?;
        Some(Self { surface, scenario: Scenario::parse(scenario)?, strikes })
    }

    /// Runs it in a world of its own.
    pub fn run(&self) -> Report {
        alone(async {
            match set(self.surface, self.scenario).await {
                Ok(stage) => self.play(&stage).await,
                Err(wrong) => Report::failed(wrong),
            }
        })
    }

    /// Plays it on a stage that is prepared.
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

/// A runtime of its own, whose time passes when nothing else happens.
pub fn alone<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(run)
}

/// A stage with everything in place that the scenario begins with.
pub async fn set(surface: Surface, scenario: Scenario) -> Result<Stage, String> {
    let stage = Stage::set(surface);
    let goal = scenario.prepare(&stage).await;
    let start = Instant::now();
    // The operator is up and idle then, so that every run begins at the same point.
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

/// Lets time pass until the world is right and stays so. How many points it took, and what is wrong if it never is.
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

/// Looks are quick at first and rarer later, because a look costs more than the time between.
fn pace(elapsed: Duration) -> Duration {
    match elapsed.as_secs() {
        0..=9 => Duration::from_millis(200),
        10..=299 => Duration::from_secs(2),
        _ => Duration::from_secs(20),
    }
}
