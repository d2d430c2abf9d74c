//! Sweeps in the histories: the ports of `protocol::sweep`, their invariants, and when operators sweep.

use super::class::Class;
use super::cluster::{Object, mark};
use super::fate::{Fate, turn};
use super::generator::Event;
use super::history::Play;
use super::model::{Model, Reached};
use super::mutant::Mutant;
use super::provider_model::token;
use super::tampered::Tampered;
use super::user::Act;
use super::world::{Kube, World};
use jiff::{SignedDuration, Timestamp};
use keysmith::cluster::{inventory, ledger};
use keysmith::gateway::account::Listing;
use keysmith::plan::identity::AnyToken;
use keysmith::plan::ledger::{Book, Entry, Missing, TokenPlace};
use keysmith::plan::listing::KeyId;
use keysmith::plan::orphans::{Known, Suspects};
use keysmith::plan::report::Notice;
use keysmith::protocol::ports::Ports;
use keysmith::protocol::sweep::{Skipped, Sweep, SweepPorts, Swept};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A sweep under way.
pub type Sweeping = Pin<Box<dyn Future<Output = Result<Swept, Skipped>>>>;

/// The time between two sweeps of an operator in peace.
pub const EVERY: SignedDuration = SignedDuration::from_hours(1);

impl World {
    /// The ledger.
    pub fn book(&self) -> Book {
        Book {
            since: Some(self.ledger_since),
            entries: self.ledger.clone(),
            lacks: Vec::new(),
            lacks_any: self.ledger_lacks,
        }
    }

    /// What the resource accounts for.
    fn known(&self, in_full: bool) -> Known {
        let mut known = Known::default();
        let sees = self.sightless_until.is_none_or(|until| until < self.now);
        if let Some(object) = self.live().filter(|_| sees) {
            let resource = object.resource();
            let (spec, status) = (&resource.spec, &resource.status);
            let data = if in_full { serde_json::json!({"spec": spec, "status": status}) } else { ().into() };
            inventory::account(&mut known, &resource.metadata, &data, &super::cluster::cluster());
        }
        known
    }

    /// Whether an entry says that this key was left at the vendor on purpose.
    pub fn was_kept(&self, id: &KeyId) -> bool {
        let key = self.vendor.keys.iter().find(|key| key.id == *id);
        key.is_some_and(|key| self.entered.iter().any(|entry| entry.covers(key.was())))
    }

    /// A sweep revokes no key that a resource or the ledger accounts for.
    pub fn check_swept(&mut self, who: usize, id: &KeyId) {
        if self.operators[who].stopped.is_some() {
            self.break_rule(|| format!("a sweep revoked {id}, and the ledger lacks a key"));
        }
        let marked = self.vendor.get(id).is_some_and(|key| mark().serial_in(&key.name).is_some());
        if let Some(live) = self.live() {
            let named = live.status.id.as_ref() == Some(&id.0)
                || live.status.previous.iter().any(|it| it.id == id.0)
                || live.resource().spec.external_id.as_ref() == Some(&id.0);
            if marked || named {
                self.break_rule(|| format!("a sweep revoked {id}, and its resource exists"));
            }
        }
        if self.was_kept(id) {
            self.break_rule(|| format!("a sweep revoked {id}, which was kept on purpose"));
        }
    }

    /// A sweep removes no entry of a key that works.
    pub fn check_struck(&mut self, entry: &Entry) {
        let works = self.vendor.keys.iter().filter_map(super::vendor::Key::now).find(|it| entry.covers(it));
        if let Some(id) = works.map(|it| it.id.clone()) {
            self.break_rule(|| format!("a sweep removed the entry of {id}, which works"));
        }
    }
}

impl SweepPorts for Model {
    async fn known_by_marks(&self) -> kube::Result<Known> {
        turn().await;
        self.world.borrow_mut().read(|world| world.known(false)).map_err(Kube::into)
    }

    async fn known_by_everything(&self) -> kube::Result<Known> {
        turn().await;
        self.world.borrow_mut().read(|world| world.known(true)).map_err(Kube::into)
    }

    fn sweeps_stopped(&self) -> bool {
        self.memory(|memory| memory.stopped.is_some())
    }

    async fn open_ledger(&self) -> Result<Book, ledger::Error> {
        self.ledger().await
    }

    fn missing<T>(&self, change: impl FnOnce(&mut Missing) -> T) -> T {
        self.memory(|memory| change(&mut memory.missing))
    }

