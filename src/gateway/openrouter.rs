//! OpenRouter, a hosted gateway, through its management API. Sources: its published OpenAPI document and its pages, as
//! `docs/contracts/openrouter.md` (§) has them; nothing of it was seen at the vendor itself.
//!
//! Quirks, each with a test in `tests/openrouter/`, of the program `fast`:
//! 1. Listings leave out keys that are off unless they are asked for (§4).
//! 2. Pages are offsets without a total: each begins with the last row of the one before it, and a row that moved begins the
//!    listing anew (§4): `listing`.
//! 3. The secret is shown once, beside the key; one page has it inside (§4).
//! 4. A key's id is its `hash`; `label` is a masked secret in some pages and a name in others, and is not read (§3).
//! 5. The expiry is fixed when a key is made, and must be in UTC with a `Z` (§4).
//! 6. A key that is off cannot be made: it is switched off afterwards (§4).
//! 7. What was spent counts against the limit of the key that spent it. A successor gets the rest as its limit, until the period
//!    ends (§3): `key`.
//! 8. Everything is about one workspace; without `workspaceId`, about the default one (§1).
//! 9. 404 means gone only with the code in the body; other pages come from a wrong path (§5): `verdict`.
//! 10. 403 means that the token is an ordinary key, or that there may be no more keys (§5, §9).
//! 11. A key's spending is that of the running month, day and week in UTC (§6).
//! 12. Provider keys are listed with a total, and take hashes of keys of the account only (§6).

mod key;
mod listing;
mod provider_keys;
mod table;
mod verdict;

pub use table::{CAPABILITIES, DRIVER};

use super::entry;
use super::http::{Call, Wire, gone_is_none};
use super::{Amendment, Credit, Gateway, Minted, Order, ProviderKeys, Usage, lenient, refusal};
use crate::api::console_token::OpenRouterVendor;
use crate::plan::capability::Capabilities;
use crate::plan::drift::Field;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::{KeyId, Listed};
use crate::plan::retry::plus;
use crate::plan::time::to_the_second;
use crate::plan::usage::{Money, Span, Spending};
use async_trait::async_trait;
use http::Method;
use jiff::SignedDuration;
use key::{Created, Inside, Key, limit};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Names of the fields that are read; a fault may name them.
const READ: &[&str] = &[
    "created_at",
    "data",
    "disabled",
    "expires_at",
    "hash",
    "id",
    "key",
    "limit",
    "limit_remaining",
    "limit_reset",
    "name",
    "total_count",
    "total_credits",
    "total_usage",
    "updated_at",
    "usage",
    "usage_daily",
    "usage_monthly",
    "usage_weekly",
];

/// The vendor's names of a key's fields.
const BODY: &[refusal::Field] = &[
    ("name", Some("spec.displayName")),
    ("disabled", Some("spec.active")),
    ("limit", Some("spec.budget.amount")),
    ("limit_reset", Some("spec.budget.period")),
    ("expires_at", Some("spec.expiresInDays")),
    ("workspace_id", None),
];

const KEYS: [&str; 2] = ["v1", "keys"];

/// The expiry counts from the order. The call takes time, and the key must not live shorter than was asked for.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

/// Keys of a workspace.
pub struct OpenRouter {
    place: OpenRouterVendor,
    wire: Wire,
}

impl OpenRouter {
    /// The keys of a workspace, accessed over that wire.
    pub fn new(place: &OpenRouterVendor, wire: Wire) -> Self {
        Self { place: place.clone(), wire: wire.reading(READ) }
    }

    /// The query that names the workspace; empty for the default one.
    fn workspace(&self) -> Vec<(&'static str, &str)> {
        self.place.workspace_id.iter().map(|it| ("workspace_id", it.as_str())).collect()
    }

    /// A body that names the workspace, if it is not the default one.
    fn in_workspace(&self, mut body: Map<String, Value>) -> Value {
        body.extend(self.place.workspace_id.iter().map(|it| ("workspace_id".to_owned(), json!(it))));
        Value::Object(body)
    }

    /// 403 on a create call is about the token or about the number of keys: only a management key lists keys.
    async fn with_cause(&self, fault: Fault) -> Fault {
        match fault.kind {
            FaultKind::Forbidden if Gateway::list(self).await.is_ok() => {
                Fault { kind: FaultKind::KeyLimit { status: 403 }, ..fault }
            }
            _ => fault,
        }
    }

    async fn one(&self, id: &KeyId) -> Result<Option<entry::Read<Key>>, Fault> {
        let path = [KEYS[0], KEYS[1], &id.0];
        let answer = gone_is_none(self.wire.send(Call::new(Method::GET, &path)).await)?;
        answer.map(|it| entry::single(it.read::<Inside>()?.data)).transpose()
    }
}

