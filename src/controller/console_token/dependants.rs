//! Whoever works with a ConsoleToken: woken when something changes for them, asked for when it goes.

use super::super::Error;
use super::Work;
use crate::api::{GatewayApiKey, ProjectSettings, ProviderKey};
use crate::cluster::watch;
use crate::gateway::account::{Account, Listing};
use crate::plan::{report, retry};
use jiff::SignedDuration;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use std::collections::{HashMap, HashSet};

impl Work {
    /// Keys whose entries in the listing differ from the last one's, keys whose status names one that the listing
    /// lacks, and keys for which the last one was begun too early to be believed; all of them after the first listing.
    pub(super) fn wake_changed(&self, before: Option<&Listing>, after: &Listing) {
        let marks = before.map(|before| changed_marks(before, after));
        let listed: HashSet<&str> = after.keys.iter().map(|key| key.id.0.as_str()).collect();
        let (namespace, name) = (self.namespace(), self.token.name_any());
        let missing = |it: &GatewayApiKey| {
            let id = it.status.as_ref().and_then(|status| status.id.as_deref());
            id.is_some_and(|id| !listed.contains(id))
        };
        let unbelieved = |it: &GatewayApiKey| {
            let floor = self.context.memory.floor(&it.uid().unwrap_or_default());
            floor.is_some() && floor >= before.map(|before| before.as_of)
        };
        let refers = |it: &GatewayApiKey| {
            it.namespace().as_deref() == Some(&namespace)
                && it.spec.console_token_ref.name == name
                && marks.as_ref().is_none_or(|marks| {
                    let external = it.spec.external_id.as_ref().is_some_and(|id| marks.contains(id));
                    external
                        || marks.contains(&self.context.mark(it).to_string())
                        || missing(it)
                        || unbelieved(it)
                })
        };
        for key in watch::select(&self.context.stores.keys, refers) {
            let _ = self.context.wakers.keys.send(key);
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
                tracing::debug!(%fault, "deposits could not be listed; they are with the next poll");
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
        let namespace = self.namespace();
        let selector = format!("spec.consoleTokenRef.name={}", self.token.name_any());
        let params = ListParams::default().fields(&selector);
        let keys: Api<kube::core::PartialObjectMeta<GatewayApiKey>> =
            Api::namespaced(self.context.client.clone(), &namespace);
        let deposits: Api<kube::core::PartialObjectMeta<ProviderKey>> =
            Api::namespaced(self.context.client.clone(), &namespace);
        let mut names: Vec<_> =
            keys.list(&params).await?.iter().map(|it| format!("GatewayApiKey {}", it.name_any())).collect();
        names.extend(deposits.list(&params).await?.iter().map(|it| format!("ProviderKey {}", it.name_any())));
        Ok(names)
    }
}

/// Marks of ours, and ids of unmarked keys, whose keys appeared, went, or changed in a way that somebody would act on.
fn changed_marks(before: &Listing, after: &Listing) -> HashSet<String> {
    let digest = |listing: &Listing| {
        let mut marks: HashMap<String, Vec<String>> = HashMap::new();
        for key in &listing.keys {
            // A key without a mark may be one that somebody looks at by its id.
            let mark = crate::plan::naming::Mark::parse(&key.name);
            let mark = mark.map_or_else(|| key.id.0.clone(), |(mark, _)| mark.to_string());
            let used = report::to_the_hour(None, key.last_used_at);
            let entry = format!("{} {} {:?} {used:?} {:?}", key.id, key.name, key.expires_at, key.shown);
            marks.entry(mark).or_default().push(entry);
        }
        marks
    };
    let (before, after) = (digest(before), digest(after));
    let names: HashSet<_> = before.keys().chain(after.keys()).cloned().collect();
    names.into_iter().filter(|mark| before.get(mark) != after.get(mark)).collect()
}
