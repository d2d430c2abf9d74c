//! What the keys of all emulated vendors have in common, so that one story runs at each of them.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Emulator, cortecs, edenai, edgee, litellm, openrouter};

/// One emulated management API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VendorId {
    /// The Edgee Console API.
    Edgee,
    /// The custom tokens of Eden AI v2.
    EdenAiV2,
    /// The management API of Eden AI v3.
    EdenAiV3,
    /// The Cortecs management API.
    Cortecs,
    /// The key management API of LiteLLM.
    LiteLlm,
    /// The management API of OpenRouter.
    OpenRouter,
}

/// The row of an emulated management API. Each row is a constant in the vendor's own folder.
pub(super) struct Row {
    /// Its name in the emulator.
    pub(super) name: &'static str,
    /// The path at which an endpoint ends.
    pub(super) path: &'static str,
    /// The path of its data plane.
    pub(super) gateway_path: &'static str,
    /// The path at which keys are listed and created, as a fault rule names it.
    pub(super) collection: &'static str,
    /// Method and path of the call that reads (GET), makes (POST), changes (PATCH) or deletes (DELETE) keys, as far as
    /// a fault rule can name it.
    pub(super) calls: fn(&'static str) -> (&'static str, &'static str),
    /// Whether a driver asks this path beside each listing, as a part of it.
    pub(super) beside: fn(&str) -> bool,
    /// Its console.
    pub(super) console: fn(&Emulator) -> Box<dyn Console>,
}

impl VendorId {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Edgee, Self::EdenAiV2, Self::EdenAiV3, Self::Cortecs, Self::LiteLlm, Self::OpenRouter];

    /// The one table of all rows.
    const fn row(self) -> &'static Row {
        match self {
            Self::Edgee => &edgee::VENDOR,
            Self::EdenAiV2 => &edenai::v2::VENDOR,
            Self::EdenAiV3 => &edenai::v3::VENDOR,
            Self::Cortecs => &cortecs::VENDOR,
            Self::LiteLlm => &litellm::VENDOR,
            Self::OpenRouter => &openrouter::VENDOR,
        }
    }

    /// Its name in the emulator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Its path on the emulator, at which an endpoint ends.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.row().path
    }

    /// The path of its data plane on the emulator.
    #[must_use]
    pub const fn gateway_path(self) -> &'static str {
        self.row().gateway_path
    }

    /// Method and path, as a fault rule names them, of the call that reads (GET), makes (POST), changes (PATCH) or
    /// deletes (DELETE) keys.
    #[must_use]
    pub fn call(self, method: &'static str) -> (&'static str, &'static str) {
        (self.row().calls)(method)
    }

    /// Whether a driver asks this path beside each listing, as a part of it.
    #[must_use]
    pub fn asks_beside(self, path: &str) -> bool {
        (self.row().beside)(path)
    }

    /// The path at which keys are listed and created, as a fault rule names it.
    #[must_use]
    pub const fn collection(self) -> &'static str {
        self.row().collection
    }
}

/// A vendor's console in the hands of a human, and a view of the state, as far as all vendors have it. At Edgee it
/// works in the organization `org_test`, at other vendors in the demo account.
pub trait Console: Send + Sync {
    /// Adds a management credential that may do everything with keys.
    fn add_token(&self, token: &str);

    /// Adds a management credential of that account, which is created if missing. A credential that exists is moved
    /// there.
    fn add_token_of(&self, token: &str, account: &str);

    /// Adds a credential that mints management credentials, if the vendor has a kind of its own for that.
    fn add_issuer(&self, token: &str) {
        self.add_token(token);
    }

    /// Adds such a credential of that account.
    fn add_issuer_of(&self, token: &str, account: &str) {
        self.add_token_of(token, account);
    }

    /// Revokes a management credential at once. Returns whether it existed.
    fn revoke_token(&self, token: &str) -> bool;

    /// The keys that exist at that time, oldest first: neither revoked ones nor management credentials.
    fn keys(&self, now: Timestamp) -> Vec<Seen>;

    /// The keys of one account.
    fn keys_of(&self, account: &str, now: Timestamp) -> Vec<Seen> {
        self.keys(now).into_iter().filter(|key| key.account == account).collect()
    }

    /// The management credentials that were minted through the API and still exist, oldest first.
    fn credentials(&self, now: Timestamp) -> Vec<Seen> {
        let _ = now;
        Vec::new()
    }

    /// A human creates a key.
    fn add_key(&self, name: &str, now: Timestamp) -> Seen;

    /// A human deletes a key, or revokes it if keys stay listed. Returns whether it existed.
    fn delete_key(&self, id: &str) -> bool;

    /// Whether the data plane would accept a call with this secret now.
    fn accepts(&self, secret: &str) -> bool;

    /// Charges a key, in millionths of the vendor's currency. Returns whether the key exists.
    fn spend(&self, id: &str, micros: u64) -> bool;

    /// A human removes the limit of a key and, if it can be changed, its expiry. Returns whether the key existed.
    fn unlimit(&self, id: &str) -> bool {
        let _ = id;
        false
    }

    /// A human switches a key off. Returns whether the key existed.
    fn switch_off(&self, id: &str) -> bool {
        let _ = id;
        false
    }

    /// A human moves a key's expiry. Returns whether the key existed.
    fn expire(&self, id: &str, at: Option<Timestamp>) -> bool {
        let _ = (id, at);
        false
    }

    /// The number of keys ever created through the API, without management credentials.
    fn created_total(&self) -> u64;

