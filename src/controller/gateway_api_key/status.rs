//! What a key's status says, and who else is told.

use super::super::{Error, Pass, stale_or};
use super::Work;
use super::deliver::replaced;
use crate::api::condition::{self, Course, READY};
use crate::api::rotation::ManagementPolicy;
use crate::api::{ConsoleToken, GatewayApiKey, GatewayApiKeyStatus, LEAKED, Reason, Verdict};
use crate::cluster::{object, watch};
use crate::plan::desired::Desired;
use crate::plan::expiry;
use crate::plan::facts::{Facts, Listed};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::issuance::{Decision, Why};
use crate::plan::refusal::Refusal;
use crate::plan::report::{self, Notice};
use crate::plan::{money, retry, succession};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::sync::Arc;

/// The revocation of a leaked key is not put off longer than this.
const LEAK_RETRY: SignedDuration = SignedDuration::from_secs(60);

impl Work {
    /// At rest: status says what is known.
    pub(super) async fn rest(
        &mut self,
        facts: &Facts,
        decision: &Decision,
        desired: &Desired,
        until: Option<Timestamp>,
    ) -> Result<Pass, Error> {
        let Some(verdict) = report::resting(decision, &desired.secret.name, desired.settings.active) else {
            return Ok(Pass::Rest(until));
        };
        let pass = match &decision.why {
            Why::NotApplied(_) => return self.wait_with(&verdict, facts).await,
            Why::KeyMissing | Why::AccountDoubted | Why::Contested | Why::SecretImmutable => {
                let mut status = self.looked();
                succession::refresh(&mut status, facts, desired);
                let works = match decision.why {
                    Why::AccountDoubted => facts.serves(),
                    _ => facts.works(),
                };
                self.publish(status, &verdict.still_ready(works)).await?
            }
            Why::Fresh => self.fresh(facts, desired, &verdict).await?,
            Why::Observed => self.observed(facts, desired, &verdict).await?,
            Why::AnswerLost => self.publish(self.status(), &verdict.still_ready(facts.works())).await?,
            Why::MintingStopped(_) => {
                // What is asked for from now on is asked anew.
                let mut status = self.looked();
                status.failed_asks = Some(facts.asks.fingerprint());
                self.publish(status, &verdict.still_ready(facts.works())).await?
            }
            Why::Suspended => {
                // That nothing is done is all there is to carry out; taking it away is another generation.
                let mut status = self.status();
                status.observed_generation = self.key.metadata.generation;
                self.publish(status, &verdict.still_ready(facts.works())).await?
            }
            _ => self.publish(self.status(), &verdict).await?,
        };
        Ok(if pass == Pass::Stale { pass } else { Pass::Rest(until) })
    }

    /// Everything is as it should be; what an attempt to replace the key left to say stays said.
    async fn fresh(&mut self, facts: &Facts, desired: &Desired, verdict: &Verdict) -> Result<Pass, Error> {
        let mut status = self.carried_out();
        if let Some(seen) = seen(facts) {
            show(&mut status, &seen, desired);
        }
        succession::shown(&mut status, facts);
        let unconfirmed =
            report::tell_of_expiry(&mut status, desired, self.key.metadata.generation, facts.now);
        if let Some(notice) = unconfirmed {
            self.context.notify(self.key.as_ref(), notice);
        }
        self.tell_usage(&mut status);
        succession::refresh(&mut status, facts, desired);
        if status.rotation_failures.is_some() {
            return self.publish_as_it_is(status).await;
        }
        self.publish(status, verdict).await
    }

    /// What the key spent, where its ConsoleToken has it read.
    fn tell_usage(&self, status: &mut GatewayApiKeyStatus) {
        let name = &self.key.spec.console_token_ref.name;
        let token = watch::find::<ConsoleToken>(&self.context.stores.tokens, &self.namespace(), name);
        if token.is_none_or(|token| token.spec.usage.is_none()) {
            status.usage = None;
            return;
        }
        let Some(account) = self.standing().and_then(|it| it.account) else { return };
        // Until it is read anew after a start, what was told before stays told.
        let Some(spent) = account.latest_spent() else { return };
        let budget = status.budget.as_ref().and_then(money::limit);
        let currency = account.capabilities().budget.currency;
        let id = status.id.as_deref();
        status.usage = Some(spent.told(&self.identity, (id, budget), currency));
        let used = spent.of(&self.identity, status.id.as_deref()).last_used_at;
        status.last_used_at = report::to_the_hour(status.last_used_at, used);
    }

