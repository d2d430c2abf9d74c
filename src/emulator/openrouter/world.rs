//! The state of the emulated OpenRouter, and its transitions, without HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::record::{KeyRecord, ProviderKeyRecord};
use super::switches::Switches;
use crate::emulator::secret;
use crate::emulator::table::Table;

const KEY_PREFIX: &str = "sk-or-v1-emulated-";

/// Counters of API calls that leave no trace in the state. Actions of a human are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Keys created.
    pub created_total: u64,
    /// Keys deleted.
    pub deleted_total: u64,
}

/// The state of all accounts.
#[derive(Default)]
pub(in super::super) struct World {
    pub(super) switches: Switches,
    pub(super) keys: Table<KeyRecord>,
    pub(super) provider_keys: Table<ProviderKeyRecord>,
    /// Management keys, each with its account.
    pub(super) tokens: BTreeMap<String, String>,
    /// The workspaces of each account beside the default one.
    pub(super) workspaces: BTreeMap<String, BTreeSet<String>>,
    /// What each account bought, in millionths of a USD.
    pub(super) credits: BTreeMap<String, i64>,
    /// Number of paid calls.
    pub(super) calls: usize,
    pub(super) counts: Counts,
}

/// SHA-256 in lower hex: the id of a secret, as far as a page says it (§3).
pub(super) fn hash_of(secret: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(secret.as_bytes()) {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The id of an account's default workspace.
pub(super) fn default_workspace(account: &str) -> String {
    secret::uuid(&format!("the default workspace of {account}"))
}

impl World {
    pub(super) fn add_token(&mut self, token: &str, account: &str) {
        self.tokens.insert(token.to_owned(), account.to_owned());
    }

    pub(super) fn add_workspace(&mut self, account: &str, name: &str) -> String {
        let id = secret::uuid(&format!("workspace {name} of {account}"));
        self.workspaces.entry(account.to_owned()).or_default().insert(id.clone());
        id
    }

    /// Whether the account has that workspace.
    pub(super) fn has_workspace(&self, account: &str, id: &str) -> bool {
        id == default_workspace(account) || self.workspaces.get(account).is_some_and(|it| it.contains(id))
    }

    pub(super) fn new_key(
        &mut self,
        account: &str,
        workspace: &str,
        name: &str,
        now: Timestamp,
    ) -> KeyRecord {
        let serial = self.keys.next_serial();
        let secret = secret::forge(KEY_PREFIX, serial, account);
        KeyRecord {
            serial,
            hash: hash_of(&secret),
            secret,
            name: name.to_owned(),
            disabled: false,
            limit: None,
            limit_reset: None,
            spent: Vec::new(),
            created_at: now,
            updated_at: None,
            expires_at: None,
            workspace: workspace.to_owned(),
            account: account.to_owned(),
        }
    }

    pub(super) fn key_of_secret(&self, secret: &str) -> Option<&KeyRecord> {
        self.keys.get(&hash_of(secret))
    }

    /// A key of an account by its id, unless it expired and is gone.
    pub(super) fn key_of(&self, account: &str, hash: &str, now: Timestamp) -> Option<&KeyRecord> {
        self.keys.get(hash).filter(|key| key.account == account && !self.vanished(key, now))
    }

    pub(super) fn vanished(&self, key: &KeyRecord, now: Timestamp) -> bool {
        self.switches.expired_keys_vanish && key.expired(now)
    }

    /// Charges a paid call.
    pub(super) fn charge(&mut self, hash: &str, micros: u64, now: Timestamp) -> bool {
        self.calls += 1;
        let key = self.keys.get_mut(hash);
        key.map(|key| key.spent.push((now, micros))).is_some()
    }

    /// What all keys of an account spent, in millionths of a USD.
    pub(super) fn spent_by(&self, account: &str, now: Timestamp) -> u64 {
        let keys = self.keys.iter().filter(|key| key.account == account);
        keys.fold(0, |sum, key| sum.saturating_add(key.usage(None, now)))
    }
}
