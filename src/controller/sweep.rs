//! Runs `protocol::sweep` after a listing, if that is due.

use super::context::Context;
use super::live::Live;
use crate::cluster::{inventory, ledger};
use crate::gateway::account::{Account, Listing};
use crate::gateway::shares::ListingId;
use crate::plan::identity::{AnyToken, log_token, with_token};
use crate::plan::ledger::{Book, Missing};
use crate::plan::orphans::Known;
use crate::plan::report::Notice;
use crate::protocol::sweep::{Skipped, Sweep, SweepPorts};
use std::sync::Arc;

/// A ConsoleToken with this listing is gone: forgets the listing, unless another token shares it.
pub fn forget(context: &Context, listing: &ListingId) {
    if context.accounts.list(listing) {
        return;
    }
    if let Some((vendor, left)) = context.sweeps.forget(listing) {
        context.metrics.orphans(vendor, left);
    }
}

/// Sweeps if that is due, right after a listing. Errors of a sweep do not affect the ConsoleToken.
pub async fn after_listing(context: &Arc<Context>, token: &AnyToken, account: &Account, listing: &Listing) {
    let id = account.lists();
    let seed = context.accounts.seed(&id, &token.uid().unwrap_or_default());
    let vendor = account.capabilities().name;
    if !context.sweeps.is_due(&id, vendor, &seed, context.clock.now()) {
        return;
    }
    context.sweeps.forget_unlisted(|it| *it == *id || context.accounts.list(it));
    let place = context.settings.vendors.place(token);
    let sweep = Sweep { ports: &Live(Arc::clone(context)), token, place, account, listing };
    let skipped = match sweep.run(&context.sweeps.suspects(&id)).await {
        Ok(swept) => {
            context.metrics.orphans_revoked(vendor, swept.revoked.len());
            if let Some((vendor, left)) = context.sweeps.found(&id, swept.suspects) {
                context.metrics.orphans(vendor, left);
            }
            swept.undecided
        }
        // The status of the token says it; the sweep comes with the next listing after the doubt.
        Err(Skipped::Doubted(_)) => return context.sweeps.retry(&id, context.clock.now()),
        // It was logged when the sweeps were stopped.
        Err(Skipped::Stopped) => return,
        Err(skipped) => Some(skipped),
    };
    if let Some(error) = &skipped {
        log_token!(warn, token, %error, "no sweep for orphaned keys this time; the next one comes by itself");
    }
    context.metrics.swept(if skipped.is_none() { "ok" } else { "skipped" });
}

impl SweepPorts for Live {
    async fn known_by_marks(&self) -> kube::Result<Known> {
        inventory::marks(&self.0.client, &self.0.cluster).await
    }

    async fn known_by_everything(&self) -> kube::Result<Known> {
        inventory::everything(&self.0.client, &self.0.cluster).await
    }

    fn sweeps_stopped(&self) -> bool {
        self.0.sweeps.are_stopped()
    }

    async fn open_ledger(&self) -> Result<Book, ledger::Error> {
        self.0.ledger.open().await
    }

    fn missing<T>(&self, change: impl FnOnce(&mut Missing) -> T) -> T {
        change(&mut self.0.sweeps.missing())
    }

    fn announce(&self, token: &AnyToken, notice: Notice) {
        with_token!(token, token => self.0.notify(token.as_ref(), notice));
    }
}
