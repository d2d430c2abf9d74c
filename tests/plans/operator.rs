//! A pass over the resource, as `controller::gateway_api_key` does it.

use super::cluster::{Object, mark};
use super::ending::{fresh, taken};
use super::mutant::Mutant;
use super::secrets::{Delivery, Secrets, Undelivered};
use super::world::{Kube, Memory, Shared};
use jiff::Timestamp;
use keysmith::api::{GatewayApiKeyStatus, Reason, Verdict};
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::desired::Desired;
use keysmith::plan::drift::{self, Field};
use keysmith::plan::facts::{Facts, KeyId, Listed, Target};
use keysmith::plan::fault::Fault;
use keysmith::plan::issuance::{self, Decision, Step};
use keysmith::plan::naming::Serial;
use std::collections::BTreeSet;
use std::rc::Rc;

const STEPS: usize = 12;

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Rest(Option<Timestamp>),
    Stale,
}

/// How a step ended.
pub enum Done {
    Again,
    Pass(Pass),
    Failed(Fault, &'static str),
}

pub struct Operator {
    pub world: Shared,
    pub me: usize,
    pub mutant: Option<Mutant>,
    pub key: Rc<Object>,
    pub secrets: Secrets,
    #[expect(clippy::option_option, reason = "not asked, gone, there: as in the facts")]
    pub confirmed: Option<Option<Listed>>,
    pub amended: Vec<Field>,
    pub gone: BTreeSet<KeyId>,
    pub disowned: Option<KeyId>,
    pub settled: Option<Serial>,
}

impl Operator {
    pub fn new(world: &Shared, me: usize, key: Rc<Object>, mutant: Option<Mutant>) -> Self {
        let secrets = Secrets { world: Rc::clone(world), mutant };
        Self {
            world: Rc::clone(world),
            me,
            mutant,
            key,
            secrets,
            confirmed: None,
            amended: Vec::new(),
            gone: BTreeSet::new(),
            disowned: None,
            settled: None,
        }
    }

    pub async fn pass(mut self) -> Result<Pass, Kube> {
        if self.key.deleting { self.retire().await } else { self.keep().await }
    }

