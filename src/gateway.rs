//! What the vendors understand: one trait with optional abilities, one folder per vendor, one registry with a row per driver,
//! and HTTP in one file.

pub mod access;
pub mod account;
pub mod breaker;
pub mod budget;
pub mod cortecs;
pub mod edenai;
pub mod edgee;
pub mod entry;
pub mod guard;
pub mod http;
pub mod lenient;
pub mod operation;
pub mod refusal;
pub mod registry;
pub mod retry_after;
pub mod shares;
pub mod time;
pub mod transport;

pub use edenai::{v2 as edenai_v2, v3 as edenai_v3};
pub use registry::{DRIVERS, Driver, Vendors};

use crate::api::gateway_api_key::KeyType;
use crate::api::project_settings::ProjectValues;
use crate::plan::capability::Capabilities;
use crate::plan::desired::Settings;
use crate::plan::drift::Field;
use crate::plan::facts::{KeyId, Limit, Listed};
use crate::plan::fault::Fault;
use crate::plan::provider_key::ListedProviderKey;
use crate::plan::usage::{Money, Span, Spending};
use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// What a vendor must answer, and what it may be able to do beside. Implementations hold no state and retry nothing.
///
/// An ability is there or not by type: the table of capabilities says the same of each driver, which a test compares.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// What the vendor can do.
    fn capabilities(&self) -> &'static Capabilities;

    /// Whose account the token leads to, in the vendor's words: an organization or project. `None`: the vendor does not
    /// tell. Asked once for each token, not with each poll.
    async fn whose(&self) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    /// How many entries of listings could not be read and were skipped since this was asked last.
    fn take_skipped(&self) -> u64 {
        0
    }

    /// Every key of the account, but for entries without our mark that cannot be read. An incomplete listing is a
    /// fault, never a shorter list.
    async fn list(&self) -> Result<Vec<Listed>, Fault>;

    /// One key. `None`: the vendor says it is gone.
    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault>;

    /// Makes a key: one request, whatever happens.
    async fn mint(&self, order: &Order) -> Result<Minted, Fault>;

    /// Changes settings of a key. Whether they arrived is for `get` to say.
    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault>;

    /// Removes a key; one that is gone already is a success.
    async fn revoke(&self, id: &KeyId) -> Result<(), Fault>;

    /// Shows the secret of an existing key again (`Recovery::Reveal`).
    fn reveal(&self) -> Option<&dyn Reveal> {
        None
    }

    /// Gives an existing key another secret (`Recovery::Rotate`).
    fn another_secret(&self) -> Option<&dyn Reissue> {
        None
    }

    /// Tells what single keys spent (`usage.spending`).
    fn usage(&self) -> Option<&dyn Usage> {
        None
    }

    /// Tells what the account has left (`usage.balance`).
    fn credit(&self) -> Option<&dyn Credit> {
        None
    }

    /// Settings of the whole project (`project_settings`).
    fn projects(&self) -> Option<&dyn Projects> {
        None
    }

    /// Deposits of provider credentials (`provider_keys`).
    fn provider_keys(&self) -> Option<&dyn ProviderKeys> {
        None
    }
}

/// Shows the secret of an existing key again.
#[async_trait]
pub trait Reveal: Send + Sync {
    /// The secret of an existing key. `None`: the vendor says the key is gone.
    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault>;
}

/// Gives an existing key another secret; the old one is dead at once.
#[async_trait]
pub trait Reissue: Send + Sync {
    /// Makes the key of an order out of a key that was never delivered: its name, its settings, another secret. `None`:
    /// it cannot be used for that, or is gone.
    async fn reissue(&self, id: &KeyId, order: &Order) -> Result<Option<Minted>, Fault>;
}

/// Tells what single keys spent.
#[async_trait]
pub trait Usage: Send + Sync {
    /// What keys spent within a span, those named here at least.
    async fn spending(&self, span: &Span, keys: &[KeyId]) -> Result<Vec<Spending>, Fault>;
}

