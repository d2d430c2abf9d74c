//! What a decision about a key is: the step to take, and why.

use super::claim::Claim;
use super::drift::Field;
use super::facts::Facts;
use super::listing::KeyId;
use super::naming::Serial;
use super::requests::Cause;
use super::retry::plus;
use super::rotation;
use super::spec_error::SpecError;
use jiff::{SignedDuration, Timestamp};

/// A create call must be sent within this time after its claim; later it is not sent at all.
pub const SEND_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// Time from the claim until the sender of a create call has certainly given up: `SEND_WITHIN`, the wait for a
/// rate-limit permit (5 s) and the timeout of the call (30 s). A key still not listed by then (plus the listing
/// lag) counts as never created. If it appears later, the next poll finds its mark and revokes it.
pub const GIVEN_UP: SignedDuration = SignedDuration::from_secs(40);

/// How long the vendor may still carry out a create call after its sender gave up. Only a deletion waits this long,
/// because no later poll would find the key.
pub const STRAGGLING: SignedDuration = SignedDuration::from_secs(120);

/// Retry interval while the Secret's name is taken.
pub(super) const TAKEN: SignedDuration = SignedDuration::from_secs(60);

/// One step and its reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do.
    pub step: Step,
    /// Why.
    pub why: Why,
}

/// The possible steps. After every step but `Rest`, a new decision is made.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Claim the serial, create a key under it, write it into the Secret, record it in status.
    Issue(Serial),
    /// The key of a create call whose outcome was unknown is found: reveal it, write it into the Secret, record it.
    Recover(Serial, KeyId),
    /// The Secret already holds the claimed key; record it in status.
    Commit(Serial, KeyId),
    /// Claim a higher serial without creating a key: the Secret carries a serial or fence above our last claim and
    /// would reject our write.
    BumpSerial(Serial),
    /// Reveal the served key and write its Secret again.
    Restore(Serial, KeyId),
    /// Write the Secret again and keep the bytes of the served key, which are still in it.
    Rewrite(Serial, KeyId),
    /// Leave the Secret as it is, because something in the cluster keeps changing it back.
    Contest,
    /// Record in status that the vendor does not show the served key.
    Miss(KeyId),
    /// Announce unused keys that carry our mark; they are revoked one poll later.
    Announce(Vec<KeyId>),
    /// The claimed create call made no usable key and the served key still exists: claim the next serial, so that a
    /// late result of the old one is neither recorded nor delivered.
    AbandonAttempt(Serial),
    /// Raise the fence in the Secret, so that no writer with an older claim can write it.
    FenceSecret(Serial),
    /// Record an existing key as the served one.
    RecordKey(Serial, KeyId),
    /// Add our mark with this serial to the key, whose present name is given.
    TagKey(KeyId, Serial, String),
    /// Give up the served key, which leaked, before another key exists.
    DropLeaked(KeyId),
    /// Revoke a previous key and remove it from status.
    Retire(KeyId),
    /// Switch a previous key on or off.
    Switch(KeyId, bool),
    /// Cut the budget of a previous key to this amount, in millionths; its successor gets the rest.
    Cut(KeyId, u64),
    /// Remove the entries of the previous key from the Secret.
    PrunePrevious,
    /// Restart workloads that read the Secret only at start.
    Restart(String),
    /// Change these settings of the served key.
    Amend(KeyId, Vec<Field>),
    /// Read the served key from the vendor.
    Confirm(KeyId),
    /// Obtain a listing that began after this time.
    Look(Timestamp),
    /// Delete unused keys that carry our mark.
    Revoke(Vec<KeyId>),
    /// Claim the deletion, which fences out every holder of an older claim.
    ClaimDeletion(Claim),
    /// Switch off keys that stay at the vendor when their resource is deleted.
    Disable(Vec<KeyId>),
    /// Remove the finalizer.
    Release,
    /// Do nothing before this time, or before something changes.
    Rest(Option<Timestamp>),
}

