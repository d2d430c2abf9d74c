//! ProviderKeys: observe, and act on what `plan::provider_key` decides.

mod deletion;
pub mod ports;
mod report;
pub mod store;

use super::ports::TokenState;
use super::ports::VendorPort;
use super::provider_key::ports::ProviderKeyPorts;
use super::{Done, Error, Pass, stale_or};
use crate::api::{ProviderKey, ProviderKeyStatus, Verdict};
use crate::cluster::object;
use crate::gateway::http::fingerprint;
use crate::plan::capability::CredentialFormat;
use crate::plan::claim::Claim;
use crate::plan::credentials;
use crate::plan::hash;
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::limits;
use crate::plan::listing::KeyId;
use crate::plan::names;
use crate::plan::naming::{self, Identity, Serial};
use crate::plan::provider_key::{
    self, ProviderKeyDecision, ProviderKeyFacts, ProviderKeyListing, ProviderKeyStep as Step,
    ProviderKeyWhy as Why, Recorded, Wanted,
};
use crate::plan::report as text;
use crate::plan::report::call_purpose::CallPurpose;
use crate::plan::spec_error::SpecError;
use crate::plan::token;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use secrecy::SecretString;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{Store, Stored, stored};

const STEPS: usize = 14;

/// One pass over a ProviderKey.
pub async fn pass<P: ProviderKeyPorts>(object: Arc<ProviderKey>, ports: P) -> Result<Pass, Error> {
    let deleting = object.metadata.deletion_timestamp.is_some();
    if deleting && !object::has_finalizer(object.as_ref()) {
        ports.forget(&object.uid().unwrap_or_default());
        return Ok(Pass::Rest(None));
    }
    let mut pass = ProviderKeyPass::new(object, ports);
    if deleting { pass.cleanup().await } else { pass.apply().await }
}

/// One pass over one ProviderKey.
struct ProviderKeyPass<P: ProviderKeyPorts> {
    ports: P,
    object: Arc<ProviderKey>,
    uid: String,
    view: Option<ProviderKeyListing>,
    tried: BTreeSet<KeyId>,
    reassigned: bool,
    /// The serial settled in this pass, written with its next report.
    settled: Option<Serial>,
}

impl<P: ProviderKeyPorts> ProviderKeyPass<P> {
    fn new(object: Arc<ProviderKey>, ports: P) -> Self {
        Self {
            uid: object.uid().unwrap_or_default(),
            object,
            ports,
            view: None,
            tried: BTreeSet::new(),
            reassigned: false,
            settled: None,
        }
    }

    fn namespace(&self) -> String {
        self.object.namespace().unwrap_or_default()
    }

    fn token_ref(&self) -> TokenRef {
        TokenRef::named_by(self.object.as_ref())
    }

    fn identity(&self) -> Identity {
        Identity::from(super::mark(&self.ports, self.object.as_ref()))
    }

    /// The ConsoleToken that the resource names.
    fn token(&self) -> Option<AnyToken> {
        self.ports.token(&self.token_ref())
    }

    fn token_state(&self) -> Option<TokenState<P::Vendor>> {
        self.ports.token_state(&self.token_ref())
    }

    fn status(&self) -> ProviderKeyStatus {
        let mut status = self.object.status.clone().unwrap_or_default().moved();
        status.internal.settled_serial = status.internal.settled_serial.max(self.settled.map(|it| it.0));
        status
    }

    /// Records a vendor call that just changed something: a listing that began before now does not show the change.
    fn changed_vendor(&mut self) {
        self.view = None;
        let now = self.ports.now();
        self.ports.remember(&self.uid, |it| it.changed_vendor(now));
    }

    fn wrote(&mut self, object: Arc<ProviderKey>) {
        self.ports.wrote(&object);
        self.object = object;
    }

