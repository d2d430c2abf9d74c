//! GatewayApiKeys: observe, and act on what `plan::issuance` decides.

use super::accounts::Standing;
use super::context::Context;
use super::issue::{Issue, Issued};
use super::{Error, Pass, Subject};
use crate::api::condition::{self, READY};
use crate::api::shared::LocalRef;
use crate::api::{ConsoleToken, GatewayApiKey, GatewayApiKeyStatus, Reason, Verdict};
use crate::cluster::secret::{Delivery, Secrets, Undelivered};
use crate::cluster::{self, object, watch};
use crate::gateway::account::Account;
use crate::gateway::{self, Amendment};
use crate::plan::claim::Claim;
use crate::plan::desired::{self, Desired};
use crate::plan::drift::Field;
use crate::plan::facts::{Facts, KeyId, Listed, Record, Target};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::issuance::{self, Decision, Step, Why};
use crate::plan::naming::{Mark, Serial};
use crate::plan::report::{self, Notice};
use crate::plan::retry;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use std::collections::BTreeSet;
use std::sync::Arc;

/// No resource needs more steps than this to come to rest; one that does is put back in the line.
const STEPS: usize = 12;

impl Subject for GatewayApiKey {
    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Pass, Error> {
        let deleting = object.metadata.deletion_timestamp.is_some();
        if deleting && !object::has_finalizer(object.as_ref()) {
            context.memory.forget(&object.uid().unwrap_or_default());
            return Ok(Pass::Rest(None));
        }
        let mut work = Work::new(object, context);
        if deleting { work.retire().await } else { work.keep().await }
    }
}

/// How one step ended.
enum Done {
    /// It achieved what it was for: told in an event, and decided again.
    Taken,
    /// Decide again.
    Again,
    /// The pass is over.
    Pass(Pass),
    /// The vendor call failed; the text completes "could not …".
    Failed(Fault, &'static str),
}

/// One pass over one key.
struct Work {
    context: Arc<Context>,
    key: Arc<GatewayApiKey>,
    uid: String,
    mark: Mark,
    secrets: Secrets,
    confirmed: Option<Option<Listed>>,
    amended: Vec<Field>,
    gone: BTreeSet<KeyId>,
    /// Learnt in this pass, and written with its next report. Should the process die before, the serial is
    /// looked for at the vendor, which is slower and no less right.
    settled: Option<Serial>,
    /// The e-mail address sent in this pass, written with its next report.
    sent_email: Option<Option<String>>,
}

impl Work {
    fn new(key: Arc<GatewayApiKey>, context: Arc<Context>) -> Self {
        Self {
            uid: key.uid().unwrap_or_default(),
            mark: context.mark(key.as_ref()),
            secrets: context.secrets(key.as_ref()),
            key,
            context,
            confirmed: None,
            amended: Vec::new(),
            gone: BTreeSet::new(),
            settled: None,
            sent_email: None,
        }
    }

    fn namespace(&self) -> String {
        self.key.namespace().unwrap_or_default()
    }

    fn standing(&self) -> Option<Standing> {
        self.context.accounts.standing(&self.namespace(), &self.key.spec.console_token_ref.name)
    }

    fn status(&self) -> GatewayApiKeyStatus {
        let mut status = self.key.status.clone().unwrap_or_default();
        status.settled_serial = status.settled_serial.max(self.settled.map(|it| it.0));
        if let Some(email) = &self.sent_email {
            status.email.clone_from(email);
        }
        status
    }

    fn record(&self) -> Record {
        Record::from(&self.status())
    }

