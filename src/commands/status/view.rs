//! What `keysmith status` shows, as data.

use super::next::{Next, next};
use super::workloads::Readers;
use crate::api::condition::{self, READY};
use crate::api::gateway_api_key::GatewayApiKeyStatus;
use crate::api::shared::Budget;
use crate::api::{GatewayApiKey, ProviderKey};
use crate::cluster::object;
use crate::columns::printable;
use crate::plan::identity::{ObjectName, TokenKind, TokenRef};
use crate::session::objects::FoundToken;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything, by console token.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// When it was read.
    pub time: Timestamp,
    /// The console tokens.
    #[serde(serialize_with = "values")]
    pub tokens: BTreeMap<TokenRef, Token>,
    /// Resources that do not fit the definition of this version, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unfit: Vec<String>,
    /// What could not be read, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whether a resource works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether `Ready` is True.
    pub ready: bool,
    /// The reason of `Ready`.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// A console token.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// `ConsoleToken` or `ClusterConsoleToken`.
    pub kind: &'static str,
    /// Namespace and name.
    pub name: String,
    /// Whether it works.
    #[serde(flatten)]
    pub health: Health,
    /// Whether it could not be read: then nothing is known of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unreadable: bool,
    /// The driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The account at the vendor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The Secret of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// When the token expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Keys that no resource accounts for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphans: Option<u32>,
    /// The keys made with it.
    pub keys: Vec<Key>,
    /// The provider keys deposited with it.
    pub provider_keys: Vec<Plain>,
}

/// A GatewayApiKey.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Namespace and name.
    pub name: String,
    /// Whether it works.
    #[serde(flatten)]
    pub health: Health,
    /// Other conditions that are True: type and message.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, String>,
    /// Serial of the key in the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// The vendor's id of that key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The Secret.
    pub secret: String,
    /// Workloads that read the Secret.
    pub read_by: Vec<String>,
    /// When the key expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the key was last used, where the vendor tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// The time of the next rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotates_at: Option<Timestamp>,
    /// The budget, such as `100 Monthly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// The share of the budget that is spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_used: Option<String>,
    /// What was spent in the running month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent: Option<String>,
    /// What happens next.
    pub next: Vec<Next>,
}

/// A resource without details.
#[derive(Debug, Serialize)]
pub struct Plain {
    /// Namespace and name.
    pub name: String,
    /// Whether it works.
    #[serde(flatten)]
    pub health: Health,
}

fn values<S: serde::Serializer>(tokens: &BTreeMap<TokenRef, Token>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(tokens.values())
}

/// The budget: as specified, as it was taken over, or as it is at the vendor.
fn limit<'a>(key: &'a GatewayApiKey, status: &'a GatewayApiKeyStatus) -> Option<&'a Budget> {
    let kept = || status.internal.kept_limits.as_ref().and_then(|it| it.budget.as_ref());
    let observed = || status.observed.as_ref().and_then(|it| it.budget.as_ref());
    key.spec.budget.as_ref().or_else(kept).or_else(observed)
}

fn budget(budget: &Budget) -> String {
    printable(&format!("{} {:?}", budget.amount, budget.period))
}

impl Health {
    /// By the conditions of a resource.
    pub fn of(conditions: &[Condition]) -> Self {
        condition::find(conditions, READY).map_or_else(
            || Self {
                reason: "Unseen".into(),
                message: "the operator has not looked at it yet".into(),
                ready: false,
            },
            |it| Self {
                ready: it.status == "True",
                reason: printable(&it.reason),
                message: printable(&it.message),
            },
        )
    }
}

impl View {
    /// Nothing, as of this time.
    pub const fn new(time: Timestamp) -> Self {
        Self { time, tokens: BTreeMap::new(), unfit: Vec::new(), notes: Vec::new() }
    }

    /// Whether everything shown is Ready.
    pub fn is_ready(&self) -> bool {
        self.unfit.is_empty()
            && self.tokens.values().all(|token| {
                let keys = token
                    .keys
                    .iter()
                    .map(|it| &it.health)
                    .chain(token.provider_keys.iter().map(|it| &it.health));
                (token.health.ready || token.unreadable) && keys.into_iter().all(|it| it.ready)
            })
    }

    /// Adds a key.
    pub fn add_key(&mut self, key: &GatewayApiKey, readers: &Readers) {
        let status = key.status.clone().unwrap_or_default();
        let others = status.conditions.iter().filter(|it| it.status == "True" && it.type_ != READY);
        let secret = key.secret_name();
        let place = ObjectName::new(&object::namespace(key), secret);
        let spent = status.usage.as_ref().map(|it| printable(&format!("{} {}", it.spent, it.currency)));
        let shown = Key {
            name: super::super::select::named(key).to_string(),
            health: Health::of(&status.conditions),
            conditions: others.map(|it| (it.type_.clone(), printable(&it.message))).collect(),
            serial: status.serial,
            id: status.id.as_deref().map(printable),
            secret: printable(secret),
            read_by: readers.of(&place),
            expires_at: status.expires_at,
            last_used_at: status.last_used_at,
            rotates_at: status.next_rotation_time,
            budget: limit(key, &status).map(budget),
            budget_used: status.budget_used.clone(),
            spent,
            next: next(key, self.time),
        };
        self.token(&TokenRef::named_by(key)).keys.push(shown);
    }

    /// Adds a provider key.
    pub fn add_provider_key(&mut self, key: &ProviderKey) {
        let conditions = key.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
        let name = ObjectName::new(&object::namespace(key), &key.name_any()).to_string();
        let shown = Plain { name, health: Health::of(conditions) };
        self.token(&TokenRef::named_by(key)).provider_keys.push(shown);
    }

    /// Describes a console token. One without a key is shown only if `always`.
    pub fn describe_token(&mut self, found: &FoundToken, always: bool) {
        if !always && !self.tokens.contains_key(&found.reference) {
            return;
        }
        let shown = self.token(&found.reference);
        let Some(token) = &found.token else {
            shown.health.reason = "Invalid".into();
            shown.health.message = "does not fit the definition of this version; correct it first".into();
            return;
        };
        let status = token.status().cloned().unwrap_or_default();
        shown.health = Health::of(&status.conditions);
        shown.vendor = status.vendor.as_deref().map(printable);
        shown.account = status.account.as_ref().map(|it| printable(&it.id));
        shown.secret = Some(printable(token.spec().secret_name()));
        shown.expires_at = token.spec().expires_at;
        shown.orphans = status.orphans;
    }

    /// Marks the ClusterConsoleTokens as unreadable.
    pub fn cannot_read_cluster_tokens(&mut self) {
        for (reference, token) in &mut self.tokens {
            if reference.kind == TokenKind::ClusterConsoleToken {
                token.unreadable = true;
                token.health.reason = "Unreadable".into();
                token.health.message =
                    "cannot be read with your rights; whether it works is not known".into();
            }
        }
    }

    /// The token, which does not exist before it is described.
    fn token(&mut self, reference: &TokenRef) -> &mut Token {
        self.tokens.entry(reference.clone()).or_insert_with(|| Token {
            kind: reference.kind.name(),
            name: reference.to_string(),
            health: Health { ready: false, reason: "Missing".into(), message: "does not exist".into() },
            ..Token::default()
        })
    }
}
