//! The critical section, as `controller::issue` does it.

use super::cluster::{Object, mark};
use super::ending::{fresh, taken};
use super::fate::turn;
use super::mutant::Mutant;
use super::operator::{Done, Operator, Pass};
use super::secrets::{Delivery, Undelivered};
use super::vendor::Request;
use super::world::Kube;
use keysmith::api::{GatewayApiKeyStatus, Reason, Verdict};
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::desired::Desired;
use keysmith::plan::drift;
use keysmith::plan::facts::{Facts, Held, KeyId, Listed, Target};
use keysmith::plan::fault::{Effect, Fault};
use keysmith::plan::issuance::SEND_WITHIN;
use keysmith::plan::naming::Serial;
use keysmith::plan::retry::plus;
use std::rc::Rc;

const DELIVERIES: u32 = 5;
const COMMITS: usize = 5;

pub enum Issued {
    Done(Rc<Object>, Listed),
    Stale,
    Pending(Rc<Object>),
    Refused(Rc<Object>),
    Failed(Rc<Object>, Fault),
    Undelivered(Rc<Object>),
}

struct Section<'a> {
    operator: &'a Operator,
    desired: &'a Desired,
    serial: Serial,
    absent: bool,
}

impl Operator {
    pub async fn issue(&mut self, facts: &Facts, desired: &Desired, serial: Serial) -> Result<Done, Kube> {
        let section = Section { operator: self, desired, serial, absent: facts.target == Target::Absent };
        Ok(match section.run().await? {
            Issued::Done(object, key) => {
                self.wrote(object);
                self.confirmed = Some(Some(key));
                Done::Again
            }
            Issued::Stale => Done::Pass(Pass::Stale),
            Issued::Pending(object) => {
                self.wrote(object);
                Done::Again
            }
            Issued::Refused(object) => {
                self.wrote(object);
                self.settled = Some(serial);
                Done::Pass(self.wait_with(&taken()).await?)
            }
            Issued::Undelivered(object) => {
                self.wrote(object);
                Done::Pass(self.wait_with(&taken()).await?)
            }
            Issued::Failed(object, fault) => {
                self.wrote(object);
                self.settled = Some(serial);
                Done::Failed(fault, "make a key")
            }
        })
    }
}

