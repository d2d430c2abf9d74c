//! A key whose resource is being deleted.

use super::super::{Error, Pass, stale_or};
use super::{Done, STEPS, Work};
use crate::api::{Reason, Verdict};
use crate::cluster::{self, object};
use crate::plan::claim::Claim;
use crate::plan::fault::FaultKind;
use crate::plan::issuance::{self, Decision, Step};
use crate::plan::report::{self, Notice};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::ObjectRef;
use std::sync::Arc;

impl Work {
    /// A key whose resource is being deleted.
    pub(super) async fn retire(&mut self) -> Result<Pass, Error> {
        for _ in 0..STEPS {
            let target = self.secrets.inspect(&self.uid, self.key.secret_name()).await?;
            let account = self.standing().and_then(|it| it.account);
            let lag = account.as_ref().map_or(SignedDuration::ZERO, |it| it.capabilities().listing_lag);
            let facts = self.facts(target, lag);
            let decision = issuance::retire(&facts);
            let done = match (&decision.step, &account) {
                (Step::ClaimDeletion(claim), _) => self.claim(claim).await?,
                (Step::Release, _) => return self.release().await,
                (Step::Rest(until), _) => return self.rest_deleting(&decision, *until).await,
                (_, None) => return self.deletion_blocked("its ConsoleToken is not usable").await,
                (Step::Revoke(ids), Some(account)) => self.revoke(account, ids).await?,
                (Step::Look(since), Some(account)) => self.look(account, *since).await?,
                _ => Done::Pass(Pass::Stale),
            };
            match done {
                Done::Taken | Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => {
                    if fault.kind == FaultKind::BreakerOpen {
                        return self.deletion_blocked(&fault.to_string()).await;
                    }
                    return self.failed(&fault, doing, None).await;
                }
            }
        }
        Ok(Pass::Stale)
    }

    pub(super) async fn claim(&mut self, claim: &Claim) -> Result<Done, Error> {
        match object::claim(&self.context.client, self.key.as_ref(), claim).await {
            Ok(key) => {
                self.wrote(Arc::new(key));
                Ok(Done::Again)
            }
            Err(error) => stale_or(error).map(Done::Pass),
        }
    }

    pub(super) async fn release(&mut self) -> Result<Pass, Error> {
        match object::release(&self.context.client, self.key.as_ref()).await {
            Ok(_) => {}
            Err(error) if cluster::is_missing(&error) => {}
            Err(error) => return stale_or(error),
        }
        self.context.notify(self.key.as_ref(), Notice::news("Revoked", "the key is revoked at the vendor"));
        self.wake_deposits();
        self.context.memory.forget(&self.uid);
        let token = ObjectRef::new(&self.key.spec.console_token_ref.name).within(&self.namespace());
        // The receiver lives as long as the operator.
        let _ = self.context.wakers.tokens.send(token);
        Ok(Pass::Rest(None))
    }

    pub(super) async fn rest_deleting(
        &mut self,
        decision: &Decision,
        until: Option<Timestamp>,
    ) -> Result<Pass, Error> {
        match report::resting(decision, self.key.secret_name(), true) {
            Some(verdict) => match self.publish(self.status(), &verdict).await? {
                Pass::Stale => Ok(Pass::Stale),
                Pass::Rest(_) => Ok(Pass::Rest(until)),
            },
            None => Ok(Pass::Rest(until)),
        }
    }

    pub(super) async fn deletion_blocked(&mut self, why: &str) -> Result<Pass, Error> {
        let token = &self.key.spec.console_token_ref.name;
        let message = format!(
            "the key cannot be revoked: {why}; make ConsoleToken {token} Ready again, Keysmith then goes on by itself"
        );
        let verdict = Verdict::reconciling(Reason::DeletionBlocked, message);
        self.publish(self.status(), &verdict).await
    }
}