    async fn apply(&mut self) -> Result<Pass, Error> {
        if !self.ports.caches_filled() {
            return Ok(Pass::Stale);
        }
        // The finalizer comes before anything that may fail: without it, a deletion would leave provider keys at the
        // vendor.
        if let Some(claim) = provider_key::hold(&self.facts(SignedDuration::ZERO))
            && let Done::Pass(pass) = self.claim(&claim).await?
        {
            return Ok(pass);
        }
        let Some(token) = self.token() else {
            let verdict = text::token::missing(&self.token_ref(), self.ports.shares_tokens());
            return self.publish(self.status(), &verdict.still_ready(self.is_stored())).await;
        };
        let capabilities = self.ports.capabilities(&token.spec().vendor).filter(|it| it.provider_keys);
        let Some(capabilities) = capabilities else {
            let able = self.ports.vendors_with_provider_keys();
            let message = text::provider_key::unsupported(&self.token_ref().titled(), able.into_iter());
            let refusal = SpecError::unsupported("spec.consoleTokenRef", message);
            return self.settle(&refusal.verdict()).await;
        };
        let limited = self.limits(&token).err();
        let credential = match self.credential(capabilities.credentials).await {
            Err(Error::Kubernetes(error)) if crate::cluster::is_forbidden(&error) => {
                return self.unreadable(&error).await;
            }
            credential => credential?,
        };
        let credential = match credential {
            Ok(credential) => credential,
            Err(refusal) => return self.settle(&refusal.verdict()).await,
        };
        let assigned_to = match self.assigned_to() {
            Ok(keys) => keys,
            Err(verdict) => return self.publish(self.status(), &verdict).await,
        };
        let wanted = Wanted { content: self.content(&credential), assigned_to };
        for _ in 0..STEPS {
            let facts = self.facts(capabilities.listing_lag);
            let decision = provider_key::decide(&facts, &wanted);
            let decision = if limited.is_some() { decision.limited() } else { decision };
            self.ports.decided(self.object.as_ref(), &decision);
            if let (Some(refusal), Why::LimitExceeded) = (&limited, decision.why) {
                return self.settle(&refusal.verdict().still_ready(self.is_stored())).await;
            }
            if let Step::Rest(until) = decision.step {
                return self.rest(&decision, until).await;
            }
            let account = match self
                .token_state()
                .filter(|it| Some(&it.uid) == token.meta().uid.as_ref())
                .map(|it| it.usable().cloned())
            {
                None => return Ok(Pass::Rest(None)),
                Some(Err(message)) => return self.blocked(&message).await,
                Some(Ok(account)) => account,
            };
            match self.act(&account, &decision, &wanted, &credential).await? {
                Done::Taken | Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, purpose) => return self.failed(&fault, purpose).await,
            }
        }
        Ok(Pass::Unfinished)
    }

    /// What the limits of a ClusterConsoleToken say to this provider key.
    fn limits(&self, token: &AnyToken) -> Result<(), SpecError> {
        let namespace = self.namespace();
        let labels = self.ports.namespace_labels(&namespace);
        let limits = limits::of(token, &namespace, labels.as_ref())?;
        limits.map_or(Ok(()), |it| limits::check_provider_key(it, &self.token_ref(), &self.object))
    }

    /// The credential in the vendor's format, or what is missing.
    async fn credential(&self, format: CredentialFormat) -> Result<Result<SecretString, SpecError>, Error> {
        let place = &self.object.spec.credentials_ref;
        let display = self.object.spec.display_name.as_deref().map_or(Ok(()), names::display);
        let display = display.map_err(|said| SpecError::invalid("spec.displayName", said));
        let provider = names::word(&self.object.spec.provider);
        let provider = provider.map_err(|said| SpecError::invalid("spec.provider", said));
        let place_is = || token::check_ref("spec.credentialsRef", &place.name, place.key.as_deref());
        if let Err(refusal) = display.and(provider).and_then(|()| place_is()) {
            return Ok(Err(refusal));
        }
        let entries = self.ports.entries(&self.namespace(), &place.name).await?;
        let Some(entries) = entries else {
            let message =
                format!("Secret {} does not exist in namespace {}; create it", place.name, self.namespace());
            return Ok(Err(SpecError::missing("spec.credentialsRef.name", message)));
        };
        Ok(credentials::assemble(
            format,
            &self.object.spec.provider,
            &place.name,
            place.key.as_deref(),
            &entries,
        ))
    }

    fn display_name(&self) -> String {
        naming::display(self.object.spec.display_name.as_deref(), &self.object.name_any())
    }

    /// Hash of the credential and settings at the vendor; salted, so that the credential cannot be derived from it.
    fn content(&self, credential: &SecretString) -> String {
        let credential = fingerprint(credential, &self.uid);
        let spec = &self.object.spec;
        hash::base32(&[spec.provider.as_bytes(), self.display_name().as_bytes(), credential.as_bytes()], 26)
    }

    /// The vendor's ids of the named gateway keys. Empty only where the scope is the whole organization.
    fn assigned_to(&self) -> Result<BTreeSet<KeyId>, Verdict> {
        let spec = &self.object.spec;
        let refs = match (&spec.gateway_key_refs, spec.scope) {
            (None, Some(_)) => return Ok(BTreeSet::new()),
            (Some(refs), None) if !refs.is_empty() => refs,
            _ => {
                let message =
                    "set exactly one of gatewayKeyRefs, naming at least one key, and scope: Organization";
                return Err(SpecError::invalid("spec.gatewayKeyRefs", message).verdict());
            }
        };
        refs.iter().map(|it| self.resolve(&it.name)).collect()
    }

    fn resolve(&self, name: &str) -> Result<KeyId, Verdict> {
        let wait = |what: &str| text::provider_key::gateway_key(name, what, false);
        let key = self.ports.gateway_key(&self.namespace(), name);
        let key = key.ok_or_else(|| text::provider_key::gateway_key(name, "does not exist", true))?;
        if TokenRef::named_by(key.as_ref()) != self.token_ref() {
            let message =
                format!("GatewayApiKey {name} belongs to another console token; name keys of this one only");
            return Err(SpecError::invalid("spec.gatewayKeyRefs", message).verdict());
        }
        if key.metadata.deletion_timestamp.is_some() {
            return Err(wait("is being deleted"));
        }
        let id = key.status.as_ref().and_then(|status| status.id.clone());
        id.map(KeyId).ok_or_else(|| wait("has no key at the vendor yet"))
    }

    fn facts(&self, listing_lag: SignedDuration) -> ProviderKeyFacts {
        let object = self.object.as_ref();
        let status = self.status();
        let stale_before = self.ports.remember(&self.uid, |it| it.stale_before());
        let latest = self.token_state().and_then(|it| it.account).and_then(|it| it.latest_provider_keys());
        let hint = latest.filter(|it| stale_before.is_none_or(|before| it.as_of > before));
        ProviderKeyFacts {
            now: self.ports.now(),
            mark: super::mark(&self.ports, object),
            finalizer: object::has_finalizer(object),
            generation: object.metadata.generation,
            requested: object::requested(object).is_some()
                && object::requested(object) != status.last_handled_reconcile_at.as_ref(),
            claim: object::claim_of(object, &self.identity()),
            status,
            view: self.view.clone().or_else(|| hint.map(|it| it.as_ref().clone())),
            looked: self.view.is_some(),
            tried: self.tried.clone(),
            reassigned: self.reassigned,
            listing_lag,
        }
    }

    async fn act(
        &mut self,
        account: &Arc<P::Vendor>,
        decision: &ProviderKeyDecision,
        wanted: &Wanted,
        credential: &SecretString,
    ) -> Result<Done, Error> {
        match &decision.step {
            Step::Create(serial) => {
                self.store_credential(account, *serial, wanted, credential, decision.why).await
            }
            Step::Hold(claim) => self.claim(claim).await,
            Step::RecordMissing(since) => self.record_missing(Some(*since)).await,
            Step::RecordFound => self.record_missing(None).await,
            Step::Recover(serial, id) => self.recover(*serial, id, wanted).await,
            Step::Reassign(id) => {
                let keys: Vec<_> = wanted.assigned_to.iter().cloned().collect();
                if let Err(fault) = account.assign_provider_key(id, &keys).await {
                    return Ok(Done::Failed(fault, CallPurpose::ChangeAssignment));
                }
                self.reassigned = true;
                self.changed_vendor();
                if decision.why == Why::Drift {
                    self.ports.notify(self.object.as_ref(), text::provider_key::set_right());
                }
                Ok(self.look(account).await)
            }
            Step::RecordAssignment => {
                let mut status = self.status();
                status.assigned_to = wanted.assigned_to.iter().map(|id| id.0.clone()).collect();
                let pass = self.publish(status, &text::provider_key::assigned()).await?;
                self.ports.notify(self.object.as_ref(), text::provider_key::reassigned());
                Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
            }
            Step::Look(_) => Ok(self.look(account).await),
            Step::Remove(ids) => self.remove(account, ids).await,
            Step::RecordSuperseded { gone, left } => self.settle_superseded(gone, left).await,
            Step::ClaimDeletion(_) | Step::Release { .. } | Step::Rest(_) => Ok(Done::Pass(Pass::Stale)),
        }
    }

    async fn look(&mut self, account: &P::Vendor) -> Done {
        match account.list_provider_keys().await {
            Ok(view) => {
                self.view = Some(view);
                Done::Again
            }
            Err(fault) => Done::Failed(fault, CallPurpose::ListProviderKeys),
        }
    }

    /// Claim, store, record: the same protocol as for keys, in a critical section that runs to its end.
    async fn store_credential(
        &mut self,
        account: &Arc<P::Vendor>,
        serial: Serial,
        wanted: &Wanted,
        credential: &SecretString,
        why: Why,
    ) -> Result<Done, Error> {
        let permit = match account.permit().await {
            Ok(permit) => permit,
            Err(fault) => return Ok(Done::Failed(fault, CallPurpose::StoreCredential)),
        };
        let section = Store {
            ports: self.ports.clone(),
            object: Arc::clone(&self.object),
            account: Arc::clone(account),
            permit,
            serial,
            display_name: self.display_name(),
            wanted: wanted.clone(),
            credential: credential.clone(),
        };
        match self.ports.store(section).await.ok_or(Error::Panicked)?? {
            Stored::Done(object) => {
                self.wrote(object);
                self.changed_vendor();
                self.reassigned = false;
                self.notify_stored(why);
                Ok(Done::Again)
            }
            Stored::Stale => Ok(Done::Pass(Pass::Stale)),
            Stored::Pending(object, fault) => {
                self.wrote(object);
                self.ports.remember(&self.uid, |it| it.unanswered(serial, fault));
                self.view = None;
                Ok(Done::Again)
            }
            Stored::Failed(object, fault) => {
                self.wrote(object);
                self.settled = Some(serial);
                Ok(Done::Failed(fault, CallPurpose::StoreCredential))
            }
        }
    }

    /// Recovers the provider key of a create call whose response was lost.
    async fn recover(&mut self, serial: Serial, id: &KeyId, wanted: &Wanted) -> Result<Done, Error> {
        // The credential or its gateway keys may have changed since that call was sent; then the provider key is
        // stored again.
        let sent = object::claim_of(self.object.as_ref(), &self.identity()).and_then(|claim| claim.sent);
        let outdated = Wanted { content: String::new(), assigned_to: wanted.assigned_to.clone() };
        let wanted = if sent == Some(wanted.digest()) { wanted } else { &outdated };
        let (now, recorded) = (self.ports.now(), Recorded { serial, id: id.clone(), created_at: None });
        let status = provider_key::record(self.status(), &recorded, wanted, now);
        let status = stored(status, self.object.as_ref(), now);
        self.changed_vendor();
        self.reassigned = false;
        match super::publish(&self.ports, &self.object, &status).await {
            Ok(written) => {
                if let Some(object) = written {
                    self.wrote(object);
                }
                Ok(Done::Again)
            }
            Err(error) => stale_or(error).map(Done::Pass),
        }
    }

    /// Writes a claim, or restores finalizer and claim.
    async fn claim(&mut self, claim: &Claim) -> Result<Done, Error> {
        match self.ports.claim(self.object.as_ref(), claim, &self.identity()).await {
            Ok(object) => {
                self.wrote(Arc::new(object));
                Ok(Done::Again)
            }
            Err(error) => stale_or(error).map(Done::Pass),
        }
    }

    /// Records since when listings have not shown the provider key, or that they show it again.
    async fn record_missing(&mut self, since: Option<Timestamp>) -> Result<Done, Error> {
        let status = ProviderKeyStatus { missing_since: since, ..self.status() };
        let verdict = since.map_or_else(|| self.at_rest(), text::provider_key::missing);
        let pass = self.publish(status, &verdict).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    /// Only a listing shows whether the deletion worked: some vendors answer that they do not know the path, and that
    /// is no reason to stop.
    async fn remove(&mut self, account: &P::Vendor, ids: &[KeyId]) -> Result<Done, Error> {
        for id in ids {
            if let Err(fault) = account.delete_provider_key(id).await {
                return Ok(Done::Failed(fault, CallPurpose::RemoveCredential));
            }
            self.tried.insert(id.clone());
        }
        self.changed_vendor();
        Ok(Done::Again)
    }

    async fn settle_superseded(&mut self, gone: &[KeyId], left: &[KeyId]) -> Result<Done, Error> {
        let mut status = self.status();
        status.superseded.retain(|id| !gone.iter().chain(left).any(|it| it.0 == *id));
        let fresh: Vec<_> =
            left.iter().map(|id| id.0.clone()).filter(|id| !status.left_behind.contains(id)).collect();
        status.left_behind.extend(fresh.iter().cloned());
        let pass = self.publish(status, &text::provider_key::settled()).await?;
        self.say_left_behind(&fresh);
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }
}
