//! What the vendors understand: one trait, one file per vendor, one match, and HTTP in one file.

pub mod account;
pub mod breaker;
pub mod budget;
pub mod cortecs;
pub mod edenai_budget;
pub mod edenai_cost;
pub mod edenai_v2;
pub mod edenai_v3;
pub mod edgee;
pub mod entry;
pub mod guard;
pub mod http;
pub mod lenient;
pub mod operation;
pub mod refusal;
pub mod retry_after;
pub mod shares;
pub mod time;
pub mod transport;

use crate::api::ConsoleToken;
use crate::api::console_token::{EdenAiApi, EdenAiTier, Vendor};
use crate::api::gateway_api_key::KeyType;
use crate::api::project_settings::ProjectValues;
use crate::plan::capability::Capabilities;
use crate::plan::deposit::ListedDeposit;
use crate::plan::desired::Settings;
use crate::plan::drift::Field;
use crate::plan::facts::{KeyId, Limit, Listed};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::identity::TokenRef;
use crate::plan::ledger::{Place, TokenPlace};
use crate::plan::usage::{Money, Span, Spending};
use async_trait::async_trait;
use http::Wire;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// What a vendor must answer. Implementations hold no state and retry nothing.
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

    /// Makes the key of an order out of a key that was never delivered: its name, its settings, another secret. `None`:
    /// it cannot be used for that, or is gone.
    async fn reissue(&self, _: &KeyId, _: &Order) -> Result<Option<Minted>, Fault> {
        Ok(None)
    }

    /// The secret of an existing key. `None`: the vendor says the key is gone.
    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault>;

    /// Changes settings of a key. Whether they arrived is for `get` to say.
    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault>;

    /// Removes a key; one that is gone already is a success.
    async fn revoke(&self, id: &KeyId) -> Result<(), Fault>;

    /// What keys spent within a span, those named here at least, where the vendor tells.
    async fn spending(&self, _: &Span, _: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        Err(Fault::without_effect(FaultKind::Strange("the vendor tells no spending of single keys")))
    }

    /// What the account has left, where the vendor tells.
    async fn balance(&self) -> Result<Option<Money>, Fault> {
        Ok(None)
    }

    /// Settings of the whole project, where the vendor has them.
    fn projects(&self) -> Option<&dyn Projects> {
        None
    }

    /// Deposits of provider credentials, where the vendor has them.
    fn provider_keys(&self) -> Option<&dyn ProviderKeys> {
        None
    }
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
    async fn list(&self) -> Result<Vec<ListedDeposit>, Fault>;

    /// Deposits a credential: one request, whatever happens.
    async fn deposit(&self, order: &DepositOrder) -> Result<Deposited, Fault>;

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
pub struct DepositOrder {
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
pub struct Deposited {
    /// The vendor's id.
    pub id: KeyId,
    /// When.
    pub created_at: Option<Timestamp>,
}

/// Every driver, for `keysmith explain`.
pub const DRIVERS: &[&Capabilities] =
    &[&edgee::CAPABILITIES, &edenai_v2::CAPABILITIES, &edenai_v3::CAPABILITIES, &cortecs::CAPABILITIES];

/// The driver for a vendor.
pub const fn capabilities(vendor: &Vendor) -> Option<&'static Capabilities> {
    match vendor {
        Vendor { edgee: Some(_), .. } => Some(&edgee::CAPABILITIES),
        Vendor { eden_ai: Some(place), .. } => Some(match (place.api, place.tier) {
            (Some(EdenAiApi::V2), _) => &edenai_v2::CAPABILITIES,
            (_, Some(EdenAiTier::Issuer)) => &edenai_v3::ISSUER,
            _ => &edenai_v3::CAPABILITIES,
        }),
        Vendor { cortecs: Some(_), .. } => Some(&cortecs::CAPABILITIES),
        Vendor { edgee: None, eden_ai: None, cortecs: None } => None,
    }
}

/// The vendors an operator knows. Tests have others, whose abilities no real one has yet.
#[derive(Clone, Copy, Debug)]
pub struct Vendors {
    /// The driver for a vendor.
    pub capabilities: fn(&Vendor) -> Option<&'static Capabilities>,
    /// Connects a vendor to its wire.
    pub connect: fn(&Vendor, Wire) -> Option<Box<dyn Gateway>>,
}

impl Default for Vendors {
    fn default() -> Self {
        Self { capabilities, connect }
    }
}

/// The organization or account at the vendor, as far as the specification names one; elsewhere the token decides.
pub fn account(vendor: &Vendor) -> &str {
    vendor.edgee.as_ref().map_or("", |place| &place.organization_id)
}

/// Where a ConsoleToken leads.
pub fn place(token: &ConsoleToken) -> TokenPlace {
    let spec = &token.spec;
    let capabilities = capabilities(&spec.vendor);
    let default = || capabilities.map_or_else(String::new, |it| it.endpoint.to_owned());
    let endpoint = spec.endpoint.clone().unwrap_or_else(default);
    let reference = TokenRef::of(token);
    let vendor = capabilities.map_or("", |it| it.name);
    let place = Place::of(&reference, (vendor, &endpoint), account(&spec.vendor));
    let account = token.status.as_ref().and_then(|it| it.account.as_ref());
    TokenPlace {
        token: reference,
        place,
        pinned: account.map_or_else(String::new, |it| it.id.clone()),
        doubted: account.is_some_and(|it| it.doubted_since.is_some()),
    }
}

/// Connects a vendor to its wire: the one match over vendors.
pub fn connect(vendor: &Vendor, wire: Wire) -> Option<Box<dyn Gateway>> {
    match vendor {
        Vendor { edgee: Some(place), .. } => Some(Box::new(edgee::Edgee::new(place, wire))),
        Vendor { eden_ai: Some(place), .. } => Some(match (place.api, place.tier) {
            (Some(EdenAiApi::V2), _) => Box::new(edenai_v2::EdenAiV2::new(wire)),
            (_, Some(EdenAiTier::Issuer)) => Box::new(edenai_v3::Issuer::new(wire)),
            _ => Box::new(edenai_v3::EdenAiV3::new(wire)),
        }),
        Vendor { cortecs: Some(_), .. } => Some(Box::new(cortecs::Cortecs::new(wire))),
        Vendor { edgee: None, eden_ai: None, cortecs: None } => None,
    }
}
