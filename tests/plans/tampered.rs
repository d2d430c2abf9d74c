//! The ports of one pass with the change by a mutant: a decorator over the ports of the model. The engine that runs is the one
//! that ships, and the mutant changes its requests and their results.

use super::cluster::{ENTRY, identity};
use super::model::Model;
use super::mutant::Mutant;
use super::vendor::Request;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use keysmith::api::console_token::Vendor;
use keysmith::api::project_settings::ProjectValues;
use keysmith::api::rotation::KeyCount;
use keysmith::api::{CLAIM, FENCE, FINALIZER, GatewayApiKey, GatewayApiKeyStatus, KEY_AT, SERIAL};
use keysmith::cluster::ledger;
use keysmith::cluster::object;
use keysmith::cluster::workloads::{Outcome, Restart, Target};
use keysmith::gateway::account::Listing;
use keysmith::gateway::{Amendment, CreatedProviderKey, Minted, Order, Project, ProviderKeyOrder};
use keysmith::plan::capability::Capabilities;
use keysmith::plan::claim::Claim;
use keysmith::plan::fault::{self, Fault};
use keysmith::plan::identity::{AnyToken, TokenRef};
use keysmith::plan::ledger::{Book, Entry, Missing, Place};
use keysmith::plan::listing::{KeyId, Listed};
use keysmith::plan::models::Catalog;
use keysmith::plan::naming::{ClusterId, Identity, Mark, Serial};
use keysmith::plan::orphans::Known;
use keysmith::plan::provider_key::ProviderKeyListing;
use keysmith::plan::report::Notice;
use keysmith::plan::report::conditions::Looked;
use keysmith::plan::usage::Spent;
use keysmith::protocol::Error;
use keysmith::protocol::doubt::DoubtPorts;
use keysmith::protocol::key::issue::{Issue, Issued};
use keysmith::protocol::key::ports::KeyPorts;
use keysmith::protocol::memory::Remembered;
use keysmith::protocol::ports::TokenState;
use keysmith::protocol::ports::{Measure, ObjectPort, Ports, SecretPort, VendorPort, Write};
use keysmith::protocol::sweep::SweepPorts;
use kube::ResourceExt;
use secrecy::SecretString;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The ports of one pass, with the change by a mutant.
#[derive(Clone)]
pub struct Tampered {
    model: Model,
    mutant: Option<Mutant>,
    /// The resource as this pass knows it.
    known: Rc<RefCell<GatewayApiKey>>,
    /// Whether a write of status met a conflict.
    conflict: Rc<Cell<bool>>,
}

impl Tampered {
    pub fn new(model: Model, mutant: Option<Mutant>, key: &GatewayApiKey) -> Self {
        Self { model, mutant, known: Rc::new(RefCell::new(key.clone())), conflict: Rc::default() }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn claimed(&self) -> Option<Serial> {
        object::claim_of(&*self.known.borrow(), &identity()).map(|claim| claim.serial)
    }

    fn status(&self) -> GatewayApiKeyStatus {
        self.known.borrow().status.clone().unwrap_or_default()
    }

    fn names(&self, id: &KeyId) -> bool {
        let status = self.status();
        status.id.as_ref() == Some(&id.0) || status.previous.iter().any(|it| it.id == id.0)
    }

    fn knows(&self, object: &GatewayApiKey) {
        *self.known.borrow_mut() = object.clone();
    }

    async fn revoke_unnamed(&self) {
        let Ok(listing) = self.model.list(self.model.now()).await else { return };
        let own = listing.view(&identity()).own.into_iter().map(|own| own.key.id);
        for id in own.filter(|id| !self.names(id)) {
            let _ = self.model.send(&Request::Revoke(id)).await;
        }
    }

    /// Raises the fence of the Secret as it is stored: what `get` left out of it stays.
    async fn fence_alone(&self, name: &str, sent: &Secret, write: Write) -> kube::Result<Secret> {
        let stored = self.model.world.borrow().secret.clone();
        let mut whole = stored.map_or_else(|| sent.clone(), |it| it.secret);
        let fence = number(sent, FENCE).unwrap_or_default();
        whole.annotations_mut().insert(FENCE.to_owned(), fence.to_string());
        self.model.replace(name, &whole, write).await
    }

    /// The keys that a mutant revokes before a key is created.
    async fn before_mint(&self) {
        let served = self.status().id.map(KeyId).filter(|_| self.is(Mutant::DeletesFirst));
        let listed = self.model.latest().filter(|_| self.is(Mutant::FirstDraft));
        let own = listed.iter().flat_map(|it| it.view(&identity()).own).map(|own| own.key.id);
        for id in own.filter(|id| !self.names(id)).chain(served) {
            let _ = self.model.send(&Request::Revoke(id)).await;
        }
    }
}

fn number(secret: &Secret, annotation: &str) -> Option<Serial> {
    secret.annotations().get(annotation)?.parse().ok().map(Serial)
}

impl VendorPort for Tampered {
    type Permit = ();

