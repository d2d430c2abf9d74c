//! The dependents of a console token, which are enqueued when a listing concerns them.

use super::TokenPass;
use super::ports::{AccountPort, TokenPorts};
use crate::cluster::object;
use crate::gateway::account::Listing;
use crate::plan::identity::ObjectName;
use crate::plan::notice::{self, Index, Subject};
use crate::plan::retry;
use crate::protocol::key;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

impl<P: TokenPorts> TokenPass<P> {
    /// Enqueues keys that the listing concerns, and keys that called the vendor since the listing compared before:
    /// those wait for a listing that is newer than their call.
    pub(super) fn enqueue_concerned(&self, listing: &Listing, before: Option<Timestamp>) {
        let Some(capabilities) = self.ports.capabilities(&self.token.spec().vendor) else {
            return;
        };
        let index = Index::new(listing.as_of, &listing.keys);
        let now = self.ports.now();
        self.ports.each_key_of(&self.reference(), |key| {
            let uid = key.uid().unwrap_or_default();
            let stale_before = self.ports.remember(&uid, |it| it.stale_before());
            if stale_before.is_some_and(|stale_before| listing.as_of <= stale_before) {
                return;
            }
            let awaited = stale_before.is_some() && stale_before >= before;
            let identity = key::identity(key, &self.ports);
            let claim = object::claim_of(key, &identity);
            let subject = Subject { key, claim, identity: &identity, capabilities, now };
            if awaited || notice::concerns(&subject, &index) {
                self.ports.enqueue_key(&ObjectName::new(&object::namespace(key), &key.name_any()));
            }
        });
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
