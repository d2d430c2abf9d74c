//! What a process remembers of objects between passes. All of it may be lost: correctness never hangs on it, only
//! the number of calls does.

use crate::cluster::object::Managed;
use crate::plan::retry;
use crate::protocol::memory::Remembered;
use jiff::Timestamp;
use kube::ResourceExt;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Default)]
struct Entry {
    /// The object as our own last write returned it; the watch may be behind.
    written: Option<Arc<dyn Any + Send + Sync>>,
    /// What the engine remembers.
    remembered: Remembered,
    /// Of a ConsoleToken: the Secret that is held for it, or could not be.
    holds: Option<Holds>,
    /// Of a ConsoleToken: the newest listing that its keys were compared with.
    compared: Option<Timestamp>,
    failures: u32,
    stale: u32,
}

/// A Secret that is held for a ConsoleToken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Its name.
    pub secret: String,
    /// Kubernetes did not let us, which is said once.
    pub refused: bool,
}

/// So many of the last resources that were let go are remembered.
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

    /// Remembers what our own write returned.
    pub fn wrote<K: Managed>(&self, object: Arc<K>) {
        let uid = object.uid().unwrap_or_default();
        self.with(&uid, |entry| entry.written = Some(object));
    }

    /// The newer of what the watch brought and what we wrote ourselves. Resource versions are compared as numbers,
    /// as Kubernetes does since 1.35; where they are none, the watch is believed, and compare-and-swap protects.
    pub fn newest<K: Managed>(&self, watched: Arc<K>) -> Arc<K> {
        let uid = watched.uid().unwrap_or_default();
        let version = |object: &K| object.resource_version().and_then(|it| it.parse::<u64>().ok());
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

    /// Which Secret is held for that ConsoleToken from now on. Returns what was remembered before.
    pub fn holds(&self, uid: &str, holds: Option<Holds>) -> Option<Holds> {
        self.with(uid, |entry| std::mem::replace(&mut entry.holds, holds))
    }

    /// The keys of that ConsoleToken are compared with a listing begun at this time. Returns the one before, or the same
    /// where that is done already.
    pub fn compared(&self, uid: &str, as_of: Timestamp) -> Option<Timestamp> {
        self.with(uid, |entry| {
            let before = entry.compared;
            entry.compared = before.max(Some(as_of));
            before
        })
    }

    /// A pass came to rest.
    pub fn rested(&self, uid: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(uid) {
            entry.failures = 0;
            entry.stale = 0;
        }
    }

    /// A pass failed: how long to wait.
    pub fn failed(&self, uid: &str) -> Duration {
        let failures = self.with(uid, |entry| {
            entry.failures += 1;
            entry.failures
        });
        Duration::try_from(retry::backoff(failures, uid)).unwrap_or(Duration::from_secs(60))
    }

    /// A pass met somebody else's write: how long to wait for the watch to catch up.
    pub fn pause(&self, uid: &str) -> Duration {
        let stale = self.with(uid, |entry| {
            entry.written = None;
            entry.stale += 1;
            entry.stale
        });
        Duration::from_millis(100 << stale.min(8))
    }

    /// We took the finalizer off. Whatever still wakes the object, from a cache that is behind, wakes nothing.
    pub fn released(&self, uid: &str) {
        self.forget(uid);
        let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        released.push_back(uid.to_owned());
        if released.len() > RELEASED {
            released.pop_front();
        }
    }

    /// Whether we took the finalizer off.
    pub fn is_released(&self, uid: &str) -> bool {
        self.released.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|it| it == uid)
    }

    /// What is remembered of an earlier leadership period may be out of date.
    pub fn forget_all(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.released.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The object is gone.
    pub fn forget(&self, uid: &str) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}
