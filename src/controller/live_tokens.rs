//! The live adapter for console tokens. As in `live`, no decision is made here.

use super::context::Context;
use super::kinds::Listed;
use super::live::Live;
use super::sweep;
use super::{Error, Pass, Subject};
use crate::api::console_token::{CaBundleRef, MintedToday};
use crate::api::kind::{Kind, for_each_kind};
use crate::api::shared::SecretKeyRef;
use crate::api::{
    ClusterConsoleToken, ConsoleToken, GROUP, GatewayApiKey, MANAGED_BY_LABEL, MANAGER, ProviderKey, VERSION,
};
use crate::cluster::ca_bundle;
use crate::cluster::cache;
use crate::cluster::hold::Hold;
use crate::cluster::object::{self, Managed};
use crate::cluster::secret::Secrets;
use crate::gateway::account::{Account, Listing, Parts};
use crate::gateway::http::Wire;
use crate::gateway::shares::{ListingId, Membership};
use crate::plan::fault::Fault;
use crate::plan::identity::{AnyToken, ObjectName, TokenRef, with_token};
use crate::plan::listing::KeyId;
use crate::plan::models::Catalog;
use crate::plan::provider_key::ProviderKeyListing;
use crate::plan::spec_error::SpecError;
use crate::plan::turns::{Lane, Rank};
use crate::plan::usage::{Money, Span, Spent};
use crate::protocol::console_token;
use crate::protocol::console_token::ports::{
    AccountPort, Connect, Holds, Rules, TokenMeasure, TokenPorts, TokenSecretPort, WantedKey,
};
use crate::protocol::ports::{Ports, TokenState};
use jiff::{SignedDuration, Timestamp};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource, ResourceExt};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::Arc;

impl Subject for ConsoleToken {
    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Pass, Error> {
        console_token::pass(object.into(), Live(context)).await
    }

    fn rank(&self) -> Rank {
        Rank::Routine
    }

    fn token_or_self(&self) -> TokenRef {
        TokenRef::beside(self.namespace(), &self.name_any())
    }

    fn lane(&self, _: &Context) -> (Lane, Option<usize>) {
        (Lane::Poll(self.token_or_self()), None)
    }
}

impl Subject for ClusterConsoleToken {
    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Pass, Error> {
        console_token::pass(object.into(), Live(context)).await
    }

    fn rank(&self) -> Rank {
        Rank::Routine
    }

    fn token_or_self(&self) -> TokenRef {
        TokenRef::shared(&self.name_any())
    }

    fn lane(&self, _: &Context) -> (Lane, Option<usize>) {
        (Lane::Poll(self.token_or_self()), None)
    }
}

impl AccountPort for Account {
    fn lists(&self) -> Arc<ListingId> {
        self.lists()
    }

    fn proven_until(&self, poll: SignedDuration) -> Option<Timestamp> {
        self.proven_until(poll)
    }

    async fn probe(&self) -> Result<Arc<Listing>, Fault> {
        self.probe().await
    }

    fn take_recovered(&self) -> bool {
        self.take_recovered()
    }

    async fn join(&self) -> Result<(), Fault> {
        self.join().await
    }

    fn give_rate(&self, calls_per_second: Option<u32>) {
        self.give_rate(calls_per_second);
    }

    fn has_compared(&self, listing: &Arc<Listing>) {
        self.has_compared(listing);
    }

    async fn whose(&self) -> Result<Option<String>, Fault> {
        self.whose().await
    }

    fn set_whose(&self, id: &str) {
        self.set_whose(id);
    }

    async fn provider_keys_since(&self, since: Timestamp) -> Result<Arc<ProviderKeyListing>, Fault> {
        self.provider_keys_since(since).await
    }

    async fn models_since(&self, since: Timestamp) -> Result<Option<Arc<Catalog>>, Fault> {
        self.models_since(since).await
    }

    fn has_compared_models(&self, catalog: &Arc<Catalog>) -> bool {
        self.has_compared_models(catalog)
    }

    fn usage_due(&self, every: SignedDuration) -> Option<Timestamp> {
        self.usage_due(every)
    }

    async fn spending(&self, span: Span, keys: &[KeyId]) -> Result<Option<Arc<Spent>>, Fault> {
        self.spending(span, keys).await
    }

    async fn balance(&self) -> Result<Option<Money>, Fault> {
        self.balance().await
    }
}

