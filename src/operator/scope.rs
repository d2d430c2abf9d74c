//! One watched namespace, or all of them: caches that are filled whether or not this replica leads, and a bell that
//! rings for its controllers while it does.

use crate::api::FINALIZER;
use crate::api::shared::ConsoleTokenRef;
use crate::api::{ConsoleToken, GatewayApiKey, ProjectSettings, ProviderKey};
use crate::cluster::object::Managed;
use crate::cluster::watch::{self, Touched};
use crate::cluster::{brief_watch, needs_a_person};
use crate::controller::Source;
use crate::controller::context::{Stores, Wakers};
use crate::runtime::liveness::Liveness;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// What is watched.
pub struct Scope {
    /// One namespace; all when `None`.
    pub namespace: Option<String>,
    /// The objects.
    pub stores: Stores,
    /// Each cancelled when one of the stores is filled.
    filled: Vec<CancellationToken>,
    /// Told when a watch breaks.
    trouble: Arc<Notify>,
    /// Nobody listens before this replica first leads.
    bell: Mutex<Option<Wakers>>,
    /// Secrets that are held for console tokens: namespace and name.
    held: Mutex<BTreeSet<(String, String)>>,
}

/// Where the controllers of one term hear the bell.
pub struct Sources {
    /// ConsoleTokens.
    pub tokens: Source<ConsoleToken>,
    /// GatewayApiKeys.
    pub keys: Source<GatewayApiKey>,
    /// ProviderKeys.
    pub deposits: Source<ProviderKey>,
    /// `ProjectSettings`.
    pub projects: Source<ProjectSettings>,
    /// Secrets that are held and that no ConsoleToken may need any more.
    pub secrets: mpsc::UnboundedReceiver<(String, String)>,
}

impl Scope {
    /// The scope, and what fills it: to be polled as long as it is used.
    pub fn new(
        client: &Client,
        namespace: Option<String>,
        liveness: &Liveness,
        trouble: &Arc<Notify>,
    ) -> (Arc<Self>, BoxFuture<'static, ()>) {
        let place = namespace.as_deref();
        let tokens = watch::objects::<ConsoleToken>(client, place);
        let keys = watch::objects::<GatewayApiKey>(client, place);
        let deposits = watch::objects::<ProviderKey>(client, place);
        let projects = watch::objects::<ProjectSettings>(client, place);
        let secrets = watch::secrets(client, place);
        let stores = Stores {
            tokens: tokens.store,
            keys: keys.store,
            deposits: deposits.store,
            projects: projects.store,
            filled: [tokens.filled.clone(), keys.filled.clone()],
        };
        let filled = vec![tokens.filled, keys.filled, deposits.filled, projects.filled];
        let (bell, held, trouble) = (Mutex::default(), Mutex::default(), Arc::clone(trouble));
        let scope = Arc::new(Self { namespace, stores, filled, trouble, bell, held });
        let pulse = liveness.part("the watch");
        let watching = {
            let scope = Arc::clone(&scope);
            async move {
                tokio::join!(
                    scope.ring_for(tokens.changes, |wakers, it| drop(
                        wakers.tokens.send(ObjectRef::from_obj(it))
                    )),
                    scope.ring_for(keys.changes, |wakers, it| {
                        drop(wakers.keys.send(ObjectRef::from_obj(it)));
                        // The first that depends on it.
                        if !is_held(it) {
                            wake_token(wakers, it, |key| &key.spec.console_token_ref);
                        }
                    }),
                    scope.ring_for(deposits.changes, |wakers, it| {
                        drop(wakers.deposits.send(ObjectRef::from_obj(it)));
                        if !is_held(it) {
                            wake_token(wakers, it, |deposit| &deposit.spec.console_token_ref);
                        }
                    }),
                    scope.ring_for(projects.changes, |wakers, it| drop(
                        wakers.projects.send(ObjectRef::from_obj(it))
                    )),
                    secrets.for_each(|secret| {
                        scope.wake_for(&secret);
                        std::future::ready(())
                    }),
                    pulse.answers().for_each(|never| async move { match never {} }),
                );
            }
        };
        (scope, watching.boxed())
    }

