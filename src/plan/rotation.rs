//! When a served key is due for rotation, why, and when rotation stops.

use super::claim::{Claim, Purpose};
use super::desired::Desired;
use super::expiry;
use super::facts::Facts;
use super::policy::Policy;
use super::requests::Cause;
use super::retry::plus;
use super::window;
use crate::api::rotation::KeyCount;
use jiff::{SignedDuration, Timestamp};

/// Keys that are made for one resource within a day, unless the operator is told another number.
pub const KEYS_PER_DAY: u64 = 20;
/// Created keys and attempts are counted over this time.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Attempts permitted per permitted key.
const ATTEMPTS: u64 = 10;
/// After this many failures in a row, a rotation is overdue.
const MANY: u32 = 5;

/// A future rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Earliest time.
    pub at: Timestamp,
    /// Its cause.
    pub cause: Cause,
}

/// The next rotation of the served key, if one is scheduled.
pub fn due(facts: &Facts, desired: &Desired) -> Option<Due> {
    let due = next_whatever_failed(facts, desired)?;
    let retry = retry(facts).filter(|_| due.at <= facts.now);
    Some(Due { at: retry.unwrap_or(due.at), cause: due.cause })
}

/// Time of the retry after a failed rotation, as recorded in status. A new request ends the wait.
pub fn retry(facts: &Facts) -> Option<Timestamp> {
    let failed = facts.record.rotation_failures > 0 && !facts.demanded();
    facts.record.next_rotation.filter(|next| failed && *next > facts.now)
}

/// The next rotation, regardless of earlier failures.
fn next_whatever_failed(facts: &Facts, desired: &Desired) -> Option<Due> {
    let asked = requested_cause(facts, desired).map(|cause| Due { at: earliest(facts, cause), cause });
    match asked {
        Some(asked) if asked.at <= facts.now => Some(asked),
        asked => [asked, scheduled(facts, desired)].into_iter().flatten().min_by_key(|due| due.at),
    }
}

/// When a requested rotation may begin: a ClusterConsoleToken may set a least time between two of them.
fn earliest(facts: &Facts, cause: Cause) -> Timestamp {
    let apart = facts.bounds.least_apart;
    let before = facts.record.rotated_at.or(facts.record.created_at);
    let waits = before.filter(|_| cause != Cause::Leaked && !apart.is_zero());
    waits.map_or(Timestamp::UNIX_EPOCH, |before| plus(before, apart))
}

/// Whether a rotation of the served key is due by now.
pub fn wanted(facts: &Facts, desired: &Desired) -> bool {
    next_whatever_failed(facts, desired).is_some_and(|due| due.at <= facts.now)
}

/// The cause of an immediate rotation, if one was requested.
fn requested_cause(facts: &Facts, desired: &Desired) -> Option<Cause> {
    let handled = &facts.record.handled;
    let news = |asked: &Option<String>, handled: &Option<String>| asked.is_some() && asked != handled;
    if leaked(facts) {
        return Some(Cause::Leaked);
    }
    if news(&facts.requests.rotate, &handled.rotate) {
        return Some(Cause::Requested);
    }
    // The first value of a trigger is not a request.
    if handled.trigger.is_some() && news(&desired.policy.trigger, &handled.trigger) {
        return Some(Cause::Trigger);
    }
    let changed = facts
        .record
        .immutable_hash
        .as_ref()
        .is_some_and(|immutable_hash| *immutable_hash != desired.immutable_hash);
    changed.then_some(Cause::Changed)
}

/// Whether the served key was declared leaked.
pub fn leaked(facts: &Facts) -> bool {
    facts.requests.leaked.is_some() && facts.requests.leaked != facts.record.handled.leaked
}

fn scheduled(facts: &Facts, desired: &Desired) -> Option<Due> {
    let expires = expiry::planned(&facts.record, desired);
    calendar(facts.record.created_at, expires, desired, facts.spread)
}

