//! Random histories: who goes next, what fails, what users do; then peace, and what must be true in it.

use super::chance::{Event, History};
use super::class::LAG;
use super::cluster::{Object, Stored, identity, mark};
use super::ending::ready;
use super::fate::Fate;
use super::mutant::Mutant;
use super::operator::{Operator, Pass};
use super::user::act;
use super::world::{Kube, Shared, World};
use jiff::{SignedDuration, Timestamp};
use keysmith::gateway::account::Listing;
use keysmith::plan::drift;
use keysmith::plan::facts::{KeyId, Listed};
use keysmith::plan::retry::{backoff, plus};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// How long a live process waits at most for its turn to send, as `gateway::budget` has it. One that is paused there
/// for longer is taken to be dead: against it there is no protection but fence and mark, and none after a deletion.
const TO_SEND: SignedDuration = SignedDuration::from_secs(20);
const POLL: SignedDuration = SignedDuration::from_secs(300);
const DRIFT: &str = "drift";
const RESYNC: SignedDuration = SignedDuration::from_hours(10);

type Running = Pin<Box<dyn Future<Output = Result<Pass, Kube>>>>;

/// A history while it is played.
struct Play {
    world: Shared,
    running: [Option<Running>; 2],
    mutant: Option<Mutant>,
    polls: [Timestamp; 2],
    pauses: bool,
}

/// Plays a history to its end. `Err`: what went wrong.
pub fn play(history: &History, mutant: Option<Mutant>, log: bool) -> Result<(), String> {
    let mut world = World::new(history.class);
    world.log = log.then(Vec::new);
    world.vendor.lifetime = history.expiring.then_some(SignedDuration::from_mins(15));
    let now = world.now;
    let mut play = Play {
        world: Rc::new(RefCell::new(world)),
        running: [None, None],
        mutant,
        polls: [now; 2],
        pauses: history.pauses,
    };
    let result = play.war(&history.events).and_then(|()| play.peace(history.survivor));
    if let Some(log) = play.world.borrow_mut().log.take() {
        println!("{}", log.join("\n"));
    }
    result
}

impl Play {
    fn check(&self) -> Result<(), String> {
        self.world.borrow().broken.clone().map_or(Ok(()), Err)
    }

    fn war(&mut self, events: &[Event]) -> Result<(), String> {
        for event in events {
            self.world.borrow_mut().note(|| format!("--- {event:?}"));
            match *event {
                Event::Move { who, fate, late } => self.step(who, fate, late),
                Event::Finish(who) => self.finish(who),
                Event::Crash(who) => self.crash(who),
                Event::Poll(who, roll) => self.poll(who, roll),
                Event::Wait(seconds) => self.wait(seconds),
                Event::User(what) => act(&mut self.world.borrow_mut(), what),
            }
            self.check()?;
        }
        Ok(())
    }

