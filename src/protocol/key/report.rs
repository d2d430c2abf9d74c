//! The status of a key, and which other resources are enqueued.

use super::KeyPass;
use super::deliver::listed_served_key;
use crate::api::condition::{self, STALLED};
use crate::api::rotation::ManagementPolicy;
use crate::api::verdict::Course;
use crate::api::{GatewayApiKey, GatewayApiKeyStatus, LEAKED, Reason, Verdict};
use crate::cluster::{object, workloads};
use crate::plan::budget;
use crate::plan::capability::Recovery;
use crate::plan::decision::{Decision, Why};
use crate::plan::desired::{self, Desired};
use crate::plan::expiry;
use crate::plan::facts::{Facts, Record};
use crate::plan::fault::{Fault, Occurrence};
use crate::plan::listing::Listed;
use crate::plan::naming::Serial;
use crate::plan::report::budget::{Evidence, Purse};
use crate::plan::report::call_purpose::CallPurpose;
use crate::plan::report::key::{Found, Scene};
use crate::plan::report::{self, conditions};
use crate::plan::spec_error::SpecError;
use crate::plan::time;
use crate::plan::{retry, succession};
use crate::protocol;
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::{Measure, VendorPort};
use crate::protocol::{Error, Pass, stale_or};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Longest backoff before the revocation of a leaked key is retried.
const LEAK_RETRY: SignedDuration = SignedDuration::from_secs(60);

/// Interval at which missing workloads are looked up again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(5);

impl<P: KeyPorts> KeyPass<P> {
    /// At rest: writes the observed state into status.
    pub(super) async fn rest(
        &mut self,
        facts: &Facts,
        decision: &Decision,
        desired: &Desired,
        until: Option<Timestamp>,
    ) -> Result<Pass, Error> {
        if let (Why::Idle, Some(refusal)) = (&decision.why, &desired.idle) {
            return self.refused_spec(refusal).await;
        }
        let Some(verdict) = report::key::resting(decision, &self.scene(facts, desired)) else {
            return Ok(Pass::Rest(until));
        };
        let pass = match &decision.why {
            Why::NotApplied(_) => return self.wait_with(&verdict, facts).await,
            Why::KeyMissing | Why::AccountDoubted | Why::Contested | Why::SecretImmutable => {
                let mut status = self.looked();
                succession::prune_unused(&mut status, facts);
                succession::refresh(&mut status, facts, desired);
                let works = match decision.why {
                    Why::AccountDoubted => facts.serves(),
                    _ => facts.works(),
                };
                self.publish(status, &verdict.still_ready(works)).await?
            }
            Why::Fresh | Why::LimitExceeded(_) => self.fresh(facts, decision, desired, &verdict).await?,
            Why::Observed => self.observed(facts, desired, &verdict).await?,
            Why::AnswerLost => {
                let mut status = self.status();
                succession::prune_unused(&mut status, facts);
                self.publish(status, &verdict.still_ready(facts.works())).await?
            }
            Why::MintingStopped(_) => {
                // Rotation requests made from now on count as new ones.
                let mut status = self.looked();
                succession::prune_unused(&mut status, facts);
                status.internal.failed_requests_hash = Some(facts.requests.fingerprint());
                self.publish(status, &verdict.still_ready(facts.works())).await?
            }
            Why::Suspended => {
                // Suspended: the status says only that nothing is done. Resuming is a new generation.
                let status = self.seen_through();
                self.publish(status, &verdict.still_ready(facts.works())).await?
            }
            _ => self.publish(self.status(), &verdict).await?,
        };
        let status = self.status();
        let unsure = matches!(decision.why, Why::Fresh | Why::LimitExceeded(_))
            && !desired.policy.restart.is_empty()
            && status.internal.consumers_found_generation != self.key.metadata.generation;
        let again = unsure.then(|| retry::plus(facts.now, LOOK_AGAIN));
        let renewed = report::budget::renewed_at(&status, desired, facts.now);
        Ok(pass.or_at([until, again, renewed]))
    }