#[async_trait]
impl Gateway for OpenRouter {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn take_skipped(&self) -> u64 {
        self.wire.take_skipped()
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let keys = listing::whole(&self.wire, &self.workspace()).await?;
        let now = self.wire.now();
        Ok(keys.into_iter().filter_map(|it| key::listed(it, now)).collect())
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        let now = self.wire.now();
        Ok(self.one(id).await?.and_then(|it| key::listed(it, now)))
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        let mut body = Map::from_iter([("name".to_owned(), json!(order.name))]);
        if let Some(budget) = order.budget {
            body.extend(limit(Some(budget), 0, order.left));
        }
        if let Some(at) = order.expires_at.filter(|_| order.expires_in_days.is_some()) {
            body.insert("expires_at".to_owned(), json!(to_the_second(plus(at, MARGIN))));
        }
        let body = Some(self.in_workspace(body));
        let call = Call { body, fields: BODY, ..Call::new(Method::POST, &KEYS) };
        let created: Created = match self.wire.send(call).await {
            Ok(answer) => answer.created()?,
            Err(fault) => return Err(self.with_cause(fault).await),
        };
        let (key, secret) = created.parts();
        let secret =
            secret.ok_or(Fault::ambiguous(FaultKind::MalformedField { entry: None, field: "key" }))?;
        let secret = self.wire.shown(secret, "the new key is masked").map_err(Fault::ambiguous)?;
        let key = key.and_then(|it| key::listed(it, self.wire.now()));
        let key = key.ok_or(Fault::ambiguous(FaultKind::MalformedField { entry: None, field: "hash" }))?;
        Ok(Minted { key, secret })
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        let to = &amendment.to;
        let mut body = Map::new();
        for field in &amendment.fields {
            match field {
                Field::DisplayName => drop(body.insert("name".to_owned(), json!(amendment.name))),
                Field::Active => drop(body.insert("disabled".to_owned(), json!(!to.active))),
                Field::Budget => {
                    // What the key spent counts against its limit, so what is left is put on top of that.
                    let spent = match amendment.left.and(to.budget) {
                        None => 0,
                        Some(budget) => {
                            let key = self.one(id).await?;
                            let gone = Fault::without_effect(FaultKind::NotFound);
                            key.ok_or(gone)?.entry.spent_in(budget.period)
                        }
                    };
                    body.extend(limit(to.budget, spent, amendment.left));
                }
                // The vendor has no such settings, or fixes them when a key is made, so drift is never reported in them.
                Field::Models | Field::Expiry | Field::RateLimit | Field::Email | Field::DebugMode => {}
            }
        }
        let path = [KEYS[0], KEYS[1], &id.0];
        let body = Some(Value::Object(body));
        let call = Call { body, fields: BODY, ..Call::new(Method::PATCH, &path) };
        self.wire.send(call).await?.updated().map(drop)
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        let path = [KEYS[0], KEYS[1], &id.0];
        let answer = self.wire.send(Call::new(Method::DELETE, &path)).await;
        gone_is_none(answer)?.map_or(Ok(()), |it| it.acknowledged())
    }

    fn usage(&self) -> Option<&dyn Usage> {
        Some(self)
    }

    fn credit(&self) -> Option<&dyn Credit> {
        Some(self)
    }

    fn provider_keys(&self) -> Option<&dyn ProviderKeys> {
        Some(self)
    }
}

#[async_trait]
impl Usage for OpenRouter {
    /// Of the running month, which every span is.
    async fn spending(&self, _: &Span, _: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        let keys = listing::whole(&self.wire, &self.workspace()).await?;
        keys.into_iter().map(|it| key::spending(it.entry)).collect()
    }
}

#[derive(Deserialize)]
struct Credits {
    data: Purse,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct Purse {
    #[serde(deserialize_with = "lenient::signed_micros")]
    total_credits: i64,
    #[serde(deserialize_with = "lenient::signed_micros")]
    total_usage: i64,
    #[serde(flatten)]
    _object: (),
}

#[async_trait]
impl Credit for OpenRouter {
    async fn balance(&self) -> Result<Option<Money>, Fault> {
        let answer = self.wire.send(Call::new(Method::GET, &["v1", "credits"])).await?;
        let Purse { total_credits, total_usage, .. } = answer.read::<Credits>()?.data;
        let micros = total_credits.saturating_sub(total_usage);
        Ok(Some(Money { micros, currency: "USD".to_owned() }))
    }
}
