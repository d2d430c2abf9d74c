//! The state of the emulated LiteLLM, and its transitions, without HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::record::{KeyRecord, Kind, Rates, Role, UsageRecord};
use super::switches::Switches;
use crate::emulator::secret;
use crate::emulator::table::Table;

const KEY_PREFIX: &str = "sk-litellm-emulated-";
/// The user of tokens that a human creates.
pub(super) const ADMIN: &str = "keysmith";

/// Counters of API calls that leave no trace in the state. Actions of a human are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Keys for applications created.
    pub created_total: u64,
    /// Keys for management created.
    pub management_created_total: u64,
    /// Keys of both kinds deleted.
    pub deleted_total: u64,
}

/// The state of a proxy. Accounts are apart from each other as if each were a proxy of its own; a real one has one.
#[derive(Default)]
pub(in super::super) struct World {
    pub(super) switches: Switches,
    pub(super) keys: Table<KeyRecord>,
    /// Records of deleted keys, which newer versions still show.
    pub(super) deleted: BTreeMap<String, (KeyRecord, Timestamp)>,
    pub(super) users: BTreeMap<String, (Role, Timestamp)>,
    pub(super) teams: BTreeSet<String>,
    /// Master keys, each with its account.
    pub(super) masters: BTreeMap<String, String>,
    pub(super) usage: Vec<UsageRecord>,
    /// Refused calls of secrets that are no keys, which spending lists, too.
    pub(super) strangers: BTreeSet<String>,
    pub(super) counts: Counts,
}

/// SHA-256 in lower hex: the id of a secret.
pub(super) fn id_of(secret: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(secret.as_bytes()) {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

impl World {
    pub(super) fn new_key(&mut self, scope: &str, chosen: Option<&str>, now: Timestamp) -> KeyRecord {
        let serial = self.keys.next_serial();
        let secret = chosen.map_or_else(|| secret::forge(KEY_PREFIX, serial, scope), str::to_owned);
        KeyRecord {
            serial,
            id: id_of(&secret),
            secret,
            alias: None,
            kind: Kind::Default,
            user: None,
            team: None,
            models: Vec::new(),
            budget: None,
            rhythm: None,
            reset_at: None,
            spend: 0,
            total: 0,
            rates: Rates::default(),
            expires: None,
            blocked: None,
            minted: false,
            created_by: ADMIN.to_owned(),
            created_at: now,
            updated_at: now,
            settings_updated_at: None,
            last_active: None,
            scope: scope.to_owned(),
        }
    }

    /// Adds a token of an administrator, whose secret a human chose. A token that exists is moved to this account.
    pub(super) fn add_token(&mut self, token: &str, account: &str, now: Timestamp) {
        self.users.entry(ADMIN.to_owned()).or_insert((Role::ProxyAdmin, now));
        self.keys.remove(&id_of(token), now);
        let key = self.new_key(account, Some(token), now);
        let (alias, user) = (Some(format!("console-{}", key.serial)), Some(ADMIN.to_owned()));
        self.keys.insert(KeyRecord { alias, user, kind: Kind::Management, ..key });
    }

    pub(super) fn key_of_secret(&self, secret: &str) -> Option<&KeyRecord> {
        self.keys.get(&id_of(secret))
    }

    /// The key that an id or a secret names, within an account.
    pub(super) fn key_of(&self, scope: &str, text: &str) -> Option<&KeyRecord> {
        let key = if text.starts_with("sk-") { self.key_of_secret(text) } else { self.keys.get(text) };
        key.filter(|key| key.scope == scope)
    }

    pub(super) fn key_of_alias(&self, scope: &str, alias: &str) -> Option<&KeyRecord> {
        self.keys.iter().find(|key| key.scope == scope && key.alias.as_deref() == Some(alias))
    }

    /// Changes a key.
    pub(super) fn edit(&mut self, id: &str, now: Timestamp, edit: impl FnOnce(&mut KeyRecord)) -> bool {
        let key = self.keys.get_mut(id);
        key.map(|key| {
            *key = key.at(now);
            edit(key);
        })
        .is_some()
    }

    pub(super) fn delete(&mut self, id: &str, now: Timestamp) -> bool {
        let key = self.keys.get(id).cloned();
        self.deleted.extend(key.map(|key| (key.id.clone(), (key, now))));
        self.keys.remove(id, now)
    }

    /// Charges a paid call.
    pub(super) fn charge(&mut self, id: &str, cost_micros: u64, now: Timestamp) -> bool {
        self.usage.push(UsageRecord { at: now, key: id.to_owned(), cost_micros });
        self.edit(id, now, |key| {
            key.spend = key.spend.saturating_add(cost_micros);
            key.total = key.total.saturating_add(cost_micros);
            key.last_active = Some(now);
        })
    }
}