/// Tells what the account has left.
#[async_trait]
pub trait Credit: Send + Sync {
    /// What the account has left. `None`: this answer does not say.
    async fn balance(&self) -> Result<Option<Money>, Fault>;
}

/// Settings of the whole project.
#[async_trait]
pub trait Projects: Send + Sync {
    /// The settings as they are.
    async fn read(&self) -> Result<Project, Fault>;

    /// Changes those settings that are wanted, of a project that was just read. Whether they arrived is for `read` to
    /// say.
    async fn write(&self, project: Project, wanted: &ProjectValues) -> Result<(), Fault>;
}

/// A project as its vendor shows it.
pub struct Project {
    /// The vendor's id.
    pub id: String,
    /// The settings that Keysmith knows.
    pub shown: ProjectValues,
    /// Everything, to be sent back.
    pub whole: Whole,
}

/// A vendor's whole document: for its driver only.
pub struct Whole(Map<String, Value>);

/// Deposits of provider credentials.
#[async_trait]
pub trait ProviderKeys: Send + Sync {
    /// Every deposit.
    async fn list(&self) -> Result<Vec<ListedProviderKey>, Fault>;

    /// Deposits a credential: one request, whatever happens.
    async fn deposit(&self, order: &ProviderKeyOrder) -> Result<CreatedProviderKey, Fault>;

    /// Tries to change what a deposit is assigned to. Whether it did is for `list` to say.
    async fn reassign(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault>;

    /// Tries to remove a deposit. Whether it did is for `list` to say.
    async fn remove(&self, id: &KeyId) -> Result<(), Fault>;
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct Order {
    /// The whole name, mark included.
    pub name: String,
    /// What it is for.
    pub kind: KeyType,
    /// The coding assistant, with `CodingAgent`.
    pub coding_assistant: Option<String>,
    /// The models admitted; empty is every model.
    pub models: Vec<String>,
    /// The spending limit.
    pub budget: Option<Limit>,
    /// What of `budget` may still be spent in the running period, in millionths. `None`: all of it. A driver whose vendor
    /// counts the spending of each key itself cannot say so, and makes a key with the whole budget.
    pub left: Option<u64>,
    /// Days from creation to expiry.
    pub expires_in_days: Option<u32>,
    /// The same as a date, by the operator's clock.
    pub expires_at: Option<Timestamp>,
    /// An e-mail address.
    pub email: Option<String>,
    /// What a management credential may do, in the vendor's words.
    pub scopes: Vec<String>,
}

/// A key that was made.
pub struct Minted {
    /// As the vendor shows it.
    pub key: Listed,
    /// Its secret.
    pub secret: SecretString,
}

/// Settings to change.
#[derive(Clone, Debug)]
pub struct Amendment {
    /// Which ones.
    pub fields: Vec<Field>,
    /// To what.
    pub to: Settings,
    /// The whole name, mark included, for `Field::DisplayName`.
    pub name: String,
    /// For `Field::Budget`: what of the budget may still be spent in the running period, in millionths. `None`: all of
    /// it.
    pub left: Option<u64>,
}

impl Amendment {
    /// Switches a key on or off, and changes nothing else.
    pub fn activity(settings: Settings, active: bool) -> Self {
        Self {
            fields: vec![Field::Active],
            to: Settings { active, ..settings },
            name: String::new(),
            left: None,
        }
    }
}

/// A provider credential to be deposited.
pub struct ProviderKeyOrder {
    /// The whole name, mark included.
    pub name: String,
    /// The provider.
    pub provider: String,
    /// The credential in the vendor's format.
    pub credential: SecretString,
    /// The keys it is for; empty is the whole organization, asked for explicitly.
    pub keys: Vec<KeyId>,
}

/// A deposit that was made.
#[derive(Clone, Debug)]
pub struct CreatedProviderKey {
    /// The vendor's id.
    pub id: KeyId,
    /// When.
    pub created_at: Option<Timestamp>,
}
