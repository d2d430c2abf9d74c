//! The critical section, as `controller::issue` does it.

use super::cluster::{Object, identity, mark};
use super::deliver::delivered;
use super::ending::taken;
use super::fate::turn;
use super::mutant::Mutant;
use super::operator::{Done, Operator, Pass};
use super::secrets::{Delivery, Rehearsed, Undelivered};
use super::vendor::Request;
use super::world::Kube;
use keysmith::api::{GatewayApiKeyStatus, Reason, Verdict};
use keysmith::plan::capability::Recovery;
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::desired::Desired;
use keysmith::plan::drift::{self, Field, Sent};
use keysmith::plan::facts::{Facts, Held, KeyId, Listed, Record, Target};
use keysmith::plan::fault::{Effect, Fault, FaultKind};
use keysmith::plan::issuance::{Decision, SEND_WITHIN, Step, Why};
use keysmith::plan::naming::Serial;
use keysmith::plan::retry::plus;
use keysmith::plan::rotation::{self, Cause};
use keysmith::plan::succession::{self, Successor};
use keysmith::plan::{report, upkeep};
use std::rc::Rc;

const DELIVERIES: u32 = 5;
const COMMITS: usize = 5;

pub enum Issued {
    Done(Rc<Object>, Box<Listed>),
    Stale,
    Pending(Rc<Object>),
    Refused(Rc<Object>),
    Failed(Rc<Object>, Fault),
    Undelivered(Rc<Object>),
}

struct Section<'a> {
    operator: &'a Operator,
    facts: &'a Facts,
    desired: &'a Desired,
    serial: Serial,
    cause: Option<Cause>,
}

