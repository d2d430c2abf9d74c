//! The world of the histories: Kubernetes, the vendor, a clock, and the invariants.

use super::class::Class;
use super::cluster::{ENTRY, FOREIGN, NAME, Object, Spec, Stored, cluster, digest, mark};
use super::fate::Fate;
use super::vendor::{Request, Vendor, fault};
use crate::support::invariants::{self, Creations, Verdict};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use keysmith::gateway::account::Listing;
use keysmith::plan::fault::Fault;
use keysmith::plan::ledger::{Entry, Missing};
use keysmith::plan::listing::{KeyId, Listed};
use keysmith::plan::mints::Mints;
use keysmith::plan::naming::{Mark, Serial};
use keysmith::plan::orphans::Suspects;
use keysmith::plan::retry::plus;
use keysmith::protocol::memory::Remembered;
use kube::core::Status;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;

pub type Shared = Rc<RefCell<World>>;

/// The refusals of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kube {
    Conflict,
    Missing,
    Unavailable,
    /// A policy refuses the write.
    Refused,
}

impl From<Kube> for kube::Error {
    fn from(refusal: Kube) -> Self {
        let (code, reason) = match refusal {
            Kube::Conflict => (409, "Conflict"),
            Kube::Missing => (404, "NotFound"),
            Kube::Unavailable => (503, "ServiceUnavailable"),
            Kube::Refused => (403, "Forbidden"),
        };
        Self::Api(Status::failure("the model says no", reason).with_code(code).boxed())
    }
}

/// The effect of admission on Secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    #[default]
    None,
    /// Refuses Secrets.
    Refuses,
    /// Adds an entry.
    Dresses,
    /// Removes the key.
    Strips,
}

/// The memory of one operator between passes; a crash clears it.
#[derive(Clone, Default)]
pub struct Memory {
    /// Hash of everything that it saw since its pass began.
    pub seen: u64,
    pub written: Option<Rc<Object>>,
    /// The newest version of the Secret that the watch delivered or the operator wrote.
    pub secret_shown: Option<u64>,
    /// What the engine remembers.
    pub remembered: Remembered,
    pub latest: Option<Arc<Listing>>,
    /// The keys created in the current day.
    pub made: Mints,
    /// It removed the finalizer.
    pub released: bool,
    /// It sleeps before another attempt, until then.
    pub asleep: Option<Timestamp>,
    pub failures: u32,
    pub stale: u32,
    /// The time of its next pass.
    pub wake: Option<Timestamp>,
    /// The resource changed during its pass.
    pub woken: bool,
    /// Its pass sees a resource without a finalizer.
    pub saw_bare: bool,
    /// A create call is about to be sent; by this time a live process would have sent it.
    pub unsent: Option<Timestamp>,
    /// Since when it sweeps no more, because the ledger lacks a key and could not be marked.
    pub stopped: Option<Timestamp>,
    /// The suspects of its last sweep.
    pub suspects: Suspects,
    /// When it first missed the keys of the ledger's entries.
    pub missing: Missing,
}

