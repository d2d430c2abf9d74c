//! LiteLLM, a proxy that people run themselves, through its key management API. Sources (§): `docs/contracts/litellm.md`; the
//! answers of the real server, to which `tests/litellm` holds this driver.
//!
//! Quirks, each with a test in `tests/litellm_driver/`, of the program `fast`:
//! 1. A token of lower rank gets a shorter listing with status 200, so the rank is asked before each listing (§10): `rank`.
//! 2. Pages are offsets: a listing counts only if nothing moved while it was read (§5): `listing`.
//! 3. A deleted key is 404 in the shape of an error, or 200 with `status: deleted` (§5). A 404 of another shape is about the
//!    path: `verdict`.
//! 4. Statuses do not mean what they say: 401 for a missing right, 400 for a database that is down (§8): `verdict`.
//! 5. A key's id is the SHA-256 of its secret, in hex (§3).
//! 6. `key_type: llm_api` is always sent for keys of applications: other keys may look at keys, or make some (§4).
//! 7. The time to live is counted from the request, in seconds; `-1` clears it where null is ignored (§6).
//! 8. Some versions end a key at another time than was asked for: the expiry is the one in the answer (§4).
//! 9. A successor starts with what its predecessor spent: `spend` (§4). A changed budget leaves what was spent as it is (§6).
//! 10. A budget that resets in another rhythm than days, weeks and months is shown as a limit of unknown size (§6).
//! 11. Delete one key a call: a call with several reports all of them as deleted (§9).
//! 12. A taken name is 400, as is a name that the server does not admit: the listing tells which (§14).
//! 13. Tokens are keys of a user with role `proxy_admin`; the master key has no user, so one must be named (§10).
//! 14. In version 1.77, 401 may be about the key in the body: the key is looked at before the token is given up (§8).
//! 15. A key of a team that does not exist can be made and never changed: 404 about the team (§12, and the real server).
//! 16. Models are listed by `/model/info`: `/v1/models` is closed to tokens for management (the real server).

mod key;
mod listing;
mod rank;
mod spending;
mod table;
mod verdict;

pub use table::{CAPABILITIES, DRIVER};

use super::entry;
use super::http::{Call, LARGEST_EXPORT, Wire, gone_is_none};
use super::{Amendment, Gateway, Minted, Models, Order, Rank, Usage, refusal};
use crate::api::console_token::LiteLlmVendor;
use crate::api::gateway_api_key::KeyType;
use crate::api::shared::{Period, RateLimit};
use crate::plan::capability::Capabilities;
use crate::plan::drift::Field;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::{KeyId, Limit, Listed};
use crate::plan::naming::Mark;
use crate::plan::usage::{Span, Spending};
use async_trait::async_trait;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use key::{Created, Info};
use serde_json::{Map, Value, json};

/// Names of the fields that are read; a fault may name them.
const READ: &[&str] = &[
    "blocked",
    "budget_duration",
    "created_at",
    "data",
    "deleted_at",
    "expires",
    "info",
    "key",
    "key_alias",
    "keys",
    "last_active",
    "max_budget",
    "max_parallel_requests",
    "metadata",
    "models",
    "results",
    "rpm_limit",
    "spend",
    "status",
    "token",
    "token_id",
    "total_count",
    "total_pages",
    "tpm_limit",
    "users",
];

/// The vendor's names of a key's fields.
const BODY: &[refusal::Field] = &[
    ("key_alias", Some("spec.displayName")),
    ("key_type", Some("spec.type")),
    ("models", Some("spec.models")),
    ("max_budget", Some("spec.budget.amount")),
    ("budget_duration", Some("spec.budget.period")),
    ("spend", Some("spec.budget")),
    ("duration", Some("spec.expiresInDays")),
    ("blocked", Some("spec.active")),
    ("rpm_limit", Some("spec.rateLimit.requestsPerMinute")),
    ("tpm_limit", Some("spec.rateLimit.tokensPerMinute")),
    ("max_parallel_requests", Some("spec.rateLimit.parallel")),
    ("key", None),
    ("team_id", None),
    ("user_id", None),
];

/// Keys of a proxy.
pub struct LiteLlm {
    place: LiteLlmVendor,
    wire: Wire,
}

/// How often a budget resets, in the vendor's terms: at midnight UTC of each day, of Monday, of the first of a month (§6).
const fn rhythm(period: Period) -> Option<&'static str> {
    match period {
        Period::Once => None,
        Period::Daily => Some("1d"),
        Period::Weekly => Some("7d"),
        Period::Monthly => Some("30d"),
    }
}

