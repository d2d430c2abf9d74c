//! Random histories of provider keys, at vendors that follow their documentation in different ways.

use super::fate::Fate;
use super::histories::cases;
use super::provider_model::{Mutant, ProviderModel};
use super::provider_world::{Ask, House, ProviderWorld, Resource, Shared, mark};
use crate::support::random::runner;
use jiff::SignedDuration;
use keysmith::api::condition::{self, READY};
use keysmith::plan::listing::KeyId;
use keysmith::plan::retry::{backoff, plus};
use keysmith::protocol::memory::Remembered;
use keysmith::protocol::{Error, Pass, provider_key};
use proptest::prelude::*;
use proptest::test_runner::TestError;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

#[derive(Clone, Copy, Debug)]
enum Event {
    Move {
        who: usize,
        fate: Fate,
        late: usize,
    },
    Finish(usize),
    Crash(usize),
    Wait(u16),
    ChangeCredential(u8),
    ChangeAssignment(u8),
    AskForLook(u8),
    StripClaim,
    /// `kubectl replace` with the manifest: neither finalizer nor claim.
    Replace,
    DeleteResource,
    RemoveInConsole(u8),
    ReassignInConsole(u8),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let fate = prop_oneof![
        16 => Just(Fate::Fine),
        1 => Just(Fate::Fails),
        1 => Just(Fate::Unknown),
        2 => Just(Fate::Lost),
        2 => (1_u8..=60).prop_map(Fate::Late),
    ];
    let late = prop_oneof![4 => Just(0_usize), 1 => 1_usize..4];
    let event = prop_oneof![
        24 => (0_usize..2, fate, late).prop_map(|(who, fate, late)| Event::Move { who, fate, late }),
        4 => (0_usize..2).prop_map(Event::Finish),
        2 => (0_usize..2).prop_map(Event::Crash),
        4 => prop_oneof![1_u16..10, 30_u16..200].prop_map(Event::Wait),
        2 => (0_u8..3).prop_map(Event::ChangeCredential),
        2 => (0_u8..3).prop_map(Event::ChangeAssignment),
        1 => (0_u8..255).prop_map(Event::AskForLook),
        1 => Just(Event::StripClaim),
        1 => Just(Event::Replace),
        1 => Just(Event::DeleteResource),
        1 => any::<u8>().prop_map(Event::RemoveInConsole),
        1 => any::<u8>().prop_map(Event::ReassignInConsole),
    ];
    prop::collection::vec(event, 0..80)
}

fn houses() -> impl Strategy<Value = House> {
    prop_oneof![
        3 => Just(House::Complete),
        1 => Just(House::IgnoresUpdates),
        1 => Just(House::HidesAssignments),
        1 => Just(House::IgnoresRemovals),
        1 => Just(House::Bare),
    ]
}

type Running = Pin<Box<dyn Future<Output = Result<Pass, Error>>>>;

struct Play {
    world: Shared,
    mutant: Option<Mutant>,
    running: [Option<Running>; 2],
}

fn play(house: House, events: &[Event], log: bool) -> Result<(), String> {
    play_with(None, house, events, log)
}

fn play_with(mutant: Option<Mutant>, house: House, events: &[Event], log: bool) -> Result<(), String> {
    let mut world = ProviderWorld::new(house);
    world.log = log.then(Vec::new);
    let mut play = Play { world: Rc::new(RefCell::new(world)), mutant, running: [None, None] };
    let result = play.war(events).and_then(|()| play.peace());
    if let Some(log) = play.world.borrow_mut().log.take() {
        println!("{}", log.join("\n"));
    }
    result
}