    fn gateway_url(&self) -> &str {
        self.model.gateway_url()
    }

    fn capabilities(&self) -> &'static Capabilities {
        VendorPort::capabilities(&self.model)
    }

    fn usable(&self) -> Result<(), Fault> {
        self.model.usable()
    }

    fn latest(&self) -> Option<Arc<Listing>> {
        let latest = self.model.latest()?;
        let as_of = if self.is(Mutant::BelievesOneLook) { self.model.now() } else { latest.as_of };
        Some(Arc::new(Listing::new(as_of, latest.keys.clone())))
    }

    fn latest_models(&self) -> Option<Arc<Catalog>> {
        self.model.latest_models()
    }

    fn models_asked(&self) -> bool {
        self.model.models_asked()
    }

    fn latest_spent(&self) -> Option<Arc<Spent>> {
        self.model.latest_spent()
    }

    async fn permit(&self) -> Result<(), Fault> {
        self.model.permit().await
    }

    async fn list(&self, since: Timestamp) -> Result<Arc<Listing>, Fault> {
        self.model.list(since).await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        VendorPort::get(&self.model, id).await
    }

    async fn get_to_revoke(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        self.model.get_to_revoke(id).await
    }

    async fn mint(&self, order: &Order, permit: &()) -> Result<Minted, Fault> {
        self.before_mint().await;
        let sent = self.model.mint(order, permit).await;
        let unknown = sent.as_ref().is_err_and(|it| it.effect == fault::Outcome::Unknown);
        if unknown && self.is(Mutant::SendsTwice) { self.model.mint(order, permit).await } else { sent }
    }

    async fn reissue(&self, id: &KeyId, order: &Order, permit: &()) -> Result<Option<Minted>, Fault> {
        self.before_mint().await;
        self.model.reissue(id, order, permit).await
    }

    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        self.model.recover(id).await
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        self.model.amend(id, amendment).await
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        let deleting = self.known.borrow().metadata.deletion_timestamp.is_some();
        if self.is(Mutant::RevokesNoUnused) && !self.model.sweeps && !deleting && !self.names(id) {
            return Ok(());
        }
        self.model.revoke(id).await
    }

    fn latest_provider_keys(&self) -> Option<Arc<ProviderKeyListing>> {
        None
    }

    async fn list_provider_keys(&self) -> Result<ProviderKeyListing, Fault> {
        self.model.list_provider_keys().await
    }

    async fn create_provider_key(
        &self,
        order: &ProviderKeyOrder,
        permit: &(),
    ) -> Result<CreatedProviderKey, Fault> {
        self.model.create_provider_key(order, permit).await
    }

    async fn assign_provider_key(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault> {
        self.model.assign_provider_key(id, keys).await
    }

    async fn delete_provider_key(&self, id: &KeyId) -> Result<(), Fault> {
        self.model.delete_provider_key(id).await
    }

    async fn project(&self) -> Result<Project, Fault> {
        self.model.project().await
    }

    async fn change_project(&self, project: Project, wanted: &ProjectValues) -> Result<(), Fault> {
        self.model.change_project(project, wanted).await
    }
}

