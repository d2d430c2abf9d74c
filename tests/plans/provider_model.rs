//! The ports of the engine for ProviderKeys, implemented with the world of `provider_world`.

use super::class::Class;
use super::cluster::{NAMESPACE, TOKEN, cluster};
use super::fate::turn;
use super::model::version;
use super::provider_world::{Ask, ProviderWorld, Resource, Shared};
use super::world::Kube;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use keysmith::api::console_token::{ConsoleTokenSpec, EdgeeVendor, Vendor};
use keysmith::api::gateway_api_key::GatewayApiKeySpec;
use keysmith::api::project_settings::ProjectValues;
use keysmith::api::shared::ConsoleTokenRef;
use keysmith::api::{
    CLAIM, ConsoleToken, FINALIZER, GatewayApiKey, GatewayApiKeyStatus, ProviderKey, ProviderKeyStatus,
};
use keysmith::cluster::ledger;
use keysmith::cluster::object;
use keysmith::gateway::account::Listing;
use keysmith::gateway::{Amendment, CreatedProviderKey, Minted, Order, Project, ProviderKeyOrder};
use keysmith::plan::capability::Capabilities;
use keysmith::plan::claim::Claim;
use keysmith::plan::credentials::Entries;
use keysmith::plan::fault::Fault;
use keysmith::plan::identity::{AnyToken, TokenRef};
use keysmith::plan::ledger::{Book, Entry, Place};
use keysmith::plan::listing::{KeyId, Listed};
use keysmith::plan::models::Catalog;
use keysmith::plan::naming::{ClusterId, Identity};
use keysmith::plan::provider_key::{ProviderKeyListing, Wanted};
use keysmith::plan::report::Notice;
use keysmith::plan::usage::Spent;
use keysmith::protocol::Error;
use keysmith::protocol::memory::Remembered;
use keysmith::protocol::ports::TokenState;
use keysmith::protocol::ports::{Measure, ObjectPort, Ports, SecretPort, VendorPort, Write};
use keysmith::protocol::provider_key::ports::ProviderKeyPorts;
use keysmith::protocol::provider_key::store::{Store, Stored};
use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const TOKEN_UID: &str = "uid-of-the-token";
const NOT_ASKED: &str = "a pass over a ProviderKey touches no key and writes no Secret";

/// A missing rule, which proves that the histories detect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A missing finalizer or claim is not restored.
    HoldsNothing,
}

/// The ports of one operator of the model.
#[derive(Clone)]
pub struct ProviderModel {
    pub world: Shared,
    pub me: usize,
    pub mutant: Option<Mutant>,
    cluster: Rc<ClusterId>,
}

impl ProviderModel {
    pub fn new(world: &Shared, me: usize, mutant: Option<Mutant>) -> Self {
        Self { world: Rc::clone(world), me, mutant, cluster: Rc::new(cluster()) }
    }

    async fn send(&self, ask: &Ask) -> Result<Option<KeyId>, Fault> {
        turn().await;
        self.world.borrow_mut().send(ask)
    }

    async fn change(
        &self,
        read: &ProviderKey,
        change: impl FnOnce(&mut Resource),
    ) -> kube::Result<ProviderKey> {
        turn().await;
        let version = version(read.metadata.resource_version.as_deref()).unwrap_or_default();
        let written = self.world.borrow_mut().patch(version, change);
        written.map(|resource| resource.object()).map_err(Kube::into)
    }
}

#[expect(clippy::disallowed_methods, reason = "the model's vendor looks at what it is given")]
fn content(order: &ProviderKeyOrder) -> String {
    order.credential.expose_secret().to_owned()
}

impl VendorPort for ProviderModel {
    type Permit = ();

    fn gateway_url(&self) -> &str {
        Class::Reveal.capabilities().gateway_url.own().unwrap_or_default()
    }