impl TokenSecretPort for Secrets {
    async fn token(&self, place: &SecretKeyRef) -> kube::Result<Result<SecretString, SpecError>> {
        self.token(place).await
    }

    async fn holding(&self, name: &str) -> kube::Result<Option<Hold>> {
        self.holding(name).await
    }

    async fn hold(&self, name: &str) -> kube::Result<()> {
        self.hold(name).await
    }

    async fn let_go(&self, name: &str) -> kube::Result<()> {
        self.let_go(name).await
    }

    async fn is_namespace_ending(&self) -> kube::Result<bool> {
        self.is_namespace_ending().await
    }
}

impl Live {
    fn enqueue_all<K: Listed>(&self, token: &TokenRef) {
        for object in K::cache(&self.0.stores).made_with(token) {
            self.0.queues.enqueue::<K>(object);
        }
    }

    /// The objects that name the token. The field selector knows only its name, which a token of the other kind may have as
    /// well: what the cache shows to name that one is left out.
    async fn naming<K: Listed>(&self, token: &TokenRef) -> kube::Result<Vec<String>> {
        let params = ListParams::default().fields(&format!("spec.consoleTokenRef.name={}", token.name));
        let objects: Api<PartialObjectMeta<K>> = object::within(&self.0.client, token.namespace.as_deref());
        let found = objects.list(&params).await?;
        let names_another = |it: &PartialObjectMeta<K>| {
            let cached = K::cache(&self.0.stores).find(&object::namespace(it), &it.name_any());
            cached.is_some_and(|cached| cached.uid() == it.uid() && !cached.is_made_with(token))
        };
        let shown = |it: &PartialObjectMeta<K>| match it.namespace().filter(|_| token.namespace.is_none()) {
            Some(namespace) => format!("{} {namespace}/{}", K::KIND, it.name_any()),
            None => format!("{} {}", K::KIND, it.name_any()),
        };
        Ok(found.iter().filter(|it| !names_another(it)).map(shown).collect())
    }
}