impl SecretPort for Tampered {
    fn namespace(&self) -> &str {
        self.model.namespace()
    }

    fn version(&self, name: &str) -> Option<u64> {
        let remembered = self.model.remember("", |it| it.sighting()).map(|it| it.version);
        let recorded = || self.status().internal.secret.and_then(|it| it.resource_version.parse().ok());
        let first = self.is(Mutant::NeverReadsAgain).then(|| remembered.or_else(recorded)).flatten();
        first.or_else(|| self.model.version(name))
    }

    async fn get(&self, name: &str) -> kube::Result<Option<Secret>> {
        let Some(mut secret) = SecretPort::get(&self.model, name).await? else { return Ok(None) };
        let claimed = self.claimed();
        if self.is(Mutant::WritesWithoutGuard) {
            for annotation in [SERIAL, FENCE] {
                let lower = number(&secret, annotation).min(claimed);
                if let Some(serial) = lower {
                    secret.annotations_mut().insert(annotation.to_owned(), serial.to_string());
                }
            }
        }
        let raised = number(&secret, FENCE).max(claimed);
        if let (true, Some(serial)) = (self.is(Mutant::RaisesNoFence), raised) {
            secret.annotations_mut().insert(FENCE.to_owned(), serial.to_string());
        }
        let data = secret.data.get_or_insert_default();
        if self.is(Mutant::RemakesOnMetadata) && data.contains_key("added") {
            data.remove(ENTRY);
            secret.annotations_mut().remove(KEY_AT);
        }
        Ok(Some(secret))
    }

    async fn create(&self, secret: &Secret, write: Write) -> kube::Result<Secret> {
        if self.is(Mutant::AsksNothing) && write == Write::DryRun {
            return Ok(secret.clone());
        }
        self.model.create(secret, write).await
    }

    async fn replace(&self, name: &str, secret: &Secret, write: Write) -> kube::Result<Secret> {
        if self.is(Mutant::AsksNothing) && write == Write::DryRun {
            return Ok(secret.clone());
        }
        if self.is(Mutant::RemakesOnMetadata) && !secret.data.iter().flatten().any(|(name, _)| name == ENTRY)
        {
            return self.fence_alone(name, secret, write).await;
        }
        let skips = self.is(Mutant::RaisesNoFence) || self.is(Mutant::FirstDraft);
        let stored = self.model.world.borrow().secret.clone();
        let same = stored.as_ref().is_some_and(|it| it.secret.data == secret.data);
        let unrecorded = number(secret, SERIAL) > self.status().serial.map(Serial);
        let only_fence = same && number(secret, FENCE) == self.claimed();
        if skips && only_fence && (unrecorded || self.is(Mutant::RaisesNoFence)) && write == Write::Stored {
            return Ok(secret.clone());
        }
        self.model.replace(name, secret, write).await
    }
}

impl ObjectPort<GatewayApiKey> for Tampered {
    async fn read(&self, object: &GatewayApiKey) -> kube::Result<Option<GatewayApiKey>> {
        if self.is(Mutant::ReadsBeforeListing) && !self.conflict.get() {
            self.revoke_unnamed().await;
            return Ok(Some(self.known.borrow().clone()));
        }
        if self.is(Mutant::CompensatesBlindly) && self.conflict.get() {
            return Ok(None);
        }
        self.model.read(object).await
    }

    async fn claim(
        &self,
        object: &GatewayApiKey,
        claim: &Claim,
        identity: &Identity,
    ) -> kube::Result<GatewayApiKey> {
        let served = object.status.as_ref().is_some_and(|it| it.id.is_some());
        if self.is(Mutant::ForgetsTheFinalizer) && !object::has_finalizer(object) && served {
            let mut held = object.clone();
            held.finalizers_mut().push(FINALIZER.to_owned());
            held.annotations_mut().insert(CLAIM.to_owned(), claim.encode(identity));
            return Ok(held);
        }
        let written = self.model.claim(object, claim, identity).await?;
        self.knows(&written);
        Ok(written)
    }

