//! Objects as they are cached: what look-ups need, and the rest packed. An object is unpacked when it is used, so memory
//! holds a few hundred bytes for each instead of several thousand.
//!
//! What is packed is the JSON of an object, compressed with a dictionary: an earlier object of the same kind, which most of
//! the text is like.

use super::object::Managed;
use crate::plan::identity::{ObjectName, TokenKind, TokenRef};
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Predicate, predicates, watcher};
use kube::{Resource, ResourceExt};
use lz4_flex::block;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Largest dictionary, in bytes.
const LARGEST_DICTIONARY: usize = 16 * 1024;

/// An object as it is cached.
pub struct Cached<K> {
    /// Name and namespace.
    meta: ObjectMeta,
    uid: Box<str>,
    /// Hash of what makes a change of the object news: a write to its status alone does not.
    news: u64,
    /// Hash of the console token that the object is made with; 0 for none.
    token: u64,
    /// Hash of the Secret that the object reads; 0 for none.
    secret: u64,
    /// Whether the object is made with a ClusterConsoleToken.
    shared: bool,
    content: Content<K>,
}

enum Content<K> {
    Packed {
        bytes: Box<[u8]>,
        dictionary: Arc<[u8]>,
    },
    /// An object of a kind of which there are few, and which is read often.
    Open(Arc<K>),
    Undecodable(Box<Undecodable>),
}

impl<K> Clone for Content<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Packed { bytes, dictionary } => {
                Self::Packed { bytes: bytes.clone(), dictionary: Arc::clone(dictionary) }
            }
            Self::Open(object) => Self::Open(Arc::clone(object)),
            Self::Undecodable(why) => Self::Undecodable(why.clone()),
        }
    }
}

/// An object that this version's type cannot decode.
#[derive(Clone, Debug)]
pub struct Undecodable {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Why it cannot be decoded.
    pub error: String,
}

impl<K> Clone for Cached<K> {
    fn clone(&self) -> Self {
        Self { meta: self.meta.clone(), uid: self.uid.clone(), content: self.content.clone(), ..*self }
    }
}

impl<K> fmt::Debug for Cached<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cached").field("meta", &self.meta).finish_non_exhaustive()
    }
}

/// For kube, which asks for name and namespace.
impl<K: Managed> Resource for Cached<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// kube's controller asks for it, and never uses it: objects come into the cache through `Filler` alone.
impl<'de, K> Deserialize<'de> for Cached<K> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("a cached object is not read from anywhere"))
    }
}

impl<K: Managed> Cached<K> {
    /// The whole object, or why it cannot be decoded.
    pub fn open(&self) -> Result<Arc<K>, Box<Undecodable>> {
        match &self.content {
            Content::Open(object) => Ok(Arc::clone(object)),
            Content::Undecodable(why) => Err(why.clone()),
            Content::Packed { bytes, dictionary } => {
                let text = block::decompress_size_prepended_with_dict(bytes, dictionary);
                let text = text.map_err(|error| self.unopened(&error))?;
                serde_json::from_slice(&text).map(Arc::new).map_err(|error| self.unopened(&error))
            }
        }
    }

    /// What was packed can be unpacked; if not, the object is reported as one that cannot be decoded.
    fn unopened(&self, error: &dyn fmt::Display) -> Box<Undecodable> {
        Box::new(Undecodable { meta: self.meta.clone(), error: error.to_string() })
    }

