//! Eden AI v2: custom tokens as the source describes them, and their management since September 2026 (§2.0).

mod console;
mod handle;
mod record;
mod refusal;
mod switches;
mod tokens;
mod view;
mod world;

use std::sync::Arc;

use super::gateway::{self, Charge, DataPlaneAnswer};
use crate::emulator::Shared;

pub(super) use console::{answer, is_listing, trouble};
pub(in crate::emulator) use handle::VENDOR;
pub(super) use refusal::by_field;
pub(in crate::emulator) use world::World;

pub use record::{ACCOUNT, CustomToken};
pub use switches::Switches;
pub use world::{Counts, NewToken};

/// A handle on the v2 state: the acts of a human in the dashboard, and reads of the state. Its calls are neither logged
/// nor counted.
///
/// Names are looked up in the demo account, and if it has no token of that name, in every other account.
///
/// Closures run under the emulator's lock and must not use a handle of the same emulator.
#[derive(Clone)]
pub struct EdenAiV2 {
    shared: Arc<Shared>,
}

impl EdenAiV2 {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Adds an API key of the demo account, which managed tokens until September 2026.
    pub fn add_token(&self, token: &str) {
        self.add_token_of(token, ACCOUNT);
    }

    /// Adds an API key of that account. A key that exists is moved to that account.
    pub fn add_token_of(&self, token: &str, account: &str) {
        self.shared.with(|state, _| state.edenai.v2.add_credential(token, false, account));
    }

    /// Adds a login session; since September 2026 only sessions manage tokens.
    pub fn add_session(&self, token: &str) {
        self.add_session_of(token, ACCOUNT);
    }

    /// Adds a login session of that account.
    pub fn add_session_of(&self, token: &str, account: &str) {
        self.shared.with(|state, _| state.edenai.v2.add_credential(token, true, account));
    }

    /// Revokes an API key of the account or a session at once. Returns whether it existed.
    #[must_use = "an unknown token is not revoked"]
    pub fn revoke_token(&self, token: &str) -> bool {
        self.shared.with(|state, _| state.edenai.v2.revoke_credential(token))
    }

    /// All custom tokens of all accounts, oldest first, with their present balance.
    #[must_use]
    pub fn keys(&self) -> Vec<CustomToken> {
        self.shared.with(|state, now| {
            let tokens = state.edenai.v2.tokens.iter();
            tokens.map(|token| CustomToken { budget: token.budget.at(now), ..token.clone() }).collect()
        })
    }

    /// A human creates a token in the demo account. A token of the same name is deleted first.
    #[expect(clippy::must_use_candidate, reason = "the token is there whether or not anybody looks")]
    pub fn add_key(&self, new: NewToken) -> CustomToken {
        self.shared.with(|state, now| {
            let known = state.edenai.v2.token(ACCOUNT, &new.name).map(|token| token.id.clone());
            known.map(|id| state.edenai.v2.tokens.remove(&id, now));
            state.edenai.v2.mint(ACCOUNT, new, now)
        })
    }

    /// A human edits a token; anything but its name and serial may change. Says whether there is such a token.
    #[must_use = "an unknown token is not edited"]
    pub fn edit_key(&self, name: &str, edit: impl FnOnce(&mut CustomToken)) -> bool {
        self.shared.with(|state, now| {
            let v2 = &mut state.edenai.v2;
            let token = v2.id_anywhere(name).and_then(|id| v2.tokens.get_mut(&id));
            token
                .map(|token| {
                    token.budget = token.budget.at(now);
                    edit(token);
                })
                .is_some()
        })
    }

    /// A human deletes a token. Returns whether it existed.
    #[must_use = "an unknown token is not deleted"]
    pub fn delete_key(&self, name: &str) -> bool {
        self.shared.with(|state, now| {
            let v2 = &mut state.edenai.v2;
            v2.id_anywhere(name).is_some_and(|id| v2.tokens.remove(&id, now))
        })
    }

    /// The verdict of the data plane on a call with this token, without a change of state.
    #[must_use]
    pub fn check(&self, secret: &str) -> DataPlaneAnswer {
        self.shared.with(|state, now| gateway::judge(&state.edenai, secret, now))
    }

    /// Charges a token for one call, in millionths of a USD. Returns whether the token exists.
    #[must_use = "an unknown token spends nothing"]
    pub fn spend(&self, name: &str, micros: u64) -> bool {
        self.shared.with(|state, now| {
            let v2 = &state.edenai.v2;
            let token = v2.id_anywhere(name).and_then(|id| v2.tokens.get(&id));
            let secret = token.map(|token| token.secret.clone());
            let charge = Charge { model: gateway::SPENT_ON, micros, now };
            secret.is_some_and(|secret| gateway::charge(&mut state.edenai, &secret, charge))
        })
    }

    /// The switches.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.shared.with(|state, _| state.edenai.v2.switches.clone())
    }

    /// Changes the switches.
    pub fn set_switches(&self, change: impl FnOnce(&mut Switches)) {
        self.shared.with(|state, _| change(&mut state.edenai.v2.switches));
    }

    /// How often the API created, deleted and showed tokens.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.with(|state, _| state.edenai.v2.counts)
    }
}