    fn step(&mut self, who: usize, fate: Fate, late: usize) {
        {
            let mut world = self.world.borrow_mut();
            world.advance(SignedDuration::from_millis(10));
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
                // A watch that is behind still brings what it did not bring yet.
                world.operators[who].woken = late > 0;
                world.operators[who].wake = None;
            }
            let operator = Operator::new(&self.world, who, key, self.mutant);
            self.running[who] = Some(Box::pin(operator.pass()));
        }
        let mut context = Context::from_waker(Waker::noop());
        if let Some(running) = &mut self.running[who]
            && let Poll::Ready(result) = running.as_mut().poll(&mut context)
        {
            self.running[who] = None;
            self.ended(who, result);
        }
        self.world.borrow_mut().fate = Fate::Fine;
    }

    /// The resource as the watch brought it, or as the operator wrote it, whichever is newer.
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

    fn ended(&self, who: usize, result: Result<Pass, Kube>) {
        let mut world = self.world.borrow_mut();
        world.note(|| format!("operator {who} ended: {result:?}"));
        let now = world.now;
        let memory = &mut world.operators[who];
        let wake = match result {
            Ok(Pass::Rest(until)) => {
                memory.stale = 0;
                memory.failures = 0;
                let resync = plus(now, RESYNC);
                until.map_or(resync, |until| until.min(resync))
            }
            Ok(Pass::Stale) => {
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

    fn finish(&mut self, who: usize) {
        for _ in 0..200 {
            self.step(who, Fate::Fine, 0);
            if self.running[who].is_none() {
                return;
            }
        }
    }

    fn crash(&mut self, who: usize) {
        self.running[who] = None;
        let mut world = self.world.borrow_mut();
        let now = world.now;
        world.faults += 1;
        world.operators[who] = super::world::Memory { wake: Some(now), ..Default::default() };
    }

    /// What the controller of console tokens does: a listing for everybody, and a wake where something changed.
    fn poll(&mut self, who: usize, roll: u16) {
        let mut world = self.world.borrow_mut();
        let (now, identity) = (world.now, identity());
        let keys = world.vendor.list(now, roll);
        let listing = Rc::new(Listing { as_of: now, keys });
        let memory = &mut world.operators[who];
        let changed = memory.latest.as_ref().is_none_or(|latest| {
            // What was not believed the last time is news now.
            latest.view(&identity).own != listing.view(&identity).own || memory.floor >= Some(latest.as_of)
        });
        memory.latest = Some(listing);
        if changed {
            memory.wake = Some(now);
            memory.woken = true;
        }
        world.advance(SignedDuration::from_millis(1));
    }

    fn wait(&mut self, seconds: u16) {
        for _ in 0..seconds {
            self.world.borrow_mut().advance(SignedDuration::from_secs(1));
            for who in 0..2 {
                let (now, unsent) = {
                    let world = self.world.borrow();
                    (world.now, world.operators[who].unsent)
                };
                if !self.pauses && unsent.is_some_and(|since| plus(since, TO_SEND) < now) {
                    self.crash(who);
                }
            }
        }
    }

    /// No more faults, no more users.
    fn peace(&mut self, survivor: Option<usize>) -> Result<(), String> {
        {
            let mut world = self.world.borrow_mut();
            world.note(|| "--- peace".into());
            world.vendor.lifetime = None;
            world.calm();
            if world.secret.as_ref().is_some_and(|secret| !secret.ours) {
                world.store_secret(None);
            }
        }
        let present: Vec<_> = (0..2).filter(|who| survivor.is_none_or(|it| it == *who)).collect();
        // A write to status wakes nobody, so whoever takes over for good begins anew.
        for who in (0..2).filter(|_| survivor.is_some()) {
            self.crash(who);
        }
        self.go_on(&present, SignedDuration::from_hours(3))?;
        // Listings are compared with each other. A drift that an earlier one showed, wrongly then, is no news when it
        // comes about: it waits for the next look at everything.
        if self.settled().is_err_and(|error| error.starts_with(DRIFT)) {
            self.go_on(&present, RESYNC)?;
        }
        self.settled()?;
        let before = self.effects();
        self.go_on(&present, SignedDuration::from_hours(24))?;
        self.settled()?;
        if before == self.effects() { Ok(()) } else { Err("the world is not quiet".into()) }
    }

    fn effects(&self) -> (u64, u64) {
        let world = self.world.borrow();
        (world.writes, world.calls)
    }

    /// The operators work by themselves.
    fn go_on(&mut self, present: &[usize], span: SignedDuration) -> Result<(), String> {
        let end = plus(self.world.borrow().now, span);
        while self.world.borrow().now < end {
            let now = self.world.borrow().now;
            let mut busy = false;
            for &who in present {
                let due = self.world.borrow().operators[who].wake.is_some_and(|wake| wake <= now);
                if self.running[who].is_some() || due {
                    busy = true;
                    self.step(who, Fate::Fine, 0);
                }
                if self.polls[who] <= now {
                    let roll = u16::try_from(now.as_second().rem_euclid(65_536)).unwrap_or(0);
                    self.poll(who, roll);
                    self.polls[who] = plus(now, POLL);
                }
            }
            self.check()?;
            if !busy {
                let world = self.world.borrow();
                let wakes = present.iter().filter_map(|who| world.operators[*who].wake);
                let polls = present.iter().map(|who| self.polls[*who]);
                let lands = world.vendor.flights.iter().map(|it| it.0);
                let next = wakes.chain(polls).chain(lands).min().unwrap_or(end).min(end);
                let by = next.duration_since(now).max(SignedDuration::from_millis(1));
                drop(world);
                self.world.borrow_mut().advance(by);
            }
        }
        Ok(())
    }

    fn settled(&self) -> Result<(), String> {
        let world = self.world.borrow();
        let mark = mark();
        // A key that somebody planted under a serial to come is not ours to count, unless it was taken for ours.
        let named = world.live().and_then(|object| object.status.id.clone());
        let minted = |id: &KeyId| world.vendor.keys.iter().any(|key| key.id == *id && key.ours);
        let live: Vec<_> = world
            .vendor
            .live(&mark)
            .filter(|key| minted(&key.id) || named.as_ref() == Some(&key.id.0))
            .filter(|key| !world.is_left_alone(key))
            .collect();
        let Some(object) = world.live() else {
            let stays = live.iter().all(|key| world.may_stay(key));
            return if stays { Ok(()) } else { Err(format!("a key outlives its resource: {live:?}")) };
        };
        if object.deleting {
            return Err(format!("the deletion does not end: {:?}", object.status));
        }
        let leaked = |key: &&&Listed| world.leaked.contains(&key.id) && !world.excused.contains(&key.id);
        if let Some(key) = live.iter().find(leaked) {
            return Err(format!("{} leaked and works: {:?}", key.id, object.status));
        }
        if !object.status.previous.is_empty() {
            return Err(format!("an overlap does not end: {:?}", object.status));
        }
        let ids: BTreeSet<_> = live.iter().map(|key| key.id.clone()).collect();
        let [key] = live.as_slice() else {
            return Err(format!("{} live keys: {ids:?}, status {:?}", ids.len(), object.status));
        };
        let id = Some(&key.id);
        let held = |secret: &Stored| {
            secret.ours
                && secret.data.as_ref() == id
                && secret.content.as_ref() == id
                && secret.key_id.as_ref() == id
        };
        if !world.secret.as_ref().is_some_and(held) {
            return Err(format!("the Secret does not hold {id:?}: {:?}", world.secret));
        }
        let wanted = object.spec.desired();
        let fields = drift::drift(&wanted.settings, key, None);
        if !fields.is_empty() {
            return Err(format!("{DRIFT}: {fields:?} of {key:?}"));
        }
        if object.status.id.as_ref() != Some(&key.id.0) || !ready(&object) {
            return Err(format!("status {:?}, key {key:?}", object.status));
        }
        Ok(())
    }
}

/// The lag is part of what the proof of a lost create call rests on.
#[test]
fn the_model_lags_as_the_driver_says() {
    assert_eq!(keysmith::gateway::edgee::CAPABILITIES.listing_lag, LAG);
}
