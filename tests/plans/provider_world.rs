//! The world of the provider-key histories: one ProviderKey, the vendor's provider keys, a clock.

use super::class::LAG;
use super::fate::Fate;
use super::vendor::fault;
use super::world::Kube;
use crate::support::invariants::{Creations, Verdict};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use keysmith::api::provider_key::{CredentialsRef, ProviderKeyScope, ProviderKeySpec};
use keysmith::api::shared::{ConsoleTokenRef, LocalRef};
use keysmith::api::{CLAIM, FINALIZER, ProviderKey, ProviderKeyStatus, RECONCILE_REQUESTED};
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::fault::Fault;
use keysmith::plan::listing::KeyId;
use keysmith::plan::provider_key::{ListedProviderKey, ProviderKeyListing, Wanted};
use keysmith::plan::retry::plus;
use keysmith::protocol::memory::Remembered;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::cluster::{NAMESPACE, TOKEN};
pub use super::cluster::{UID, mark};

pub type Shared = Rc<RefCell<ProviderWorld>>;

/// How the vendor deviates from its documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum House {
    /// It updates, removes, and lists everything.
    Complete,
    /// It accepts updates and ignores them.
    IgnoresUpdates,
    /// It does not show assignments.
    HidesAssignments,
    /// It accepts removals and ignores them.
    IgnoresRemovals,
    /// Its listing shows neither ids nor names.
    Bare,
}

/// One version of the resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    pub version: u64,
    pub generation: i64,
    pub deleting: bool,
    pub finalizer: bool,
    pub claim: Option<String>,
    pub requested: Option<String>,
    pub credential: u8,
    pub assignment: u8,
    pub status: ProviderKeyStatus,
}

impl Resource {
    pub fn claim(&self) -> Option<Claim> {
        Claim::decode(self.claim.as_deref(), &super::cluster::identity())
    }

    pub fn wanted(&self) -> Wanted {
        Wanted { content: credential(self.credential), assigned_to: assigned(self.assignment) }
    }

    /// The resource as the API server returns it.
    pub fn object(&self) -> ProviderKey {
        let names = assigned(self.assignment).into_iter().map(|id| LocalRef { name: id.0 });
        let refs: Vec<_> = names.collect();
        let spec = ProviderKeySpec {
            console_token_ref: ConsoleTokenRef { kind: None, name: TOKEN.into() },
            provider: "openai".into(),
            display_name: None,
            credentials_ref: CredentialsRef { name: "openai".into(), key: None },
            scope: refs.is_empty().then_some(ProviderKeyScope::Organization),
            gateway_key_refs: (!refs.is_empty()).then_some(refs),
        };
        let mut object = ProviderKey::new("openai", spec);
        let annotations = [(CLAIM, &self.claim), (RECONCILE_REQUESTED, &self.requested)];
        let annotations =
            annotations.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        object.metadata.namespace = Some(NAMESPACE.into());
        object.metadata.uid = Some(UID.into());
        object.metadata.resource_version = Some(self.version.to_string());
        object.metadata.generation = Some(self.generation);
        object.metadata.annotations = Some(annotations.collect());
        object.metadata.deletion_timestamp = self.deleting.then_some(Time(Timestamp::UNIX_EPOCH));
        object.metadata.finalizers = self.finalizer.then(|| vec![FINALIZER.to_owned()]);
        object.status = Some(self.status.clone());
        object
    }
}

/// A provider credential, which is fake.
pub fn credential(choice: u8) -> String {
    format!("sk-fake-credential-{choice}")
}

fn assigned(choice: u8) -> BTreeSet<KeyId> {
    (0..choice).map(|it| KeyId(format!("gateway-key-{it}"))).collect()
}

pub struct Entry {
    pub id: KeyId,
    pub name: String,
    pub content: String,
    pub ours: bool,
    history: Vec<(Timestamp, Option<BTreeSet<KeyId>>)>,
}

impl Entry {
    pub fn now(&self) -> Option<&BTreeSet<KeyId>> {
        self.history.last().and_then(|(_, state)| state.as_ref())
    }
}