    /// Somebody else's key, shown and left alone.
    async fn observed(&mut self, facts: &Facts, desired: &Desired, verdict: &Verdict) -> Result<Pass, Error> {
        let mut status = self.carried_out();
        let confirmed = facts.confirmed.as_ref().and_then(Option::as_ref);
        // A key that was managed before stays the served one, should it be managed again.
        let same = |seen: &&Listed| status.serial.is_none() || status.id.as_ref() == Some(&seen.id.0);
        if let Some(seen) = confirmed.or(facts.external.as_ref()).filter(same) {
            status.id = Some(seen.id.0.clone());
            show(&mut status, seen, desired);
        }
        self.publish(status, verdict).await
    }

    /// The specification cannot be carried out.
    pub(super) async fn refused_spec(&mut self, refusal: &Refusal) -> Result<Pass, Error> {
        let status = self.carried_out();
        self.publish(status, &refusal.verdict()).await
    }

    /// What was asked to be looked at was looked at.
    fn looked(&self) -> GatewayApiKeyStatus {
        let mut status = self.status();
        status.last_handled_reconcile_at = object::requested(self.key.as_ref()).cloned();
        status
    }

    /// The generation is carried out, or refused.
    fn carried_out(&self) -> GatewayApiKeyStatus {
        let mut status = self.status();
        status.observed_generation = self.key.metadata.generation;
        status.last_handled_reconcile_at = object::requested(self.key.as_ref()).cloned();
        succession::forget_failures(&mut status);
        status
    }

    /// A vendor call failed: said in status, with the time of the next attempt, which survives a restart.
    pub(super) async fn failed(
        &mut self,
        fault: &Fault,
        doing: &str,
        facts: Option<&Facts>,
    ) -> Result<Pass, Error> {
        if fault.kind == FaultKind::BreakerOpen {
            return self.blocked(&fault.to_string()).await;
        }
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = self.next_attempt(fault, failures, &status);
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        status.failed_asks = facts.map(|facts| facts.asks.fingerprint());
        let works = facts.is_some_and(|it| it.record.generation == it.generation && it.works());
        let verdict = report::failed(fault, doing, next).still_ready(works);
        match self.publish(status, &verdict).await? {
            Pass::Stale => Ok(Pass::Stale),
            Pass::Rest(_) => Ok(Pass::Rest(Some(next))),
        }
    }

    /// When a call that failed so often is tried again.
    pub(super) fn next_attempt(
        &self,
        fault: &Fault,
        failures: u32,
        status: &GatewayApiKeyStatus,
    ) -> Timestamp {
        let now = self.context.clock.now();
        let next = retry::after(fault, failures, &self.uid, now);
        if !self.leak_is_open(status) {
            return next;
        }
        // A leaked key works until it is revoked, whatever another call was asked to wait for.
        next.min(retry::plus(now, retry::backoff(failures, &self.uid).min(LEAK_RETRY)))
    }

    /// Something other than the vendor is in the way; tried again with the same backoff.
    pub(super) async fn wait_with(&mut self, verdict: &Verdict, facts: &Facts) -> Result<Pass, Error> {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let wait = retry::backoff(failures + 4, &self.uid);
        let next = retry::plus(self.context.clock.now(), wait);
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        status.failed_asks = Some(facts.asks.fingerprint());
        match self.publish(status, verdict).await? {
            Pass::Stale => Ok(Pass::Stale),
            Pass::Rest(_) => Ok(Pass::Rest(Some(next))),
        }
    }

    /// The ConsoleToken is in the way; its controller wakes us when it is not any more.
    pub(super) async fn blocked(&mut self, why: &str) -> Result<Pass, Error> {
        let name = &self.key.spec.console_token_ref.name;
        let message = format!("ConsoleToken {name} is not Ready: {why}; continues by itself when it is");
        let record = self.record();
        let alive = record.expires_at.is_none_or(|at| at > self.context.clock.now());
        let served = alive && record.id.is_some() && record.generation == self.key.metadata.generation;
        let verdict = Verdict::reconciling(Reason::ConsoleTokenNotReady, message).still_ready(served);
        let pass = self.publish(self.status(), &verdict).await?;
        // What is said of the served key is true until it expires.
        Ok(if pass == Pass::Stale { pass } else { Pass::Rest(record.expires_at.filter(|_| alive)) })
    }

    pub(super) async fn without_token(&mut self) -> Result<Pass, Error> {
        let name = &self.key.spec.console_token_ref.name;
        let message = format!(
            "spec.consoleTokenRef.name: there is no ConsoleToken {name} in namespace {}; create it, Keysmith then goes on by itself",
            self.namespace()
        );
        let verdict = Verdict::stalled(Reason::ConsoleTokenMissing, message);
        self.publish(self.status(), &verdict).await
    }

