//! Cortecs: its management API (§3), its data plane, and a handle on the state behind both.

mod console;
mod gateway;
mod handle;
mod keys;
mod projects;
mod record;
mod refusal;
mod switches;
mod usage;
mod world;

use std::sync::Arc;

use super::Shared;
use super::completion::Completion;

pub(super) use console::{answer as console_answer, is_listing, trouble as console_trouble};
pub(super) use gateway::{answer as gateway_answer, trouble as gateway_trouble};
pub(in crate::emulator) use handle::VENDOR;
pub(super) use world::World;

pub use super::calendar::Period;
pub use gateway::DataPlaneAnswer;
pub use record::{Budget, KeyRecord, Person, ProjectRecord, Role};
pub use switches::Switches;
pub use world::Counts;

/// A handle on the Cortecs state: the acts of a human in the vendor's console, and reads of the state. Its calls are
/// neither logged nor counted. Names are looked up in the demo user's project, and if it has no key of that name, in
/// every other project.
///
/// Closures run under the emulator's lock and must not use a handle of the same emulator.
#[derive(Clone)]
pub struct Cortecs {
    shared: Arc<Shared>,
}

impl Cortecs {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Adds a management key of the demo user, who is an admin of the demo project.
    pub fn add_token(&self, token: &str) {
        self.add_token_of(token, Person::default());
    }

    /// Adds a management key of that person. A key that exists gets this owner.
    pub fn add_token_of(&self, token: &str, owner: Person) {
        self.shared.with(|state, now| state.cortecs.add_token(token, owner, now));
    }

    /// Revokes a management key at once, whoever created it. Returns whether it existed.
    #[must_use = "an unknown token is not revoked"]
    pub fn revoke_token(&self, token: &str) -> bool {
        self.shared.with(|state, now| {
            let key = state.cortecs.key_of_secret(token).filter(|key| key.management);
            let id = key.map(|key| key.id.clone());
            id.is_some_and(|id| state.cortecs.keys.remove(&id, now))
        })
    }

    /// All keys of both kinds and of every user, oldest first.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyRecord> {
        self.shared.with(|state, _| state.cortecs.keys.iter().cloned().collect())
    }

    /// A human creates a key for applications. The console accepts a name twice.
    #[expect(clippy::must_use_candidate, reason = "the key is there whether or not anybody looks")]
    pub fn add_key(&self, name: &str) -> KeyRecord {
        self.shared.with(|state, now| {
            let owner = Person::default();
            let new = world::NewKey { owner, name, management: false, minted: false };
            state.cortecs.mint(new, now)
        })
    }

    /// A human edits a key, its budget for one; anything but its id, serial and owner may change. Says whether
    /// there is such a key.
    #[must_use = "an unknown key is not edited"]
    pub fn edit_key(&self, name: &str, edit: impl FnOnce(&mut KeyRecord)) -> bool {
        self.shared.with(|state, _| {
            let id = id_of(&state.cortecs, name);
            id.and_then(|id| state.cortecs.keys.get_mut(&id)).map(edit).is_some()
        })
    }

    /// A human deletes a key. Returns whether it existed.
    #[must_use = "an unknown key is not deleted"]
    pub fn delete_key(&self, name: &str) -> bool {
        self.shared.with(|state, now| {
            id_of(&state.cortecs, name).is_some_and(|id| state.cortecs.keys.remove(&id, now))
        })
    }

    /// The verdict of the data plane on a call with this key, without a change of state.
    #[must_use]
    pub fn check(&self, secret: &str) -> DataPlaneAnswer {
        self.shared.with(|state, now| gateway::judge(&state.cortecs, secret, now))
    }

    /// Charges a key for one call, in millionths of a EUR. Returns whether the key exists.
    #[must_use = "an unknown key spends nothing"]
    pub fn spend(&self, name: &str, micros: u64) -> bool {
        self.shared.with(|state, now| {
            let id = id_of(&state.cortecs, name);
            let Some(key) = id.and_then(|id| state.cortecs.keys.get(&id).cloned()) else {
                return false;
            };
            let completion = Completion::cost_only("mistral/mistral-large", now);
            state.cortecs.charge(&key.id, gateway::used(&key, &completion, micros));
            true
        })
    }

    /// The settings of a project.
    #[must_use]
    pub fn project(&self, project: &str) -> Option<ProjectRecord> {
        self.shared.with(|state, _| state.cortecs.projects.get(project).cloned())
    }

    /// A human edits the settings of a project. Returns whether they exist.
    #[must_use = "settings that do not exist are not edited"]
    pub fn edit_project(&self, project: &str, edit: impl FnOnce(&mut ProjectRecord)) -> bool {
        self.shared.with(|state, now| {
            let record = state.cortecs.projects.get_mut(project);
            record
                .map(|record| {
                    record.updated_at = now;
                    edit(record);
                })
                .is_some()
        })
    }

    /// Removes the settings of a project, which may be missing by the documentation. Returns whether they existed.
    #[must_use = "settings that do not exist are not removed"]
    pub fn remove_project(&self, project: &str) -> bool {
        self.shared.with(|state, _| state.cortecs.projects.remove(project).is_some())
    }

    /// The balance of a user in millionths of a EUR.
    #[must_use]
    pub fn balance_micros(&self, user: &str) -> Option<i64> {
        self.shared.with(|state, _| state.cortecs.balances.get(user).copied())
    }

    /// The switches.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.shared.with(|state, _| state.cortecs.switches.clone())
    }

    /// Changes the switches.
    pub fn set_switches(&self, change: impl FnOnce(&mut Switches)) {
        self.shared.with(|state, _| change(&mut state.cortecs.switches));
    }

    /// How often the API created and deleted keys.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.with(|state, _| state.cortecs.counts)
    }
}

fn id_of(world: &World, name: &str) -> Option<String> {
    let elsewhere = || world.keys.iter().find(|key| key.name == name);
    world.key_of_name(&Person::default(), name).or_else(elsewhere).map(|key| key.id.clone())
}