    /// Begins a term: who is woken from now on is heard there, and at first that is every object there is.
    pub fn begin(&self) -> (Wakers, Sources) {
        let (tokens, tokens_wakes) = mpsc::unbounded_channel();
        let (keys, keys_wakes) = mpsc::unbounded_channel();
        let (deposits, deposits_wakes) = mpsc::unbounded_channel();
        let (projects, projects_wakes) = mpsc::unbounded_channel();
        let (secrets, secrets_wakes) = mpsc::unbounded_channel();
        let wakers = Wakers { tokens, keys, deposits, projects, secrets };
        // Before the objects are read: one that comes in between is woken twice, which is once.
        *self.bell() = Some(wakers.clone());
        wake_all(&self.stores.tokens, &wakers.tokens);
        wake_all(&self.stores.keys, &wakers.keys);
        wake_all(&self.stores.deposits, &wakers.deposits);
        wake_all(&self.stores.projects, &wakers.projects);
        for secret in self.held.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = wakers.secrets.send(secret.clone());
        }
        let sources = Sources {
            tokens: Source { store: self.stores.tokens.clone(), wakes: tokens_wakes },
            keys: Source { store: self.stores.keys.clone(), wakes: keys_wakes },
            deposits: Source { store: self.stores.deposits.clone(), wakes: deposits_wakes },
            projects: Source { store: self.stores.projects.clone(), wakes: projects_wakes },
            secrets: secrets_wakes,
        };
        (wakers, sources)
    }

    /// Ends once for each store, when that is filled.
    pub fn filled(&self) -> impl Iterator<Item = WaitForCancellationFutureOwned> {
        self.filled.iter().map(|it| it.clone().cancelled_owned())
    }

    fn bell(&self) -> MutexGuard<'_, Option<Wakers>> {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ring_for<K: Managed>(
        &self,
        objects: impl Stream<Item = watcher::Result<DeserializeGuard<K>>>,
        ring: impl Fn(&Wakers, &DeserializeGuard<K>),
    ) {
        let mut objects = std::pin::pin!(objects);
        while let Some(result) = objects.next().await {
            match (result, &*self.bell()) {
                (Ok(object), Some(wakers)) => ring(wakers, &object),
                (Ok(_), None) => {}
                (Err(error), _) => self.report_trouble(K::KIND, &error),
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

    /// Remembers which Secrets are held, for the next term.
    fn remember(&self, secret: &Touched) {
        let place = (secret.namespace.clone(), secret.name.clone());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if secret.held {
            held.insert(place);
        } else {
            held.remove(&place);
        }
    }

    /// Wakes whoever a Secret matters to: its owner, and those that read it by name.
    fn wake_for(&self, secret: &Touched) {
        self.remember(secret);
        let Some(wakers) = self.bell().clone() else {
            return;
        };
        // Between two terms nobody hears it, and the next one begins with every object.
        let own = |name: &str| ObjectRef::new(name).within(&secret.namespace);
        match &secret.owner {
            Some((kind, name)) if kind == GatewayApiKey::KIND => {
                let _ = wakers.keys.send(own(name));
            }
            _ => {}
        }
        let here = |place: Option<String>| place.as_deref() == Some(&secret.namespace);
        // A minted token's Secret belongs to the key that stands for the token.
        let reads = |it: &ConsoleToken| here(it.namespace()) && it.spec.secret_name() == secret.name;
        for token in watch::select(&self.stores.tokens, reads) {
            let _ = wakers.tokens.send(token);
        }
        if secret.held {
            let _ = wakers.secrets.send((secret.namespace.clone(), secret.name.clone()));
        }
        if secret.owner.is_some() {
            return;
        }
        let reads = |it: &ProviderKey| here(it.namespace()) && it.spec.credentials_ref.name == secret.name;
        for deposit in watch::select(&self.stores.deposits, reads) {
            let _ = wakers.deposits.send(deposit);
        }
        // A key that waits for this name to become free, or whose Secret was taken from it.
        let names = |it: &GatewayApiKey| here(it.namespace()) && it.secret_name() == secret.name;
        for key in watch::select(&self.stores.keys, names) {
            let _ = wakers.keys.send(key);
        }
    }
}

fn wake_token<K: Managed>(
    wakers: &Wakers,
    object: &DeserializeGuard<K>,
    reference: impl Fn(&K) -> &ConsoleTokenRef,
) {
    if let Ok(object) = &object.0 {
        let token = ObjectRef::new(&reference(object).name).within(&object.namespace().unwrap_or_default());
        let _ = wakers.tokens.send(token);
    }
}

fn wake_all<K: Managed>(
    store: &Store<DeserializeGuard<K>>,
    waker: &mpsc::UnboundedSender<ObjectRef<DeserializeGuard<K>>>,
) {
    for object in store.state() {
        let _ = waker.send(ObjectRef::from_obj(object.as_ref()));
    }
}

/// Whether it has Keysmith's finalizer, others aside.
fn is_held(object: &impl ResourceExt) -> bool {
    object.finalizers().iter().any(|it| it == FINALIZER)
}
