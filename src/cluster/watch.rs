//! Watches. Secrets are watched by metadata only, and not stored: memory does not grow with Secrets of other
//! applications.

use super::cache::{self, Cache, Cached, Filler};
use super::hold;
use super::object::{self, Managed, Placement};
use super::versions::Versions;
use crate::api::GROUP;
use crate::plan::identity::ObjectName;
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Page size of a list. It is small because a page determines the peak memory.
pub const PAGE: u32 = 50;
/// Page size of the list of the Secrets' metadata: about 1 kB each, and every pass waits for the whole list.
const SECRETS_PAGE: u32 = 250;
/// Interval of relists: a watch that lost an event would otherwise never notice.
const RELIST: Duration = Duration::from_hours(1);

/// A kind that is watched.
pub struct Watched<K: Managed, S> {
    /// What the watch shows.
    pub changes: S,
    /// All objects of the kind.
    pub cache: Cache<K>,
    /// Cancelled when the cache is filled. It wakes every waiter; the store's own `wait_until_ready` wakes only the
    /// last one.
    pub filled: CancellationToken,
}

/// What a watch shows.
pub enum Change<K: Managed> {
    /// An object that was added or changed.
    One {
        /// The object.
        object: Box<DeserializeGuard<K>>,
        /// Whether anything but its status changed: no resource is enqueued by its own report.
        news: bool,
    },
    /// The objects that a complete list shows as new or changed. They are sent once the cache has them.
    Listed(Vec<ObjectRef<Cached<K>>>),
}

/// Watches the objects of a kind.
pub fn objects<K: Managed>(
    client: &Client,
    namespace: Option<&str>,
) -> Watched<K, impl Stream<Item = watcher::Result<Change<K>>> + Send + 'static> {
    let api: Api<DeserializeGuard<K>> = object::within(client, namespace);
    let (cache, mut writer) = Filler::new();
    let mut found = Vec::new();
    let filled = CancellationToken::new();
    // An operator of listed namespaces has no rights on cluster-scoped kinds, and uses none.
    let watched = namespace.is_none() || K::Scope::NAMESPACED;
    let listed = filled.clone();
    let none =
        stream::iter([Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)]).chain(stream::pending());
    let changes = if watched { renewed(api).boxed() } else { none.boxed() }
        .default_backoff()
        .modify(|object| {
            object.managed_fields_mut().clear();
        })
        .try_filter_map(move |event| {
            let news = writer.take(&event);
            future::ready(Ok(match event {
                watcher::Event::Apply(object) => Some(Change::One { object: Box::new(object), news }),
                watcher::Event::InitApply(object) if news => {
                    found.push(cache::named(object.namespace().as_deref(), &object.name_any()));
                    None
                }
                watcher::Event::InitDone => {
                    listed.cancel();
                    Some(Change::Listed(std::mem::take(&mut found)))
                }
                _ => None,
            }))
        });
    Watched { changes, cache, filled }
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
/// `listed` is cancelled when the first list is complete, or is refused: then Secrets are read by name instead.
pub fn secrets(
    client: &Client,
    namespace: Option<&str>,
    versions: Versions,
    listed: CancellationToken,
) -> impl Stream<Item = Touched> + Send + 'static {
    let api: Api<PartialObjectMeta<Secret>> = object::within(client, namespace);
    let config = watcher::Config::default().page_size(SECRETS_PAGE);
    watcher(api, config).default_backoff().filter_map(move |result| {
        let ends = match &result {
            Ok(event) => matches!(event, watcher::Event::InitDone),
            Err(error) => super::needs_a_person(error),
        };
        let touched = match result {
            Ok(event) => touched(&event, &versions),
            Err(error) => {
                versions.breaks();
                let error = super::brief_watch(&error);
                tracing::warn!(kind = "Secret", error, "a watch broke; it starts again by itself");
                None
            }
        };
        if ends {
            listed.cancel();
        }
        future::ready(touched)
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
        watcher::Event::InitApply(secret) => (secret, false),
        watcher::Event::Apply(secret) | watcher::Event::Delete(secret) => {
            versions.goes_on();
            (secret, matches!(event, watcher::Event::Delete(_)))
        }
    };
    let ours = |it: &&OwnerReference| it.api_version.split('/').next() == Some(GROUP);
    let owner = |it: &OwnerReference| Owner { kind: it.kind.clone(), name: it.name.clone() };
    let owner = secret.owner_references().iter().find(ours).map(owner);
    let (namespace, name, version) = (object::namespace(secret), secret.name_any(), object::version(secret));
    let present = version.filter(|_| owner.is_some() && !gone);
    let echo = present.is_some_and(|version| versions.saw(&namespace, &name, version));
    if present.is_none() {
        versions.lost(&namespace, &name, version);
    }
    Some(Touched {
        owner,
        held: hold::is_held(secret.finalizers()),
        echo,
        secret: ObjectName { namespace, name },
    })
}
