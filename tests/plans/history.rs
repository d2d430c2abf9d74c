//! Random histories: the schedule, faults and acts of users; then peace, and the invariants that hold in it.

use super::class::LAG;
use super::cluster::{Object, identity};
use super::fate::Fate;
use super::generator::{Event, History};
use super::model::{Model, Reached};
use super::mutant::Mutant;
use super::sweeping::{EVERY, Sweeping};
use super::tampered::Tampered;
use super::user::act;
use super::world::{Shared, World};
use jiff::{SignedDuration, Timestamp};
use keysmith::gateway::account::Listing;
use keysmith::plan::notice::{self, Subject};
use keysmith::plan::retry::{backoff, plus};
use keysmith::protocol::{Error, Pass, key};
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// How long a live process waits at most for its permit to send, as in `gateway::budget`. A process that is paused
/// there for longer counts as dead: against it only fence and mark protect, and after a deletion nothing does.
const TO_SEND: SignedDuration = SignedDuration::from_secs(20);
/// The low limit of keys per day.
const BRAKE: u64 = 4;
pub const RESYNC: SignedDuration = SignedDuration::from_hours(10);

pub type Running = Pin<Box<dyn Future<Output = Result<Pass, Error>>>>;

/// The duration of an effect.
pub const PACE: SignedDuration = SignedDuration::from_millis(10);

/// A history during its run.
pub struct Play {
    pub world: Shared,
    pub running: [Option<Running>; 2],
    pub sweeping: [Option<Sweeping>; 2],
    pub mutant: Option<Mutant>,
    pub polls: [Timestamp; 2],
    pub sweeps: [Timestamp; 2],
    pub pauses: bool,
    pub pace: SignedDuration,
}

/// Plays a history to its end. `Err`: what went wrong.
pub fn play(history: &History, mutant: Option<Mutant>, log: bool) -> Result<(), String> {
    let mut world = World::new(history.class, history.adopts);
    if history.braked {
        world.keys_per_day = BRAKE;
    }
    world.sweeps = history.sweeps;
    if history.former {
        world.mark_foreign_key();
    }
    world.log = log.then(Vec::new);
    world.vendor.lifetime = history.expiring.then_some(SignedDuration::from_mins(15));
    let mut play = Play { pauses: history.pauses, ..Play::new(world, mutant) };
    let war = play.war(&history.events);
    let result =
        war.and_then(|()| if history.braked { Ok(()) } else { play.lasting_peace(history.survivor) });
    if let Some(log) = play.world.borrow_mut().log.take() {
        println!("{}", log.join("\n"));
    }
    result
}

impl Play {
    /// Before the first move.
    pub fn new(world: World, mutant: Option<Mutant>) -> Self {
        let polls = [world.now; 2];
        let world = Rc::new(RefCell::new(world));
        let sweeps = [plus(polls[0], EVERY); 2];
        let (running, sweeping) = ([None, None], [None, None]);
        Self { world, running, sweeping, mutant, polls, sweeps, pauses: true, pace: PACE }
    }

    pub fn check(&self) -> Result<(), String> {
        self.world.borrow().broken.clone().map_or(Ok(()), Err)
    }

    pub fn war(&mut self, events: &[Event]) -> Result<(), String> {
        for event in events {
            self.world.borrow_mut().note(|| format!("--- {event:?}"));
            match *event {
                Event::Move { who, fate, late } => self.step(who, fate, late),
                Event::Finish(who) => self.finish(who),
                Event::Crash(who) => self.crash(who),
                Event::Poll(who, roll) => self.poll(who, roll),
                Event::MoveSweep { who, fate, roll } => self.sweep(who, fate, roll),
                Event::Sweep(who, roll) => self.sweep_to_the_end(who, roll),
                Event::Wait(seconds) => self.wait(seconds),
                Event::User(what) => act(&mut self.world.borrow_mut(), what),
            }
            self.check()?;
        }
        Ok(())
    }

    pub fn step(&mut self, who: usize, fate: Fate, late: usize) {
        {
            let mut world = self.world.borrow_mut();
            let asleep = world.operators[who].asleep.map(|until| until.duration_since(world.now));
            world.advance(self.pace.max(asleep.unwrap_or_default()));
            world.mover = who;
            world.fate = fate;
            world.faults += usize::from(fate != Fate::Fine) + usize::from(late > 0);
            world.roll = world.roll.wrapping_add(77);
        }
        if self.running[who].is_none() {
            let Some(key) = self.seen(who, late) else {
                self.world.borrow_mut().operators[who].wake = None;
                return;
            };
            {
                let mut world = self.world.borrow_mut();
                // A watch that lags still delivers the versions that it has not delivered yet.
                world.operators[who].woken = late > 0;
                world.operators[who].wake = None;
                if late == 0 {
                    world.operators[who].secret_shown = world.secret.as_ref().map(|it| it.version);
                }
            }
            self.world.borrow_mut().begin(who, &key);
            let resource = key.resource();
            let ports = Tampered::new(Model::new(&self.world, who), self.mutant, &resource);
            self.running[who] = Some(Box::pin(key::pass(Arc::new(resource), ports)));
        }
        let mut context = Context::from_waker(Waker::noop());
        if let Some(running) = &mut self.running[who]
            && let Poll::Ready(result) = running.as_mut().poll(&mut context)
        {
            self.running[who] = None;
            self.ended(who, &result);
        }
        self.world.borrow_mut().fate = Fate::Fine;
    }

