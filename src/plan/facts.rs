//! What a decision is based on: the state of the resource, its Secret and the vendor.

use super::capability::Ability;
use super::claim::{Claim, Purpose};
use super::drift::Sent;
use super::listing::{KeyId, Listed, OwnKey, View};
use super::money;
use super::naming::{Identity, Serial};
use super::requests::RotationRequests;
use super::spec_error::SpecError;
use crate::api::GatewayApiKeyStatus;
use crate::api::rotation::{CarriedSpend, KeyCount, PreviousKey, SecretContest};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// State of the target Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The Secret does not exist.
    Absent,
    /// The Secret belongs to another owner.
    Foreign {
        /// The owner, described for messages.
        owner: String,
    },
    /// The Secret belongs to this resource.
    Ours(Held),
}

/// Content and metadata of our Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Held {
    /// Serial of the key in the Secret.
    pub serial: Option<Serial>,
    /// The fence: writers with a lower serial are rejected.
    pub fence: Option<Serial>,
    /// The vendor's id of the key in the Secret.
    pub key_id: Option<KeyId>,
    /// Expiry of that key.
    pub expires_at: Option<Timestamp>,
    /// Serial of the previous key beside it.
    pub previous: Option<Serial>,
    /// Hash of the entries that applications read, without those of the previous key.
    pub read: Option<String>,
    /// Whether the content is what Keysmith wrote.
    pub intact: bool,
    /// Whether it was rendered with the current template.
    pub current: bool,
    /// Whether it has the template's type, which Kubernetes does not let change.
    pub kind_fits: bool,
    /// The key whose bytes are in the Secret, according to their hash. If other parts were edited, they can be repaired
    /// while these bytes are kept.
    pub key: Option<KeyInSecret>,
    /// Whether those bytes are in every entry where Keysmith wrote them, so that applications read them.
    pub whole: bool,
    /// Whether the Secret is immutable, so that nothing can be written into it.
    pub immutable: bool,
    /// Hash of the differences that Keysmith would repair.
    pub state: String,
    /// Names of the parts that differ from what Keysmith writes.
    pub differs: Vec<String>,
}

/// A key whose bytes are in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInSecret {
    /// Its serial.
    pub serial: Serial,
    /// The vendor's id, because two keys may have one serial: a proxy may send a create call twice, or a person may copy a
    /// name. `None`: the Secret was written by version 0.1, and has no imprint.
    pub id: Option<KeyId>,
}

impl KeyInSecret {
    /// Whether it is the key with this serial and id.
    pub fn is(&self, serial: Serial, id: &KeyId) -> bool {
        self.serial == serial && self.id.as_ref().is_none_or(|it| it == id)
    }
}

impl Held {
    /// Whether the Secret holds the key with this serial and the id in its annotations, according to its hashes.
    pub fn holds(&self, serial: Serial) -> bool {
        let stands = match (&self.key, &self.key_id) {
            (Some(key), Some(id)) => key.is(serial, id),
            (Some(key), None) => key.serial == serial,
            (None, _) => self.intact,
        };
        self.serial == Some(serial) && stands
    }
}

impl Target {
    /// The Secret, if it belongs to this resource.
    pub const fn held(&self) -> Option<&Held> {
        match self {
            Self::Ours(held) => Some(held),
            _ => None,
        }
    }
}

/// What reading the served key from the vendor in this pass brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Confirmed {
    /// The key was not read in this pass.
    #[default]
    NotRead,
    /// The vendor has no such key.
    Gone,
    /// The key as the vendor shows it.
    Shown(Box<Listed>),
}

impl Confirmed {
    /// The key, if the vendor showed it.
    pub fn shown(&self) -> Option<&Listed> {
        match self {
            Self::Shown(key) => Some(key),
            Self::NotRead | Self::Gone => None,
        }
    }
}

/// The vendor's answer to a read.
impl From<Option<Listed>> for Confirmed {
    fn from(answer: Option<Listed>) -> Self {
        answer.map_or(Self::Gone, |key| Self::Shown(Box::new(key)))
    }
}