    /// The switches, as JSON.
    fn switches(&self) -> Value;

    /// Sets the named switches.
    ///
    /// # Errors
    ///
    /// A name or a value that there is not.
    fn switch(&self, patch: Map<String, Value>) -> Result<(), serde_json::Error>;
}

/// One key in the form that all vendors share.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    /// The value by which a client of that vendor identifies the key: an id, or its name.
    pub id: String,
    /// Name.
    pub name: String,
    /// The account of the key: an organization, or `user/project`.
    pub account: String,
    /// The key itself.
    pub secret: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether it is active.
    pub active: bool,
    /// The rest of the budget, in millionths of the vendor's currency; `None` without a limit.
    pub remaining_micros: Option<u64>,
    /// The budget in all, or within a period.
    pub budget_micros: Option<u64>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("active", &self.active)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A handle on any emulated vendor: the acts of a human in its console, and reads of the state. Its calls are neither
/// logged nor counted. At Edgee it works in the organization `org_test`, at other vendors in the demo account.
#[derive(Clone)]
pub struct VendorHandle {
    emulator: Emulator,
    vendor_id: VendorId,
}

impl VendorHandle {
    pub(super) fn new(emulator: Emulator, vendor_id: VendorId) -> Self {
        Self { emulator, vendor_id }
    }

    /// The vendor's id.
    #[must_use]
    pub fn vendor(&self) -> VendorId {
        self.vendor_id
    }

    fn console(&self) -> Arc<dyn Console> {
        let real = self.emulator.shared.forward_of(self.vendor_id).map(|it| it.console);
        real.unwrap_or_else(|| (self.vendor_id.row().console)(&self.emulator).into())
    }

    /// Adds a management credential that may do everything with keys.
    pub fn add_token(&self, token: &str) {
        self.console().add_token(token);
    }

    /// Adds a management credential of that account, which is created if missing. A credential that exists is moved
    /// there. At Cortecs an account is `user/project`, or one word for both.
    pub fn add_token_of(&self, token: &str, account: &str) {
        self.console().add_token_of(token, account);
    }

    /// The same as [`VendorHandle::add_issuer`], of that account.
    pub fn add_issuer_of(&self, token: &str, account: &str) {
        self.console().add_issuer_of(token, account);
    }

    /// The keys of one account, oldest first. [`VendorHandle::keys`] has those of every account, except at Edgee.
    #[must_use]
    pub fn keys_of(&self, account: &str) -> Vec<Seen> {
        self.console().keys_of(account, self.emulator.now())
    }

    /// Adds a credential that mints management credentials. If the vendor has no kind of its own for that, or if
    /// nothing can be minted, it is the same as [`VendorHandle::add_token`].
    pub fn add_issuer(&self, token: &str) {
        self.console().add_issuer(token);
    }

    /// Revokes a management credential at once. Returns whether it existed.
    #[must_use = "an unknown token is not revoked"]
    pub fn revoke_token(&self, token: &str) -> bool {
        self.console().revoke_token(token)
    }

    /// The keys that exist, oldest first: neither revoked ones nor management credentials.
    #[must_use]
    pub fn keys(&self) -> Vec<Seen> {
        self.console().keys(self.emulator.now())
    }

    /// The management credentials that were minted through the API and still exist, oldest first.
    #[must_use]
    pub fn credentials(&self) -> Vec<Seen> {
        self.console().credentials(self.emulator.now())
    }

    /// A human creates a key.
    #[expect(clippy::must_use_candidate, reason = "the key is there whether or not anybody looks")]
    pub fn add_key(&self, name: &str) -> Seen {
        self.console().add_key(name, self.emulator.now())
    }

    /// A human deletes a key, or revokes it if keys stay listed. Returns whether it existed.
    #[must_use = "an unknown key is not deleted"]
    pub fn delete_key(&self, id: &str) -> bool {
        self.console().delete_key(id)
    }

    /// Whether the data plane would accept a call with this secret now.
    #[must_use]
    pub fn accepts(&self, secret: &str) -> bool {
        self.console().accepts(secret)
    }

    /// Charges a key, in millionths of the vendor's currency. Returns whether the key exists.
    #[must_use = "an unknown key spends nothing"]
    pub fn spend(&self, id: &str, micros: u64) -> bool {
        self.console().spend(id, micros)
    }

    /// A human removes the limit of a key and, if it can be changed, its expiry. Returns whether the key existed; false
    /// if the vendor's keys have no limits.
    #[must_use = "an unknown key is not changed"]
    pub fn unlimit(&self, id: &str) -> bool {
        self.console().unlimit(id)
    }

    /// A human switches a key off. Returns whether the key existed; false if the vendor's keys cannot be switched off.
    #[must_use = "an unknown key is not changed"]
    pub fn switch_off(&self, id: &str) -> bool {
        self.console().switch_off(id)
    }

    /// A human moves a key's expiry. Returns whether the key existed; false if the vendor's keys never expire.
    #[must_use = "an unknown key is not changed"]
    pub fn expire(&self, id: &str, at: Option<Timestamp>) -> bool {
        self.console().expire(id, at)
    }

    /// The number of keys ever created through the API, without management credentials.
    #[must_use]
    pub fn created_total(&self) -> u64 {
        self.console().created_total()
    }

    /// The switches, as JSON.
    pub(super) fn switches(&self) -> Value {
        self.console().switches()
    }

    /// Sets the named switches.
    pub(super) fn switch(&self, patch: Map<String, Value>) -> Result<(), serde_json::Error> {
        self.console().switch(patch)
    }
}
