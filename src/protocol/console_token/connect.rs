//! Connecting a console token to its vendor: token, endpoint and certificate authorities.

use super::ports::{Connect, TokenPorts, TokenSecretPort};
use super::{Connection, TokenPass};
use crate::api::Verdict;
use crate::cluster;
use crate::gateway::authorities::Authorities;
use crate::gateway::http;
use crate::plan::capability::Capabilities;
use crate::plan::identity::AnyToken;
use crate::plan::naming::Serial;
use crate::plan::spec_error::SpecError;
use crate::plan::{hash, report, token};
use crate::protocol::Error;
use crate::protocol::ports::{TokenState, VendorPort};
use secrecy::SecretString;
use std::sync::Arc;

/// A token, its serial where Keysmith minted it, and a spec field that is unsupported although the token works.
pub(super) type Credential = (SecretString, Option<Serial>, Option<SpecError>);

/// Fingerprint of a token, its endpoint, its account id and its authorities; the token cannot be derived from it.
fn fingerprint(token: &AnyToken, [base, credential, authorities]: [&str; 3]) -> String {
    let vendor = serde_json::to_string(&token.spec().vendor).unwrap_or_default();
    let gateway_url = token.spec().gateway_url.clone().unwrap_or_default();
    let uid = token.uid().unwrap_or_default();
    hash::base32(&[&uid, base, &vendor, &gateway_url, credential, authorities].map(str::as_bytes), 26)
}

impl<P: TokenPorts> TokenPass<P> {
    /// The account of this token: the existing one while none of its inputs changed.
    pub(super) async fn connect(
        &self,
        before: Option<&TokenState<P::Vendor>>,
    ) -> Result<Result<(Arc<P::Vendor>, Connection<P::Vendor>), Verdict>, Error> {
        let (spec, rules) = (self.token.spec(), self.ports.rules());
        // A token that is being deleted is still needed by the keys made with it.
        let going = self.token.is_deleted();
        let Some(capabilities) = self.ports.capabilities(&spec.vendor) else {
            let message =
                format!("unknown vendor; set exactly one of: {}", self.ports.vendor_fields().join(", "));
            return Ok(Err(SpecError::invalid("spec.vendor", message).verdict()));
        };
        let proven = self.token.status().is_some_and(|it| it.account.is_some());
        let mut idle = token::check_spec(spec).err().filter(|_| !going);
        if let Some(refusal) = idle.as_ref().filter(|refusal| !(refusal.tolerated && proven)) {
            return Ok(Err(refusal.verdict()));
        }
        let base = match rules.endpoints.admit(spec.endpoint.as_deref(), capabilities.endpoint) {
            Ok(base) => base,
            Err(refusal) => return Ok(Err(refusal.verdict())),
        };
        let own = capabilities.gateway_url.own();
        // A token that is being deleted keeps the address that was admitted last.
        let kept = match rules.gateways.admit(spec.gateway_url.as_deref(), own, &base) {
            Ok(()) => None,
            Err(refusal) if !going => return Ok(Err(refusal.verdict())),
            Err(_) => {
                let before = before.and_then(|it| it.account.as_ref()).map(|it| it.gateway_url().to_owned());
                let recorded = || self.token.status()?.internal.admitted_gateway_url.clone();
                Some(before.or_else(recorded).unwrap_or_else(|| own.unwrap_or(base.as_str()).to_owned()))
            }
        };
        let (secret, serial) = match self.credential(capabilities).await? {
            Ok((secret, serial, refusal)) => {
                idle = idle.or(refusal);
                (secret, serial)
            }
            Err(verdict) => return Ok(Err(verdict)),
        };
        let authorities = match self.authorities().await? {
            Ok(authorities) => authorities,
            Err(refusal) => return Ok(Err(refusal.verdict())),
        };
        let credential = http::fingerprint(&secret, &self.uid());
        let inputs = [base.as_str(), &credential, &authorities.digest()];
        let fingerprint = fingerprint(&self.token, inputs);
        let existing = before.filter(|it| it.fingerprint == fingerprint).and_then(|it| it.account.clone());
        let account = existing.or_else(|| {
            let gateway_url = kept.unwrap_or_else(|| capabilities.base_url(spec).to_owned());
            self.ports.connect(Connect {
                token: &self.reference(),
                spec,
                base,
                secret,
                gateway_url,
                authorities,
            })
        });
        let Some(account) = account else {
            return Ok(Err(SpecError::invalid("spec.vendor", "unknown vendor").verdict()));
        };
        let connected = Some(Arc::clone(&account));
        let connection =
            Connection { account: connected, fingerprint, credential, serial, lost: false, idle };
        Ok(Ok((account, connection)))
    }

    /// The certificate authorities that the token names.
    pub(super) async fn authorities(&self) -> Result<Result<Authorities, SpecError>, Error> {
        let Some(place) = &self.token.spec().ca_bundle_ref else { return Ok(Ok(Authorities::default())) };
        let read = self.ports.ca_bundle(&self.home(), place).await?;
        let parsed =
            |pem: Vec<u8>| Authorities::parse(&pem).map_err(|what| token::bundle_invalid(place, &what));
        Ok(read.and_then(parsed))
    }

    /// Why a token of this kind is not used in this installation.
    pub(super) fn refused_kind(&self) -> Option<SpecError> {
        let refused = self.ports.rules().cluster_tokens_only && self.token.sharing().is_none();
        refused.then(token::cluster_tokens_only)
    }

    /// The token, and its serial where Keysmith minted it. Otherwise the reason why there is none.
    pub(super) async fn credential(
        &self,
        capabilities: &Capabilities,
    ) -> Result<Result<Credential, Verdict>, Error> {
        if let Some(mint) = &self.token.spec().mint {
            return self.minted(mint, capabilities).await;
        }
        let Some(place) = &self.token.spec().secret_ref else {
            let message = "set exactly one of spec.secretRef and spec.mint";
            return Ok(Err(SpecError::invalid("spec.secretRef", message).verdict()));
        };
        let secret = match self.secrets().token(place).await {
            Err(error) if cluster::is_forbidden(&error) => return Ok(Err(self.unreadable(&error))),
            secret => secret?,
        };
        Ok(secret.map(|secret| (secret, None, None)).map_err(|refusal| refusal.verdict()))
    }

    /// RBAC does not allow the Secret to be read.
    pub(super) fn unreadable(&self, error: &kube::Error) -> Verdict {
        report::key::secret_unreadable(self.token.spec().secret_name(), &self.home(), &cluster::brief(error))
    }
}