    /// The newer of the resource that the watch delivered and the resource that the operator wrote.
    fn seen(&self, who: usize, late: usize) -> Option<Rc<Object>> {
        let mut world = self.world.borrow_mut();
        let place = world.versions.len().saturating_sub(1 + late);
        let watched = world.versions[place].clone()?;
        let memory = &mut world.operators[who];
        match &memory.written {
            Some(written) if written.version > watched.version => Some(Rc::clone(written)),
            _ => {
                memory.written = None;
                Some(watched)
            }
        }
    }

    fn ended(&self, who: usize, result: &Result<Pass, Error>) {
        let mut world = self.world.borrow_mut();
        world.note(|| format!("operator {who} ended: {result:?}"));
        let now = world.now;
        if matches!(result, Ok(Pass::Unfinished)) {
            world.break_rule(|| "a pass did not come to rest".into());
        }
        world.bare &= !(world.operators[who].saw_bare && matches!(result, Ok(Pass::Rest(_))));
        let memory = &mut world.operators[who];
        let wake = match result {
            Ok(Pass::Rest(until)) => {
                memory.stale = 0;
                memory.failures = 0;
                let resync = plus(now, RESYNC);
                until.map_or(resync, |until| until.min(resync))
            }
            Ok(Pass::Stale | Pass::Unfinished) => {
                memory.written = None;
                memory.stale += 1;
                plus(now, SignedDuration::from_millis(100 << memory.stale.min(8)))
            }
            Err(_) => {
                memory.failures += 1;
                plus(now, backoff(memory.failures, super::cluster::UID))
            }
        };
        memory.wake = Some(if memory.woken { now } else { wake });
    }

    pub fn finish(&mut self, who: usize) {
        for _ in 0..200 {
            self.step(who, Fate::Fine, 0);
            if self.running[who].is_none() {
                return;
            }
        }
    }

    pub fn crash(&mut self, who: usize) {
        (self.running[who], self.sweeping[who]) = (None, None);
        let mut world = self.world.borrow_mut();
        let now = world.now;
        world.faults += 1;
        world.operators[who] = super::world::Memory { wake: Some(now), ..Default::default() };
    }

    /// What the pass over a console token does for its keys: one listing, and the shipped decision whether it enqueues the resource.
    pub fn poll(&mut self, who: usize, roll: u16) {
        if self.world.borrow().reached() == Reached::Other {
            return;
        }
        let resource = self.seen(who, 0);
        let mut world = self.world.borrow_mut();
        let (now, identity) = (world.now, identity());
        let listing = Arc::new(Listing::new(now, world.vendor.list(now, roll)));
        let capabilities = world.vendor.class.capabilities();
        let memory = &mut world.operators[who];
        let concerned = resource.is_some_and(|object| {
            let (key, claim) = (object.resource(), object.claim());
            let subject = Subject { key: &key, claim, identity: &identity, capabilities, now };
            let before = memory.latest.as_ref().map(|it| it.as_of);
            notice::enqueues(&subject, &listing.index(), memory.remembered.stale_before(), before)
        });
        memory.latest = Some(listing);
        if concerned {
            memory.wake = Some(now);
            memory.woken = true;
        }
        world.advance(SignedDuration::from_millis(1));
    }

    pub fn wait(&mut self, seconds: u16) {
        for _ in 0..seconds {
            self.world.borrow_mut().advance(SignedDuration::from_secs(1));
            for who in 0..2 {
                self.bury(who);
            }
        }
    }

    /// An operator that paused for too long before a call counts as dead.
    pub fn bury(&mut self, who: usize) {
        let (now, unsent) = {
            let world = self.world.borrow();
            (world.now, world.operators[who].unsent)
        };
        if !self.pauses && unsent.is_some_and(|since| plus(since, TO_SEND) < now) {
            self.crash(who);
        }
    }
}

/// The proof that a create call was lost depends on the lag.
#[test]
fn the_model_lags_as_the_driver_says() {
    assert_eq!(keysmith::gateway::edgee::CAPABILITIES.listing_lag, LAG);
}
