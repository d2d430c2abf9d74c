//! Edgee, through its Console API. Sources: the vendor's pages and the contract, §1.
//!
//! Quirks, each with a test in `tests/gateway_edgee.rs`:
//! 1. Updates are POST on the key, partial; null clears, absent keeps (§1.6).
//! 2. A listing is `{data: […]}` or a bare array; pages follow `has_more` and `last_key` (§1.5).
//! 3. "Never" is an absent, null or empty time, or year 1 (§1.3).
//! 4. `key` is believed in the answers to create and reveal only, never in a listing (§1.3).
//! 5. `debug_mode` and `active` are no create fields: they are set by an update afterwards (§1.4).
//! 6. `max_usage` is whole US dollars per calendar month; absent, null and 0 are "none" (§1.3).
//! 7. The e-mail address may not be shown; then it is not compared (§1.3).
//! 8. Errors are nested or flat; only names of our own fields are taken from them (§1.14).
//! 9. Removing something that is gone already answers 404, which is a success (§1.7).
//! 10. Provider keys document creation only; get, update and delete are tried by house style (§1.10).
//! 11. Names are not unique, so the mark in the name tells whose a key is (§1.15).

pub mod export;

use super::http::{Call, Wire, gone_is_none, looks_masked};
use super::{Amendment, DepositOrder, Deposited, Gateway, Minted, Order, ProviderKeys, lenient};
use crate::api::console_token::EdgeeVendor;
use crate::api::gateway_api_key::{KeyType, Preset};
use crate::api::shared::Period;
use crate::plan::capability::{BudgetSupport, Capabilities, Minting, Recovery, Support, UsageSupport, field};
use crate::plan::deposit::ListedDeposit;
use crate::plan::drift::Field;
use crate::plan::facts::{KeyId, Limit, Listed, Shown};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::naming::{Mark, NameStyle};
use crate::plan::usage::{Span, Spending};
use async_trait::async_trait;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// What Edgee can do.
pub const CAPABILITIES: Capabilities = Capabilities {
    name: "edgee",
    title: "Edgee",
    endpoint: "https://api.edgee.app",
    gateway_url: "https://api.edgee.ai",
    openai_path: "/v1",
    presets: &[Preset::OpenAI, Preset::Anthropic, Preset::ClaudeCode, Preset::Codex],
    types: &[KeyType::Api, KeyType::CodingAgent],
    names: NameStyle::Title,
    recovery: Recovery::Reveal,
    console_tokens: Minting::Console,
    usage: UsageSupport {
        spending: Some("the sum of the log that the vendor exports for the running month"),
        balance: false,
        path: false,
    },
    disable: true,
    last_used: true,
    created_at: true,
    tells_remaining: false,
    budget: BudgetSupport {
        periods: &[Period::Monthly],
        whole: true,
        currency: "USD",
        // The day of the reset is not documented; a calendar month in UTC is assumed (§1.17).
        zone: "UTC",
    },
    fields: &[
        field("consoleTokenRef", Support::Operator, "immutable"),
        field("displayName", Support::InPlace, "Keysmith's mark is put behind it"),
        field("type", Support::AtCreation, "a change replaces the key"),
        field(
            "codingAssistant",
            Support::AtCreation,
            "a change replaces the key; any assistant the vendor knows",
        ),
        field("models", Support::InPlace, "empty admits every model"),
        field("budget", Support::InPlace, "whole USD, period Monthly"),
        field("expiresInDays", Support::AtCreation, "a change replaces the key; replaced before it expires"),
        field("email", Support::InPlace, "compared only where the vendor shows it"),
        field("active", Support::InPlace, "set right after creation"),
        field("debugMode", Support::InPlace, "set right after creation"),
        field(
            "rotation",
            Support::Operator,
            "new key, overlap, off, deleted; a new key has the whole budget",
        ),
        field("secret", Support::Operator, "name is immutable; a lost Secret is restored by reveal"),
        field("deletionPolicy", Support::Operator, "Delete, Disable or Retain"),
        field("externalId", Support::Operator, "immutable; the mark is put behind the name of the key"),
        field("managementPolicy", Support::Operator, "Observe only looks at the key in externalId"),
        field("suspend", Support::Operator, "nothing is changed while it is true"),
    ],
    provider_keys: true,
    project_settings: false,
    // Not documented; a key that shows up later than this is recognised by its mark and removed.
    listing_lag: SignedDuration::from_secs(30),
    // Not documented either (§1.16).
    calls_per_second: 20,
    burst: 60,
    refused: "",
};

/// A loop of cursors ends here; no organization has this many pages of keys.
const MOST_PAGES: usize = 1000;
const PAGE_SIZE: &str = "100";

/// Edgee's Console API for one organization.
pub struct Edgee {
    organization: String,
    wire: Wire,
}

