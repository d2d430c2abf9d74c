//! Edgee: its Console API, its data plane, and a handle on the state behind both.

mod catalog;
mod console;
mod export;
mod gateway;
mod handle;
mod keys;
mod paging;
mod provider_keys;
mod record;
mod refusal;
mod switches;
mod tokens;
mod view;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::Shared;
use super::completion::Completion;

pub(super) use console::{answer as console_answer, is_listing, trouble as console_trouble};
pub(super) use gateway::{answer as gateway_answer, trouble as gateway_trouble};
pub(in crate::emulator) use handle::VENDOR;
pub(super) use world::World;

pub use gateway::DataPlaneAnswer;
pub use record::{KeyKind, KeyRecord, NewKey, ProviderKeyRecord, TokenRecord};
pub use switches::{Blank, Support, Switches};
pub use world::Counts;

/// A handle on the Edgee state: the acts of a human in the vendor's console, and reads of the state. Its calls are neither
/// logged nor counted.
///
/// Closures run under the emulator's lock and must not use a handle of the same emulator.
#[derive(Clone)]
pub struct Edgee {
    shared: Arc<Shared>,
}

impl Edgee {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Adds an organization, unless it exists.
    pub fn add_organization(&self, id: &str) {
        self.shared.with(|state, now| state.edgee.add_organization(id, now));
    }

    /// All organizations.
    #[must_use]
    pub fn organizations(&self) -> Vec<String> {
        self.shared.with(|state, _| state.edgee.organizations.keys().cloned().collect())
    }

    /// Adds a console token of a new user for these organizations, and the organizations that are missing. A token that
    /// exists gets these organizations instead.
    pub fn add_token(&self, token: &str, organizations: &[&str]) {
        let organizations: BTreeSet<String> = organizations.iter().map(|id| (*id).to_owned()).collect();
        self.shared.with(|state, now| state.edgee.add_token(token, organizations, now));
    }

    /// Revokes a console token at once. Returns whether it existed.
    #[must_use = "an unknown token is not revoked"]
    pub fn revoke_token(&self, token: &str) -> bool {
        self.shared.with(|state, now| {
            let known = state.edgee.tokens.iter().find(|known| known.token == token);
            let id = known.map(|known| known.id.clone());
            id.is_some_and(|id| state.edgee.tokens.remove(&id, now))
        })
    }

    /// Sets the expiry of a console token. Returns whether it existed.
    #[must_use = "an unknown token does not expire"]
    pub fn expire_token_at(&self, token: &str, at: Timestamp) -> bool {
        self.shared.with(|state, _| {
            let known = state.edgee.tokens.iter_mut().find(|known| known.token == token);
            known.map(|known| known.expires_at = Some(at)).is_some()
        })
    }

    /// All console tokens, oldest first.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenRecord> {
        self.shared.with(|state, _| state.edgee.tokens.iter().cloned().collect())
    }

    /// The switches.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.shared.with(|state, _| state.edgee.switches.clone())
    }

    /// Changes the switches.
    pub fn set_switches(&self, change: impl FnOnce(&mut Switches)) {
        self.shared.with(|state, _| change(&mut state.edgee.switches));
    }

    /// The keys of an organization, oldest first, with their spending of the current month.
    #[must_use]
    pub fn keys(&self, organization: &str) -> Vec<KeyRecord> {
        self.shared.with(|state, now| {
            let mut keys: Vec<KeyRecord> = state.edgee.keys.within(organization).cloned().collect();
            for key in &mut keys {
                key.roll_month(now);
            }
            keys
        })
    }

    /// A human creates a key.
    #[expect(clippy::must_use_candidate, reason = "the key is there whether or not anybody looks")]
    pub fn add_key(&self, organization: &str, key: NewKey) -> KeyRecord {
        self.shared.with(|state, now| {
            state.edgee.add_organization(organization, now);
            state.edgee.mint_key(organization, key, now)
        })
    }

    /// A human edits a key; anything but its id and serial may change. Says whether there is such a key.
    #[must_use = "an unknown key is not edited"]
    pub fn edit_key(&self, id: &str, edit: impl FnOnce(&mut KeyRecord)) -> bool {
        self.shared.with(|state, now| {
            let key = state.edgee.keys.get_mut(id);
            key.map(|key| {
                key.roll_month(now);
                edit(key);
            })
            .is_some()
        })
    }

    /// A human deletes a key. Returns whether it existed.
    #[must_use = "an unknown key is not deleted"]
    pub fn delete_key(&self, id: &str) -> bool {
        self.shared.with(|state, now| state.edgee.keys.remove(id, now))
    }

    /// The provider keys of an organization, oldest first, with the credentials that no endpoint shows.
    #[must_use]
    pub fn provider_keys(&self, organization: &str) -> Vec<ProviderKeyRecord> {
        self.shared.with(|state, _| state.edgee.provider_keys.within(organization).cloned().collect())
    }

    /// A human edits a provider key; anything but its id and serial may change. Says whether there is one.
    #[must_use = "an unknown provider key is not edited"]
    pub fn edit_provider_key(&self, id: &str, edit: impl FnOnce(&mut ProviderKeyRecord)) -> bool {
        self.shared.with(|state, _| state.edgee.provider_keys.get_mut(id).map(edit).is_some())
    }

    /// A human deletes a provider key. Returns whether it existed.
    #[must_use = "an unknown provider key is not deleted"]
    pub fn delete_provider_key(&self, id: &str) -> bool {
        self.shared.with(|state, now| state.edgee.provider_keys.remove(id, now))
    }

    /// The verdict of the data plane on a call with this key, without a change of state.
    #[must_use]
    pub fn check(&self, secret: &str, model: Option<&str>) -> DataPlaneAnswer {
        self.shared.with(|state, now| gateway::judge(&state.edgee, secret, model, now))
    }

    /// Charges a key for one call, in millionths of a USD. Returns whether the key exists.
    #[must_use = "an unknown key spends nothing"]
    pub fn spend(&self, id: &str, micros: u64) -> bool {
        self.shared.with(|state, now| {
            let completion = Completion::cost_only(catalog::MODELS[0], now);
            gateway::book(&mut state.edgee, id, &completion, micros, Vec::new())
        })
    }

    /// How often the API created, deleted and revealed keys.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.with(|state, _| state.edgee.counts)
    }
}
