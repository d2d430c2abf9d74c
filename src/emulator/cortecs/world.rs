//! The state of the emulated Cortecs, and its transitions, without HTTP.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::record::{KeyRecord, Person, ProjectRecord, UsageRecord};
use super::switches::Switches;
use crate::emulator::secret;
use crate::emulator::table::Table;

const KEY_PREFIX: &str = "cortecs-emulated-";
/// The first balance of every user: 1000 EUR.
const FIRST_BALANCE_MICROS: i64 = 1_000_000_000;

/// Counters of API calls that leave no trace in the state. Actions of a human in the console are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Keys for applications created.
    pub created_total: u64,
    /// Management keys created.
    pub management_created_total: u64,
    /// Keys of both kinds deleted.
    pub deleted_total: u64,
}

/// The state of Cortecs.
#[derive(Default)]
pub(in super::super) struct World {
    pub(super) switches: Switches,
    pub(super) keys: Table<KeyRecord>,
    pub(super) projects: BTreeMap<String, ProjectRecord>,
    pub(super) balances: BTreeMap<String, i64>,
    pub(super) usage: Vec<UsageRecord>,
    pub(super) counts: Counts,
}

/// A key to be created.
pub(super) struct NewKey<'a> {
    pub(super) owner: Person,
    pub(super) name: &'a str,
    pub(super) management: bool,
    pub(super) minted: bool,
}

impl World {
    /// Adds a management key whose secret a human chose. A key that exists gets this owner.
    pub(super) fn add_token(&mut self, token: &str, owner: Person, now: Timestamp) {
        let known = self.keys.iter().find(|key| key.secret == token).map(|key| key.id.clone());
        if let Some(known) = known {
            self.keys.remove(&known, now);
        }
        let key = self.mint(NewKey { owner, name: "console", management: true, minted: false }, now);
        let name = format!("console-{}", key.serial);
        self.keys.insert(KeyRecord { name, secret: token.to_owned(), ..key });
    }

    pub(super) fn mint(&mut self, new: NewKey<'_>, now: Timestamp) -> KeyRecord {
        self.balances.entry(new.owner.user.clone()).or_insert(FIRST_BALANCE_MICROS);
        self.projects.entry(new.owner.project.clone()).or_insert_with(|| settings(now));
        let serial = self.keys.next_serial();
        let id = format!("key_{serial:06}");
        let secret = secret::forge(KEY_PREFIX, serial, &id);
        self.keys.insert(KeyRecord {
            serial,
            id,
            scope: new.owner.scope(),
            owner: new.owner,
            name: new.name.to_owned(),
            management: new.management,
            minted: new.minted,
            created_at: now,
            budget: None,
            secret,
        })
    }

    /// The key of that name within the user and project of this person.
    pub(super) fn key_of_name(&self, owner: &Person, name: &str) -> Option<&KeyRecord> {
        let scope = owner.scope();
        self.keys.iter().find(|key| key.scope == scope && key.name == name)
    }

    /// The key with this secret. Only secrets that a human chose need a search.
    pub(super) fn key_of_secret(&self, secret: &str) -> Option<&KeyRecord> {
        let by_serial = secret::serial_of(KEY_PREFIX, secret).and_then(|serial| self.keys.by_serial(serial));
        by_serial
            .filter(|key| key.secret == secret)
            .or_else(|| self.keys.iter().find(|key| key.secret == secret))
    }

    /// The key that the data plane accepts for this secret; a deleted key may still be accepted for a while.
    pub(super) fn working_key(&self, secret: &str, now: Timestamp) -> Option<&KeyRecord> {
        let linger = SignedDuration::from_millis(i64::from(self.switches.deleted_keys_linger_millis));
        let since = now.checked_sub(linger).unwrap_or(Timestamp::MIN);
        self.key_of_secret(secret).or_else(|| self.keys.gone_since(since).find(|key| key.secret == secret))
    }

    /// Charges a paid call: usage, balance, and the budget of the key.
    pub(super) fn charge(&mut self, key_id: &str, record: UsageRecord) {
        let cost = i64::try_from(record.cost_micros).unwrap_or(i64::MAX);
        if let Some(balance) = self.balances.get_mut(&record.user) {
            *balance = balance.saturating_sub(cost);
        }
        if let Some(budget) = self.keys.get_mut(key_id).and_then(|key| key.budget.as_mut()) {
            budget.spend(record.cost_micros, record.at);
        }
        self.usage.push(record);
    }
}

/// The settings of a new project (§3.3).
fn settings(now: Timestamp) -> ProjectRecord {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("allow_overwrite", json!(false));
    put("active", json!(true));
    put("schema_version", json!("v1"));
    put(
        "inference_config",
        json!({
            "allowed_providers": [],
            "blacklisted_models": [],
            "eu_native": false,
            "include_metadata": true,
            "preference": "balanced",
        }),
    );
    ProjectRecord { created_at: now, updated_at: now, fields }
}