    /// The key is as desired; messages of a failed attempt to replace it stay.
    async fn fresh(
        &mut self,
        facts: &Facts,
        decision: &Decision,
        desired: &Desired,
        verdict: &Verdict,
    ) -> Result<Pass, Error> {
        // What exceeds the limits of the token is not applied.
        let limited = matches!(decision.why, Why::LimitExceeded(_));
        let mut status = if limited { self.seen_through() } else { self.carried_out() };
        if let Some(seen) = seen(facts) {
            show(&mut status, &seen, desired);
        }
        succession::shown(&mut status, facts);
        let unconfirmed =
            report::conditions::tell_of_expiry(&mut status, desired, self.key.metadata.generation, facts.now);
        self.notices.extend(unconfirmed);
        self.tell_usage(&mut status, facts);
        self.tell_models(&mut status);
        self.tell_consumers(&mut status, desired).await;
        succession::refresh(&mut status, facts, desired);
        if status.rotation_failures.is_some() && !limited {
            report::budget::refuse(&mut status, facts.now);
            return self.publish_as_it_is(status).await;
        }
        // A key that the gateway rejects is reported first, then a field that has become unsupported while the key
        // works.
        let idle = desired.idle.as_ref().map(|refusal| refusal.verdict().still_ready(true));
        let limit = limited.then(|| verdict.clone().still_ready(facts.works()));
        let spent = report::budget::refusal(&status).filter(|_| limited || verdict.reason == Reason::Issued);
        let told = spent.or(limit).or(idle.filter(|_| verdict.reason == Reason::Issued));
        self.publish(status, told.as_ref().unwrap_or(verdict)).await
    }