/// Reason for a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// There is no key yet.
    NeverIssued,
    /// There is no key yet, and a field has no effect: `Desired::idle`.
    Idle,
    /// The outcome of the last create call is unknown.
    AnswerLost,
    /// The last create call was certainly not applied.
    AttemptFailed,
    /// The key was deleted at the vendor.
    KeyLost,
    /// The vendor does not show the served key; a second look decides whether it is lost.
    KeyMissing,
    /// All keys of the account are missing at once, so the token may lead to another account.
    AccountDoubted,
    /// The Secret is immutable and would have to be changed.
    SecretImmutable,
    /// Something in the cluster keeps changing the Secret back.
    Contested,
    /// The Secret was deleted.
    SecretDeleted,
    /// The Secret was edited.
    SecretEdited,
    /// The template changed.
    TemplateChanged,
    /// The Secret's name is taken by this other owner.
    SecretTaken(String),
    /// The Secret's type differs from the template's.
    TypeFixed,
    /// The specification changed, or a check was requested.
    SpecChanged,
    /// The key was changed at the vendor.
    Drift(Vec<Field>),
    /// The vendor accepted a change but does not show it.
    NotApplied(Vec<Field>),
    /// An unused key of ours.
    Unused,
    /// A retry is waiting for its backoff.
    BackingOff,
    /// A new key replaces the served one.
    Rotation(Cause),
    /// The served key leaked.
    Leaked,
    /// A previous key works beside its successor until the overlap ends.
    Overlap,
    /// The overlap ended, but the previous key is still used.
    StillInUse,
    /// More previous keys exist than the policy permits.
    TooMany,
    /// Too many keys were created within a day; no more before this time.
    MintingStopped(Timestamp),
    /// The limits of the ClusterConsoleToken do not permit a new key, or a change.
    LimitExceeded(SpecError),
    /// The Secret changed, and its readers have not been restarted since.
    Republished,
    /// `spec.suspend`
    Suspended,
    /// `managementPolicy: Observe`
    Observed,
    /// The key named in `externalId` is being adopted.
    TakenOver,
    /// The key named in `externalId` does not exist.
    ExternalMissing,
    /// The key is managed by another resource of this cluster (true) or by another cluster (false).
    OwnedElsewhere(bool),
    /// The resource was restored from a backup.
    Relinked,
    /// The vendor's key stays when its resource is deleted, because of the deletion policy or the annotation
    /// `keysmith.dev/force-orphan`.
    LeftBehind,
    /// The resource is being deleted.
    Deleting,
    /// Nothing needs to be done.
    Fresh,
}

pub(super) const fn take(step: Step, why: Why) -> Decision {
    Decision { step, why }
}

pub(super) struct Served<'a> {
    pub(super) id: &'a KeyId,
    pub(super) serial: Serial,
}

pub(super) fn issue(facts: &Facts, why: Why) -> Decision {
    match rotation::stopped(facts) {
        Some(until) => take(Step::Rest(Some(until)), Why::MintingStopped(until)),
        None if immutable(facts) => take(Step::Rest(None), Why::SecretImmutable),
        None if facts.bounds.refusal.is_some() => limited(facts),
        None => take(Step::Issue(facts.next_serial()), why),
    }
}

/// Interval at which the limits are looked at again: another key of the namespace may have made room.
const ROOM: SignedDuration = SignedDuration::from_mins(5);

/// Rests, because the limits of the ClusterConsoleToken do not permit what is due.
pub(super) fn limited(facts: &Facts) -> Decision {
    match &facts.bounds.refusal {
        Some(refusal) => {
            let until = refusal.until.unwrap_or_else(|| plus(facts.now, ROOM));
            take(Step::Rest(Some(until)), Why::LimitExceeded(refusal.error.clone()))
        }
        None => take(Step::Rest(None), Why::Fresh),
    }
}

/// Replaces a key that does not work any more at once, unless an earlier attempt failed and waits for its retry.
pub(super) fn again(facts: &Facts, cause: Cause) -> Decision {
    match rotation::retry(facts) {
        Some(at) => take(Step::Rest(Some(at)), Why::BackingOff),
        None => issue(facts, Why::Rotation(cause)),
    }
}

/// Whether the Secret would reject a writer with this serial, because the Secret or the claim was edited by hand.
pub(super) fn outranked(facts: &Facts, serial: Serial) -> bool {
    let held = facts.target.held();
    held.and_then(|held| held.serial.max(held.fence)).is_some_and(|it| it > serial)
}

/// The highest serial in this resource's claim and status.
pub(super) fn newest(facts: &Facts, served: &Served<'_>) -> Serial {
    facts.claim.map_or(served.serial, |claim| claim.serial.max(served.serial))
}

pub(super) fn immutable(facts: &Facts) -> bool {
    facts.target.held().is_some_and(|held| held.immutable)
}
