//! The deletion of a ProviderKey's resource.

use super::{Done, ProviderKeyPass, STEPS};
use crate::api::{FORCE_ORPHAN, ProviderKeyStatus};
use crate::cluster::{self, object};
use crate::plan::limits;
use crate::plan::listing::KeyId;
use crate::plan::provider_key::{self, ProviderKeyStep as Step};
use crate::plan::report;
use crate::plan::report::deletion::DeletionBlocker;
use crate::protocol::ports::VendorPort;
use crate::protocol::provider_key::ports::ProviderKeyPorts;
use crate::protocol::{Error, Pass, stale_or};
use jiff::SignedDuration;

impl<P: ProviderKeyPorts> ProviderKeyPass<P> {
    pub(super) async fn cleanup(&mut self) -> Result<Pass, Error> {
        let forced = object::annotation(self.object.as_ref(), FORCE_ORPHAN).is_some();
        if forced && limits::may_force_orphan(self.token().as_ref()) {
            return self.release(&self.known()).await;
        }
        let account = match self.token_state().map(|it| it.trusted().cloned()) {
            // Nothing is deleted while the account is in doubt.
            Some(Err(why)) if self.token_state().is_some_and(|it| it.doubt.is_some()) => {
                return self.deletion_blocked(&DeletionBlocker::Doubted(why), None).await;
            }
            usable => usable.and_then(Result::ok),
        };
        let lag = account.as_ref().map_or(SignedDuration::ZERO, |it| it.capabilities().listing_lag);
        for _ in 0..STEPS {
            let facts = self.facts(lag);
            let decision = provider_key::decide_deletion(&facts);
            self.ports.decided(self.object.as_ref(), &decision);
            let done = match (&decision.step, &account) {
                (Step::ClaimDeletion(claim), _) => self.claim(claim).await?,
                (Step::Release { left }, _) => return self.release(left).await,
                (Step::Rest(until), _) => {
                    let verdict = report::deletion::provider_key_awaited(*until);
                    let status = ProviderKeyStatus { failures: None, next_attempt_at: None, ..self.status() };
                    return Ok(self.publish(status, &verdict).await?.until(*until));
                }
                (_, None) => return self.deletion_blocked(&DeletionBlocker::TokenUnusable, None).await,
                (Step::Remove(ids), Some(account)) => self.remove(account, ids).await?,
                (Step::Look(_), Some(account)) => self.look(account).await,
                _ => Done::Pass(Pass::Stale),
            };
            match done {
                Done::Taken | Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, _) if fault.waits_for_token() => {
                    return self.deletion_blocked(&DeletionBlocker::Paused(fault), None).await;
                }
                Done::Failed(fault, purpose) => {
                    let failed = self.after_failure(&fault);
                    return self
                        .deletion_blocked(&DeletionBlocker::Failed(purpose, fault), Some(failed))
                        .await;
                }
            }
        }
        Ok(Pass::Unfinished)
    }

    /// All ids of provider keys that status records.
    fn known(&self) -> Vec<KeyId> {
        let status = self.status();
        status.id.into_iter().chain(status.superseded).map(KeyId).collect()
    }

    /// Writes that the deletion is blocked, and why. `retrying`: status with the time of the next attempt.
    pub(super) async fn deletion_blocked(
        &mut self,
        why: &DeletionBlocker,
        retrying: Option<ProviderKeyStatus>,
    ) -> Result<Pass, Error> {
        let status = retrying.unwrap_or_else(|| ProviderKeyStatus { next_attempt_at: None, ..self.status() });
        let next = status.next_attempt_at;
        let lost = self.token_state().filter(|it| it.lost).and_then(|it| it.ready.err());
        let token = self.token_ref().titled();
        let verdict = match &lost {
            Some(why) => report::deletion::token_lost(why),
            None => report::deletion::provider_key_blocked(why, &token, next),
        };
        let permitted = limits::may_force_orphan(self.token().as_ref());
        let verdict = if permitted { verdict } else { report::deletion::without_force(&verdict, &token) };
        Ok(self.publish(status, &verdict).await?.until(next))
    }

    pub(super) async fn release(&mut self, left: &[KeyId]) -> Result<Pass, Error> {
        match self.ports.release(self.object.as_ref()).await {
            Ok(_) => {}
            Err(error) if cluster::is_missing(&error) => {}
            Err(error) => return stale_or(error),
        }
        let ids: Vec<_> = left.iter().map(|id| id.0.clone()).collect();
        self.say_left_behind(&ids);
        // The event is sent only if the vendor was asked to delete something.
        if ids.is_empty() && !self.tried.is_empty() {
            self.ports.notify(self.object.as_ref(), report::provider_key::removed());
        }
        self.ports.forget(&self.uid);
        self.ports.enqueue_token(&self.token_ref());
        Ok(Pass::Rest(None))
    }
}
