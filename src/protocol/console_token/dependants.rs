//! The dependents of a console token, which are enqueued when a listing concerns them.

use super::TokenPass;
use super::ports::{AccountPort, TokenPorts};
use crate::cluster::object;
use crate::gateway::account::Listing;
use crate::plan::identity::ObjectName;
use crate::plan::notice::{self, Subject};
use crate::plan::report;
use crate::plan::retry;
use crate::protocol::key;
use crate::protocol::ports::VendorPort;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

impl<P: TokenPorts> TokenPass<P> {
    /// Enqueues keys that the listing concerns, and keys that called the vendor since the listing compared before:
    /// those wait for a listing that is newer than their call.
    pub(super) fn enqueue_concerned(&self, listing: &Listing, before: Option<Timestamp>) {
        let Some(capabilities) = self.ports.capabilities(&self.token.spec().vendor) else {
            return;
        };
        let index = listing.index();
        let now = self.ports.now();
        self.ports.each_key_of(&self.reference(), |key| {
            let uid = key.uid().unwrap_or_default();
            let stale_before = self.ports.remember(&uid, |it| it.stale_before());
            let identity = key::identity(key, &self.ports);
            let claim = object::claim_of(key, &identity);
            let subject = Subject { key, claim, identity: &identity, capabilities, now };
            if notice::enqueues(&subject, &index, stale_before, before) {
                self.ports.enqueue_key(&ObjectName::new(&object::namespace(key), &key.name_any()));
            }
        });
    }

    /// One reading serves every key of the account that names models; without one, nothing is read. Keys whose status would say
    /// something else are enqueued.
    pub(super) async fn poll_models(&self, account: &P::Vendor, poll: SignedDuration) {
        let rules = account.capabilities().models;
        if !rules.listed || !self.names_models() {
            return;
        }
        let since = retry::plus(self.ports.now(), -(poll - poll / 4));
        let catalog = match account.models_since(since).await {
            Ok(Some(catalog)) => catalog,
            Ok(None) => return,
            Err(fault) => {
                self.log("models could not be listed; they are with the next poll", &fault);
                return;
            }
        };
        if account.has_compared_models(&catalog) {
            return;
        }
        let title = account.capabilities().title;
        self.ports.each_key_of(&self.reference(), |key| {
            let Some(status) = key.status.as_ref().filter(|it| it.id.is_some()) else { return };
            if key.spec.models.is_empty() {
                return;
            }
            let found = catalog.find(&key.spec.models, rules);
            if !report::models::is_told(status, &found, title) {
                self.ports.enqueue_key(&ObjectName::new(&object::namespace(key), &key.name_any()));
            }
        });
    }

    fn names_models(&self) -> bool {
        let mut any = false;
        self.ports.each_key_of(&self.reference(), |key| any |= !key.spec.models.is_empty());
        any
    }

    /// One listing serves every provider key of the account; without provider keys, nothing is listed.
    pub(super) async fn poll_provider_keys(&self, account: &P::Vendor, poll: SignedDuration) {
        let keys = self.ports.provider_keys_of(&self.reference());
        if keys.is_empty() {
            return;
        }
        // A listing that another token of the account made for this poll is reused, but not one of the poll before.
        let since = retry::plus(self.ports.now(), -(poll / 4));
        let view = match account.provider_keys_since(since).await {
            Ok(view) => view,
            Err(fault) => {
                self.log("provider keys could not be listed; they are with the next poll", &fault);
                return;
            }
        };
        for key in keys {
            if key.status.as_ref().is_some_and(|status| view.differs(status)) {
                self.ports.enqueue_provider_key(&key);
            }
        }
    }
}