    /// The object, if it can be decoded.
    fn decoded(&self) -> Option<Arc<K>> {
        self.open().ok()
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    fn place(&self) -> u64 {
        hash_of(&(&self.meta.namespace, &self.meta.name))
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.meta.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

/// Hash by which an object is found without unpacking it; never 0.
fn hash_of(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish().max(1)
}

/// Whether an object is another one than before, or changed otherwise than in its status.
fn is_news<K>(before: Option<&Cached<K>>, after: &Cached<K>) -> bool {
    before.is_none_or(|it| it.news != after.news || it.uid != after.uid)
}

/// Generation, annotations and finalizers.
fn news_in<K: Managed>(object: &DeserializeGuard<K>) -> u64 {
    let matters = predicates::generation.combine(predicates::annotations).combine(predicates::finalizers);
    matters.hash_property(object).unwrap_or_default()
}

type ByToken<K> = HashMap<u64, HashMap<u64, Arc<Cached<K>>>>;

/// All objects of a kind. Clones are the same cache.
pub struct Cache<K: Managed> {
    store: Store<Cached<K>>,
    /// The objects by the hash of their console token, and by that of namespace and name.
    by_token: Arc<Mutex<ByToken<K>>>,
    /// How many objects read a Secret of a name with that hash: most Secrets of a cluster are read by none.
    readers: Arc<Mutex<HashMap<u64, u32>>>,
}

impl<K: Managed> Clone for Cache<K> {
    fn clone(&self) -> Self {
        let (by_token, readers) = (Arc::clone(&self.by_token), Arc::clone(&self.readers));
        Self { store: self.store.clone(), by_token, readers }
    }
}

impl<K: Managed> Cache<K> {
    /// For kube's controller.
    pub const fn store(&self) -> &Store<Cached<K>> {
        &self.store
    }

    /// The object of that reference, if it is there and can be decoded.
    pub fn get(&self, reference: &ObjectRef<Cached<K>>) -> Option<Arc<K>> {
        self.store.get(reference)?.decoded()
    }

    /// The namespaced object of that name, if it is there and can be decoded.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get(&named(Some(namespace), name))
    }

    /// The decodable objects that satisfy a condition.
    pub fn all(&self, condition: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let objects = self.store.state();
        objects.iter().filter_map(|it| it.decoded()).filter(|it| condition(it)).collect()
    }

    /// Visits every decodable object.
    pub fn each(&self, mut visit: impl FnMut(Arc<K>)) {
        self.store.state().iter().filter_map(|it| it.decoded()).for_each(&mut visit);
    }

    /// References to all objects, also to those that cannot be decoded.
    pub fn references(&self) -> Vec<ObjectRef<Cached<K>>> {
        self.store.state().iter().map(|it| reference_of(it)).collect()
    }

    /// References to the decodable objects that satisfy a condition.
    pub fn select(&self, condition: impl Fn(&K) -> bool) -> Vec<ObjectRef<Cached<K>>> {
        let objects = self.store.state();
        objects
            .iter()
            .filter(|it| it.decoded().is_some_and(|it| condition(&it)))
            .map(|it| reference_of(it))
            .collect()
    }

    /// Visits the objects made with that console token.
    pub fn each_made_with(&self, token: &TokenRef, mut visit: impl FnMut(Arc<K>)) {
        let objects = self.with_hash(hash_of(token));
        objects.iter().filter_map(|it| it.decoded()).filter(|it| it.is_made_with(token)).for_each(&mut visit);
    }

    /// References to the objects made with that console token.
    pub fn made_with(&self, token: &TokenRef) -> Vec<ObjectRef<Cached<K>>> {
        self.with_hash(hash_of(token)).iter().map(|it| reference_of(it)).collect()
    }

    /// Whether an object is made with that console token.
    pub fn has_made_with(&self, token: &TokenRef) -> bool {
        self.by_token().contains_key(&hash_of(token))
    }

    fn with_hash(&self, token: u64) -> Vec<Arc<Cached<K>>> {
        self.by_token().get(&token).map(|it| it.values().cloned().collect()).unwrap_or_default()
    }

    fn by_token(&self) -> MutexGuard<'_, ByToken<K>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// References to the objects of a namespace that are made with ClusterConsoleTokens.
    pub fn shared_in(&self, namespace: &str) -> Vec<ObjectRef<Cached<K>>> {
        let objects = self.store.state();
        objects.iter().filter(|it| it.shared && it.is_in(namespace)).map(|it| reference_of(it)).collect()
    }

    /// References to the objects that read that Secret. `ours`: it belongs to one of our resources.
    pub fn readers(&self, secret: &ObjectName, ours: bool) -> Vec<ObjectRef<Cached<K>>> {
        let hash = hash_of(&secret.name);
        if ours && !K::READS_SECRETS_OF_OURS || !self.counts().contains_key(&hash) {
            return Vec::new();
        }
        // A ClusterConsoleToken reads Secrets of the operator's namespace: one of that name elsewhere enqueues it in vain.
        let reads = |it: &&Arc<Cached<K>>| it.secret == hash && it.is_in(&secret.namespace);
        self.store.state().iter().filter(reads).map(|it| reference_of(it)).collect()
    }

    /// Whether the UID of an object satisfies a condition.
    pub fn has_uid(&self, condition: impl Fn(&str) -> bool) -> bool {
        self.store.state().iter().any(|it| condition(&it.uid))
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<u64, u32>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reference of an object, for look-ups in a cache.
pub fn reference<K: Managed>(object: &K) -> ObjectRef<Cached<K>> {
    named(object.namespace().as_deref(), &object.name_any())
}

fn reference_of<K: Managed>(cached: &Cached<K>) -> ObjectRef<Cached<K>> {
    named(cached.meta.namespace.as_deref(), cached.meta.name.as_deref().unwrap_or_default())
}

/// Reference of the object of that name.
pub fn named<K: Managed>(namespace: Option<&str>, name: &str) -> ObjectRef<Cached<K>> {
    let reference = ObjectRef::new(name);
    match namespace {
        Some(namespace) => reference.within(namespace),
        None => reference,
    }
}

/// Fills a cache from a watch.
pub struct Filler<K: Managed> {
    cache: Cache<K>,
    writer: Writer<Cached<K>>,
    dictionary: Arc<[u8]>,
}

impl<K: Managed> Filler<K> {
    /// An empty cache, and what fills it.
    pub fn new() -> (Cache<K>, Self) {
        let writer = Writer::new(());
        let cache = Cache { store: writer.as_reader(), by_token: Arc::default(), readers: Arc::default() };
        (cache.clone(), Self { cache, writer, dictionary: Arc::from([]) })
    }

    /// Takes an event into the cache. Returns whether it is news: an object that is new or that changed otherwise than in
    /// its status.
    pub fn take(&mut self, event: &watcher::Event<DeserializeGuard<K>>) -> bool {
        let (cache, mut former) = (self.cache.clone(), None);
        let before = |it: &Cached<K>| cache.store.get(&reference_of(it));
        let (event, news) = match event {
            watcher::Event::Apply(object) => {
                let cached = self.pack(object);
                let before = before(&cached);
                self.count(before.as_deref(), Some(&cached));
                former = before.clone().filter(|it| it.token != cached.token);
                let news = is_news(before.as_deref(), &cached);
                (watcher::Event::Apply(cached), news)
            }
            watcher::Event::InitApply(object) => {
                let cached = self.pack(object);
                let news = is_news(before(&cached).as_deref(), &cached);
                (watcher::Event::InitApply(cached), news)
            }
            watcher::Event::Delete(object) => {
                let cached = self.pack(object);
                former = before(&cached);
                self.count(former.as_deref(), None);
                (watcher::Event::Delete(cached), false)
            }
            watcher::Event::Init => (watcher::Event::Init, false),
            watcher::Event::InitDone => (watcher::Event::InitDone, false),
        };
        self.writer.apply_watcher_event(&event);
        // The new entry comes first: nothing may miss an object that was and is there.
        match &event {
            watcher::Event::Apply(cached) => self.index(cached),
            watcher::Event::InitDone => self.index_all(),
            _ => {}
        }
        if let Some(former) = &former {
            self.unindex(former);
        }
        news
    }

    fn count(&self, before: Option<&Cached<K>>, after: Option<&Cached<K>>) {
        let mut counts = self.cache.counts();
        if let Some(secret) = before.map(|it| it.secret).filter(|it| *it != 0)
            && let Some(count) = counts.get_mut(&secret)
        {
            *count -= 1;
            if *count == 0 {
                counts.remove(&secret);
            }
        }
        if let Some(secret) = after.map(|it| it.secret).filter(|it| *it != 0) {
            *counts.entry(secret).or_default() += 1;
        }
    }

    fn index(&self, cached: &Cached<K>) {
        if cached.token != 0
            && let Some(stored) = self.cache.store.get(&reference_of(cached))
        {
            self.cache.by_token().entry(cached.token).or_default().insert(cached.place(), stored);
        }
    }

    fn unindex(&self, cached: &Cached<K>) {
        let mut by_token = self.cache.by_token();
        if let Some(objects) = by_token.get_mut(&cached.token) {
            objects.remove(&cached.place());
            if objects.is_empty() {
                by_token.remove(&cached.token);
            }
        }
    }

    fn index_all(&self) {
        let (mut by_token, mut readers) = (ByToken::new(), HashMap::new());
        for cached in self.cache.store.state() {
            if cached.secret != 0 {
                *readers.entry(cached.secret).or_default() += 1;
            }
            if cached.token != 0 {
                by_token.entry(cached.token).or_default().insert(cached.place(), cached);
            }
        }
        *self.cache.counts() = readers;
        *self.cache.by_token() = by_token;
    }

    fn pack(&mut self, guard: &DeserializeGuard<K>) -> Cached<K> {
        let meta = ObjectMeta {
            name: guard.meta().name.clone(),
            namespace: guard.meta().namespace.clone(),
            ..ObjectMeta::default()
        };
        let uid = guard.uid().unwrap_or_default().into_boxed_str();
        let object = guard.0.as_ref().ok();
        let token = object.and_then(Managed::token);
        let secret = object.and_then(K::reads_secret);
        Cached {
            meta,
            uid,
            news: news_in(guard),
            token: token.as_ref().map_or(0, hash_of),
            secret: secret.map_or(0, |name| hash_of(&name)),
            shared: token.is_some_and(|it| it.kind == TokenKind::ClusterConsoleToken),
            content: self.content(guard),
        }
    }

    fn content(&mut self, guard: &DeserializeGuard<K>) -> Content<K> {
        let undecodable =
            |error: String| Content::Undecodable(Box::new(Undecodable { meta: guard.meta().clone(), error }));
        let object = match &guard.0 {
            Ok(object) => object,
            Err(invalid) => return undecodable(invalid.error.clone()),
        };
        if !K::MANY {
            return Content::Open(Arc::new(object.clone()));
        }
        let text = match serde_json::to_vec(object) {
            Ok(text) => text,
            Err(error) => return undecodable(error.to_string()),
        };
        // An object with a status has most of the texts that others have.
        if self.dictionary.is_empty() && object.status().is_some() {
            self.dictionary = text[..text.len().min(LARGEST_DICTIONARY)].into();
        }
        let bytes = block::compress_prepend_size_with_dict(&text, &self.dictionary);
        Content::Packed { bytes: bytes.into_boxed_slice(), dictionary: Arc::clone(&self.dictionary) }
    }
}

#[cfg(test)]
mod tests;