/// The whole state.
#[expect(clippy::struct_excessive_bools, reason = "each is something that happened once")]
#[derive(Clone)]
pub struct World {
    /// The operator that moves.
    pub mover: usize,
    /// Whether a search compares states, by what each operator saw.
    pub searched: bool,
    pub now: Timestamp,
    /// Every version of the resource; the last is the present one, `None` once it is gone.
    pub versions: Vec<Option<Rc<Object>>>,
    pub secret: Option<Stored>,
    pub policy: Policy,
    /// Whether the resource lost its finalizer, and no operator has seen that yet.
    pub bare: bool,
    /// Whether the resource was deleted without a finalizer: only a sweep finds its keys.
    pub abandoned: bool,
    /// Since when the token leads to an account that has none of the keys.
    pub elsewhere: Option<Timestamp>,
    pub vendor: Vendor,
    /// The keys that were left at the vendor on purpose.
    pub ledger: Vec<Entry>,
    /// Since when the ledger has existed.
    pub ledger_since: Timestamp,
    /// Whether operators sweep in the peace.
    pub sweeps: bool,
    /// Whether the ledger has no room for another entry.
    pub ledger_full: bool,
    /// Whether the foreign key has the mark of a former resource.
    pub former: bool,
    /// Until when lists of resources are empty.
    pub sightless_until: Option<Timestamp>,
    /// Whether the ledger is marked as lacking a key.
    pub ledger_lacks: bool,
    /// Every entry that was ever written, unless its key belongs to a resource again.
    pub entered: Vec<Entry>,
    /// The limit of keys per day.
    pub keys_per_day: u64,
    /// Since when a policy refuses Secrets, or removes the key from them.
    pub refusing_since: Option<Timestamp>,
    /// When create calls were sent.
    pub mints: Vec<Timestamp>,
    pub operators: [Memory; 2],
    /// The outcome of the next request.
    pub fate: Fate,
    /// The lag of the next listing.
    pub roll: u16,
    pub version: u64,
    pub sent: BTreeSet<Serial>,
    /// Claims and create calls.
    pub creations: Creations,
    /// Serials whose only record a user removed; they may be used again, which cannot be prevented.
    pub forgotten: BTreeSet<Serial>,
    /// Whether users removed a claim or wrote into the Secret's annotations, or the Secret was missing for a while:
    /// then nothing stops its writers.
    pub tampered: bool,
    /// Whether a user planted a key a little before its serial was claimed: then there are two keys of one serial, and
    /// an operator that adopts one may revoke the other during its delivery.
    pub planted: bool,
    /// Keys that operators revoked.
    pub revoked: BTreeSet<KeyId>,
    /// Keys that were served when a user declared them leaked.
    pub leaked: BTreeSet<KeyId>,
    /// Keys that users deleted, renamed or switched off.
    pub excused: BTreeSet<KeyId>,
    /// Keys that operators switched off permanently.
    pub switched: BTreeSet<KeyId>,
    /// Keys that operators put into the Secret.
    pub delivered: BTreeSet<KeyId>,
    /// Whether status ever said that the key works.
    pub ready: bool,
    /// Whether a user ever wanted the key switched off.
    pub switched_off: bool,
    /// The number of faults so far.
    pub faults: usize,
    /// Writes of operators to Kubernetes.
    pub writes: u64,
    /// Calls of operators to the vendor, except polls.
    pub calls: u64,
    /// The first broken invariant.
    pub broken: Option<String>,
    pub log: Option<Vec<String>>,
}

impl World {
    pub fn new(class: Class, adopts: bool) -> Self {
        let mut world = Self {
            mover: 0,
            searched: false,
            now: Timestamp::from_second(1_750_000_000).unwrap(),
            versions: Vec::new(),
            secret: None,
            policy: Policy::None,
            bare: false,
            abandoned: false,
            elsewhere: None,
            vendor: Vendor { class, ..Vendor::default() },
            ledger: Vec::new(),
            ledger_since: Timestamp::from_second(1_750_000_000 - 7_200).unwrap(),
            sweeps: false,
            ledger_full: false,
            former: false,
            sightless_until: None,
            ledger_lacks: false,
            entered: Vec::new(),
            keys_per_day: 1000,
            refusing_since: None,
            mints: Vec::new(),
            operators: [Memory::default(), Memory::default()],
            fate: Fate::Fine,
            roll: 0,
            version: 0,
            sent: BTreeSet::new(),
            creations: Creations::default(),
            forgotten: BTreeSet::new(),
            tampered: false,
            planted: false,
            revoked: BTreeSet::new(),
            leaked: BTreeSet::new(),
            excused: BTreeSet::new(),
            switched: BTreeSet::new(),
            delivered: BTreeSet::new(),
            ready: false,
            switched_off: false,
            faults: 0,
            writes: 0,
            calls: 0,
            broken: None,
            log: None,
        };
        // Made by a person long ago, so that every listing shows it.
        let foreign = Request::Mint { name: "a foreign key".into(), models: vec![], ours: false };
        let _ = world.vendor.apply(plus(world.now, -SignedDuration::from_hours(1)), &foreign);
        let spec = Spec { class, adopts, ..Spec::default() };
        world.store(Object { generation: 1, spec, ..Object::default() });
        world
    }

    /// The foreign key has the mark of a former resource of the cluster: it cannot be adopted, and no sweep may revoke it
    /// while a resource names it.
    pub fn mark_foreign_key(&mut self) {
        let former = Mark::new(&cluster(), "uid-of-a-former-one").name("former", Serial(1));
        let since = plus(self.now, -SignedDuration::from_hours(1));
        self.vendor.change(since, &KeyId(FOREIGN.to_owned()), |key| key.name = former);
        self.former = true;
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(log) = &mut self.log {
            log.push(format!("{now} {}", line()));
        }
    }

    pub fn break_rule(&mut self, rule: impl FnOnce() -> String) {
        if self.broken.is_none() {
            let text = rule();
            self.note(|| format!("!!! {text}"));
            self.broken = Some(text);
        }
    }

    /// A rule that every world has.
    pub fn must(&mut self, verdict: Verdict) {
        if let Err(wrong) = verdict {
            self.break_rule(|| wrong);
        }
    }

