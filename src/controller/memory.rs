//! What a process remembers of objects between passes. All of it may be lost: correctness never depends on it, only
//! the number of calls does.

use crate::cluster::object::{self, Managed};
use crate::plan::retry;
use crate::protocol::console_token::ports::Holds;
use crate::protocol::memory::Remembered;
use jiff::Timestamp;
use kube::ResourceExt;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Default)]
struct Entry {
    /// The object as our own last write returned it; the watch cache may lag.
    written: Option<Arc<dyn Any + Send + Sync>>,
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

/// What is remembered, by UID.
#[derive(Default)]
pub struct Memory {
    entries: Mutex<HashMap<String, Entry>>,
    released: Mutex<VecDeque<String>>,
}

impl Memory {
    fn with<T>(&self, uid: &str, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        change(entries.entry(uid.to_owned()).or_default())
    }

    /// Caches the object that our own write returned.
    pub fn wrote<K: Managed>(&self, object: Arc<K>) {
        let uid = object.uid().unwrap_or_default();
        self.with(&uid, |entry| entry.written = Some(object));
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

    /// Records that the running pass reads the object again: what somebody else wrote meanwhile is news for the next pass.
    pub fn reads_again(&self, object: &impl ResourceExt) {
        if let Some(uid) = object.uid() {
            self.with(&uid, |entry| entry.read_again = true);
        }
    }

    /// Whether the watch shows what our own write made, or what that write had read.
    pub fn is_echo(&self, object: &impl ResourceExt) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let own = object.meta().uid.as_ref().and_then(|uid| entries.get(uid)).map_or(0, |it| it.own);
        object::version(object).is_some_and(|it| it <= own)
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
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(uid) {
            entry.failures = 0;
            entry.stale = 0;
            entry.read_again = false;
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
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.released.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets a deleted object.
    pub fn forget(&self, uid: &str) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}
