//! LiteLLM: its key management API, its data plane at the same origin, and a handle on the state behind both. Sections
//! (§) are those of `docs/contracts/litellm.md`; `tests/litellm` compares the answers with those of the real server.

mod console;
mod gateway;
mod handle;
mod keys;
mod record;
mod refusal;
mod shape;
mod switches;
mod users;
mod world;

use std::sync::Arc;

use super::Shared;

pub(super) use console::{answer as console_answer, is_listing, trouble as console_trouble};
pub(super) use gateway::{answer as gateway_answer, trouble as gateway_trouble};
pub(in crate::emulator) use handle::VENDOR;
pub(super) use world::World;

pub use gateway::DataPlaneAnswer;
pub use record::{KeyRecord, Kind, Rates, Role};
pub use switches::Switches;
pub use world::Counts;

/// A handle on the LiteLLM state: the acts of a human with the master key, and reads of the state. Its calls are
/// neither logged nor counted.
///
/// Closures run under the emulator's lock and must not use a handle of the same emulator.
#[derive(Clone)]
pub struct LiteLlm {
    shared: Arc<Shared>,
}

impl LiteLlm {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Adds a token of an administrator, at a proxy of that name. A token that exists is moved there.
    pub fn add_token_of(&self, token: &str, account: &str) {
        self.shared.with(|state, now| state.litellm.add_token(token, account, now));
    }

    /// Adds a master key, which is no key of the database.
    pub fn add_master(&self, token: &str) {
        self.shared.with(|state, _| state.litellm.masters.insert(token.to_owned(), handle::DEMO.to_owned()));
    }

    /// Adds a team.
    pub fn add_team(&self, team: &str) {
        self.shared.with(|state, _| state.litellm.teams.insert(team.to_owned()));
    }

    /// Adds a user with that role, and a token of it. A user that exists gets this role.
    pub fn add_user(&self, user: &str, role: Role, token: &str) {
        self.shared.with(|state, now| {
            state.litellm.users.insert(user.to_owned(), (role, now));
            let key = state.litellm.new_key(handle::DEMO, Some(token), now);
            state.litellm.keys.insert(KeyRecord {
                user: Some(user.to_owned()),
                alias: Some(format!("token of {user}")),
                kind: Kind::Management,
                ..key
            });
        });
    }

    /// Revokes a token at once, whatever created it. Returns whether it existed.
    #[must_use = "an unknown token is not revoked"]
    pub fn revoke_token(&self, token: &str) -> bool {
        self.shared.with(|state, now| {
            let master = state.litellm.masters.remove(token).is_some();
            state.litellm.delete(&world::id_of(token), now) || master
        })
    }

    /// All keys of every kind, oldest first.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyRecord> {
        self.shared.with(|state, now| state.litellm.keys.iter().map(|key| key.at(now)).collect())
    }

    /// A human creates a key for applications.
    #[expect(clippy::must_use_candidate, reason = "the key is there whether or not anybody looks")]
    pub fn add_key(&self, name: &str) -> KeyRecord {
        self.shared.with(|state, now| {
            let key = state.litellm.new_key(handle::DEMO, None, now);
            state.litellm.keys.insert(KeyRecord { alias: Some(name.to_owned()), kind: Kind::LlmApi, ..key })
        })
    }

    /// A human edits a key; anything but its id, serial and secret may change. Returns whether it existed.
    #[must_use = "an unknown key is not edited"]
    pub fn edit_key(&self, id: &str, edit: impl FnOnce(&mut KeyRecord)) -> bool {
        self.shared.with(|state, now| state.litellm.edit(id, now, edit))
    }

    /// A human deletes a key. Returns whether it existed.
    #[must_use = "an unknown key is not deleted"]
    pub fn delete_key(&self, id: &str) -> bool {
        self.shared.with(|state, now| state.litellm.delete(id, now))
    }

    /// The verdict of the data plane on a call with this key, without a change of state.
    #[must_use]
    pub fn check(&self, secret: &str, model: Option<&str>) -> DataPlaneAnswer {
        self.shared.with(|state, now| gateway::judge(&state.litellm, secret, model, now))
    }

    /// Charges a key for one call, in millionths of a USD. Returns whether the key exists.
    #[must_use = "an unknown key spends nothing"]
    pub fn spend(&self, id: &str, micros: u64) -> bool {
        self.shared.with(|state, now| state.litellm.charge(id, micros, now))
    }

    /// The switches.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.shared.with(|state, _| state.litellm.switches.clone())
    }

    /// Changes the switches.
    pub fn set_switches(&self, change: impl FnOnce(&mut Switches)) {
        self.shared.with(|state, _| change(&mut state.litellm.switches));
    }

    /// How often the API created and deleted keys.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.with(|state, _| state.litellm.counts)
    }
}
