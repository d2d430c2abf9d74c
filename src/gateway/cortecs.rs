//! Cortecs, through its Management API. Sources (§): `docs/contracts/vendors.md`, section 3.
//!
//! Quirks, each with a test in `tests/cortecs/`, of the program `fast`:
//! 1. A key's name is its identity; the vendor returns only the name, the time of creation and whether it is a
//!    management key (§3.3).
//! 2. The secret is returned once, in the response to the create call, of which nothing else is documented (§3.3).
//! 3. 400 on a create call means a taken name, a limit that is reached, or an invalid name: a listing distinguishes
//!    the first from the others (§3.3).
//! 4. Keys are deleted with the name in a JSON body (§3.3); an unknown name is 404.
//! 5. There is no expiry: Keysmith replaces and deletes keys in time (§3.6).
//! 6. There is no update: every change needs a new key (§3.2).
//! 7. There is no call for a single key: the listing is used (§3.2).
//! 8. A management key is a key with `is_management_key`; it can create and delete other keys, but not itself (§3.1).
//! 9. Times are seconds since 1970 (§3.3).
//! 10. Usage identifies keys by name; its path and the name of its cost field are not documented (§3.3, C7).
//! 11. Settings of the project are written as a whole, and read before and after (§3.3, C4 and C5).
//! 12. A balance may be wrapped in `data`, and may lack amount or currency (§3.3, C6).

mod project;
mod table;

pub use table::{CAPABILITIES, DRIVER};

use super::entry::{self, Entry, Read};
use super::http::{Call, LARGEST_EXPORT, Wire, gone_is_none};
use super::{Amendment, Credit, Gateway, Minted, Order, Projects, lenient, refusal, time};
use crate::api::gateway_api_key::KeyType;
use crate::plan::capability::Capabilities;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::{KeyId, Listed, Shown, Unread};
use crate::plan::naming::Mark;
use crate::plan::time::to_the_second;
use crate::plan::usage::{Money, Span, Spending};
use async_trait::async_trait;
use http::Method;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Keys of the console token's user, in its project.
pub struct Cortecs {
    wire: Wire,
}

#[derive(Deserialize)]
struct Key {
    #[serde(default, deserialize_with = "lenient::present_id")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    created_at: Option<Timestamp>,
    /// Makes serde accept an object only, not an array of its fields.
    #[serde(flatten)]
    _object: (),
}

impl Entry for Key {
    const FIELDS: &'static [&'static str] = &["name", "created_at"];
    const ID: &'static str = "name";

    fn has_id(&self) -> bool {
        self.name.is_some()
    }
}

#[derive(Deserialize)]
struct Usage {
    rows: Vec<Row>,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    key_name: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Purse {
    #[serde(default, deserialize_with = "lenient::present_signed_micros")]
    current_balance: Option<i64>,
    #[serde(default)]
    currency: Option<String>,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct Balances {
    #[serde(default)]
    data: Option<Purse>,
    #[serde(flatten)]
    bare: Purse,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "named by the vendor")]
struct Created {
    api_key: SecretString,
    /// Not parsed with the response: a key that is shown once must not be lost because a time is malformed.
    #[serde(default)]
    created_at: Value,
    #[serde(flatten)]
    _object: (),
}

fn listed(name: String, created_at: Option<Timestamp>, unread: Vec<Unread>) -> Listed {
    Listed {
        id: KeyId(name.clone()),
        name,
        created_at,
        expires_at: None,
        last_used_at: None,
        spent: None,
        remaining: None,
        unread,
        shown: Shown::default(),
    }
}

/// Names of the fields that are read; a fault may name them.
const READ: &[&str] = &[
    "api_key",
    "api_keys",
    "balance",
    "created_at",
    "currency",
    "current_balance",
    "data",
    "name",
    "rows",
    "usage",
];

/// The vendor's names of a key's fields.
const BODY: &[refusal::Field] = &[("name", Some("spec.displayName")), ("is_management_key", None)];
/// Fields of a management key, which is named after the resource, and of a key that consists of a name.
const MANAGEMENT: &[refusal::Field] = &[("name", None), ("is_management_key", None)];

const KEYS: [&str; 3] = ["v1", "manage", "api-keys"];

impl Cortecs {
    /// The user's keys, accessed over that wire.
    pub fn new(wire: Wire) -> Self {
        Self { wire: wire.reading(READ) }
    }

    /// One status has three causes: the listing shows whether the name is taken.
    async fn with_cause(&self, fault: Fault, name: &str) -> Fault {
        if !matches!(
            fault.kind,
            FaultKind::Rejected { status: 400, .. } | FaultKind::RejectedOurs { status: 400, .. }
        ) {
            return fault;
        }
        match self.list().await {
            // Our names are sent once, so the key is ours, and the response that created it was lost.
            Ok(keys) if keys.iter().any(|key| Mark::is_same(&key.name, name)) => {
                Fault::ambiguous(FaultKind::Conflict)
            }
            // A rejection that names a field is not about the number of keys.
            Ok(_) if matches!(&fault.kind, FaultKind::Rejected { fields, .. } if fields.is_empty()) => {
                Fault::without_effect(FaultKind::KeyLimit { status: 400 })
            }
            Ok(_) | Err(_) => fault,
        }
    }
}

#[async_trait]
impl Gateway for Cortecs {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    /// A key belongs to a user in a project (§3.1); the vendor returns only the project's id.
    async fn whose(&self) -> Result<Option<String>, Fault> {
        project::id(&self.wire).await
    }