    /// Writes status, if it differs; a warning goes out once per transition.
    pub(super) async fn publish(
        &mut self,
        mut status: GatewayApiKeyStatus,
        verdict: &Verdict,
    ) -> Result<Pass, Error> {
        let generation = self.key.metadata.generation;
        let before = condition::find(&status.conditions, READY).map(|it| it.reason.clone());
        let open = self.leak_is_open(&status).then(|| report::leaked_key(&status)).flatten();
        let verdict = &match open {
            Some(id) if verdict.course == Course::Settled => report::leak_pending(&id, self.is_observed()),
            Some(_) => verdict.clone().still_ready(false),
            None => verdict.clone(),
        };
        // Tools that follow kstatus look at Stalled only in a status of the present generation.
        if verdict.course == Course::Stalled && (status.id.is_none() || status.failures.is_some()) {
            status.observed_generation = generation;
        }
        verdict.apply(&mut status.conditions, generation, self.context.clock.now());
        let quiet = matches!(verdict.reason, Reason::Progressing | Reason::Suspended);
        let news = verdict.course != Course::Settled && before.as_deref() != Some(verdict.reason.as_str());
        let pass = self.publish_as_it_is(status).await?;
        if news && !quiet && pass != Pass::Stale {
            self.context
                .notify(self.key.as_ref(), Notice::warning(verdict.reason.as_str(), verdict.message.clone()));
        }
        Ok(pass)
    }

    /// Whether the key is only looked at.
    pub(super) fn is_observed(&self) -> bool {
        self.key.spec.management_policy == Some(ManagementPolicy::Observe)
    }

    /// Whether a key was declared leaked that is not revoked yet.
    pub(super) fn leak_is_open(&self, status: &GatewayApiKeyStatus) -> bool {
        report::leak_is_open(status, object::annotation(self.key.as_ref(), LEAKED))
    }

    /// The same, with `Ready` as it was.
    pub(super) async fn publish_as_it_is(&mut self, mut status: GatewayApiKeyStatus) -> Result<Pass, Error> {
        let (generation, now) = (self.key.metadata.generation, self.context.clock.now());
        let open = self.leak_is_open(&status);
        let notices = [
            report::tell_of_rotation(&mut status, self.overdue, generation, now),
            report::tell_of_leak(&mut status, (open, self.is_observed()), generation, now),
            report::tell_of_contest(&mut status, self.key.secret_name(), generation, now),
        ];
        self.context.metrics.rotation_overdue(&self.uid, self.overdue);
        self.context.metrics.leak_open(&self.uid, open);
        match object::publish(&self.context.client, self.key.as_ref(), &status).await {
            Ok(Some(object)) => {
                self.wrote(Arc::new(object));
                self.made = 0;
            }
            Ok(None) => return Ok(Pass::Rest(None)),
            Err(error) => return stale_or(error),
        }
        for notice in notices.into_iter().flatten() {
            self.context.notify(self.key.as_ref(), notice);
        }
        Ok(Pass::Rest(None))
    }

    pub(super) fn wrote(&mut self, object: Arc<GatewayApiKey>) {
        self.context.memory.wrote(Arc::clone(&object));
        self.key = object;
        self.wake_minted();
    }

    /// Provider keys name gateway keys by their resource; what they need is the vendor's id, which just changed.
    pub(super) fn wake_deposits(&self) {
        let (namespace, name) = (self.namespace(), self.key.name_any());
        let refers = |it: &crate::api::ProviderKey| {
            it.namespace().as_deref() == Some(&namespace)
                && it.spec.gateway_key_refs.iter().flatten().any(|reference| reference.name == name)
        };
        for deposit in watch::select(&self.context.stores.deposits, refers) {
            let _ = self.context.wakers.deposits.send(deposit);
        }
    }
}

/// The served key as the vendor showed it last.
pub(super) fn seen(facts: &Facts) -> Option<Listed> {
    facts.confirmed.clone().flatten().or_else(|| replaced(facts).map(|own| own.key))
}

/// What the vendor shows of the served key.
pub(super) fn show(status: &mut GatewayApiKeyStatus, seen: &Listed, desired: &Desired) {
    status.active = seen.shown.active;
    status.created_at = seen.created_at.or(status.created_at);
    // What cannot be read is not "never": the date that is known stays.
    if !seen.unread_expiry() {
        status.expires_at = expiry::recorded(status.created_at, seen.expires_at, desired);
    }
    status.last_used_at = report::to_the_hour(status.last_used_at, seen.last_used_at);
}
