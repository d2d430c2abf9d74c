//! The state of the emulated Edgee, and its transitions, without HTTP.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::record::{KeyRecord, NewKey, ProviderKeyRecord, TokenRecord, UsageRecord, month};
use super::switches::Switches;
use crate::emulator::secret;
use crate::emulator::table::Table;

/// The prefix of the secret of every key.
const KEY_PREFIX: &str = "sk-edgee-emulated-";

/// Counters of API calls that leave no trace in the state. Actions of a human in the console are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Keys created, by create and by get-or-create.
    pub created_total: u64,
    /// Keys deleted.
    pub deleted_total: u64,
    /// Secrets revealed.
    pub reveals_total: u64,
}

/// The state of Edgee.
#[derive(Default)]
pub(in super::super) struct World {
    pub(super) switches: Switches,
    pub(super) organizations: BTreeMap<String, Timestamp>,
    pub(super) tokens: Table<TokenRecord>,
    pub(super) keys: Table<KeyRecord>,
    pub(super) provider_keys: Table<ProviderKeyRecord>,
    pub(super) usage: Vec<UsageRecord>,
    pub(super) counts: Counts,
    users: u64,
}

impl World {
    pub(super) fn add_organization(&mut self, id: &str, now: Timestamp) {
        self.organizations.entry(id.to_owned()).or_insert(now);
    }

    /// Adds a console token. A token that exists gets these organizations instead.
    pub(super) fn add_token(&mut self, token: &str, organizations: BTreeSet<String>, now: Timestamp) {
        for organization in &organizations {
            self.add_organization(organization, now);
        }
        if let Some(known) = self.tokens.iter_mut().find(|known| known.token == token) {
            known.organizations = organizations;
            return;
        }
        self.users += 1;
        let user = format!("user_{:06}", self.users);
        let serial = self.tokens.next_serial();
        let name = format!("Token {serial}");
        self.tokens.insert(TokenRecord {
            serial,
            id: format!("tok_{serial:06}"),
            user,
            name,
            organizations,
            created_at: now,
            expires_at: None,
            last_used_at: None,
            minted: false,
            token: token.to_owned(),
        });
    }

    /// Mints a token of the same user for the same organizations (§1.13).
    pub(super) fn mint_token(&mut self, by: &TokenRecord, name: String, now: Timestamp) -> TokenRecord {
        let serial = self.tokens.next_serial();
        let id = format!("tok_{serial:06}");
        let token = secret::forge("ek_live_emulated-", serial, &id);
        let record = TokenRecord {
            serial,
            id,
            name,
            created_at: now,
            expires_at: None,
            last_used_at: None,
            minted: true,
            token,
            ..by.clone()
        };
        self.tokens.insert(record)
    }

    pub(super) fn mint_key(&mut self, organization: &str, new: NewKey, now: Timestamp) -> KeyRecord {
        let serial = self.keys.next_serial();
        let id = format!("key_{serial:06}");
        let secret = secret::forge(KEY_PREFIX, serial, &id);
        self.keys.insert(KeyRecord {
            serial,
            id,
            organization: organization.to_owned(),
            name: new.name,
            kind: new.kind,
            coding_assistant: new.coding_assistant,
            models: new.models,
            max_usage: new.max_usage,
            email: new.email,
            active: new.active,
            debug_mode: false,
            created_at: now,
            expires_at: new.lifetime.and_then(|lifetime| now.checked_add(lifetime).ok()),
            last_used_at: None,
            spent_micros: 0,
            spent_month: month(now),
            owner: new.owner,
            secret,
        })
    }

    /// The key with this secret. A secret carries its serial, so that the lookup stays cheap with many keys.
    pub(super) fn key_of_secret(&self, secret: &str) -> Option<&KeyRecord> {
        let serial = secret::serial_of(KEY_PREFIX, secret)?;
        self.keys.by_serial(serial).filter(|key| key.secret == secret)
    }
}
