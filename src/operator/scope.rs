//! One watched namespace, or all: caches that are filled whether or not this replica leads, and the controllers'
//! queues while it does.

use crate::api::kind::{Kind, for_each_kind, with_kinds};
use crate::cluster::cache::{self, Cached};
use crate::cluster::object::has_finalizer;
use crate::cluster::versions::Versions;
use crate::cluster::watch::{self, Change, Touched};
use crate::cluster::{brief_watch, needs_a_person};
use crate::controller::kinds::{Filled, Listed, Queues, Sources, Stores};
use crate::controller::memory::Memory;
use crate::plan::identity::ObjectName;
use crate::runtime::liveness::Liveness;
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, Stream, StreamExt, stream};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A watched namespace, or all.
pub struct Scope {
    /// The namespace; `None` is all.
    pub namespace: Option<String>,
    /// The objects.
    pub stores: Stores,
    /// Versions of our Secrets.
    pub versions: Versions,
    /// Notified when a watch breaks.
    trouble: Arc<Notify>,
    /// What the process remembers of objects: an event that is the echo of an own write enqueues nothing.
    memory: Arc<Memory>,
    /// The queues of the current leadership period. `None` before the first one.
    queues: Mutex<Option<Queues>>,
    /// Secrets that have our finalizer for console tokens.
    held: Mutex<BTreeSet<ObjectName>>,
}

/// What scopes share with the rest of the process.
pub struct Shared<'a> {
    /// Liveness of the loops.
    pub liveness: &'a Liveness,
    /// Notified when a watch breaks.
    pub trouble: &'a Arc<Notify>,
    /// What is remembered of objects between passes.
    pub memory: &'a Arc<Memory>,
}

/// How changes of Secrets are noticed.
#[derive(Clone, Copy, Debug)]
pub enum Secrets {
    /// By a watch of their metadata.
    Watched,
    /// Not at all: at this interval, each resource reads its own by name.
    ReadEvery(Duration),
}

/// How long passes wait for the list of the Secrets' metadata, if it neither comes nor is refused.
const SECRETS: Duration = Duration::from_secs(60);

/// Starts the tasks that fill the stores of a scope.
type Following = Box<dyn FnOnce(&Arc<Scope>) -> Vec<BoxFuture<'static, ()>>>;

macro_rules! watches {
    ($($field:ident: $kind:ident,)+) => {
        /// Watches every kind.
        fn watches(client: &Client, namespace: Option<&str>) -> (Stores, Following) {
            $(let $field = watch::objects::<crate::api::$kind>(client, namespace);)+
            let filled = Filled { $($field: $field.filled,)+ secrets: CancellationToken::new() };
            let stores = Stores { $($field: $field.cache,)+ filled };
            let following: Following =
                Box::new(move |scope| vec![$(Arc::clone(scope).follow($field.changes).boxed(),)+]);
            (stores, following)
        }
    };
}
with_kinds!([watches]);

impl Scope {
    /// The scope, and the future that fills its stores and must be polled as long as the scope is used.
    pub fn new(
        client: &Client,
        namespace: Option<String>,
        secrets: Secrets,
        shared: &Shared<'_>,
    ) -> (Arc<Self>, BoxFuture<'static, ()>) {
        let (stores, following) = watches(client, namespace.as_deref());
        let listed = stores.filled.secrets.clone();
        let too_late = listed.clone();
        let (versions, touched) = match secrets {
            Secrets::Watched => {
                let versions = Versions::watched();
                let touched = watch::secrets(client, namespace.as_deref(), versions.clone(), listed);
                (versions, touched.boxed())
            }
            Secrets::ReadEvery(_) => {
                listed.cancel();
                (Versions::unwatched(), stream::pending().boxed())
            }
        };
        let (queues, held) = (Mutex::default(), Mutex::default());
        let (trouble, memory) = (Arc::clone(shared.trouble), Arc::clone(shared.memory));
        let scope = Arc::new(Self { namespace, stores, versions, trouble, memory, queues, held });
        let objects = following(&scope);
        let pulse = shared.liveness.part("the watch");
        let watching = {
            let scope = Arc::clone(&scope);
            async move {
                tokio::join!(
                    join_all(objects),
                    touched.for_each(|secret| {
                        scope.enqueue_readers(&secret);
                        std::future::ready(())
                    }),
                    scope.read_secrets(secrets),
                    async move {
                        tokio::time::sleep(SECRETS).await;
                        too_late.cancel();
                    },
                    scope.enqueue_when_filled(),
                    pulse.answers().for_each(|never| async move { match never {} }),
                );
            }
        };
        (scope, watching.boxed())
    }

