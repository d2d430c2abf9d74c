//! What is known before a decision: of the resource, its Secret, and the vendor.

use super::capability::Ability;
use super::claim::{Claim, Purpose};
use super::drift::Sent;
use super::money;
use super::naming::{Identity, Serial};
use super::rotation::RotationRequests;
use crate::api::GatewayApiKeyStatus;
use crate::api::condition::{self, READY};
use crate::api::rotation::{CarriedSpend, KeyCount, PreviousKey, SecretContest};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The vendor's id of a key or deposit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub String);

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A spending limit in millionths of the vendor's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Millionths.
    pub micros: u64,
    /// How often it starts anew.
    pub period: crate::api::shared::Period,
}

/// The settings of a key as the vendor shows them. `None`: the vendor does not show the field at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The human part of the name.
    pub display_name: Option<String>,
    /// Whether calls are accepted.
    pub active: Option<bool>,
    /// The models admitted; empty is every model.
    pub models: Option<Vec<String>>,
    /// The spending limit; inner `None` is no limit.
    pub budget: Option<Option<Limit>>,
    /// Whether there is a spending limit, where its amount is not shown.
    pub capped: Option<bool>,
    /// The e-mail address; inner `None` is none.
    pub email: Option<Option<String>>,
    /// Debug mode.
    pub debug_mode: Option<bool>,
}

/// A key as the vendor lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The vendor's id.
    pub id: KeyId,
    /// The whole name, mark included.
    pub name: String,
    /// When the vendor made it.
    pub created_at: Option<Timestamp>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// What it spent of the running period, in millionths of the vendor's currency, where listings tell.
    pub spent: Option<u64>,
    /// What it may still spend, in millionths of the vendor's currency, where listings tell that instead.
    pub remaining: Option<u64>,
    /// Its settings.
    pub shown: Shown,
    /// Fields that the answer has, but in a form that the driver cannot read. Such a field is `None` above, which says
    /// nothing: neither "absent" nor "never". `unread_expiry` requests for the one that decisions depend on.
    pub unread: Vec<Unread>,
}

/// How far a vendor's clock may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(15);

/// A time at which something happened, as far as it may be believed at this time: nothing happens in the future.
pub fn happened(at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    at.filter(|at| *at <= super::retry::plus(now, AHEAD))
}

impl Listed {
    /// Without the times at which something is said to have happened and cannot have: they are unknown.
    #[must_use]
    pub fn as_of(self, now: Timestamp) -> Self {
        Self {
            created_at: happened(self.created_at, now),
            last_used_at: happened(self.last_used_at, now),
            ..self
        }
    }

    /// Whether the answer has an expiry that the driver cannot read: `expires_at` is `None`, but does not mean "never".
    pub fn unread_expiry(&self) -> bool {
        self.unread.iter().any(|it| it.is_expiry)
    }

    /// The fields that the driver cannot read, by the vendor's own names for them.
    pub fn unread_fields(&self) -> Vec<&'static str> {
        self.unread.iter().map(|it| it.field).collect()
    }
}

/// A field that the driver cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The vendor's own name for it.
    pub field: &'static str,
    /// Whether it is the time at which the key stops working.
    pub is_expiry: bool,
}

/// A key at the vendor that carries our mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// The serial in its name.
    pub serial: Serial,
    /// The key.
    pub key: Listed,
}

/// A complete listing, reduced to the keys that carry our mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// When the listing was *begun*: whatever was there before is in it, listing lag apart.
    pub as_of: Timestamp,
    /// Our keys.
    pub own: Vec<OwnKey>,
}

/// What the target Secret is to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// There is none.
    Absent,
    /// It belongs to somebody else.
    Foreign {
        /// Who, in words.
        owner: String,
    },
    /// It is this resource's.
    Ours(Held),
}