    async fn publish(
        &self,
        object: &GatewayApiKey,
        status: &GatewayApiKeyStatus,
    ) -> kube::Result<GatewayApiKey> {
        let mut status = status.clone();
        if self.is(Mutant::BelievesOneLook) && status.missing_since.is_some() {
            status.missing_since = Some(Timestamp::UNIX_EPOCH);
        }
        let written = self.model.publish(object, &status).await;
        match &written {
            Ok(written) => self.knows(written),
            Err(_) => self.conflict.set(true),
        }
        written
    }

    async fn hold(&self, _: &GatewayApiKey) -> kube::Result<GatewayApiKey> {
        unreachable!("only console tokens are held without a claim")
    }

    async fn release(&self, object: &GatewayApiKey) -> kube::Result<GatewayApiKey> {
        self.model.release(object).await
    }

    fn wrote(&self, object: &Arc<GatewayApiKey>) {
        self.model.wrote(object);
    }

    fn notify(&self, object: &GatewayApiKey, notice: Notice) {
        self.model.notify(object, notice);
    }

    fn decided(&self, object: &GatewayApiKey, decision: &dyn Debug) {
        self.model.decided(object, decision);
    }
}

impl Ports for Tampered {
    type Vendor = Self;
    type Secrets = Self;

    fn now(&self) -> Timestamp {
        self.model.now()
    }

    async fn sleep(&self, time: Duration) {
        self.model.sleep(time).await;
    }

    async fn slow_call(&self, time: Duration) {
        self.model.slow_call(time).await;
    }

    fn home(&self) -> &str {
        self.model.home()
    }

    fn shares_tokens(&self) -> bool {
        self.model.shares_tokens()
    }

    fn namespace_labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        self.model.namespace_labels(namespace)
    }

    fn cluster(&self) -> &ClusterId {
        self.model.cluster()
    }

    fn poll(&self) -> SignedDuration {
        self.model.poll()
    }

    fn capabilities(&self, vendor: &Vendor) -> Option<&'static Capabilities> {
        Ports::capabilities(&self.model, vendor)
    }

    fn caches_filled(&self) -> bool {
        self.model.caches_filled()
    }

    fn secrets(&self, _: &str) -> Self {
        self.clone()
    }

    fn token(&self, token: &TokenRef) -> Option<AnyToken> {
        self.model.token(token)
    }

    #[expect(clippy::arc_with_non_send_sync, reason = "the engine holds an Arc; a model runs on one thread")]
    fn token_state(&self, token: &TokenRef) -> Option<TokenState<Self>> {
        let state = self.model.token_state(token)?;
        let swept = self.is(Mutant::SweepsInDoubt) && self.model.sweeps;
        Some(TokenState {
            account: Some(Arc::new(Self { model: self.model.connected(), ..self.clone() })),
            doubt: state.doubt.filter(|_| !self.is(Mutant::DoubtsNothing) && !swept),
            ready: state.ready,
            stalled: state.stalled,
            lost: state.lost,
            uid: state.uid,
            generation: state.generation,
            serial: state.serial,
            fingerprint: state.fingerprint,
        })
    }

    fn enqueue_token(&self, token: &TokenRef) {
        self.model.enqueue_token(token);
    }

    fn place(&self, token: &AnyToken) -> Place {
        self.model.place(token)
    }

    fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        self.model.remember(uid, change)
    }

    fn forget(&self, uid: &str) {
        self.model.forget(uid);
    }

    fn measure(&self, what: Measure<'_>) {
        self.model.measure(what);
    }

    async fn ledger(&self) -> Result<Book, ledger::Error> {
        self.model.ledger().await
    }

    async fn enter(&self, entries: &[Entry]) -> Result<(), ledger::Error> {
        if self.is(Mutant::WritesNoLedger) { Ok(()) } else { self.model.enter(entries).await }
    }

    async fn note_missing(&self, entries: &[Entry]) -> Result<(), ledger::Error> {
        self.model.note_missing(entries).await
    }

    fn stop_sweeps(&self) {
        self.model.stop_sweeps();
    }

    async fn strike(&self, entry: &Entry) -> Result<(), ledger::Error> {
        self.model.strike(entry).await
    }
}

