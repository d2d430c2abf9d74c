//! Eden AI v3 with an issuer key, which creates, lists and revokes the auth keys that other ConsoleTokens use, and
//! can do nothing else. The name of the field with the new secret is not documented (contract, §2.8).

use super::table::tier;
use super::{CAPABILITIES, READ, limit_reached, listed, pages, unknown, whoami};
use crate::api::console_token::EdenAiTier;
use crate::api::gateway_api_key::KeyType;
use crate::gateway::access::Access;
use crate::gateway::http::{Call, Wire, gone_is_none, looks_masked};
use crate::gateway::{Amendment, Driver, Gateway, Minted, Order, refusal};
use crate::plan::capability::{BudgetSupport, Capabilities, FieldSupport, Minting, Recovery, UsageSupport};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::{KeyId, Listed, Shown};
use crate::plan::naming::Mark;
use crate::plan::spec_field::SpecField;
use async_trait::async_trait;
use http::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

/// The issuer key's row in the registry.
pub const DRIVER: Driver = Driver {
    name: "edenai-v3-issuer",
    example: "edenAi: {tier: Issuer}",
    capabilities: &ISSUER,
    access: Access::PUBLIC,
    account: |vendor| (tier(vendor)? == EdenAiTier::Issuer).then_some(""),
    divides: false,
    open: |_, wire| Box::new(Issuer::new(wire)),
};

/// Capabilities with an issuer key.
pub const ISSUER: Capabilities = Capabilities {
    types: &[KeyType::Management],
    recovery: Recovery::Once,
    console_tokens: Minting::Console,
    issuer: "",
    usage: UsageSupport { spending: None, balance: false, path: false },
    tells_remaining: false,
    budget: BudgetSupport {
        periods: &[],
        whole: false,
        currency: "USD",
        zone: "Europe/Paris",
        keeps_spent: false,
    },
    fields,
    ..CAPABILITIES
};

/// How each field of a GatewayApiKey is supported; Keysmith itself writes the resource of an auth key.
const fn fields(field: SpecField) -> FieldSupport {
    match field {
        SpecField::ConsoleTokenRef => {
            FieldSupport::operator("immutable; spec.mint.issuerRef of the ConsoleToken")
        }
        SpecField::DisplayName => FieldSupport::at_creation("the name of the ConsoleToken"),
        SpecField::Type => FieldSupport::at_creation("Management"),
        SpecField::CodingAssistant
        | SpecField::Models
        | SpecField::Budget
        | SpecField::RateLimit
        | SpecField::ExpiresInDays
        | SpecField::Email
        | SpecField::Active
        | SpecField::DebugMode
        | SpecField::ExternalId => FieldSupport::unsupported("an issuer makes console tokens only"),
        SpecField::Rotation => FieldSupport::operator("spec.mint.rotation of the ConsoleToken"),
        SpecField::Secret => FieldSupport::operator("spec.mint.secret of the ConsoleToken"),
        SpecField::DeletionPolicy => FieldSupport::operator("deleted with its ConsoleToken"),
        SpecField::ManagementPolicy => FieldSupport::operator("Manage"),
        SpecField::Suspend => FieldSupport::operator("nothing is changed while it is true"),
    }
}

/// Default scopes of an auth key: list keys, create them and change them.
const SCOPES: [&str; 2] = ["manage:read", "manage:write"];

/// Auth keys of an organization, accessed with an issuer key.
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
    /// The first field that contains a secret instead of a masked one.
    fn secret(self) -> Result<SecretString, Fault> {
        let fields = [self.secret, self.key, self.token];
        let secret = fields.into_iter().flatten().find(|secret| !looks_masked(secret));
        secret.ok_or(Fault::ambiguous(FaultKind::Malformed("the new auth key is not shown")))
    }
}

impl Issuer {
    /// The organization's auth keys, accessed over that wire.
    pub fn new(wire: Wire) -> Self {
        Self { wire: wire.reading(READ) }
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
        // The response may contain no more than the secret. If the listing fails now, a later one shows the key by
        // its mark.
        let found = self.list().await.map_err(unknown)?.into_iter().find(named);
        let key = found.ok_or(Fault::ambiguous(FaultKind::Malformed("the new auth key is not listed")))?;
        let secret =
            self.wire.shown(created.secret()?, "the new auth key is masked").map_err(Fault::ambiguous)?;
        Ok(Minted { key, secret })
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
