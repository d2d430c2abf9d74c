//! The live adapter: the ports of the engine, implemented with Kubernetes and the accounts at vendors. No decision is
//! made here; an "if" about the protocol belongs in `protocol` or `plan`.

use super::context::Context;
use super::{Error, Pass, Subject};
use crate::api::console_token::Vendor;
use crate::api::project_settings::ProjectValues;
use crate::api::rotation::KeyCount;
use crate::api::{GatewayApiKey, LEAKED, ProjectSettings, ProviderKey};
use crate::cluster::ledger;
use crate::cluster::object::{self, Managed, log_about};
use crate::cluster::secret::Secrets;
use crate::cluster::workloads::{self, Outcome, Restart, Target};
use crate::gateway::account::{Account, Listing, Permit};
use crate::gateway::{Amendment, CreatedProviderKey, Minted, Order, Project, ProviderKeyOrder};
use crate::plan::capability::Capabilities;
use crate::plan::claim::Claim;
use crate::plan::credentials::Entries;
use crate::plan::fault::Fault;
use crate::plan::identity::{AnyToken, TokenRef, with_token};
use crate::plan::ledger::{Book, Entry, Place};
use crate::plan::listing::{KeyId, Listed};
use crate::plan::mints;
use crate::plan::models::Catalog;
use crate::plan::naming::{ClusterId, Identity, Mark};
use crate::plan::provider_key::ProviderKeyListing;
use crate::plan::report::Notice;
use crate::plan::report::conditions::{self, Looked};
use crate::plan::turns::{Lane, Rank};
use crate::plan::usage::Spent;
use crate::protocol::doubt::DoubtPorts;
use crate::protocol::key::issue::{Issue, Issued};
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::memory::Remembered;
use crate::protocol::ports::{Measure, ObjectPort, Ports, SecretPort, TokenState, VendorPort, Write};
use crate::protocol::project_settings::{self, ProjectPorts};
use crate::protocol::provider_key::ports::ProviderKeyPorts;
use crate::protocol::provider_key::store::{Store, Stored};
use crate::protocol::{key, provider_key};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

impl Subject for GatewayApiKey {
    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Pass, Error> {
        // Statuses on the stack make it large; a queue holds many of them.
        Box::pin(key::pass(object, Live(context))).await
    }

    fn rank(&self) -> Rank {
        let Some(status) = &self.status else { return Rank::New };
        let leaked = conditions::leak_is_open(status, object::annotation(self, LEAKED));
        match (self.metadata.deletion_timestamp.is_some() || leaked, &status.id, status.next_rotation_time) {
            (true, ..) => Rank::Urgent,
            (_, None, _) => Rank::New,
            (_, _, Some(due)) => Rank::Due(due),
            _ => Rank::Routine,
        }
    }

    fn token_or_self(&self) -> TokenRef {
        TokenRef::named_by(self)
    }

    fn lane(&self, context: &Context) -> (Lane, Option<usize>) {
        context.lane(self.token_or_self())
    }
}

impl Subject for ProviderKey {
    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Pass, Error> {
        provider_key::pass(object, Live(context)).await
    }

    fn rank(&self) -> Rank {
        let made = self.status.as_ref().is_some_and(|it| it.id.is_some());
        match (self.metadata.deletion_timestamp.is_some(), made) {
            (true, _) => Rank::Urgent,
            (_, false) => Rank::New,
            _ => Rank::Routine,
        }
    }

    fn token_or_self(&self) -> TokenRef {
        TokenRef::named_by(self)
    }

    fn lane(&self, context: &Context) -> (Lane, Option<usize>) {
        context.lane(self.token_or_self())
    }
}

impl Subject for ProjectSettings {
    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Pass, Error> {
        project_settings::pass(object, Live(context)).await
    }

    fn rank(&self) -> Rank {
        Rank::Routine
    }

    fn token_or_self(&self) -> TokenRef {
        TokenRef::named_by(self)
    }

    fn lane(&self, context: &Context) -> (Lane, Option<usize>) {
        context.lane(self.token_or_self())
    }
}

