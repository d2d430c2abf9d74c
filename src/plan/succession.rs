//! The status after a new key replaced the served one, for any cause.

use super::budget::Shares;
use super::capability::Support;
use super::desired::Desired;
use super::expiry;
use super::facts::Confirmed;
use super::listing::{KeyId, Listed};
use super::money;
use super::naming::Serial;
use super::requests::{Cause, RotationRequests};
use super::retry::plus;
use super::rotation;
use crate::api::GatewayApiKeyStatus;
use crate::api::condition::PREVIOUS_KEY_IN_USE;
use crate::api::rotation::{LastRotation, PreviousKey, UnusedKey};
use crate::api::shared::LocalRef;
use crate::plan::time;
use jiff::{SignedDuration, Timestamp};

/// The key that the Secret holds from now on.
#[derive(Clone, Debug)]
pub struct Successor<'a> {
    /// The vendor's id.
    pub id: &'a KeyId,
    /// Its serial.
    pub serial: Serial,
    /// The highest serial whose outcome is now known.
    pub settled: Serial,
    /// The key as the vendor shows it, if it was read.
    pub listed: Option<&'a Listed>,
    /// The remaining budget, shared by this key and the one that it replaces.
    pub shares: Option<Shares>,
    /// Why it replaces the served key.
    pub cause: Option<Cause>,
    /// The rotation requests when it was claimed.
    pub requests: &'a RotationRequests,
    /// The desired state for which it was created.
    pub desired: &'a Desired,
    /// The current time.
    pub now: Timestamp,
    /// The number in `[0, 1)` that shifts the resource's schedule.
    pub spread: f64,
}

/// Records the new key as served; the one before becomes a previous key.
pub fn succeed(status: &mut GatewayApiKeyStatus, next: &Successor<'_>) {
    let old = status.id.take().zip(status.serial);
    let forsaken = old.is_none() && status.internal.immutable_fields_hash.is_some();
    // No content is recorded yet, as after the first key: the readers still have the old content and need a
    // restart.
    let replaces = old.as_ref().is_some_and(|(id, _)| *id != next.id.0) || forsaken;
    if replaces && !next.desired.policy.restart.is_empty() {
        status.internal.restarted_revision.get_or_insert_default();
    }
    if let Some((id, serial)) = old.filter(|(id, _)| *id != next.id.0) {
        retire(status, next, id, serial);
    } else if forsaken {
        // The leaked key was given up before this one existed: it is already a previous key, or deleted.
        tell(status, next, Cause::Leaked);
    }
    status.internal.key_count = rotation::made(status.internal.key_count.take());
    status.id = Some(next.id.0.clone());
    status.serial = Some(next.serial.0);
    status.internal.settled_serial = status.internal.settled_serial.max(Some(next.settled.0));
    status.binding = Some(LocalRef { name: next.desired.secret.name.clone() });
    status.created_at = next.listed.and_then(|key| key.created_at).or(Some(next.now));
    let shown = next.listed.and_then(|key| key.expires_at);
    status.expires_at = expiry::recorded(status.created_at, shown, next.desired);
    status.active = next.listed.and_then(|key| key.shown.active);
    status.last_used_at = None;
    status.email.clone_from(&next.desired.settings.email);
    status.budget = next.desired.settings.budget.map(money::budget);
    status.usage = None;
    status.missing_since = None;
    status.secret_contest = None;
    status.internal.immutable_fields_hash = Some(next.desired.immutable_hash.clone());
    status.last_handled_trigger.clone_from(&next.requests.trigger);
    status.last_handled_rotate_at.clone_from(&next.requests.rotate);
    status.last_handled_leaked.clone_from(&next.requests.leaked);
    forget_failures(status);
    status.rotation_failures = None;
    let due = rotation::calendar(status.created_at, status.expires_at, next.desired, next.spread);
    status.next_rotation_time = due.map(|due| time::to_the_second(due.at));
}

/// Records the observed generation. The applied generation is kept, also in a status of an earlier version, which
/// has only the observed one.
pub fn observe(status: &mut GatewayApiKeyStatus, generation: Option<i64>) {
    if status.id.is_some() {
        status.internal.applied_generation =
            status.internal.applied_generation.or(status.observed_generation);
    }
    status.observed_generation = generation;
}

/// Clears the record of failures.
pub fn forget_failures(status: &mut GatewayApiKeyStatus) {
    status.failures = None;
    status.next_attempt_at = None;
    if status.rotation_failures.is_none() {
        status.internal.failed_requests_hash = None;
    }
}

fn retire(status: &mut GatewayApiKeyStatus, next: &Successor<'_>, id: String, serial: u64) {
    let cause = next.cause.unwrap_or(Cause::KeyLost);
    status.conditions.retain(|it| it.type_ != PREVIOUS_KEY_IN_USE);
    tell(status, next, cause);
    let leaked = cause == Cause::Leaked;
    if leaked {
        condemn(status);
    }
    let missing_since = status.missing_since.take();
    if cause.overlaps() || leaked {
        let replaced_at = time::to_the_second(next.now);
        let overlap = if leaked { SignedDuration::ZERO } else { next.desired.policy.overlap };
        let ends = status.expires_at.filter(|_| next.desired.expiry == Support::Operator);
        let end = plus(replaced_at, overlap);
        status.previous.push(PreviousKey {
            id,
            serial,
            replaced_at,
            retire_after: ends.map_or(end, |ends| end.min(ends)),
            disabled_at: None,
            expires_at: ends,
            missing_since,
            cut_to: next.shares.and_then(|it| it.old).map(money::decimal),
            share: None,
            leaked,
        });
    }
}

