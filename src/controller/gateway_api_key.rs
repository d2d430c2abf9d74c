//! GatewayApiKeys: observe, and act on what `plan::issuance` decides.

mod retire;
mod status;

use super::accounts::Standing;
use super::context::Context;
use super::issue::{Issue, Issued};
use super::{Error, Pass, Subject};
use crate::api::shared::LocalRef;
use crate::api::{ConsoleToken, GatewayApiKey, GatewayApiKeyStatus, Reason, Verdict};
use crate::cluster::secret::{Delivery, Secrets, Undelivered};
use crate::cluster::{object, watch};
use crate::gateway::account::Account;
use crate::gateway::{self, Amendment};
use crate::plan::claim::{Claim, Purpose};
use crate::plan::desired::{self, Desired};
use crate::plan::drift::{self, Field};
use crate::plan::facts::{Facts, KeyId, Listed, Record, Target};
use crate::plan::fault::Fault;
use crate::plan::issuance::{self, Decision, Step, Why};
use crate::plan::naming::{Mark, Serial};
use crate::plan::report::{self};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
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
    /// Named in the Secret's annotations, and not this resource's key.
    disowned: Option<KeyId>,
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
            disowned: None,
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
        if !self.context.stores.filled() {
            return Ok(Pass::Stale);
        }
        let token_name = &self.key.spec.console_token_ref.name;
        let token = watch::find::<ConsoleToken>(&self.context.stores.tokens, &self.namespace(), token_name);
        let Some(token) = token else {
            return self.without_token().await;
        };
        let Some(capabilities) = gateway::capabilities(&token.spec.vendor) else {
            return self.blocked("its vendor is unknown").await;
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
            let account = match self
                .standing()
                .filter(|it| Some(&it.uid) == token.metadata.uid.as_ref())
                .map(|it| it.usable().cloned())
            {
                // Its controller has not looked at it yet; it will wake us.
                None => return Ok(Pass::Rest(None)),
                Some(Err(message)) => return self.blocked(&message).await,
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

    fn facts(&self, mut target: Target, listing_lag: SignedDuration) -> Facts {
        let key = self.key.as_ref();
        if let Target::Ours(held) = &mut target {
            held.key_id.take_if(|id| Some(&*id) == self.disowned.as_ref());
        }
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
            Step::Commit(serial, id) => self.commit_held(act, *serial, id).await,
            Step::Outrank(serial) => {
                let at = self.context.clock.now();
                self.claim(&Claim {
                    serial: *serial,
                    at,
                    purpose: Purpose::Restore,
                    unsettled: None,
                    sent: None,
                })
                .await
            }
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
                self.wake_deposits();
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

    /// Whoever edits Secrets can name any key in the annotations: the vendor is asked whose it is.
    async fn commit_held(&mut self, act: &Act<'_>, serial: Serial, id: &KeyId) -> Result<Done, Error> {
        match act.account.get(id).await {
            Ok(Some(key)) if self.mark.serial_in(&key.name) == Some(serial) => {
                self.commit(act, serial, id, Some(key)).await
            }
            Ok(_) => {
                self.disowned = Some(id.clone());
                Ok(Done::Again)
            }
            Err(fault) => Ok(Done::Failed(fault, "look at the key")),
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
        status.last_used_at = None;
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
        self.disowned = None;
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
                let email = settings.email.as_ref();
                let shown = answer.as_ref().is_some_and(|key| drift::drift(settings, key, email).is_empty());
                self.confirmed = Some(answer);
                Ok(if shown { Done::Taken } else { Done::Again })
            }
            Err(fault) => Ok(Done::Failed(fault, "read back the changed key")),
        }
    }

    async fn look(&mut self, account: &Account, since: Timestamp) -> Result<Done, Error> {
        // A listing begun before our last call shows what is gone already, and is not believed.
        let floor = self.context.memory.floor(&self.uid);
        let since = floor.map_or(since, |floor| floor.max(since));
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
                 it is immutable; a key that was made for it is kept, and delivered as soon as that is mended"
            ),
        )),
        Undelivered::Superseded | Undelivered::Unavailable(_) => None,
    }
}
