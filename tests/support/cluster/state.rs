//! The stored state of the server, and the one place that changes it.

use crate::support::random::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fault::Faults;
use super::kind::Kind;
use super::watch::Watch;
use super::{Request, SecretVersion};

/// Changes kept for watches that resume; an older resourceVersion is answered with 410.
const HISTORY: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(kind: &Kind, namespace: Option<&str>, name: &str) -> Self {
        let namespace = namespace.unwrap_or_default().to_owned();
        Self { resource: kind.resource(), namespace, name: name.to_owned() }
    }
}

/// One step of history: an object before and after a change.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) revision: u64,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Value>>,
    pub(super) after: Option<Arc<Value>>,
}

pub(super) type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;

pub(super) struct State {
    now: Now,
    pub(super) kinds: Vec<Arc<Kind>>,
    pub(super) objects: BTreeMap<Key, Arc<Value>>,
    pub(super) revision: u64,
    /// The newest revision from which a watch cannot resume any more.
    pub(super) compacted: u64,
    pub(super) changes: VecDeque<Change>,
    pub(super) watches: Vec<Watch>,
    pub(super) requests: Vec<Request>,
    pub(super) faults: Faults,
    pub(super) secrets: Vec<SecretVersion>,
    pub(super) connections: u64,
    identifiers: Rng,
    pub(super) latency: Duration,
    pub(super) collection_delay: Duration,
    /// Whether the garbage collector or a namespace deletion has work to do.
    pub(super) unsettled: bool,
    pub(super) settling: bool,
}

impl State {
    pub(super) fn new(now: Now) -> Self {
        Self {
            now,
            kinds: super::kind::builtins().into_iter().map(Arc::new).collect(),
            objects: BTreeMap::new(),
            revision: 1,
            compacted: 0,
            changes: VecDeque::new(),
            watches: Vec::new(),
            requests: Vec::new(),
            faults: Faults::default(),
            secrets: Vec::new(),
            connections: 0,
            identifiers: Rng::new(0),
            latency: Duration::from_millis(1),
            collection_delay: Duration::from_millis(50),
            unsettled: false,
            settling: false,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// The time as Kubernetes writes it in metadata: whole seconds.
    pub(super) fn stamp(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    pub(super) fn serve(&mut self, kind: Kind) {
        self.kinds.retain(|k| !k.is(&kind.group, &kind.plural));
        self.kinds.push(Arc::new(kind));
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.iter()
    }

    pub(super) fn kind(&self, matching: impl Fn(&Kind) -> bool) -> Option<Arc<Kind>> {
        self.kinds.iter().find(|kind| matching(kind)).cloned()
    }

    pub(super) fn kind_of(&self, api_version: &str, name: &str) -> Option<Arc<Kind>> {
        self.kind(|kind| kind.kind == name && kind.api_version() == api_version)
    }

    /// All objects of one kind, in the order of a list: by namespace, then by name.
    pub(super) fn of_kind<'a>(&'a self, kind: &Kind) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let first = Key::new(kind, None, "");
        let resource = first.resource.clone();
        self.objects.range(first..).take_while(move |(key, _)| key.resource == resource)
    }

    pub(super) fn namespace(&self, name: &str) -> Option<&Arc<Value>> {
        let (resource, namespace) = ("namespaces".to_owned(), String::new());
        self.objects.get(&Key { resource, namespace, name: name.to_owned() })
    }

    /// A new identifier: the same in every run, but distributed like a random one, so that hashes of it are distributed
    /// too.
    pub(super) fn mint(&mut self) -> u64 {
        self.identifiers.next()
    }

    pub(super) fn mint_uid(&mut self) -> String {
        let bits = (u128::from(self.mint()) << 64) | u128::from(self.mint());
        let hex = format!("{bits:032x}");
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// Stores, replaces or removes one object: a new revision, a step of history, an event to every watch.
    pub(super) fn commit(&mut self, key: Key, after: Option<Value>) -> Arc<Value> {
        self.revision += 1;
        let before = self.objects.get(&key).cloned();
        self.unsettled |= needs_settling(before.as_deref(), after.as_ref());
        let after = after.map(|object| Arc::new(at_revision(object, self.revision)));
        match &after {
            Some(object) => self.objects.insert(key.clone(), object.clone()),
            None => self.objects.remove(&key),
        };
        let last = after.clone().unwrap_or_else(|| {
            let gone = before.as_deref().expect("only what exists is removed").clone();
            Arc::new(at_revision(gone, self.revision))
        });
        self.remember_secret(&key, after.as_deref(), &last);
        let change = Change { revision: self.revision, key, before, after };
        self.deliver(&change);
        self.changes.push_back(change);
        if self.changes.len() > HISTORY {
            self.compacted = self.changes.pop_front().map_or(self.compacted, |oldest| oldest.revision);
        }
        last
    }

    fn remember_secret(&mut self, key: &Key, stored: Option<&Value>, last: &Value) {
        if key.resource == "secrets" {
            self.secrets.push(SecretVersion {
                at: self.now(),
                revision: self.revision,
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                uid: last["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
                object: stored.cloned(),
            });
        }
    }

    /// The objects of a kind as they were at `revision`, which must not be compacted.
    pub(super) fn snapshot(&self, kind: &Kind, revision: u64) -> BTreeMap<Key, Arc<Value>> {
        let mut objects: BTreeMap<_, _> = self.of_kind(kind).map(|(k, v)| (k.clone(), v.clone())).collect();
        let resource = kind.resource();
        let later = self.changes.iter().rev().take_while(|change| change.revision > revision);
        for change in later.filter(|change| change.key.resource == resource) {
            match &change.before {
                Some(object) => objects.insert(change.key.clone(), object.clone()),
                None => objects.remove(&change.key),
            };
        }
        objects
    }
}

pub(super) fn at_revision(mut object: Value, revision: u64) -> Value {
    object["metadata"]["resourceVersion"] = json!(revision.to_string());
    object
}

/// A removal may orphan children or empty a namespace; a new owner may be one that is gone already.
fn needs_settling(before: Option<&Value>, after: Option<&Value>) -> bool {
    let Some(after) = after else { return true };
    let owners = |object: &Value| object["metadata"]["ownerReferences"].clone();
    let terminating = after["kind"] == "Namespace" && !after["metadata"]["deletionTimestamp"].is_null();
    terminating || (!owners(after).is_null() && before.map(owners) != Some(owners(after)))
}
