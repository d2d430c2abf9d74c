//! The records of the LiteLLM state. No `Debug` prints a secret, although all secrets are fake.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::emulator::calendar::{Period, Stretch, midnight};
use crate::emulator::handle::Seen;
use crate::emulator::table::table_row;

/// What a key may call (§4): an alternative to lists of routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Models.
    LlmApi,
    /// The management API.
    Management,
    /// Reads only.
    ReadOnly,
    /// Models, and as much of the management API as the role of its user admits.
    #[default]
    Default,
}

/// The role of a user (§10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees and changes every key.
    ProxyAdmin,
    /// Sees every key.
    ProxyAdminViewer,
    /// Sees and changes its own keys.
    InternalUser,
}

/// A limit of calls or tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests per minute.
    pub requests: Option<u64>,
    /// Tokens per minute.
    pub tokens: Option<u64>,
    /// Requests at the same time.
    pub parallel: Option<u64>,
}

/// One key (§3). Amounts are in millionths of a USD.
#[derive(Clone, PartialEq)]
pub struct KeyRecord {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// SHA-256 of the secret, in hex.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// The name.
    pub alias: Option<String>,
    /// What it may call.
    pub kind: Kind,
    /// The user that it belongs to.
    pub user: Option<String>,
    /// The team that it belongs to.
    pub team: Option<String>,
    /// The models that it may call; empty means every model.
    pub models: Vec<String>,
    /// The limit of a period.
    pub budget: Option<u64>,
    /// How often the budget resets, as it was sent.
    pub rhythm: Option<String>,
    /// When the budget resets next.
    pub reset_at: Option<Timestamp>,
    /// Spent in the running period.
    pub spend: u64,
    /// Spent in all.
    pub total: u64,
    /// Limits of its calls.
    pub rates: Rates,
    /// When it stops working.
    pub expires: Option<Timestamp>,
    /// Whether it is off; `None` if that was never set.
    pub blocked: Option<bool>,
    /// Whether the API created the key, and not a human.
    pub minted: bool,
    /// The user whose token created it.
    pub created_by: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When a person last changed it.
    pub settings_updated_at: Option<Timestamp>,
    /// When it was last used.
    pub last_active: Option<Timestamp>,
    pub(super) scope: String,
}

table_row!(KeyRecord, id, scope);

impl KeyRecord {
    /// The record at this time: a period that began since then has nothing spent in it.
    #[must_use]
    pub(super) fn at(&self, now: Timestamp) -> Self {
        let mut key = self.clone();
        if key.reset_at.is_some_and(|at| at <= now) {
            key.spend = 0;
            key.reset_at = key.rhythm.as_deref().and_then(|it| next_reset(it, now));
        }
        key
    }

    pub(super) fn over_budget(&self, now: Timestamp) -> bool {
        let key = self.at(now);
        key.budget.is_some_and(|budget| key.spend >= budget)
    }

    pub(super) fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// Sets the rhythm of the budget, from now on (§6).
    pub(super) fn reset_every(&mut self, rhythm: Option<String>, now: Timestamp) {
        self.reset_at = rhythm.as_deref().and_then(|it| next_reset(it, now));
        self.rhythm = rhythm;
    }

    /// The key in the form that all vendors share.
    pub(in super::super) fn seen(&self, now: Timestamp) -> Seen {
        let key = self.at(now);
        Seen {
            id: key.id,
            name: key.alias.unwrap_or_default(),
            account: key.scope,
            secret: key.secret,
            created_at: key.created_at,
            expires_at: key.expires,
            active: key.blocked != Some(true),
            remaining_micros: key.budget.map(|budget| budget.saturating_sub(key.spend)),
            budget_micros: key.budget,
        }
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("alias", &self.alias)
            .field("kind", &self.kind)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// The seconds of a time to live, from a number and its unit (§4). A month has thirty days, as far as it matters here.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "mo" => 30 * 86_400,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

/// When a budget resets next: at a boundary of the calendar, in UTC (§6). Other rhythms count whole days from now.
pub(super) fn next_reset(rhythm: &str, now: Timestamp) -> Option<Timestamp> {
    let today = now.to_zoned(TimeZone::UTC).date();
    let days = match rhythm {
        "1d" | "24h" => 1,
        "7d" | "1w" => {
            let start = Period::Weekly.start(now, &TimeZone::UTC);
            return start.checked_add(jiff::Span::new().days(7)).ok().map(midnight);
        }
        "30d" | "1mo" => {
            let start = Stretch::Month.start(today);
            return start.checked_add(jiff::Span::new().months(1)).ok().map(midnight);
        }
        other => seconds(other)? / 86_400,
    };
    today.checked_add(jiff::Span::new().days(days.max(1))).ok().map(midnight)
}

/// One data-plane call, as spending counts it (§7).
#[derive(Clone, Debug)]
pub(super) struct UsageRecord {
    pub(super) at: Timestamp,
    pub(super) key: String,
    pub(super) cost_micros: u64,
}