impl TokenPorts for Live {
    fn rules(&self) -> Rules<'_> {
        let settings = &self.0.settings;
        Rules {
            endpoints: &settings.endpoints,
            gateways: &settings.gateways,
            cluster_tokens_only: settings.cluster_tokens_only,
        }
    }

    fn vendor_fields(&self) -> Vec<&'static str> {
        self.0.settings.vendors.fields()
    }

    async fn ca_bundle(
        &self,
        namespace: &str,
        place: &CaBundleRef,
    ) -> kube::Result<Result<Vec<u8>, SpecError>> {
        ca_bundle::read(&self.0.client, namespace, place).await
    }

    fn connect(&self, connect: Connect<'_>) -> Option<Arc<Account>> {
        let Connect { token, spec, base, secret, gateway_url, authorities } = connect;
        let driver = self.0.settings.vendors.driver(&spec.vendor)?;
        let clock = self.0.clock.clone();
        let shares = Arc::clone(&self.0.shares);
        let id = shares.of_credential(&spec.vendor, driver.capabilities.name, base.as_str(), &secret);
        let transport = if authorities.is_empty() { None } else { self.0.transport.trusting(&authorities) };
        let transport = transport.unwrap_or_else(|| Arc::clone(&self.0.transport));
        let wire = Wire::new(base, secret, transport, clock.clone());
        let gateway = driver.connect(&spec.vendor, wire);
        let (queues, token) = (self.0.queues.clone(), token.clone());
        let alarm = Box::new(move || queues.enqueue_token(&token));
        let metrics = self.0.metrics.clone();
        let membership = Membership { shares, id };
        Some(Arc::new(Account::new(Parts { gateway, gateway_url, alarm, clock, metrics, membership })))
    }

    fn set_token_state(&self, token: &TokenRef, state: TokenState<Account>) -> bool {
        self.0.accounts.set(token.clone(), state)
    }

    fn forget_token(&self, token: &TokenRef) {
        let listing = self.0.accounts.state(token).and_then(|it| it.account).map(|it| it.lists());
        self.0.accounts.remove(token);
        if let Some(listing) = listing {
            sweep::forget(&self.0, &listing);
        }
    }

    fn seed(&self, listing: &ListingId, uid: &str) -> String {
        self.0.accounts.seed(listing, uid)
    }

    fn is_first(&self, token: &TokenRef, account: &Account, poll: SignedDuration) -> bool {
        self.0.accounts.is_first(token, account, poll)
    }

    fn holds(&self, uid: &str, holds: Option<Holds>) -> Option<Holds> {
        self.0.memory.holds(uid, holds)
    }

    fn compared(&self, uid: &str, as_of: Timestamp) -> Option<Timestamp> {
        self.0.memory.compared(uid, as_of)
    }

    fn verification_failed(&self, uid: &str) -> SignedDuration {
        let wait = self.0.memory.failed(&format!("probe/{uid}"));
        SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX)
    }

    fn verification_succeeded(&self, uid: &str) {
        self.0.memory.forget(&format!("probe/{uid}"));
    }

    fn measure_token(&self, token: &TokenRef, what: TokenMeasure) {
        let metrics = &self.0.metrics;
        match what {
            TokenMeasure::Balance(money) => metrics.balance(token, &money),
            TokenMeasure::Spending(uid, keys) => metrics.spending(&uid, keys),
            TokenMeasure::Forgotten => metrics.forget_token(token),
        }
    }

    fn tokens(&self, condition: impl Fn(&AnyToken) -> bool) -> Vec<AnyToken> {
        self.0.stores.all_tokens(condition)
    }

    fn each_key_of(&self, token: &TokenRef, mut visit: impl FnMut(&GatewayApiKey)) {
        self.0.stores.keys.each_made_with(token, |key| visit(&key));
    }

    fn key(&self, name: &ObjectName) -> Option<Arc<GatewayApiKey>> {
        let key = self.0.stores.keys.find(&name.namespace, &name.name)?;
        // The key enqueues its token right after its own write. The watch cache may not show that write yet, and no
        // later event would enqueue the token.
        Some(self.0.memory.newest(key))
    }

    fn provider_keys_of(&self, token: &TokenRef) -> Vec<Arc<ProviderKey>> {
        let mut found = Vec::new();
        self.0.stores.provider_keys.each_made_with(token, |key| found.push(key));
        found
    }

    fn is_needed(&self, token: &TokenRef) -> bool {
        let mut needed = false;
        for_each_kind!(K => if K::NEEDS_TOKEN_TO_END {
            needed |= self.0.stores.has_work_with::<K>(token);
        });
        needed
    }

    async fn dependants(&self, token: &TokenRef) -> kube::Result<Vec<String>> {
        let mut names = Vec::new();
        for_each_kind!(K => if K::NEEDS_TOKEN_TO_END {
            names.extend(self.naming::<K>(token).await?);
        });
        Ok(names)
    }

    fn enqueue_dependants(&self, token: &TokenRef) {
        for_each_kind!(K => self.enqueue_all::<K>(token));
    }

    fn enqueue_key(&self, name: &ObjectName) {
        self.0.queues.enqueue::<GatewayApiKey>(cache::named(Some(&name.namespace), &name.name));
    }

    fn enqueue_provider_key(&self, key: &ProviderKey) {
        self.0.queues.enqueue::<ProviderKey>(cache::reference(key));
    }

    fn enqueue_secret(&self, secret: ObjectName) {
        self.0.queues.enqueue_secret(secret);
    }

    async fn write_key(&self, token: &AnyToken, wanted: WantedKey<'_>) -> kube::Result<GatewayApiKey> {
        let ObjectName { namespace, name } = &wanted.name;
        let api: Api<GatewayApiKey> = object::within(&self.0.client, Some(namespace));
        let object = key_of(token, &wanted);
        if wanted.exists {
            return api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await;
        }
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        api.create(&params, &serde_json::from_value(object).map_err(kube::Error::SerdeError)?).await
    }

    fn made_today_with(&self, token: &AnyToken) -> Option<Vec<MintedToday>> {
        self.0.minted_today(token, self.now())
    }

    async fn sweep(&self, token: &AnyToken, account: &Account, listing: &Listing) {
        sweep::after_listing(&self.0, token, account, listing).await;
    }

    fn orphans(&self, listing: Option<&ListingId>, shown: Option<u32>) -> Option<u32> {
        self.0.sweeps.count(listing, shown)
    }
}

/// The GatewayApiKey of a minted token, as it is written.
fn key_of(token: &AnyToken, wanted: &WantedKey<'_>) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": GatewayApiKey::KIND,
        "metadata": {
            "name": wanted.name.name,
            "annotations": wanted.annotations,
            "labels": {MANAGED_BY_LABEL: MANAGER},
            "ownerReferences": [with_token!(token, token => token.controller_owner_ref(&()))],
        },
        "spec": wanted.spec,
    })
}