/// An amount in USD, as the vendor counts.
#[expect(
    clippy::cast_precision_loss,
    reason = "the vendor counts in doubles; 2^53 millionths are nine billion dollars"
)]
fn usd(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

/// The fields of a budget. `left`: what of it may still be spent; `None`: what the
/// vendor counts.
fn budget(limit: Option<Limit>, left: Option<u64>) -> Vec<(&'static str, Value)> {
    let mut fields = vec![
        ("max_budget", json!(limit.map(|it| usd(it.micros)))),
        ("budget_duration", json!(limit.and_then(|it| rhythm(it.period)))),
    ];
    if let Some((limit, left)) = limit.zip(left) {
        fields.push(("spend", json!(usd(limit.micros.saturating_sub(left)))));
    }
    fields
}

fn rates(limit: Option<RateLimit>) -> [(&'static str, Value); 3] {
    let limit = limit.unwrap_or_default();
    [
        ("rpm_limit", json!(limit.requests_per_minute)),
        ("tpm_limit", json!(limit.tokens_per_minute)),
        ("max_parallel_requests", json!(limit.parallel)),
    ]
}

/// The time to live until that time, counted from now (§6).
fn until(at: Option<Timestamp>, now: Timestamp) -> Value {
    let seconds = |at: Timestamp| at.duration_since(now).max(SignedDuration::from_secs(1)).as_secs();
    json!(at.map_or_else(|| "-1".to_owned(), |at| format!("{}s", seconds(at))))
}

impl LiteLlm {
    /// The keys of a proxy, accessed over that wire.
    pub fn new(place: &LiteLlmVendor, wire: Wire) -> Self {
        Self { place: place.clone(), wire: wire.reading(READ) }
    }

    async fn info(&self, id: &KeyId) -> Result<Option<Info>, Fault> {
        let path = ["key", "info"];
        let query = [("key", id.0.as_str())];
        let answer =
            gone_is_none(self.wire.send(Call { query: &query, ..Call::new(Method::GET, &path) }).await)?;
        let info = answer.map(|it| it.read::<Info>()).transpose()?;
        Ok(info.filter(|it| !it.is_deleted()))
    }

    /// The fields of a key to be made.
    async fn ordered(&self, order: &Order) -> Result<Map<String, Value>, Fault> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        put("key_alias", json!(order.name));
        if order.kind == KeyType::Management {
            put("key_type", json!("management"));
            put("user_id", json!(self.admin().await?));
            return Ok(body);
        }
        put("key_type", json!("llm_api"));
        if !order.models.is_empty() {
            put("models", json!(order.models));
        }
        if order.budget.is_some() {
            for (name, value) in budget(order.budget, order.left) {
                put(name, value);
            }
        }
        if let Some(days) = order.expires_in_days {
            put("duration", json!(format!("{days}d")));
        }
        if !order.active {
            put("blocked", json!(true));
        }
        let set = rates(order.rate_limit).into_iter().filter(|(_, value)| !value.is_null());
        set.for_each(|(name, value)| put(name, value));
        if let Some(team) = &self.place.team_id {
            put("team_id", json!(team));
            self.team_exists(team).await?;
        }
        Ok(body)
    }

    /// A team that does not exist is accepted when a key is made, and then the key can never be changed.
    async fn team_exists(&self, team: &str) -> Result<(), Fault> {
        let query = [("team_id", team)];
        let call = Call { query: &query, ..Call::new(Method::GET, &["team", "info"]) };
        gone_is_none(self.wire.send(call).await)?.map(drop).ok_or(verdict::NO_TEAM)
    }

    /// The user whose tokens are minted: the one that is named, or the one of this token.
    async fn admin(&self) -> Result<String, Fault> {
        let named = self.place.user_id.clone();
        let own = if named.is_some() { named } else { rank::own_user(&self.wire).await? };
        own.ok_or(Fault::without_effect(FaultKind::Unfit(
            "the console token belongs to no user, as a master key does; name the user of the new token in spec.vendor.litellm.userId",
        )))
    }

    /// Status 400 means a taken name or a forbidden one: the listing shows whether the name is taken.
    async fn with_cause(&self, fault: Fault, name: &str) -> Fault {
        let about_name = matches!(&fault.kind, FaultKind::Rejected { status: 400, fields } if fields == &["spec.displayName"]);
        if !about_name {
            return fault;
        }
        match self.list().await {
            // Our names are sent once, so the key is ours, and the response that created it was lost.
            Ok(keys) if keys.iter().any(|key| Mark::is_same(&key.name, name)) => {
                Fault::ambiguous(FaultKind::Conflict)
            }
            Ok(_) => fault,
            // It may be ours.
            Err(_) => Fault::ambiguous(FaultKind::Conflict),
        }
    }

    /// In some versions, 401 is about the key in the body and not about the token (§8).
    async fn about_key(&self, fault: Fault, id: &KeyId) -> Fault {
        if fault.kind != FaultKind::TokenRefused {
            return fault;
        }
        match self.info(id).await {
            Ok(None) => Fault::without_effect(FaultKind::NotFound),
            Ok(Some(_)) | Err(_) => fault,
        }
    }
}

#[async_trait]
impl Gateway for LiteLlm {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    /// A proxy has no id and no organizations that this API shows: the endpoint is the account.
    async fn whose(&self) -> Result<Option<String>, Fault> {
        Ok(Some(table::ACCOUNT.to_owned()))
    }

    async fn rank(&self) -> Result<Option<Rank>, Fault> {
        rank::of(&self.wire).await.map(Some)
    }

    fn take_skipped(&self) -> u64 {
        self.wire.take_skipped()
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        rank::of(&self.wire).await?;
        Ok(listing::whole(&self.wire).await?.into_iter().filter_map(key::listed).collect())
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        let Some(info) = self.info(id).await? else { return Ok(None) };
        Ok(key::listed(entry::single(info.named(id))?))
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        let body = self.ordered(order).await?;
        let call = Call {
            body: Some(Value::Object(body)),
            fields: BODY,
            ..Call::new(Method::POST, &["key", "generate"])
        };
        let created: Created = match self.wire.send(call).await {
            Ok(answer) => answer.created()?,
            Err(fault) => return Err(self.with_cause(fault, &order.name).await),
        };
        let (key, secret) = created.parts();
        let secret = self.wire.shown(secret, "the new key is masked").map_err(Fault::ambiguous)?;
        let key = key.and_then(key::listed);
        let key = key.ok_or(Fault::ambiguous(FaultKind::MalformedField { entry: None, field: "token" }))?;
        Ok(Minted { key, secret })
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        let to = &amendment.to;
        let mut body = Map::from_iter([("key".to_owned(), json!(id.0))]);
        for field in &amendment.fields {
            let values = match field {
                Field::DisplayName => vec![("key_alias", json!(amendment.name))],
                Field::Active => vec![("blocked", json!(!to.active))],
                Field::Models => vec![("models", json!(to.models))],
                Field::Budget => budget(to.budget, amendment.left),
                Field::Expiry => vec![("duration", until(to.expiry.date(), self.wire.now()))],
                Field::RateLimit => rates(to.rate_limit).to_vec(),
                // The vendor has no such settings, so drift is never reported in them.
                Field::Email | Field::DebugMode => Vec::new(),
            };
            body.extend(values.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        let body = Some(Value::Object(body));
        let call = Call { body, fields: BODY, ..Call::new(Method::POST, &["key", "update"]) };
        match self.wire.send(call).await {
            Ok(answer) => answer.updated().map(drop),
            Err(fault) => Err(self.about_key(fault, id).await),
        }
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        let body = Some(json!({"keys": [id.0]}));
        let call = Call { body, fields: BODY, ..Call::new(Method::POST, &["key", "delete"]) };
        gone_is_none(self.wire.send(call).await)?.map_or(Ok(()), |it| it.acknowledged())
    }

    fn usage(&self) -> Option<&dyn Usage> {
        Some(self)
    }

    fn models(&self) -> Option<&dyn Models> {
        Some(self)
    }
}

#[async_trait]
impl Models for LiteLlm {
    /// Names of models, and of groups of models, which a key may be restricted to as well.
    async fn catalog(&self) -> Result<Option<Vec<String>>, Fault> {
        let call = Call { limit: LARGEST_EXPORT, ..Call::new(Method::GET, &["model", "info"]) };
        let mut answer: Map<String, Value> = self.wire.send(call).await?.read()?;
        let mut names = Vec::new();
        for row in entry::list(&mut answer, "data")? {
            names.extend(row["model_name"].as_str().map(str::to_owned));
            let groups = row["model_info"]["access_groups"].as_array().into_iter().flatten();
            names.extend(groups.filter_map(Value::as_str).map(str::to_owned));
        }
        Ok(Some(names))
    }
}

#[async_trait]
impl Usage for LiteLlm {
    async fn spending(&self, span: &Span, _: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        spending::by_key(&self.wire, span).await
    }
}
