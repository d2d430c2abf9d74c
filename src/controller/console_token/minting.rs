//! ConsoleTokens that Keysmith mints: each has a GatewayApiKey of type Management, which is issued, delivered,
//! rotated and revoked like any other key. Its special rules are here and in the key's own `minting`.

use super::super::Error;
use super::{Credential, Work};
use crate::api::condition::{self, READY};
use crate::api::console_token::Mint;
use crate::api::gateway_api_key::{GatewayApiKeySpec, KeyType, SecretSpec, SecretTemplate};
use crate::api::shared::ConsoleTokenRef;
use crate::api::{GROUP, GatewayApiKey, LEAKED, MANAGER, ROTATE_REQUESTED, VERSION, Verdict};
use crate::cluster;
use crate::cluster::object::{self, Managed};
use crate::cluster::watch;
use crate::plan::capability::Capabilities;
use crate::plan::facts::Target;
use crate::plan::identity::TokenRef;
use crate::plan::naming::Serial;
use crate::plan::{report, token};
use crate::protocol::secret::Guard;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Work {
    /// The minted token, once it exists. Otherwise the reason why it does not.
    pub(super) async fn minted(
        &self,
        mint: &Mint,
        capabilities: &Capabilities,
    ) -> Result<Result<Credential, Verdict>, Error> {
        let vendors = self.context.settings.vendors;
        let issuer = self.context.token(&TokenRef::beside(self.token.namespace(), &mint.issuer_ref.name));
        let issuer = issuer.and_then(|it| vendors.capabilities(&it.spec.vendor));
        let idle = token::check_mint(&self.token, mint, capabilities, issuer).err();
        let proven = self.token.status.as_ref().is_some_and(|it| it.account.is_some());
        if let Some(refusal) = idle.as_ref().filter(|refusal| !(refusal.tolerated && proven)) {
            return Ok(Err(refusal.verdict()));
        }
        let key = match self.key(mint).await? {
            Ok(key) => key,
            Err(verdict) => return Ok(Err(verdict)),
        };
        // A Secret of another owner contains no token of ours. The serial is read before the content, so it may be
        // too low; the previous token is then kept a little longer.
        let secrets = Guard(self.context.secrets(self.token.as_ref()));
        let target = match secrets.inspect(&key.uid().unwrap_or_default(), &mint.secret.name).await {
            Err(error) if cluster::is_forbidden(&error) => return Ok(Err(self.unreadable(&error))),
            target => target?,
        };
        let Some(serial) = serial(&target).filter(|_| key.status.as_ref().is_some_and(|it| it.id.is_some()))
        else {
            return Ok(Err(waiting(&key)));
        };
        let secret = secrets.0.token(&mint.secret.key_ref()).await?;
        Ok(secret.map(|secret| (secret, Some(serial), idle)).map_err(|refusal| refusal.verdict()))
    }

    /// The GatewayApiKey of the token, in its desired state.
    async fn key(&self, mint: &Mint) -> Result<Result<Arc<GatewayApiKey>, Verdict>, Error> {
        let name = token::minted_name(&self.token.name_any());
        let known = watch::find::<GatewayApiKey>(&self.context.stores.keys, &self.namespace(), &name);
        // The key enqueues its ConsoleToken right after its own write. The watch cache may not show that write yet,
        // and no later event would enqueue the token.
        let known = known.map(|key| self.context.memory.newest(key));
        let uid = self.token.uid();
        if let Some(key) = &known {
            let ours = key.owner_references().iter().any(|it| Some(&it.uid) == uid.as_ref());
            if !ours {
                return Ok(Err(report::token::mint_taken(&name)));
            }
        }
        let (spec, annotations) = (wanted(mint), self.requests());
        let going = self.token.metadata.deletion_timestamp.is_some();
        let same = |key: &GatewayApiKey| {
            key.spec == spec
                && annotations.iter().all(|(name, value)| key.annotations().get(name) == Some(value))
        };
        let there = known.is_some();
        match known.filter(|key| going || same(key.as_ref())) {
            Some(key) => Ok(Ok(key)),
            None if going => Ok(Err(report::token::never_minted())),
            None => {
                let object = self.wanted(&name, &spec, &annotations);
                self.write(&name, object, there).await.map(Arc::new).map(Ok)
            }
        }
    }

    /// Requests in the token's annotations are copied to its key.
    fn requests(&self) -> BTreeMap<String, String> {
        let value = |name: &str| object::annotation(self.token.as_ref(), name).cloned();
        let asked = |name: &str| Some((name.to_owned(), value(name)?));
        [ROTATE_REQUESTED, LEAKED].into_iter().filter_map(asked).collect()
    }

    fn wanted(&self, name: &str, spec: &GatewayApiKeySpec, annotations: &BTreeMap<String, String>) -> Value {
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": GatewayApiKey::KIND,
            "metadata": {
                "name": name,
                "annotations": annotations,
                "labels": {crate::api::MANAGED_BY_LABEL: MANAGER},
                "ownerReferences": [self.token.controller_owner_ref(&())],
            },
            "spec": spec,
        })
    }

    async fn write(&self, name: &str, object: Value, there: bool) -> Result<GatewayApiKey, Error> {
        let api: Api<GatewayApiKey> = object::within(&self.context.client, self.token.namespace().as_deref());
        if there {
            return Ok(api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await?);
        }
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
        Ok(api.create(&params, &object).await?)
    }

    /// Enqueues the token's key, which waits to learn that its successor works, or that the token is gone.
    pub(super) fn enqueue_minter(&self) {
        if self.token.spec.mint.is_some() {
            let name = token::minted_name(&self.token.name_any());
            let key = watch::named(self.token.namespace().as_deref(), &name);
            self.context.queues.enqueue::<GatewayApiKey>(key);
        }
    }
}

fn wanted(mint: &Mint) -> GatewayApiKeySpec {
    let entry = mint.secret.key_ref().key;
    let template = SecretTemplate {
        data: BTreeMap::from([(entry, "{{ key }}".to_owned())]),
        ..SecretTemplate::default()
    };
    let secret = SecretSpec {
        name: Some(mint.secret.name.clone()),
        template: Some(template),
        ..SecretSpec::default()
    };
    GatewayApiKeySpec {
        kind: Some(KeyType::Management),
        rotation: mint.rotation.clone(),
        secret: Some(secret),
        ..GatewayApiKeySpec::bare(ConsoleTokenRef { kind: None, name: mint.issuer_ref.name.clone() })
    }
}

fn serial(target: &Target) -> Option<Serial> {
    match target {
        Target::Ours(held) => held.serial,
        Target::Absent | Target::Foreign { .. } => None,
    }
}

fn waiting(key: &GatewayApiKey) -> Verdict {
    let conditions = key.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
    let said = condition::find(conditions, READY).map(|it| it.message.as_str());
    report::token::minting(&key.name_any(), said)
}
