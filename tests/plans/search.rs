//! A bounded search through every order of the effects of two operators, with every fault that a budget admits.
//! Operators are futures and cannot be cloned, so the search reaches a state again by repeating the choices since the
//! last moment at which no operator was inside a pass.

use super::class::Class;
use super::cluster::digest;
use super::fate::Fate;
use super::history::Play;
use super::mutant::Mutant;
use super::user::{Act, act};
use super::world::World;
use jiff::SignedDuration;
use keysmith::plan::retry::plus;
use std::collections::HashSet;

/// The next choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// An operator has its next effect.
    Move(usize, Fate),
    /// An operator starts a pass with the version before the present one.
    Stale(usize),
    /// An operator is killed and started again.
    Crash(usize),
    /// An operator polls.
    Poll(usize),
    /// Time passes until an operator is due.
    Wait,
    /// A user takes the next action.
    User,
}

/// The admitted choices and their numbers.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub class: Class,
    /// How often the other operator goes on while the first one is inside a pass.
    pub switches: u8,
    pub crashes: u8,
    pub lost: u8,
    pub late: u8,
    pub stale: u8,
    /// Waits inside a pass: the other operator goes on as if it were alone.
    pub splits: u8,
    pub polls: u8,
    pub users: Vec<Act>,
    /// Whether the search begins with a served key.
    pub served: bool,
}

/// The result of a search.
#[derive(Debug, Default)]
pub struct Found {
    pub states: usize,
    pub ends: usize,
    /// The broken invariant, and the choices that led to it.
    pub broken: Option<String>,
}

/// A moment at which no operator is inside a pass.
#[derive(Clone)]
struct Start {
    world: World,
    left: Scenario,
    path: Vec<Choice>,
}

struct Search {
    seen: HashSet<u64>,
    ends: HashSet<u64>,
    mutant: Option<Mutant>,
    most: usize,
}

/// The maximum number of choices; after that the operators take turns.
const DEEPEST: usize = 160;
/// An operator that is due later than this is not waited for.
const SOON: SignedDuration = SignedDuration::from_hours(2);

/// Searches a scenario until a number of states was seen, or an invariant is broken.
pub fn search(scenario: &Scenario, mutant: Option<Mutant>, most: usize) -> Found {
    let mut world = World::new(scenario.class, false);
    world.searched = true;
    if scenario.served {
        let mut play = Play::new(world, None);
        play.finish(0);
        play.finish(1);
        world = play.world.borrow().clone();
    }
    let start = Start { world, left: scenario.clone(), path: Vec::new() };
    let mut search = Search { seen: HashSet::new(), ends: HashSet::new(), mutant, most };
    let mut stack = vec![(start, Vec::new())];
    let mut broken = None;
    while let Some((start, choices)) = stack.pop() {
        if search.seen.len() >= search.most {
            break;
        }
        if let Err(error) = search.follow(start, choices, &mut stack) {
            broken = Some(error);
            break;
        }
    }
    Found { states: search.seen.len(), ends: search.ends.len(), broken }
}

impl Search {
    /// Repeats the choices and goes on with the first of the possible next ones; the others are queued.
    fn follow(
        &mut self,
        start: Start,
        choices: Vec<Choice>,
        stack: &mut Vec<(Start, Vec<Choice>)>,
    ) -> Result<(), String> {
        let mut start = start;
        let mut left = start.left.clone();
        let mut play = self.play(&start);
        for choice in &choices {
            take(&mut play, &mut left, *choice);
        }
        let mut choices = choices;
        loop {
            let whole = || format!("{:?}", start.path.iter().chain(&choices).collect::<Vec<_>>());
            play.check().map_err(|error| format!("{error}, after {}", whole()))?;
            if !self.seen.insert(recognise(&play, &left)) || self.seen.len() >= self.most {
                return Ok(());
            }
            let mut next = following(&play, &left);
            if next.is_empty() || start.path.len() + choices.len() > DEEPEST {
                return self.end(&mut play).map_err(|error| format!("{error}, after {}", whole()));
            }
            if play.running.iter().all(Option::is_none) {
                start.path.append(&mut choices);
                start = Start { world: play.world.borrow().clone(), left: left.clone(), path: start.path };
            }
            let first = next.remove(0);
            for other in next.into_iter().rev() {
                stack.push((start.clone(), [choices.clone(), vec![other]].concat()));
            }
            take(&mut play, &mut left, first);
            choices.push(first);
        }
    }

    fn play(&self, start: &Start) -> Play {
        let deletes = start.left.users.contains(&Act::DeleteResource)
            || start.world.live().is_none_or(|live| live.deleting);
        let mut play = Play::new(start.world.clone(), self.mutant);
        play.pace = SignedDuration::ZERO;
        play.pauses = !deletes;
        play
    }

