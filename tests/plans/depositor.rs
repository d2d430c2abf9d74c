//! A pass over a ProviderKey, as `controller::provider_key` does it.

use super::class::LAG;
use super::deposits::{Ask, Resource, Shared, UID, mark};
use super::fate::turn;
use super::operator::Pass;
use super::world::Kube;
use jiff::Timestamp;
use keysmith::api::{ProviderKeyStatus, Reason, Verdict};
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::deposit::{
    self, DepositFacts, DepositStep as Step, DepositView, DepositWhy as Why, Recorded, Wanted,
};
use keysmith::plan::facts::KeyId;
use keysmith::plan::fault::{Effect, Fault};
use keysmith::plan::issuance::SEND_WITHIN;
use keysmith::plan::naming::Serial;
use keysmith::plan::retry::plus;
use keysmith::plan::{report, retry};
use std::collections::BTreeSet;
use std::rc::Rc;

const STEPS: usize = 14;

enum Done {
    Again,
    Pass(Pass),
    Failed(Fault, &'static str),
}

/// A rule left out, to show that the histories notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Finalizer and claim that are gone stay so.
    HoldsNothing,
}

pub struct Depositor {
    pub world: Shared,
    pub mutant: Option<Mutant>,
    pub me: usize,
    pub resource: Rc<Resource>,
    pub view: Option<DepositView>,
    pub tried: BTreeSet<KeyId>,
    pub reassigned: bool,
    pub settled: Option<Serial>,
}

fn deposited() -> Verdict {
    Verdict::settled(Reason::Deposited, "the credential is at the vendor")
}

fn progressing() -> Verdict {
    Verdict::reconciling(Reason::Progressing, "earlier deposits are removed next").still_ready(true)
}

impl Depositor {
    pub async fn pass(mut self) -> Result<Pass, Kube> {
        if self.resource.deleting { self.retire().await } else { self.keep().await }
    }

    fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    fn wrote(&mut self, resource: Rc<Resource>) {
        self.world.borrow_mut().written[self.me] = Some(Rc::clone(&resource));
        self.resource = resource;
    }

    fn status(&self) -> ProviderKeyStatus {
        let mut status = self.resource.status.clone();
        status.settled_serial = status.settled_serial.max(self.settled.map(|it| it.0));
        status
    }

    fn facts(&self) -> DepositFacts {
        let (resource, status) = (&self.resource, self.status());
        DepositFacts {
            now: self.now(),
            mark: mark(),
            finalizer: resource.finalizer,
            generation: Some(resource.generation),
            requested: resource.requested.is_some() && resource.requested != status.last_handled_reconcile_at,
            claim: resource.claim(),
            status,
            view: self.view.clone(),
            looked: self.view.is_some(),
            tried: self.tried.clone(),
            reassigned: self.reassigned,
            listing_lag: LAG,
        }
    }

    async fn keep(&mut self) -> Result<Pass, Kube> {
        // The credential is read once, at the beginning of the pass.
        let wanted = self.resource.wanted();
        for _ in 0..STEPS {
            let mut decision = deposit::decide(&self.facts(), &wanted);
            if self.mutant == Some(Mutant::HoldsNothing) && decision.why == Why::Unheld {
                let held = DepositFacts { finalizer: true, claim: Some(self.stand_in()), ..self.facts() };
                decision = deposit::decide(&held, &wanted);
            }
            self.note(&decision);
            if let Step::Rest(until) = decision.step {
                return self.rest(decision.why, until).await;
            }
            let done = match &decision.step {
                Step::Deposit(serial) => self.deposit(*serial, &wanted).await?,
                Step::Adopt(serial, id) => self.adopt(*serial, id, &wanted).await?,
                Step::Hold(claim) => self.claim(claim).await?.unwrap_or(Done::Again),
                Step::RecordMissing(since) => self.record_missing(Some(*since)).await?,
                Step::RecordFound => self.record_missing(None).await?,
                Step::Reassign(id) => {
                    let ask = Ask::Reassign(id.clone(), wanted.assigned_to.clone());
                    match self.send(&ask).await {
                        Ok(_) => {
                            self.reassigned = true;
                            self.look().await
                        }
                        Err(fault) => Done::Failed(fault, "change the assignment"),
                    }
                }
                Step::RecordAssignment => {
                    let mut status = self.status();
                    status.assigned_to = ids(&wanted.assigned_to);
                    self.report(status, &progressing()).await?
                }
                Step::Look(_) => self.look().await,
                Step::Remove(ids) => self.remove(ids).await,
                Step::Settle { gone, left } => {
                    let mut status = self.status();
                    status.superseded.retain(|id| !gone.iter().chain(left).any(|it| it.0 == *id));
                    for id in left {
                        if !status.left_behind.contains(&id.0) {
                            status.left_behind.push(id.0.clone());
                        }
                    }
                    self.report(status, &progressing()).await?
                }
                Step::ClaimDeletion(_) | Step::Release { .. } | Step::Rest(_) => Done::Pass(Pass::Stale),
            };
            match done {
                Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => return self.failed(&fault, doing).await,
            }
        }
        Ok(self.spun())
    }

