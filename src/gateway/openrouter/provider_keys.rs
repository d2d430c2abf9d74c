//! OpenRouter's provider keys (§6): all calls are documented.

use super::OpenRouter;
use crate::gateway::entry::{self, Entry, Read};
use crate::gateway::http::{Call, gone_is_none};
use crate::gateway::paging::Paging;
use crate::gateway::{CreatedProviderKey, ProviderKeyOrder, ProviderKeys, lenient, refusal};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::KeyId;
use crate::plan::provider_key::ListedProviderKey;
use async_trait::async_trait;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// The most that a page may have (§6).
const PAGE_SIZE: &str = "100";

#[derive(Deserialize)]
struct ProviderKeyBody {
    #[serde(default, deserialize_with = "lenient::present_id")]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::list")]
    allowed_api_key_hashes: Vec<String>,
    #[serde(flatten)]
    _object: (),
}

impl Entry for ProviderKeyBody {
    const FIELDS: &'static [&'static str] = &["id", "name", "allowed_api_key_hashes"];
    const ID: &'static str = "id";

    fn has_id(&self) -> bool {
        self.id.is_some()
    }
}

#[derive(Deserialize)]
struct Stored {
    data: StoredKey,
    #[serde(flatten)]
    _object: (),
}

#[derive(Deserialize)]
struct StoredKey {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
    #[serde(default, deserialize_with = "lenient::timestamp")]
    created_at: Option<Timestamp>,
    #[serde(flatten)]
    _object: (),
}

const ASSIGNED: refusal::Field = ("allowed_api_key_hashes", Some("spec.gatewayKeyRefs"));

/// The vendor's names of a provider key's fields.
const FIELDS: &[refusal::Field] = &[
    ("provider", Some("spec.provider")),
    ("key", Some("spec.credentialsRef")),
    ("name", Some("spec.displayName")),
    ASSIGNED,
    ("workspace_id", None),
];

const MOVED: Fault = Fault::without_effect(FaultKind::Malformed(
    "provider keys came or went while its listing was read, so that one may be missing",
));

/// The hashes of the keys that may use a credential; null is every key.
fn allowed(keys: &[KeyId]) -> Value {
    let hashes: Vec<_> = keys.iter().map(|id| &id.0).collect();
    if hashes.is_empty() { Value::Null } else { json!(hashes) }
}

#[async_trait]
impl ProviderKeys for OpenRouter {
    async fn list(&self) -> Result<Vec<ListedProviderKey>, Fault> {
        let mut paging = Paging::begin();
        let (mut rows, mut total) = (Vec::new(), None);
        loop {
            let offset = rows.len().to_string();
            let mut query = vec![("limit", PAGE_SIZE), ("offset", offset.as_str())];
            query.extend(self.workspace());
            let answer =
                self.wire.send(Call { query: &query, ..Call::new(Method::GET, &["v1", "byok"]) }).await?;
            let mut body: Map<String, Value> = answer.read()?;
            let page = entry::list(&mut body, "data")?;
            let count = body.get("total_count").and_then(Value::as_u64);
            let count = count.ok_or(entry::malformed(None, "total_count"))?;
            paging.page(&answer, page.len())?;
            let ended = page.is_empty();
            rows.extend(page);
            if *total.get_or_insert(count) != count || rows.len() as u64 > count {
                return Err(MOVED);
            }
            if rows.len() as u64 == count {
                break;
            }
            if ended {
                return Err(MOVED);
            }
        }
        let ids: HashSet<_> = rows.iter().map(|row: &Value| row["id"].to_string()).collect();
        if ids.len() < rows.len() {
            return Err(MOVED);
        }
        let keys: Vec<Read<ProviderKeyBody>> = entry::listing(&self.wire, rows)?;
        Ok(keys.into_iter().map(listed).collect())
    }

    async fn create(&self, order: &ProviderKeyOrder) -> Result<CreatedProviderKey, Fault> {
        let mut body = Map::new();
        body.insert("provider".to_owned(), json!(order.provider));
        body.insert("name".to_owned(), json!(order.name));
        body.insert("allowed_api_key_hashes".to_owned(), allowed(&order.keys));
        let call = Call {
            body: Some(self.in_workspace(body)),
            secret: Some(("key", &order.credential)),
            fields: FIELDS,
            ..Call::new(Method::POST, &["v1", "byok"])
        };
        let created = self.wire.send(call).await?.created::<Stored>()?.data;
        Ok(CreatedProviderKey { id: KeyId(created.id), created_at: created.created_at })
    }

    async fn assign(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault> {
        let path = ["v1", "byok", &id.0];
        let call = Call {
            body: Some(json!({"allowed_api_key_hashes": allowed(keys)})),
            fields: &[ASSIGNED],
            ..Call::new(Method::PATCH, &path)
        };
        gone_is_none(self.wire.send(call).await)?.map_or(Ok(()), |it| it.updated().map(drop))
    }

    async fn delete(&self, id: &KeyId) -> Result<(), Fault> {
        let path = ["v1", "byok", &id.0];
        let answer = self.wire.send(Call::new(Method::DELETE, &path)).await;
        gone_is_none(answer)?.map_or(Ok(()), |it| it.acknowledged())
    }
}

fn listed(read: Read<ProviderKeyBody>) -> ListedProviderKey {
    let assigned = read.is_read("allowed_api_key_hashes");
    let key = read.entry;
    ListedProviderKey {
        id: key.id.map(KeyId),
        name: key.name,
        assigned_to: assigned.then(|| key.allowed_api_key_hashes.into_iter().map(KeyId).collect()),
    }
}