/// The scheduled rotation of a key with these times of creation and expiry. `spread` shifts the time per resource,
/// so that a fleet does not rotate at once.
pub fn calendar(
    created: Option<Timestamp>,
    expires: Option<Timestamp>,
    desired: &Desired,
    spread: f64,
) -> Option<Due> {
    let policy = &desired.policy;
    let aged = policy.max_age.zip(created).map(|(age, created)| {
        let at = plus(created, age - share(age, spread));
        Due { at: open(policy, at), cause: Cause::MaxAge }
    });
    let expiring = expires.map(|expires| {
        let lifetime = lifetime(created, desired, expires);
        let before = policy.renew.before(lifetime);
        // Even when shifted, the time must not be so early that a new key is due when it is created.
        let early = (before + share(before, spread)).min(lifetime / 20 * 19);
        let at = plus(expires, -early);
        // A maintenance window is ignored if waiting for it would miss the expiry.
        let latest = plus(expires, -(before / 4)).max(at);
        Due { at: open(policy, at).min(latest), cause: Cause::Expiry }
    });
    [aged, expiring].into_iter().flatten().min_by_key(|due| due.at)
}

fn lifetime(created: Option<Timestamp>, desired: &Desired, expires: Timestamp) -> SignedDuration {
    let observed = created.map(|created| expires.duration_since(created));
    let ordered = desired.expires_in_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    observed.filter(SignedDuration::is_positive).or(ordered).unwrap_or(DAY)
}

/// Up to a tenth of the span, in proportion to `spread`.
fn share(span: SignedDuration, spread: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(span.as_secs_f64() * spread / 10.0).unwrap_or_default()
}

fn open(policy: &Policy, at: Timestamp) -> Timestamp {
    window::next_open(&policy.windows, at).unwrap_or(at)
}

/// Whether a rotation is overdue: half of the time between its due time and the expiry has passed, for whatever
/// reason, or it failed many times.
pub fn overdue(facts: &Facts, desired: &Desired) -> bool {
    let failures = facts.record.rotation_failures;
    let half =
        next_whatever_failed(facts, desired).zip(facts.record.expires_at).is_some_and(|(due, expires)| {
            due.cause == Cause::Expiry
                && due.at <= facts.now
                && expires.duration_since(facts.now) < expires.duration_since(due.at) / 2
        });
    half || failures >= MANY
}

/// When keys may be created again, if too many were created within a day.
///
/// If the last rotation was for a lost or expired key, a new request lifts the limit, because the cause may be fixed. If it
/// was for a request, a new request does not.
pub fn stopped(facts: &Facts) -> Option<Timestamp> {
    let lost =
        |name: &str| [Cause::SecretLost, Cause::KeyLost, Cause::Expired].iter().any(|it| it.name() == name);
    if facts.record.rotated_for.as_deref().is_some_and(lost) && facts.demanded() {
        return None;
    }
    let under_name = facts.under_name.as_ref().filter(|it| it.made >= facts.keys_per_day);
    let recreated = under_name.map(|it| plus(it.since, DAY)).filter(|until| facts.now < *until);
    if recreated.is_some() {
        return recreated;
    }
    let count = counted(facts.record.count.as_ref(), facts.claim)?;
    let until = plus(count.since, DAY);
    // If the vendor is down for a day, each attempt (one every 15 minutes, `retry::LONGEST`) uses a serial but creates no key.
    // Attempts are limited as well, because keys that the vendor does not show cannot be counted.
    let attempts = facts.next_serial().0.saturating_sub(count.serial);
    let many = count.made >= facts.keys_per_day || attempts > facts.keys_per_day.saturating_mul(ATTEMPTS);
    (facts.now < until && many).then_some(until)
}

/// Adds a created key to the count.
pub fn made(count: Option<KeyCount>) -> Option<KeyCount> {
    count.map(|count| KeyCount { made: count.made.saturating_add(1), ..count })
}

/// The count that includes the last claim; it restarts with the first claim after a day.
pub fn counted(count: Option<&KeyCount>, claim: Option<Claim>) -> Option<KeyCount> {
    let fresh =
        |claim: Claim| KeyCount { since: claim.at, serial: claim.serial.0.saturating_sub(1), made: 0 };
    let claim = claim.filter(|claim| claim.purpose == Purpose::Create);
    match (count, claim) {
        (Some(count), Some(claim)) if plus(count.since, DAY) <= claim.at => Some(fresh(claim)),
        (Some(count), _) => Some(count.clone()),
        (None, claim) => claim.map(fresh),
    }
}
