//! The dependents of a ConsoleToken: enqueued when something changes for them, and counted when the token is deleted.

use super::super::Error;
use super::Work;
use crate::api::kind::{Kind, for_each_kind};
use crate::api::{GatewayApiKey, ProviderKey};
use crate::cluster::object::{Managed, log_about};
use crate::cluster::{object, watch};
use crate::controller::context::Context;
use crate::controller::kinds::Listed;
use crate::controller::live::Live;
use crate::gateway::account::{Account, Listing};
use crate::plan::identity::TokenRef;
use crate::plan::notice::{self, Index, Subject};
use crate::plan::retry;
use crate::protocol::key;
use jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use std::sync::Arc;

impl Work {
    /// Enqueues keys that the listing concerns, and keys that called the vendor since the listing compared before:
    /// those wait for a listing that is newer than their call.
    pub(super) fn enqueue_concerned(&self, listing: &Listing, before: Option<Timestamp>) {
        let Some(capabilities) = self.context.settings.vendors.capabilities(&self.token.spec.vendor) else {
            return;
        };
        let index = Index::new(listing.as_of, &listing.keys);
        let (token, now) = (self.reference(), self.context.clock.now());
        for guard in self.context.stores.keys.state() {
            let Ok(key) = &guard.0 else { continue };
            if !key.is_made_with(&token) {
                continue;
            }
            let uid = key.uid().unwrap_or_default();
            let stale_before = self.context.memory.remember(&uid, |it| it.stale_before());
            if stale_before.is_some_and(|stale_before| listing.as_of <= stale_before) {
                continue;
            }
            let awaited = stale_before.is_some() && stale_before >= before;
            let identity = key::identity(key, &Live(Arc::clone(&self.context)));
            let claim = object::claim_of(key, &identity);
            let subject = Subject { key, claim, identity: &identity, capabilities, now };
            if awaited || notice::concerns(&subject, &index) {
                self.context.queues.enqueue::<GatewayApiKey>(watch::reference(key));
            }
        }
    }

    /// One listing serves every provider key of the account; without provider keys, nothing is listed.
    pub(super) async fn poll_provider_keys(&self, account: &Account, poll: SignedDuration) {
        let token = self.reference();
        let refers = |it: &ProviderKey| it.is_made_with(&token);
        if watch::select(&self.context.stores.provider_keys, refers).is_empty() {
            return;
        }
        // A listing that another token of the account made for this poll is reused, but not one of the poll before.
        let since = retry::plus(self.context.clock.now(), -(poll / 4));
        let view = match account.provider_keys_since(since).await {
            Ok(view) => view,
            Err(fault) => {
                log_about!(debug, self.token.as_ref(), %fault, "provider keys could not be listed; they are with the next poll");
                return;
            }
        };
        let differs =
            |it: &ProviderKey| refers(it) && it.status.as_ref().is_some_and(|status| view.differs(status));
        for provider_key in watch::select(&self.context.stores.provider_keys, differs) {
            self.context.queues.enqueue::<ProviderKey>(provider_key);
        }
    }

    /// Enqueues all dependents of this token.
    pub(super) fn enqueue_dependants(&self) {
        let token = self.reference();
        for_each_kind!(K => self.enqueue_all::<K>(&token));
    }

    fn enqueue_all<K: Listed>(&self, token: &TokenRef) {
        for object in watch::select(K::store(&self.context.stores), |it: &K| it.is_made_with(token)) {
            self.context.queues.enqueue::<K>(object);
        }
    }

    /// Dependents that need this token for their cleanup, read from the API server, not from a cache.
    pub(super) async fn dependants(&self) -> Result<Vec<String>, Error> {
        of(&self.context, &self.reference()).await
    }
}

/// Dependents that need that console token for their cleanup, read from the API server, not from a cache.
pub(super) async fn of(context: &Context, token: &TokenRef) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for_each_kind!(K => if K::NEEDS_TOKEN_TO_END {
        names.extend(naming::<K>(context, token).await?);
    });
    Ok(names)
}

/// The field selector knows only the token's name. If tokens of several kinds have that name, the token is kept for
/// too many dependents rather than for too few.
async fn naming<K: Managed>(context: &Context, token: &TokenRef) -> Result<Vec<String>, Error> {
    let params = ListParams::default().fields(&format!("spec.consoleTokenRef.name={}", token.name));
    let objects: Api<PartialObjectMeta<K>> = object::within(&context.client, token.namespace.as_deref());
    let found = objects.list(&params).await?;
    Ok(found.iter().map(|it| format!("{} {}", K::KIND, it.name_any())).collect())
}
