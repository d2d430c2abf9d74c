//! A key's way into its Secret, outside the critical section that makes one.

use super::super::{Error, Pass};
use super::{Act, Done, Work, owner, refused};
use crate::api::{Reason, Verdict};
use crate::cluster::secret::{Delivery, Undelivered};
use crate::plan::drift::Sent;
use crate::plan::expiry;
use crate::plan::facts::{Facts, KeyId, Listed, OwnKey};
use crate::plan::issuance::{Decision, Step, Why};
use crate::plan::naming::Serial;
use crate::plan::succession::{self, Successor};
use crate::plan::{drift, report};
use jiff::Timestamp;

impl Work {
    pub(super) async fn adopt(&mut self, act: &Act<'_>, serial: Serial, id: &KeyId) -> Result<Done, Error> {
        let secret = match act.account.recover(id).await {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                self.gone.insert(id.clone());
                return Ok(Done::Again);
            }
            Err(fault) => return Ok(Done::Failed(fault, "have the key revealed")),
        };
        let listed = act.facts.own().find(|own| own.key.id == *id).map(|own| own.key.clone());
        let created = listed.as_ref().and_then(|it| it.created_at).or(Some(self.context.clock.now()));
        let expires_at = listed.as_ref().and_then(|it| it.expires_at);
        let expires_at = expiry::recorded(created, expires_at, act.desired);
        let delivered = self.deliver(act, (serial, id), expires_at, &secret).await;
        match delivered {
            Ok(()) => self.commit(act, serial, id, listed).await,
            Err(error) => self.undelivered(act, error).await,
        }
    }

    pub(super) async fn restore(&mut self, act: &Act<'_>, serial: Serial, id: &KeyId) -> Result<Done, Error> {
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
            Err(error) => self.undelivered(act, error).await,
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
            previous: act.facts.record.serial.filter(|_| act.desired.secret.keep_previous),
        };
        self.secrets.deliver(&delivery).await
    }

    pub(super) async fn undelivered(&mut self, act: &Act<'_>, error: Undelivered) -> Result<Done, Error> {
        match refused(&error, self.key.secret_name()) {
            Some(verdict) => Ok(Done::Pass(self.wait_with(&verdict, act.facts).await?)),
            None => match error {
                Undelivered::Unavailable(error) => Err(Error::Kubernetes(*error)),
                _ => Ok(Done::Pass(Pass::Stale)),
            },
        }
    }

    /// Whoever edits Secrets can name any key in the annotations: the vendor is asked whose it is.
    pub(super) async fn commit_held(
        &mut self,
        act: &Act<'_>,
        serial: Serial,
        id: &KeyId,
    ) -> Result<Done, Error> {
        match act.account.get(id).await {
            Ok(Some(key)) if self.identity.serial_in(&key.name) == Some(serial) => {
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
        let claim = act.facts.claim;
        // What was asked for after the claim is not answered by a key that was made before.
        let fresh = claim.and_then(|claim| claim.sent) == Some(act.facts.asks.fingerprint());
        let asks = if fresh { &act.facts.asks } else { &act.facts.record.handled };
        let replaced = replaced(act.facts);
        let successor = Successor {
            id,
            serial,
            settled: serial.max(claim.map_or(serial, |claim| claim.serial)),
            listed: listed.as_ref(),
            replaced: replaced.as_ref(),
            cause: claim.and_then(|claim| claim.cause),
            asks,
            desired: act.desired,
            now: self.context.clock.now(),
            spread: act.facts.spread,
        };
        succession::succeed(&mut status, &successor);
        if listed.is_none() {
            status.expires_at = act.facts.target.held().and_then(|held| held.expires_at);
        }
        let settings = &act.desired.settings;
        let settled =
            listed.as_ref().is_none_or(|it| drift::drift(settings, it, &Sent::all(settings)).is_empty());
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
        if settled {
            status.observed_generation = self.key.metadata.generation;
        }
        self.confirmed = listed.map(Some);
        self.disowned = None;
        let pass = self.publish(status, &verdict).await?;
        self.wake_deposits();
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }
}

/// The served key as the last listing shows it.
pub(super) fn replaced(facts: &Facts) -> Option<OwnKey> {
    facts.own().find(|own| Some(&own.key.id) == facts.record.id.as_ref()).cloned()
}