    /// Without further faults, the goal is reached and kept.
    fn end(&mut self, play: &mut Play) -> Result<(), String> {
        if !self.ends.insert(recognise_world(&play.world.borrow())) {
            return Ok(());
        }
        play.pace = super::history::PACE;
        play.polls = [play.world.borrow().now; 2];
        play.peace(None)
    }
}

/// Whether another operator is inside a pass.
fn switches(play: &Play, who: usize) -> bool {
    let mover = play.world.borrow().mover;
    mover != who && play.running[mover].is_some()
}

fn due(play: &Play, who: usize) -> bool {
    let world = play.world.borrow();
    world.operators[who].wake.is_some_and(|wake| wake <= world.now)
}

/// All possible choices, those without a fault first.
fn following(play: &Play, left: &Scenario) -> Vec<Choice> {
    let mut next = Vec::new();
    let busy = (0..2).any(|who| play.running[who].is_some());
    for who in (0..2).filter(|who| left.switches > 0 || !switches(play, *who)) {
        let running = play.running[who].is_some();
        if running || due(play, who) {
            next.push(Choice::Move(who, Fate::Fine));
        }
        if running {
            next.extend((left.lost > 0).then_some(Choice::Move(who, Fate::Lost)));
            next.extend((left.late > 0).then_some(Choice::Move(who, Fate::Late(25))));
            next.extend((left.crashes > 0).then_some(Choice::Crash(who)));
        } else if due(play, who) && left.stale > 0 {
            next.push(Choice::Stale(who));
        }
    }
    let idle = next.is_empty();
    if !left.users.is_empty() {
        next.push(Choice::User);
    }
    if (busy && left.splits > 0 || idle) && soonest(play).is_some() {
        next.push(Choice::Wait);
    }
    for who in (0..2).filter(|who| left.polls > 0 && play.running[*who].is_none()) {
        next.push(Choice::Poll(who));
    }
    next
}

/// The time until an operator outside a pass is due, or a late call lands.
fn soonest(play: &Play) -> Option<SignedDuration> {
    let world = play.world.borrow();
    let wakes = (0..2).filter(|who| play.running[*who].is_none());
    let wakes = wakes.filter_map(|who| world.operators[who].wake);
    let lands = world.vendor.flights.iter().map(|it| it.0);
    let next = wakes.chain(lands).filter(|at| *at > world.now).min()?;
    (next < plus(world.now, SOON)).then(|| next.duration_since(world.now))
}

fn take(play: &mut Play, left: &mut Scenario, choice: Choice) {
    play.world.borrow_mut().note(|| format!("--- {choice:?}"));
    match choice {
        Choice::Move(who, fate) => {
            left.switches -= u8::from(switches(play, who));
            left.lost -= u8::from(fate == Fate::Lost);
            left.late -= u8::from(matches!(fate, Fate::Late(_)));
            play.step(who, fate, 0);
        }
        Choice::Stale(who) => {
            left.switches -= u8::from(switches(play, who));
            left.stale -= 1;
            play.step(who, Fate::Fine, 1);
        }
        Choice::Crash(who) => {
            left.switches -= u8::from(switches(play, who));
            left.crashes -= 1;
            play.crash(who);
        }
        Choice::Poll(who) => {
            left.polls -= 1;
            play.poll(who, 0);
        }
        Choice::Wait => {
            left.splits -= u8::from(play.running.iter().any(Option::is_some));
            let by = soonest(play).unwrap_or_default();
            play.world.borrow_mut().faults += 1;
            play.world.borrow_mut().advance(by);
            (0..2).for_each(|who| play.bury(who));
        }
        Choice::User => {
            let what = left.users.remove(0);
            act(&mut play.world.borrow_mut(), what);
        }
    }
}

fn recognise(play: &Play, left: &Scenario) -> u64 {
    let running = [play.running[0].is_some(), play.running[1].is_some()];
    let faults = (left.crashes, left.lost, left.late, left.stale, left.splits);
    let mover = play.world.borrow().mover;
    let mover = running[mover].then_some(mover);
    let budget = (left.switches, left.polls, left.users.len());
    digest(&(recognise_world(&play.world.borrow()), running, mover, faults, budget))
}

fn recognise_world(world: &World) -> u64 {
    let memory = |who: usize| {
        let it = &world.operators[who];
        let latest = it.latest.as_ref().map(|latest| (latest.as_of, &latest.keys));
        digest(&(
            it.seen,
            &it.written,
            &it.remembered,
            latest,
            (it.failures, it.stale, it.wake, it.woken, it.unsent, it.asleep, it.secret_shown),
        ))
    };
    let versions = world.versions.iter().rev().take(2).collect::<Vec<_>>();
    let vendor = (&world.vendor.keys, &world.vendor.flights);
    digest(&(world.now, versions, &world.secret, vendor, memory(0), memory(1)))
}
