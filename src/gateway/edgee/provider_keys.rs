//! Edgee's provider keys (contract §1.10): creation is documented, the other calls are tried by analogy with keys.

use super::Edgee;
use crate::gateway::entry::{Entry, Read};
use crate::gateway::http::{Answer, Call};
use crate::gateway::{CreatedProviderKey, ProviderKeyOrder, ProviderKeys, lenient, refusal};
use crate::plan::fault::{Fault, FaultKind, Outcome};
use crate::plan::listing::KeyId;
use crate::plan::provider_key::ListedProviderKey;
use async_trait::async_trait;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct ProviderKeyBody {
    #[serde(default, deserialize_with = "lenient::present_id")]
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

impl Entry for ProviderKeyBody {
    const FIELDS: &'static [&'static str] = &["id", "name", "api_key_ids"];
    const ID: &'static str = "id";

    /// Whether a listing contains ids is not documented (§1.10).
    fn has_id(&self) -> bool {
        true
    }
}

/// The vendor's names of a provider key's fields.
const ASSIGNED: refusal::Field = ("api_key_ids", Some("spec.gatewayKeyRefs"));
const FIELDS: &[refusal::Field] = &[
    ("provider", Some("spec.provider")),
    ("provider_key", Some("spec.credentialsRef")),
    ("name", Some("spec.displayName")),
    ASSIGNED,
];

/// The response to an undocumented call. `None`: the vendor does not know the path or the method, which is no error.
fn accepted(result: Result<Answer, Fault>) -> Result<Option<Answer>, Fault> {
    match result {
        Err(fault) if is_unknown_path(&fault) => Ok(None),
        other => other.map(Some),
    }
}

fn is_unknown_path(fault: &Fault) -> bool {
    match fault.kind {
        FaultKind::NotFound
        | FaultKind::Forbidden
        | FaultKind::Rejected { .. }
        | FaultKind::RejectedOurs { .. }
        | FaultKind::Failed { status: 501, .. } => true,
        // An HTML page with 404 means not applied; after a malformed 2xx response the outcome is unknown.
        FaultKind::Malformed(_) => fault.effect == Outcome::NotApplied,
        _ => false,
    }
}

#[async_trait]
impl ProviderKeys for Edgee {
    async fn list(&self) -> Result<Vec<ListedProviderKey>, Fault> {
        let keys: Vec<Read<ProviderKeyBody>> = self.pages("provider-keys").await?;
        let listed = |Read { entry: key, .. }: Read<ProviderKeyBody>| ListedProviderKey {
            id: key.id.map(KeyId),
            name: key.name,
            assigned_to: key.api_key_ids.map(|ids| ids.into_iter().map(KeyId).collect()),
        };
        Ok(keys.into_iter().map(listed).collect())
    }

    async fn create(&self, order: &ProviderKeyOrder) -> Result<CreatedProviderKey, Fault> {
        let keys: Vec<_> = order.keys.iter().map(|id| &id.0).collect();
        let path = self.path(&["provider-keys"]);
        let call = Call {
            body: Some(json!({"provider": order.provider, "name": order.name, "api_key_ids": keys})),
            secret: Some(("provider_key", &order.credential)),
            fields: FIELDS,
            ..Call::new(Method::POST, &path)
        };
        let created: ProviderKeyCreated = self.wire.send(call).await?.created()?;
        Ok(CreatedProviderKey { id: KeyId(created.id), created_at: created.created_at })
    }

    async fn assign(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault> {
        let keys: Vec<_> = keys.iter().map(|id| &id.0).collect();
        let path = self.path(&["provider-keys", &id.0]);
        let call = Call {
            body: Some(json!({"api_key_ids": keys})),
            fields: &[ASSIGNED],
            ..Call::new(Method::POST, &path)
        };
        accepted(self.wire.send(call).await)?.map_or(Ok(()), |it| it.updated().map(drop))
    }

    async fn delete(&self, id: &KeyId) -> Result<(), Fault> {
        let path = self.path(&["provider-keys", &id.0]);
        let answer = accepted(self.wire.send(Call::new(Method::DELETE, &path)).await)?;
        answer.map_or(Ok(()), |it| it.acknowledged())
    }
}
