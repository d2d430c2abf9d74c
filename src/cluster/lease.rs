//! The Lease for leader election. Every write is a compare-and-swap on the version that was read.

use crate::api::{MANAGED_BY_LABEL, MANAGER};
use crate::plan::class::ControllerClass;
use crate::plan::leadership::Record;
use crate::plan::retry::plus;
use crate::plan::shard::Shard;
use futures::{Stream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ListParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, ResourceExt};

/// The name of the Lease, or its beginning where there are classes or shards.
pub const NAME: &str = "keysmith";

/// What is known of a Lease.
#[derive(Clone, Debug)]
pub enum LeaseView {
    /// Nothing yet, or no longer.
    Unknown,
    /// There is no such Lease.
    Absent,
    /// The Lease.
    Present(Box<Seen>),
}

impl LeaseView {
    /// A Lease that was read, or its absence.
    pub fn of(lease: Option<Seen>) -> Self {
        lease.map_or(Self::Absent, |seen| Self::Present(Box::new(seen)))
    }

    /// The Lease, if there is one.
    pub fn lease(self) -> Option<Seen> {
        match self {
            Self::Present(seen) => Some(*seen),
            Self::Unknown | Self::Absent => None,
        }
    }
}

/// The Lease as it was read.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its content.
    pub record: Record,
    lease: Lease,
}

impl Seen {
    fn new(lease: Lease) -> Self {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|it| it.holder_identity.clone()).filter(|it| !it.is_empty());
        let lasts = spec.and_then(|it| it.lease_duration_seconds).filter(|it| *it > 0);
        let lasts = lasts.map(|it| SignedDuration::from_secs(it.into()));
        Self { record: Record { holder, lasts }, lease }
    }

    /// Whether the spec is equal, including its times: a renewal changes nothing else.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.lease.spec == other.lease.spec
    }
}

/// Content of a write.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The new holder; `None` releases the lease.
    pub holder: Option<&'a str>,
    /// Duration of the lease without a renewal.
    pub lasts: SignedDuration,
    /// The time, which only serves users who read the Lease.
    pub now: Timestamp,
}

/// An operator of another number of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rival {
    /// The name of the Lease that it holds.
    pub lease: String,
    /// The number of its shards.
    pub shards: u16,
}

/// How far the clocks of two machines may differ where one judges a Lease of the other by its times.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Whether a Lease has a holder that may still act. One without times counts as held.
fn is_held(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else { return false };
    let has_holder = spec.holder_identity.as_ref().is_some_and(|it| !it.is_empty());
    let lasts = spec.lease_duration_seconds.map(|it| SignedDuration::from_secs(it.into()));
    let ends = spec.renew_time.as_ref().zip(lasts).map(|(renewed, lasts)| plus(renewed.0, lasts + SKEW));
    has_holder && ends.is_none_or(|ends| now < ends)
}

/// Access to the Lease.
#[derive(Clone)]
pub struct LeaseClient {
    api: Api<Lease>,
    namespace: String,
    shard: Shard,
    /// The name for all shards.
    base: String,
    name: String,
}

impl LeaseClient {
    /// The Lease of that class and shard in that namespace.
    pub fn new(client: Client, namespace: &str, class: &ControllerClass, shard: Shard) -> Self {
        let base = class.after(NAME);
        let name = shard.lease(&base);
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned(), shard, base, name }
    }

    /// The Lease that an operator of another number of shards holds, if there is one: it may work for accounts of this
    /// shard.
    pub async fn of_another_division(&self, now: Timestamp) -> kube::Result<Option<Rival>> {
        let leases = self.api.list(&ListParams::default()).await?.items;
        let held = leases.into_iter().filter(|it| is_held(it, now));
        let rivals = held.filter_map(|lease| {
            let lease = lease.name_any();
            self.shard.division_of(&self.base, &lease).map(|shards| Rival { lease, shards })
        });
        Ok(rivals.max_by_key(|it| it.shards))
    }

    /// The number of shards that this Lease is of.
    pub const fn shards(&self) -> u16 {
        self.shard.count()
    }

    /// Reads the Lease, if it exists.
    pub async fn read(&self) -> kube::Result<Option<Seen>> {
        Ok(self.api.get_opt(&self.name).await?.map(Seen::new))
    }

    /// The Lease whenever it changes. A watch that breaks yields `Unknown` and restarts by itself.
    pub fn watch(&self) -> impl Stream<Item = LeaseView> + Send + 'static {
        watch_object(self.api.clone(), &self.name).default_backoff().map(|result| match result {
            Ok(lease) => LeaseView::of(lease.map(Seen::new)),
            Err(error) => {
                let error = super::brief_watch(&error);
                tracing::debug!(error, "the watch of the lease broke; it starts again by itself");
                LeaseView::Unknown
            }
        })
    }

    /// Writes the Lease. A conflict if it changed since it was `seen`.
    pub async fn write(&self, seen: Option<&Seen>, claim: Claim<'_>) -> kube::Result<Seen> {
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let lease = written(seen.map(|it| &it.lease), &self.name, claim);
        let lease = match seen {
            None => self.api.create(&params, &lease).await?,
            Some(_) => self.api.replace(&self.name, &params, &lease).await?,
        };
        Ok(Seen::new(lease))
    }

    /// Object reference for an event.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            ..ObjectReference::default()
        }
    }
}