    /// Starts a leadership period: changes are enqueued from now on, and first of all every existing object.
    pub fn begin(&self) -> (Queues, Sources) {
        let (queues, sources) = self.stores.queues();
        // The queues are set before the objects are read: an object that changes in between is enqueued twice; the
        // queue de-duplicates it.
        *self.queues() = Some(queues.clone());
        for_each_kind!(K => enqueue_all::<K>(&self.stores, &queues));
        for secret in self.held.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            queues.enqueue_secret(secret.clone());
        }
        (queues, sources)
    }

    /// A pass before all stores are filled could only put itself off: once they are, every object is enqueued again.
    async fn enqueue_when_filled(&self) {
        for filled in self.stores.filled.all() {
            filled.cancelled_owned().await;
        }
        if let Some(queues) = self.queues().clone() {
            for_each_kind!(K => enqueue_all::<K>(&self.stores, &queues));
        }
    }

    /// One future per store; each ends when its store is filled.
    pub fn filled(&self) -> impl Iterator<Item = WaitForCancellationFutureOwned> {
        self.stores.filled.all().into_iter().map(CancellationToken::cancelled_owned)
    }

    fn queues(&self) -> MutexGuard<'_, Option<Queues>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow<K: Listed>(self: Arc<Self>, changes: impl Stream<Item = watcher::Result<Change<K>>>) {
        let mut changes = std::pin::pin!(changes);
        while let Some(result) = changes.next().await {
            match result {
                Ok(change) => self.changed(&change),
                Err(error) => self.report_trouble(K::KIND, &error),
            }
        }
    }

    /// Enqueues what changed, unless the change is the echo of our own write.
    fn changed<K: Listed>(&self, change: &Change<K>) {
        match change {
            Change::One { object, news } => {
                let echo = self.memory.is_echo(object.as_ref());
                if *news
                    && !echo
                    && let Some(queues) = &*self.queues()
                {
                    let reference = cache::named(object.namespace().as_deref(), &object.name_any());
                    enqueue_changed(queues, reference, object.0.as_ref().ok());
                }
            }
            Change::Listed(found) => {
                let Some(queues) = self.queues().clone() else { return };
                for reference in found {
                    let object = K::cache(&self.stores).get(reference);
                    enqueue_changed(&queues, reference.clone(), object.as_deref());
                }
            }
        }
    }

    fn report_trouble(&self, kind: &'static str, error: &watcher::Error) {
        let (namespace, why) = (self.namespace.as_deref().unwrap_or("all"), brief_watch(error));
        if needs_a_person(error) {
            tracing::warn!(kind, namespace, error = why, "a watch is refused; tried again by itself");
        } else {
            tracing::debug!(kind, namespace, error = why, "a watch broke; it starts again by itself");
        }
        self.trouble.notify_one();
    }

    /// Enqueues every resource that reads a Secret at that interval, where Secrets are not watched.
    async fn read_secrets(&self, secrets: Secrets) {
        let Secrets::ReadEvery(interval) = secrets else { return };
        loop {
            tokio::time::sleep(interval).await;
            if let Some(queues) = self.queues().clone() {
                for_each_kind!(K => if K::READS_SECRETS {
                    enqueue_all::<K>(&self.stores, &queues);
                });
            }
        }
    }

    /// Remembers which Secrets have our finalizer, for the next leadership period.
    fn remember(&self, touched: &Touched) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if touched.held {
            held.insert(touched.secret.clone());
        } else {
            held.remove(&touched.secret);
        }
    }

    /// Enqueues everything that a Secret concerns: its owner, and the objects that read it by name.
    fn enqueue_readers(&self, touched: &Touched) {
        self.remember(touched);
        let Some(queues) = self.queues().clone() else {
            return;
        };
        for_each_kind!(K => self.enqueue_readers_of::<K>(touched, &queues));
        if touched.held {
            queues.enqueue_secret(touched.secret.clone());
        }
    }

    /// Enqueues what a namespace has with ClusterConsoleTokens, because the labels of the namespace changed.
    pub fn enqueue_shared(&self, namespace: &str) {
        let Some(queues) = self.queues().clone() else {
            return;
        };
        for_each_kind!(K => self.enqueue_shared_of::<K>(namespace, &queues));
    }

    fn enqueue_shared_of<K: Listed>(&self, namespace: &str, queues: &Queues) {
        for object in K::cache(&self.stores).shared_in(namespace) {
            queues.enqueue::<K>(object);
        }
    }

    fn enqueue_readers_of<K: Listed>(&self, touched: &Touched, queues: &Queues) {
        let owner = touched.owner.as_ref();
        if let Some(owner) = owner.filter(|it| it.kind == K::KIND && !touched.echo) {
            queues.enqueue::<K>(cache::named(Some(&touched.secret.namespace), &owner.name));
        }
        for object in K::cache(&self.stores).readers(&touched.secret, owner.is_some()) {
            queues.enqueue::<K>(object);
        }
    }
}

/// Enqueues an object that changed, and its console token if the object is new.
fn enqueue_changed<K: Listed>(queues: &Queues, reference: ObjectRef<Cached<K>>, object: Option<&K>) {
    queues.enqueue::<K>(reference);
    // The object may be the first dependent of the token.
    if K::NEEDS_TOKEN_TO_END
        && let Some(object) = object.filter(|it| !has_finalizer(*it))
        && let Some(token) = object.token()
    {
        queues.enqueue_token(&token);
    }
}

fn enqueue_all<K: Listed>(stores: &Stores, queues: &Queues) {
    for object in K::cache(stores).references() {
        queues.enqueue::<K>(object);
    }
}
