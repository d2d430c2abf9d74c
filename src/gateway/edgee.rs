//! Edgee, through its Console API. Sources (§): `docs/contracts/vendors.md`, section 1.
//!
//! Quirks, each with a test in `tests/edgee/`, of the program `fast`:
//! 1. Updates are POST on the key, and partial; null clears a field, an absent field stays (§1.6).
//! 2. A listing is `{data: […]}` or a bare array, and never null; pages follow `has_more` and `last_key` (§1.5).
//! 3. "Never" is an absent, null or empty time, or year 1 (§1.3).
//! 4. `key` is used from the responses to create and reveal only, never from a listing (§1.3).
//! 5. `debug_mode` and `active` are no create fields: an update sets them afterwards (§1.4).
//! 6. `max_usage` is whole US dollars per calendar month; absent, null and 0 are "none" (§1.3).
//! 7. The e-mail address may be missing from responses; then it is not compared (§1.3).
//! 8. Errors are nested or flat; only names of our own fields are taken from them (§1.14).
//! 9. Deleting something that is already gone answers 404, which is a success (§1.7).
//! 10. Of provider keys only creation is documented; get, update and delete are tried by analogy with keys (§1.10).
//! 11. Names are not unique, so the mark in the name shows which resource a key belongs to (§1.15).

pub mod export;
mod provider_keys;
mod table;

pub use table::{CAPABILITIES, DRIVER};

use super::entry::{self, Entry, Read};
use super::http::{Call, Wire, gone_is_none};
use super::paging::Paging;
use super::{
    Amendment, Gateway, Minted, Models, Order, ProviderKeys, Reveal, Usage, guard, lenient, refusal,
};
use crate::api::console_token::EdgeeVendor;
use crate::api::gateway_api_key::KeyType;
use crate::api::shared::Period;
use crate::plan::capability::Capabilities;
use crate::plan::drift::Field;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::{KeyId, Limit, Listed, Setting, Shown};
use crate::plan::naming::Mark;
use crate::plan::usage::{Span, Spending};
use async_trait::async_trait;
use http::Method;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Names of the fields that are read; a fault may name them.
const READ: &[&str] = &[
    "active",
    "api_key_ids",
    "created_at",
    "data",
    "debug_mode",
    "email",
    "expires_at",
    "has_more",
    "id",
    "key",
    "last_key",
    "last_used_at",
    "max_usage",
    "models",
    "name",
];

/// Limit of pages: no organization has this many, so more are an endless loop of cursors.
const PAGE_SIZE: &str = "100";

/// Edgee's Console API for one organization.
pub struct Edgee {
    organization: String,
    wire: Wire,
}

#[derive(Deserialize)]
struct Key {
    #[serde(default, deserialize_with = "lenient::present_id")]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    active: Option<bool>,
    #[serde(default)]
    debug_mode: Option<bool>,
    #[serde(default, deserialize_with = "lenient::list")]
    models: Vec<String>,
    #[serde(default, deserialize_with = "lenient::micros")]
    max_usage: Option<u64>,
    #[serde(default, deserialize_with = "lenient::present")]
    email: Setting<String>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    expires_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    last_used_at: Option<Timestamp>,
    /// Makes serde accept an object only, not an array of its fields.
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

impl Entry for Key {
    const FIELDS: &'static [&'static str] = &[
        "id",
        "name",
        "active",
        "debug_mode",
        "models",
        "max_usage",
        "email",
        "created_at",
        "expires_at",
        "last_used_at",
    ];
    const EXPIRY: Option<&'static str> = Some("expires_at");
    const ID: &'static str = "id";

    fn has_id(&self) -> bool {
        self.id.is_some()
    }
}