    /// Advances the time; late requests land.
    pub fn advance(&mut self, by: SignedDuration) {
        let until = plus(self.now, by);
        while let Some(at) = self.vendor.flights.iter().map(|it| it.0).min().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            let place = self.vendor.flights.iter().position(|it| it.0 == at).unwrap();
            let (_, request) = self.vendor.flights.remove(place);
            self.note(|| format!("late: {request:?}"));
            let _ = self.land(&request);
            self.check_served();
        }
        self.now = self.now.max(until);
    }

    // --- Kubernetes

    pub fn live(&self) -> Option<Rc<Object>> {
        self.versions.last().cloned().flatten()
    }

    pub fn wake(&mut self) {
        for operator in &mut self.operators {
            operator.wake = Some(self.now);
            operator.woken = true;
        }
    }

    /// Stores a new version of the resource, by any writer.
    pub fn store(&mut self, mut object: Object) -> Rc<Object> {
        self.version += 1;
        object.version = self.version;
        object.digest = if self.searched { object.content() } else { 0 };
        if object.leaked.is_some() && object.leaked != object.status.last_handled_leaked {
            // It cannot be known which of the working keys it was.
            let previous = object.status.previous.iter().map(|key| KeyId(key.id.clone()));
            self.leaked.extend(object.status.id.clone().map(KeyId).into_iter().chain(previous));
        }
        let object = Rc::new(object);
        let before = self.live();
        if before.is_none_or(|before| before.differs(&object)) {
            self.wake();
        }
        if object.deleting && !object.finalizer {
            self.versions.push(None);
            // Garbage collection follows the owner.
            if self.secret.as_ref().is_some_and(Stored::ours) {
                self.secret = None;
            }
            self.wake();
        } else {
            self.versions.push(Some(Rc::clone(&object)));
        }
        object
    }

    pub fn store_secret(&mut self, secret: Option<Stored>) {
        self.version += 1;
        self.secret = secret.map(|mut stored| {
            stored.version = self.version;
            stored.secret.metadata.resource_version = Some(self.version.to_string());
            stored
        });
        self.wake();
    }

    /// A request to Kubernetes that changes something.
    pub fn write<T: Debug>(&mut self, apply: impl FnOnce(&mut Self) -> Result<T, Kube>) -> Result<T, Kube> {
        self.writes += 1;
        let answer = match self.fate {
            Fate::Fine => {
                let applied = apply(self);
                self.check_served();
                applied
            }
            Fate::Lost => {
                let _ = apply(self);
                self.check_served();
                Err(Kube::Unavailable)
            }
            Fate::Fails | Fate::Unknown | Fate::Late(_) => Err(Kube::Unavailable),
        };
        self.saw(&answer);
        answer
    }

    /// An operator begins a pass.
    pub fn begin(&mut self, who: usize, key: &Object) {
        self.mover = who;
        self.operators[who].saw_bare = self.bare && !key.finalizer;
        self.operators[who].seen = 0;
        self.saw(key);
    }

    /// Records what the moving operator saw.
    fn saw(&mut self, what: &impl Debug) {
        if self.searched {
            let before = self.operators[self.mover].seen;
            self.operators[self.mover].seen = digest(&(before, self.now, what));
        }
    }

    pub fn read<T: Debug>(&mut self, read: impl FnOnce(&Self) -> T) -> Result<T, Kube> {
        let answer = if self.fate == Fate::Fine { Ok(read(self)) } else { Err(Kube::Unavailable) };
        self.saw(&answer);
        answer
    }

    /// Changes the resource if it is still the version that was read.
    pub fn patch(&mut self, read: Option<u64>, change: impl FnOnce(&mut Object)) -> Result<Rc<Object>, Kube> {
        self.write(|world| {
            let live = world.live().ok_or(Kube::Missing)?;
            if read.is_some_and(|read| read != live.version) {
                return Err(Kube::Conflict);
            }
            let mut object = (*live).clone();
            change(&mut object);
            world.check_written(&live, &object);
            world.note(|| {
                let status = &object.status;
                let conditions: Vec<_> = status.conditions.iter().map(|it| &it.reason).collect();
                format!(
                    "resource: claim {:?}, id {:?}, serial {:?}, settled {:?}, previous {:?}, {conditions:?}, finalizer {}",
                    object.claim().map(|it| (it.serial.0, it.purpose, it.cause)),
                    status.id,
                    status.serial,
                    status.internal.settled_serial,
                    status.previous,
                    object.finalizer
                )
            });
            Ok(world.store(object))
        })
    }

    /// The Secret that the API server would store; `None` means create.
    pub fn admit(&self, read: Option<u64>, mut sent: Stored) -> Result<Stored, Kube> {
        let present = self.secret.as_ref();
        match (read, present) {
            (None, Some(_)) => return Err(Kube::Conflict),
            (Some(_), None) => return Err(Kube::Missing),
            (Some(read), Some(present)) if read != present.version => return Err(Kube::Conflict),
            _ => {}
        }
        let changes = |old: &Stored| old.secret.data != sent.secret.data;
        let fixed = present.is_some_and(|old| old.secret.immutable == Some(true) && changes(old));
        let mut add = |entry: &str, text: &str| {
            let data = sent.secret.data.get_or_insert_default();
            data.insert(entry.to_owned(), ByteString(text.as_bytes().to_vec()));
        };
        match self.policy {
            Policy::Refuses => return Err(Kube::Refused),
            _ if fixed => return Err(Kube::Refused),
            Policy::Dresses => add("added", "by a policy"),
            Policy::Strips => add(ENTRY, "stripped"),
            Policy::None => {}
        }
        Ok(sent)
    }

    /// Writes the Secret if it is still the version that was read; `None` means create.
    pub fn put(&mut self, read: Option<u64>, offered: &Stored) -> Result<Stored, Kube> {
        self.write(|world| {
            let admitted = world.admit(read, offered.clone());
            let present = world.secret.as_ref().filter(|_| admitted.is_ok());
            // Users can write any serial; a write of an operator outranks whatever it finds.
            let newest = |it: &Stored| it.newest().map_or(0, |serial| serial.0);
            let serials = (present.map_or(0, newest), newest(offered));
            let stays = world.live().is_some_and(|live| !live.deleting);
            let dead = stays
                && !world.planted
                && !offered.serial().is_some_and(|serial| world.forgotten.contains(&serial))
                && present.is_some_and(|old| old.data() != offered.data())
                && offered.data().as_ref().is_some_and(|id| world.revoked.contains(id));
            // An operator that knows of fewer calls than were sent since must not change the key that a Secret serves.
            let sent = world.sent.last().copied();
            let behind = !world.tampered
                && offered.fence() < sent
                && present.is_some_and(|old| old.data() != offered.data());
            let foreign = present.is_some_and(|old| !old.ours());
            let secret = admitted?;
            world.note(|| format!("Secret: {secret:?}"));
            world.delivered.extend(secret.data());
            if dead {
                world.break_rule(|| format!("a revoked key was put into the Secret: {secret:?}"));
            }
            if behind {
                world.break_rule(|| format!("{sent:?} was sent before this was written: {secret:?}"));
            }
            world.must(invariants::serial_does_not_fall(NAME, serials));
            if foreign {
                world.break_rule(|| "a foreign Secret was written".into());
            }
            world.store_secret(Some(secret));
            world.secret.clone().ok_or(Kube::Missing)
        })
    }

    // --- the vendor

    pub fn send(&mut self, request: &Request) -> Result<Option<Listed>, Fault> {
        self.calls += 1;
        let fate = self.fate;
        self.note(|| format!("vendor, {fate:?}: {request:?}"));
        if let Request::Mint { name, .. } = request
            && fate != Fate::Fails
        {
            self.check_mint(mark().serial_in(name).unwrap_or_default());
        }
        let answer = match fate {
            Fate::Fine => self.land(request),
            Fate::Lost => self.land(request).and(Err(fault(fate))),
            Fate::Late(seconds) => {
                let at = plus(self.now, SignedDuration::from_secs(i64::from(seconds)));
                self.vendor.flights.push((at, request.clone()));
                Err(fault(fate))
            }
            Fate::Fails | Fate::Unknown => Err(fault(fate)),
        };
        self.check_served();
        self.saw(&answer);
        answer
    }

    pub fn ask<T: Debug>(&mut self, answer: impl FnOnce(&Self) -> T) -> Result<T, Fault> {
        self.calls += 1;
        let answer = if self.fate == Fate::Fine { Ok(answer(self)) } else { Err(fault(self.fate)) };
        self.saw(&answer);
        answer
    }

    fn land(&mut self, request: &Request) -> Result<Option<Listed>, Fault> {
        match request {
            Request::Mint { .. } => {}
            Request::Amend { id, name, to, .. } => {
                self.check_ours(id);
                // Only its activity changes: it is a previous key, or about to be revoked.
                if name.is_empty() && !to.active {
                    self.switched.insert(id.clone());
                    self.check_overlap(id);
                }
            }
            Request::Revoke(id) | Request::Rotate(id) => {
                self.check_ours(id);
                self.check_unserved(id);
                self.check_overlap(id);
                self.revoked.insert(id.clone());
            }
        }
        let answer = self.vendor.apply(self.now, request);
        self.check_surplus();
        answer
    }
}