#[derive(Clone, Debug)]
pub enum Ask {
    Create { name: String, wanted: Wanted, ours: bool },
    Reassign(KeyId, BTreeSet<KeyId>),
    Remove(KeyId),
}

pub struct ProviderWorld {
    pub now: Timestamp,
    pub house: House,
    pub versions: Vec<Option<Rc<Resource>>>,
    pub written: [Option<Rc<Resource>>; 2],
    /// What the engine remembers.
    pub remembered: [Remembered; 2],
    pub wakes: [Option<Timestamp>; 2],
    pub woken: [bool; 2],
    pub tries: [u32; 2],
    pub entries: Vec<Entry>,
    pub flights: Vec<(Timestamp, Ask)>,
    pub fate: Fate,
    pub roll: u16,
    pub effects: u64,
    creations: Creations,
    /// Whether a user removed a claim, so that serials may repeat, or deleted the resource while nothing held it.
    pub stripped: bool,
    pub broken: Option<String>,
    pub log: Option<Vec<String>>,
}

impl ProviderWorld {
    pub fn new(house: House) -> Self {
        let now = Timestamp::from_second(1_750_000_000).unwrap();
        let mut world = Self {
            now,
            house,
            versions: Vec::new(),
            written: [None, None],
            remembered: Default::default(),
            wakes: [None; 2],
            woken: [false; 2],
            tries: [0; 2],
            entries: Vec::new(),
            flights: Vec::new(),
            fate: Fate::Fine,
            roll: 0,
            effects: 0,
            creations: Creations::default(),
            stripped: false,
            broken: None,
            log: None,
        };
        world.apply(&Ask::Create {
            name: "foreign".into(),
            wanted: Resource::default().wanted(),
            ours: false,
        });
        world.store(Resource { generation: 1, assignment: 1, ..Resource::default() });
        world
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(log) = &mut self.log {
            log.push(format!("{now} {}", line()));
        }
    }

    fn must(&mut self, verdict: Verdict) {
        if let Err(wrong) = verdict {
            self.break_rule(wrong);
        }
    }

    pub fn break_rule(&mut self, rule: String) {
        self.note(|| format!("!!! {rule}"));
        self.broken.get_or_insert(rule);
    }

    pub fn advance(&mut self, by: SignedDuration) {
        let until = plus(self.now, by);
        self.flights.sort_by_key(|(at, _)| *at);
        while self.flights.first().is_some_and(|(at, _)| *at <= until) {
            let (at, ask) = self.flights.remove(0);
            self.now = self.now.max(at);
            self.note(|| format!("late: {ask:?}"));
            self.apply(&ask);
        }
        self.now = self.now.max(until);
    }

    pub fn live(&self) -> Option<Rc<Resource>> {
        self.versions.last().cloned().flatten()
    }

    pub fn store(&mut self, mut resource: Resource) -> Rc<Resource> {
        resource.version = u64::try_from(self.versions.len()).unwrap() + 1;
        let resource = Rc::new(resource);
        let same = |old: &Rc<Resource>| {
            old.generation == resource.generation
                && old.claim == resource.claim
                && old.requested == resource.requested
                && old.credential == resource.credential
                && old.finalizer == resource.finalizer
        };
        if !self.live().as_ref().is_some_and(same) {
            self.wakes = [Some(self.now); 2];
            self.woken = [true; 2];
        }
        let gone = resource.deleting && !resource.finalizer;
        self.versions.push((!gone).then(|| Rc::clone(&resource)));
        resource
    }

    pub fn patch(&mut self, read: u64, change: impl FnOnce(&mut Resource)) -> Result<Rc<Resource>, Kube> {
        self.effects += 1;
        if !matches!(self.fate, Fate::Fine | Fate::Lost) {
            return Err(Kube::Unavailable);
        }
        let live = self.live().ok_or(Kube::Missing)?;
        if live.version != read {
            return Err(Kube::Conflict);
        }
        let mut resource = (*live).clone();
        change(&mut resource);
        self.note(|| format!("resource: {:?} {:?}", resource.claim, resource.status));
        let written = self.store(resource);
        if self.fate == Fate::Lost {
            return Err(Kube::Unavailable);
        }
        Ok(written)
    }