/// The live adapter over the context of the controllers.
#[derive(Clone)]
pub struct Live(pub Arc<Context>);

impl SecretPort for Secrets {
    fn namespace(&self) -> &str {
        Self::namespace(self)
    }

    fn version(&self, name: &str) -> Option<u64> {
        Self::version(self, name)
    }

    async fn get(&self, name: &str) -> kube::Result<Option<Secret>> {
        Self::get(self, name).await
    }

    async fn create(&self, secret: &Secret, write: Write) -> kube::Result<Secret> {
        Self::create(self, secret, write).await
    }

    async fn replace(&self, name: &str, secret: &Secret, write: Write) -> kube::Result<Secret> {
        Self::replace(self, name, secret, write).await
    }
}

impl VendorPort for Account {
    type Permit = Permit;

    fn gateway_url(&self) -> &str {
        self.gateway_url()
    }

    fn capabilities(&self) -> &'static Capabilities {
        self.capabilities()
    }

    fn usable(&self) -> Result<(), Fault> {
        self.usable()
    }

    fn latest(&self) -> Option<Arc<Listing>> {
        self.latest()
    }

    fn latest_spent(&self) -> Option<Arc<Spent>> {
        self.latest_spent()
    }

    fn latest_models(&self) -> Option<Arc<Catalog>> {
        self.latest_models()
    }

    fn models_asked(&self) -> bool {
        self.models_asked()
    }

    async fn permit(&self) -> Result<Permit, Fault> {
        self.permit().await
    }

    async fn list(&self, since: Timestamp) -> Result<Arc<Listing>, Fault> {
        self.list(since).await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        self.get(id).await
    }

    async fn get_to_revoke(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        self.get_to_revoke(id).await
    }

    async fn mint(&self, order: &Order, permit: &Permit) -> Result<Minted, Fault> {
        self.mint(order, permit).await
    }

    async fn reissue(&self, id: &KeyId, order: &Order, permit: &Permit) -> Result<Option<Minted>, Fault> {
        self.reissue(id, order, permit).await
    }

    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        self.recover(id).await
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        self.amend(id, amendment).await
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        self.revoke(id).await
    }

    fn latest_provider_keys(&self) -> Option<Arc<ProviderKeyListing>> {
        self.latest_provider_keys()
    }

    async fn list_provider_keys(&self) -> Result<ProviderKeyListing, Fault> {
        self.list_provider_keys().await
    }

    async fn create_provider_key(
        &self,
        order: &ProviderKeyOrder,
        permit: &Permit,
    ) -> Result<CreatedProviderKey, Fault> {
        self.create_provider_key(order, permit).await
    }

    async fn assign_provider_key(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault> {
        self.assign_provider_key(id, keys).await
    }

    async fn delete_provider_key(&self, id: &KeyId) -> Result<(), Fault> {
        self.delete_provider_key(id).await
    }

    async fn project(&self) -> Result<Project, Fault> {
        self.project().await
    }

    async fn change_project(&self, project: Project, wanted: &ProjectValues) -> Result<(), Fault> {
        self.change_project(project, wanted).await
    }
}

impl<K: Managed> ObjectPort<K> for Live {
    async fn read(&self, object: &K) -> kube::Result<Option<K>> {
        self.0.memory.reads_again(object);
        object::api(&self.0.client, object).get_opt(&object.name_any()).await
    }

    async fn claim(&self, object: &K, claim: &Claim, identity: &Identity) -> kube::Result<K> {
        object::claim(&self.0.client, &self.0.settings.class, object, claim, identity)
            .await
            .inspect(|made| self.0.memory.made(made))
    }

    async fn publish(&self, object: &K, status: &K::Status) -> kube::Result<K> {
        let written = object::write_status(&self.0.client, object, status).await;
        written.inspect(|made| self.0.memory.made(made))
    }

    async fn hold(&self, object: &K) -> kube::Result<K> {
        object::hold(&self.0.client, &self.0.settings.class, object)
            .await
            .inspect(|made| self.0.memory.made(made))
    }