    /// A key that should exist.
    async fn keep(&mut self) -> Result<Pass, Error> {
        let token_name = &self.key.spec.console_token_ref.name;
        let token = watch::find::<ConsoleToken>(&self.context.stores.tokens, &self.namespace(), token_name);
        let Some(token) = token else {
            return self.without_token().await;
        };
        let Some(capabilities) = gateway::capabilities(&token.spec.vendor) else {
            return self.blocked(Reason::ConsoleTokenNotReady, "its vendor is unknown").await;
        };
        let desired = match desired::desired(&self.key, capabilities) {
            Ok(desired) => desired,
            Err(refusal) => return self.settle(&refusal.verdict(), None).await,
        };
        let gateway_url = token.spec.gateway_url.as_deref().unwrap_or(capabilities.gateway_url);
        let base_url = gateway_url.trim_end_matches('/').to_owned();
        let template = desired.secret.hash(&base_url, &desired.settings.models);
        for _ in 0..STEPS {
            let target = self.secrets.observe(&self.uid, &desired.secret, &template).await?;
            let facts = self.facts(target, capabilities.listing_lag);
            let decision = issuance::decide(&facts, &desired);
            if let Step::Rest(until) = decision.step {
                return self.rest(&facts, &decision, &desired, until).await;
            }
            let account = match self.standing().map(|it| it.usable().cloned()) {
                // Its controller has not looked at it yet; it will wake us.
                None => return Ok(Pass::Rest(None)),
                Some(Err((reason, message))) => return self.blocked(reason, &message).await,
                Some(Ok(account)) => account,
            };
            let act =
                Act { account, desired: &desired, template: &template, base_url: &base_url, facts: &facts };
            match self.act(&act, &decision).await? {
                Done::Taken => {
                    if let Some(notice) = report::taken(&decision, &desired.secret.name) {
                        self.context.notify(self.key.as_ref(), notice);
                    }
                }
                Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => return self.failed(&fault, doing, Some(&facts)).await,
            }
        }
        Ok(Pass::Stale)
    }

    fn facts(&self, target: Target, listing_lag: SignedDuration) -> Facts {
        let key = self.key.as_ref();
        let floor = self.context.memory.floor(&self.uid);
        let latest = self.standing().and_then(|it| it.account).and_then(|it| it.latest());
        let view =
            latest.filter(|it| floor.is_none_or(|floor| it.as_of > floor)).map(|it| it.view(&self.mark));
        Facts {
            now: self.context.clock.now(),
            deleting: key.metadata.deletion_timestamp.is_some(),
            finalizer: object::has_finalizer(key),
            generation: key.metadata.generation,
            requested: object::requested(key) != self.status().last_handled_reconcile_at.as_ref()
                && object::requested(key).is_some()
                && self.confirmed.is_none(),
            claim: object::claim_of(key),
            record: self.record(),
            target,
            view,
            confirmed: self.confirmed.clone(),
            amended: self.amended.clone(),
            gone: self.gone.clone(),
            listing_lag,
        }
    }

    async fn act(&mut self, act: &Act<'_>, decision: &Decision) -> Result<Done, Error> {
        match &decision.step {
            Step::Issue(serial) => self.issue(act, *serial).await,
            Step::Adopt(serial, id) => self.adopt(act, *serial, id).await,
            Step::Commit(serial, id) => self.commit(act, *serial, id, None).await,
            Step::Restore(serial, id) => self.restore(act, *serial, id).await,
            Step::Amend(id, fields) => self.amend(act, id, fields).await,
            Step::Confirm(id) => Ok(match act.account.get(id).await {
                Ok(answer) => {
                    self.confirmed = Some(answer);
                    Done::Again
                }
                Err(fault) => Done::Failed(fault, "look at the key"),
            }),
            Step::Look(since) => self.look(&act.account, *since).await,
            Step::Revoke(ids) => self.revoke_spares(act, ids).await,
            Step::ClaimDeletion(_) | Step::Release | Step::Rest(_) => Ok(Done::Pass(Pass::Stale)),
        }
    }

    async fn issue(&mut self, act: &Act<'_>, serial: Serial) -> Result<Done, Error> {
        if let Err(fault) = act.account.open() {
            return Ok(Done::Failed(fault, "make a key"));
        }
        let issue = Issue {
            context: Arc::clone(&self.context),
            key: Arc::clone(&self.key),
            account: Arc::clone(&act.account),
            secrets: self.secrets.clone(),
            desired: act.desired.clone(),
            template: act.template.to_owned(),
            base_url: act.base_url.to_owned(),
            serial,
            name: self.mark.name(&act.desired.settings.display_name, serial),
            absent: act.facts.target == Target::Absent,
        };
        let issued = self.context.critical.run(issue.run()).await.ok_or(Error::Panicked)?;
        Ok(match issued? {
            Issued::Done { object, key } => {
                self.wrote(object);
                self.confirmed = Some(Some(key));
                self.wake_deposits();
                Done::Taken
            }
            Issued::Stale => Done::Pass(Pass::Stale),
            Issued::Pending { object } => {
                self.wrote(object);
                Done::Again
            }
            Issued::Refused { object, verdict } => {
                self.wrote(object);
                self.settled = Some(serial);
                Done::Pass(self.wait_with(&verdict).await?)
            }
            Issued::Failed { object, fault } => {
                self.wrote(object);
                self.settled = Some(serial);
                Done::Failed(fault, "make a key")
            }
            Issued::Undelivered { object, verdict } => {
                self.wrote(object);
                Done::Pass(self.wait_with(&verdict).await?)
            }
        })
    }

