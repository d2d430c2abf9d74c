//! The records of the Edgee state. The secrets are fake, yet no `Debug` prints them, because a suite that scans its
//! output for secrets scans for these.

use std::collections::BTreeSet;
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::emulator::handle::Seen;
use crate::emulator::table::table_row;

/// The kind of a key (§1.3 `type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// For requests to the gateway.
    #[default]
    Api,
    /// For a coding assistant.
    CodingAgent,
}

/// One gateway key (§1.3).
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// `key_000001`.
    pub id: String,
    /// Organization of the key.
    pub organization: String,
    /// Name, not unique.
    pub name: String,
    /// Its kind.
    pub kind: KeyKind,
    /// Which assistant, with [`KeyKind::CodingAgent`].
    pub coding_assistant: Option<String>,
    /// Models that the key may use; empty means all.
    pub models: Vec<String>,
    /// Monthly budget in whole USD.
    pub max_usage: Option<u64>,
    /// Address that its usage is attributed to.
    pub email: Option<String>,
    /// Whether it works.
    pub active: bool,
    /// Whether bodies are kept for debugging.
    pub debug_mode: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When the data plane last accepted it.
    pub last_used_at: Option<Timestamp>,
    /// The amount spent in `spent_month`, in millionths of a USD.
    pub spent_micros: u64,
    /// First day of the calendar month (UTC) that `spent_micros` counts.
    pub spent_month: Date,
    /// Id of the console token that created it by get-or-create (§1.9).
    pub owner: Option<String>,
    /// The key itself.
    pub secret: String,
}

impl KeyRecord {
    /// Resets the amount in a new month (§1.17: calendar month, UTC).
    pub(super) fn roll_month(&mut self, now: Timestamp) {
        let month = month(now);
        if self.spent_month != month {
            self.spent_month = month;
            self.spent_micros = 0;
        }
    }

    /// The key in the form that all vendors share, with its spending.
    pub(in crate::emulator) fn seen(&self) -> Seen {
        let budget = self.max_usage.map(|usd| usd.saturating_mul(1_000_000));
        Seen {
            id: self.id.clone(),
            name: self.name.clone(),
            account: self.organization.clone(),
            secret: self.secret.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            active: self.active,
            remaining_micros: budget.map(|budget| budget.saturating_sub(self.spent_micros)),
            budget_micros: budget,
        }
    }

    pub(super) fn over_budget(&self, now: Timestamp) -> bool {
        let spent = if self.spent_month == month(now) { self.spent_micros } else { 0 };
        self.max_usage.is_some_and(|usd| spent >= usd.saturating_mul(1_000_000))
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("active", &self.active)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A key to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Name, not unique.
    pub name: String,
    /// Its kind.
    pub kind: KeyKind,
    /// Which assistant, with [`KeyKind::CodingAgent`].
    pub coding_assistant: Option<String>,
    /// Models that the key may use; empty means all.
    pub models: Vec<String>,
    /// Monthly budget in whole USD.
    pub max_usage: Option<u64>,
    /// Its lifetime.
    pub lifetime: Option<SignedDuration>,
    /// Address that its usage is attributed to.
    pub email: Option<String>,
    /// Whether it works.
    pub active: bool,
    /// Id of the console token that creates it by get-or-create.
    pub owner: Option<String>,
}

impl NewKey {
    /// An unrestricted key for the gateway.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: KeyKind::Api,
            coding_assistant: None,
            models: Vec::new(),
            max_usage: None,
            lifetime: None,
            email: None,
            active: true,
            owner: None,
        }
    }
}

/// One provider credential (§1.10).
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderKeyRecord {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// `pk_000001`.
    pub id: String,
    /// Organization of the provider key.
    pub organization: String,
    /// Provider type.
    pub provider: String,
    /// Name, not unique.
    pub name: String,
    /// The stored credential, which no endpoint shows.
    pub provider_key: String,
    /// Keys that it is assigned to; empty means the whole organization.
    pub api_key_ids: Vec<String>,
    /// Whether it is in use.
    pub active: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// User that created it.
    pub created_by: String,
}

impl fmt::Debug for ProviderKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderKeyRecord")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .field("name", &self.name)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// One console token (§1.13). It belongs to a user and gives access to a set of organizations.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// `tok_000001`.
    pub id: String,
    /// User of the token.
    pub user: String,
    /// Name, not unique.
    pub name: String,
    /// Organizations that it gives access to.
    pub organizations: BTreeSet<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it last authenticated a call.
    pub last_used_at: Option<Timestamp>,
    /// Whether the API minted it, and not a human.
    pub minted: bool,
    /// The token itself.
    pub token: String,
}

impl TokenRecord {
    /// The token in the form that all vendors' management credentials share.
    pub(in crate::emulator) fn seen(&self) -> Seen {
        Seen {
            id: self.id.clone(),
            name: self.name.clone(),
            account: self.organizations.iter().next().cloned().unwrap_or_default(),
            secret: self.token.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            active: true,
            remaining_micros: None,
            budget_micros: None,
        }
    }
}

impl fmt::Debug for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRecord").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// One data-plane call, as the export shows it (§1.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct UsageRecord {
    pub(super) at: Timestamp,
    pub(super) organization: String,
    pub(super) key_id: String,
    pub(super) key_name: String,
    pub(super) model: String,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cost_micros: u64,
    pub(super) tags: Vec<String>,
}

table_row!(KeyRecord, id, organization);
table_row!(ProviderKeyRecord, id, organization);
table_row!(TokenRecord, id, user);

/// First day of the calendar month, UTC.
pub(super) fn month(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date().first_of_month()
}
