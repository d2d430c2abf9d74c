//! Whoever works with a ConsoleToken: woken when something changes for them, asked for when it goes.

use super::super::Error;
use super::Work;
use crate::api::{GatewayApiKey, ProjectSettings, ProviderKey};
use crate::cluster::object::log_about;
use crate::cluster::{object, watch};
use crate::controller::context::Context;
use crate::controller::live::Live;
use crate::gateway::account::{Account, Listing};
use crate::plan::notice::{self, Index, Subject};
use crate::plan::retry;
use crate::protocol::key;
use jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use std::sync::Arc;

impl Work {
    /// Keys for which the listing has something, and keys that changed something at the vendor since the last listing that
    /// was looked at: what follows for them was waiting for one that may be believed.
    pub(super) fn wake_concerned(&self, listing: &Listing, before: Option<Timestamp>) {
        let Some(capabilities) = self.context.settings.vendors.capabilities(&self.token.spec.vendor) else {
            return;
        };
        let index = Index::new(listing.as_of, &listing.keys);
        let (place, now) = ((self.namespace(), self.token.name_any()), self.context.clock.now());
        for guard in self.context.stores.keys.state() {
            let Ok(key) = &guard.0 else { continue };
            if key.spec.console_token_ref.name != place.1 || key.namespace().as_ref() != Some(&place.0) {
                continue;
            }
            let uid = key.uid().unwrap_or_default();
            let floor = self.context.memory.remember(&uid, |it| it.stale_before());
            if floor.is_some_and(|floor| listing.as_of <= floor) {
                continue;
            }
            let awaited = floor.is_some() && floor >= before;
            let identity = key::identity(key, &Live(Arc::clone(&self.context)));
            let claim = object::claim_of(key, &identity);
            let subject = Subject { key, claim, identity: &identity, capabilities, now };
            if awaited || notice::concerns(&subject, &index) {
                let _ = self.context.wakers.keys.send(watch::reference(key));
            }
        }
    }

    /// One listing serves every deposit of the account; there is none where nobody deposits anything.
    pub(super) async fn poll_deposits(&self, account: &Account, poll: SignedDuration) {
        let (namespace, name) = (self.namespace(), self.token.name_any());
        let refers = |it: &ProviderKey| {
            it.namespace().as_deref() == Some(&namespace) && it.spec.console_token_ref.name == name
        };
        if watch::select(&self.context.stores.deposits, refers).is_empty() {
            return;
        }
        // What another token of the account listed for this poll will do, and not what it did for the last one.
        let since = retry::plus(self.context.clock.now(), -(poll / 4));
        let view = match account.deposits_since(since).await {
            Ok(view) => view,
            Err(fault) => {
                log_about!(debug, self.token.as_ref(), %fault, "provider keys could not be listed; they are with the next poll");
                return;
            }
        };
        let differs =
            |it: &ProviderKey| refers(it) && it.status.as_ref().is_some_and(|status| view.differs(status));
        for deposit in watch::select(&self.context.stores.deposits, differs) {
            let _ = self.context.wakers.deposits.send(deposit);
        }
    }

    pub(super) fn wake_dependants(&self) {
        let (namespace, name) = (self.namespace(), self.token.name_any());
        let ours = |place: Option<String>, reference: &str| {
            place.as_deref() == Some(&namespace) && reference == name
        };
        let keys = |it: &GatewayApiKey| ours(it.namespace(), &it.spec.console_token_ref.name);
        for key in watch::select(&self.context.stores.keys, keys) {
            let _ = self.context.wakers.keys.send(key);
        }
        let projects = |it: &ProjectSettings| ours(it.namespace(), &it.spec.console_token_ref.name);
        for project in watch::select(&self.context.stores.projects, projects) {
            let _ = self.context.wakers.projects.send(project);
        }
        let deposits = |it: &ProviderKey| ours(it.namespace(), &it.spec.console_token_ref.name);
        for deposit in watch::select(&self.context.stores.deposits, deposits) {
            let _ = self.context.wakers.deposits.send(deposit);
        }
    }

    pub(super) async fn dependants(&self) -> Result<Vec<String>, Error> {
        of(&self.context, &self.namespace(), &self.token.name_any()).await
    }
}

/// What depends on the ConsoleToken of that name. Asked of the API server, not of a cache.
pub(super) async fn of(context: &Context, namespace: &str, token: &str) -> Result<Vec<String>, Error> {
    let params = ListParams::default().fields(&format!("spec.consoleTokenRef.name={token}"));
    let keys: Api<kube::core::PartialObjectMeta<GatewayApiKey>> =
        Api::namespaced(context.client.clone(), namespace);
    let deposits: Api<kube::core::PartialObjectMeta<ProviderKey>> =
        Api::namespaced(context.client.clone(), namespace);
    let mut names: Vec<_> =
        keys.list(&params).await?.iter().map(|it| format!("GatewayApiKey {}", it.name_any())).collect();
    names.extend(deposits.list(&params).await?.iter().map(|it| format!("ProviderKey {}", it.name_any())));
    Ok(names)
}