impl Operator {
    pub async fn issue(
        &mut self,
        facts: &Facts,
        desired: &Desired,
        decision: &Decision,
    ) -> Result<Done, Kube> {
        let Step::Issue(serial) = decision.step else { return Ok(Done::Again) };
        let cause = match decision.why {
            Why::Rotation(cause) => Some(cause),
            _ => facts.claim.and_then(|claim| claim.cause),
        };
        match self.secrets.rehearse(facts.target == Target::Absent, serial).await {
            Ok(Rehearsed::Fine) => {}
            Ok(Rehearsed::Outdated) if self.looked => return Ok(Done::Pass(Pass::Stale)),
            Ok(Rehearsed::Outdated) => {
                self.looked = true;
                return Ok(Done::Again);
            }
            Err(error) => return self.undelivered(facts, error).await,
        }
        let section = Section { operator: self, facts, desired, serial, cause };
        Ok(match section.run().await? {
            Issued::Done(object, key) => {
                self.wrote(object);
                self.confirmed = Some(Some(*key));
                self.overdue = false;
                Done::Again
            }
            Issued::Stale => Done::Pass(Pass::Stale),
            Issued::Pending(object) => {
                self.wrote(object);
                if self.key.status.id.clone().map(KeyId) != facts.record.id {
                    self.confirmed = None;
                }
                Done::Again
            }
            Issued::Refused(object) => {
                self.wrote(object);
                self.settled = Some(serial);
                Done::Pass(self.wait_with(&taken(), facts).await?)
            }
            Issued::Undelivered(object) => {
                self.wrote(object);
                Done::Pass(self.wait_with(&taken(), facts).await?)
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
            sent: Some(self.facts.asks.fingerprint()),
            cause: self.cause,
            ..Claim::new(self.serial, self.operator.now(), Purpose::Create)
        };
        let claimed = match self.operator.claim(&claim).await {
            Ok(object) => object,
            Err(Kube::Conflict | Kube::Missing) => return Ok(Issued::Stale),
            Err(error) => return Err(error),
        };
        if self.facts.target != Target::Absent && !self.is(Mutant::RaisesNoFence) {
            match self.fence().await? {
                Ok(None) => {}
                Ok(Some(held)) => match self.is_ours(&held).await {
                    Ok(true) => return self.adopt_held(claimed, held).await,
                    Ok(false) => {}
                    Err(fault) => return Ok(Issued::Failed(claimed, fault)),
                },
                Err(Undelivered::Superseded) => return Ok(Issued::Stale),
                Err(_) => return Ok(Issued::Refused(claimed)),
            }
        }
        if self.is(Mutant::DeletesFirst)
            && let Some(old) = &self.operator.key.status.id
        {
            self.compensate(&KeyId(old.clone())).await;
        }
        if self.is(Mutant::FirstDraft) {
            let status = &self.operator.key.status;
            let named =
                |id: &String| status.id.as_ref() == Some(id) || status.previous.iter().any(|it| it.id == *id);
            for spare in self.facts.own().filter(|own| !named(&own.key.id.0)) {
                self.compensate(&spare.key.id).await;
            }
        }
        if plus(claim.at, SEND_WITHIN) < self.operator.now() {
            return Ok(Issued::Pending(claimed));
        }
        let mut sent = self.make().await;
        if self.is(Mutant::SendsTwice) && sent.as_ref().is_err_and(|it| it.effect == Effect::Unknown) {
            sent = self.mint().await;
        }
        match sent {
            Ok(key) => self.deliver(claimed, key).await,
            Err(fault) if fault.effect == Effect::None => Ok(Issued::Failed(claimed, fault)),
            Err(_) => Ok(Issued::Pending(claimed)),
        }
    }

    async fn make(&self) -> Result<Listed, Fault> {
        let Some(id) = upkeep::reusable(self.facts) else {
            return self.mint().await;
        };
        let to = self.desired.settings.clone();
        let fields = vec![Field::DisplayName, Field::Models];
        let name = mark().name(&to.display_name, self.serial);
        let renamed = self.send(&Request::Amend { id: id.clone(), fields, name, to }).await;
        match renamed {
            Err(fault) if fault.kind == FaultKind::NotFound => self.mint().await,
            Err(fault) => Err(fault),
            Ok(_) => self.send(&Request::Rotate(id)).await.map(|key| key.unwrap()),
        }
    }

    async fn mint(&self) -> Result<Listed, Fault> {
        let request = Request::Mint {
            name: mark().name(&self.desired.settings.display_name, self.serial),
            models: self.desired.settings.models.clone(),
            ours: true,
        };
        self.send(&request).await.map(|key| key.unwrap())
    }

    async fn send(&self, request: &Request) -> Result<Option<Listed>, Fault> {
        let now = self.operator.now();
        self.operator.remember(|memory| memory.unsent = Some(now));
        turn().await;
        self.operator.remember(|memory| memory.unsent = None);
        self.operator.world.borrow_mut().send(request)
    }

    async fn fence(&self) -> Result<Result<Option<Held>, Undelivered>, Kube> {
        let status = &self.operator.key.status;
        let known = status.serial.max(status.settled_serial).map(Serial);
        if self.is(Mutant::FirstDraft) {
            let secret = self.operator.secrets.get().await?;
            let held = secret.and_then(|secret| secret.target(None).held().cloned());
            if held.as_ref().is_some_and(|held| held.serial > known && held.key_id.is_some()) {
                return Ok(Ok(held));
            }
        }
        match self.operator.secrets.fence(self.serial).await {
            Ok(held) => Ok(Ok(held.filter(|held| {
                held.serial > known && held.key_id.is_some() && held.serial.is_some_and(|it| held.holds(it))
            }))),
            Err(Undelivered::Unavailable) => Err(Kube::Unavailable),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn is_ours(&self, held: &Held) -> Result<bool, Fault> {
        let Some(id) = &held.key_id else { return Ok(false) };
        let key = self.operator.get(id).await?;
        Ok(key.is_some_and(|key| identity().serial_in(&key.name) == held.serial))
    }

    async fn adopt_held(&self, claimed: Rc<Object>, held: Held) -> Result<Issued, Kube> {
        let (Some(id), Some(serial)) = (held.key_id, held.serial) else {
            return Ok(Issued::Stale);
        };
        let handled = Record::from(&self.operator.key.status).handled;
        let successor =
            Successor { settled: self.serial, asks: &handled, ..self.successor(&id, serial, None) };
        let status = |mut status: GatewayApiKeyStatus| {
            succession::succeed(&mut status, &successor);
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
                absent: self.facts.target == Target::Absent && attempt == 0,
                id: key.id.clone(),
                expires_at: key.expires_at,
                template: self.operator.key.spec.template(),
                previous: self.previous(),
                standing: false,
            };
            match self.operator.secrets.deliver(&delivery).await {
                Ok(()) => return self.record(claimed, key).await,
                Err(Undelivered::Unavailable) if attempt < DELIVERIES => attempt += 1,
                Err(Undelivered::Unavailable) => return Ok(Issued::Pending(claimed)),
                Err(Undelivered::Superseded) => return Ok(Issued::Stale),
                // It was certainly not delivered, so nobody serves it.
                Err(error) if attempt == 0 && self.is_vain(error) && self.compensate(&key.id).await => {
                    return Ok(Issued::Refused(claimed));
                }
                Err(Undelivered::Foreign | Undelivered::Refused | Undelivered::Altered) => {
                    return Ok(Issued::Undelivered(claimed));
                }
            }
        }
    }

    fn is_vain(&self, error: Undelivered) -> bool {
        let shown_again = self.facts.ability.recovery == Recovery::Reveal;
        error == Undelivered::Foreign || !shown_again
    }

    fn successor<'a>(&'a self, id: &'a KeyId, serial: Serial, listed: Option<&'a Listed>) -> Successor<'a> {
        Successor {
            id,
            serial,
            settled: serial,
            listed,
            shares: None,
            cause: self.cause,
            asks: &self.facts.asks,
            desired: self.desired,
            now: self.operator.now(),
            spread: self.facts.spread,
        }
    }

    /// The serial whose entries stay in the Secret beside the new ones.
    fn previous(&self) -> Option<Serial> {
        let keeps = self.desired.secret.keep_previous && self.cause.is_some_and(Cause::overlaps);
        self.operator.key.status.serial.map(Serial).filter(|_| keeps)
    }

    /// Whether the key is gone. If not, its mark betrays it to a later look.
    async fn compensate(&self, id: &KeyId) -> bool {
        turn().await;
        self.operator.world.borrow_mut().send(&Request::Revoke(id.clone())).is_ok()
    }

    async fn record(&self, claimed: Rc<Object>, key: Listed) -> Result<Issued, Kube> {
        let settings = &self.desired.settings;
        let complete = drift::drift(settings, &key, &Sent::all(settings)).is_empty();
        let verdict = delivered(self.desired, complete);
        let generation = self.operator.key.generation;
        let status = |mut status: GatewayApiKeyStatus| {
            succession::succeed(&mut status, &self.successor(&key.id, self.serial, Some(&key)));
            if complete {
                status.observed_generation = Some(generation);
            }
            status
        };
        if let Some(object) = self.commit(&claimed, &verdict, status).await? {
            return Ok(Issued::Done(object, Box::new(key)));
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
            let mut status = object.status.clone();
            status.key_count = rotation::counted(status.key_count.as_ref(), object.claim());
            let mut status = change(status);
            let (generation, now) = (Some(self.operator.key.generation), self.operator.now());
            verdict.apply(&mut status.conditions, generation, now);
            report::conditions::tell_of_rotation(&mut status, false, generation, now);
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
