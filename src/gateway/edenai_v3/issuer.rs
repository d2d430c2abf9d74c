//! Eden AI v3 with an issuer key, which makes, lists and revokes the auth keys that other ConsoleTokens work with, and can
//! do nothing else. The name of the field with the new secret is not documented (contract, §2.8).

use super::{CAPABILITIES, limit_reached, listed, pages, unknown, whoami};
use crate::api::gateway_api_key::KeyType;
use crate::gateway::http::{Call, Wire, gone_is_none, looks_masked};
use crate::gateway::{Amendment, Gateway, Minted, Order, refusal};
use crate::plan::capability::{Capabilities, FieldSupport, Recovery, Support, UsageSupport, field};
use crate::plan::facts::{KeyId, Listed, Shown};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::naming::Mark;
use async_trait::async_trait;
use http::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

/// The same with an issuer key, which makes auth keys for other ConsoleTokens and nothing else.
pub const ISSUER: Capabilities = Capabilities {
    types: &[KeyType::Management],
    recovery: Recovery::Once,
    usage: UsageSupport { spending: None, balance: false, path: false },
    fields: ISSUER_FIELDS,
    ..CAPABILITIES
};

const ISSUER_FIELDS: &[FieldSupport] = &[
    field("consoleTokenRef", Support::Operator, ""),
    field("displayName", Support::AtCreation, ""),
    field("type", Support::AtCreation, ""),
    field("codingAssistant", Support::Unsupported, "an issuer makes console tokens only"),
    field("models", Support::Unsupported, "an issuer makes console tokens only"),
    field("budget", Support::Unsupported, "an issuer makes console tokens only"),
    field("expiresInDays", Support::Unsupported, "an issuer makes console tokens only"),
    field("email", Support::Unsupported, "an issuer makes console tokens only"),
    field("active", Support::Unsupported, "an issuer makes console tokens only"),
    field("debugMode", Support::Unsupported, "an issuer makes console tokens only"),
    field("rotation", Support::Operator, ""),
    field("secret", Support::Operator, ""),
    field("deletionPolicy", Support::Operator, ""),
    field("externalId", Support::Unsupported, "an issuer makes console tokens only"),
    field("managementPolicy", Support::Operator, ""),
    field("suspend", Support::Operator, ""),
];

/// What an auth key may do where nobody says: list keys, and make and change them.
const SCOPES: [&str; 2] = ["manage:read", "manage:write"];

/// Auth keys of an organization, by an issuer key.
pub struct Issuer {
    wire: Wire,
}

#[derive(Deserialize)]
struct AuthCreated {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    secret: Option<SecretString>,
    #[serde(default)]
    key: Option<SecretString>,
    #[serde(default)]
    token: Option<SecretString>,
    #[serde(flatten)]
    _object: (),
}

impl AuthCreated {
    /// The first field that holds a secret and not only what it ends in.
    fn secret(self) -> Result<SecretString, Fault> {
        let fields = [self.secret, self.key, self.token];
        let secret = fields.into_iter().flatten().find(|secret| !looks_masked(secret));
        secret.ok_or(Fault::ambiguous(FaultKind::Strange("the new auth key is not shown")))
    }
}

impl Issuer {
    /// The organization's auth keys over that wire.
    pub fn new(wire: Wire) -> Self {
        Self { wire }
    }
}

#[async_trait]
impl Gateway for Issuer {
    fn capabilities(&self) -> &'static Capabilities {
        &ISSUER
    }

    async fn whose(&self) -> Result<Option<String>, Fault> {
        whoami::organization(&self.wire).await
    }

    fn take_skipped(&self) -> u64 {
        self.wire.take_skipped()
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let keys = pages::all(&self.wire, &["v3", "manage", "auth-keys"]).await?;
        let bare = |key: Listed| Listed { shown: Shown::default(), ..key };
        Ok(keys.into_iter().filter_map(listed).map(bare).collect())
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        Ok(self.list().await?.into_iter().find(|key| key.id == *id))
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        let scopes: Vec<&str> = match order.scopes.as_slice() {
            [] => SCOPES.to_vec(),
            some => some.iter().map(String::as_str).collect(),
        };
        let path = ["v3", "manage", "auth-keys"];
        let body = Some(json!({"name": order.name, "scopes": scopes}));
        let fields: &[refusal::Field] = &[("name", None), ("scopes", Some("spec.mint.scopes"))];
        let call = Call { body, fields, slash: true, ..Call::new(Method::POST, &path) };
        let created: AuthCreated = self.wire.send(call).await.map_err(limit_reached)?.created()?;
        let named = |key: &Listed| match &created.id {
            Some(id) => key.id.0 == *id,
            None => Mark::is_same(&key.name, &order.name),
        };
        // The answer need not say more than the secret; where there is no listing now, it is found by its mark later.
        let found = self.list().await.map_err(unknown)?.into_iter().find(named);
        let key = found.ok_or(Fault::ambiguous(FaultKind::Strange("the new auth key is not listed")))?;
        let secret =
            self.wire.shown(created.secret()?, "the new auth key is masked").map_err(Fault::ambiguous)?;
        Ok(Minted { key, secret })
    }

    async fn recover(&self, _: &KeyId) -> Result<Option<SecretString>, Fault> {
        Err(Fault::without_effect(FaultKind::Strange("the vendor does not show a key twice")))
    }

    async fn amend(&self, _: &KeyId, _: &Amendment) -> Result<(), Fault> {
        Ok(())
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        let path = ["v3", "manage", "auth-keys", &id.0];
        let call = Call { slash: true, ..Call::new(Method::DELETE, &path) };
        gone_is_none(self.wire.send(call).await)?.map_or(Ok(()), |it| it.acknowledged())
    }
}
