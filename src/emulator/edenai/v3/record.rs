//! The records of the v3 state. No `Debug` prints a secret, although all secrets are fake.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::emulator::edenai::budget::Budget;
use crate::emulator::edenai::kind::TokenType;
use crate::emulator::handle::Seen;
use crate::emulator::table::table_row;

/// The organization of a request that names none.
pub const ORGANIZATION: &str = "org_demo";

/// The scope of a management key (§2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Mint, list and delete auth keys: the only scope of issuer keys.
    #[serde(rename = "manage:mint")]
    Mint,
    /// Read keys and usage.
    #[serde(rename = "manage:read")]
    Read,
    /// Create, change and revoke keys.
    #[serde(rename = "manage:write")]
    Write,
}

impl Scope {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mint => "manage:mint",
            Self::Read => "manage:read",
            Self::Write => "manage:write",
        }
    }
}

/// One management key: an issuer or an auth key (§2.6).
#[derive(Clone, PartialEq, Eq)]
pub struct ManagementKey {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// A UUID.
    pub id: String,
    /// The organization whose keys it manages.
    pub organization: String,
    /// Name.
    pub name: String,
    /// Its scopes.
    pub scopes: BTreeSet<Scope>,
    /// Whether an issuer minted it through the API, and not a human.
    pub minted: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, which is final.
    pub revoked_at: Option<Timestamp>,
    /// The key itself.
    pub secret: String,
}

table_row!(ManagementKey, id, organization);

impl ManagementKey {
    pub(super) fn works(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expiry| now < expiry)
    }

    pub(super) fn is_issuer(&self) -> bool {
        self.scopes.contains(&Scope::Mint)
    }

    /// The key in the form that all vendors' management credentials share.
    pub(in crate::emulator) fn seen(&self) -> Seen {
        Seen {
            id: self.id.clone(),
            name: self.name.clone(),
            account: self.organization.clone(),
            secret: self.secret.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            active: self.revoked_at.is_none(),
            remaining_micros: None,
            budget_micros: None,
        }
    }
}

impl fmt::Debug for ManagementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagementKey")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

/// One inference key (§2.8). A revoked one stays.
#[derive(Clone, PartialEq)]
pub struct KeyRecord {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// A UUID.
    pub id: String,
    /// Whether the key was never regenerated: it is listed with `id: null` and cannot be addressed.
    pub legacy: bool,
    /// Organization of the key.
    pub organization: String,
    /// Name, unique among the active keys of its member.
    pub name: String,
    /// For real calls or for mock data.
    pub token_type: TokenType,
    /// The member that owns the key; a service key has none.
    pub member: Option<String>,
    /// The budget.
    pub budget: Budget,
    /// Tags of every call with the key.
    pub default_tags: Option<Value>,
    /// When it was created, which no answer shows.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, which is final.
    pub revoked_at: Option<Timestamp>,
    /// How often the secret was rotated.
    pub rotations: u32,
    /// The key itself.
    pub secret: String,
}

table_row!(KeyRecord, id, organization);

impl KeyRecord {
    /// The key in the form that all vendors share.
    pub(in crate::emulator) fn seen(&self, now: Timestamp) -> Seen {
        Seen {
            id: self.id.clone(),
            name: self.name.clone(),
            account: self.organization.clone(),
            secret: self.secret.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            active: self.revoked_at.is_none(),
            remaining_micros: self.budget.remaining_micros(now),
            budget_micros: self.budget.granted_micros(),
        }
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("budget", &self.budget)
            .field("expires_at", &self.expires_at)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

/// A key to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct NewKey {
    /// Organization of the key.
    pub organization: String,
    /// Name.
    pub name: String,
    /// For real calls or for mock data.
    pub token_type: TokenType,
    /// The member that owns the key.
    pub member: Option<String>,
    /// The budget.
    pub budget: Budget,
    /// Tags of every call with the key.
    pub default_tags: Option<Value>,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// Whether callers see the key without an id.
    pub legacy: bool,
}

impl NewKey {
    /// A service key of the demo organization, without a cap (§2.8).
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            organization: ORGANIZATION.to_owned(),
            name: name.to_owned(),
            token_type: TokenType::ApiToken,
            member: None,
            budget: Budget::new(None, true),
            default_tags: None,
            expires_at: None,
            legacy: false,
        }
    }
}
