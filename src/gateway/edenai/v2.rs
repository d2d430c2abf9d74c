//! Eden AI, through the custom tokens that came before its Management API (v2). Sources (§):
//! `docs/contracts/vendors.md`, sections 2.1 to 2.5. As of September 2026, the vendor documents these endpoints for sessions of its console
//! only.
//!
//! Quirks, each with a test in `tests/edenai/`, of the program `fast`:
//! 1. Every path ends in a slash; a token's name is its identity and a segment of the path (§2.2).
//! 2. The response to a create call need not contain the token: it is read by name (§2.3).
//! 3. `balance` is text in one response and a number in the other, and a number in an update (§2.3).
//! 4. `balance` is meaningful only while `active_balance` is true; otherwise the vendor returns an amount of its own
//!    (§2.3).
//! 5. A budget with a reset forces `active_balance` (§2.3), and is assumed to start full as on v3 (§2.8): a token
//!    that must start with less gets its balance by a second request.
//! 6. A taken name answers 400, not 409 (§2.4). Errors have three formats.
//! 7. `me` and `legacy` are other endpoints; our names end in a mark and never collide with them (§2.5).
//! 8. If the vendor rejects API keys here, it answers 401 or 403, or lists entries without `token` (§2.0).

mod table;

pub use table::{CAPABILITIES, DRIVER};

use super::budget::{
    self, ShownBudget, as_far_as_read, balance_alone, decimal, excess, shown_budget, spending,
};
use super::cost;
use super::v3::{BODY, READ, expiry};
use crate::api::gateway_api_key::KeyType;
use crate::gateway::entry::{self, Entry, Read};
use crate::gateway::http::{Call, Wire, gone_is_none};
use crate::gateway::{Amendment, Credit, Gateway, Minted, Order, Reveal, Usage, lenient};
use crate::plan::capability::Capabilities;
use crate::plan::drift::Field;
use crate::plan::fault::{Fault, FaultKind, Outcome};
use crate::plan::listing::{KeyId, Listed, Setting, Shown};
use crate::plan::naming::Mark;
use crate::plan::usage::{Money, Span, Spending};
use async_trait::async_trait;
use http::Method;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Custom tokens of an account.
pub struct EdenAiV2 {
    wire: Wire,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "named by the vendor")]
struct Token {
    #[serde(default, deserialize_with = "lenient::present_id")]
    name: Option<String>,
    #[serde(default)]
    active_balance: Option<bool>,
    #[serde(default, deserialize_with = "lenient::present_micros")]
    balance: Setting<u64>,
    #[serde(default)]
    balance_reset_period: Option<String>,
    #[serde(default, deserialize_with = "lenient::micros")]
    balance_reset_amount: Option<u64>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    expire_time: Option<Timestamp>,
    #[serde(default)]
    revoked: Option<bool>,
    #[serde(default)]
    token: Option<SecretString>,
    /// Makes serde accept an object only, not an array of its fields.
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct Credits {
    #[serde(deserialize_with = "lenient::signed_micros")]
    credits: i64,
    #[serde(flatten)]
    _object: (),
}

impl Entry for Token {
    const FIELDS: &'static [&'static str] = &[
        "name",
        "active_balance",
        "balance",
        "balance_reset_period",
        "balance_reset_amount",
        "expire_time",
        "revoked",
        "token",
    ];
    const EXPIRY: Option<&'static str> = Some("expire_time");
    const ID: &'static str = "name";

    fn has_id(&self) -> bool {
        self.name.is_some()
    }
}

/// A token as a listed key, as far as it could be read. `None`: it is revoked.
fn listed(read: Read<Token>) -> Option<Listed> {
    let unread_fields = read.unread_fields();
    let Read { entry: token, unread } = read;
    let name = token.name.filter(|_| token.revoked != Some(true))?;
    let shown = shown_budget(
        token.active_balance,
        token.balance,
        token.balance_reset_period.as_deref(),
        token.balance_reset_amount,
    );
    let ShownBudget { limit: budget, capped } = as_far_as_read(shown, &unread);
    let remaining = token.balance.value().filter(|_| token.active_balance == Some(true));
    Some(Listed {
        id: KeyId(name.clone()),
        name,
        created_at: None,
        expires_at: token.expire_time,
        last_used_at: None,
        spent: None,
        remaining,
        unread: unread_fields,
        shown: Shown { budget, capped, ..Shown::default() },
    })
}

#[expect(clippy::cast_precision_loss, reason = "the vendor takes less than 100000 with nine places")]
fn number(micros: u64) -> Value {
    json!(micros as f64 / 1_000_000.0)
}

/// The fault of a later request, after an earlier one had an effect: the outcome is unknown.
fn unknown(fault: Fault) -> Fault {
    Fault { effect: Outcome::Unknown, ..fault }
}

impl EdenAiV2 {
    /// The account's tokens, accessed over that wire.
    pub fn new(wire: Wire) -> Self {
        Self { wire: wire.reading(READ) }
    }

    async fn read(&self, name: &str) -> Result<Option<Read<Token>>, Fault> {
        let path = ["v2", "user", "custom_token", name];
        let call = Call { slash: true, ..Call::new(Method::GET, &path) };
        let Some(answer) = gone_is_none(self.wire.send(call).await)? else {
            return Ok(None);
        };
        entry::single(answer.read()?).map(Some)
    }

