//! The records of the Cortecs state. No `Debug` prints a secret, although all secrets are fake.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::emulator::calendar::Period;
use crate::emulator::handle::Seen;
use crate::emulator::table::table_row;

/// The role of the user of a management key in the project (§3.3, project settings).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May change everything.
    #[default]
    Admin,
    /// May change project settings while these can be overwritten, but not whether they can be.
    Member,
    /// May not change the settings at all.
    Outsider,
}

/// The user and project of a management key (§3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user.
    pub user: String,
    /// The project.
    pub project: String,
    /// The user's role in the project.
    pub role: Role,
}

impl Default for Person {
    fn default() -> Self {
        Self { user: "user_demo".to_owned(), project: "project_demo".to_owned(), role: Role::Admin }
    }
}

impl Person {
    /// The administrator that a text names: `user/project`, or one word for both.
    #[must_use]
    pub fn named(account: &str) -> Self {
        let (user, project) = account.split_once('/').unwrap_or((account, account));
        Self { user: user.to_owned(), project: project.to_owned(), role: Role::Admin }
    }

    /// The scope within which names are unique (§3.8: assumed).
    pub(in super::super) fn scope(&self) -> String {
        format!("{}/{}", self.user, self.project)
    }
}

/// A budget of one key, which exists in the console only (§3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The limit of a period, in millionths of a EUR.
    pub micros: u64,
    /// When the budget is reset, UTC.
    pub period: Period,
    /// The amount spent in the period that began on `since`.
    pub spent_micros: u64,
    /// First day of the period that `spent_micros` counts.
    pub since: Date,
}

impl Budget {
    /// A budget without spending.
    #[must_use]
    pub fn new(micros: u64, period: Period) -> Self {
        Self { micros, period, spent_micros: 0, since: Date::MIN }
    }

    pub(super) fn spent(&self, now: Timestamp) -> u64 {
        if self.since == self.period.start(now, &TimeZone::UTC) { self.spent_micros } else { 0 }
    }

    pub(super) fn spend(&mut self, micros: u64, now: Timestamp) {
        self.spent_micros = self.spent(now).saturating_add(micros);
        self.since = self.period.start(now, &TimeZone::UTC);
    }
}

/// One API key, for applications or for management (§3.3).
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// `key_000001`, which no answer shows: callers identify a key by its name.
    pub id: String,
    /// User and project of the key.
    pub owner: Person,
    /// Name, unique per user and project.
    pub name: String,
    /// Whether the key manages keys; otherwise it calls the gateway.
    pub management: bool,
    /// Whether the API created the key, and not a human.
    pub minted: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// The budget that a human set in the console.
    pub budget: Option<Budget>,
    /// The key itself.
    pub secret: String,
    pub(super) scope: String,
}

table_row!(KeyRecord, id, scope);

impl KeyRecord {
    pub(super) fn over_budget(&self, now: Timestamp) -> bool {
        self.budget.as_ref().is_some_and(|budget| budget.spent(now) >= budget.micros)
    }

    /// The key in the form that all vendors share.
    pub(in super::super) fn seen(&self, now: Timestamp) -> Seen {
        let budget = self.budget.as_ref();
        Seen {
            id: self.name.clone(),
            name: self.name.clone(),
            account: self.scope.clone(),
            secret: self.secret.clone(),
            created_at: self.created_at,
            expires_at: None,
            active: true,
            remaining_micros: budget.map(|budget| budget.micros.saturating_sub(budget.spent(now))),
            budget_micros: budget.map(|budget| budget.micros),
        }
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("name", &self.name)
            .field("management", &self.management)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// The settings of a project (§3.3).
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectRecord {
    /// When the settings were created.
    pub created_at: Timestamp,
    /// When they were last changed.
    pub updated_at: Timestamp,
    /// Every other field, undocumented ones included.
    pub fields: Map<String, Value>,
}

impl ProjectRecord {
    pub(super) fn allow_overwrite(&self) -> bool {
        self.fields.get("allow_overwrite").and_then(Value::as_bool).unwrap_or_default()
    }
}

/// One data-plane call, as usage counts it (§3.3).
#[derive(Clone, Debug)]
pub(super) struct UsageRecord {
    pub(super) at: Timestamp,
    pub(super) user: String,
    pub(super) project: String,
    pub(super) key_name: String,
    pub(super) model: String,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cost_micros: u64,
}