/// What status records of the served key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The vendor's id.
    pub id: Option<KeyId>,
    /// Its serial.
    pub serial: Option<Serial>,
    /// The highest serial whose outcome is known.
    pub settled: Serial,
    /// When the vendor created it.
    pub created_at: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The last sent values of the settings that the vendor may not show.
    pub sent: Sent,
    /// Number of failed attempts in a row.
    pub failures: u32,
    /// No retry before this time.
    pub next_attempt_at: Option<Timestamp>,
    /// The generation that was applied.
    pub generation: Option<i64>,
    /// The generation that was last attempted, successfully or not.
    pub attempted: Option<i64>,
    /// Previous keys that are not deleted yet.
    pub previous: Vec<PreviousKey>,
    /// Time of the next rotation, or of the retry of a failed one.
    pub next_rotation: Option<Timestamp>,
    /// Time of the last rotation.
    pub rotated_at: Option<Timestamp>,
    /// Number of failed rotations in a row.
    pub rotation_failures: u32,
    /// The rotation requests that are done.
    pub handled: RotationRequests,
    /// Hash of the rotation requests at the last failure; another hash ends the backoff.
    pub failed_requests: Option<u64>,
    /// Hash of the fields that are fixed when a key is created.
    pub immutable_hash: Option<String>,
    /// Since when the vendor does not show the served key.
    pub missing_since: Option<Timestamp>,
    /// Unused keys and when they were announced; they are revoked one poll later.
    pub told: BTreeMap<KeyId, Timestamp>,
    /// The contest over the Secret, if something in the cluster keeps changing it back.
    pub contest: Option<SecretContest>,
    /// Cause of the last rotation, by its name in status.
    pub rotated_for: Option<String>,
    /// Counts the keys of a day.
    pub count: Option<KeyCount>,
    /// Spending of earlier keys.
    pub carried: Option<CarriedSpend>,
    /// Hash of the Secret content that its readers were last restarted for.
    pub restarted_for: Option<String>,
    /// Whether applications had a working key when the last pass ended.
    pub worked: bool,
}

impl From<&GatewayApiKeyStatus> for Record {
    fn from(status: &GatewayApiKeyStatus) -> Self {
        let internal = status.read_internal();
        let last = internal.last_pass.unwrap_or_default();
        Self {
            id: status.id.clone().map(KeyId),
            serial: status.serial.and_then(Serial::believed),
            settled: internal.settled_serial.or(status.serial).and_then(Serial::believed).unwrap_or_default(),
            created_at: status.created_at,
            expires_at: status.expires_at,
            sent: Sent { email: status.email.clone(), budget: status.budget.as_ref().and_then(money::limit) },
            failures: status.failures.unwrap_or(0),
            next_attempt_at: status.next_attempt_at,
            // Earlier versions wrote only `observedGeneration`, for both.
            generation: internal.applied_generation.or(status.observed_generation),
            attempted: last.generation,
            previous: status.previous.clone(),
            next_rotation: status.next_rotation_time,
            rotated_at: status.last_rotation.as_ref().map(|it| it.time),
            rotated_for: status.last_rotation.as_ref().map(|it| it.reason.clone()),
            missing_since: status.missing_since,
            contest: status.secret_contest.clone(),
            told: status.unused.iter().map(|it| (KeyId(it.id.clone()), it.told_at)).collect(),
            rotation_failures: status.rotation_failures.unwrap_or(0),
            handled: RotationRequests {
                trigger: status.last_handled_trigger.clone(),
                rotate: status.last_handled_rotate_at.clone(),
                leaked: status.last_handled_leaked.clone(),
            },
            failed_requests: internal.failed_requests_hash,
            immutable_hash: internal.immutable_fields_hash,
            count: internal.key_count,
            carried: internal.carried_spend,
            restarted_for: internal.restarted_revision,
            worked: last.works,
        }
    }
}

/// What the limits of a ClusterConsoleToken mean for a key now.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Why no key may be created now, if so.
    pub refusal: Option<Refusal>,
    /// The least time between two rotations that a user requests.
    pub least_apart: SignedDuration,
    /// The number of old keys that may work beside the served one.
    pub most_previous: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { refusal: None, least_apart: SignedDuration::ZERO, most_previous: usize::MAX }
    }
}

/// Why no key may be created now.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What exceeds the limits, and what to do.
    pub error: SpecError,
    /// When it may be different, if that is known.
    pub until: Option<Timestamp>,
    /// Whether the settings of an existing key are not changed either.
    pub freezes: bool,
}

impl Bounds {
    /// Whether the settings of an existing key must not be changed.
    pub fn frozen(&self) -> Option<&Refusal> {
        self.refusal.as_ref().filter(|it| it.freezes)
    }
}

