//! Whether a listing concerns a resource, so that it must be enqueued. The listing is compared with specification
//! and status, never with the listing before, so that no change is missed, whichever pass made the listing.

use super::budget;
use super::capability::Capabilities;
use super::claim::{Claim, Purpose};
use super::desired;
use super::drift;
use super::expiry::Term;
use super::facts::Record;
use super::listing::{Listed, Lookup};
use super::naming::{Identity, NameStyle, Serial};
use super::report;
use super::retry::plus;
use super::settings::Settings;
use super::spec_field::SpecField;
use crate::api::rotation::ManagementPolicy;
use crate::api::{GatewayApiKey, GatewayApiKeyStatus};
use crate::plan::time;
use jiff::{SignedDuration, Timestamp};
use std::borrow::Cow;

/// Time after which a missing key is looked up a second time.
const SECOND_LOOK: SignedDuration = SignedDuration::from_mins(1);

/// A listing, to be compared with every resource.
pub struct Index<'a> {
    as_of: Timestamp,
    keys: &'a [Listed],
    lookup: Cow<'a, Lookup>,
}

impl<'a> Index<'a> {
    /// The index of a listing begun at `as_of`.
    pub fn new(as_of: Timestamp, keys: &'a [Listed]) -> Self {
        Self { as_of, keys, lookup: Cow::Owned(Lookup::new(keys)) }
    }

    /// The index of a listing that has its lookup already.
    pub const fn with(as_of: Timestamp, keys: &'a [Listed], lookup: &'a Lookup) -> Self {
        Self { as_of, keys, lookup: Cow::Borrowed(lookup) }
    }

    fn by_id(&self, id: &str) -> Option<&'a Listed> {
        self.lookup.by_id(self.keys, id)
    }

    fn own(&self, identity: &Identity) -> Vec<(Serial, &'a Listed)> {
        self.lookup.own(self.keys, identity)
    }
}

/// A resource, with facts about it that it does not contain.
pub struct Subject<'a> {
    /// The resource.
    pub key: &'a GatewayApiKey,
    /// Its claim.
    pub claim: Option<Claim>,
    /// Its marks.
    pub identity: &'a Identity,
    /// What its vendor can do.
    pub capabilities: &'a Capabilities,
    /// The current time.
    pub now: Timestamp,
}

/// Whether a poll enqueues a resource: if the listing concerns it, or if the resource has called the vendor since the listing that
/// was compared before, and so waits for a newer one. Listings up to `stale_before` do not show what its last call changed.
pub fn enqueues(
    subject: &Subject<'_>,
    index: &Index<'_>,
    stale_before: Option<Timestamp>,
    compared_before: Option<Timestamp>,
) -> bool {
    if stale_before.is_some_and(|stale_before| index.as_of <= stale_before) {
        return false;
    }
    stale_before.is_some() && stale_before >= compared_before || concerns(subject, index)
}

/// Whether the listing shows something that is not in the resource's status, or that differs from its
/// specification.
pub fn concerns(subject: &Subject<'_>, index: &Index<'_>) -> bool {
    let spec = &subject.key.spec;
    let none = GatewayApiKeyStatus::default();
    let status = subject.key.status.as_ref().unwrap_or(&none);
    // A resource in deletion obtains its own listings.
    if subject.key.metadata.deletion_timestamp.is_some() || spec.suspend == Some(true) {
        return false;
    }
    if spec.management_policy == Some(ManagementPolicy::Observe) {
        return observed(subject, status, index);
    }
    let record = Record::from(status);
    // During a backoff nothing is enqueued; the retry reads a listing anyway.
    if record.next_attempt_at.is_some_and(|next| next > subject.now) {
        return false;
    }
    // Stalled resources are skipped, but not if their key works or its budget is spent.
    let last = status.read_internal().last_pass.unwrap_or_default();
    let refused = last.gave_up(subject.key.metadata.generation);
    let external = spec.external_id.as_deref().filter(|_| status.serial.is_none());
    external.is_some_and(|id| index.by_id(id).is_some())
        || found(subject, &record, index)
        || returned(&record, index)
        || !refused
            && (unused(subject, &record, index)
                || vanished(subject, &record, index)
                || served(subject, status, &record, index))
}

