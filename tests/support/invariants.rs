//! The invariants of every instant, and those of a world at rest. Each is defined only here; the histories, the sweeps, the
//! binary behind proxies, and the stories check their worlds with them.
//!
//! Plain data in, `Result<(), String>` out: no client, no clock, no vendor, and nothing else of `tests/support`, so that a
//! world without any of them (`tests/plans`) can use them as well. Each world builds its own [`Snapshot`].

use std::collections::{BTreeMap, BTreeSet};

/// Ok, or the violation.
pub type Verdict = Result<(), String>;

fn holds(it: bool, wrong: impl FnOnce() -> String) -> Verdict {
    if it { Ok(()) } else { Err(wrong()) }
}

/// A live key at the vendor. Without `Debug`, because it holds a secret.
#[derive(Clone)]
pub struct Key {
    /// The vendor's id.
    pub id: String,
    /// The name, with its mark.
    pub name: String,
    /// The key itself.
    pub secret: String,
    /// Whether the gateway accepts the key.
    pub works: bool,
}

/// The part of a GatewayApiKey that invariants need. Without `Debug`, because it holds a secret.
#[derive(Clone, Default)]
pub struct Resource {
    /// Its name, for messages.
    pub name: String,
    /// Whether `Ready` is True.
    pub ready: bool,
    /// Whether status is of the present generation.
    pub current: bool,
    /// The key id in status; `None` if no invariant checks it.
    pub id: Option<String>,
    /// The number of previous keys in status.
    pub previous: usize,
    /// The key in its Secret; `None` if the Secret is gone or empty.
    pub held: Option<String>,
    /// Its status, for messages.
    pub status: String,
}

/// The expected resources, the live keys, and the objects that should be gone.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// The expected resources.
    pub resources: Vec<Resource>,
    /// Every live key at the vendor.
    pub keys: Vec<Key>,
    /// The objects that should be gone, by name.
    pub left: Vec<String>,
}

/// The invariants of a world at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtRest {
    /// Nothing remains of deleted resources.
    NothingIsLeft,
    /// Every resource is Ready, at its present generation.
    EveryResourceIsReady,
    /// No resource has a previous key that still waits for its revocation.
    NoPreviousKeyIsLeft,
    /// There are as many live keys as resources: none leaked, none duplicate.
    OneKeyPerResource,
    /// Status names a key that is alive, and no two resources name the same one.
    StatusNamesALiveKey,
    /// The Secret holds a live key: the one that status names, if status is checked.
    TheSecretHoldsTheKey,
    /// The gateway accepts the key in the Secret.
    TheServedKeyWorks,
}

impl AtRest {
    /// All invariants, in the order of the checks.
    pub const ALL: &'static [Self] = &[
        Self::NothingIsLeft,
        Self::EveryResourceIsReady,
        Self::NoPreviousKeyIsLeft,
        Self::OneKeyPerResource,
        Self::StatusNamesALiveKey,
        Self::TheSecretHoldsTheKey,
        Self::TheServedKeyWorks,
    ];
    /// The invariants without status: a key, and the Secret that serves it.
    pub const ONE_KEY_SERVED: &'static [Self] =
        &[Self::OneKeyPerResource, Self::TheSecretHoldsTheKey, Self::TheServedKeyWorks];
    /// The same while other keys may exist, as in a rotation.
    pub const SERVED: &'static [Self] = &[Self::TheSecretHoldsTheKey, Self::TheServedKeyWorks];

    /// Checks this invariant.
    pub fn check(self, snapshot: &Snapshot) -> Verdict {
        match self {
            Self::NothingIsLeft => {
                holds(snapshot.left.is_empty(), || format!("still there: {}", snapshot.left.join(", ")))
            }
            Self::OneKeyPerResource => snapshot.one_key_per_resource(),
            Self::StatusNamesALiveKey => snapshot.status_names_a_live_key(),
            _ => snapshot.resources.iter().try_for_each(|resource| self.check_one(resource, &snapshot.keys)),
        }
    }

    fn check_one(self, resource: &Resource, keys: &[Key]) -> Verdict {
        let Resource { name, status, .. } = resource;
        match self {
            Self::EveryResourceIsReady => {
                holds(resource.ready, || format!("{name} is not Ready: {status}"))?;
                holds(resource.current, || {
                    format!("{name} is Ready as it was before the last edit: {status}")
                })
            }
            Self::NoPreviousKeyIsLeft => {
                holds(resource.previous == 0, || format!("{name} still has previous keys: {status}"))
            }
            Self::TheSecretHoldsTheKey => resource.held_key(keys).map(drop),
            Self::TheServedKeyWorks => {
                let works = resource.held_key(keys)?.works;
                holds(works, || format!("the gateway refuses the key in the Secret of {name}"))
            }
            Self::NothingIsLeft | Self::OneKeyPerResource | Self::StatusNamesALiveKey => Ok(()),
        }
    }
}