    fn announce(&self, _: &AnyToken, _: Notice) {}
}

impl Play {
    /// A sweep has its next effect; if none is under way, one starts with a listing made now.
    pub fn sweep(&mut self, who: usize, fate: Fate, roll: u16) {
        {
            let mut world = self.world.borrow_mut();
            world.advance(self.pace);
            world.mover = who;
            world.fate = fate;
            world.faults += usize::from(fate != Fate::Fine);
        }
        if self.sweeping[who].is_none() {
            self.sweeping[who] = Some(self.start_sweep(who, roll));
        }
        let mut context = Context::from_waker(Waker::noop());
        if let Some(sweeping) = &mut self.sweeping[who]
            && let Poll::Ready(result) = sweeping.as_mut().poll(&mut context)
        {
            self.sweeping[who] = None;
            let mut world = self.world.borrow_mut();
            world.note(|| format!("operator {who} swept: {result:?}"));
            if let Ok(swept) = result {
                world.operators[who].suspects = swept.suspects;
            }
        }
        self.world.borrow_mut().fate = Fate::Fine;
    }

    /// A whole sweep without a fault.
    pub fn sweep_to_the_end(&mut self, who: usize, roll: u16) {
        for _ in 0..200 {
            self.sweep(who, Fate::Fine, roll);
            if self.sweeping[who].is_none() {
                return;
            }
        }
        self.world.borrow_mut().break_rule(|| "a sweep does not end".into());
    }

    /// A sweep with a listing of the account that the token leads to now: in another one, there are none of our keys.
    fn start_sweep(&self, who: usize, roll: u16) -> Sweeping {
        let (listing, before) = {
            let world = self.world.borrow();
            let keys = match world.reached() {
                Reached::Own => world.vendor.list(world.now, roll),
                Reached::Other => Vec::new(),
            };
            let listing = Listing::new(world.now, keys);
            let mut before = world.operators[who].suspects.clone();
            if self.mutant == Some(Mutant::SweepsAtOnce) {
                let listed = listing.keys.iter().map(|key| (key.id.clone(), Timestamp::UNIX_EPOCH));
                before = listed.collect();
            }
            (Arc::new(listing), before)
        };
        let model = Model { sweeps: true, ..Model::new(&self.world, who).connected() };
        let ports = Tampered::new(model, self.mutant, &Object::default().resource());
        Box::pin(swept(ports, listing, before))
    }
}

async fn swept(ports: Tampered, listing: Arc<Listing>, before: Suspects) -> Result<Swept, Skipped> {
    let token = AnyToken::from(token("uid-of-the-token"));
    let place = TokenPlace {
        token: token.reference(),
        place: ports.place(&token),
        pinned: String::new(),
        doubted: false,
    };
    Sweep { ports: &ports, token: &token, place, account: &ports, listing: &listing }.run(&before).await
}

/// What goes wrong in a history with this mutant.
fn broken(before: impl FnOnce(&mut World), events: &[Event], mutant: Option<Mutant>) -> Option<String> {
    let mut play = Play::new(World::new(Class::Reveal, false), mutant);
    play.war(&[Event::Finish(0)]).unwrap();
    before(&mut play.world.borrow_mut());
    play.war(events).err()
}

/// Sweeps for two days, a look twice a day.
fn swept_for_two_days() -> Vec<Event> {
    [Event::Sweep(0, 0), Event::Wait(43_200)].repeat(4)
}

#[test]
fn a_sweep_in_another_account_closes_no_entry() {
    let acts = [Act::ForceOrphan, Act::DeleteResource].map(Event::User);
    let kept = [Event::Finish(0), Event::User(Act::ChangeAccount)];
    let events = [acts.to_vec(), kept.to_vec(), swept_for_two_days()].concat();
    assert_eq!(broken(|_| {}, &events, None), None);
    let found = broken(|_| {}, &events, Some(Mutant::SweepsInDoubt));
    assert!(found.is_some_and(|it| it.contains("which works")), "the mutant survived");
}

#[test]
fn nothing_is_swept_once_a_ledger_that_lacks_a_key_could_not_be_marked() {
    let stop = |world: &mut World| {
        world.operators[0].stopped = Some(world.now);
        world.versions.push(None);
    };
    assert_eq!(broken(stop, &swept_for_two_days(), None), None);
    let found = broken(stop, &swept_for_two_days(), Some(Mutant::SweepsAfterStop));
    assert!(found.is_some_and(|it| it.contains("the ledger lacks a key")), "the mutant survived");
}
