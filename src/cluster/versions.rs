//! The newest known resourceVersion of each Secret of ours, so that a pass need not read a Secret that has not changed: from
//! the watch of their metadata, and from our own writes. It holds sixteen bytes for a Secret, and nothing for Secrets of
//! others.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The versions. Clones share them.
#[derive(Clone, Debug)]
pub struct Versions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// By a hash of namespace and name. Two Secrets with the same hash take each other's place, which costs reads only: a
    /// resourceVersion is given to one write in the whole cluster, so that of another Secret equals no remembered one.
    state: Mutex<State>,
    hasher: RandomState,
}

#[derive(Debug)]
enum State {
    /// Secrets are not watched: nothing is known.
    Unwatched,
    Watched {
        versions: HashMap<u64, Version>,
        /// Number of the newest list, from 1.
        list: u32,
        /// Whether the watch works: the last list is complete, and nothing has broken since.
        works: bool,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Version {
    /// The newest version that is known.
    newest: u64,
    /// The newest version with which this process made the Secret; 0 for none.
    own: u64,
    /// The list that contained the Secret, or after which the watch showed it.
    list: u32,
}

impl Versions {
    /// Nothing is known, and nothing will be: Secrets are not watched.
    pub fn unwatched() -> Self {
        Self::new(State::Unwatched)
    }

    /// Nothing is known yet.
    pub fn watched() -> Self {
        Self::new(State::Watched { versions: HashMap::new(), list: 0, works: false })
    }

    fn new(state: State) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(state), hasher: RandomState::new() }))
    }

    /// The newest known version of that Secret. `None`: it is not known, or there is no Secret.
    pub fn of(&self, namespace: &str, name: &str) -> Option<u64> {
        match &*self.state() {
            State::Watched { versions, works: true, .. } => {
                versions.get(&self.key(namespace, name)).map(|it| it.newest)
            }
            State::Unwatched | State::Watched { .. } => None,
        }
    }

    /// Records the version that an own write returned. `made`: it made the Secret, so that nothing in it is news; a write over
    /// an existing Secret may keep what another writer had changed.
    pub fn wrote(&self, namespace: &str, name: &str, version: u64, made: bool) {
        let key = self.key(namespace, name);
        if let State::Watched { versions, .. } = &mut *self.state() {
            // A list counts as complete without what was written while it was read: it may have been deleted since.
            let entry = versions.entry(key).or_default();
            entry.newest = entry.newest.max(version);
            if made {
                entry.own = entry.own.max(version);
            }
        }
    }

    /// Records the version that the watch shows of a Secret of ours. Returns whether it is the echo of an own write.
    pub fn saw(&self, namespace: &str, name: &str, version: u64) -> bool {
        let key = self.key(namespace, name);
        let State::Watched { versions, list, .. } = &mut *self.state() else { return false };
        let entry = versions.entry(key).or_default();
        entry.newest = entry.newest.max(version);
        entry.list = *list;
        version <= entry.own
    }

    /// Records that a Secret, ours or not, is gone as of that version.
    pub fn lost(&self, namespace: &str, name: &str, version: Option<u64>) {
        let key = self.key(namespace, name);
        if let State::Watched { versions, .. } = &mut *self.state()
            // The Secret may have been made anew meanwhile.
            && versions.get(&key).is_some_and(|it| version.is_none_or(|version| it.newest <= version))
        {
            versions.remove(&key);
        }
    }

    /// A list of all Secrets begins. Until it is complete, what is known may be out of date.
    pub fn list_begins(&self) {
        if let State::Watched { list, works, .. } = &mut *self.state() {
            *list += 1;
            *works = false;
        }
    }

    /// The list is complete: what it did not contain is gone.
    pub fn list_ends(&self) {
        if let State::Watched { versions, list, works } = &mut *self.state() {
            versions.retain(|_, it| it.list == *list);
            *works = true;
        }
    }

    /// The watch broke: what is known may be out of date until it works again.
    pub fn breaks(&self) {
        if let State::Watched { works, .. } = &mut *self.state() {
            *works = false;
        }
    }

    /// The watch delivers again: it goes on where it broke, so that nothing is missing.
    pub fn goes_on(&self) {
        if let State::Watched { works, .. } = &mut *self.state() {
            *works = true;
        }
    }

    fn key(&self, namespace: &str, name: &str) -> u64 {
        self.0.hasher.hash_one((namespace, name))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Versions {
        let versions = Versions::watched();
        versions.list_begins();
        versions.list_ends();
        versions
    }

    #[test]
    fn the_newest_of_watch_and_own_writes_counts() {
        let versions = listed();
        assert_eq!(versions.of("shop", "llm"), None);
        assert!(!versions.saw("shop", "llm", 5), "another writer wrote it");
        versions.wrote("shop", "llm", 7, true);
        assert_eq!(versions.of("shop", "llm"), Some(7));
        assert!(versions.saw("shop", "llm", 6) && versions.saw("shop", "llm", 7), "older than the own write");
        assert_eq!(versions.of("shop", "llm"), Some(7));
        assert!(!versions.saw("shop", "llm", 8));
        versions.wrote("shop", "llm", 9, false);
        assert!(!versions.saw("shop", "llm", 9), "it may keep what another writer changed");
        assert_eq!((versions.of("shop", "llm"), versions.of("shop", "other")), (Some(9), None));
    }

    #[test]
    fn a_deleted_secret_is_unknown_unless_it_was_made_anew() {
        let versions = listed();
        versions.saw("shop", "llm", 5);
        versions.wrote("shop", "llm", 9, true);
        versions.lost("shop", "llm", Some(7));
        assert_eq!(versions.of("shop", "llm"), Some(9), "made anew before the deletion was shown");
        versions.lost("shop", "llm", Some(10));
        assert_eq!(versions.of("shop", "llm"), None);
    }

    #[test]
    fn a_list_forgets_what_it_does_not_contain() {
        let versions = listed();
        versions.saw("shop", "gone", 1);
        versions.saw("shop", "stays", 2);
        versions.list_begins();
        assert_eq!(versions.of("shop", "stays"), None, "the list is not complete");
        versions.saw("shop", "stays", 2);
        versions.wrote("shop", "written", 3, true);
        versions.list_ends();
        let known = ["gone", "stays", "written"].map(|name| versions.of("shop", name));
        assert_eq!(known, [None, Some(2), None], "what was written meanwhile may be deleted already");
    }

    #[test]
    fn nothing_is_known_without_a_watch_before_its_first_list_or_while_it_is_broken() {
        let versions = Versions::unwatched();
        versions.wrote("shop", "llm", 7, true);
        assert!(!versions.saw("shop", "llm", 7));
        assert_eq!(versions.of("shop", "llm"), None);
        let versions = Versions::watched();
        versions.wrote("shop", "llm", 7, true);
        assert_eq!(versions.of("shop", "llm"), None, "a watch that is refused never lists");
        let versions = listed();
        versions.saw("shop", "llm", 7);
        versions.breaks();
        versions.wrote("shop", "llm", 8, false);
        assert_eq!(versions.of("shop", "llm"), None);
        versions.goes_on();
        assert_eq!(versions.of("shop", "llm"), Some(8));
    }
}
