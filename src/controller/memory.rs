//! What a process remembers of objects between passes. All of it may be lost: correctness never depends on it, only
//! the number of calls does.

use crate::cluster::object::{self, Managed};
use crate::plan::{hash, retry};
use crate::protocol::console_token::ports::Holds;
use crate::protocol::memory::Remembered;
use jiff::Timestamp;
use kube::ResourceExt;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Default)]
struct Entry {
    /// The object as our own last write returned it; the watch cache may lag.
    written: Option<Arc<dyn Any + Send + Sync>>,
    /// Its version; 0 if that is not a number.
    written_version: u64,
    /// The newest version that our own writes made; 0 for none.
    own: u64,
    /// Whether the running pass read the object again, so that its writes may be made on what it did not act upon.
    read_again: bool,
    /// What the engine remembers.
    remembered: Remembered,
    /// For a ConsoleToken: the Secret that got our finalizer, or could not get it.
    holds: Option<Holds>,
    /// For a ConsoleToken: the newest listing that its keys were compared with.
    compared: Option<Timestamp>,
    failures: u32,
    stale: u32,
}

/// How many of the last released resources are remembered.
const RELEASED: usize = 1024;

/// How many of the last own writes are kept although the watch shows them: a pass that began with the object before may ask
/// for them a moment later.
const SHOWN: usize = 64;

/// What is remembered, by UID.
#[derive(Default)]
pub struct Memory {
    /// The last own writes that the watch showed, with the versions that it showed.
    shown: Mutex<VecDeque<(u128, u64)>>,
    entries: Mutex<HashMap<u128, Entry>>,
    released: Mutex<VecDeque<String>>,
}

/// Where the object with that UID is remembered: UIDs are long, and memory is held for each of many objects.
fn place(uid: &str) -> u128 {
    let bytes = hash::digest(&[uid.as_bytes()]);
    bytes.iter().take(16).fold(0, |place, byte| place << 8 | u128::from(*byte))
}

/// Forgets an own write up to that version, and the entry with it if nothing else is remembered.
fn drop_written(entries: &mut HashMap<u128, Entry>, place: u128, version: u64) {
    if let Some(entry) = entries.get_mut(&place)
        && entry.written_version <= version
    {
        entry.written = None;
        if entry.is_blank() {
            entries.remove(&place);
        }
    }
}

impl Entry {
    /// Whether nothing is remembered.
    fn is_blank(&self) -> bool {
        self.written.is_none()
            && self.own == 0
            && self.remembered.is_blank()
            && self.holds.is_none()
            && self.compared.is_none()
            && self.failures == 0
            && self.stale == 0
            && !self.read_again
    }
}