impl Section<'_> {
    fn is(&self, mutant: Mutant) -> bool {
        self.operator.mutant == Some(mutant)
    }

    async fn run(self) -> Result<Issued, Kube> {
        let claim = Claim {
            serial: self.serial,
            at: self.operator.now(),
            purpose: Purpose::Create,
            unsettled: None,
            sent: None,
        };
        let cas = !self.is(Mutant::ClaimsWithoutCas);
        let claimed = match self.operator.claim(&claim, cas).await {
            Ok(object) => object,
            Err(Kube::Conflict | Kube::Missing) => return Ok(Issued::Stale),
            Err(error) => return Err(error),
        };
        if !self.absent && !self.is(Mutant::RaisesNoFence) {
            match self.fence().await? {
                Ok(None) => {}
                Ok(Some(held)) => match self.is_ours(&held).await {
                    Ok(true) => return self.adopt_held(claimed, held).await,
                    Ok(false) => {}
                    Err(fault) => return Ok(Issued::Failed(claimed, fault)),
                },
                Err(Undelivered::Foreign) => return Ok(Issued::Refused(claimed)),
                Err(_) => return Ok(Issued::Stale),
            }
        }
        if self.is(Mutant::DeletesFirst)
            && let Some(old) = &self.operator.key.status.id
        {
            self.compensate(&KeyId(old.clone())).await;
        }
        if plus(claim.at, SEND_WITHIN) < self.operator.now() {
            return Ok(Issued::Pending(claimed));
        }
        let mut sent = self.mint().await;
        if self.is(Mutant::SendsTwice) && sent.as_ref().is_err_and(|it| it.effect == Effect::Unknown) {
            sent = self.mint().await;
        }
        match sent {
            Ok(key) => self.deliver(claimed, key).await,
            Err(fault) if fault.effect == Effect::None => Ok(Issued::Failed(claimed, fault)),
            Err(_) => Ok(Issued::Pending(claimed)),
        }
    }

    async fn mint(&self) -> Result<Listed, Fault> {
        let request = Request::Mint {
            name: mark().name(&self.desired.settings.display_name, self.serial),
            models: self.desired.settings.models.clone(),
            ours: true,
        };
        let now = self.operator.now();
        self.operator.remember(|memory| memory.unsent = Some(now));
        turn().await;
        self.operator.remember(|memory| memory.unsent = None);
        let sent = self.operator.world.borrow_mut().send(&request);
        sent.map(|key| key.unwrap())
    }

    async fn fence(&self) -> Result<Result<Option<Held>, Undelivered>, Kube> {
        let status = &self.operator.key.status;
        let known = status.serial.max(status.settled_serial).map(Serial);
        match self.operator.secrets.fence(self.serial).await {
            Ok(held) => Ok(Ok(held.filter(|held| held.serial > known && held.key_id.is_some()))),
            Err(Undelivered::Unavailable) => Err(Kube::Unavailable),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn is_ours(&self, held: &Held) -> Result<bool, Fault> {
        let Some(id) = &held.key_id else { return Ok(false) };
        let key = self.operator.get(id).await?;
        Ok(key.is_some_and(|key| mark().serial_in(&key.name) == held.serial))
    }

    async fn adopt_held(&self, claimed: Rc<Object>, held: Held) -> Result<Issued, Kube> {
        let (Some(id), Some(serial)) = (held.key_id, held.serial) else {
            return Ok(Issued::Stale);
        };
        let status = |mut status: GatewayApiKeyStatus| {
            status.id = Some(id.0.clone());
            status.serial = Some(serial.0);
            status.settled_serial = Some(self.serial.0);
            status.expires_at = held.expires_at;
            status
        };
        let verdict = Verdict::reconciling(
            Reason::Progressing,
            "a delivered key was found in the Secret and is checked",
        );
        Ok(match self.commit(&claimed, &verdict, status).await? {
            Some(object) => Issued::Pending(object),
            None => Issued::Stale,
        })
    }

    async fn deliver(&self, claimed: Rc<Object>, key: Listed) -> Result<Issued, Kube> {
        self.operator.changed_vendor();
        let mut attempt = 0;
        loop {
            let delivery = Delivery {
                serial: self.serial,
                fence: self.serial,
                absent: self.absent && attempt == 0,
                id: key.id.clone(),
                expires_at: key.expires_at,
                template: self.operator.key.spec.template(),
            };
            match self.operator.secrets.deliver(&delivery).await {
                Ok(()) => return self.record(claimed, key).await,
                Err(Undelivered::Unavailable) if attempt < DELIVERIES => attempt += 1,
                Err(Undelivered::Unavailable) => return Ok(Issued::Pending(claimed)),
                Err(Undelivered::Superseded) => return Ok(Issued::Stale),
                Err(Undelivered::Foreign) => return Ok(Issued::Undelivered(claimed)),
            }
        }
    }

    async fn compensate(&self, id: &KeyId) {
        turn().await;
        // Should it fail, the mark betrays the key to the next look.
        let _ = self.operator.world.borrow_mut().send(&Request::Revoke(id.clone()));
    }

    async fn record(&self, claimed: Rc<Object>, key: Listed) -> Result<Issued, Kube> {
        let settings = &self.desired.settings;
        let complete = drift::drift(settings, &key, settings.email.as_ref()).is_empty();
        let verdict = if complete {
            fresh(self.desired)
        } else {
            Verdict::reconciling(Reason::Progressing, "the settings of the key are being applied")
        };
        let generation = self.operator.key.generation;
        let status = |mut status: GatewayApiKeyStatus| {
            status.id = Some(key.id.0.clone());
            status.serial = Some(self.serial.0);
            status.settled_serial = Some(self.serial.0);
            status.active = key.shown.active;
            status.created_at = key.created_at;
            status.expires_at = key.expires_at;
            status.failures = None;
            status.next_attempt_at = None;
            if complete {
                status.observed_generation = Some(generation);
            }
            status
        };
        if let Some(object) = self.commit(&claimed, &verdict, status).await? {
            return Ok(Issued::Done(object, key));
        }
        turn().await;
        let live = self.operator.world.borrow_mut().read(super::world::World::live)?;
        if live.is_none_or(|live| live.deleting) || self.is(Mutant::CompensatesBlindly) {
            self.compensate(&key.id).await;
        }
        Ok(Issued::Stale)
    }

    /// Writes status as long as our claim is the newest. `None`: it is not any more.
    async fn commit(
        &self,
        claimed: &Rc<Object>,
        verdict: &Verdict,
        change: impl Fn(GatewayApiKeyStatus) -> GatewayApiKeyStatus,
    ) -> Result<Option<Rc<Object>>, Kube> {
        let world = &self.operator.world;
        let mut object = Rc::clone(claimed);
        for _ in 0..COMMITS {
            let mut status = change(object.status.clone());
            let generation = Some(self.operator.key.generation);
            verdict.apply(&mut status.conditions, generation, self.operator.now());
            if status == object.status {
                return Ok(Some(object));
            }
            turn().await;
            let written = world.borrow_mut().patch(Some(object.version), |object| object.status = status);
            match written {
                Ok(written) => return Ok(Some(written)),
                Err(Kube::Missing) => return Ok(None),
                Err(Kube::Conflict) => {}
                Err(error) => return Err(error),
            }
            turn().await;
            let Some(newer) = world.borrow_mut().read(super::world::World::live)? else {
                return Ok(None);
            };
            if newer.claim().is_none_or(|claim| claim.serial != self.serial) {
                return Ok(None);
            }
            object = newer;
        }
        Ok(None)
    }
}