/// A key, as far as it could be read.
fn listed(read: Read<Key>) -> Option<Listed> {
    // A name without our mark always differs, whatever else is in it.
    let human = |name: &str| Mark::parse(name).map_or("", |_| Mark::display_in(name)).to_owned();
    let limit =
        read.entry.max_usage.filter(|it| *it > 0).map(|micros| Limit { micros, period: Period::Monthly });
    let (shows_models, shows_limit) = (read.is_read("models"), read.is_read("max_usage"));
    let unread = read.unread_fields();
    let key = read.entry;
    Some(Listed {
        id: KeyId(key.id?),
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        spent: None,
        remaining: None,
        unread,
        shown: Shown {
            display_name: key.name.as_deref().filter(|it| !guard::withheld(it)).map(human),
            active: key.active,
            models: shows_models.then_some(key.models),
            budget: if shows_limit { Setting::shown(limit) } else { Setting::Hidden },
            email: match key.email {
                Setting::Set(text) if text.is_empty() => Setting::Unset,
                email => email,
            },
            debug_mode: key.debug_mode,
            ..Shown::default()
        },
        name: key.name.unwrap_or_default(),
    })
}

/// Whole dollars; `desired` has rejected everything else.
fn dollars(limit: Option<Limit>) -> Value {
    limit.map_or(Value::Null, |limit| json!(limit.micros / 1_000_000))
}

const NAME: refusal::Field = ("name", Some("spec.displayName"));
const MODELS: refusal::Field = ("models", Some("spec.models"));
const MAX_USAGE: refusal::Field = ("max_usage", Some("spec.budget"));
const EMAIL: refusal::Field = ("email", Some("spec.email"));
/// The fields of a create request.
const CREATED_WITH: &[refusal::Field] = &[
    NAME,
    ("type", Some("spec.type")),
    ("coding_assistant", Some("spec.codingAssistant")),
    MODELS,
    MAX_USAGE,
    ("expires_in_days", Some("spec.expiresInDays")),
    EMAIL,
];
/// The fields of an update request.
const CHANGED: &[refusal::Field] = &[
    NAME,
    ("active", Some("spec.active")),
    MODELS,
    MAX_USAGE,
    EMAIL,
    ("debug_mode", Some("spec.debugMode")),
];

impl Edgee {
    /// The organization's keys, accessed over that wire.
    pub fn new(place: &EdgeeVendor, wire: Wire) -> Self {
        Self::of(&place.organization_id, wire)
    }

    fn of(organization: &str, wire: Wire) -> Self {
        Self { organization: organization.to_owned(), wire: wire.reading(READ) }
    }

    fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        ["v1", "organizations", self.organization.as_str()].into_iter().chain(rest.iter().copied()).collect()
    }

    /// Follows the cursors to the end, or fails.
    async fn pages<T: Entry>(&self, resource: &str) -> Result<Vec<Read<T>>, Fault> {
        let path = self.path(&[resource]);
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        let mut seen = HashSet::new();
        let mut paging = Paging::begin();
        loop {
            let mut query = vec![("limit", PAGE_SIZE)];
            query.extend(cursor.as_deref().map(|it| ("start_key", it)));
            let answer = self.wire.send(Call { query: &query, ..Call::new(Method::GET, &path) }).await?;
            let (rows, next) = page(answer.read()?)?;
            paging.page(&answer, rows.len())?;
            let first = all.len();
            all.extend(entry::part(
                &self.wire,
                rows.into_iter().enumerate().map(|(at, row)| (first + at, row)),
            )?);
            let Some(next) = next else {
                return Ok(all);
            };
            if !seen.insert(next.clone()) {
                return Err(NO_CURSOR);
            }
            cursor = Some(next);
        }
    }
}

const NO_CURSOR: Fault =
    Fault::without_effect(FaultKind::Malformed("a listing says there is more, but not where"));

/// The rows of a page and, if there are more, the cursor of the next page.
fn page(body: Value) -> Result<(Vec<Value>, Option<String>), Fault> {
    let mut envelope = match body {
        Value::Array(rows) => return Ok((rows, None)),
        Value::Object(envelope) => envelope,
        _ => return Err(Fault::without_effect(FaultKind::Malformed("it is no listing"))),
    };
    let rows = entry::list(&mut envelope, "data")?;
    let more = match envelope.get("has_more") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(more)) => *more,
        Some(_) => return Err(entry::malformed(None, "has_more")),
    };
    let cursor = match envelope.remove("last_key") {
        None | Some(Value::Null) => None,
        Some(Value::String(cursor)) => Some(cursor).filter(|it| !it.is_empty()),
        Some(_) => return Err(entry::malformed(None, "last_key")),
    };
    let next = if more { Some(cursor.ok_or(NO_CURSOR)?) } else { None };
    Ok((rows, next))
}