impl Resource {
    /// The live key that the Secret holds.
    pub fn held_key<'a>(&self, keys: &'a [Key]) -> Result<&'a Key, String> {
        let name = &self.name;
        let held = self.held.as_ref().ok_or_else(|| format!("the Secret of {name} is gone or empty"))?;
        let key = keys.iter().find(|key| key.secret == *held);
        let key = key.ok_or_else(|| format!("the Secret of {name} holds no live key of the vendor's"))?;
        match &self.id {
            Some(id) if *id != key.id => Err(format!("the Secret of {name} holds {}, not {id}", key.id)),
            _ => Ok(key),
        }
    }
}

impl Snapshot {
    /// The first violation of these invariants, with the name of the invariant.
    pub fn check(&self, invariants: &[AtRest]) -> Verdict {
        let named = |it: AtRest| it.check(self).map_err(|wrong| format!("{it:?}: {wrong}"));
        invariants.iter().copied().try_for_each(named)
    }

    fn one_key_per_resource(&self) -> Verdict {
        let names = || self.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>();
        let (resources, keys) = (self.resources.len(), self.keys.len());
        holds(keys == resources, || format!("{resources} resources and {keys} live keys: {:?}", names()))
    }

    fn status_names_a_live_key(&self) -> Verdict {
        let mut named = BTreeSet::new();
        for Resource { name, id, status, .. } in &self.resources {
            let id = id.as_ref().ok_or_else(|| format!("status of {name} names no key: {status}"))?;
            let alive = self.keys.iter().any(|key| key.id == *id);
            holds(alive, || format!("status of {name} names {id:?}, which is no live key"))?;
            holds(named.insert(id), || format!("status of {name} names {id:?}, as another resource does"))?;
        }
        Ok(())
    }
}

/// The state of a Secret at one instant, and the excuses for a key that does not work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serving {
    /// Whether the gateway accepts the key in the Secret; `None` if the Secret is gone or empty.
    pub works: Option<bool>,
    /// The resource was never Ready, so its key need not work yet.
    pub unpromised: bool,
    /// The resource is being deleted, or its user released it: its key may be revoked first.
    pub ended: bool,
    /// The key in the Secret was declared leaked, and may be revoked at once.
    pub leaked: bool,
}

/// At every instant: from its first Ready until its deletion, the Secret of a resource holds a working key.
pub fn served_key_works(name: &str, serving: Serving) -> Verdict {
    if serving.unpromised || serving.ended || serving.leaked {
        return Ok(());
    }
    let works = serving.works.ok_or_else(|| format!("Secret {name} was gone or empty"))?;
    holds(works, || format!("Secret {name} held a key that the gateway refuses"))
}

/// At every instant: the live keys of one resource are at most one that is served, one that is being created, those in
/// their overlap, and one per fault.
pub fn live_keys_are_excusable(owner: &str, live: usize, (previous, faults): (usize, usize)) -> Verdict {
    let most = 2 + previous + faults;
    holds(live <= most, || format!("{live} live keys of {owner}, at most {most} are excusable"))
}

/// At every write: the serial in a Secret never decreases. Zero means none.
pub fn serial_does_not_fall(secret: &str, (before, now): (u64, u64)) -> Verdict {
    holds(now >= before, || format!("Secret {secret} went from serial {before} back to {now}"))
}

/// At every create call: a serial is claimed before it is sent, and sent at most once. An owner is any value that
/// identifies the resource.
#[derive(Clone, Default)]
pub struct Creations {
    claimed: BTreeSet<(String, u64)>,
    sent: BTreeMap<(String, u64), usize>,
}

impl Creations {
    /// A claim was stored.
    pub fn claim(&mut self, owner: &str, serial: u64) {
        self.claimed.insert((owner.to_owned(), serial));
    }

    /// A create call is sent. A name without a mark does not belong to a key of ours.
    pub fn send(&mut self, marked: Option<(&str, u64)>, name: &str) -> Verdict {
        let (owner, serial) = marked.ok_or_else(|| format!("a key was ordered without a mark: {name}"))?;
        let times = self.sent.entry((owner.to_owned(), serial)).or_default();
        *times += 1;
        holds(*times == 1, || format!("the create call for {owner}, serial {serial}, was sent {times} times"))
    }

    /// Whether that serial was claimed before now.
    pub fn was_claimed(&self, owner: &str, serial: u64) -> Verdict {
        let claimed = self.claimed.contains(&(owner.to_owned(), serial));
        holds(claimed, || format!("the create call for {owner}, serial {serial}, was sent without a claim"))
    }
}

/// At the end: nothing that was printed, stored or shown holds a secret. `secret_in` finds a secret in a text; the text
/// is not repeated.
pub fn no_secret_is_shown<'a>(
    texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    secret_in: impl Fn(&str) -> Option<String>,
) -> Verdict {
    let found = |(place, text): (&str, &str)| {
        secret_in(text).map_or(Ok(()), |form| Err(format!("a secret like {form:?} in {place}")))
    };
    texts.into_iter().try_for_each(found)
}