    async fn release(&self, object: &K) -> kube::Result<K> {
        let made = object::release(&self.0.client, object).await?;
        self.0.memory.released(&made.uid().unwrap_or_default());
        Ok(made)
    }

    fn wrote(&self, object: &Arc<K>) {
        self.0.memory.wrote(Arc::clone(object));
    }

    fn notify(&self, object: &K, notice: Notice) {
        self.0.notify(object, notice);
    }

    fn decided(&self, object: &K, decision: &dyn std::fmt::Debug) {
        log_about!(trace, object, ?decision, "decided");
    }
}

impl Ports for Live {
    type Vendor = Account;
    type Secrets = Secrets;

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn slow_call(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn home(&self) -> &str {
        &self.0.settings.home
    }

    fn shares_tokens(&self) -> bool {
        self.0.sees_all
    }

    fn namespace_labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        self.0.namespaces.labels(namespace)
    }

    fn cluster(&self) -> &ClusterId {
        &self.0.cluster
    }

    fn poll(&self) -> SignedDuration {
        self.0.settings.poll
    }

    fn capabilities(&self, vendor: &Vendor) -> Option<&'static Capabilities> {
        self.0.settings.vendors.capabilities(vendor)
    }

    fn caches_filled(&self) -> bool {
        self.0.stores.filled()
    }

    fn secrets(&self, namespace: &str) -> Secrets {
        Secrets::new(self.0.client.clone(), namespace)
            .of_class(&self.0.settings.class)
            .watched_by(&self.0.versions)
    }

    fn token(&self, token: &TokenRef) -> Option<AnyToken> {
        self.0.token(token)
    }

    fn token_state(&self, token: &TokenRef) -> Option<TokenState<Account>> {
        self.0.accounts.state(token)
    }

    fn enqueue_token(&self, token: &TokenRef) {
        self.0.queues.enqueue_token(token);
    }

    fn place(&self, token: &AnyToken) -> Place {
        self.0.settings.vendors.place(token).place
    }

    fn remember<T>(&self, uid: &str, change: impl FnOnce(&mut Remembered) -> T) -> T {
        self.0.memory.remember(uid, change)
    }

    fn forget(&self, uid: &str) {
        self.0.memory.forget(uid);
    }

    fn measure(&self, what: Measure<'_>) {
        let metrics = &self.0.metrics;
        match what {
            Measure::Rotated(cause) => metrics.rotated(cause.name()),
            Measure::RotationFailed(cause) => metrics.rotation_failed(cause.name()),
            Measure::RotationOverdue(uid, overdue) => metrics.rotation_overdue(uid, overdue),
            Measure::LeakOpen(uid, open) => metrics.leak_open(uid, open),
            Measure::Restarted(count) => metrics.restarted(count),
            Measure::LeftBehind(kind, count) => metrics.left_behind(kind, count),
        }
    }

    async fn ledger(&self) -> Result<Book, ledger::Error> {
        self.0.ledger.list().await
    }

    async fn enter(&self, entries: &[Entry]) -> Result<(), ledger::Error> {
        self.0.ledger.record(entries).await
    }

    async fn note_missing(&self, entries: &[Entry]) -> Result<(), ledger::Error> {
        self.0.ledger.note_missing(entries).await
    }

    fn stop_sweeps(&self) {
        self.0.sweeps.stop();
    }

    async fn strike(&self, entry: &Entry) -> Result<(), ledger::Error> {
        self.0.ledger.forget(entry).await
    }
}

impl DoubtPorts for Live {
    fn newest_token(&self, token: &AnyToken) -> AnyToken {
        with_token!(token, token => self.0.memory.newest(Arc::clone(token)).into())
    }

    fn tokens_anywhere(&self, condition: impl Fn(&AnyToken) -> bool) -> Vec<AnyToken> {
        self.0.everywhere.iter().flat_map(|stores| stores.all_tokens(&condition)).collect()
    }