#[async_trait]
impl Gateway for Edgee {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn whose(&self) -> Result<Option<String>, Fault> {
        Ok(Some(self.organization.clone()))
    }

    fn take_skipped(&self) -> u64 {
        self.wire.take_skipped()
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let keys: Vec<Read<Key>> = self.pages("api_keys").await?;
        Ok(keys.into_iter().filter_map(listed).collect())
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        let path = self.path(&["api_keys", &id.0]);
        let answer = gone_is_none(self.wire.send(Call::new(Method::GET, &path)).await)?;
        let Some(answer) = answer else {
            return Ok(None);
        };
        Ok(listed(entry::single(answer.read()?)?))
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        let mut body = Map::new();
        body.insert("name".into(), json!(order.name));
        let kind = match order.kind {
            KeyType::Api => "api",
            KeyType::CodingAgent => "coding_agent",
            // Rejected before any call; the vendor would not accept it either.
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
        let call =
            Call { body: Some(Value::Object(body)), fields: CREATED_WITH, ..Call::new(Method::POST, &path) };
        let created: Created = self.wire.send(call).await?.created()?;
        let secret = self.wire.shown(created.secret, "the new key is masked").map_err(Fault::ambiguous)?;
        let key = listed(Read { entry: created.key, unread: Vec::new() });
        let key = key.ok_or(Fault::ambiguous(FaultKind::MalformedField { entry: None, field: "id" }))?;
        Ok(Minted { key, secret })
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
            // Fixed at creation or not there at all, so they are never in an amendment.
            Field::Expiry => ("expires_at", Value::Null),
            Field::RateLimit => ("rate_limit", Value::Null),
        };
        let body: Map<_, _> =
            amendment.fields.iter().map(value).map(|(name, value)| (name.to_owned(), value)).collect();
        let path = self.path(&["api_keys", &id.0]);
        let call =
            Call { body: Some(Value::Object(body)), fields: CHANGED, ..Call::new(Method::POST, &path) };
        self.wire.send(call).await?.updated().map(drop)
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        let path = self.path(&["api_keys", &id.0]);
        let answer = gone_is_none(self.wire.send(Call::new(Method::DELETE, &path)).await)?;
        answer.map_or(Ok(()), |it| it.acknowledged())
    }

    fn models(&self) -> Option<&dyn Models> {
        Some(self)
    }

    fn provider_keys(&self) -> Option<&dyn ProviderKeys> {
        Some(self)
    }

    fn reveal(&self) -> Option<&dyn Reveal> {
        Some(self)
    }

    fn usage(&self) -> Option<&dyn Usage> {
        Some(self)
    }
}

#[async_trait]
impl Models for Edgee {
    /// The catalog of the console: a bare array, perhaps in an envelope, as other collections are (§1.5, E15).
    async fn catalog(&self) -> Result<Option<Vec<String>>, Fault> {
        let answer = self.wire.send(Call::new(Method::GET, &["v1", "models"])).await?;
        let rows = match answer.read::<Value>()? {
            Value::Array(rows) => rows,
            Value::Object(mut envelope) => entry::list(&mut envelope, "data")?,
            _ => return Err(entry::malformed(None, "data")),
        };
        Ok(Some(rows.iter().filter_map(|it| it["id"].as_str()).map(str::to_owned).collect()))
    }
}

#[async_trait]
impl Reveal for Edgee {
    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        let path = self.path(&["api_keys", &id.0, "reveal"]);
        let answer = gone_is_none(self.wire.send(Call::new(Method::GET, &path)).await)?;
        let Some(revealed) = answer.map(|it| it.read::<Revealed>()).transpose()? else {
            return Ok(None);
        };
        let secret = self.wire.shown(revealed.key, "the revealed key is masked");
        secret.map(Some).map_err(Fault::without_effect)
    }
}

#[async_trait]
impl Usage for Edgee {
    async fn spending(&self, span: &Span, keys: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        self.spent(span, keys).await
    }
}