/// Everything that a decision about a key may depend on.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// The current time.
    pub now: Timestamp,
    /// Whether the resource is being deleted.
    pub deleting: bool,
    /// Whether our finalizer is on it.
    pub finalizer: bool,
    /// Its `metadata.generation`.
    pub generation: Option<i64>,
    /// Whether a check of the vendor was requested and not made yet.
    pub requested: bool,
    /// The claim in its annotations.
    pub claim: Option<Claim>,
    /// Its status.
    pub record: Record,
    /// Its Secret.
    pub target: Target,
    /// The newest listing that is recent enough to trust; `None` before the first one.
    pub view: Option<View>,
    /// The served key as read directly from the vendor in this pass.
    pub confirmed: Confirmed,
    /// Fields that were amended in this pass.
    pub amended: Vec<super::drift::Field>,
    /// Keys that the vendor confirmed as gone in this pass; a listing may lag and still show them.
    pub gone: BTreeSet<KeyId>,
    /// Keys that were switched off in this pass; a listing may lag and still show them as active.
    pub disabled: BTreeSet<KeyId>,
    /// Keys recorded in status that do not carry the resource's mark; they are not touched.
    pub strays: BTreeSet<KeyId>,
    /// Time between two listings of the account (the poll interval).
    pub poll: SignedDuration,
    /// Whether the listing may come from another account than the one in which the keys were created.
    pub doubted: bool,
    /// How often the Secret was repaired lately.
    pub mended: Mends,
    /// What the vendor can do.
    pub ability: Ability,
    /// The marks of this resource.
    pub identity: Identity,
    /// The rotation requests in its annotations and its specification.
    pub requests: RotationRequests,
    /// The key named in `externalId`, as the newest listing shows it.
    pub external: Option<Listed>,
    /// Since when the Secret has not held the served key; `None` while it does.
    pub lost_since: Option<Timestamp>,
    /// Whether the served key has been seen to work, where deleting previous keys waits for that; otherwise true.
    pub proven: bool,
    /// A number in `[0, 1)`, fixed per resource, that shifts its schedule.
    pub spread: f64,
    /// Hash of the content that readers should have read by now; `None` while the Secret is not correct.
    pub revision: Option<String>,
    /// Keys created within a day under the resource's name, including those of deleted resources with that name.
    pub under_name: Option<KeyCount>,
    /// Limit of keys created within a day for one resource, or under one name.
    pub keys_per_day: u64,
    /// What the limits of its ClusterConsoleToken mean for it.
    pub bounds: Bounds,
}

impl Facts {
    /// The claim of a create call whose outcome is unknown.
    pub fn pending(&self) -> Option<Claim> {
        self.claim.filter(|claim| claim.purpose == Purpose::Create && claim.serial > self.record.settled)
    }

    /// Whether a check, a rotation or a change was requested since the last attempt; that ends the backoff.
    pub fn demanded(&self) -> bool {
        let failed =
            self.record.failed_requests.is_some_and(|requests| requests != self.requests.fingerprint());
        self.requested || failed || self.record.attempted != self.generation
    }

    /// Whether the settings must be compared at the vendor: something changed, or the last attempt failed.
    pub fn changed(&self) -> bool {
        self.requested || self.record.generation != self.generation || self.record.failures > 0
    }

    /// The serial for the next claim: above every serial seen in any place, so that neither a removed annotation
    /// nor a restored backup makes it go back.
    pub fn next_serial(&self) -> Serial {
        let held = self.target.held();
        let seen = [
            self.claim.map(|claim| claim.serial),
            Some(self.record.settled),
            self.record.serial,
            held.and_then(|held| held.serial),
            held.and_then(|held| held.fence),
            self.view.as_ref().and_then(|view| view.own.iter().map(|own| own.serial).max()),
        ];
        seen.into_iter().flatten().max().unwrap_or_default().next()
    }

    /// Whether the Secret holds the served key and, as far as is known, that key works.
    pub fn works(&self) -> bool {
        let missing =
            self.confirmed == Confirmed::Gone && !self.doubted || self.record.missing_since.is_some();
        self.serves() && !missing && self.expired().is_none()
    }

    /// Whether applications can read the served key from the Secret, even if it does not work.
    pub fn serves(&self) -> bool {
        let record = &self.record;
        let written = |it: &Held| it.intact && it.key_id == record.id && it.serial == record.serial;
        record.serial.is_some()
            && self.target.held().is_some_and(|held| written(held) || held.whole && self.key_is_in_secret())
    }

    /// Whether the bytes of the served key are in the Secret, so that the rest can be written again around them.
    pub fn key_is_in_secret(&self) -> bool {
        let key = self.target.held().and_then(|held| held.key.as_ref());
        let served = self.record.serial.zip(self.record.id.as_ref());
        key.zip(served).is_some_and(|(key, (serial, id))| key.is(serial, id))
    }

    /// When the served key expired, if it has.
    pub fn expired(&self) -> Option<Timestamp> {
        self.record.expires_at.filter(|at| self.ability.expires && *at <= self.now)
    }

    /// Our keys in the newest listing, without those confirmed as gone.
    pub fn own(&self) -> impl Iterator<Item = &OwnKey> {
        self.view.iter().flat_map(|view| &view.own).filter(|own| !self.gone.contains(&own.key.id))
    }
}

/// How often the Secret was repaired lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mends {
    /// From the state that it is in now.
    pub this: u32,
    /// From any state but a deleted Secret.
    pub whatever: u32,
}
