//! The records of the v2 state. No `Debug` prints a secret, although all secrets are fake.

use std::fmt;

use jiff::Timestamp;

use crate::emulator::edenai::budget::Budget;
use crate::emulator::edenai::kind::TokenType;
use crate::emulator::handle::Seen;
use crate::emulator::table::table_row;

/// The account of a credential that names none.
pub const ACCOUNT: &str = "account_demo";

/// One custom token (§2.3).
#[derive(Clone, PartialEq, Eq)]
pub struct CustomToken {
    /// Sequence number within this state, from 1.
    pub serial: u64,
    /// The name, by which callers identify the token.
    pub name: String,
    /// For real calls or for mock data.
    pub token_type: TokenType,
    /// The budget.
    pub budget: Budget,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was created, which no answer shows.
    pub created_at: Timestamp,
    /// The token itself.
    pub secret: String,
    pub(super) rotations: u32,
    /// The account of the token, within which its name is unique.
    pub(super) account: String,
    /// Account and name, which identify the token within this state.
    pub(super) id: String,
}

table_row!(CustomToken, id, account);

impl CustomToken {
    /// The token in the form that all vendors share.
    pub(in crate::emulator) fn seen(&self, now: Timestamp) -> Seen {
        Seen {
            id: self.name.clone(),
            name: self.name.clone(),
            account: self.account.clone(),
            secret: self.secret.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            active: true,
            remaining_micros: self.budget.remaining_micros(now),
            budget_micros: self.budget.granted_micros(),
        }
    }
}

impl fmt::Debug for CustomToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomToken")
            .field("name", &self.name)
            .field("budget", &self.budget)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A credential of the account that manages tokens.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) secret: String,
    /// Whether it is a login session, instead of the account's API key.
    pub(super) session: bool,
    /// The account whose tokens the credential manages.
    pub(super) account: String,
}