/// What our Secret says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Held {
    /// Serial of the key inside.
    pub serial: Option<Serial>,
    /// Writers with a lower serial are refused.
    pub fence: Option<Serial>,
    /// The vendor's id of the key inside.
    pub key_id: Option<KeyId>,
    /// Its expiry.
    pub expires_at: Option<Timestamp>,
    /// Serial of the old key that stands beside it.
    pub previous: Option<Serial>,
    /// Recognises what applications read, without the old key's entries.
    pub read: Option<String>,
    /// Whether the content is what Keysmith wrote.
    pub intact: bool,
    /// Whether it was rendered with the present template.
    pub current: bool,
    /// Whether it has the type that the template requests for, which Kubernetes does not let change.
    pub kind_fits: bool,
    /// Serial of the key whose bytes stand inside, as far as a hash of them tells: what else was edited can be written
    /// around them.
    pub key: Option<Serial>,
    /// Whether those bytes stand wherever they were put, so that applications read them.
    pub whole: bool,
    /// Whether it is immutable, so that nothing can be written into it any more.
    pub immutable: bool,
    /// Hash of what Keysmith would set right in it.
    pub state: String,
    /// What is not as Keysmith writes it, by name.
    pub differs: Vec<String>,
}

impl Held {
    /// Whether the key of that serial stands in it, as far as its annotations and hashes tell.
    pub fn holds(&self, serial: Serial) -> bool {
        self.serial == Some(serial) && (self.intact || self.key == Some(serial))
    }
}

impl Target {
    /// Our Secret, if it is ours.
    pub const fn held(&self) -> Option<&Held> {
        match self {
            Self::Ours(held) => Some(held),
            _ => None,
        }
    }
}

/// What status remembers of the served key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The vendor's id.
    pub id: Option<KeyId>,
    /// Its serial.
    pub serial: Option<Serial>,
    /// The highest serial with a known outcome.
    pub settled: Serial,
    /// When the vendor made it.
    pub created_at: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// What was last sent of the settings that a vendor need not show.
    pub sent: Sent,
    /// Failed attempts in a row.
    pub failures: u32,
    /// No attempt before this time.
    pub next_attempt_at: Option<Timestamp>,
    /// The generation that is carried out.
    pub generation: Option<i64>,
    /// The generation that was last worked on, with success or without.
    pub attempted: Option<i64>,
    /// Keys that were replaced and are not deleted yet.
    pub previous: Vec<PreviousKey>,
    /// When the key is replaced next, or a failed replacement tried again.
    pub next_rotation: Option<Timestamp>,
    /// When it was replaced last.
    pub rotated_at: Option<Timestamp>,
    /// Failed replacements in a row.
    pub rotation_failures: u32,
    /// What was asked for and is done.
    pub handled: RotationRequests,
    /// Recognises what was asked for when something last failed.
    pub failed_requests: Option<u64>,
    /// Recognises the fields that are fixed when a key is made.
    pub immutable_hash: Option<String>,
    /// Since when the vendor does not show the served key.
    pub missing_since: Option<Timestamp>,
    /// Keys that nothing uses, and when that was told: they are revoked a poll later.
    pub told: BTreeMap<KeyId, Timestamp>,
    /// What was found to be changed back in the Secret time and again.
    pub contest: Option<SecretContest>,
    /// Why it was replaced last, as status names it.
    pub rotated_for: Option<String>,
    /// Counts the keys of a day.
    pub count: Option<KeyCount>,
    /// What earlier keys spent.
    pub carried: Option<CarriedSpend>,
    /// The content of the Secret that consumers were last restarted for.
    pub restarted_for: Option<String>,
    /// Whether status says Ready.
    pub ready: bool,
}

impl From<&GatewayApiKeyStatus> for Record {
    fn from(status: &GatewayApiKeyStatus) -> Self {
        let internal = status.read_internal();
        Self {
            id: status.id.clone().map(KeyId),
            serial: status.serial.and_then(Serial::believed),
            settled: internal.settled_serial.or(status.serial).and_then(Serial::believed).unwrap_or_default(),
            created_at: status.created_at,
            expires_at: status.expires_at,
            sent: Sent { email: status.email.clone(), budget: status.budget.as_ref().and_then(money::limit) },
            failures: status.failures.unwrap_or(0),
            next_attempt_at: status.next_attempt_at,
            // Earlier versions wrote the one for both.
            generation: internal.applied_generation.or(status.observed_generation),
            attempted: condition::find(&status.conditions, READY).and_then(|it| it.observed_generation),
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
            ready: condition::find(&status.conditions, READY).is_some_and(|it| it.status == "True"),
        }
    }
}

