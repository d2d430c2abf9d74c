//! The rest of a pass: what status says at its end, and the pass over a resource that is being deleted.

use super::cluster::{Object, SECRET, UID, identity};
use super::deliver::replaced;
use super::fate::turn;
use super::operator::{Done, Operator, Pass};
use super::vendor::Request;
use super::world::Kube;
use jiff::Timestamp;
use keysmith::api::condition::{self, Course, READY};
use keysmith::api::{GatewayApiKeyStatus, Verdict};
use keysmith::gateway::Amendment;
use keysmith::plan::claim::Claim;
use keysmith::plan::desired::{Desired, Settings};
use keysmith::plan::facts::{Facts, KeyId, Listed, Target};
use keysmith::plan::fault::{Fault, FaultKind};
use keysmith::plan::issuance::{Decision, Step, Why};
use keysmith::plan::{removal, report, retry, succession};
use std::rc::Rc;

const STEPS: usize = 12;

/// What status says of a Secret that is somebody else's.
pub fn taken() -> Verdict {
    let rest = Decision { step: Step::Rest(None), why: Why::SecretTaken("somebody else".into()) };
    report::key::resting(&rest, &report::key::Scene::new(SECRET, true)).unwrap()
}

impl Operator {
    pub async fn rest(
        &mut self,
        facts: &Facts,
        decision: &Decision,
        desired: &Desired,
        until: Option<Timestamp>,
    ) -> Result<Pass, Kube> {
        let Some(verdict) =
            report::key::resting(decision, &report::key::Scene::new(SECRET, desired.settings.active))
        else {
            return Ok(Pass::Rest(until));
        };
        let pass = match &decision.why {
            Why::NotApplied(_) => return self.wait_with(&verdict, facts).await,
            Why::Fresh => self.fresh(facts, desired, &verdict).await?,
            Why::KeyMissing | Why::AccountDoubted | Why::Contested | Why::SecretImmutable => {
                let mut status = self.status();
                status.last_handled_reconcile_at.clone_from(&self.key.requested);
                succession::refresh(&mut status, facts, desired);
                self.publish(status, &verdict.still_ready(facts.works())).await?
            }
            Why::AnswerLost | Why::Suspended | Why::MintingStopped(_) => {
                self.publish(self.status(), &verdict.still_ready(facts.works())).await?
            }
            _ => self.publish(self.status(), &verdict).await?,
        };
        Ok(if pass == Pass::Stale { pass } else { Pass::Rest(until) })
    }

    async fn fresh(&mut self, facts: &Facts, desired: &Desired, verdict: &Verdict) -> Result<Pass, Kube> {
        let seen = facts.confirmed.clone().flatten();
        let mut status = self.status();
        status.observed_generation = Some(self.key.generation);
        status.last_handled_reconcile_at.clone_from(&self.key.requested);
        succession::forget_failures(&mut status);
        if let Some(seen) = seen.or_else(|| replaced(facts).map(|own| own.key)) {
            show(&mut status, &seen);
        }
        succession::shown(&mut status, facts);
        succession::refresh(&mut status, facts, desired);
        if status.rotation_failures.is_some() {
            return self.publish_as_it_is(status).await;
        }
        self.publish(status, verdict).await
    }