    /// The secret of a token, if the vendor shows it.
    fn shown(&self, token: &Token) -> Result<SecretString, Fault> {
        let hidden = "it does not show the token, as Eden AI has documented of api V2 since September 2026; use api V3";
        let secret = token.token.clone().ok_or(FaultKind::Malformed(hidden));
        secret.and_then(|it| self.wire.shown(it, hidden)).map_err(Fault::without_effect)
    }

    /// Changes a token. Returns the fields of the response, which may be empty.
    async fn patch(&self, name: &str, body: Map<String, Value>) -> Result<Map<String, Value>, Fault> {
        let path = ["v2", "user", "custom_token", name];
        let body = Some(Value::Object(body));
        let call = Call { body, fields: BODY, slash: true, ..Call::new(Method::PATCH, &path) };
        self.wire.send(call).await?.updated()
    }

    /// Sets the balance alone, if there is one to set. The request before it was applied.
    async fn lower(&self, name: &str, left: Option<u64>) -> Result<(), Fault> {
        match left {
            Some(left) => self.patch(name, balance_alone(left, number)).await.map(drop).map_err(unknown),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Gateway for EdenAiV2 {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn take_skipped(&self) -> u64 {
        self.wire.take_skipped()
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let path = ["v2", "user", "custom_token"];
        let call = Call { slash: true, ..Call::new(Method::GET, &path) };
        let rows: Vec<Value> = self.wire.send(call).await?.read()?;
        let tokens: Vec<Read<Token>> = entry::listing(&self.wire, rows)?;
        Ok(tokens.into_iter().filter_map(listed).collect())
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        Ok(self.read(&id.0).await?.and_then(listed))
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        let mut body = spending(order.budget, order.left, decimal);
        body.insert("name".into(), json!(order.name));
        let kind = if order.kind == KeyType::Sandbox { "sandbox_api_token" } else { "api_token" };
        body.insert("token_type".into(), json!(kind));
        body.insert("expire_time".into(), expiry(order.expires_at));
        let path = ["v2", "user", "custom_token"];
        let call = Call {
            body: Some(Value::Object(body)),
            fields: BODY,
            slash: true,
            ..Call::new(Method::POST, &path)
        };
        let created: Token = self.wire.send(call).await?.created()?;
        // From here on the token exists, even if a later step fails.
        let left = excess(order.budget, order.left, created.balance.value());
        self.lower(&order.name, left).await?;
        let token = match created.token {
            Some(_) => Read { entry: created, unread: Vec::new() },
            None => self.read(&order.name).await.map_err(unknown)?.ok_or(Fault::ambiguous(
                FaultKind::Malformed("the new token is not there when it is read by its name"),
            ))?,
        };
        let secret = self.shown(&token.entry).map_err(unknown)?;
        let key = listed(token);
        let key = key.filter(|key| Mark::is_same(&key.name, &order.name));
        let mut key = key.ok_or(Fault::ambiguous(FaultKind::Malformed("the new token has another name")))?;
        key.remaining = left.or(key.remaining);
        Ok(Minted { key, secret })
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        let mut body = Map::new();
        let (budget, left) = (amendment.to.budget, amendment.left);
        for field in &amendment.fields {
            match field {
                Field::Budget => body.extend(spending(budget, left, number)),
                Field::Expiry => drop(body.insert("expire_time".into(), expiry(amendment.to.expiry.date()))),
                // These cannot be changed by this API, so drift is never reported in them.
                Field::DisplayName
                | Field::Active
                | Field::Models
                | Field::RateLimit
                | Field::Email
                | Field::DebugMode => {}
            }
        }
        let answer = self.patch(&id.0, body).await?;
        if !amendment.fields.contains(&Field::Budget) {
            return Ok(());
        }
        self.lower(&id.0, excess(budget, left, budget::balance(&answer))).await
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        let path = ["v2", "user", "custom_token", &id.0];
        let call = Call { slash: true, ..Call::new(Method::DELETE, &path) };
        gone_is_none(self.wire.send(call).await)?.map_or(Ok(()), |it| it.acknowledged())
    }

    fn reveal(&self) -> Option<&dyn Reveal> {
        Some(self)
    }

    fn usage(&self) -> Option<&dyn Usage> {
        Some(self)
    }

    fn credit(&self) -> Option<&dyn Credit> {
        Some(self)
    }
}

#[async_trait]
impl Reveal for EdenAiV2 {
    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        let token = self.read(&id.0).await?.map(|read| read.entry);
        token.filter(|it| it.revoked != Some(true)).map(|token| self.shown(&token)).transpose()
    }
}

#[async_trait]
impl Usage for EdenAiV2 {
    async fn spending(&self, span: &Span, _: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        cost::spent(&self.wire, &["v2", "cost_management"], span).await
    }
}

#[async_trait]
impl Credit for EdenAiV2 {
    async fn balance(&self) -> Result<Option<Money>, Fault> {
        let path = ["v2", "cost_management", "credits"];
        let call = Call { slash: true, ..Call::new(Method::GET, &path) };
        let credits: Credits = self.wire.send(call).await?.read()?;
        Ok(Some(Money { micros: credits.credits, currency: "USD".to_owned() }))
    }
}
