//! Replacements that fail and keys that were replaced, as `controller::gateway_api_key::replace` does it.

use super::cluster::UID;
use super::fate::turn;
use super::operator::{Done, Operator, Pass};
use super::vendor::Request;
use super::world::Kube;
use keysmith::api::{GatewayApiKeyStatus, Reason, Verdict};
use keysmith::gateway::Amendment;
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::desired::Desired;
use keysmith::plan::facts::{Facts, KeyId};
use keysmith::plan::fault::{Fault, FaultKind};
use keysmith::plan::issuance::{Decision, Why};
use keysmith::plan::naming::Serial;
use keysmith::plan::rotation::Cause;
use keysmith::plan::{report, retry, succession};

impl Operator {
    pub async fn replacement_failed(
        &mut self,
        facts: &Facts,
        fault: &Fault,
        cause: Cause,
    ) -> Result<Option<Pass>, Kube> {
        let mut status = self.status();
        let failures = status.rotation_failures.unwrap_or(0).saturating_add(1);
        status.rotation_failures = Some(failures);
        status.next_rotation_time = Some(retry::after(fault, failures, UID, self.now()));
        status.failed_asks = Some(facts.asks.fingerprint());
        let verdict =
            report::key::replacement_failed(fault, cause, &status, failures > 1).still_ready(facts.works());
        Ok(match self.publish(status, &verdict).await? {
            Pass::Stale => Some(Pass::Stale),
            Pass::Rest(_) => None,
        })
    }

    pub async fn settle_serial(&mut self, facts: &Facts, serial: Serial) -> Result<Done, Kube> {
        let next = facts.next_serial().max(serial.next());
        if let Done::Pass(pass) = self.claim_again(&Claim::new(next, self.now(), Purpose::Restore)).await? {
            return Ok(Done::Pass(pass));
        }
        self.settled = Some(next);
        let fault = Fault::ambiguous(FaultKind::Strange("the answer to the create call was lost"));
        let cause = facts.claim.and_then(|claim| claim.cause).unwrap_or(Cause::Requested);
        let pass = self.replacement_failed(facts, &fault, cause).await?;
        Ok(pass.map_or(Done::Again, Done::Pass))
    }

    pub async fn fence(&mut self, facts: &Facts, serial: Serial) -> Result<Done, Kube> {
        match self.secrets.fence(serial).await {
            Ok(_) => Ok(Done::Again),
            Err(error) => self.undelivered(facts, error).await,
        }
    }

    pub async fn forsake(&mut self, facts: &Facts) -> Result<Done, Kube> {
        let mut status = self.status();
        succession::forsake(&mut status, &facts.asks, self.now());
        let verdict = Verdict::reconciling(Reason::Leaked, "the key was declared leaked");
        let pass = self.publish(status, &verdict).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    pub async fn retire_previous(
        &mut self,
        facts: &Facts,
        desired: &Desired,
        (id, decision): (&KeyId, &Decision),
    ) -> Result<Done, Kube> {
        match self.owned(facts, id).await {
            Ok(true) => {
                turn().await;
                let sent = self.world.borrow_mut().send(&Request::Revoke(id.clone()));
                if let Err(fault) = sent {
                    return Ok(Done::Failed(fault, "revoke the old key"));
                }
                self.gone.insert(id.clone());
                self.changed_vendor();
            }
            Ok(false) => {}
            Err(fault) => return Ok(Done::Failed(fault, "look at the old key")),
        }
        let mut status = self.status();
        status.previous.retain(|key| key.id != id.0);
        self.tell_of_previous(status, desired, decision).await
    }

    pub async fn switch_previous(
        &mut self,
        desired: &Desired,
        (id, on): (&KeyId, bool),
        decision: &Decision,
    ) -> Result<Done, Kube> {
        let amendment = Amendment::activity(desired.settings.clone(), on);
        turn().await;
        let (fields, name, to) = (amendment.fields, amendment.name, amendment.to);
        let sent = self.world.borrow_mut().send(&Request::Amend { id: id.clone(), fields, name, to });
        if let Err(fault) = sent
            && fault.kind != FaultKind::NotFound
        {
            return Ok(Done::Failed(fault, "switch the old key"));
        }
        self.changed_vendor();
        let off = (!on).then(|| report::to_the_second(self.now()));
        let mut status = self.status();
        for key in status.previous.iter_mut().filter(|key| key.id == id.0) {
            key.disabled_at = off;
        }
        self.tell_of_previous(status, desired, decision).await
    }

    async fn tell_of_previous(
        &mut self,
        mut status: GatewayApiKeyStatus,
        desired: &Desired,
        decision: &Decision,
    ) -> Result<Done, Kube> {
        if decision.why == Why::StillInUse {
            let used = report::conditions::still_in_use(&desired.policy, Some(self.key.generation));
            keysmith::api::condition::set(&mut status.conditions, used, self.now());
        }
        let pass = self.publish_as_it_is(status).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    pub async fn trim(&mut self, facts: &Facts) -> Result<Done, Kube> {
        let claimed = facts.claim.map(|claim| claim.serial).max(facts.record.serial).unwrap_or_default();
        match self.secrets.trim(claimed).await {
            Ok(()) => Ok(Done::Again),
            Err(error) => self.undelivered(facts, error).await,
        }
    }

    pub async fn restart(&mut self, revision: &str) -> Result<Done, Kube> {
        turn().await;
        self.world.borrow_mut().write(|_| Ok(()))?;
        let mut status = self.status();
        status.restarted_for = Some(revision.to_owned());
        let pass = self.publish_as_it_is(status).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }
}