/// Everything a decision about a key may depend on.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Facts {
    /// The time.
    pub now: Timestamp,
    /// Whether the resource is being deleted.
    pub deleting: bool,
    /// Whether our finalizer is on it.
    pub finalizer: bool,
    /// Its generation.
    pub generation: Option<i64>,
    /// Whether a look at the vendor was asked for and has not happened yet.
    pub requested: bool,
    /// The claim in its annotations.
    pub claim: Option<Claim>,
    /// Its status.
    pub record: Record,
    /// Its Secret.
    pub target: Target,
    /// The newest listing that may be believed; none before the first.
    pub view: Option<View>,
    /// The answer to a direct question for the served key, if it was asked: `Some(None)` is "gone".
    pub confirmed: Option<Option<Listed>>,
    /// Fields that were amended in this very pass.
    pub amended: Vec<super::drift::Field>,
    /// Keys that the vendor confirmed gone in this pass, whatever a lagging listing shows.
    pub gone: BTreeSet<KeyId>,
    /// Keys that were switched off in this pass, whatever a lagging listing shows.
    pub disabled: BTreeSet<KeyId>,
    /// Keys that this resource names and that do not carry its mark: they are left alone.
    pub strays: BTreeSet<KeyId>,
    /// Time between two listings of the account.
    pub poll: SignedDuration,
    /// Whether the account of the listing may be another one than the keys were made in.
    pub doubted: bool,
    /// How often the Secret was set right lately.
    pub mended: super::contest::Mends,
    /// What the vendor can do.
    pub ability: Ability,
    /// The marks that this resource answers for.
    pub identity: Identity,
    /// What its annotations and its specification ask for.
    pub requests: RotationRequests,
    /// The key named in `externalId`, as the newest listing shows it.
    pub external: Option<Listed>,
    /// Since when its Secret has been seen without the served key; `None` while it is as it should be.
    pub lost_since: Option<Timestamp>,
    /// Whether the served key was seen to work, where that is to be waited for.
    pub proven: bool,
    /// A number in `[0, 1)` of this resource's own, by which its schedule is moved.
    pub spread: f64,
    /// Recognises what consumers should have read by now, while the Secret is as it should be.
    pub revision: Option<String>,
    /// Keys that were made within a day under the resource's name, also for resources that were deleted since.
    pub under_name: Option<KeyCount>,
    /// No more keys than this are made for one resource, or under one name, within a day.
    pub keys_per_day: u64,
}

impl Facts {
    /// A create call whose outcome is not known yet.
    pub fn pending(&self) -> Option<Claim> {
        self.claim.filter(|claim| claim.purpose == Purpose::Create && claim.serial > self.record.settled)
    }

    /// Whether somebody asked for work since the last attempt; a failure is not waited out then.
    pub fn demanded(&self) -> bool {
        let failed =
            self.record.failed_requests.is_some_and(|requests| requests != self.requests.fingerprint());
        self.requested || failed || self.record.attempted != self.generation
    }

    /// Whether the settings have to be compared at the vendor: something changed, or the last attempt failed.
    pub fn changed(&self) -> bool {
        self.requested || self.record.generation != self.generation || self.record.failures > 0
    }

    /// The serial for the next claim: above everything that was ever seen, wherever it was seen, so that
    /// neither a stripped annotation nor a restored backup rewinds it.
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

    /// Whether the Secret holds a served key that works, as far as is known.
    pub fn works(&self) -> bool {
        let missing = self.confirmed == Some(None) && !self.doubted || self.record.missing_since.is_some();
        self.serves() && !missing && self.expired().is_none()
    }

    /// Whether applications read the served key in the Secret, whether or not it works.
    pub fn serves(&self) -> bool {
        let record = &self.record;
        record.serial.is_some()
            && self.target.held().is_some_and(|held| {
                let written = held.intact && held.key_id == record.id && held.serial == record.serial;
                written || held.whole && held.key == record.serial
            })
    }

    /// Whether the bytes of the served key stand in the Secret, so that everything else can be written around them.
    pub fn key_stands(&self) -> bool {
        self.record.serial.is_some() && self.target.held().is_some_and(|held| held.key == self.record.serial)
    }

    /// Since when the served key does not work any more, because its time has come.
    pub fn expired(&self) -> Option<Timestamp> {
        self.record.expires_at.filter(|at| self.ability.expires && *at <= self.now)
    }

    /// Our keys in the newest listing, without those known to be gone.
    pub fn own(&self) -> impl Iterator<Item = &OwnKey> {
        self.view.iter().flat_map(|view| &view.own).filter(|own| !self.gone.contains(&own.key.id))
    }
}