    /// What the mutant takes for a claim where there is none.
    fn stand_in(&self) -> Claim {
        let serial = Serial(self.resource.status.serial.unwrap_or_default());
        self.resource.claim().unwrap_or(Claim::new(serial, self.now(), Purpose::Restore))
    }

    fn note(&self, decision: &deposit::DepositDecision) {
        let (me, version) = (self.me, self.resource.version);
        self.world.borrow_mut().note(|| format!("operator {me} at v{version}: {decision:?}"));
    }

    fn spun(&self) -> Pass {
        self.world.borrow_mut().break_rule("a pass did not come to rest".into());
        Pass::Stale
    }

    async fn send(&self, ask: &Ask) -> Result<Option<KeyId>, Fault> {
        turn().await;
        self.world.borrow_mut().send(ask)
    }

    async fn look(&mut self) -> Done {
        let as_of = self.now();
        turn().await;
        let answer = self.world.borrow_mut().list(as_of);
        match answer {
            Ok(view) => {
                self.view = Some(view);
                Done::Again
            }
            Err(fault) => Done::Failed(fault, "list the provider keys"),
        }
    }

    async fn claim(&mut self, claim: &Claim) -> Result<Option<Done>, Kube> {
        turn().await;
        let version = self.resource.version;
        let claimed = self.world.borrow_mut().patch(version, |resource| {
            resource.claim = Some(claim.encode(&super::cluster::identity()));
            resource.finalizer |= !resource.deleting;
        });
        match claimed {
            Ok(resource) => {
                self.wrote(resource);
                Ok(None)
            }
            Err(Kube::Conflict | Kube::Missing) => Ok(Some(Done::Pass(Pass::Stale))),
            Err(error) => Err(error),
        }
    }

    async fn deposit(&mut self, serial: Serial, wanted: &Wanted) -> Result<Done, Kube> {
        let claim = Claim { sent: Some(wanted.digest()), ..Claim::new(serial, self.now(), Purpose::Create) };
        if let Some(done) = self.claim(&claim).await? {
            return Ok(done);
        }
        if plus(claim.at, SEND_WITHIN) < self.now() {
            return Ok(Done::Pass(Pass::Stale));
        }
        let ask = Ask::Deposit { name: mark().name("provider", serial), wanted: wanted.clone(), ours: true };
        match self.send(&ask).await {
            Ok(id) => self.record(serial, &id.unwrap(), wanted).await,
            Err(fault) if fault.effect == Effect::None => {
                self.settled = Some(serial);
                Ok(Done::Failed(fault, "deposit the credential"))
            }
            Err(_) => {
                self.view = None;
                Ok(Done::Again)
            }
        }
    }

    async fn adopt(&mut self, serial: Serial, id: &KeyId, wanted: &Wanted) -> Result<Done, Kube> {
        let sent = self.resource.claim().and_then(|claim| claim.sent);
        let outdated = Wanted { content: String::new(), assigned_to: wanted.assigned_to.clone() };
        let same = sent == Some(wanted.digest());
        self.record(serial, id, if same { wanted } else { &outdated }).await
    }

    async fn record_missing(&mut self, since: Option<Timestamp>) -> Result<Done, Kube> {
        let status = ProviderKeyStatus { missing_since: since, ..self.status() };
        self.report(status, &progressing()).await
    }

    async fn record(&mut self, serial: Serial, id: &KeyId, wanted: &Wanted) -> Result<Done, Kube> {
        let recorded = Recorded { serial, id: id.clone(), created_at: None };
        let mut status = deposit::record(self.status(), &recorded, wanted, self.now());
        self.view = None;
        self.reassigned = false;
        let verdict = if status.superseded.is_empty() && !wanted.content.is_empty() {
            status.observed_generation = Some(self.resource.generation);
            status.last_handled_reconcile_at.clone_from(&self.resource.requested);
            deposited()
        } else {
            progressing()
        };
        self.report(status, &verdict).await
    }

