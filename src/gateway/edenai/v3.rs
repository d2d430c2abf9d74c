//! Eden AI, through its Management API (v3). Sources (§): `docs/contracts/vendors.md`, sections 2.6 to 2.11.
//!
//! Quirks, each with a test in `tests/edenai/`, of the program `fast`:
//! 1. Every path ends in a slash (§2.6).
//! 2. Revoked keys stay in the listing and are ignored; legacy keys without an id cannot be addressed (§2.8).
//! 3. A listing's total is `total_count`, or `count` (§2.8).
//! 4. The secret is returned when a key is created or rotated, and never again; rotation invalidates the previous
//!    secret at once (§2.8).
//! 5. `balance` is what is left, as a number or as text; null is no limit. It falls with use and is never compared
//!    (§2.8).
//! 6. A budget with a reset is `balance_reset_period` and `balance_reset_amount`, and starts full (§2.8): a key that
//!    must start with less gets its balance by a second request. Whether a changed amount applies before the next
//!    period is not documented: the balance is set with it.
//! 7. An expiry must be at least a day ahead; it can be moved and cleared (§2.8).
//! 8. 403 on a create call is the plan's limit of keys, or a token without `manage:write` (§2.8).
//! 9. Revoking answers 200 with the key, or 204; a key that is already revoked answers 404 or 200 (§2.7).
//! 10. Auth keys are created by an issuer key: `issuer`.
//! 11. The organization of a key is returned, but the field is not documented: `whoami` (§2.7).

mod issuer;
mod key;
mod pages;
mod table;
mod whoami;

pub use issuer::{DRIVER as ISSUER_DRIVER, ISSUER, Issuer};
pub use table::{CAPABILITIES, DRIVER};

use key::{Key, listed, named, whole};

use super::budget::{self, balance_alone, decimal, excess, spending};
use super::cost;
use crate::api::gateway_api_key::KeyType;
use crate::gateway::entry::{self, Read};
use crate::gateway::http::{Call, Wire, gone_is_none};
use crate::gateway::{Amendment, Gateway, Minted, Order, Reissue, Usage, refusal};
use crate::plan::capability::Capabilities;
use crate::plan::drift::Field;
use crate::plan::fault::{Fault, FaultKind, Outcome};
use crate::plan::listing::{KeyId, Listed};
use crate::plan::retry::plus;
use crate::plan::time::to_the_second;
use crate::plan::usage::{Span, Spending};
use async_trait::async_trait;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Added to every expiry, so that the shortest one that the vendor accepts is not missed by the duration of a call.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// Keys of an organization, accessed with an auth key.
pub struct EdenAiV3 {
    wire: Wire,
}

#[derive(Deserialize)]
struct Created {
    #[serde(flatten)]
    key: Key,
    secret: SecretString,
}

#[derive(Deserialize)]
struct Rotated {
    secret: SecretString,
    #[serde(flatten)]
    _object: (),
}

const fn token_type(kind: KeyType) -> &'static str {
    match kind {
        KeyType::Sandbox => "sandbox_api_token",
        // Other types are rejected before any call.
        KeyType::Api | KeyType::CodingAgent | KeyType::Management => "api_token",
    }
}

/// The expiry as sent.
fn later(at: Timestamp) -> Timestamp {
    to_the_second(plus(at, MARGIN))
}

/// Names of the fields that both APIs share; a fault may name them.
pub(super) const READ: &[&str] = &[
    "active_balance",
    "balance",
    "balance_reset_amount",
    "balance_reset_period",
    "created_at",
    "credits",
    "data",
    "expire_time",
    "id",
    "key",
    "name",
    "response",
    "results",
    "revoked",
    "secret",
    "token",
    "token_type",
    "usage",
];

pub(super) fn expiry(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| json!(later(at)))
}

/// The vendor's names of a key's fields, in both APIs.
pub(super) const BODY: &[refusal::Field] = &[
    ("name", Some("spec.displayName")),
    ("token_type", Some("spec.type")),
    ("active_balance", Some("spec.budget")),
    ("balance", Some("spec.budget.amount")),
    ("balance_reset_amount", Some("spec.budget.amount")),
    ("balance_reset_period", Some("spec.budget.period")),
    ("expire_time", Some("spec.expiresInDays")),
];

/// The fault of a later request, after an earlier one had an effect: the outcome is unknown.
fn unknown(fault: Fault) -> Fault {
    Fault { effect: Outcome::Unknown, ..fault }
}

/// 403 on a create call has a meaning of its own: the limit of keys.
fn limit_reached(fault: Fault) -> Fault {
    match fault.kind {
        FaultKind::Forbidden => Fault { kind: FaultKind::KeyLimit { status: 403 }, ..fault },
        _ => fault,
    }
}

impl EdenAiV3 {
    /// The organization's keys, accessed over that wire.
    pub fn new(wire: Wire) -> Self {
        Self { wire: wire.reading(READ) }
    }

    async fn read(&self, id: &KeyId) -> Result<Option<Read<Key>>, Fault> {
        let path = ["v3", "manage", "keys", &id.0];
        let call = Call { slash: true, ..Call::new(Method::GET, &path) };
        let Some(answer) = gone_is_none(self.wire.send(call).await)? else {
            return Ok(None);
        };
        let key: Read<Key> = entry::single(answer.read()?)?;
        Ok(Some(key).filter(|key| key.entry.revoked != Some(true)))
    }