    fn take_skipped(&self) -> u64 {
        self.wire.take_skipped()
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let answer = self.wire.send(Call::new(Method::GET, &KEYS)).await?;
        let mut body: Map<String, Value> = answer.read()?;
        let keys: Vec<Read<Key>> = entry::listing(&self.wire, entry::list(&mut body, "api_keys")?)?;
        let key = |read: Read<Key>| {
            let unread = read.unread_fields();
            Some(listed(read.entry.name?, read.entry.created_at, unread))
        };
        Ok(keys.into_iter().filter_map(key).collect())
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        Ok(self.list().await?.into_iter().find(|key| key.id == *id))
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        let manages = order.kind == KeyType::Management;
        let call = Call {
            body: Some(json!({"name": order.name, "is_management_key": manages})),
            fields: if manages { MANAGEMENT } else { BODY },
            ..Call::new(Method::POST, &KEYS)
        };
        let answer = match self.wire.send(call).await {
            Ok(answer) => answer,
            Err(fault) => return Err(self.with_cause(fault, &order.name).await),
        };
        let created: Created = answer.created()?;
        let secret = self.wire.shown(created.api_key, "the new key is masked").map_err(Fault::ambiguous)?;
        let (created_at, unread) = match time::read(&created.created_at) {
            Ok(created_at) => (created_at, Vec::new()),
            Err(_) => (None, vec![Unread { field: "created_at", is_expiry: false }]),
        };
        Ok(Minted { key: listed(order.name.clone(), created_at, unread), secret })
    }

    async fn amend(&self, _: &KeyId, _: &Amendment) -> Result<(), Fault> {
        // The API has no update, so drift is never reported and there is nothing to do.
        Ok(())
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        let call = Call {
            body: Some(json!({"name": id.0})),
            fields: MANAGEMENT,
            ..Call::new(Method::DELETE, &KEYS)
        };
        gone_is_none(self.wire.send(call).await)?.map_or(Ok(()), |it| it.acknowledged())
    }

    fn projects(&self) -> Option<&dyn Projects> {
        Some(self)
    }

    fn usage(&self) -> Option<&dyn super::Usage> {
        Some(self)
    }

    fn credit(&self) -> Option<&dyn Credit> {
        Some(self)
    }
}

#[async_trait]
impl super::Usage for Cortecs {
    async fn spending(&self, span: &Span, _: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        let undocumented = "its documentation shows no path; set spec.usage.path of the ConsoleToken";
        let path = span.path.as_deref().ok_or(Fault::without_effect(FaultKind::Malformed(undocumented)))?;
        let path: Vec<_> = std::iter::once("v1").chain(path.split('/').filter(|it| !it.is_empty())).collect();
        let (from, until) = (to_the_second(span.since).to_string(), to_the_second(span.until).to_string());
        let query =
            [("from", from.as_str()), ("until", until.as_str()), ("bucket", "1d"), ("group_by", "user_key")];
        let call = Call { query: &query, limit: LARGEST_EXPORT, ..Call::new(Method::GET, &path) };
        let usage: Usage = self.wire.send(call).await?.read()?;
        usage.rows.into_iter().map(spending).collect()
    }
}

#[async_trait]
impl Credit for Cortecs {
    async fn balance(&self) -> Result<Option<Money>, Fault> {
        let path = ["v1", "manage", "users", "balance"];
        let answer: Balances = self.wire.send(Call::new(Method::GET, &path)).await?.read()?;
        let balance = answer.data.unwrap_or(answer.bare);
        // Both are optional (§3.3); an amount without a currency is useless.
        let money = balance.current_balance.zip(balance.currency);
        Ok(money.map(|(micros, currency)| Money { micros, currency }))
    }
}

/// What a row says was spent. The name of the cost field is not documented: these are common names of such fields.
fn spending(row: Row) -> Result<Spending, Fault> {
    const COSTS: [&str; 6] = ["cost", "total_cost", "costs", "spend", "amount", "price"];
    const CALLS: [&str; 4] = ["requests", "request_count", "calls", "count"];
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let cost = COSTS.iter().find_map(|name| row.rest.get(*name)).and_then(text);
    let micros = cost.and_then(|it| lenient::amount(&it));
    let calls = CALLS.iter().find_map(|name| row.rest.get(*name)).and_then(Value::as_u64);
    let unknown = Fault::without_effect(FaultKind::Malformed("a row of the usage has no cost"));
    Ok(Spending {
        key: row.key_name.unwrap_or_default(),
        micros: micros.ok_or(unknown)?,
        calls,
        last_used_at: None,
    })
}