    pub async fn failed(&mut self, fault: &Fault, doing: &str, facts: Option<&Facts>) -> Result<Pass, Kube> {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = retry::after(fault, failures, UID, self.now());
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        status.failed_asks = facts.map(|facts| facts.asks.fingerprint());
        let works = facts.is_some_and(|it| it.record.generation == it.generation && it.works());
        let verdict = report::failed(fault, doing, next, failures > 1).still_ready(works);
        Ok(match self.publish(status, &verdict).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(Some(next)),
        })
    }

    pub async fn wait_with(&mut self, verdict: &Verdict, facts: &Facts) -> Result<Pass, Kube> {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let wait = retry::backoff(failures + 4, UID);
        let next = retry::plus(self.now(), wait);
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        status.failed_asks = Some(facts.asks.fingerprint());
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
        if verdict.course == Course::Stalled && (status.id.is_none() || status.failures.is_some()) {
            status.observed_generation = Some(self.key.generation);
        }
        verdict.apply(&mut status.conditions, Some(self.key.generation), self.now());
        self.publish_as_it_is(status).await
    }

    pub async fn publish_as_it_is(&mut self, mut status: GatewayApiKeyStatus) -> Result<Pass, Kube> {
        report::conditions::tell_of_rotation(
            &mut status,
            self.overdue,
            Some(self.key.generation),
            self.now(),
        );
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
    pub async fn claim(&self, claim: &Claim) -> Result<Rc<Object>, Kube> {
        turn().await;
        let version = self.key.version;
        self.world.borrow_mut().patch(Some(version), |object| {
            object.claim = Some(claim.encode(&identity()));
            // A finalizer cannot be added to an object that is being deleted.
            object.finalizer |= !object.deleting;
        })
    }

    pub async fn claim_again(&mut self, claim: &Claim) -> Result<Done, Kube> {
        Ok(match self.claim(claim).await {
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
            let decision = removal::retire(&facts, self.key.ending());
            self.note(&decision);
            let free = matches!(decision.step, Step::ClaimDeletion(_) | Step::Release | Step::Rest(_));
            if facts.doubted && !free {
                return Ok(Pass::Rest(None));
            }
            let done = match &decision.step {
                Step::ClaimDeletion(claim) => self.claim_again(claim).await?,
                Step::Release => return self.release().await,
                Step::Rest(until) => return self.rest_deleting(&decision, *until).await,
                Step::Revoke(ids) => self.revoke_recorded(&facts, ids).await?,
                Step::Disable(ids) => self.disable(&facts, ids).await?,
                Step::Confirm(id) => self.confirm(id).await?,
                Step::Look(since) => self.look(*since).await?,
                _ => Done::Pass(Pass::Stale),
            };
            match done {
                Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => return self.removal_failed(&fault, doing).await,
            }
        }
        Ok(self.spun())
    }

    async fn disable(&mut self, facts: &Facts, ids: &[KeyId]) -> Result<Done, Kube> {
        for id in ids {
            match self.owned(facts, id).await {
                Ok(true) => {}
                Ok(false) => {
                    self.strays.insert(id.clone());
                    continue;
                }
                Err(fault) => return Ok(Done::Failed(fault, "look at a key")),
            }
            let off = Amendment::activity(Settings::default(), false);
            let (fields, name, to) = (off.fields, off.name, off.to);
            turn().await;
            let sent = self.world.borrow_mut().send(&Request::Amend { id: id.clone(), fields, name, to });
            if let Err(fault) = sent
                && fault.kind != FaultKind::NotFound
            {
                return Ok(Done::Failed(fault, "switch the key off"));
            }
            self.disabled.insert(id.clone());
            self.changed_vendor();
        }
        Ok(Done::Again)
    }

    async fn removal_failed(&mut self, fault: &Fault, doing: &str) -> Result<Pass, Kube> {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = retry::after(fault, failures, UID, self.now());
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        let verdict = report::deletion::blocked(&format!("could not {doing}"), "token", Some(next), &status);
        Ok(match self.publish(status, &verdict).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(Some(next)),
        })
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
        let Some(verdict) = report::key::resting(decision, &report::key::Scene::new(SECRET, true)) else {
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
        Kube::Unavailable | Kube::Refused => Err(error),
    }
}

/// Whether status says that the key works.
pub fn ready(object: &Object) -> bool {
    condition::find(&object.status.conditions, READY).is_some_and(|it| it.status == "True")
}

pub fn show(status: &mut GatewayApiKeyStatus, seen: &Listed) {
    status.active = seen.shown.active;
    status.created_at = seen.created_at.or(status.created_at);
    status.expires_at = seen.expires_at;
    status.last_used_at = report::to_the_hour(status.last_used_at, seen.last_used_at);
}