    fn minted(&self, key: Listed, secret: SecretString) -> Result<Minted, Fault> {
        let secret = self.wire.shown(secret, "the new key is masked").map_err(Fault::ambiguous)?;
        Ok(Minted { key, secret })
    }

    /// Changes a key. Returns the fields of the response, which may be empty.
    async fn patch(&self, id: &KeyId, body: Map<String, Value>) -> Result<Map<String, Value>, Fault> {
        let path = ["v3", "manage", "keys", &id.0];
        let body = Some(Value::Object(body));
        let call = Call { body, fields: BODY, slash: true, ..Call::new(Method::PATCH, &path) };
        self.wire.send(call).await?.updated()
    }

    /// Sets the balance alone, if there is one to set. The request before it was applied.
    async fn lower(&self, id: &KeyId, left: Option<u64>) -> Result<(), Fault> {
        match left {
            Some(left) => self.patch(id, balance_alone(left, decimal)).await.map(drop).map_err(unknown),
            None => Ok(()),
        }
    }
}

fn settings(order: &Order) -> Map<String, Value> {
    let mut body = spending(order.budget, order.left, decimal);
    body.insert("name".into(), json!(order.name));
    body.insert("expire_time".into(), expiry(order.expires_at));
    body
}

#[async_trait]
impl Gateway for EdenAiV3 {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn whose(&self) -> Result<Option<String>, Fault> {
        whoami::organization(&self.wire).await
    }

    fn take_skipped(&self) -> u64 {
        self.wire.take_skipped()
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let keys = pages::all(&self.wire, &["v3", "manage", "keys"]).await?;
        Ok(keys.into_iter().filter_map(listed).collect())
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        Ok(self.read(id).await?.and_then(listed))
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        let mut body = settings(order);
        body.insert("token_type".into(), json!(token_type(order.kind)));
        let path = ["v3", "manage", "keys"];
        let body = Some(Value::Object(body));
        let call = Call { body, fields: BODY, slash: true, ..Call::new(Method::POST, &path) };
        let created: Created = self.wire.send(call).await.map_err(limit_reached)?.created()?;
        let key = whole(created.key);
        let mut key = key.ok_or(Fault::ambiguous(FaultKind::MalformedField { entry: None, field: "id" }))?;
        if let Some(left) = excess(order.budget, order.left, key.remaining) {
            self.lower(&key.id, Some(left)).await?;
            key.remaining = Some(left);
        }
        self.minted(key, created.secret)
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        let mut body = Map::new();
        let (budget, left) = (amendment.to.budget, amendment.left);
        for field in &amendment.fields {
            match field {
                Field::DisplayName => drop(body.insert("name".into(), json!(amendment.name))),
                Field::Budget => body.extend(spending(budget, left, decimal)),
                Field::Expiry => drop(body.insert("expire_time".into(), expiry(amendment.to.expiry.date()))),
                // The vendor has no such settings, so drift is never reported in them.
                Field::Active | Field::Models | Field::RateLimit | Field::Email | Field::DebugMode => {}
            }
        }
        let answer = self.patch(id, body).await?;
        if !amendment.fields.contains(&Field::Budget) {
            return Ok(());
        }
        self.lower(id, excess(budget, left, budget::balance(&answer))).await
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        let path = ["v3", "manage", "keys", &id.0];
        let call = Call { slash: true, ..Call::new(Method::DELETE, &path) };
        gone_is_none(self.wire.send(call).await)?.map_or(Ok(()), |it| it.acknowledged())
    }

    fn another_secret(&self) -> Option<&dyn Reissue> {
        Some(self)
    }

    fn usage(&self) -> Option<&dyn Usage> {
        Some(self)
    }
}

#[async_trait]
impl Reissue for EdenAiV3 {
    async fn reissue(&self, id: &KeyId, order: &Order) -> Result<Option<Minted>, Fault> {
        let Some(Read { entry: key, unread }) = self.read(id).await? else {
            return Ok(None);
        };
        if unread.contains(&"token_type") {
            return Err(entry::malformed(None, "token_type"));
        }
        if key.token_type.as_deref().is_some_and(|it| it != token_type(order.kind)) {
            return Ok(None);
        }
        let answer = self.patch(id, settings(order)).await?;
        // From here on the key has another name, even if a later step fails.
        let left = excess(order.budget, order.left, budget::balance(&answer));
        self.lower(id, left).await?;
        let path = ["v3", "manage", "keys", &id.0, "rotate"];
        let call = Call { slash: true, ..Call::new(Method::POST, &path) };
        let rotated = self.wire.send(call).await.map_err(unknown)?.created::<Rotated>()?;
        whole(named(key, order)).map(|key| self.minted(key, rotated.secret)).transpose()
    }
}

#[async_trait]
impl Usage for EdenAiV3 {
    async fn spending(&self, span: &Span, _: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        cost::spent(&self.wire, &["v3", "manage", "usage"], span).await
    }
}
