//! The records of the OpenRouter state. No `Debug` prints a secret, although all secrets are fake.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::emulator::calendar::{Period, midnight};
use crate::emulator::handle::Seen;
use crate::emulator::table::table_row;

/// One key (§3). Amounts are in millionths of a USD.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// The id.
    pub hash: String,
    /// The secret.
    pub secret: String,
    /// The name, not unique.
    pub name: String,
    /// Whether it is off.
    pub disabled: bool,
    /// What it may spend within a period, or in all.
    pub limit: Option<u64>,
    /// How often the limit is reset; `None`: never.
    pub limit_reset: Option<Period>,
    /// What it spent, and when.
    pub spent: Vec<(Timestamp, u64)>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// The workspace that it belongs to.
    pub workspace: String,
    pub(super) account: String,
}

table_row!(KeyRecord, hash, workspace);

impl KeyRecord {
    /// What it spent in the running period; without a period, in all.
    pub(super) fn usage(&self, period: Option<Period>, now: Timestamp) -> u64 {
        let since = period.map_or(Timestamp::MIN, |it| midnight(it.start(now, &TimeZone::UTC)));
        self.spent
            .iter()
            .filter(|(at, _)| *at >= since)
            .fold(0, |sum, (_, micros)| sum.saturating_add(*micros))
    }

    pub(super) fn remaining(&self, now: Timestamp) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.usage(self.limit_reset, now)))
    }

    pub(super) fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The key in the form that all vendors share.
    pub(in super::super) fn seen(&self, now: Timestamp) -> Seen {
        Seen {
            id: self.hash.clone(),
            name: self.name.clone(),
            account: self.account.clone(),
            secret: self.secret.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            active: !self.disabled,
            remaining_micros: self.remaining(now),
            budget_micros: self.limit,
        }
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("hash", &self.hash)
            .field("name", &self.name)
            .field("disabled", &self.disabled)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// One provider credential (§6).
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderKeyRecord {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// A UUID.
    pub id: String,
    /// The provider.
    pub provider: String,
    /// The name.
    pub name: Option<String>,
    /// The credential.
    pub key: String,
    /// The keys that may use it; `None`: every key.
    pub allowed: Option<Vec<String>>,
    /// Whether it is off.
    pub disabled: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// The workspace that it belongs to.
    pub workspace: String,
}

table_row!(ProviderKeyRecord, id, workspace);

impl fmt::Debug for ProviderKeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderKeyRecord")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