    pub fn read<T>(&mut self, read: impl FnOnce(&Self) -> T) -> Result<T, Kube> {
        if self.fate == Fate::Fine { Ok(read(self)) } else { Err(Kube::Unavailable) }
    }

    /// A request to the vendor that changes something.
    pub fn send(&mut self, ask: &Ask) -> Result<Option<KeyId>, Fault> {
        self.effects += 1;
        let fate = self.fate;
        self.note(|| format!("vendor, {fate:?}: {ask:?}"));
        self.check(ask);
        match fate {
            Fate::Fine => return Ok(self.apply(ask)),
            Fate::Lost => drop(self.apply(ask)),
            Fate::Late(seconds) => {
                let at = plus(self.now, SignedDuration::from_secs(i64::from(seconds)));
                self.flights.push((at, ask.clone()));
            }
            Fate::Fails | Fate::Unknown => {}
        }
        Err(fault(fate))
    }

    fn check(&mut self, ask: &Ask) {
        match ask {
            Ask::Create { name, .. } => {
                let serial = mark().serial_in(name).unwrap_or_default();
                let claims = self.versions.iter().flatten().filter_map(|it| it.claim());
                for claim in claims.filter(|it| it.purpose == Purpose::Create) {
                    self.creations.claim(UID, claim.serial.0);
                }
                // A call that fails for certain may be sent again.
                if self.fate != Fate::Fails {
                    let sent = self.creations.send(Some((UID, serial.0)), name);
                    if !self.stripped {
                        self.must(sent);
                    }
                }
                self.must(self.creations.was_claimed(UID, serial.0));
            }
            Ask::Reassign(id, _) | Ask::Remove(id) => {
                if self.entries.iter().any(|entry| entry.id == *id && !entry.ours) {
                    self.break_rule(format!("the foreign {id} was touched"));
                }
            }
        }
    }

    pub fn apply(&mut self, ask: &Ask) -> Option<KeyId> {
        let now = self.now;
        match ask {
            Ask::Create { name, wanted, ours } => {
                let id = KeyId(format!("provider-key-{}", self.entries.len()));
                self.entries.push(Entry {
                    id: id.clone(),
                    name: name.clone(),
                    content: wanted.content.clone(),
                    ours: *ours,
                    history: vec![(now, Some(wanted.assigned_to.clone()))],
                });
                return Some(id);
            }
            Ask::Reassign(id, keys) => {
                let heard = self.house != House::IgnoresUpdates;
                if let Some(entry) = self.entries.iter_mut().find(|it| it.id == *id && heard)
                    && entry.now().is_some()
                {
                    entry.history.push((now, Some(keys.clone())));
                }
            }
            Ask::Remove(id) => {
                let heard = self.house != House::IgnoresRemovals;
                if let Some(entry) = self.entries.iter_mut().find(|it| it.id == *id && heard) {
                    entry.history.push((now, None));
                }
            }
        }
        None
    }

    pub fn list(&mut self, as_of: Timestamp) -> Result<ProviderKeyListing, Fault> {
        self.effects += 1;
        if self.fate != Fate::Fine {
            return Err(fault(self.fate));
        }
        let bare = self.house == House::Bare;
        let seen = |(place, entry): (usize, &Entry)| {
            let lag = SignedDuration::from_secs(match (usize::from(self.roll) + place) % 3 {
                0 => 0,
                1 => LAG.as_secs(),
                _ => i64::try_from(usize::from(self.roll) % 30).unwrap(),
            });
            let at = plus(self.now, -lag);
            let state = entry.history.iter().rev().find(|(since, _)| *since <= at);
            let keys = state.and_then(|(_, state)| state.clone())?;
            Some(ListedProviderKey {
                id: (!bare).then(|| entry.id.clone()),
                name: (!bare).then(|| entry.name.clone()),
                assigned_to: (!bare && self.house != House::HidesAssignments).then_some(keys),
            })
        };
        let provider_keys = self.entries.iter().enumerate().filter_map(seen).collect();
        Ok(ProviderKeyListing { as_of, keys: provider_keys })
    }
}
