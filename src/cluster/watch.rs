//! Watches. Of Secrets only metadata is watched, and nothing of it is kept: memory does not follow other
//! people's Secrets.

use super::hold;
use super::object::{self, Managed};
use crate::api::GROUP;
use crate::plan::identity::ObjectName;
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::predicates::{self};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pages are small because a page is what a list costs in memory at its peak.
const PAGE: u32 = 50;
/// A watch that lost an event goes on without it for ever, so everything is listed again this often.
const RELIST: Duration = Duration::from_hours(1);
/// What the filter remembers outlasts a relist, or every relist would be news of every object.
const REMEMBERED: Duration = Duration::from_hours(3);

/// A kind that is watched.
pub struct Watched<K: Managed, S> {
    /// What changed in a way that matters. A write to status alone does not come through, so nobody is woken by their
    /// own report.
    pub changes: S,
    /// All objects of the kind.
    pub store: Store<DeserializeGuard<K>>,
    /// Cancelled when the store is filled. Any number may wait for it: the store's own `wait_until_ready` wakes only
    /// who asked last.
    pub filled: CancellationToken,
}

/// Watches the objects of a kind.
pub fn objects<K: Managed>(
    client: &Client,
    namespace: Option<&str>,
) -> Watched<K, impl Stream<Item = watcher::Result<DeserializeGuard<K>>> + Send + 'static> {
    let api: Api<DeserializeGuard<K>> = object::within(client, namespace);
    let (store, writer) = reflector::store();
    let filled = CancellationToken::new();
    let listed = filled.clone();
    let matters = predicates::generation.combine(predicates::annotations).combine(predicates::finalizers);
    let changes = renewed(api)
        .default_backoff()
        .modify(|object| {
            object.managed_fields_mut().clear();
        })
        .reflect(writer)
        .inspect_ok(move |event| {
            if matches!(event, watcher::Event::InitDone) {
                listed.cancel();
            }
        })
        .applied_objects()
        .predicate_filter(matters, PredicateConfig::default().ttl(REMEMBERED));
    Watched { changes, store, filled }
}

/// A watch that begins anew from time to time, with a list of everything.
fn renewed<K: Managed>(
    api: Api<DeserializeGuard<K>>,
) -> impl Stream<Item = watcher::Result<watcher::Event<DeserializeGuard<K>>>> + Send + 'static {
    let watch = move || {
        watcher(api.clone(), watcher::Config::default().page_size(PAGE))
            .take_until(tokio::time::sleep(RELIST))
    };
    stream::repeat_with(watch).flatten()
}

/// A Secret that appeared, changed or went, as far as its metadata tells.
#[derive(Debug)]
pub struct Touched {
    /// Which one.
    pub secret: ObjectName,
    /// The resource of ours that it belongs to.
    pub owner: Option<Owner>,
    /// Whether it is held for a console token.
    pub held: bool,
}

/// A resource of one of our kinds, in the namespace of what it owns.
#[derive(Debug)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Every Secret that appears, changes or goes.
pub fn secrets(client: &Client, namespace: Option<&str>) -> impl Stream<Item = Touched> + Send + 'static {
    let api: Api<PartialObjectMeta<Secret>> = object::within(client, namespace);
    watcher(api, watcher::Config::default().page_size(PAGE))
        .default_backoff()
        .touched_objects()
        .inspect_err(|error| {
            let error = super::brief_watch(error);
            tracing::warn!(kind = "Secret", error, "a watch broke; it starts again by itself");
        })
        .filter_map(|result| future::ready(result.ok()))
        .map(|secret| {
            let ours = |it: &&OwnerReference| it.api_version.split('/').next() == Some(GROUP);
            let owner = |it: &OwnerReference| Owner { kind: it.kind.clone(), name: it.name.clone() };
            Touched {
                owner: secret.owner_references().iter().find(ours).map(owner),
                held: hold::is_held(secret.finalizers()),
                secret: ObjectName { namespace: object::namespace(&secret), name: secret.name_any() },
            }
        })
}

/// The decodable objects of a store that satisfy a condition.
pub fn select<K: Managed>(
    store: &Store<DeserializeGuard<K>>,
    condition: impl Fn(&K) -> bool,
) -> Vec<ObjectRef<DeserializeGuard<K>>> {
    store
        .state()
        .iter()
        .filter(|guard| guard.0.as_ref().is_ok_and(&condition))
        .map(|guard| ObjectRef::from_obj(guard.as_ref()))
        .collect()
}

/// The same, as they are.
pub fn all<K: Managed>(store: &Store<DeserializeGuard<K>>, condition: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
    let objects = store.state();
    let chosen = objects.iter().filter_map(|guard| guard.0.as_ref().ok()).filter(|object| condition(object));
    chosen.map(|object| Arc::new(object.clone())).collect()
}

/// What an object is looked up by.
pub fn reference<K: Managed>(object: &K) -> ObjectRef<DeserializeGuard<K>> {
    named(object.namespace().as_deref(), &object.name_any())
}

/// What the object of that name is looked up by.
pub fn named<K: Managed>(namespace: Option<&str>, name: &str) -> ObjectRef<DeserializeGuard<K>> {
    let reference = ObjectRef::new(name);
    match namespace {
        Some(namespace) => reference.within(namespace),
        None => reference,
    }
}

/// The object of that name, if it is in the store and can be decoded.
pub fn find<K: Managed>(store: &Store<DeserializeGuard<K>>, namespace: &str, name: &str) -> Option<Arc<K>> {
    get(store, &named(Some(namespace), name))
}

/// The same, for an object that need not have a namespace.
pub fn get<K: Managed>(
    store: &Store<DeserializeGuard<K>>,
    reference: &ObjectRef<DeserializeGuard<K>>,
) -> Option<Arc<K>> {
    let guard = store.get(reference)?;
    guard.0.as_ref().ok().map(|object| Arc::new(object.clone()))
}