    fn capabilities(&self) -> &'static Capabilities {
        Class::Reveal.capabilities()
    }

    fn usable(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn latest(&self) -> Option<Arc<Listing>> {
        None
    }

    fn latest_models(&self) -> Option<Arc<Catalog>> {
        None
    }

    fn models_asked(&self) -> bool {
        false
    }

    fn latest_spent(&self) -> Option<Arc<Spent>> {
        None
    }

    async fn permit(&self) -> Result<(), Fault> {
        Ok(())
    }

    async fn list(&self, _: Timestamp) -> Result<Arc<Listing>, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn get(&self, _: &KeyId) -> Result<Option<Listed>, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn get_to_revoke(&self, _: &KeyId) -> Result<Option<Listed>, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn mint(&self, _: &Order, (): &()) -> Result<Minted, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn reissue(&self, _: &KeyId, _: &Order, (): &()) -> Result<Option<Minted>, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn recover(&self, _: &KeyId) -> Result<Option<SecretString>, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn amend(&self, _: &KeyId, _: &Amendment) -> Result<(), Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn revoke(&self, _: &KeyId) -> Result<(), Fault> {
        unreachable!("{NOT_ASKED}")
    }

    fn latest_provider_keys(&self) -> Option<Arc<ProviderKeyListing>> {
        None
    }

    async fn list_provider_keys(&self) -> Result<ProviderKeyListing, Fault> {
        let as_of = self.now();
        turn().await;
        self.world.borrow_mut().list(as_of)
    }

    async fn create_provider_key(
        &self,
        order: &ProviderKeyOrder,
        (): &(),
    ) -> Result<CreatedProviderKey, Fault> {
        let wanted = Wanted { content: content(order), assigned_to: order.keys.iter().cloned().collect() };
        let id = self.send(&Ask::Create { name: order.name.clone(), wanted, ours: true }).await?;
        Ok(CreatedProviderKey { id: id.unwrap(), created_at: None })
    }

    async fn assign_provider_key(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault> {
        self.send(&Ask::Reassign(id.clone(), keys.iter().cloned().collect())).await.map(drop)
    }

    async fn delete_provider_key(&self, id: &KeyId) -> Result<(), Fault> {
        self.send(&Ask::Remove(id.clone())).await.map(drop)
    }

    async fn project(&self) -> Result<Project, Fault> {
        unreachable!("{NOT_ASKED}")
    }

    async fn change_project(&self, _: Project, _: &ProjectValues) -> Result<(), Fault> {
        unreachable!("{NOT_ASKED}")
    }
}

impl SecretPort for ProviderModel {
    fn namespace(&self) -> &str {
        NAMESPACE
    }

    fn version(&self, _: &str) -> Option<u64> {
        None
    }

    async fn get(&self, _: &str) -> kube::Result<Option<Secret>> {
        unreachable!("{NOT_ASKED}")
    }

    async fn create(&self, _: &Secret, _: Write) -> kube::Result<Secret> {
        unreachable!("{NOT_ASKED}")
    }

    async fn replace(&self, _: &str, _: &Secret, _: Write) -> kube::Result<Secret> {
        unreachable!("{NOT_ASKED}")
    }
}

impl ObjectPort<ProviderKey> for ProviderModel {
    async fn read(&self, _: &ProviderKey) -> kube::Result<Option<ProviderKey>> {
        turn().await;
        let live = self.world.borrow_mut().read(ProviderWorld::live)?;
        Ok(live.map(|resource| resource.object()))
    }

    async fn claim(
        &self,
        object: &ProviderKey,
        claim: &Claim,
        identity: &Identity,
    ) -> kube::Result<ProviderKey> {
        let stored = object.status.as_ref().is_some_and(|it| it.id.is_some());
        if self.mutant == Some(Mutant::HoldsNothing) && stored && !object::has_finalizer(object) {
            let mut held = object.clone();
            held.finalizers_mut().push(FINALIZER.to_owned());
            held.annotations_mut().insert(CLAIM.to_owned(), claim.encode(identity));
            return Ok(held);
        }
        self.change(object, |resource| {
            resource.claim = Some(claim.encode(identity));
            resource.finalizer |= !resource.deleting;
        })
        .await
    }

    async fn publish(&self, object: &ProviderKey, status: &ProviderKeyStatus) -> kube::Result<ProviderKey> {
        self.change(object, |resource| resource.status = status.clone()).await
    }

    async fn hold(&self, _: &ProviderKey) -> kube::Result<ProviderKey> {
        unreachable!("only console tokens are held without a claim")
    }

    async fn release(&self, object: &ProviderKey) -> kube::Result<ProviderKey> {
        self.change(object, |resource| resource.finalizer = false).await
    }

    fn wrote(&self, object: &Arc<ProviderKey>) {
        let version = version(object.metadata.resource_version.as_deref());
        let mut world = self.world.borrow_mut();
        let written = world.versions.iter().rev().flatten().find(|it| Some(it.version) == version).cloned();
        world.written[self.me] = written;
    }

    fn notify(&self, _: &ProviderKey, _: Notice) {}

    fn decided(&self, _: &ProviderKey, decision: &dyn Debug) {
        self.world.borrow_mut().note(|| format!("operator {}: {decision:?}", self.me));
    }
}

impl Ports for ProviderModel {
    type Vendor = Self;
    type Secrets = Self;

    fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    async fn sleep(&self, _: Duration) {
        unreachable!("{NOT_ASKED}")
    }

    async fn slow_call(&self, _: Duration) {
        std::future::pending::<()>().await;
    }

    fn home(&self) -> &str {
        NAMESPACE
    }

    fn shares_tokens(&self) -> bool {
        false
    }

    fn namespace_labels(&self, _: &str) -> Option<BTreeMap<String, String>> {
        None
    }

    fn cluster(&self) -> &ClusterId {
        &self.cluster
    }

    fn poll(&self) -> SignedDuration {
        super::cluster::POLL
    }

    fn capabilities(&self, _: &Vendor) -> Option<&'static Capabilities> {
        Some(VendorPort::capabilities(self))
    }

    fn caches_filled(&self) -> bool {
        true
    }

    fn secrets(&self, _: &str) -> Self {
        self.clone()
    }

    fn token(&self, _: &TokenRef) -> Option<AnyToken> {
        Some(token(TOKEN_UID).into())
    }

    #[expect(clippy::arc_with_non_send_sync, reason = "the engine holds an Arc; a model runs on one thread")]
    fn token_state(&self, _: &TokenRef) -> Option<TokenState<Self>> {
        Some(TokenState {
            account: Some(Arc::new(self.clone())),
            doubt: None,
            ready: Ok(()),
            stalled: false,
            lost: false,
            uid: TOKEN_UID.into(),
            generation: None,
            serial: None,
            fingerprint: String::new(),
        })
    }

    fn enqueue_token(&self, _: &TokenRef) {}

    fn place(&self, token: &AnyToken) -> Place {
        Place::unknown(&token.reference())
    }

    fn remember<T>(&self, _: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        change(&mut self.world.borrow_mut().remembered[self.me])
    }

    fn forget(&self, _: &str) {
        self.world.borrow_mut().written[self.me] = None;
    }

    fn measure(&self, _: Measure<'_>) {}

    async fn ledger(&self) -> Result<Book, ledger::Error> {
        Ok(Book::default())
    }

    async fn enter(&self, _: &[Entry]) -> Result<(), ledger::Error> {
        Ok(())
    }

    async fn note_missing(&self, _: &[Entry]) -> Result<(), ledger::Error> {
        Ok(())
    }

    fn stop_sweeps(&self) {}

    async fn strike(&self, _: &Entry) -> Result<(), ledger::Error> {
        Ok(())
    }
}

impl ProviderKeyPorts for ProviderModel {
    async fn entries(&self, _: &str, _: &str) -> kube::Result<Option<Entries>> {
        let credential = self.world.borrow().live().map_or(0, |live| live.credential);
        let entry = super::provider_world::credential(credential).into_bytes();
        Ok(Some(BTreeMap::from([("api_key".to_owned(), entry)])))
    }

    fn gateway_key(&self, namespace: &str, name: &str) -> Option<Arc<GatewayApiKey>> {
        let token = ConsoleTokenRef { kind: None, name: TOKEN.into() };
        let mut key = GatewayApiKey::new(name, GatewayApiKeySpec::bare(token));
        key.metadata.namespace = Some(namespace.to_owned());
        key.status =
            Some(GatewayApiKeyStatus { id: Some(name.to_owned()), ..GatewayApiKeyStatus::default() });
        Some(Arc::new(key))
    }

    fn vendors_with_provider_keys(&self) -> Vec<&'static str> {
        Vec::new()
    }

    async fn store(&self, section: Store<Self>) -> Option<Result<Stored, Error>> {
        Some(section.run().await)
    }
}

/// The ConsoleToken of the model.
pub fn token(uid: &str) -> ConsoleToken {
    let vendor = Vendor {
        edgee: Some(EdgeeVendor { organization_id: "org-of-the-model".into() }),
        ..Vendor::default()
    };
    let spec = ConsoleTokenSpec {
        vendor,
        endpoint: None,
        gateway_url: None,
        secret_ref: None,
        mint: None,
        ca_bundle_ref: None,
        controller_class: None,
        expires_at: None,
        calls_per_second: None,
        usage: None,
    };
    let mut token = ConsoleToken::new(TOKEN, spec);
    token.metadata.uid = Some(uid.to_owned());
    token.metadata.namespace = Some(NAMESPACE.into());
    token
}