impl SweepPorts for Tampered {
    async fn known_by_marks(&self) -> kube::Result<Known> {
        let known = self.model.known_by_marks().await?;
        if !self.is(Mutant::SweepsNothing) {
            return Ok(known);
        }
        let listed = self.model.world.borrow().vendor.keys.iter().map(|key| key.id.0.clone()).collect();
        Ok(Known { ids: listed, ..known })
    }

    fn sweeps_stopped(&self) -> bool {
        !self.is(Mutant::SweepsAfterStop) && self.model.sweeps_stopped()
    }

    async fn known_by_everything(&self) -> kube::Result<Known> {
        if self.is(Mutant::SweepsByMarksAlone) {
            return self.model.known_by_marks().await;
        }
        self.model.known_by_everything().await
    }

    async fn open_ledger(&self) -> Result<Book, ledger::Error> {
        let book = self.model.open_ledger().await?;
        if self.is(Mutant::SweepsWithoutLedger) {
            return Ok(Book { since: book.since, ..Book::default() });
        }
        if self.is(Mutant::SweepsWhatTheLedgerLacks) {
            return Ok(Book { lacks_any: false, ..book });
        }
        Ok(book)
    }

    fn missing<T>(&self, change: impl FnOnce(&mut Missing) -> T) -> T {
        if self.is(Mutant::ClosesEntriesAtOnce) {
            let entries = self.model.world.borrow().ledger.clone();
            self.model.missing(|missing| {
                for entry in &entries {
                    missing.is_gone(entry, Timestamp::UNIX_EPOCH);
                }
            });
        }
        self.model.missing(change)
    }

    fn announce(&self, token: &AnyToken, notice: Notice) {
        self.model.announce(token, notice);
    }
}

impl DoubtPorts for Tampered {
    fn newest_token(&self, token: &AnyToken) -> AnyToken {
        self.model.newest_token(token)
    }

    fn tokens_anywhere(&self, condition: impl Fn(&AnyToken) -> bool) -> Vec<AnyToken> {
        self.model.tokens_anywhere(condition)
    }

    fn each_key_anywhere(&self, token: &TokenRef, visit: impl FnMut(&GatewayApiKey)) {
        if !self.is(Mutant::DoubtsNothing) {
            self.model.each_key_anywhere(token, visit);
        }
    }
}

impl KeyPorts for Tampered {
    fn keys_per_day(&self) -> u64 {
        if self.is(Mutant::HasNoBrake) { u64::MAX } else { self.model.keys_per_day() }
    }

    fn made_today(&self, key: &GatewayApiKey) -> Option<KeyCount> {
        self.model.made_today(key)
    }

    fn count_made(&self, key: &GatewayApiKey) {
        self.model.count_made(key);
    }

    fn made_in_namespace(&self, key: &GatewayApiKey) -> Option<KeyCount> {
        self.model.made_in_namespace(key)
    }

    fn each_key_beside(&self, key: &GatewayApiKey, visit: impl FnMut(&GatewayApiKey)) {
        self.model.each_key_beside(key, visit);
    }

    fn may_exist(&self, mark: &Mark) -> bool {
        self.model.may_exist(mark)
    }

    fn enqueue_provider_keys(&self, key: &GatewayApiKey) {
        self.model.enqueue_provider_keys(key);
    }

    async fn find_workloads(&self, namespace: &str, targets: &[Target]) -> Looked {
        self.model.find_workloads(namespace, targets).await
    }

    async fn restart(&self, restart: &Restart<'_>) -> Outcome {
        self.model.restart(restart).await
    }

    fn is_released(&self, uid: &str) -> bool {
        self.model.is_released(uid)
    }

    fn released(&self, uid: &str) {
        self.model.released(uid);
    }

    async fn issue(&self, section: Issue<Self>) -> Option<Result<Issued, Error>> {
        Some(section.run().await)
    }
}