    pub fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    pub fn remember<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.world.borrow_mut().operators[self.me])
    }

    pub fn changed_vendor(&self) {
        let now = self.now();
        self.remember(|memory| memory.floor = memory.floor.max(Some(now)));
    }

    pub fn wrote(&mut self, object: Rc<Object>) {
        self.remember(|memory| memory.written = Some(Rc::clone(&object)));
        self.key = object;
    }

    pub fn status(&self) -> GatewayApiKeyStatus {
        let mut status = self.key.status.clone();
        status.settled_serial = status.settled_serial.max(self.settled.map(|it| it.0));
        status
    }

    pub fn facts(&self, mut target: Target) -> Facts {
        if let Target::Ours(held) = &mut target {
            held.key_id.take_if(|id| Some(&*id) == self.disowned.as_ref());
        }
        let object = Object { status: self.status(), ..(*self.key).clone() };
        let (floor, latest) = self.remember(|memory| (memory.floor, memory.latest.clone()));
        let view = latest.filter(|it| floor.is_none_or(|floor| it.as_of > floor)).map(|it| it.view(&mark()));
        let facts = object.facts(self.now(), target, view);
        Facts {
            requested: facts.requested && self.confirmed.is_none(),
            confirmed: self.confirmed.clone(),
            amended: self.amended.clone(),
            gone: self.gone.clone(),
            ..facts
        }
    }

    async fn keep(&mut self) -> Result<Pass, Kube> {
        let desired = self.key.spec.desired();
        for _ in 0..STEPS {
            let secret = self.secrets.get().await?;
            let template = Some(self.key.spec.template());
            let target = secret.map_or(Target::Absent, |secret| secret.target(template));
            let facts = self.facts(target);
            let decision = issuance::decide(&facts, &desired);
            self.note(&decision);
            if let Step::Rest(until) = decision.step {
                return self.rest(&facts, &decision, &desired, until).await;
            }
            match self.act(&facts, &desired, &decision).await? {
                Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => return self.failed(&fault, doing, Some(&facts)).await,
            }
        }
        Ok(self.spun())
    }

    pub fn note(&self, decision: &Decision) {
        let (me, version) = (self.me, self.key.version);
        self.world
            .borrow_mut()
            .note(|| format!("operator {me} at v{version}: {:?} {:?}", decision.step, decision.why));
    }

    /// No pass should run out of steps: it would go on like that.
    pub fn spun(&self) -> Pass {
        self.world.borrow_mut().break_rule(|| "a pass did not come to rest".into());
        Pass::Stale
    }

    async fn act(&mut self, facts: &Facts, desired: &Desired, decision: &Decision) -> Result<Done, Kube> {
        match &decision.step {
            Step::Issue(serial) => self.issue(facts, desired, *serial).await,
            Step::Adopt(serial, id) => self.adopt(facts, desired, (*serial, id)).await,
            Step::Commit(serial, id) => match self.get(id).await {
                Ok(Some(key)) if mark().serial_in(&key.name) == Some(*serial) => {
                    self.commit(facts, desired, (*serial, id), Some(key)).await
                }
                Ok(_) => {
                    self.disowned = Some(id.clone());
                    Ok(Done::Again)
                }
                Err(fault) => Ok(Done::Failed(fault, "look at the key")),
            },
            Step::Outrank(serial) => {
                let claim = Claim {
                    serial: *serial,
                    at: self.now(),
                    purpose: Purpose::Restore,
                    unsettled: None,
                    sent: None,
                };
                self.claim_again(&claim).await
            }
            Step::Restore(serial, id) => self.restore(facts, (*serial, id)).await,
            Step::Amend(id, _) => self.amend(facts, desired, (id, decision)).await,
            Step::Confirm(id) => Ok(match self.get(id).await {
                Ok(answer) => {
                    self.confirmed = Some(answer);
                    Done::Again
                }
                Err(fault) => Done::Failed(fault, "look at the key"),
            }),
            Step::Look(since) => self.look(*since).await,
            Step::Revoke(ids) => self.revoke_spares(desired, ids).await,
            Step::ClaimDeletion(_) | Step::Release | Step::Rest(_) => Ok(Done::Pass(Pass::Stale)),
        }
    }

    async fn adopt(
        &mut self,
        facts: &Facts,
        desired: &Desired,
        (serial, id): (Serial, &KeyId),
    ) -> Result<Done, Kube> {
        match self.reveal(id).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                self.gone.insert(id.clone());
                return Ok(Done::Again);
            }
            Err(fault) => return Ok(Done::Failed(fault, "have the key revealed")),
        }
        let listed = facts.own().find(|own| own.key.id == *id).map(|own| own.key.clone());
        let expires_at = listed.as_ref().and_then(|it| it.expires_at);
        match self.deliver(facts, (serial, id), expires_at).await {
            Ok(()) => self.commit(facts, desired, (serial, id), listed).await,
            Err(error) => self.undelivered(error).await,
        }
    }

    async fn restore(&mut self, facts: &Facts, (serial, id): (Serial, &KeyId)) -> Result<Done, Kube> {
        match self.reveal(id).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                self.confirmed = Some(None);
                return Ok(Done::Again);
            }
            Err(fault) => return Ok(Done::Failed(fault, "have the key revealed")),
        }
        match self.deliver(facts, (serial, id), facts.record.expires_at).await {
            Ok(()) => Ok(Done::Again),
            Err(error) => self.undelivered(error).await,
        }
    }

    async fn deliver(
        &self,
        facts: &Facts,
        (serial, id): (Serial, &KeyId),
        expires_at: Option<Timestamp>,
    ) -> Result<(), Undelivered> {
        let claimed = facts.claim.map_or(serial, |claim| claim.serial);
        let delivery = Delivery {
            serial,
            fence: claimed.max(serial),
            absent: false,
            id: id.clone(),
            expires_at,
            template: self.key.spec.template(),
        };
        self.secrets.deliver(&delivery).await
    }

    async fn undelivered(&mut self, error: Undelivered) -> Result<Done, Kube> {
        match error {
            Undelivered::Foreign => Ok(Done::Pass(self.wait_with(&taken()).await?)),
            Undelivered::Unavailable => Err(Kube::Unavailable),
            Undelivered::Superseded => Ok(Done::Pass(Pass::Stale)),
        }
    }

    async fn commit(
        &mut self,
        facts: &Facts,
        desired: &Desired,
        (serial, id): (Serial, &KeyId),
        listed: Option<Listed>,
    ) -> Result<Done, Kube> {
        let mut status = self.status();
        let held_expiry = facts.target.held().and_then(|held| held.expires_at);
        status.id = Some(id.0.clone());
        status.serial = Some(serial.0);
        status.settled_serial = Some(serial.0.max(facts.claim.map_or(0, |claim| claim.serial.0)));
        status.created_at = listed.as_ref().and_then(|it| it.created_at);
        status.expires_at = listed.as_ref().map_or(held_expiry, |it| it.expires_at);
        status.failures = None;
        status.next_attempt_at = None;
        let settled = listed
            .as_ref()
            .is_none_or(|it| drift::drift(&desired.settings, it, status.email.as_ref()).is_empty());
        let verdict = if settled {
            fresh(desired)
        } else {
            Verdict::reconciling(Reason::Progressing, "the settings of the key are being applied")
        };
        status.active = listed.as_ref().and_then(|it| it.shown.active).or(status.active);
        if settled {
            status.observed_generation = Some(self.key.generation);
        }
        self.confirmed = listed.map(Some);
        self.disowned = None;
        let pass = self.publish(status, &verdict).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }
}
