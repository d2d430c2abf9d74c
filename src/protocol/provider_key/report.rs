//! The status of a ProviderKey, and which other resources are enqueued.

use super::ProviderKeyPass;
use crate::api::condition::{self, STALLED};
use crate::api::{ProviderKeyStatus, Verdict};
use crate::cluster::object;
use crate::plan::fault::Fault;
use crate::plan::naming::Serial;
use crate::plan::provider_key::{ProviderKeyDecision, ProviderKeyWhy as Why};
use crate::plan::report;
use crate::plan::report::call_purpose::CallPurpose;
use crate::plan::retry;
use crate::plan::time;
use crate::protocol::ports::Measure;
use crate::protocol::provider_key::ports::ProviderKeyPorts;
use crate::protocol::{self, Error, Pass, stale_or};
use jiff::Timestamp;

impl<P: ProviderKeyPorts> ProviderKeyPass<P> {
    pub(super) async fn rest(
        &mut self,
        decision: &ProviderKeyDecision,
        until: Option<Timestamp>,
    ) -> Result<Pass, Error> {
        let shown = until.map(time::clock).unwrap_or_default();
        let verdict = match decision.why {
            Why::Fresh => return self.settle(&self.at_rest()).await,
            Why::AnswerLost => {
                let claimed = self.claimed();
                let fault = self.ports.remember(&self.uid, |it| it.fault_of(claimed));
                report::provider_key::unanswered(fault.as_ref(), &shown)
            }
            Why::Superseded => report::provider_key::superseded(&shown),
            Why::Missing => report::provider_key::missing(self.status().missing_since.unwrap_or_default()),
            _ => return Ok(Pass::Rest(until)),
        };
        Ok(self.publish(self.status(), &verdict).await?.until(until))
    }

    fn claimed(&self) -> Option<Serial> {
        object::claim_of(self.object.as_ref(), &self.identity()).map(|claim| claim.serial)
    }

    pub(super) fn notify_stored(&self, why: Why) {
        self.ports.notify(self.object.as_ref(), report::provider_key::sent(why));
    }

    /// Whether the credential of this generation is stored at the vendor, by status.
    pub(super) fn is_stored(&self) -> bool {
        let status = self.status();
        let worked = status.internal.last_pass.is_some_and(|it| it.works);
        worked && status.id.is_some() && status.observed_generation == self.object.metadata.generation
    }

    pub(super) fn at_rest(&self) -> Verdict {
        report::provider_key::at_rest(&self.status().left_behind)
    }

    pub(super) async fn settle(&mut self, verdict: &Verdict) -> Result<Pass, Error> {
        let mut status = self.status();
        status.observed_generation = self.object.metadata.generation;
        status.last_handled_reconcile_at = object::requested(self.object.as_ref()).cloned();
        status.failures = None;
        status.next_attempt_at = None;
        self.publish(status, verdict).await
    }

    pub(super) async fn failed(&mut self, fault: &Fault, purpose: CallPurpose) -> Result<Pass, Error> {
        if fault.is_paused() {
            return self.blocked(&fault.to_string()).await;
        }
        let status = self.after_failure(fault);
        let next = status.next_attempt_at.unwrap_or_else(|| self.ports.now());
        let verdict = report::failed(
            fault,
            purpose,
            next,
            report::occurrence(status.internal.last_pass.as_ref(), fault),
        );
        Ok(self.publish(status, &verdict).await?.until(Some(next)))
    }

    /// Status after a failed call: with the number of failures, and the time of the next attempt.
    pub(super) fn after_failure(&self, fault: &Fault) -> ProviderKeyStatus {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        status.failures = Some(failures);
        status.next_attempt_at = Some(retry::after(fault, failures, &self.uid, self.ports.now()));
        status
    }

    /// RBAC does not allow the Secret to be read.
    pub(super) async fn unreadable(&mut self, error: &kube::Error) -> Result<Pass, Error> {
        let (secret, error) = (self.object.spec.credentials_ref.name.clone(), crate::cluster::brief(error));
        let verdict = report::key::secret_unreadable(&secret, &self.namespace(), &error);
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = retry::plus(self.ports.now(), retry::backoff(failures, &self.uid));
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        let ready = self.is_stored();
        Ok(self.publish(status, &verdict.still_ready(ready)).await?.until(Some(next)))
    }

    pub(super) async fn blocked(&mut self, why: &str) -> Result<Pass, Error> {
        let stalled = self.token_state().is_some_and(|it| it.stalled);
        let verdict = report::token::not_ready(&self.token_ref(), why, stalled);
        self.publish(self.status(), &verdict.still_ready(self.is_stored())).await
    }

    pub(super) async fn publish(
        &mut self,
        mut status: ProviderKeyStatus,
        verdict: &Verdict,
    ) -> Result<Pass, Error> {
        let (generation, now) = (self.object.metadata.generation, self.ports.now());
        let (conditions, last) = (&mut status.conditions, &mut status.internal.last_pass);
        let notice = report::transition(conditions, last, verdict, generation, now);
        // kstatus evaluates Stalled only where observedGeneration is current.
        if condition::is_true(&status.conditions, STALLED) {
            status.observed_generation = generation;
        }
        let requeue_at = status.internal.last_pass.as_ref().and_then(|it| it.gives_up_at(now));
        match protocol::publish(&self.ports, &self.object, &status).await {
            Ok(Some(object)) => self.wrote(object),
            Ok(None) => return Ok(Pass::Rest(requeue_at)),
            Err(error) => return stale_or(error),
        }
        if let Some(notice) = notice {
            self.ports.notify(self.object.as_ref(), notice);
        }
        Ok(Pass::Rest(requeue_at))
    }

    pub(super) fn say_left_behind(&self, ids: &[String]) {
        if ids.is_empty() {
            return;
        }
        self.ports.measure(Measure::LeftBehind("ProviderKey", ids.len()));
        self.ports.notify(self.object.as_ref(), report::provider_key::left_behind(ids));
    }
}
