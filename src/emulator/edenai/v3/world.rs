//! The state of the emulated v3, and its transitions, without HTTP.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::record::{KeyRecord, ManagementKey, NewKey, Scope};
use super::switches::Switches;
use crate::emulator::edenai::gateway::{Charge, Standing};
use crate::emulator::edenai::kind::TokenType;
use crate::emulator::edenai::usage::Spent;
use crate::emulator::secret;
use crate::emulator::table::Table;

const KEY_PREFIX: &str = "sk-eden-emulated-";
const MANAGEMENT_PREFIX: &str = "mgmt-eden-emulated-";

/// Counters of API calls that leave no trace in the state. Actions of a human in the dashboard are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Keys created.
    pub created_total: u64,
    /// Keys revoked.
    pub revoked_total: u64,
    /// Keys whose secret was rotated.
    pub rotated_total: u64,
    /// Auth keys minted.
    pub minted_total: u64,
}

/// The state of v3.
#[derive(Default)]
pub(in crate::emulator) struct World {
    pub(super) switches: Switches,
    pub(super) management: Table<ManagementKey>,
    pub(super) keys: Table<KeyRecord>,
    pub(super) usage: Vec<Spent>,
    pub(super) counts: Counts,
}

/// An auth key to be minted.
pub(super) struct NewAuthKey {
    pub(super) organization: String,
    pub(super) name: String,
    pub(super) scopes: BTreeSet<Scope>,
    pub(super) expires_at: Option<Timestamp>,
}

impl World {
    /// Adds a management key whose secret a human chose. A working key gets these scopes and this organization.
    pub(super) fn add_management(
        &mut self,
        secret: &str,
        organization: &str,
        scopes: &[Scope],
        now: Timestamp,
    ) {
        let scopes: BTreeSet<Scope> = scopes.iter().copied().collect();
        if let Some(known) = self.management.iter_mut().find(|it| it.secret == secret && it.works(now)) {
            known.scopes = scopes;
            organization.clone_into(&mut known.organization);
            return;
        }
        let name = format!("dashboard-{}", self.management.iter().count() + 1);
        let organization = organization.to_owned();
        let key = self.mint_auth_key(NewAuthKey { organization, name, scopes, expires_at: None }, now);
        self.management.insert(ManagementKey { secret: secret.to_owned(), minted: false, ..key });
    }

    pub(super) fn mint_auth_key(&mut self, new: NewAuthKey, now: Timestamp) -> ManagementKey {
        let serial = self.management.next_serial();
        let id = secret::uuid(&format!("management key {serial}"));
        let secret = secret::forge(MANAGEMENT_PREFIX, serial, &id);
        self.management.insert(ManagementKey {
            serial,
            id,
            organization: new.organization,
            name: new.name,
            scopes: new.scopes,
            minted: true,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
            secret,
        })
    }

    /// The management key with this secret, if it works.
    pub(super) fn caller(&self, secret: &str, now: Timestamp) -> Option<&ManagementKey> {
        self.management.iter().find(|key| key.secret == secret && key.works(now))
    }

    pub(super) fn mint(&mut self, new: NewKey, now: Timestamp) -> KeyRecord {
        let serial = self.keys.next_serial();
        let id = secret::uuid(&format!("key {serial}"));
        let secret = secret::forge(KEY_PREFIX, serial, &id);
        self.keys.insert(KeyRecord {
            serial,
            id,
            legacy: new.legacy,
            organization: new.organization,
            name: new.name,
            token_type: new.token_type,
            member: new.member,
            budget: new.budget,
            default_tags: new.default_tags,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
            rotations: 0,
            secret,
        })
    }

    /// Whether another active key of the same owner has the name (§2.8).
    pub(super) fn taken(&self, organization: &str, member: Option<&str>, name: &str) -> bool {
        self.active(organization).any(|key| key.member.as_deref() == member && key.name == name)
    }

    pub(super) fn active<'a>(&'a self, organization: &'a str) -> impl Iterator<Item = &'a KeyRecord> {
        self.keys.within(organization).filter(|key| key.revoked_at.is_none())
    }

    /// Gives the key a new secret and invalidates the old one at once (§2.8).
    pub(super) fn rotate(&mut self, id: &str) -> Option<KeyRecord> {
        let key = self.keys.get_mut(id)?;
        key.rotations += 1;
        let salt = format!("{}, rotated {} times", key.id, key.rotations);
        key.secret = secret::forge(KEY_PREFIX, key.serial, &salt);
        Some(key.clone())
    }

    /// Returns whether the key exists and was not revoked before.
    pub(super) fn revoke(&mut self, id: &str, now: Timestamp) -> bool {
        let key = self.keys.get_mut(id).filter(|key| key.revoked_at.is_none());
        key.map(|key| key.revoked_at = Some(now)).is_some()
    }

    /// The key with this secret that was not revoked.
    pub(super) fn key_of_secret(&self, secret: &str) -> Option<&KeyRecord> {
        let serial = secret::serial_of(KEY_PREFIX, secret)?;
        self.keys.by_serial(serial).filter(|key| key.secret == secret && key.revoked_at.is_none())
    }

    pub(in crate::emulator::edenai) fn standing(&self, secret: &str) -> Option<Standing<'_>> {
        self.key_of_secret(secret).map(|key| Standing {
            budget: &key.budget,
            expires_at: key.expires_at,
            sandbox: key.token_type == TokenType::SandboxApiToken,
        })
    }

    /// Charges a call, if the secret belongs to v3. Returns its cost.
    pub(in crate::emulator::edenai) fn charge(&mut self, secret: &str, charge: Charge<'_>) -> Option<i64> {
        let id = self.key_of_secret(secret)?.id.clone();
        let key = self.keys.get_mut(&id)?;
        let nanos = charge.nanos(key.token_type == TokenType::SandboxApiToken);
        key.budget.spend(nanos, charge.now);
        let spent = charge.spent(&id, &key.name, nanos);
        let (member, organization) = (key.member.clone(), key.organization.clone());
        self.usage.push(Spent { member, organization, ..spent });
        Some(nanos)
    }

    pub(in crate::emulator::edenai) fn calls(&self) -> usize {
        self.usage.len()
    }
}
