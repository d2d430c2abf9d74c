//! What status says once a new key has taken the place of the served one, however that came about.

use super::budget::Shares;
use super::capability::Support;
use super::desired::Desired;
use super::expiry;
use super::facts::{KeyId, Listed};
use super::money;
use super::naming::Serial;
use super::report;
use super::retry::plus;
use super::rotation::{self, Cause, RotationRequests};
use crate::api::GatewayApiKeyStatus;
use crate::api::condition::PREVIOUS_KEY_IN_USE;
use crate::api::rotation::{LastRotation, PreviousKey, UnusedKey};
use crate::api::shared::LocalRef;
use jiff::{SignedDuration, Timestamp};

/// A key that the Secret holds from now on.
#[derive(Clone, Debug)]
pub struct Successor<'a> {
    /// The vendor's id.
    pub id: &'a KeyId,
    /// Its serial.
    pub serial: Serial,
    /// The highest serial whose outcome is known with it.
    pub settled: Serial,
    /// As the vendor shows it, where it was asked.
    pub listed: Option<&'a Listed>,
    /// What was left of the budget, shared by it and by the key that it replaces.
    pub shares: Option<Shares>,
    /// Why it replaces the served key.
    pub cause: Option<Cause>,
    /// What was asked for when it was claimed.
    pub requests: &'a RotationRequests,
    /// What it is made as.
    pub desired: &'a Desired,
    /// The time.
    pub now: Timestamp,
    /// The resource's own share by which its schedule is moved, in `[0, 1)`.
    pub spread: f64,
}

/// Puts a key in the place of the served one, which becomes a previous one.
pub fn succeed(status: &mut GatewayApiKeyStatus, next: &Successor<'_>) {
    let old = status.id.take().zip(status.serial);
    let forsaken = old.is_none() && status.internal.immutable_fields_hash.is_some();
    // Where nothing is written down yet, as right after the first key, readers have the old content all the same.
    let replaces = old.as_ref().is_some_and(|(id, _)| *id != next.id.0) || forsaken;
    if replaces && !next.desired.policy.restart.is_empty() {
        status.internal.restarted_revision.get_or_insert_default();
    }
    if let Some((id, serial)) = old.filter(|(id, _)| *id != next.id.0) {
        retire(status, next, id, serial);
    } else if forsaken {
        // The leaked key was given up before there was another one: it is a previous key by now, or gone.
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
    let due = rotation::calendar((status.created_at, status.expires_at), next.desired, next.spread);
    status.next_rotation_time = due.map(|due| report::to_the_second(due.at));
}

/// Status speaks of that generation. Which one was carried out last stays known, also where an earlier version wrote only
/// the other.
pub fn observe(status: &mut GatewayApiKeyStatus, generation: Option<i64>) {
    if status.id.is_some() {
        status.internal.applied_generation =
            status.internal.applied_generation.or(status.observed_generation);
    }
    status.observed_generation = generation;
}

/// Nothing fails any more.
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
        let replaced_at = report::to_the_second(next.now);
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

/// Nobody can tell whether the served key leaked or one that still works beside it.
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
        Some(LastRotation { time: report::to_the_second(next.now), reason: cause.name(), budget });
}

/// A served key is declared dead although no other is there: it is revoked next, and the Secret holds nothing that
/// works until another key is made.
pub fn drop_leaked(status: &mut GatewayApiKeyStatus, requests: &RotationRequests, now: Timestamp) {
    let Some((id, serial)) = status.id.take().zip(status.serial.take()) else {
        return;
    };
    status.internal.settled_serial = status.internal.settled_serial.max(Some(serial));
    condemn(status);
    let replaced_at = report::to_the_second(now);
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
    // What is made from now on never leaked.
    status.last_handled_leaked.clone_from(&requests.leaked);
    forget_failures(status);
}

/// Keys that nothing uses are told.
pub fn announce(status: &mut GatewayApiKeyStatus, ids: &[KeyId], now: Timestamp) {
    let told_at = report::to_the_second(now);
    status.unused.extend(ids.iter().map(|id| UnusedKey { id: id.0.clone(), told_at }));
}

/// What the last look shows of the served key and of previous ones that were missing.
pub fn shown(status: &mut GatewayApiKeyStatus, facts: &super::facts::Facts) {
    if facts.confirmed != Some(None) {
        status.missing_since = None;
    }
    for key in &mut status.previous {
        let back = facts.own().any(|own| own.key.id.0 == key.id);
        key.missing_since.take_if(|_| back);
    }
    status.unused.retain(|it| !facts.gone.iter().any(|id| id.0 == it.id));
    if facts.view.is_some() {
        status.unused.retain(|it| facts.own().any(|own| own.key.id.0 == it.id));
    }
    // What something else makes of the Secret is of interest as long as it does.
    let left = status.secret_contest.as_ref().is_some_and(|it| super::contest::stands(facts, it));
    status.secret_contest.take_if(|_| !left);
}

/// Brings what status tells of the calendar in line with the present policy and the last claim.
pub fn refresh(status: &mut GatewayApiKeyStatus, facts: &super::facts::Facts, desired: &Desired) {
    for key in &mut status.previous {
        key.retire_after = super::previous_keys::retire_after(key, &desired.policy);
    }
    // What failed need not be wanted any more.
    if !rotation::wanted(facts, desired) {
        status.rotation_failures = None;
        status.internal.failed_requests_hash = None;
    }
    let stopped = rotation::stopped(facts);
    let due = rotation::due(facts, desired).map(|due| stopped.map_or(due.at, |until| until.max(due.at)));
    status.next_rotation_time = due.filter(|at| *at > Timestamp::UNIX_EPOCH).map(report::to_the_second);
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
