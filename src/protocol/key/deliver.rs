//! Delivery of a key into its Secret, outside the critical section that creates a key.

use super::owned_secret::{owner, refused};
use super::{Act, Done, KeyPass};
use crate::api::Verdict;
use crate::plan::budget::Shares;
use crate::plan::contest;
use crate::plan::decision::{Decision, Step, Why};
use crate::plan::drift::Sent;
use crate::plan::expiry;
use crate::plan::facts::Confirmed;
use crate::plan::facts::{Facts, Target};
use crate::plan::listing::{KeyId, Listed, OwnKey};
use crate::plan::naming::Serial;
use crate::plan::report::call_purpose::CallPurpose;
use crate::plan::report::key::Scene;
use crate::plan::requests::Cause;
use crate::plan::succession::{self, Successor};
use crate::plan::{drift, report};
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::VendorPort;
use crate::protocol::secret::{Delivery, Key, Rehearsed, Undelivered};
use crate::protocol::{Error, Pass};
use jiff::Timestamp;
use secrecy::SecretString;

/// Placeholder for the key in the dry run of its Secret: about as long as the longest key of any known vendor.
const PLACEHOLDER: &str =
    "sk-placeholder-0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000";

impl<P: KeyPorts> KeyPass<P> {
    /// Has the vendor reveal a key whose create call was never answered, and delivers it.
    pub(super) async fn recover_key(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        id: &KeyId,
    ) -> Result<Done, Error> {
        let secret = match act.account.recover(id).await {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                self.gone.insert(id.clone());
                return Ok(Done::Again);
            }
            Err(fault) => return Ok(Done::Failed(fault, CallPurpose::RevealKey)),
        };
        let listed = act.facts.own().find(|own| own.key.id == *id).map(|own| own.key.clone());
        let created = listed.as_ref().and_then(|it| it.created_at).or(Some(self.ports.now()));
        let expires_at = listed.as_ref().and_then(|it| it.expires_at);
        let expires_at = expiry::recorded(created, expires_at, act.desired);
        let shares = match self.share_out(act, id, listed.as_ref()).await {
            Ok(shares) => shares,
            Err(fault) => return Ok(Done::Failed(fault, CallPurpose::ShareBudget)),
        };
        let delivered = self.deliver(act, serial, id, expires_at, Key::Given(&secret)).await;
        match delivered {
            Ok(()) => self.commit(act, serial, id, listed, shares).await,
            Err(error) => self.undelivered(act, error).await,
        }
    }

    /// Has the vendor reveal the served key again, and writes the Secret with it.
    pub(super) async fn restore(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        id: &KeyId,
    ) -> Result<Done, Error> {
        let secret = match act.account.recover(id).await {
            Ok(Some(secret)) => secret,
            Ok(None) => {
                self.confirmed = Confirmed::Gone;
                return Ok(Done::Again);
            }
            Err(fault) => return Ok(Done::Failed(fault, CallPurpose::RevealKey)),
        };
        self.write_secret(act, serial, id, Key::Given(&secret)).await
    }

    /// Rewrites the Secret around the key that it already contains.
    pub(super) async fn rewrite(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        id: &KeyId,
    ) -> Result<Done, Error> {
        self.write_secret(act, serial, id, Key::Present).await
    }

    async fn write_secret(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        id: &KeyId,
        key: Key<'_>,
    ) -> Result<Done, Error> {
        let now = self.ports.now();
        match self.deliver(act, serial, id, act.facts.record.expires_at, key).await {
            Ok(()) => {
                let state = contest::state(act.facts);
                self.ports.remember(&self.uid, |it| it.mended(state, now));
                Ok(Done::Taken)
            }
            Err(error) => self.undelivered(act, error).await,
        }
    }

    /// Asks the API server by a dry run whether the Secret of a key would be stored, before the key is created.
    /// `None`: it would.
    pub(super) async fn rehearse(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        cause: Option<Cause>,
    ) -> Result<Option<Done>, Error> {
        let placeholder = SecretString::from(PLACEHOLDER.to_owned());
        let delivery = Delivery {
            owner: &owner(&self.key),
            plan: &act.desired.secret,
            rendering: act.rendering,
            serial,
            fence: serial,
            absent: act.facts.target == Target::Absent,
            id: &KeyId(format!("key_{}", "0".repeat(32))),
            expires_at: expiry::of_new(act.desired, self.ports.now()),
            base_url: act.base_url,
            models: &act.desired.settings.models,
            key: Key::Given(&placeholder),
            previous: succession::kept_serial(act.facts.record.serial, act.desired, cause),
        };
        match self.secrets.rehearse(&delivery).await {
            Ok(Rehearsed::Fine) => Ok(None),
            // The Secret exists or changed: read it and decide again.
            Ok(Rehearsed::Outdated) if self.must_read => Ok(Some(Done::Pass(Pass::Stale))),
            Ok(Rehearsed::Outdated) => {
                self.must_read = true;
                Ok(Some(Done::Again))
            }
            Err(error) => match refused(&error, self.key.secret_name()) {
                Some(verdict) if cause == Some(Cause::Leaked) && act.facts.record.id.is_some() => {
                    self.record_failed_replacement(act, &verdict).await.map(Some)
                }
                _ => self.undelivered(act, error).await.map(Some),
            },
        }
    }

    /// Records that a leaked key cannot be replaced now: the next decision is to revoke it without a successor.
    async fn record_failed_replacement(
        &mut self,
        act: &Act<'_, P::Vendor>,
        verdict: &Verdict,
    ) -> Result<Done, Error> {
        let mut status = self.status();
        status.rotation_failures = Some(status.rotation_failures.unwrap_or(0).saturating_add(1));
        status.internal.failed_requests_hash = Some(act.facts.requests.fingerprint());
        let pass = self.publish(status, verdict).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    /// Leaves the Secret as another controller keeps changing it, and reports that.
    pub(super) async fn contest(&mut self, act: &Act<'_, P::Vendor>) -> Result<Done, Error> {
        let mut status = self.status();
        status.secret_contest = Some(contest::found(act.facts));
        let pass = self.publish_as_it_is(status).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }

    async fn deliver(
        &self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        id: &KeyId,
        expires_at: Option<Timestamp>,
        key: Key<'_>,
    ) -> Result<(), Undelivered> {
        self.sighted(None);
        let claimed = act.facts.claim.map_or(serial, |claim| claim.serial);
        let delivery = Delivery {
            owner: &owner(&self.key),
            plan: &act.desired.secret,
            rendering: act.rendering,
            serial,
            fence: claimed.max(serial),
            absent: false,
            id,
            expires_at,
            base_url: act.base_url,
            models: &act.desired.settings.models,
            key,
            previous: succession::kept_serial(
                act.facts.record.serial,
                act.desired,
                act.facts.claim.and_then(|it| it.cause),
            ),
        };
        let sighting = self.secrets.deliver(&delivery).await?;
        self.sighted(sighting);
        Ok(())
    }

    /// What a Secret that was not written means: a verdict where the error is final, and another pass otherwise.
    pub(super) async fn undelivered(
        &mut self,
        act: &Act<'_, P::Vendor>,
        error: Undelivered,
    ) -> Result<Done, Error> {
        let works = act.facts.works();
        match refused(&error, self.key.secret_name()) {
            Some(_) if works && let Undelivered::Refused(refused) = &error => {
                let verdict = refused.verdict(self.key.secret_name(), works);
                Ok(Done::Pass(self.wait_with(&verdict, act.facts).await?))
            }
            Some(verdict) => Ok(Done::Pass(self.wait_with(&verdict.still_ready(works), act.facts).await?)),
            None => match error {
                Undelivered::Unavailable(error) => Err(Error::Kubernetes(*error)),
                _ => Ok(Done::Pass(Pass::Stale)),
            },
        }
    }

    /// Records in status the key that the Secret holds already, if its name at the vendor has our mark and this serial:
    /// anyone with write access to Secrets can put any key id into the annotations.
    pub(super) async fn commit_held(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        id: &KeyId,
    ) -> Result<Done, Error> {
        match act.account.get(id).await {
            Ok(Some(key)) if self.identity.serial_in(&key.name) == Some(serial) => {
                match self.share_out(act, id, Some(&key)).await {
                    Ok(shares) => self.commit(act, serial, id, Some(key), shares).await,
                    Err(fault) => Ok(Done::Failed(fault, CallPurpose::ShareBudget)),
                }
            }
            Ok(_) => {
                self.disowned = Some(id.clone());
                Ok(Done::Again)
            }
            Err(fault) => Ok(Done::Failed(fault, CallPurpose::LookAtKey)),
        }
    }

    /// Records a key that its Secret already contains.
    async fn commit(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        id: &KeyId,
        listed: Option<Listed>,
        shares: Option<Shares>,
    ) -> Result<Done, Error> {
        let mut status = self.status();
        let claim = act.facts.claim;
        // A key that was created for an older claim does not fulfil rotation requests that were made after that
        // claim.
        let fresh = claim.and_then(|claim| claim.sent) == Some(act.facts.requests.fingerprint());
        let requests = if fresh { &act.facts.requests } else { &act.facts.record.handled };
        let successor = Successor {
            id,
            serial,
            settled: serial.max(claim.map_or(serial, |claim| claim.serial)),
            listed: listed.as_ref(),
            shares,
            cause: claim.and_then(|claim| claim.cause),
            requests,
            desired: act.desired,
            now: self.ports.now(),
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
            let scene = Scene::new(self.key.secret_name(), act.desired.settings.active);
            report::key::resting(&Decision { step: Step::Rest(None), why: Why::Fresh }, &scene)
        } else {
            None
        };
        let verdict = verdict.unwrap_or_else(report::key::applying);
        if settled {
            status.observed_generation = self.key.metadata.generation;
            status.internal.applied_generation = self.key.metadata.generation;
        }
        self.confirmed = listed.map_or(Confirmed::NotRead, |key| Confirmed::Shown(Box::new(key)));
        self.disowned = None;
        let pass = self.publish(status, &verdict).await?;
        self.ports.enqueue_provider_keys(self.key.as_ref());
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }
}

/// The served key as the newest listing shows it.
pub(super) fn listed_served_key(facts: &Facts) -> Option<OwnKey> {
    facts.own().find(|own| Some(&own.key.id) == facts.record.id.as_ref()).cloned()
}