/// The Lease after a write: foreign fields stay, and a change of the holder is counted.
fn written(before: Option<&Lease>, name: &str, claim: Claim<'_>) -> Lease {
    let mut lease = before.cloned().unwrap_or_default();
    let spec = lease.spec.take().unwrap_or_default();
    let holder = claim.holder.unwrap_or_default();
    let kept = spec.holder_identity.as_deref() == Some(holder);
    let counts = !kept && claim.holder.is_some() && before.is_some();
    let now = Some(MicroTime(claim.now));
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: i32::try_from(claim.lasts.as_secs()).ok(),
        acquire_time: spec.acquire_time.filter(|_| kept).or_else(|| now.clone()),
        renew_time: now,
        lease_transitions: Some(spec.lease_transitions.unwrap_or(0).saturating_add(counts.into())),
        ..spec
    });
    lease.metadata.name = Some(name.to_owned());
    let labels = lease.metadata.labels.get_or_insert_default();
    labels.entry(MANAGED_BY_LABEL.to_owned()).or_insert_with(|| MANAGER.to_owned());
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn claim(holder: Option<&str>, now: i64) -> Claim<'_> {
        Claim { holder, lasts: SignedDuration::from_secs(15), now: at(now) }
    }

    #[test]
    fn a_renewal_keeps_the_time_of_acquisition_and_a_change_of_hands_is_counted() {
        let first = written(None, NAME, claim(Some("a"), 1));
        let renewed = written(Some(&first), NAME, claim(Some("a"), 2));
        let released = written(Some(&renewed), NAME, claim(None, 3));
        let taken = written(Some(&released), NAME, claim(Some("b"), 4));
        let times = |lease: &Lease| {
            let spec = lease.spec.clone().unwrap();
            let seconds = |time: Option<MicroTime>| time.unwrap().0.as_second();
            (seconds(spec.acquire_time), seconds(spec.renew_time), spec.lease_transitions.unwrap())
        };
        assert_eq!(
            [&first, &renewed, &released, &taken].map(times),
            [(1, 1, 0), (1, 2, 0), (3, 3, 0), (4, 4, 1)]
        );
        assert_eq!(Seen::new(released).record.holder, None);
        assert_eq!(Seen::new(taken).record.holder.as_deref(), Some("b"));
    }

    #[test]
    fn a_lease_is_held_until_it_ended_by_any_clock_that_may_be() {
        let lease = written(None, NAME, claim(Some("a"), 100));
        assert!(is_held(&lease, at(100)) && is_held(&lease, at(174)) && !is_held(&lease, at(175)));
        assert!(!is_held(&written(Some(&lease), NAME, claim(None, 101)), at(101)));
        let mut timeless = lease;
        timeless.spec.as_mut().unwrap().renew_time = None;
        assert!(is_held(&timeless, at(10_000)));
    }

    #[test]
    fn a_renewal_is_a_sign_of_life_and_a_label_is_none() {
        let first = written(None, NAME, claim(Some("a"), 1));
        let mut labelled = first.clone();
        labelled.metadata.resource_version = Some("7".to_owned());
        let renewed = Seen::new(written(Some(&first), NAME, claim(Some("a"), 2)));
        let first = Seen::new(first);
        assert!(first.says_the_same(&Seen::new(labelled)) && !first.says_the_same(&renewed));
    }
}
