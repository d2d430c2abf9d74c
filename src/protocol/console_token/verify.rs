//! Verifies a console token by one listing, which is also the poll for every key.

use super::ports::{AccountPort, TokenPorts};
use super::{Connection, LEAST, LONGEST_PROBE, TokenPass, Verification};
use crate::api::RECONCILE_REQUESTED;
use crate::gateway::account::Listing;
use crate::gateway::shares::ListingId;
use crate::plan::fault::Fault;
use crate::plan::{report, retry};
use crate::protocol::ports::VendorPort;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// How much longer the other tokens of an account wait than the one that lists next: a tenth of the interval, and at
/// most this.
const GRACE: SignedDuration = SignedDuration::from_secs(20);

/// A listing, and where it comes from.
struct Seen {
    listing: Arc<Listing>,
    /// Whether it was made in this pass.
    probed: bool,
    /// Whether it is the first one with this token.
    fresh: bool,
}

impl<P: TokenPorts> TokenPass<P> {
    /// Verifies the token by a listing: the call without side effects, and the poll. It is skipped while the last
    /// listing of the account, by whichever token, is recent and succeeded; but at an interval, this token lists by
    /// itself.
    pub(super) async fn verify(
        &mut self,
        account: Arc<P::Vendor>,
        connection: Connection<P::Vendor>,
    ) -> Verification<P::Vendor> {
        let now = self.ports.now();
        let poll = self.poll(&account);
        let asked = self.token.annotation(RECONCILE_REQUESTED)
            != self.token.status().and_then(|it| it.last_handled_reconcile_at.as_ref());
        let proven = account.proven_until(poll).filter(|_| !asked);
        let latest = account.latest();
        let (listed, probed) = match (proven, &latest) {
            (Some(_), Some(latest)) if retry::plus(latest.as_of, poll) > now => {
                (Ok(Arc::clone(latest)), false)
            }
            (Some(_), _) => (account.list(retry::plus(now, -poll)).await, true),
            (None, _) => (account.probe().await, true),
        };
        match listed {
            Ok(listing) => {
                if account.take_recovered() {
                    // What waits for the token says so in its status. The listing of a dependent may have closed the breaker.
                    self.ports.enqueue_dependants(&self.reference());
                }
                let next = retry::plus(listing.as_of, self.patience(&account)).max(retry::plus(now, LEAST));
                let requeue_at = account.proven_until(poll).map_or(next, |proven| next.min(proven));
                let seen = Seen { listing, probed, fresh: latest.is_none() };
                self.seen(&account, connection, seen, requeue_at).await
            }
            Err(fault) => {
                // Without a listing the vendor was never seen to accept this token, and the previous token must not
                // be given up for it.
                let connection =
                    Connection { serial: connection.serial.filter(|_| latest.is_some()), ..connection };
                self.failed(&fault, connection, true)
            }
        }
    }

    /// Interval between two listings: the same for all tokens that share a listing.
    fn poll(&self, account: &P::Vendor) -> SignedDuration {
        let seed = self.ports.seed(&account.lists(), &self.uid());
        retry::jittered(self.ports.poll(), &seed)
    }

    /// The listing of this token, once the token is verified.
    pub(super) fn lists(&self) -> Option<Arc<ListingId>> {
        let state = self.ports.token_state(&self.reference())?;
        state.account.map(|account| account.lists())
    }

    /// Age of the newest listing at which this token's next pass is due: by then it lists, or another token has
    /// listed.
    fn patience(&self, account: &P::Vendor) -> SignedDuration {
        let poll = self.poll(account);
        let first = self.ports.is_first(&self.reference(), account, poll);
        if first { poll } else { poll + GRACE.min(poll / 10) }
    }

    /// Evaluates a listing, made in this pass or by another token.
    async fn seen(
        &mut self,
        account: &P::Vendor,
        connection: Connection<P::Vendor>,
        seen: Seen,
        requeue_at: Timestamp,
    ) -> Verification<P::Vendor> {
        let verdict = match self.identify(account, &connection.credential, &seen.listing, seen.fresh).await {
            Ok(verdict) => verdict,
            Err(fault) => {
                let proven = self.is_proven(&connection.credential);
                return self.failed(&fault, Connection { serial: None, ..connection }, proven);
            }
        };
        if seen.probed {
            self.ports.verification_succeeded(&self.uid());
        }
        if let Some(verdict) = verdict {
            let summary = verdict.message.clone();
            let connection = Connection { serial: None, ..connection };
            return Verification {
                connection,
                doubt: Some(summary.clone()),
                verdict,
                summary,
                requeue_at: Some(requeue_at),
            };
        }
        self.compare(account, &seen.listing).await;
        self.poll_models(account, self.poll(account)).await;
        let verdict = report::token::verified(&self.token);
        Verification {
            connection,
            verdict,
            summary: String::new(),
            doubt: None,
            requeue_at: Some(requeue_at),
        }
    }

    /// Compares a listing with the dependents of this token, once per listing, whichever pass made it.
    async fn compare(&self, account: &P::Vendor, listing: &Arc<Listing>) {
        let before = self.ports.compared(&self.uid(), listing.as_of);
        if before >= Some(listing.as_of) {
            return;
        }
        self.enqueue_concerned(listing, before);
        account.has_compared(listing);
        if let Err(fault) = account.join().await {
            self.log("whose account the token leads to is asked again with the next listing", &fault);
        }
        self.poll_provider_keys(account, self.poll(account)).await;
        self.ports.sweep(&self.token, account, listing).await;
    }

    /// The listing failed. `proven`: the token keeps the readiness it had before.
    fn failed(
        &self,
        fault: &Fault,
        connection: Connection<P::Vendor>,
        proven: bool,
    ) -> Verification<P::Vendor> {
        let (now, uid) = (self.ports.now(), self.uid());
        let wait = self.ports.verification_failed(&uid).min(LONGEST_PROBE);
        let next = retry::after(fault, 1, &uid, now).max(retry::plus(now, wait));
        // A probe may run before other calls may be retried; a pause that the vendor asked for is kept.
        let longest = retry::plus(now, LONGEST_PROBE.max(wait)).max(fault.kind.not_before().unwrap_or(now));
        let next = next.min(longest);
        let was_ready = self.is_ready() && proven && !fault.blames_token();
        let occurrence = report::occurrence(self.last_pass().as_ref(), fault);
        let verdict = report::token::refused(fault, &self.token, self.hint(), next, occurrence);
        let verdict = verdict.still_ready(was_ready).about(fault.name());
        Verification {
            connection,
            verdict,
            summary: fault.to_string(),
            doubt: self.doubted(),
            requeue_at: Some(next),
        }
    }

    /// The driver's hint for a rejected token.
    fn hint(&self) -> &'static str {
        self.ports.capabilities(&self.token.spec().vendor).map_or("", |it| it.refused)
    }
}
