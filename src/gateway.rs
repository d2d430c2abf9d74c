//! Gateways: one trait with optional abilities, one folder per vendor, one registry with a row per driver, and one
//! file for HTTP.

pub mod access;
pub mod account;
pub mod authorities;
pub mod breaker;
pub mod budget;
pub mod cortecs;
pub mod edenai;
pub mod edgee;
pub mod entry;
pub mod guard;
pub mod http;
pub mod lenient;
pub mod litellm;
pub mod openrouter;
pub mod operation;
pub mod paging;
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
use crate::api::shared::RateLimit;
use crate::plan::capability::Capabilities;
use crate::plan::drift::Field;
use crate::plan::fault::Fault;
use crate::plan::listing::{KeyId, Limit, Listed};
use crate::plan::provider_key::ListedProviderKey;
use crate::plan::settings::Settings;
use crate::plan::usage::{Money, Span, Spending};
use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// What a token may do, at a vendor where tokens differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Its name at the vendor.
    pub name: &'static str,
    /// What it lacks, and what to do, if it cannot do everything that Keysmith does.
    pub lacks: Option<&'static str>,
}

/// What every vendor driver implements, and the abilities that it may have. Implementations are stateless and do not
/// retry.
///
/// A driver has an ability if it returns one here. Its table of capabilities must agree, which a test checks.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Capabilities of the vendor.
    fn capabilities(&self) -> &'static Capabilities;

    /// The vendor's id of the organization or project that the token belongs to. `None`: the vendor does not return
    /// one. Called once per token, not with each poll.
    async fn whose(&self) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    /// The rank of the token. `None`: the vendor has one rank only, or does not tell. Asked by `keysmith doctor` only; a driver
    /// may read the rank by itself before it lists.
    async fn rank(&self) -> Result<Option<Rank>, Fault> {
        Ok(None)
    }

    /// Number of malformed listing entries that were skipped since the last call.
    fn take_skipped(&self) -> u64 {
        0
    }

    /// Every key of the account, except malformed entries without our mark. An incomplete listing is a fault, never a
    /// shorter list.
    async fn list(&self) -> Result<Vec<Listed>, Fault>;

    /// One key. `None`: the vendor says that it is gone.
    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault>;

    /// Creates a key: exactly one request, without retry.
    async fn mint(&self, order: &Order) -> Result<Minted, Fault>;

    /// Changes settings of a key. Only `get` shows whether they were applied.
    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault>;

    /// Revokes a key; a key that is already gone is a success.
    async fn revoke(&self, id: &KeyId) -> Result<(), Fault>;

    /// Shows the secret of an existing key again (`Recovery::Reveal`).
    fn reveal(&self) -> Option<&dyn Reveal> {
        None
    }

    /// Gives an existing key another secret (`Recovery::Rotate`).
    fn another_secret(&self) -> Option<&dyn Reissue> {
        None
    }

    /// Returns what single keys spent (`usage.spending`).
    fn usage(&self) -> Option<&dyn Usage> {
        None
    }

    /// Returns what the account has left (`usage.balance`).
    fn credit(&self) -> Option<&dyn Credit> {
        None
    }

    /// Lists the models that keys can be restricted to (`models.listed`).
    fn models(&self) -> Option<&dyn Models> {
        None
    }

    /// Reads and writes settings of the whole project (`project_settings`).
    fn projects(&self) -> Option<&dyn Projects> {
        None
    }

    /// Manages provider keys (`provider_keys`).
    fn provider_keys(&self) -> Option<&dyn ProviderKeys> {
        None
    }
}

/// Shows the secret of an existing key again.
#[async_trait]
pub trait Reveal: Send + Sync {
    /// The secret of an existing key. `None`: the vendor says that the key is gone.
    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault>;
}

/// Gives an existing key another secret; the previous secret stops working at once.
#[async_trait]
pub trait Reissue: Send + Sync {
    /// Creates the key of an order out of an undelivered key: new name, new settings, another secret. `None`: that
    /// key cannot be reused, or is gone.
    async fn reissue(&self, id: &KeyId, order: &Order) -> Result<Option<Minted>, Fault>;
}

/// Returns what single keys spent.
#[async_trait]
pub trait Usage: Send + Sync {
    /// What keys spent within a span; the result covers at least the keys named here.
    async fn spending(&self, span: &Span, keys: &[KeyId]) -> Result<Vec<Spending>, Fault>;
}