#[derive(Deserialize)]
struct Key {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    active: Option<bool>,
    #[serde(default)]
    debug_mode: Option<bool>,
    #[serde(default, deserialize_with = "lenient::list")]
    models: Vec<String>,
    #[serde(default)]
    max_usage: Option<f64>,
    #[serde(default, deserialize_with = "lenient::present")]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    expires_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    last_used_at: Option<Timestamp>,
    /// Makes serde read this from an object only, not from an array of its fields as well.
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct Created {
    #[serde(flatten)]
    key: Key,
    #[serde(rename = "key")]
    secret: SecretString,
}

#[derive(Deserialize)]
struct Revealed {
    key: SecretString,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
#[serde(untagged)]
#[serde(bound = "T: Deserialize<'de>")]
enum Page<T> {
    Bare(Vec<T>),
    Enveloped {
        // An empty list may be written as null, but it is written.
        #[serde(deserialize_with = "lenient::list")]
        data: Vec<T>,
        #[serde(default)]
        has_more: Option<bool>,
        #[serde(default)]
        last_key: Option<String>,
        #[serde(flatten)]
        _object: (),
    },
}

#[derive(Deserialize)]
struct ProviderKeyBody {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    api_key_ids: Option<Vec<String>>,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct ProviderKeyCreated {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    created_at: Option<Timestamp>,
    #[serde(flatten)]
    _object: (),
}

impl Key {
    fn listed(self) -> Listed {
        // A name that lost its mark differs, whatever is left of it.
        let human = |name: &str| Mark::parse(name).map_or("", |_| Mark::display_in(name)).to_owned();
        let display_name = self.name.as_deref().map(human);
        let limit = self
            .max_usage
            .filter(|it| *it > 0.0)
            .map(|usd| Limit { micros: micros(usd), period: Period::Monthly });
        Listed {
            id: KeyId(self.id),
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
            spent: None,
            remaining: None,
            unread: Vec::new(),
            shown: Shown {
                display_name,
                active: self.active,
                models: Some(self.models),
                budget: Some(limit),
                capped: None,
                email: self.email.map(|it| it.filter(|text| !text.is_empty())),
                debug_mode: self.debug_mode,
            },
            name: self.name.unwrap_or_default(),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as-casts of floats saturate")]
fn micros(usd: f64) -> u64 {
    (usd * 1_000_000.0).round() as u64
}

/// Whole dollars; `desired` refused everything else.
fn dollars(limit: Option<Limit>) -> Value {
    limit.map_or(Value::Null, |limit| json!(limit.micros / 1_000_000))
}

impl Edgee {
    /// The organization's keys over that wire.
    pub fn new(place: &EdgeeVendor, wire: Wire) -> Self {
        Self { organization: place.organization_id.clone(), wire }
    }

    fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        ["v1", "organizations", self.organization.as_str()].into_iter().chain(rest.iter().copied()).collect()
    }

    /// Follows the cursors to the end, or fails.
    async fn pages<T: DeserializeOwned>(&self, resource: &str) -> Result<Vec<T>, Fault> {
        let path = self.path(&[resource]);
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        let mut seen = HashSet::new();
        for _ in 0..MOST_PAGES {
            let mut query = vec![("limit", PAGE_SIZE)];
            query.extend(cursor.as_deref().map(|it| ("start_key", it)));
            let answer = self.wire.send(Call { query: &query, ..Call::new(Method::GET, &path) }).await?;
            match answer.read()? {
                Page::Bare(data) => {
                    all.extend(data);
                    return Ok(all);
                }
                Page::Enveloped { data, has_more, last_key, .. } => {
                    all.extend(data);
                    if has_more != Some(true) {
                        return Ok(all);
                    }
                    let next = last_key.filter(|it| !it.is_empty() && seen.insert(it.clone()));
                    let strange = Fault::without_effect(FaultKind::Strange(
                        "a listing says there is more, but not where",
                    ));
                    cursor = Some(next.ok_or(strange)?);
                }
            }
        }
        Err(Fault::without_effect(FaultKind::Strange("a listing does not end")))
    }
}

/// The outcome of an undocumented call. A vendor that does not know the path or the method is in its right.
fn tried<T>(result: Result<T, Fault>) -> Result<(), Fault> {
    match result {
        Err(Fault {
            kind:
                FaultKind::NotFound
                | FaultKind::Forbidden
                | FaultKind::Strange(_)
                | FaultKind::Rejected { .. }
                | FaultKind::Failed { status: 501 },
            ..
        }) => Ok(()),
        other => other.map(drop),
    }
}

#[async_trait]
impl Gateway for Edgee {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn whose(&self) -> Result<Option<String>, Fault> {
        Ok(Some(self.organization.clone()))
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let keys: Vec<Key> = self.pages("api_keys").await?;
        Ok(keys.into_iter().map(Key::listed).collect())
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        let path = self.path(&["api_keys", &id.0]);
        let answer = gone_is_none(self.wire.send(Call::new(Method::GET, &path)).await)?;
        answer.map(|it| it.read().map(Key::listed)).transpose()
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        let mut body = Map::new();
        body.insert("name".into(), json!(order.name));
        let kind = match order.kind {
            KeyType::Api => "api",
            KeyType::CodingAgent => "coding_agent",
            // Refused before any call; the vendor would not know it either.
            KeyType::Sandbox | KeyType::Management => "unknown",
        };
        body.insert("type".into(), json!(kind));
        if let Some(assistant) = &order.coding_assistant {
            body.insert("coding_assistant".into(), json!(assistant));
        }
        if !order.models.is_empty() {
            body.insert("models".into(), json!(order.models));
        }
        if order.budget.is_some() {
            body.insert("max_usage".into(), dollars(order.budget));
        }
        if let Some(days) = order.expires_in_days {
            body.insert("expires_in_days".into(), json!(days));
        }
        if let Some(email) = &order.email {
            body.insert("email".into(), json!(email));
        }
        let path = self.path(&["api_keys"]);
        let call = Call {
            body: Some(Value::Object(body)),
            fields: &["name", "type", "coding_assistant", "models", "max_usage", "expires_in_days", "email"],
            ..Call::new(Method::POST, &path)
        };
        let created: Created = self.wire.send(call).await?.created()?;
        if looks_masked(&created.secret) {
            return Err(Fault::ambiguous(FaultKind::Strange("the new key is masked")));
        }
        Ok(Minted { key: created.key.listed(), secret: created.secret })
    }

    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        let path = self.path(&["api_keys", &id.0, "reveal"]);
        let answer = gone_is_none(self.wire.send(Call::new(Method::GET, &path)).await)?;
        let Some(revealed) = answer.map(|it| it.read::<Revealed>()).transpose()? else {
            return Ok(None);
        };
        if looks_masked(&revealed.key) {
            return Err(Fault::without_effect(FaultKind::Strange("the revealed key is masked")));
        }
        Ok(Some(revealed.key))
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        let to = &amendment.to;
        let value = |field: &Field| match field {
            Field::DisplayName => ("name", json!(amendment.name)),
            Field::Active => ("active", json!(to.active)),
            Field::Models => ("models", json!(to.models)),
            Field::Budget => ("max_usage", dollars(to.budget)),
            Field::Email => ("email", json!(to.email)),
            Field::DebugMode => ("debug_mode", json!(to.debug_mode)),
            // Fixed when a key is made, and so never in an amendment.
            Field::Expiry => ("expires_at", Value::Null),
        };
        let body: Map<_, _> =
            amendment.fields.iter().map(value).map(|(name, value)| (name.to_owned(), value)).collect();
        let path = self.path(&["api_keys", &id.0]);
        let call = Call {
            body: Some(Value::Object(body)),
            fields: &["name", "active", "models", "max_usage", "email", "debug_mode"],
            ..Call::new(Method::POST, &path)
        };
        self.wire.send(call).await.map(drop)
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        let path = self.path(&["api_keys", &id.0]);
        let answer = gone_is_none(self.wire.send(Call::new(Method::DELETE, &path)).await)?;
        answer.map_or(Ok(()), |it| it.acknowledged())
    }

    async fn spending(&self, span: &Span, keys: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        self.spent(span, keys).await
    }

    fn provider_keys(&self) -> Option<&dyn ProviderKeys> {
        Some(self)
    }
}

#[async_trait]
impl ProviderKeys for Edgee {
    async fn list(&self) -> Result<Vec<ListedDeposit>, Fault> {
        let keys: Vec<ProviderKeyBody> = self.pages("provider-keys").await?;
        let deposit = |it: ProviderKeyBody| ListedDeposit {
            id: it.id.map(KeyId),
            name: it.name,
            assigned_to: it.api_key_ids.map(|ids| ids.into_iter().map(KeyId).collect()),
        };
        Ok(keys.into_iter().map(deposit).collect())
    }