/// If the served key leaked, the previous keys may be the ones that leaked, so they are treated as leaked as well.
fn condemn(status: &mut GatewayApiKeyStatus) {
    for key in &mut status.previous {
        key.leaked = true;
        key.retire_after = key.replaced_at;
    }
}

fn tell(status: &mut GatewayApiKeyStatus, next: &Successor<'_>, cause: Cause) {
    let told = if next.shares.is_some() { "CarriedOver" } else { "Restarted" };
    let budget = next.desired.settings.budget.map(|_| told.to_owned());
    status.internal.carried_spend = None;
    status.last_rotation =
        Some(LastRotation { time: time::to_the_second(next.now), reason: cause.name().to_owned(), budget });
}

/// Gives up a leaked key although no other key exists: it is revoked next, and the Secret holds no working key
/// until another one is created.
pub fn drop_leaked(status: &mut GatewayApiKeyStatus, requests: &RotationRequests, now: Timestamp) {
    let Some((id, serial)) = status.id.take().zip(status.serial.take()) else {
        return;
    };
    status.internal.settled_serial = status.internal.settled_serial.max(Some(serial));
    condemn(status);
    let replaced_at = time::to_the_second(now);
    let leaked = true;
    status.previous.push(PreviousKey {
        id,
        serial,
        replaced_at,
        retire_after: replaced_at,
        disabled_at: None,
        expires_at: None,
        missing_since: None,
        cut_to: None,
        share: None,
        leaked,
    });
    status.expires_at = None;
    status.missing_since = None;
    status.next_rotation_time = None;
    status.rotation_failures = None;
    // Keys created from now on are not affected by this leak.
    status.last_handled_leaked.clone_from(&requests.leaked);
    forget_failures(status);
}

/// The serial whose entries stay in the Secret beside those of another key, for the overlap: that of the served key, unless it is
/// replaced because it leaked.
pub fn kept_serial(served: Option<Serial>, desired: &Desired, cause: Option<Cause>) -> Option<Serial> {
    served.filter(|_| desired.secret.keep_previous && cause.is_none_or(Cause::overlaps))
}

/// Records unused keys as announced.
pub fn announce(status: &mut GatewayApiKeyStatus, ids: &[KeyId], now: Timestamp) {
    let told_at = time::to_the_second(now);
    status.unused.extend(ids.iter().map(|id| UnusedKey { id: id.0.clone(), told_at }));
}

/// Forgets announced keys that were revoked or that the vendor does not list any more.
pub fn prune_unused(status: &mut GatewayApiKeyStatus, facts: &super::facts::Facts) {
    status.unused.retain(|it| !facts.gone.iter().any(|id| id.0 == it.id));
    if facts.view.is_some() {
        status.unused.retain(|it| facts.own().any(|own| own.key.id.0 == it.id));
    }
}

/// Records what the last listing and read show of the served key, and of previous keys that were missing.
pub fn shown(status: &mut GatewayApiKeyStatus, facts: &super::facts::Facts) {
    if facts.confirmed != Confirmed::Gone {
        status.missing_since = None;
    }
    for key in &mut status.previous {
        let back = facts.own().any(|own| own.key.id.0 == key.id);
        key.missing_since.take_if(|_| back);
    }
    prune_unused(status, facts);
    // The contest is forgotten once the Secret is no longer in that state.
    let left = status.secret_contest.as_ref().is_some_and(|it| super::contest::stands(facts, it));
    status.secret_contest.take_if(|_| !left);
}

/// Updates the schedule in status for the current policy and the last claim.
pub fn refresh(status: &mut GatewayApiKeyStatus, facts: &super::facts::Facts, desired: &Desired) {
    for key in &mut status.previous {
        key.retire_after = super::previous_keys::retire_after(key, &desired.policy);
    }
    // A failed rotation may not be due any more.
    if !rotation::wanted(facts, desired) {
        status.rotation_failures = None;
        status.internal.failed_requests_hash = None;
    }
    let stopped = rotation::stopped(facts);
    let due = rotation::due(facts, desired).map(|due| stopped.map_or(due.at, |until| until.max(due.at)));
    status.next_rotation_time = due.filter(|at| *at > Timestamp::UNIX_EPOCH).map(time::to_the_second);
    status.internal.immutable_fields_hash.get_or_insert_with(|| desired.immutable_hash.clone());
    if status.last_handled_trigger.is_none() {
        status.last_handled_trigger.clone_from(&desired.policy.trigger);
    }
    status.internal.restarted_revision =
        match (desired.policy.restart.is_empty(), status.internal.restarted_revision.take()) {
            (true, _) => None,
            (false, done) => done.or_else(|| facts.revision.clone()),
        };
}
