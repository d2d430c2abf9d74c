//! OpenRouter: its management API, its data plane, and a handle on the state behind both. Sections (§) are those of
//! `docs/contracts/openrouter.md`, which was read and not run: a question that it leaves open is a switch.

mod byok;
mod console;
mod gateway;
mod handle;
mod keys;
mod record;
mod refusal;
mod switches;
mod world;

use std::sync::Arc;

use super::Shared;

pub(super) use console::{answer as console_answer, is_listing, trouble as console_trouble};
pub(super) use gateway::{answer as gateway_answer, trouble as gateway_trouble};
pub(in crate::emulator) use handle::VENDOR;
pub(super) use keys::paged;
pub(super) use world::World;

pub use gateway::DataPlaneAnswer;
pub use record::{KeyRecord, ProviderKeyRecord};
pub use switches::Switches;
pub use world::Counts;

/// A handle on the OpenRouter state: the acts of a human in the console, and reads of the state. Its calls are neither logged
/// nor counted.
///
/// Closures run under the emulator's lock and must not use a handle of the same emulator.
#[derive(Clone)]
pub struct OpenRouter {
    shared: Arc<Shared>,
}

impl OpenRouter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Adds a management key of that account. One that exists is moved there.
    pub fn add_token_of(&self, token: &str, account: &str) {
        self.shared.with(|state, _| state.openrouter.add_token(token, account));
    }

    /// Revokes a management key at once. Returns whether it existed.
    #[must_use = "an unknown token is not revoked"]
    pub fn revoke_token(&self, token: &str) -> bool {
        self.shared.with(|state, _| state.openrouter.tokens.remove(token).is_some())
    }

    /// Adds a workspace to the demo's account, and returns its id.
    #[must_use]
    pub fn add_workspace(&self, name: &str) -> String {
        self.shared.with(|state, _| state.openrouter.add_workspace(handle::DEMO, name))
    }

    /// All keys, oldest first.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyRecord> {
        self.shared.with(|state, _| state.openrouter.keys.iter().cloned().collect())
    }

    /// A human creates a key in the default workspace.
    #[expect(clippy::must_use_candidate, reason = "the key is there whether or not anybody looks")]
    pub fn add_key(&self, name: &str) -> KeyRecord {
        self.shared.with(|state, now| {
            let workspace = world::default_workspace(handle::DEMO);
            let key = state.openrouter.new_key(handle::DEMO, &workspace, name, now);
            state.openrouter.keys.insert(key)
        })
    }

    /// A human edits a key; anything but its hash, serial and secret may change. Returns whether it existed.
    #[must_use = "an unknown key is not edited"]
    pub fn edit_key(&self, hash: &str, edit: impl FnOnce(&mut KeyRecord)) -> bool {
        self.shared.with(|state, now| {
            let key = state.openrouter.keys.get_mut(hash);
            key.map(|key| {
                edit(key);
                key.updated_at = Some(now);
            })
            .is_some()
        })
    }

    /// A human deletes a key. Returns whether it existed.
    #[must_use = "an unknown key is not deleted"]
    pub fn delete_key(&self, hash: &str) -> bool {
        self.shared.with(|state, now| state.openrouter.keys.remove(hash, now))
    }

    /// The provider credentials, oldest first.
    #[must_use]
    pub fn provider_keys(&self) -> Vec<ProviderKeyRecord> {
        self.shared.with(|state, _| state.openrouter.provider_keys.iter().cloned().collect())
    }

    /// The verdict of the data plane on a call with this key, without a change of state.
    #[must_use]
    pub fn check(&self, secret: &str) -> DataPlaneAnswer {
        self.shared.with(|state, now| gateway::judge(&state.openrouter, secret, now))
    }

    /// Charges a key for one call, in millionths of a USD. Returns whether the key exists.
    #[must_use = "an unknown key spends nothing"]
    pub fn spend(&self, hash: &str, micros: u64) -> bool {
        self.shared.with(|state, now| state.openrouter.charge(hash, micros, now))
    }

    /// Sets what the demo's account bought, in millionths of a USD.
    pub fn set_credits(&self, micros: i64) {
        self.shared.with(|state, _| state.openrouter.credits.insert(handle::DEMO.to_owned(), micros));
    }

    /// The switches.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.shared.with(|state, _| state.openrouter.switches.clone())
    }

    /// Changes the switches.
    pub fn set_switches(&self, change: impl FnOnce(&mut Switches)) {
        self.shared.with(|state, _| change(&mut state.openrouter.switches));
    }

    /// How often the API created and deleted keys.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.with(|state, _| state.openrouter.counts)
    }
}