    async fn deposit(&self, order: &DepositOrder) -> Result<Deposited, Fault> {
        let keys: Vec<_> = order.keys.iter().map(|id| &id.0).collect();
        let path = self.path(&["provider-keys"]);
        let call = Call {
            body: Some(json!({"provider": order.provider, "name": order.name, "api_key_ids": keys})),
            secret: Some(("provider_key", &order.credential)),
            fields: &["provider", "provider_key", "name", "api_key_ids"],
            ..Call::new(Method::POST, &path)
        };
        let created: ProviderKeyCreated = self.wire.send(call).await?.created()?;
        Ok(Deposited { id: KeyId(created.id), created_at: created.created_at })
    }

    async fn reassign(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault> {
        let keys: Vec<_> = keys.iter().map(|id| &id.0).collect();
        let path = self.path(&["provider-keys", &id.0]);
        let call = Call {
            body: Some(json!({"api_key_ids": keys})),
            fields: &["api_key_ids"],
            ..Call::new(Method::POST, &path)
        };
        tried(self.wire.send(call).await)
    }

    async fn remove(&self, id: &KeyId) -> Result<(), Fault> {
        let path = self.path(&["provider-keys", &id.0]);
        tried(self.wire.send(Call::new(Method::DELETE, &path)).await)
    }
}