impl Play {
    fn war(&mut self, events: &[Event]) -> Result<(), String> {
        for event in events {
            self.world.borrow_mut().note(|| format!("--- {event:?}"));
            match *event {
                Event::Move { who, fate, late } => self.step(who, fate, late),
                Event::Finish(who) => self.finish(who),
                Event::Crash(who) => {
                    self.running[who] = None;
                    let mut world = self.world.borrow_mut();
                    world.written[who] = None;
                    world.remembered[who] = Remembered::default();
                    world.wakes[who] = Some(world.now);
                }
                Event::Wait(seconds) => self.wait(seconds),
                other => self.user(other),
            }
            self.check()?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        self.world.borrow().broken.clone().map_or(Ok(()), Err)
    }

    /// A process that pauses for too long counts as dead; see the histories of keys.
    fn wait(&mut self, seconds: u16) {
        if seconds > 10 {
            self.finish(0);
            self.finish(1);
        }
        self.world.borrow_mut().advance(SignedDuration::from_secs(i64::from(seconds)));
    }

    fn user(&mut self, event: Event) {
        let mut world = self.world.borrow_mut();
        let mark = mark();
        let live: Vec<_> = world
            .entries
            .iter()
            .filter(|it| it.now().is_some() && mark.serial_in(&it.name).is_some())
            .map(|it| it.id.clone())
            .collect();
        let pick = |seed: u8| (!live.is_empty()).then(|| live[usize::from(seed) % live.len()].clone());
        match event {
            Event::RemoveInConsole(seed) => {
                // The console removes provider keys even if the API does not.
                let house = std::mem::replace(&mut world.house, House::Complete);
                pick(seed).map(|id| world.apply(&Ask::Remove(id)));
                world.house = house;
            }
            Event::ReassignInConsole(seed) => {
                let keys = BTreeSet::from([KeyId("by hand".into())]);
                pick(seed).map(|id| world.apply(&Ask::Reassign(id, keys)));
            }
            _ => edit(&mut world, event),
        }
    }

    fn step(&mut self, who: usize, fate: Fate, late: usize) {
        {
            let mut world = self.world.borrow_mut();
            world.advance(SignedDuration::from_millis(10));
            world.fate = fate;
            world.roll = world.roll.wrapping_add(1);
        }
        if self.running[who].is_none() {
            let Some(resource) = self.seen(who, late) else {
                self.world.borrow_mut().wakes[who] = None;
                return;
            };
            {
                let mut world = self.world.borrow_mut();
                world.wakes[who] = None;
                world.woken[who] = late > 0;
            }
            let ports = ProviderModel::new(&self.world, who, self.mutant);
            self.running[who] = Some(Box::pin(provider_key::pass(Arc::new(resource.object()), ports)));
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

    fn seen(&self, who: usize, late: usize) -> Option<Rc<Resource>> {
        let world = self.world.borrow();
        let watched = world.versions[world.versions.len().saturating_sub(1 + late)].clone()?;
        let written = world.written[who].clone();
        written.filter(|it| it.version > watched.version).or(Some(watched))
    }

    fn ended(&self, who: usize, result: &Result<Pass, Error>) {
        let mut world = self.world.borrow_mut();
        world.note(|| format!("operator {who} ended: {result:?}"));
        let now = world.now;
        if matches!(result, Ok(Pass::Unfinished)) {
            world.break_rule("a pass did not come to rest".into());
        }
        let wake = match result {
            Ok(Pass::Rest(until)) => {
                world.tries[who] = 0;
                *until
            }
            Ok(Pass::Stale | Pass::Unfinished) => {
                world.written[who] = None;
                world.tries[who] += 1;
                Some(plus(now, SignedDuration::from_millis(100 << world.tries[who].min(8))))
            }
            Err(_) => {
                world.tries[who] += 1;
                Some(plus(now, backoff(world.tries[who], super::provider_world::UID)))
            }
        };
        let wake = wake.unwrap_or_else(|| plus(now, SignedDuration::from_hours(10)));
        world.wakes[who] = Some(if world.woken[who] { now } else { wake });
    }

    fn finish(&mut self, who: usize) {
        for _ in 0..100 {
            self.step(who, Fate::Fine, 0);
            if self.running[who].is_none() {
                return;
            }
        }
    }

    fn peace(&mut self) -> Result<(), String> {
        self.world.borrow_mut().note(|| "--- peace".into());
        self.go_on(SignedDuration::from_hours(1))?;
        // Provider keys are not polled: a user has to request a reconciliation.
        self.user(Event::AskForLook(255));
        self.go_on(SignedDuration::from_hours(1))?;
        self.settled()?;
        let before = self.world.borrow().effects;
        self.go_on(SignedDuration::from_hours(24))?;
        if before == self.world.borrow().effects { Ok(()) } else { Err("the world is not quiet".into()) }
    }

    fn go_on(&mut self, span: SignedDuration) -> Result<(), String> {
        let end = plus(self.world.borrow().now, span);
        while self.world.borrow().now < end {
            let now = self.world.borrow().now;
            let mut busy = false;
            for who in 0..2 {
                let due = self.world.borrow().wakes[who].is_some_and(|wake| wake <= now);
                if self.running[who].is_some() || due {
                    busy = true;
                    self.step(who, Fate::Fine, 0);
                }
            }
            self.check()?;
            if !busy {
                let mut world = self.world.borrow_mut();
                let lands = world.flights.iter().map(|it| it.0);
                let next = world.wakes.iter().flatten().copied().chain(lands).min();
                let by = next.unwrap_or(end).min(end).duration_since(now);
                world.advance(by.max(SignedDuration::from_millis(1)));
            }
        }
        Ok(())
    }

    fn settled(&self) -> Result<(), String> {
        let world = self.world.borrow();
        let live: Vec<_> = world.entries.iter().filter(|it| it.ours && it.now().is_some()).collect();
        let sure = !matches!(world.house, House::IgnoresRemovals | House::Bare) && !world.stripped;
        let Some(resource) = world.live() else {
            return match live.len() {
                0 => Ok(()),
                _ if !sure => Ok(()),
                left => Err(format!("{left} provider keys outlive their resource")),
            };
        };
        if resource.deleting {
            return Err(format!("the deletion does not end: {:?}", resource.status));
        }
        let status = &resource.status;
        if status.id.is_some() && !(resource.finalizer && resource.claim().is_some()) {
            return Err(format!("nothing holds it: {resource:?}"));
        }
        let ready = condition::find(&status.conditions, READY).is_some_and(|it| it.status == "True");
        let wanted = resource.wanted();
        let named = live.iter().find(|it| Some(&it.id.0) == status.id.as_ref());
        if !ready {
            return Err(format!("not ready: {status:?}"));
        }
        if world.house == House::Bare {
            return Ok(());
        }
        let Some(named) = named else {
            return Err(format!("{:?} is not there", status.id));
        };
        if named.content != wanted.content && !world.stripped {
            return Err(format!("the vendor has {}, wanted is {wanted:?}", named.content));
        }
        let hidden = world.house == House::HidesAssignments;
        if !hidden && named.now() != Some(&wanted.assigned_to) {
            return Err(format!("assigned to {:?}, wanted is {wanted:?}", named.now()));
        }
        let others = live.iter().filter(|it| it.id != named.id);
        let forgotten: Vec<_> =
            others.filter(|it| !status.left_behind.contains(&it.id.0)).map(|it| &it.name).collect();
        if !forgotten.is_empty() && !world.stripped {
            return Err(format!("forgotten: {forgotten:?}"));
        }
        Ok(())
    }
}

fn edit(world: &mut ProviderWorld, event: Event) {
    let Some(live) = world.live() else { return };
    let mut resource = (*live).clone();
    match event {
        // The credential is in a Secret of the user, so a change of it does not change the resource.
        Event::ChangeCredential(choice) => resource.credential = choice,
        Event::ChangeAssignment(choice) if choice != resource.assignment => {
            resource.assignment = choice;
            resource.generation += 1;
        }
        Event::AskForLook(seed) => resource.requested = Some(seed.to_string()),
        Event::StripClaim => {
            world.stripped = true;
            resource.claim = None;
        }
        Event::Replace if !resource.deleting => {
            // A call under a claim that was lost may be sent again under its serial.
            let settled = resource.status.internal.settled_serial.unwrap_or_default();
            let open = resource.claim().is_none_or(|claim| claim.serial.0 > settled);
            world.stripped |= open || !world.flights.is_empty();
            (resource.claim, resource.finalizer) = (None, false);
        }
        Event::DeleteResource if !resource.deleting => {
            world.stripped |= !resource.finalizer;
            resource.deleting = true;
            resource.generation += 1;
        }
        _ => return,
    }
    world.store(resource);
}

#[test]
fn random_histories_end_with_the_wanted_provider_key_or_none() {
    let result = runner(cases(400)).run(&(houses(), events()), |(house, events)| {
        play(house, &events, false).map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        if let TestError::Fail(_, (house, events)) = &error {
            let _ = play(*house, events, true);
            println!("{events:#?}");
        }
        panic!("{error}");
    }
}

/// A replaced resource that is deleted later takes its provider key with it.
#[test]
fn a_replaced_resource_is_held_again_and_a_mutant_that_does_not_is_found() {
    let settled = || (0..40).map(|_| Event::Move { who: 0, fate: Fate::Fine, late: 0 });
    let events: Vec<_> = settled()
        .chain([Event::Wait(200), Event::Replace])
        .chain(settled())
        .chain([Event::Wait(200), Event::DeleteResource])
        .collect();
    play(House::Complete, &events, false).unwrap();
    // Before the deletion nothing holds the resource; after it, the mutant looks like a deletion that came too early.
    let before_deletion = &events[..events.len() - 2];
    play(House::Complete, before_deletion, false).unwrap();
    let found = play_with(Some(Mutant::HoldsNothing), House::Complete, before_deletion, false);
    assert!(found.is_err_and(|why| why.contains("nothing holds it")), "the mutant survived");
}
