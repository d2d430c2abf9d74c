//! The state of the emulated v2, and its transitions, without HTTP.

use jiff::Timestamp;
use serde::Serialize;

use super::record::{ACCOUNT, Credential, CustomToken};
use super::switches::Switches;
use crate::emulator::edenai::budget::Budget;
use crate::emulator::edenai::gateway::{Charge, Standing};
use crate::emulator::edenai::kind::TokenType;
use crate::emulator::edenai::usage::Spent;
use crate::emulator::secret;
use crate::emulator::table::Table;

const TOKEN_PREFIX: &str = "eden-v2-emulated-";

/// Counters of API calls that leave no trace in the state. Actions of a human in the console are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Custom tokens created.
    pub created_total: u64,
    /// Custom tokens deleted.
    pub deleted_total: u64,
    /// Answers to reads of one token that showed it.
    pub reveals_total: u64,
}

/// The state of v2.
#[derive(Default)]
pub(in crate::emulator) struct World {
    pub(super) switches: Switches,
    pub(super) credentials: Vec<Credential>,
    pub(super) tokens: Table<CustomToken>,
    pub(super) usage: Vec<Spent>,
    pub(super) counts: Counts,
}

/// A token to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// The name, by which callers identify the token.
    pub name: String,
    /// For real calls or for mock data.
    pub token_type: TokenType,
    /// The budget.
    pub budget: Budget,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
}

impl NewToken {
    /// A token with the server's defaults: 50 USD that do not limit it (§2.3).
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            token_type: TokenType::ApiToken,
            budget: Budget::new(Some(50_000_000_000), false),
            expires_at: None,
        }
    }
}

/// No account id contains a slash.
fn id_of(account: &str, name: &str) -> String {
    format!("{account}/{name}")
}

impl World {
    /// Adds a credential. A credential that exists is moved to this account.
    pub(super) fn add_credential(&mut self, secret: &str, session: bool, account: &str) {
        self.revoke_credential(secret);
        let account = account.to_owned();
        self.credentials.push(Credential { secret: secret.to_owned(), session, account });
    }

    /// The token of that name in that account.
    pub(super) fn token(&self, account: &str, name: &str) -> Option<&CustomToken> {
        self.tokens.get(&id_of(account, name))
    }

    /// The id of the token of that name: in the demo account, otherwise in any account.
    pub(super) fn id_anywhere(&self, name: &str) -> Option<String> {
        let elsewhere = || self.tokens.iter().find(|token| token.name == name);
        self.token(ACCOUNT, name).or_else(elsewhere).map(|token| token.id.clone())
    }

    pub(super) fn revoke_credential(&mut self, secret: &str) -> bool {
        let before = self.credentials.len();
        self.credentials.retain(|known| known.secret != secret);
        self.credentials.len() < before
    }

    pub(super) fn mint(&mut self, account: &str, new: NewToken, now: Timestamp) -> CustomToken {
        let serial = self.tokens.next_serial();
        let secret = secret::forge(TOKEN_PREFIX, serial, &format!("token {serial}"));
        self.tokens.insert(CustomToken {
            serial,
            id: id_of(account, &new.name),
            name: new.name,
            token_type: new.token_type,
            budget: new.budget,
            expires_at: new.expires_at,
            created_at: now,
            secret,
            rotations: 0,
            account: account.to_owned(),
        })
    }

    /// Gives the token a new secret and invalidates the old one (§2.2).
    pub(super) fn rotate(&mut self, account: &str, name: &str) -> Option<CustomToken> {
        let token = self.tokens.get_mut(&id_of(account, name))?;
        token.rotations += 1;
        let salt = format!("token {} rotated {} times", token.serial, token.rotations);
        token.secret = secret::forge(TOKEN_PREFIX, token.serial, &salt);
        Some(token.clone())
    }

    pub(super) fn token_of_secret(&self, secret: &str) -> Option<&CustomToken> {
        let serial = secret::serial_of(TOKEN_PREFIX, secret)?;
        self.tokens.by_serial(serial).filter(|token| token.secret == secret)
    }

    pub(in crate::emulator::edenai) fn standing(&self, secret: &str) -> Option<Standing<'_>> {
        self.token_of_secret(secret).map(|token| Standing {
            budget: &token.budget,
            expires_at: token.expires_at,
            sandbox: token.token_type == TokenType::SandboxApiToken,
        })
    }

    /// Charges a call, if the secret belongs to v2. Returns its cost.
    pub(in crate::emulator::edenai) fn charge(&mut self, secret: &str, charge: Charge<'_>) -> Option<i64> {
        let id = self.token_of_secret(secret)?.id.clone();
        let token = self.tokens.get_mut(&id)?;
        let nanos = charge.nanos(token.token_type == TokenType::SandboxApiToken);
        token.budget.spend(nanos, charge.now);
        let organization = token.account.clone();
        self.usage.push(Spent { organization, ..charge.spent("", &token.name, nanos) });
        Some(nanos)
    }

    pub(in crate::emulator::edenai) fn calls(&self) -> usize {
        self.usage.len()
    }
}
