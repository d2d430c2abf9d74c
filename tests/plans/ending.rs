//! The rest of a pass: what status says at its end, and the pass over a resource that is being deleted.

use super::cluster::{Object, SECRET};
use super::fate::turn;
use super::operator::{Done, Operator, Pass};
use super::world::Kube;
use jiff::Timestamp;
use keysmith::api::condition::{self, READY};
use keysmith::api::{GatewayApiKeyStatus, Verdict};
use keysmith::plan::claim::Claim;
use keysmith::plan::desired::Desired;
use keysmith::plan::facts::{Facts, Listed, Target};
use keysmith::plan::fault::Fault;
use keysmith::plan::issuance::{self, Decision, Step, Why};
use keysmith::plan::{report, retry};
use std::rc::Rc;

const STEPS: usize = 12;

/// What status says of a key at rest.
pub fn fresh(desired: &Desired) -> Verdict {
    let rest = Decision { step: Step::Rest(None), why: Why::Fresh };
    report::resting(&rest, SECRET, desired.settings.active).unwrap()
}

/// What status says of a Secret that is somebody else's.
pub fn taken() -> Verdict {
    let rest = Decision { step: Step::Rest(None), why: Why::SecretTaken("somebody else".into()) };
    report::resting(&rest, SECRET, true).unwrap()
}

impl Operator {
    pub async fn rest(
        &mut self,
        facts: &Facts,
        decision: &Decision,
        desired: &Desired,
        until: Option<Timestamp>,
    ) -> Result<Pass, Kube> {
        let Some(verdict) = report::resting(decision, SECRET, desired.settings.active) else {
            return Ok(Pass::Rest(until));
        };
        if matches!(decision.why, Why::NotApplied(_)) {
            return self.wait_with(&verdict).await;
        }
        let served = facts.record.id.is_some();
        if decision.why != Why::Fresh {
            let verdict = verdict.still_ready(served && decision.why == Why::AnswerLost);
            return Ok(match self.publish(self.status(), &verdict).await? {
                Pass::Stale => Pass::Stale,
                Pass::Rest(_) => Pass::Rest(until),
            });
        }
        let seen = facts.confirmed.clone().flatten().or_else(|| {
            facts.own().find(|own| Some(&own.key.id) == facts.record.id.as_ref()).map(|own| own.key.clone())
        });
        Ok(match self.settle(&verdict, seen).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(until),
        })
    }

    async fn settle(&mut self, verdict: &Verdict, seen: Option<Listed>) -> Result<Pass, Kube> {
        let mut status = self.status();
        status.observed_generation = Some(self.key.generation);
        status.last_handled_reconcile_at.clone_from(&self.key.requested);
        status.failures = None;
        status.next_attempt_at = None;
        if let Some(seen) = seen {
            status.active = seen.shown.active;
            status.created_at = seen.created_at;
            status.expires_at = seen.expires_at;
        }
        self.publish(status, verdict).await
    }

    pub async fn failed(&mut self, fault: &Fault, doing: &str, facts: Option<&Facts>) -> Result<Pass, Kube> {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = retry::after(fault, failures, super::cluster::UID, self.now());
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        let intact = facts.is_some_and(|it| {
            it.record.generation == it.generation
                && it.target.held().is_some_and(|held| held.intact)
                && it.record.id.is_some()
        });
        let verdict = report::failed(fault, doing, next).still_ready(intact);
        Ok(match self.publish(status, &verdict).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(Some(next)),
        })
    }

    pub async fn wait_with(&mut self, verdict: &Verdict) -> Result<Pass, Kube> {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let wait = retry::backoff(failures + 4, super::cluster::UID);
        let next = retry::plus(self.now(), wait);
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        Ok(match self.publish(status, verdict).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(Some(next)),
        })
    }

    pub async fn publish(
        &mut self,
        mut status: GatewayApiKeyStatus,
        verdict: &Verdict,
    ) -> Result<Pass, Kube> {
        verdict.apply(&mut status.conditions, Some(self.key.generation), self.now());
        if status == self.key.status {
            return Ok(Pass::Rest(None));
        }
        turn().await;
        let version = self.key.version;
        let written = self.world.borrow_mut().patch(Some(version), |object| object.status = status);
        match written {
            Ok(object) => {
                self.wrote(object);
                Ok(Pass::Rest(None))
            }
            Err(error) => stale_or(error),
        }
    }

    /// Writes a claim, and the finalizer with it.
    pub async fn claim(&self, claim: &Claim, cas: bool) -> Result<Rc<Object>, Kube> {
        turn().await;
        let version = cas.then_some(self.key.version);
        self.world.borrow_mut().patch(version, |object| {
            object.claim = Some(claim.encode());
            // A finalizer cannot be added to an object that is being deleted.
            object.finalizer |= !object.deleting;
        })
    }

    pub async fn claim_again(&mut self, claim: &Claim) -> Result<Done, Kube> {
        Ok(match self.claim(claim, true).await {
            Ok(object) => {
                self.wrote(object);
                Done::Again
            }
            Err(error) => Done::Pass(stale_or(error)?),
        })
    }

    pub async fn retire(&mut self) -> Result<Pass, Kube> {
        if !self.key.finalizer {
            return Ok(Pass::Rest(None));
        }
        for _ in 0..STEPS {
            let secret = self.secrets.get().await?;
            let target = secret.map_or(Target::Absent, |secret| secret.target(None));
            let facts = self.facts(target);
            let decision = issuance::retire(&facts);
            self.note(&decision);
            let done = match &decision.step {
                Step::ClaimDeletion(claim) => self.claim_again(claim).await?,
                Step::Release => return self.release().await,
                Step::Rest(until) => return self.rest_deleting(&decision, *until).await,
                Step::Revoke(ids) => self.revoke(ids).await?,
                Step::Look(since) => self.look(*since).await?,
                _ => Done::Pass(Pass::Stale),
            };
            match done {
                Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => return self.failed(&fault, doing, None).await,
            }
        }
        Ok(self.spun())
    }

    async fn release(&mut self) -> Result<Pass, Kube> {
        turn().await;
        let version = self.key.version;
        let released = self.world.borrow_mut().patch(Some(version), |object| object.finalizer = false);
        match released {
            Ok(_) | Err(Kube::Missing) => {
                self.remember(|memory| {
                    memory.written = None;
                    memory.floor = None;
                });
                Ok(Pass::Rest(None))
            }
            Err(error) => stale_or(error),
        }
    }

    async fn rest_deleting(&mut self, decision: &Decision, until: Option<Timestamp>) -> Result<Pass, Kube> {
        let Some(verdict) = report::resting(decision, SECRET, true) else {
            return Ok(Pass::Rest(until));
        };
        Ok(match self.publish(self.status(), &verdict).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(until),
        })
    }
}

pub fn stale_or(error: Kube) -> Result<Pass, Kube> {
    match error {
        Kube::Conflict | Kube::Missing => Ok(Pass::Stale),
        Kube::Unavailable => Err(error),
    }
}

/// Whether status says that the key works.
pub fn ready(object: &Object) -> bool {
    condition::find(&object.status.conditions, READY).is_some_and(|it| it.status == "True")
}