/// Returns what the account has left.
#[async_trait]
pub trait Credit: Send + Sync {
    /// What the account has left. `None`: the response does not contain it.
    async fn balance(&self) -> Result<Option<Money>, Fault>;
}

/// Lists the models that keys can be restricted to.
#[async_trait]
pub trait Models: Send + Sync {
    /// The names that `spec.models` may have, patterns among them. `None`: the vendor does not show them to this token.
    async fn catalog(&self) -> Result<Option<Vec<String>>, Fault>;
}

/// Reads and writes settings of the whole project.
#[async_trait]
pub trait Projects: Send + Sync {
    /// The current settings.
    async fn read(&self) -> Result<Project, Fault>;

    /// Writes those settings that are wanted, into a project that was just read. Only `read` shows whether they were
    /// applied.
    async fn write(&self, project: Project, wanted: &ProjectValues) -> Result<(), Fault>;
}

/// A project as its vendor returns it.
pub struct Project {
    /// The vendor's id.
    pub id: String,
    /// The settings that Keysmith knows.
    pub shown: ProjectValues,
    /// The whole document, to be sent back.
    pub whole: Whole,
}

/// A vendor's whole document: for its driver only.
pub struct Whole(Map<String, Value>);

/// Manages provider keys.
#[async_trait]
pub trait ProviderKeys: Send + Sync {
    /// Every provider key.
    async fn list(&self) -> Result<Vec<ListedProviderKey>, Fault>;

    /// Creates a provider key: exactly one request, without retry.
    async fn create(&self, order: &ProviderKeyOrder) -> Result<CreatedProviderKey, Fault>;

    /// Tries to change the gateway keys that a provider key is assigned to. Only `list` shows whether it worked.
    async fn assign(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault>;

    /// Tries to delete a provider key. Only `list` shows whether it worked.
    async fn delete(&self, id: &KeyId) -> Result<(), Fault>;
}

/// A key to be created.
#[derive(Clone, Debug)]
pub struct Order {
    /// The full name, including the mark.
    pub name: String,
    /// The type of the key.
    pub kind: KeyType,
    /// The coding assistant, with `CodingAgent`.
    pub coding_assistant: Option<String>,
    /// The allowed models; empty means every model.
    pub models: Vec<String>,
    /// The spending limit.
    pub budget: Option<Limit>,
    /// Limits of requests and tokens.
    pub rate_limit: Option<RateLimit>,
    /// Whether the vendor accepts calls with it from the beginning. Where a vendor cannot create a key that is off, it
    /// is switched off right afterwards.
    pub active: bool,
    /// What of `budget` may still be spent in the current period, in millionths. `None`: all of it. If the vendor
    /// counts the spending of each key itself, the driver cannot send this, and creates a key with the full budget.
    pub left: Option<u64>,
    /// Days from creation to expiry.
    pub expires_in_days: Option<u32>,
    /// The expiry as a date, by the operator's clock.
    pub expires_at: Option<Timestamp>,
    /// An e-mail address.
    pub email: Option<String>,
    /// Scopes of a management credential, in the vendor's words.
    pub scopes: Vec<String>,
}

/// A key that was created.
pub struct Minted {
    /// The key as the vendor returned it.
    pub key: Listed,
    /// Its secret.
    pub secret: SecretString,
}

/// Settings to change.
#[derive(Clone, Debug)]
pub struct Amendment {
    /// The fields to change.
    pub fields: Vec<Field>,
    /// The desired values.
    pub to: Settings,
    /// The full name, including the mark, for `Field::DisplayName`.
    pub name: String,
    /// For `Field::Budget`: what of the budget may still be spent in the current period, in millionths. `None`: all
    /// of it.
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

/// A provider key to be created.
pub struct ProviderKeyOrder {
    /// The full name, including the mark.
    pub name: String,
    /// The provider.
    pub provider: String,
    /// The credential in the vendor's format.
    pub credential: SecretString,
    /// The gateway keys that it is assigned to; empty means the whole organization, which the user has to request
    /// explicitly.
    pub keys: Vec<KeyId>,
}

/// A provider key that was created.
#[derive(Clone, Debug)]
pub struct CreatedProviderKey {
    /// The vendor's id.
    pub id: KeyId,
    /// Time of creation.
    pub created_at: Option<Timestamp>,
}
