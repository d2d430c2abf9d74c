//! Every fault at every request of every story.

use super::faults::{Fault, Play};
use super::replica::Replica;
use super::stage::Stage;
use super::story::Story;
use super::wires::{Entry, Point};
use crate::support::report::{self, thorough};
use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// The number of runs at a time: an operator and its servers mostly wait, so many of them share two cores.
const AT_ONCE: (usize, usize) = (10, 24);
/// The timeout of a story whose fault is over.
const PATIENCE: Duration = Duration::from_secs(60);
/// The timeout of a story in which a create call may still land.
const LONG_PATIENCE: Duration = Duration::from_secs(180);

/// One run of a story.
#[derive(Clone, Debug)]
struct Case {
    story: Story,
    point: Point,
    fault: Fault,
}

/// Runs each story without faults to record its requests, and then once for each request and fault.
pub async fn every_request_meets_every_fault() {
    let mut cases = Vec::new();
    let mut points = 0;
    for (story, found) in Story::ALL.into_iter().zip(join_all(Story::ALL.map(undisturbed)).await) {
        let found = found.unwrap_or_else(|error| panic!("{story:?} undisturbed: {error}"));
        points += found.len();
        cases.extend(found.into_iter().flat_map(|point| cases_at(story, &point)));
    }
    let total = cases.len();
    let at_once = if thorough() { AT_ONCE.1 } else { AT_ONCE.0 };
    // The long cases run first, so that none of them is left for the end.
    cases.sort_by_key(|case| !case.fault.leaves_doubt(case.story, &case.point));
    let results: Vec<_> =
        futures::stream::iter(cases).map(report_of).buffer_unordered(at_once).collect().await;
    let pairs = results.iter().filter(|result| matches!(result, Ok(2))).count();
    let faults = total - pairs;
    let violations: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    println!("{points} points, {faults} faults, {pairs} pairs");
    report::add(&[("points", points), ("faults", faults), ("pairs", pairs)]);
    report::conclude(&violations);
}

fn cases_at(story: Story, point: &Point) -> Vec<Case> {
    let brief = |fault: &Fault| fault.is_brief(story, point) && !fault.leaves_doubt(story, point);
    let faults = Fault::ALL.into_iter().filter(|fault| fault.fits(point));
    let faults = faults.filter(|fault| thorough() || brief(fault));
    faults.map(|fault| Case { story, point: point.clone(), fault }).collect()
}

/// The number of faults. A case that panics is one violation; the others go on.
async fn report_of(case: Case) -> Result<usize, String> {
    let name = format!("{:?}, {}, {:?}", case.story, case.point, case.fault);
    let started = tokio::time::Instant::now();
    let played = AssertUnwindSafe(play(case)).catch_unwind().await;
    let result = played.unwrap_or_else(|_| Err("it panicked".to_owned()));
    let seconds = started.elapsed().as_secs_f32();
    println!("{name}: {} ({seconds:.1} s)", if result.is_ok() { "ok" } else { "VIOLATED" });
    result.map_err(|error| format!("{name}: {error}"))
}

/// The requests of a story without faults.
async fn undisturbed(story: Story) -> Result<Vec<Point>, String> {
    let mut stage = Stage::set().await;
    let operator = stage.operator();
    story.prepare(&stage).await?;
    let before = stage.wires.len();
    story.begin(&stage).await;
    story.settles(&stage, PATIENCE).await?;
    let points = numbered(&stage.wires.entries()[before..]);
    operator.kill();
    stage.strike().await;
    Ok(points)
}

fn numbered(entries: &[Entry]) -> Vec<Point> {
    let mut seen = HashMap::new();
    let writes = entries.iter().filter(|entry| entry.writes());
    writes
        .map(|entry| {
            let nth = seen.entry((entry.side, entry.shape.clone())).or_insert(0);
            *nth += 1;
            Point { side: entry.side, shape: entry.shape.clone(), nth: *nth }
        })
        .collect()
}

async fn play(case: Case) -> Result<usize, String> {
    let mut stage = Stage::set().await;
    let operator = stage.operator();
    case.story.prepare(&stage).await?;
    let doubtful = case.fault.leaves_doubt(case.story, &case.point);
    let mut play = Play { stage: &mut stage, story: case.story, point: case.point };
    let mut working = case.fault.happen(&mut play, operator).await?;
    let patience = if doubtful { LONG_PATIENCE } else { PATIENCE };
    case.story.settles(&stage, patience).await?;
    let fired = stage.wires.fired();
    if fired == 0 {
        return Err("the fault did not happen".to_owned());
    }
    if !working.iter_mut().all(Replica::runs) {
        return Err("an operator ended by itself".to_owned());
    }
    working.into_iter().for_each(Replica::kill);
    stage.strike().await;
    Ok(fired)
}