/// Whether the listing shows the key of a create call whose outcome is unknown.
fn found(subject: &Subject<'_>, record: &Record, index: &Index<'_>) -> bool {
    let pending = subject.claim.filter(|it| it.purpose == Purpose::Create && it.serial > record.settled);
    pending.is_some_and(|claim| {
        index.own(subject.identity).into_iter().any(|(serial, _)| serial == claim.serial)
    })
}

/// Whether a missing previous key is listed again.
fn returned(record: &Record, index: &Index<'_>) -> bool {
    let mut missing = record.previous.iter().filter(|it| it.missing_since.is_some());
    missing.any(|it| index.by_id(it.id.as_str()).is_some())
}

/// Whether an unused key that status announces is not listed any more.
fn vanished(subject: &Subject<'_>, record: &Record, index: &Index<'_>) -> bool {
    if record.told.is_empty() {
        return false;
    }
    let own = index.own(subject.identity);
    record.told.keys().any(|id| own.iter().all(|(_, key)| key.id != *id))
}

/// Whether a key of ours is neither served nor previous. Keys with a serial above the claim belong to another
/// writer.
fn unused(subject: &Subject<'_>, record: &Record, index: &Index<'_>) -> bool {
    let newest = subject.claim.map(|it| it.serial).max(record.serial).unwrap_or_default();
    let used = |key: &Listed| {
        record.id.as_ref() == Some(&key.id) || record.previous.iter().any(|it| it.id == key.id.0)
    };
    let settled = record.serial.is_some();
    settled && index.own(subject.identity).into_iter().any(|(serial, key)| serial <= newest && !used(key))
}

fn served(subject: &Subject<'_>, status: &GatewayApiKeyStatus, record: &Record, index: &Index<'_>) -> bool {
    let Some((id, _)) = record.id.as_ref().zip(record.serial) else { return false };
    let Some(key) = index.by_id(&id.0) else {
        let due = |since: Timestamp| index.as_of >= plus(since, SECOND_LOOK);
        return status.missing_since.is_none_or(due);
    };
    if status.missing_since.is_some() {
        return true;
    }
    drifts(subject, record, key)
        || told_otherwise(subject, status, key)
        || spent_otherwise(status, record, key, index)
}

/// Whether the listing shows another spent share of the budget than status.
fn spent_otherwise(status: &GatewayApiKeyStatus, record: &Record, key: &Listed, index: &Index<'_>) -> bool {
    let Some((limit, left)) = record.sent.budget.zip(key.remaining) else { return false };
    let remaining = |id: &str| index.by_id(id).and_then(|key| key.remaining);
    let spending = report::budget::left_over(limit, left, budget::parked(&record.previous, remaining));
    let exhausted = status.read_internal().budget_spent_since.is_some();
    status.budget_used.as_ref() != Some(&report::budget::used(limit, Some(spending)))
        || exhausted != spending.refused
}

fn drifts(subject: &Subject<'_>, record: &Record, key: &Listed) -> bool {
    let vendor = subject.capabilities;
    // An invalid specification is reported when it changes, not here.
    let Ok(settings) = desired::settings(subject.key, vendor) else { return false };
    let wanted = Settings { expiry: term(subject).wanted(record, subject.now), ..settings };
    let marked = subject.identity.mark.serial_in(&key.name).is_some() || vendor.names == NameStyle::Slug;
    !marked || !drift::drift(&wanted, key, &record.sent).is_empty()
}

fn term(subject: &Subject<'_>) -> Term {
    Term::new(subject.capabilities.support(SpecField::ExpiresInDays), subject.key.spec.expires_in_days)
}

/// Whether a pass would write another status.
fn told_otherwise(subject: &Subject<'_>, status: &GatewayApiKeyStatus, key: &Listed) -> bool {
    let created = key.created_at.or(status.created_at);
    status.active != key.shown.active
        || status.created_at != created
        || !key.unread_expiry() && status.expires_at != term(subject).recorded(created, key.expires_at)
        || status.last_used_at != time::to_the_hour(status.last_used_at, key.last_used_at)
}

/// The same for a resource that only observes its key.
fn observed(subject: &Subject<'_>, status: &GatewayApiKeyStatus, index: &Index<'_>) -> bool {
    let Some(id) = subject.key.spec.external_id.as_deref() else { return false };
    let known = status.id.as_deref() == Some(id);
    match index.by_id(id) {
        None => known,
        // If the resource managed a key before, that key stays the served one.
        Some(_) if status.serial.is_some() && !known => false,
        Some(key) => !known || told_otherwise(subject, status, key),
    }
}