    fn scene<'a>(&self, facts: &Facts, desired: &'a Desired) -> Scene<'a> {
        let serial = facts.claim.map(|claim| claim.serial);
        Scene {
            unanswered: self.ports.remember(&self.uid, |it| it.fault_of(serial)),
            found: Found::of(facts),
            expires: facts.record.expires_at,
            expired: facts.record.expires_at.is_some_and(|at| at <= facts.now),
            reveals: facts.ability.recovery == Recovery::Reveal,
            ..Scene::new(&desired.secret.name, desired.settings.active)
        }
    }

    /// What the key spent, where its ConsoleToken reads usage, and how much of the budget that is.
    fn tell_usage(&mut self, status: &mut GatewayApiKeyStatus, facts: &Facts) {
        let name = self.token_ref().titled();
        let read = self.token().is_some_and(|token| token.spec().usage.is_some());
        if !read {
            status.usage = None;
        }
        let Some(account) = self.token_state().and_then(|it| it.account) else { return };
        let capabilities = account.capabilities();
        let spent = account.latest_spent().filter(|_| read);
        // After a restart, the usage in status stays until the first new reading.
        if let Some(spent) = &spent {
            let id = status.id.as_deref();
            status.usage = Some(spent.told(&self.identity, id, capabilities.budget.currency));
            let used = spent.of(&self.identity, id).last_used_at;
            status.last_used_at = time::to_the_hour(status.last_used_at, used);
        }
        let seen = seen(facts);
        let unread = spent.is_none() && seen.as_ref().is_none_or(|key| key.remaining.is_none());
        let (id, generation) = (status.id.clone(), self.key.metadata.generation);
        let purse = Purse::of(status, capabilities, &name, read);
        let same = status.internal.budget_generation == generation;
        let spent_since = status.internal.budget_spent_since;
        let over = purse
            .as_ref()
            .is_some_and(|it| report::budget::is_over(spent_since, it.limit.period, it.zone, facts.now));
        if read && unread && same && !over {
            return;
        }
        let evidence = Evidence {
            seen: seen.as_ref(),
            parked: budget::parked(&status.previous, |id| {
                facts.own().find(|own| own.key.id.0 == id).and_then(|own| own.key.remaining)
            }),
            spent: spent.as_deref(),
            identity: &self.identity,
            serial: status.serial.map(Serial),
            id: id.as_deref(),
            now: facts.now,
        };
        let known = purse.as_ref().map(|purse| (purse, report::budget::spent(purse.limit, &evidence)));
        self.notices.extend(report::budget::tell(status, known, generation, facts.now));
    }

    /// Whether the vendor lists the models of the specification. The first key that names some has them read.
    fn tell_models(&mut self, status: &mut GatewayApiKeyStatus) {
        let Some(account) = self.token_state().and_then(|it| it.account) else { return };
        let (capabilities, wanted) = (account.capabilities(), &self.key.spec.models);
        let rules = capabilities.models;
        let catalog = account.latest_models().filter(|_| rules.listed && !wanted.is_empty());
        if rules.listed && !wanted.is_empty() && !account.models_asked() {
            self.ports.enqueue_token(&self.token_ref());
        }
        let found = catalog.map(|it| it.find(wanted, rules));
        // After a restart, what status says stays until the first reading.
        if found.is_none() && !wanted.is_empty() && rules.listed {
            return;
        }
        let found = found.as_ref().map(|found| (found, capabilities.title));
        let (generation, now) = (self.key.metadata.generation, self.ports.now());
        self.notices.extend(report::models::tell(status, found, generation, now));
    }

    /// Whether the workloads to restart exist: looked up for every generation, on request, and repeatedly while one
    /// is missing.
    async fn tell_consumers(&mut self, status: &mut GatewayApiKeyStatus, desired: &Desired) {
        let (generation, now) = (self.key.metadata.generation, self.ports.now());
        let targets: Vec<_> = desired.policy.restart.iter().map(workloads::Target::from).collect();
        let asked = self.key.status.as_ref().and_then(|it| it.last_handled_reconcile_at.clone());
        let found = status.internal.consumers_found_generation.is_some_and(|it| Some(it) == generation);
        if found && asked == status.last_handled_reconcile_at {
            return;
        }
        let looked = match targets.as_slice() {
            [] => None,
            targets => Some(self.ports.find_workloads(&self.namespace(), targets).await),
        };
        self.notices.extend(conditions::tell_of_consumers(status, looked.as_ref(), generation, now));
    }

    /// Observe: the key belongs to another owner, and is shown but not changed.
    async fn observed(&mut self, facts: &Facts, desired: &Desired, verdict: &Verdict) -> Result<Pass, Error> {
        let mut status = self.carried_out();
        let confirmed = facts.confirmed.shown();
        // A key that was managed before stays the served one, in case it is managed again.
        let same = |seen: &&Listed| status.serial.is_none() || status.id.as_ref() == Some(&seen.id.0);
        if let Some(seen) = confirmed.or(facts.external.as_ref()).filter(same) {
            status.id = Some(seen.id.0.clone());
            status.observed = Some(desired::limits(seen, self.ports.now()));
            show(&mut status, seen, desired);
        }
        self.publish(status, verdict).await
    }

    /// The spec is invalid.
    pub(super) async fn refused_spec(&mut self, refusal: &SpecError) -> Result<Pass, Error> {
        let status = self.seen_through();
        self.publish(status, &refusal.verdict()).await
    }

    /// Status with the reconcile request marked as handled.
    fn looked(&self) -> GatewayApiKeyStatus {
        let mut status = self.status();
        status.last_handled_reconcile_at = object::requested(self.key.as_ref()).cloned();
        status
    }

    /// Status with the generation marked as applied.
    fn carried_out(&self) -> GatewayApiKeyStatus {
        let mut status = self.seen_through();
        status.internal.applied_generation = self.key.metadata.generation;
        if let Some(kept) = &mut status.internal.kept_limits {
            desired::named(&self.key.spec, kept);
        }
        status
    }

    /// Status with the generation marked as observed: it is applied, rejected, or suspended.
    fn seen_through(&self) -> GatewayApiKeyStatus {
        let mut status = self.status();
        succession::observe(&mut status, self.key.metadata.generation);
        status.last_handled_reconcile_at = object::requested(self.key.as_ref()).cloned();
        succession::forget_failures(&mut status);
        status
    }

    /// Whether the served key is as the current generation wants it. A suspended resource wants no change.
    fn is_carried_out(&self) -> bool {
        let generation = self.key.metadata.generation;
        let suspended =
            self.key.spec.suspend == Some(true) && self.status().observed_generation == generation;
        suspended || self.record().generation == generation
    }

    /// Whether the last pass ended with the same fault.
    pub(super) fn occurrence(&self, fault: &Fault) -> Occurrence {
        report::occurrence(self.status().internal.last_pass.as_ref(), fault)
    }

    /// A vendor call failed: writes it into status with the time of the retry, which thereby survives a restart.
    pub(super) async fn failed(
        &mut self,
        fault: &Fault,
        purpose: CallPurpose,
        facts: Option<&Facts>,
    ) -> Result<Pass, Error> {
        if fault.is_paused() {
            return self.blocked(&fault.to_string()).await;
        }
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = self.next_attempt(fault, failures, &status);
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        status.internal.failed_requests_hash = facts.map(|facts| facts.requests.fingerprint());
        let works = facts.is_some_and(Facts::works) && self.is_carried_out();
        let scene = Scene {
            found: facts.map(Found::of).unwrap_or_default(),
            ..Scene::new(self.key.secret_name(), true)
        };
        let verdict =
            report::key::failed(fault, purpose, next, self.occurrence(fault), &scene).still_ready(works);
        Ok(self.publish(status, &verdict).await?.until(Some(next)))
    }

    /// Time of the retry after that many failures.
    pub(super) fn next_attempt(
        &self,
        fault: &Fault,
        failures: u32,
        status: &GatewayApiKeyStatus,
    ) -> Timestamp {
        let now = self.ports.now();
        let next = retry::after(fault, failures, &self.uid, now);
        if !self.leak_is_open(status) {
            return next;
        }
        // A leaked key works until it is revoked, so a Retry-After of another call does not delay its revocation.
        next.min(retry::plus(now, retry::backoff(failures, &self.uid).min(LEAK_RETRY)))
    }

    /// An error that is not the vendor's; retried with the same backoff.
    pub(super) async fn wait_with(&mut self, verdict: &Verdict, facts: &Facts) -> Result<Pass, Error> {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let wait = retry::backoff(failures + 4, &self.uid);
        let next = retry::plus(self.ports.now(), wait);
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        status.internal.failed_requests_hash = Some(facts.requests.fingerprint());
        Ok(self.publish(status, verdict).await?.until(Some(next)))
    }

    /// The ConsoleToken is not ready; its controller enqueues this key when it is.
    pub(super) async fn blocked(&mut self, why: &str) -> Result<Pass, Error> {
        let stalled = self.token_state().is_some_and(|it| it.stalled);
        let verdict = report::token::not_ready(&self.token_ref(), why, stalled);
        self.held_up(&verdict).await
    }

    /// The ConsoleToken does not exist; its creation enqueues this key.
    pub(super) async fn without_token(&mut self) -> Result<Pass, Error> {
        let verdict = report::token::missing(&self.token_ref(), self.ports.shares_tokens());
        self.held_up(&verdict).await
    }

    /// Nothing can be done now; a served key works on until it expires.
    async fn held_up(&mut self, verdict: &Verdict) -> Result<Pass, Error> {
        let record = self.record();
        let alive = record.expires_at.is_none_or(|at| at > self.ports.now());
        let served = alive && record.id.is_some() && self.is_carried_out();
        let pass = self.publish(self.status(), &verdict.clone().still_ready(served && record.worked)).await?;
        let expires = record.expires_at.filter(|_| alive);
        Ok(pass.or_at([expires]))
    }

    /// RBAC does not allow the Secret to be read.
    pub(super) async fn unreadable(&mut self, error: &kube::Error) -> Result<Pass, Error> {
        let error = crate::cluster::brief(error);
        let verdict = report::key::secret_unreadable(self.key.secret_name(), &self.namespace(), &error);
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = retry::plus(self.ports.now(), retry::backoff(failures, &self.uid));
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        let worked = self.record().worked;
        Ok(self.publish(status, &verdict.still_ready(worked)).await?.until(Some(next)))
    }

    /// Writes status if it differs; a warning event is sent once per transition.
    pub(super) async fn publish(
        &mut self,
        mut status: GatewayApiKeyStatus,
        verdict: &Verdict,
    ) -> Result<Pass, Error> {
        let (generation, now) = (self.key.metadata.generation, self.ports.now());
        let open = self.leak_is_open(&status).then(|| conditions::leaked_key(&status)).flatten();
        let verdict = &match open {
            Some(id) if verdict.course == Course::Settled => {
                conditions::leak_pending(&id, self.is_observed())
            }
            Some(_) => verdict.clone().still_ready(false),
            // That the gateway rejects the key outranks every other verdict.
            None if status.internal.budget_spent_since.is_some() => verdict.clone().still_ready(false),
            None => verdict.clone(),
        };
        let (conditions, last) = (&mut status.conditions, &mut status.internal.last_pass);
        let notice = report::transition(conditions, last, verdict, generation, now);
        // kstatus evaluates Stalled only where observedGeneration is current.
        if condition::is_true(&status.conditions, STALLED) {
            succession::observe(&mut status, generation);
        }
        let requeue_at = status.internal.last_pass.as_ref().and_then(|it| it.gives_up_at(now));
        self.notices.extend(notice);
        let pass = self.publish_as_it_is(status).await?;
        Ok(if pass == Pass::Stale { pass } else { Pass::Rest(requeue_at) })
    }

    /// Whether managementPolicy is Observe.
    pub(super) fn is_observed(&self) -> bool {
        self.key.spec.management_policy == Some(ManagementPolicy::Observe)
    }

    /// Whether a key was declared leaked and is not revoked yet.
    pub(super) fn leak_is_open(&self, status: &GatewayApiKeyStatus) -> bool {
        conditions::leak_is_open(status, object::annotation(self.key.as_ref(), LEAKED))
    }

    /// What the conditions on rotation go by beyond the status.
    fn rotation(&self, overdue: bool) -> conditions::Rotation {
        let vendor = self.token().map(|token| token.spec().vendor.clone());
        let table = vendor.and_then(|vendor| self.ports.capabilities(&vendor));
        conditions::Rotation { overdue, tells_use: table.is_some_and(|it| it.last_used) }
    }

    /// `publish` without a change of `Ready`.
    pub(super) async fn publish_as_it_is(&mut self, mut status: GatewayApiKeyStatus) -> Result<Pass, Error> {
        let (generation, now) = (self.key.metadata.generation, self.ports.now());
        let open = self.leak_is_open(&status);
        let notices = [
            conditions::tell_of_rotation(&mut status, self.rotation(self.overdue), generation, now),
            conditions::tell_of_leak(&mut status, open, self.is_observed(), generation, now),
            conditions::tell_of_contest(&mut status, self.key.secret_name(), generation, now),
        ];
        self.record_secret(&mut status);
        // A status of an earlier version has no mark, which alone is not worth a write.
        if status.serial.is_some() && self.key.status.as_ref() != Some(&status) {
            status.mark = Some(self.identity.mark.to_string());
        }
        self.ports.measure(Measure::RotationOverdue(&self.uid, self.overdue));
        self.ports.measure(Measure::LeakOpen(&self.uid, open));
        match protocol::publish(&self.ports, &self.key, &status).await {
            Ok(Some(object)) => {
                self.wrote(object);
                self.made = 0;
            }
            Ok(None) => return Ok(Pass::Rest(None)),
            Err(error) => return stale_or(error),
        }
        for notice in std::mem::take(&mut self.notices).into_iter().chain(notices.into_iter().flatten()) {
            self.ports.notify(self.key.as_ref(), notice);
        }
        Ok(Pass::Rest(None))
    }

    /// Records the Secret as it was last seen. A Secret that another controller keeps touching is not worth a write each
    /// time, so an existing record is renewed only where status is written anyway.
    fn record_secret(&self, status: &mut GatewayApiKeyStatus) {
        let Some(sighting) = self.ports.remember(&self.uid, |it| it.sighting()) else { return };
        let record = sighting.recorded(&Record::from(&*status));
        if status.internal.secret.is_none() || self.key.status.as_ref() != Some(&*status) {
            status.internal.secret = record;
        }
    }

    pub(super) fn wrote(&mut self, object: Arc<GatewayApiKey>) {
        self.ports.wrote(&object);
        self.key = object;
        self.enqueue_minted();
    }
}

/// The served key as the vendor returned it last.
pub(super) fn seen(facts: &Facts) -> Option<Listed> {
    facts.confirmed.shown().cloned().or_else(|| listed_served_key(facts).map(|own| own.key))
}

/// Writes what the vendor returned for the served key into status.
pub(super) fn show(status: &mut GatewayApiKeyStatus, seen: &Listed, desired: &Desired) {
    status.active = seen.shown.active;
    status.created_at = seen.created_at.or(status.created_at);
    // An expiry that cannot be parsed does not mean "never": the known date stays.
    if !seen.unread_expiry() {
        status.expires_at = expiry::recorded(status.created_at, seen.expires_at, desired);
    }
    status.last_used_at = time::to_the_hour(status.last_used_at, seen.last_used_at);
}