impl Memory {
    fn entries(&self) -> MutexGuard<'_, HashMap<u128, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, uid: &str, change: impl FnOnce(&mut Entry) -> T) -> T {
        let (mut entries, place) = (self.entries(), place(uid));
        let entry = entries.entry(place).or_default();
        let result = change(entry);
        // A look alone leaves nothing: every poll looks at every key.
        if entry.is_blank() {
            entries.remove(&place);
        }
        result
    }

    /// Caches the object that our own write returned.
    pub fn wrote<K: Managed>(&self, object: Arc<K>) {
        let uid = object.uid().unwrap_or_default();
        self.with(&uid, |entry| {
            entry.written_version = object::version(object.as_ref()).unwrap_or(0);
            entry.written = Some(object);
        });
    }

    /// Records that our own write made this version. Such a write succeeds only on the version that its pass began with, so
    /// that nothing up to this version is news; unless the pass read the object again.
    pub fn made(&self, object: &impl ResourceExt) {
        if let (Some(uid), Some(version)) = (object.uid(), object::version(object)) {
            self.with(&uid, |entry| {
                if !entry.read_again {
                    entry.own = entry.own.max(version);
                }
            });
        }
    }

    /// Records that the running pass reads the object again: what another writer wrote meanwhile is news for the next pass.
    pub fn reads_again(&self, object: &impl ResourceExt) {
        if let Some(uid) = object.uid() {
            self.with(&uid, |entry| entry.read_again = true);
        }
    }

    /// Whether what the watch shows of an object is what our own write made, or older. Our own last write need not be kept
    /// any longer once the watch shows it.
    pub fn is_echo(&self, object: &impl ResourceExt) -> bool {
        let mut entries = self.entries();
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        let place = place(uid);
        let (Some(entry), Some(version)) = (entries.get_mut(&place), object::version(object)) else {
            return false;
        };
        let echo = version <= entry.own;
        if entry.own <= version {
            entry.own = 0;
        }
        if entry.written_version <= version && entry.written.is_some() {
            let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            shown.push_back((place, version));
            let oldest = if shown.len() > SHOWN { shown.pop_front() } else { None };
            drop(shown);
            if let Some((place, version)) = oldest {
                drop_written(&mut entries, place, version);
            }
        }
        echo
    }

    /// The newer of the watch's object and our own last write. Resource versions are compared as numbers, which
    /// Kubernetes guarantees since 1.35. If they are not numbers, the watch's object is used; compare-and-swap keeps
    /// that safe.
    pub fn newest<K: Managed>(&self, watched: Arc<K>) -> Arc<K> {
        let uid = watched.uid().unwrap_or_default();
        let version = |object: &K| object::version(object);
        self.with(&uid, |entry| {
            let written = entry.written.clone().and_then(|it| it.downcast::<K>().ok());
            match written {
                Some(written) if version(&written) > version(&watched) => written,
                _ => {
                    entry.written = None;
                    watched
                }
            }
        })
    }

    /// What the engine remembers of the resource with that UID.
    pub fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        self.with(uid, |entry| change(&mut entry.remembered))
    }

    /// Records which Secret has our finalizer for that ConsoleToken. Returns the previous record.
    pub fn holds(&self, uid: &str, holds: Option<Holds>) -> Option<Holds> {
        self.with(uid, |entry| std::mem::replace(&mut entry.holds, holds))
    }

    /// Records that the keys of that ConsoleToken are compared with a listing that began at this time. Returns the
    /// time before, or this time if that listing was compared already.
    pub fn compared(&self, uid: &str, as_of: Timestamp) -> Option<Timestamp> {
        self.with(uid, |entry| {
            let before = entry.compared;
            entry.compared = before.max(Some(as_of));
            before
        })
    }

    /// A pass came to rest: resets the backoff.
    pub fn rested(&self, uid: &str) {
        let mut entries = self.entries();
        if let Some(entry) = entries.get_mut(&place(uid)) {
            entry.failures = 0;
            entry.stale = 0;
            entry.read_again = false;
            if entry.is_blank() {
                entries.remove(&place(uid));
            }
        }
    }

    /// A pass failed: returns the backoff.
    pub fn failed(&self, uid: &str) -> Duration {
        let failures = self.with(uid, |entry| {
            entry.failures += 1;
            entry.read_again = false;
            entry.failures
        });
        Duration::try_from(retry::backoff(failures, uid)).unwrap_or(Duration::from_secs(60))
    }

    /// A pass met a conflict: returns how long to wait for the watch to catch up.
    pub fn pause(&self, uid: &str) -> Duration {
        let stale = self.with(uid, |entry| {
            entry.written = None;
            entry.stale += 1;
            entry.read_again = false;
            entry.stale
        });
        Duration::from_millis(100 << stale.min(8))
    }

    /// Records that our finalizer was removed: later events about the object, from a cache that lags, are ignored.
    pub fn released(&self, uid: &str) {
        self.forget(uid);
        let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        if released.iter().any(|it| it == uid) {
            return;
        }
        released.push_back(uid.to_owned());
        if released.len() > RELEASED {
            released.pop_front();
        }
    }

    /// Whether our finalizer was removed.
    pub fn is_released(&self, uid: &str) -> bool {
        self.released.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|it| it == uid)
    }

    /// Forgets everything: what was remembered in an earlier leadership period may be out of date.
    pub fn forget_all(&self) {
        self.entries().clear();
        self.released.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets a deleted object.
    pub fn forget(&self, uid: &str) {
        self.entries().remove(&place(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GatewayApiKey;
    use serde_json::json;

    fn key(version: u64) -> Arc<GatewayApiKey> {
        let metadata =
            json!({"name": "a", "namespace": "shop", "uid": "uid", "resourceVersion": version.to_string()});
        let spec = json!({"consoleTokenRef": {"name": "edgee"}});
        let object = json!({"apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": metadata, "spec": spec});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn what_a_pass_wrote_on_what_it_had_read_is_an_echo_and_nothing_else_is() {
        let memory = Memory::default();
        assert!(!memory.is_echo(key(5).as_ref()), "another writer made it");
        memory.made(key(7).as_ref());
        memory.wrote(key(7));
        assert_eq!(memory.newest(key(5)), key(7), "the cache lags");
        assert!(memory.is_echo(key(6).as_ref()) && memory.is_echo(key(7).as_ref()));
        assert!(!memory.is_echo(key(8).as_ref()), "another writer made it");
        memory.reads_again(key(8).as_ref());
        memory.made(key(9).as_ref());
        memory.wrote(key(9));
        assert!(!memory.is_echo(key(8).as_ref()), "the pass read it, and did not begin with it");
        assert_eq!(memory.newest(key(8)), key(9));
        assert!(!memory.is_echo(key(9).as_ref()));
        memory.rested("uid");
        memory.made(key(12).as_ref());
        assert!(memory.is_echo(key(12).as_ref()), "the next pass begins with what is there");
    }

    #[test]
    fn a_look_alone_leaves_nothing() {
        let memory = Memory::default();
        assert_eq!(memory.newest(key(5)), key(5));
        memory.remember("uid", |it| it.stale_before());
        assert!(!memory.is_echo(key(5).as_ref()));
        assert!(memory.entries().is_empty());
        memory.failed("uid");
        assert_eq!(memory.entries().len(), 1);
        memory.rested("uid");
        assert!(memory.entries().is_empty());
    }
}
