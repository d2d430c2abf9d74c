//! Watches. Secrets are watched by metadata only, and not stored: memory does not grow with Secrets of other
//! applications.

use super::hold;
use super::object::{self, Managed, Placement};
use super::versions::Versions;
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

/// Page size of a list. It is small because a page determines the peak memory.
pub const PAGE: u32 = 50;
/// Interval of relists: a watch that lost an event would otherwise never notice.
const RELIST: Duration = Duration::from_hours(1);
/// How long the filter of changes remembers an object. Longer than the relist interval: otherwise every relist would
/// report every object as changed.
const REMEMBERED: Duration = Duration::from_hours(3);

/// A kind that is watched.
pub struct Watched<K: Managed, S> {
    /// Relevant changes. Writes to status alone are filtered out, so that no resource is enqueued by its own report.
    pub changes: S,
    /// All objects of the kind.
    pub store: Store<DeserializeGuard<K>>,
    /// Cancelled when the store is filled. It wakes every waiter; the store's own `wait_until_ready` wakes only the
    /// last one.
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
    // An operator of listed namespaces has no rights on cluster-scoped kinds, and uses none.
    let watched = namespace.is_none() || K::Scope::NAMESPACED;
    let listed = filled.clone();
    let matters = predicates::generation.combine(predicates::annotations).combine(predicates::finalizers);
    let none =
        stream::iter([Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)]).chain(stream::pending());
    let changes = if watched { renewed(api).boxed() } else { none.boxed() }
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

/// A watch that is restarted at an interval, with a list of all objects.
fn renewed<K: Managed>(
    api: Api<DeserializeGuard<K>>,
) -> impl Stream<Item = watcher::Result<watcher::Event<DeserializeGuard<K>>>> + Send + 'static {
    let watch = move || {
        watcher(api.clone(), watcher::Config::default().page_size(PAGE))
            .take_until(tokio::time::sleep(RELIST))
    };
    stream::repeat_with(watch).flatten()
}

/// A Secret that was added, changed or deleted, by its metadata.
#[derive(Debug)]
pub struct Touched {
    /// Name and namespace of the Secret.
    pub secret: ObjectName,
    /// The resource of ours that owns it.
    pub owner: Option<Owner>,
    /// Whether it has our finalizer for a console token.
    pub held: bool,
    /// Whether the event is the echo of our own write.
    pub echo: bool,
}

/// An owner of one of our kinds, in the same namespace.
#[derive(Debug)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Every Secret that is added, changed or deleted. What the watch shows of the versions of our Secrets is recorded.
pub fn secrets(
    client: &Client,
    namespace: Option<&str>,
    versions: Versions,
) -> impl Stream<Item = Touched> + Send + 'static {
    let api: Api<PartialObjectMeta<Secret>> = object::within(client, namespace);
    watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff().filter_map(move |result| {
        future::ready(match result {
            Ok(event) => touched(&event, &versions),
            Err(error) => {
                versions.forget();
                let error = super::brief_watch(&error);
                tracing::warn!(kind = "Secret", error, "a watch broke; it starts again by itself");
                None
            }
        })
    })
}

fn touched(event: &watcher::Event<PartialObjectMeta<Secret>>, versions: &Versions) -> Option<Touched> {
    let (secret, gone) = match event {
        watcher::Event::Init => {
            versions.list_begins();
            return None;
        }
        watcher::Event::InitDone => {
            versions.list_ends();
            return None;
        }
        watcher::Event::InitApply(secret) | watcher::Event::Apply(secret) => (secret, false),
        watcher::Event::Delete(secret) => (secret, true),
    };
    let ours = |it: &&OwnerReference| it.api_version.split('/').next() == Some(GROUP);
    let owner = |it: &OwnerReference| Owner { kind: it.kind.clone(), name: it.name.clone() };
    let owner = secret.owner_references().iter().find(ours).map(owner);
    let (namespace, name, version) = (object::namespace(secret), secret.name_any(), object::version(secret));
    let echo = match version.filter(|_| owner.is_some() && !gone) {
        Some(version) => versions.saw(&namespace, &name, version),
        None => {
            versions.lost(&namespace, &name, version);
            false
        }
    };
    Some(Touched { owner, held: hold::is_held(secret.finalizers()), echo, secret: ObjectName { namespace, name } })
}

/// References to the decodable objects of a store that satisfy a condition.
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

/// The decodable objects of a store that satisfy a condition.
pub fn all<K: Managed>(store: &Store<DeserializeGuard<K>>, condition: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
    let objects = store.state();
    let chosen = objects.iter().filter_map(|guard| guard.0.as_ref().ok()).filter(|object| condition(object));
    chosen.map(|object| Arc::new(object.clone())).collect()
}

/// Reference of an object, for look-ups in a store.
pub fn reference<K: Managed>(object: &K) -> ObjectRef<DeserializeGuard<K>> {
    named(object.namespace().as_deref(), &object.name_any())
}

/// Reference of the object of that name.
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

/// The object of that reference, whose kind need not be namespaced.
pub fn get<K: Managed>(
    store: &Store<DeserializeGuard<K>>,
    reference: &ObjectRef<DeserializeGuard<K>>,
) -> Option<Arc<K>> {
    let guard = store.get(reference)?;
    guard.0.as_ref().ok().map(|object| Arc::new(object.clone()))
}