    async fn remove(&mut self, ids: &[KeyId]) -> Done {
        for id in ids {
            if let Err(fault) = self.send(&Ask::Remove(id.clone())).await {
                return Done::Failed(fault, "remove an earlier deposit");
            }
            self.tried.insert(id.clone());
        }
        self.view = None;
        Done::Again
    }

    async fn retire(&mut self) -> Result<Pass, Kube> {
        if !self.resource.finalizer {
            return Ok(Pass::Rest(None));
        }
        for _ in 0..STEPS {
            let decision = deposit::retire(&self.facts());
            self.note(&decision);
            let done = match &decision.step {
                Step::ClaimDeletion(claim) => self.claim(claim).await?.unwrap_or(Done::Again),
                Step::Release { .. } => return self.release().await,
                Step::Rest(until) => {
                    let verdict =
                        Verdict::reconciling(Reason::Deleting, format!("looked at again {until:?}"));
                    return Ok(match self.publish(self.status(), &verdict).await? {
                        Pass::Stale => Pass::Stale,
                        Pass::Rest(_) => Pass::Rest(*until),
                    });
                }
                Step::Remove(ids) => self.remove(ids).await,
                Step::Look(_) => self.look().await,
                _ => Done::Pass(Pass::Stale),
            };
            match done {
                Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => return self.failed(&fault, doing).await,
            }
        }
        Ok(self.spun())
    }

    async fn release(&mut self) -> Result<Pass, Kube> {
        turn().await;
        let version = self.resource.version;
        let released = self.world.borrow_mut().patch(version, |resource| resource.finalizer = false);
        match released {
            Ok(_) | Err(Kube::Missing) => Ok(Pass::Rest(None)),
            Err(Kube::Conflict) => Ok(Pass::Stale),
            Err(error) => Err(error),
        }
    }

    async fn rest(&mut self, why: Why, until: Option<Timestamp>) -> Result<Pass, Kube> {
        let verdict = match why {
            Why::Fresh => {
                let mut status = self.status();
                status.observed_generation = Some(self.resource.generation);
                status.last_handled_reconcile_at.clone_from(&self.resource.requested);
                status.failures = None;
                status.next_attempt_at = None;
                return self.publish(status, &deposited()).await;
            }
            Why::AnswerLost => Verdict::reconciling(Reason::Recovering, format!("again after {until:?}")),
            Why::Superseded | Why::Missing => progressing(),
            _ => return Ok(Pass::Rest(until)),
        };
        Ok(match self.publish(self.status(), &verdict).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(until),
        })
    }

    async fn failed(&mut self, fault: &Fault, doing: &str) -> Result<Pass, Kube> {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = retry::after(fault, failures, UID, self.now());
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        let verdict = report::failed(fault, doing, next, failures > 1);
        Ok(match self.publish(status, &verdict).await? {
            Pass::Stale => Pass::Stale,
            Pass::Rest(_) => Pass::Rest(Some(next)),
        })
    }

    async fn report(&mut self, status: ProviderKeyStatus, verdict: &Verdict) -> Result<Done, Kube> {
        Ok(match self.publish(status, verdict).await? {
            Pass::Stale => Done::Pass(Pass::Stale),
            Pass::Rest(_) => Done::Again,
        })
    }

    async fn publish(&mut self, mut status: ProviderKeyStatus, verdict: &Verdict) -> Result<Pass, Kube> {
        verdict.apply(&mut status.conditions, Some(self.resource.generation), self.now());
        if status == self.resource.status {
            return Ok(Pass::Rest(None));
        }
        turn().await;
        let version = self.resource.version;
        let written = self.world.borrow_mut().patch(version, |resource| resource.status = status);
        match written {
            Ok(resource) => {
                self.wrote(resource);
                Ok(Pass::Rest(None))
            }
            Err(Kube::Conflict | Kube::Missing) => Ok(Pass::Stale),
            Err(error) => Err(error),
        }
    }
}

fn ids(keys: &BTreeSet<KeyId>) -> Vec<String> {
    keys.iter().map(|id| id.0.clone()).collect()
}
