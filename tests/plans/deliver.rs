//! A key's way into its Secret outside the critical section, as `controller::gateway_api_key::deliver` does it.

use super::cluster::{SECRET, identity};
use super::ending::taken;
use super::operator::{Done, Operator, Pass};
use super::secrets::{Delivery, Undelivered};
use super::world::Kube;
use jiff::Timestamp;
use keysmith::api::{Reason, Verdict};
use keysmith::plan::contest;
use keysmith::plan::desired::Desired;
use keysmith::plan::facts::{Facts, KeyId, Listed, OwnKey};
use keysmith::plan::issuance::{Decision, Step, Why};
use keysmith::plan::naming::Serial;
use keysmith::plan::succession::{self, Successor};
use keysmith::plan::{drift, report};

impl Operator {
    pub async fn adopt(
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
        match self.deliver(facts, desired, (serial, id, expires_at, false)).await {
            Ok(()) => self.commit(facts, desired, (serial, id, listed)).await,
            Err(error) => self.undelivered(facts, error).await,
        }
    }

    pub async fn restore(
        &mut self,
        facts: &Facts,
        desired: &Desired,
        (serial, id): (Serial, &KeyId),
    ) -> Result<Done, Kube> {
        match self.reveal(id).await {
            Ok(Some(_)) => {}
            Ok(None) => {
                self.confirmed = Some(None);
                return Ok(Done::Again);
            }
            Err(fault) => return Ok(Done::Failed(fault, "have the key revealed")),
        }
        self.put_right(facts, desired, (serial, id, false)).await
    }

    pub async fn put_right(
        &mut self,
        facts: &Facts,
        desired: &Desired,
        (serial, id, standing): (Serial, &KeyId, bool),
    ) -> Result<Done, Kube> {
        let now = self.now();
        match self.deliver(facts, desired, (serial, id, facts.record.expires_at, standing)).await {
            Ok(()) => {
                let state = contest::state(facts).to_owned();
                self.remember(|memory| memory.mends.push((state, now)));
                Ok(Done::Again)
            }
            Err(error) => self.undelivered(facts, error).await,
        }
    }

    pub async fn contest(&mut self, facts: &Facts) -> Result<Done, Kube> {
        let mut status = self.status();
        status.secret_contest = Some(contest::found(facts));
        let pass = self.publish_as_it_is(status).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    pub async fn miss(&mut self) -> Result<Done, Kube> {
        let mut status = self.status();
        status.missing_since = Some(report::to_the_second(self.now()));
        let verdict = Verdict::reconciling(Reason::KeyMissing, "missing");
        let pass = self.publish(status, &verdict).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    async fn deliver(
        &self,
        facts: &Facts,
        desired: &Desired,
        (serial, id, expires_at, standing): (Serial, &KeyId, Option<Timestamp>, bool),
    ) -> Result<(), Undelivered> {
        let claimed = facts.claim.map_or(serial, |claim| claim.serial);
        let delivery = Delivery {
            serial,
            fence: claimed.max(serial),
            absent: false,
            id: id.clone(),
            expires_at,
            template: self.key.spec.template(),
            previous: facts.record.serial.filter(|_| desired.secret.keep_previous),
            standing,
        };
        self.secrets.deliver(&delivery).await
    }

    pub async fn undelivered(&mut self, facts: &Facts, error: Undelivered) -> Result<Done, Kube> {
        match error {
            Undelivered::Foreign | Undelivered::Refused | Undelivered::Altered => {
                let verdict = taken().still_ready(facts.works());
                Ok(Done::Pass(self.wait_with(&verdict, facts).await?))
            }
            Undelivered::Unavailable => Err(Kube::Unavailable),
            Undelivered::Superseded => Ok(Done::Pass(Pass::Stale)),
        }
    }

    pub async fn commit_held(
        &mut self,
        facts: &Facts,
        desired: &Desired,
        (serial, id): (Serial, &KeyId),
    ) -> Result<Done, Kube> {
        match self.get(id).await {
            Ok(Some(key)) if identity().serial_in(&key.name) == Some(serial) => {
                self.commit(facts, desired, (serial, id, Some(key))).await
            }
            Ok(_) => {
                self.disowned = Some(id.clone());
                Ok(Done::Again)
            }
            Err(fault) => Ok(Done::Failed(fault, "look at the key")),
        }
    }

    async fn commit(
        &mut self,
        facts: &Facts,
        desired: &Desired,
        (serial, id, listed): (Serial, &KeyId, Option<Listed>),
    ) -> Result<Done, Kube> {
        let mut status = self.status();
        let claim = facts.claim;
        let fresh = claim.and_then(|claim| claim.sent) == Some(facts.asks.fingerprint());
        let successor = Successor {
            id,
            serial,
            settled: serial.max(claim.map_or(serial, |claim| claim.serial)),
            listed: listed.as_ref(),
            shares: None,
            cause: claim.and_then(|claim| claim.cause),
            asks: if fresh { &facts.asks } else { &facts.record.handled },
            desired,
            now: self.now(),
            spread: facts.spread,
        };
        succession::succeed(&mut status, &successor);
        if listed.is_none() {
            status.expires_at = facts.target.held().and_then(|held| held.expires_at);
        }
        let settled = listed.as_ref().is_none_or(|it| {
            drift::drift(&desired.settings, it, &drift::Sent::all(&desired.settings)).is_empty()
        });
        if settled {
            status.observed_generation = Some(self.key.generation);
        }
        self.confirmed = listed.map(Some);
        self.disowned = None;
        let pass = self.publish(status, &delivered(desired, settled)).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }
}

/// What status says of a key that was just put into its Secret.
pub fn delivered(desired: &Desired, settled: bool) -> Verdict {
    let rest = Decision { step: Step::Rest(None), why: Why::Fresh };
    report::key::resting(&rest, &report::key::Scene::new(SECRET, desired.settings.active))
        .filter(|_| settled)
        .unwrap_or_else(|| {
            Verdict::reconciling(Reason::Progressing, "the settings of the key are being applied")
        })
}

/// The served key as the last listing shows it.
pub fn replaced(facts: &Facts) -> Option<OwnKey> {
    facts.own().find(|own| Some(&own.key.id) == facts.record.id.as_ref()).cloned()
}