    async fn adopt(&mut self, act: &Act<'_>, serial: Serial, id: &KeyId) -> Result<Done, Error> {
        let secret = match act.account.recover(id).await {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                self.gone.insert(id.clone());
                return Ok(Done::Again);
            }
            Err(fault) => return Ok(Done::Failed(fault, "have the key revealed")),
        };
        let listed = act.facts.own().find(|own| own.key.id == *id).map(|own| own.key.clone());
        let expires_at = listed.as_ref().and_then(|it| it.expires_at);
        let delivered = self.deliver(act, (serial, id), expires_at, &secret).await;
        match delivered {
            Ok(()) => self.commit(act, serial, id, listed).await,
            Err(error) => self.undelivered(error).await,
        }
    }

    async fn restore(&mut self, act: &Act<'_>, serial: Serial, id: &KeyId) -> Result<Done, Error> {
        let secret = match act.account.recover(id).await {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                self.confirmed = Some(None);
                return Ok(Done::Again);
            }
            Err(fault) => return Ok(Done::Failed(fault, "have the key revealed")),
        };
        match self.deliver(act, (serial, id), act.facts.record.expires_at, &secret).await {
            Ok(()) => Ok(Done::Taken),
            Err(error) => self.undelivered(error).await,
        }
    }

    async fn deliver(
        &self,
        act: &Act<'_>,
        (serial, id): (Serial, &KeyId),
        expires_at: Option<Timestamp>,
        secret: &secrecy::SecretString,
    ) -> Result<(), Undelivered> {
        let claimed = act.facts.claim.map_or(serial, |claim| claim.serial);
        let delivery = Delivery {
            owner: &owner(&self.key),
            plan: &act.desired.secret,
            template: act.template,
            serial,
            fence: claimed.max(serial),
            absent: false,
            id,
            expires_at,
            base_url: act.base_url,
            models: &act.desired.settings.models,
            secret,
        };
        self.secrets.deliver(&delivery).await
    }

    async fn undelivered(&mut self, error: Undelivered) -> Result<Done, Error> {
        match refused(&error, self.key.secret_name()) {
            Some(verdict) => Ok(Done::Pass(self.wait_with(&verdict).await?)),
            None => match error {
                Undelivered::Unavailable(error) => Err(Error::Kubernetes(*error)),
                _ => Ok(Done::Pass(Pass::Stale)),
            },
        }
    }

    /// Records a key that its Secret holds already.
    async fn commit(
        &mut self,
        act: &Act<'_>,
        serial: Serial,
        id: &KeyId,
        listed: Option<Listed>,
    ) -> Result<Done, Error> {
        let mut status = self.status();
        let held_expiry = act.facts.target.held().and_then(|held| held.expires_at);
        status.id = Some(id.0.clone());
        status.serial = Some(serial.0);
        status.settled_serial = Some(serial.0.max(act.facts.claim.map_or(0, |claim| claim.serial.0)));
        status.binding = Some(LocalRef { name: self.key.secret_name().to_owned() });
        status.created_at = listed.as_ref().and_then(|it| it.created_at);
        status.expires_at = listed.as_ref().map_or(held_expiry, |it| it.expires_at);
        status.email.clone_from(&act.desired.settings.email);
        status.failures = None;
        status.next_attempt_at = None;
        let settled = listed.is_none()
            || listed.as_ref().is_some_and(|it| {
                crate::plan::drift::drift(&act.desired.settings, it, status.email.as_ref()).is_empty()
            });
        let verdict = if settled {
            report::resting(
                &Decision { step: Step::Rest(None), why: Why::Fresh },
                self.key.secret_name(),
                act.desired.settings.active,
            )
        } else {
            None
        };
        let verdict = verdict.unwrap_or_else(|| {
            Verdict::reconciling(Reason::Progressing, "the settings of the key are being applied")
        });
        status.active = listed.as_ref().and_then(|it| it.shown.active).or(status.active);
        if settled {
            status.observed_generation = self.key.metadata.generation;
        }
        self.confirmed = listed.map(Some);
        let pass = self.publish(status, &verdict).await?;
        self.wake_deposits();
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }

    async fn amend(&mut self, act: &Act<'_>, id: &KeyId, fields: &[Field]) -> Result<Done, Error> {
        let serial = act.facts.record.serial.unwrap_or_default();
        let settings = &act.desired.settings;
        let name = self.mark.name(&settings.display_name, serial);
        let amendment = Amendment { fields: fields.to_vec(), to: settings.clone(), name };
        if let Err(fault) = act.account.amend(id, &amendment).await {
            return Ok(Done::Failed(fault, "change the key"));
        }
        self.amended.extend_from_slice(fields);
        self.context.memory.changed_vendor(&self.uid, self.context.clock.now());
        if fields.contains(&Field::Email) {
            self.sent_email = Some(settings.email.clone());
        }
        match act.account.get(id).await {
            Ok(answer) => {
                self.confirmed = Some(answer);
                Ok(Done::Taken)
            }
            Err(fault) => Ok(Done::Failed(fault, "read back the changed key")),
        }
    }

    async fn look(&mut self, account: &Account, since: Timestamp) -> Result<Done, Error> {
        Ok(match account.list(since).await {
            Ok(_) => Done::Again,
            Err(fault) => Done::Failed(fault, "list the keys"),
        })
    }

    /// The vendor was listed first; the resource is read after, so that a key being born is never taken for a
    /// spare (list first, read after).
    async fn revoke_spares(&mut self, act: &Act<'_>, ids: &[KeyId]) -> Result<Done, Error> {
        let api = object::api(&self.context.client, self.key.as_ref());
        let live = api.get(&self.key.name_any()).await?;
        if live.resource_version() != self.key.resource_version() {
            return Ok(Done::Pass(Pass::Stale));
        }
        self.revoke(&act.account, ids).await
    }

    async fn revoke(&mut self, account: &Account, ids: &[KeyId]) -> Result<Done, Error> {
        for id in ids {
            if let Err(fault) = account.revoke(id).await {
                return Ok(Done::Failed(fault, "revoke a key"));
            }
            self.gone.insert(id.clone());
            self.context.memory.changed_vendor(&self.uid, self.context.clock.now());
        }
        Ok(Done::Taken)
    }

    /// A key whose resource is being deleted.
    async fn retire(&mut self) -> Result<Pass, Error> {
        for _ in 0..STEPS {
            let target = self.secrets.inspect(&self.uid, self.key.secret_name()).await?;
            let account = self.standing().and_then(|it| it.account);
            let lag = account.as_ref().map_or(SignedDuration::ZERO, |it| it.capabilities().listing_lag);
            let facts = self.facts(target, lag);
            let decision = issuance::retire(&facts);
            let done = match (&decision.step, &account) {
                (Step::ClaimDeletion(claim), _) => self.claim_deletion(claim).await?,
                (Step::Release, _) => return self.release().await,
                (Step::Rest(until), _) => return self.rest_deleting(&decision, *until).await,
                (_, None) => return self.deletion_blocked("its ConsoleToken is not usable").await,
                (Step::Revoke(ids), Some(account)) => self.revoke(account, ids).await?,
                (Step::Look(since), Some(account)) => {
                    // A listing begun before the last revocation shows what is gone already.
                    let since =
                        self.context.memory.floor(&self.uid).map_or(*since, |floor| floor.max(*since));
                    self.look(account, since).await?
                }
                _ => Done::Pass(Pass::Stale),
            };
            match done {
                Done::Taken | Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => {
                    if matches!(
                        fault.kind,
                        FaultKind::BreakerOpen | FaultKind::TokenRefused | FaultKind::Forbidden
                    ) {
                        return self.deletion_blocked(&fault.to_string()).await;
                    }
                    return self.failed(&fault, doing, None).await;
                }
            }
        }
        Ok(Pass::Stale)
    }

    async fn claim_deletion(&mut self, claim: &Claim) -> Result<Done, Error> {
        match object::claim(&self.context.client, self.key.as_ref(), claim).await {
            Ok(key) => {
                self.wrote(Arc::new(key));
                Ok(Done::Again)
            }
            Err(error) => stale_or(error).map(Done::Pass),
        }
    }

    async fn release(&mut self) -> Result<Pass, Error> {
        match object::release(&self.context.client, self.key.as_ref()).await {
            Ok(_) => {}
            Err(error) if cluster::is_missing(&error) => {}
            Err(error) => return stale_or(error),
        }
        self.context.notify(self.key.as_ref(), Notice::news("Revoked", "the key is revoked at the vendor"));
        self.context.memory.forget(&self.uid);
        let token = ObjectRef::new(&self.key.spec.console_token_ref.name).within(&self.namespace());
        // The receiver lives as long as the operator.
        let _ = self.context.wakers.tokens.send(token);
        Ok(Pass::Rest(None))
    }

    async fn rest_deleting(&mut self, decision: &Decision, until: Option<Timestamp>) -> Result<Pass, Error> {
        match report::resting(decision, self.key.secret_name(), true) {
            Some(verdict) => match self.publish(self.status(), &verdict).await? {
                Pass::Stale => Ok(Pass::Stale),
                Pass::Rest(_) => Ok(Pass::Rest(until)),
            },
            None => Ok(Pass::Rest(until)),
        }
    }

    async fn deletion_blocked(&mut self, why: &str) -> Result<Pass, Error> {
        let token = &self.key.spec.console_token_ref.name;
        let message = format!(
            "the key cannot be revoked: {why}; make ConsoleToken {token} Ready again, Keysmith then goes on by itself"
        );
        let verdict = Verdict::reconciling(Reason::DeletionBlocked, message);
        self.publish(self.status(), &verdict).await
    }

    /// At rest: status says what is known.
    async fn rest(
        &mut self,
        facts: &Facts,
        decision: &Decision,
        desired: &Desired,
        until: Option<Timestamp>,
    ) -> Result<Pass, Error> {
        let Some(verdict) = report::resting(decision, &desired.secret.name, desired.settings.active) else {
            return Ok(Pass::Rest(until));
        };
        if matches!(decision.why, Why::NotApplied(_)) {
            return self.wait_with(&verdict).await;
        }
        let served = self.record().id.is_some();
        let seen = facts.confirmed.clone().flatten().or_else(|| {
            facts.own().find(|own| Some(&own.key.id) == facts.record.id.as_ref()).map(|own| own.key.clone())
        });
        if decision.why != Why::Fresh {
            let verdict = verdict.still_ready(served && decision.why == Why::AnswerLost);
            return match self.publish(self.status(), &verdict).await? {
                Pass::Stale => Ok(Pass::Stale),
                Pass::Rest(_) => Ok(Pass::Rest(until)),
            };
        }
        match self.settle(&verdict, seen).await? {
            Pass::Stale => Ok(Pass::Stale),
            Pass::Rest(_) => Ok(Pass::Rest(until)),
        }
    }

    /// The generation is carried out, or refused.
    async fn settle(&mut self, verdict: &Verdict, seen: Option<Listed>) -> Result<Pass, Error> {
        let mut status = self.status();
        status.observed_generation = self.key.metadata.generation;
        status.last_handled_reconcile_at = object::requested(self.key.as_ref()).cloned();
        status.failures = None;
        status.next_attempt_at = None;
        if let Some(seen) = seen {
            status.active = seen.shown.active;
            status.created_at = seen.created_at;
            status.expires_at = seen.expires_at;
            status.last_used_at = report::to_the_hour(status.last_used_at, seen.last_used_at);
        }
        self.publish(status, verdict).await
    }

    /// A vendor call failed: said in status, with the time of the next attempt, which survives a restart.
    async fn failed(&mut self, fault: &Fault, doing: &str, facts: Option<&Facts>) -> Result<Pass, Error> {
        if fault.blames_token() || fault.kind == FaultKind::BreakerOpen {
            return self.blocked(fault.reason(), &fault.to_string()).await;
        }
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = retry::after(fault, failures, &self.uid, self.context.clock.now());
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        let intact = facts.is_some_and(|it| {
            it.record.generation == it.generation
                && it.target.held().is_some_and(|held| held.intact)
                && it.record.id.is_some()
        });
        let verdict = report::failed(fault, doing, next).still_ready(intact);
        match self.publish(status, &verdict).await? {
            Pass::Stale => Ok(Pass::Stale),
            Pass::Rest(_) => Ok(Pass::Rest(Some(next))),
        }
    }

    /// Something other than the vendor is in the way; tried again with the same backoff.
    async fn wait_with(&mut self, verdict: &Verdict) -> Result<Pass, Error> {
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let wait = retry::backoff(failures + 4, &self.uid);
        let next = retry::plus(self.context.clock.now(), wait);
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        match self.publish(status, verdict).await? {
            Pass::Stale => Ok(Pass::Stale),
            Pass::Rest(_) => Ok(Pass::Rest(Some(next))),
        }
    }

    /// The ConsoleToken is in the way; its controller wakes us when it is not any more.
    async fn blocked(&mut self, reason: Reason, why: &str) -> Result<Pass, Error> {
        let name = &self.key.spec.console_token_ref.name;
        let reason =
            if reason == Reason::ConsoleTokenMissing { reason } else { Reason::ConsoleTokenNotReady };
        let message = format!("ConsoleToken {name} is not Ready: {why}; continues by itself when it is");
        let served = self.record().id.is_some() && self.record().generation == self.key.metadata.generation;
        let verdict = Verdict::reconciling(reason, message).still_ready(served);
        self.publish(self.status(), &verdict).await
    }

    async fn without_token(&mut self) -> Result<Pass, Error> {
        let name = &self.key.spec.console_token_ref.name;
        let message = format!(
            "spec.consoleTokenRef.name: there is no ConsoleToken {name} in namespace {}; create it, Keysmith then goes on by itself",
            self.namespace()
        );
        let verdict = Verdict::stalled(Reason::ConsoleTokenMissing, message);
        self.publish(self.status(), &verdict).await
    }

    /// Writes status, if it differs; a warning goes out once per transition.
    async fn publish(&mut self, mut status: GatewayApiKeyStatus, verdict: &Verdict) -> Result<Pass, Error> {
        let generation = self.key.metadata.generation;
        let before = condition::find(&status.conditions, READY).map(|it| it.reason.clone());
        verdict.apply(&mut status.conditions, generation, self.context.clock.now());
        let news = !verdict.ready && before.as_deref() != Some(verdict.reason.as_str());
        match object::publish(&self.context.client, self.key.as_ref(), &status).await {
            Ok(Some(object)) => self.wrote(Arc::new(object)),
            Ok(None) => return Ok(Pass::Rest(None)),
            Err(error) if cluster::is_missing(&error) => return Ok(Pass::Rest(None)),
            Err(error) => return stale_or(error),
        }
        if news && verdict.reason != Reason::Progressing {
            self.context
                .notify(self.key.as_ref(), Notice::warning(verdict.reason.as_str(), verdict.message.clone()));
        }
        Ok(Pass::Rest(None))
    }

    fn wrote(&mut self, object: Arc<GatewayApiKey>) {
        self.context.memory.wrote(Arc::clone(&object));
        self.key = object;
    }

    /// Provider keys name gateway keys by their resource; what they need is the vendor's id, which just changed.
    fn wake_deposits(&self) {
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

/// What acting takes beside the work itself.
struct Act<'a> {
    account: Arc<Account>,
    desired: &'a Desired,
    template: &'a str,
    base_url: &'a str,
    facts: &'a Facts,
}

/// The owner reference that makes a Secret this key's.
pub fn owner(key: &GatewayApiKey) -> OwnerReference {
    key.controller_owner_ref(&()).unwrap_or_default()
}

/// What status says of a Secret that will not be written; `None` where it is no final answer.
pub fn refused(error: &Undelivered, secret: &str) -> Option<Verdict> {
    match error {
        Undelivered::Foreign(owner) => report::resting(
            &Decision { step: Step::Rest(None), why: Why::SecretTaken(owner.clone()) },
            secret,
            true,
        ),
        Undelivered::Template(refusal) => Some(refusal.verdict()),
        Undelivered::Refused(answer) => Some(Verdict::reconciling(
            Reason::SecretRefused,
            format!(
                "Kubernetes refused to store Secret {secret}: {answer}; look at quotas, admission policies and whether \
                 it is immutable; the key is kept and delivered as soon as that is mended"
            ),
        )),
        Undelivered::Superseded | Undelivered::Unavailable(_) => None,
    }
}

fn stale_or(error: kube::Error) -> Result<Pass, Error> {
    if cluster::is_conflict(&error) || cluster::is_missing(&error) {
        Ok(Pass::Stale)
    } else {
        Err(error.into())
    }
}
