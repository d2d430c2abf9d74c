//! Eden AI v3: the management API with its three kinds of keys (§2.6 to §2.10).

mod auth_keys;
mod console;
mod handle;
mod keys;
mod paging;
mod record;
mod refusal;
mod switches;
mod usage;
mod view;
mod world;

use std::sync::Arc;

use jiff::Timestamp;

use super::gateway::{self, Charge, DataPlaneAnswer};
use crate::emulator::Shared;

pub(super) use console::{answer, is_listing, trouble};
pub(in crate::emulator) use handle::VENDOR;
pub(in crate::emulator) use world::World;

pub use record::{KeyRecord, ManagementKey, NewKey, ORGANIZATION, Scope};
pub use switches::{SecretField, Switches};
pub use world::Counts;

/// A handle on the v3 state: the acts of a human in the dashboard, and reads of the state. Its calls are neither logged
/// nor counted.
///
/// Closures run under the emulator's lock and must not use a handle of the same emulator.
#[derive(Clone)]
pub struct EdenAiV3 {
    shared: Arc<Shared>,
}

impl EdenAiV3 {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Adds an auth key of the demo organization that may read and write.
    pub fn add_token(&self, token: &str) {
        self.add_token_of(token, ORGANIZATION);
    }

    /// Adds an auth key of that organization that may read and write.
    pub fn add_token_of(&self, token: &str, organization: &str) {
        self.add_management_key_of(token, organization, &[Scope::Read, Scope::Write]);
    }

    /// Adds an issuer key of the demo organization, which can only mint, list and delete auth keys.
    pub fn add_issuer(&self, token: &str) {
        self.add_issuer_of(token, ORGANIZATION);
    }

    /// Adds an issuer key of that organization.
    pub fn add_issuer_of(&self, token: &str, organization: &str) {
        self.add_management_key_of(token, organization, &[Scope::Mint]);
    }

    /// Adds a management key of the demo organization. A key that exists gets these scopes.
    pub fn add_management_key(&self, token: &str, scopes: &[Scope]) {
        self.add_management_key_of(token, ORGANIZATION, scopes);
    }

    /// Adds a management key of an organization. A key that exists gets these scopes and this organization.
    pub fn add_management_key_of(&self, token: &str, organization: &str, scopes: &[Scope]) {
        self.shared.with(|state, now| state.edenai.v3.add_management(token, organization, scopes, now));
    }

    /// Revokes a management key at once. Returns whether it worked before.
    #[must_use = "an unknown token is not revoked"]
    pub fn revoke_token(&self, token: &str) -> bool {
        self.edit_token(token, |key, now| key.revoked_at = Some(now))
    }

    /// Sets the expiry of a management key. Returns whether it worked before.
    #[must_use = "an unknown token does not expire"]
    pub fn expire_token_at(&self, token: &str, at: Timestamp) -> bool {
        self.edit_token(token, |key, _| key.expires_at = Some(at))
    }

    /// All management keys, revoked ones included, oldest first.
    #[must_use]
    pub fn management_keys(&self) -> Vec<ManagementKey> {
        self.shared.with(|state, _| state.edenai.v3.management.iter().cloned().collect())
    }

    /// All keys of all organizations, revoked ones included, oldest first, with their present balance.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyRecord> {
        self.shared.with(|state, now| {
            let keys = state.edenai.v3.keys.iter();
            keys.map(|key| KeyRecord { budget: key.budget.at(now), ..key.clone() }).collect()
        })
    }

    /// A human creates a key. The dashboard accepts a name twice.
    #[expect(clippy::must_use_candidate, reason = "the key is there whether or not anybody looks")]
    pub fn add_key(&self, new: NewKey) -> KeyRecord {
        self.shared.with(|state, now| state.edenai.v3.mint(new, now))
    }

    /// A human edits a key; anything but its id and serial may change. Says whether there is such a key.
    #[must_use = "an unknown key is not edited"]
    pub fn edit_key(&self, id: &str, edit: impl FnOnce(&mut KeyRecord)) -> bool {
        self.shared.with(|state, now| {
            let key = state.edenai.v3.keys.get_mut(id);
            key.map(|key| {
                key.budget = key.budget.at(now);
                edit(key);
            })
            .is_some()
        })
    }

    /// A human revokes a key. Returns whether it existed and was not revoked before.
    #[must_use = "an unknown key is not revoked"]
    pub fn revoke_key(&self, id: &str) -> bool {
        self.shared.with(|state, now| state.edenai.v3.revoke(id, now))
    }

    /// The verdict of the data plane on a call with this key, without a change of state.
    #[must_use]
    pub fn check(&self, secret: &str) -> DataPlaneAnswer {
        self.shared.with(|state, now| gateway::judge(&state.edenai, secret, now))
    }

    /// Charges a key for one call, in millionths of a USD. Returns whether the key exists and is not revoked.
    #[must_use = "an unknown key spends nothing"]
    pub fn spend(&self, id: &str, micros: u64) -> bool {
        self.shared.with(|state, now| {
            let secret = state.edenai.v3.keys.get(id).map(|key| key.secret.clone());
            let charge = Charge { model: gateway::SPENT_ON, micros, now };
            secret.is_some_and(|secret| gateway::charge(&mut state.edenai, &secret, charge))
        })
    }

    /// The switches.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.shared.with(|state, _| state.edenai.v3.switches.clone())
    }

    /// Changes the switches.
    pub fn set_switches(&self, change: impl FnOnce(&mut Switches)) {
        self.shared.with(|state, _| change(&mut state.edenai.v3.switches));
    }

    /// How often the API created, rotated and revoked keys, and minted auth keys.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.with(|state, _| state.edenai.v3.counts)
    }

    fn edit_token(&self, token: &str, edit: impl FnOnce(&mut ManagementKey, Timestamp)) -> bool {
        self.shared.with(|state, now| {
            let keys = &mut state.edenai.v3.management;
            let known = keys.iter_mut().find(|key| key.secret == token && key.revoked_at.is_none());
            known.map(|key| edit(key, now)).is_some()
        })
    }
}
