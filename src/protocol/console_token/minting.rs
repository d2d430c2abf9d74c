//! Console tokens that Keysmith mints: each has a GatewayApiKey of type Management, which is issued, delivered,
//! rotated and revoked like any other key. Its special rules are here and in the key's own `minting`.

use super::TokenPass;
use super::connect::Credential;
use super::ports::{TokenPorts, TokenSecretPort, WantedKey};
use crate::api::condition::{self, READY};
use crate::api::console_token::Mint;
use crate::api::gateway_api_key::{GatewayApiKeySpec, KeyType, SecretSpec, SecretTemplate};
use crate::api::shared::ConsoleTokenRef;
use crate::api::{GatewayApiKey, LEAKED, ROTATE_REQUESTED, Verdict};
use crate::cluster;
use crate::plan::capability::Capabilities;
use crate::plan::facts::Target;
use crate::plan::identity::ObjectName;
use crate::plan::naming::Serial;
use crate::plan::{report, token};
use crate::protocol::Error;
use crate::protocol::secret::Guard;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

impl<P: TokenPorts> TokenPass<P> {
    /// The minted token, once it exists. Otherwise the reason why it does not.
    pub(super) async fn minted(
        &self,
        mint: &Mint,
        capabilities: &Capabilities,
    ) -> Result<Result<Credential, Verdict>, Error> {
        let issuer = self.ports.token(&self.reference().sibling(&mint.issuer_ref.name));
        let issuer = issuer.and_then(|it| self.ports.capabilities(&it.spec().vendor));
        let idle = token::check_mint(&self.token, mint, capabilities, issuer).err();
        let proven = self.token.status().is_some_and(|it| it.account.is_some());
        if let Some(refusal) = idle.as_ref().filter(|refusal| !(refusal.tolerated && proven)) {
            return Ok(Err(refusal.verdict()));
        }
        let key = match self.key(mint).await? {
            Ok(key) => key,
            Err(verdict) => return Ok(Err(verdict)),
        };
        // A Secret of another owner contains no token of ours. The serial is read before the content, so it may be
        // too low; the previous token is then kept a little longer.
        let secrets = Guard(self.secrets());
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

    /// The name of the token's GatewayApiKey.
    fn key_name(&self) -> ObjectName {
        ObjectName::new(&self.home(), &token::minted_name(self.token.name()))
    }

    /// The GatewayApiKey of the token, in its desired state.
    async fn key(&self, mint: &Mint) -> Result<Result<Arc<GatewayApiKey>, Verdict>, Error> {
        let name = self.key_name();
        let known = self.ports.key(&name);
        let uid = self.token.uid();
        if let Some(key) = &known {
            let ours = key.owner_references().iter().any(|it| Some(&it.uid) == uid.as_ref());
            if !ours {
                return Ok(Err(report::token::mint_taken(&name.name)));
            }
        }
        let issuer = self.reference().sibling(&mint.issuer_ref.name).reference();
        let (spec, annotations) = (wanted(mint, issuer), self.requests());
        let going = self.token.is_deleted();
        let same = |key: &GatewayApiKey| {
            key.spec == spec
                && annotations.iter().all(|(name, value)| key.annotations().get(name) == Some(value))
        };
        let exists = known.is_some();
        match known.filter(|key| going || same(key.as_ref())) {
            Some(key) => Ok(Ok(key)),
            None if going => Ok(Err(report::token::never_minted())),
            None => {
                let wanted = WantedKey { name, spec: &spec, annotations: &annotations, exists };
                Ok(Ok(Arc::new(self.ports.write_key(&self.token, wanted).await?)))
            }
        }
    }

    /// Requests in the token's annotations are copied to its key.
    fn requests(&self) -> BTreeMap<String, String> {
        let asked = |name: &str| Some((name.to_owned(), self.token.annotation(name)?.clone()));
        [ROTATE_REQUESTED, LEAKED].into_iter().filter_map(asked).collect()
    }

    /// Enqueues the token's key, which waits to learn that its successor works, or that the token is gone.
    pub(super) fn enqueue_minter(&self) {
        if self.token.spec().mint.is_some() {
            self.ports.enqueue_key(&self.key_name());
        }
    }
}

fn wanted(mint: &Mint, issuer: ConsoleTokenRef) -> GatewayApiKeySpec {
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
        ..GatewayApiKeySpec::bare(issuer)
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