    fn each_key_anywhere(&self, token: &TokenRef, mut visit: impl FnMut(&GatewayApiKey)) {
        for stores in &self.0.everywhere {
            stores.keys.each_made_with(token, |key| visit(&self.0.memory.newest(key)));
        }
    }
}

impl KeyPorts for Live {
    fn keys_per_day(&self) -> u64 {
        self.0.settings.keys_per_day
    }

    fn made_today(&self, key: &GatewayApiKey) -> Option<KeyCount> {
        let token = TokenRef::named_by(key);
        self.0.minted(&token, &mints::name_of(&token, &object::namespace(key), &key.name_any()))
    }

    fn count_made(&self, key: &GatewayApiKey) {
        let (token, namespace) = (TokenRef::named_by(key), object::namespace(key));
        self.0.count_minted(&token, &mints::name_of(&token, &namespace, &key.name_any()));
        if let Some(total) = mints::total_of(&token, &namespace) {
            self.0.count_minted(&token, &total);
        }
    }

    fn made_in_namespace(&self, key: &GatewayApiKey) -> Option<KeyCount> {
        let token = TokenRef::named_by(key);
        self.0.minted(&token, &mints::total_of(&token, &object::namespace(key))?)
    }

    fn each_key_beside(&self, key: &GatewayApiKey, mut visit: impl FnMut(&GatewayApiKey)) {
        let (token, namespace, uid) = (TokenRef::named_by(key), key.namespace(), key.uid());
        self.0.stores.keys.each_made_with(&token, |other| {
            if other.namespace() == namespace && other.uid() != uid {
                // The cache may not show our own last write yet.
                visit(&self.0.memory.newest(other));
            }
        });
    }

    fn may_exist(&self, mark: &Mark) -> bool {
        // If only some namespaces are watched, the resource may exist in another one.
        !self.0.sees_all || self.0.stores.keys.has_uid(|uid| Mark::new(&self.0.cluster, uid) == *mark)
    }

    fn enqueue_provider_keys(&self, key: &GatewayApiKey) {
        let (namespace, name) = (key.namespace(), key.name_any());
        let refers = |it: &ProviderKey| {
            it.namespace() == namespace
                && it.spec.gateway_key_refs.iter().flatten().any(|reference| reference.name == name)
        };
        for object in self.0.stores.provider_keys.select(refers) {
            self.0.queues.enqueue(object);
        }
    }

    async fn find_workloads(&self, namespace: &str, targets: &[Target]) -> Looked {
        workloads::look(&self.0.client, namespace, targets).await
    }

    async fn restart(&self, restart: &Restart<'_>) -> Outcome {
        workloads::restart(&self.0.client, restart).await
    }

    fn is_released(&self, uid: &str) -> bool {
        self.0.memory.is_released(uid)
    }

    fn released(&self, uid: &str) {
        self.0.memory.released(uid);
    }

    async fn issue(&self, section: Issue<Self>) -> Option<Result<Issued, Error>> {
        Box::pin(self.0.critical.run(section.run())).await
    }
}

impl ProviderKeyPorts for Live {
    async fn entries(&self, namespace: &str, secret: &str) -> kube::Result<Option<Entries>> {
        self.secrets(namespace).entries(secret).await
    }

    fn gateway_key(&self, namespace: &str, name: &str) -> Option<Arc<GatewayApiKey>> {
        let key = self.0.stores.keys.find(namespace, name)?;
        Some(self.0.memory.newest(key))
    }

    fn vendors_with_provider_keys(&self) -> Vec<&'static str> {
        self.0.settings.vendors.able(|it| it.provider_keys).collect()
    }

    async fn store(&self, section: Store<Self>) -> Option<Result<Stored, Error>> {
        self.0.critical.run(section.run()).await
    }
}

impl ProjectPorts for Live {
    fn projects(&self, condition: impl Fn(&ProjectSettings) -> bool) -> Vec<Arc<ProjectSettings>> {
        self.0.stores.projects.all(condition)
    }

    fn vendors_with_projects(&self) -> Vec<&'static str> {
        self.0.settings.vendors.able(|it| it.project_settings).collect()
    }
}
