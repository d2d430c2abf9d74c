//! Rotation: keys that replace another, and the end of the previous ones.

use super::{Act, Done, KeyPass};
use crate::api::EventReason;
use crate::api::condition;
use crate::cluster::object::log_about;
use crate::cluster::workloads;
use crate::gateway::Amendment;
use crate::plan::claim::{Claim, Purpose};
use crate::plan::decision::{Decision, Why};
use crate::plan::facts::Facts;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::{KeyId, Listed};
use crate::plan::naming::{Identity, Serial};
use crate::plan::report::call_purpose::CallPurpose;
use crate::plan::report::{self, Notice};
use crate::plan::requests::Cause;
use crate::plan::time;
use crate::plan::{retry, succession};
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::{Measure, VendorPort};
use crate::protocol::{Error, Pass};
use jiff::Timestamp;
use std::collections::BTreeSet;

impl<P: KeyPorts> KeyPass<P> {
    /// A replacement failed: the served key stays, and status gets the time of the next attempt. `None`: the pass
    /// goes on.
    pub(super) async fn replacement_failed(
        &mut self,
        act: &Act<'_, P::Vendor>,
        fault: &Fault,
        cause: Cause,
    ) -> Result<Option<Pass>, Error> {
        if fault.is_paused() {
            return self.blocked(&fault.to_string()).await.map(Some);
        }
        let mut status = self.status();
        let failures = status.rotation_failures.unwrap_or(0).saturating_add(1);
        let next = retry::after(fault, failures, &self.uid, self.ports.now());
        status.rotation_failures = Some(failures);
        status.next_rotation_time = Some(next);
        status.internal.failed_requests_hash = Some(act.facts.requests.fingerprint());
        let verdict = report::key::replacement_failed(fault, cause, &status, self.occurrence(fault));
        let verdict = verdict.still_ready(act.facts.works());
        self.ports.measure(Measure::RotationFailed(cause));
        let pass = self.publish(status, &verdict).await?;
        Ok(Some(pass).filter(|pass| *pass == Pass::Stale))
    }

    /// Abandons the last attempt to replace the served key, although its outcome at the vendor is unknown.
    pub(super) async fn abandon_attempt(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
    ) -> Result<Done, Error> {
        let next = act.facts.next_serial().max(serial.next());
        let claim = Claim::new(next, self.ports.now(), Purpose::Restore);
        if let Done::Pass(pass) = self.claim(&claim).await? {
            return Ok(Done::Pass(pass));
        }
        self.settled = Some(next);
        if act.facts.own().any(|own| own.serial == serial) {
            self.made += 1;
        }
        let fault = self.ports.remember(&self.uid, |it| it.fault_of(Some(serial)));
        let fault = fault.unwrap_or(Fault::ambiguous(FaultKind::NoOutcome));
        let cause = act.facts.claim.and_then(|claim| claim.cause).unwrap_or(Cause::Requested);
        let pass = self.replacement_failed(act, &fault, cause).await?;
        Ok(pass.map_or(Done::Again, Done::Pass))
    }

    /// Fences the Secret: a writer with an older claim must not put a key into it that is about to be revoked.
    pub(super) async fn fence(&mut self, act: &Act<'_, P::Vendor>, serial: Serial) -> Result<Done, Error> {
        match self.secrets.fence(&self.uid, &act.desired.secret.name, serial).await {
            Ok(_) => Ok(Done::Again),
            Err(error) => self.undelivered(act, error).await,
        }
    }

    /// The served key is missing from a listing: records that; a second listing decides.
    pub(super) async fn miss(&mut self, act: &Act<'_, P::Vendor>, id: &KeyId) -> Result<Done, Error> {
        let mut status = self.status();
        let now = time::to_the_second(self.ports.now());
        status.missing_since = Some(now);
        let verdict = report::key::key_missing(id, now).still_ready(act.facts.doubted && act.facts.serves());
        let pass = self.publish(status, &verdict).await?;
        if pass == Pass::Stale {
            return Ok(Done::Pass(pass));
        }
        Ok(if self.status().missing_since.is_none() { self.unkept(act) } else { Done::Again })
    }

    /// Announces unused keys one poll before they are revoked.
    pub(super) async fn announce(&mut self, act: &Act<'_, P::Vendor>, ids: &[KeyId]) -> Result<Done, Error> {
        let mut status = self.status();
        succession::announce(&mut status, ids, act.facts.now);
        if self.publish_as_it_is(status).await? == Pass::Stale {
            return Ok(Done::Pass(Pass::Stale));
        }
        let kept = self.status().unused;
        if ids.iter().any(|id| kept.iter().all(|it| it.id != id.0)) {
            return Ok(self.unkept(act));
        }
        let until = retry::plus(act.facts.now, act.facts.poll);
        self.ports.notify(self.key.as_ref(), report::key::unused_found(ids, until));
        Ok(Done::Again)
    }

    /// Revokes a previous key. Only keys with the resource's mark are touched.
    pub(super) async fn revoke_previous(
        &mut self,
        act: &Act<'_, P::Vendor>,
        id: &KeyId,
        decision: &Decision,
    ) -> Result<Done, Error> {
        match self.is_ours(act, id).await {
            Ok(true) => {
                let shared = self.shared(act, id).await;
                if let Err(fault) = act.account.revoke(id).await {
                    return Ok(Done::Failed(fault, CallPurpose::RevokePreviousKey));
                }
                self.gone.insert(id.clone());
                self.changed_vendor();
                if let Some((key, replaced_at)) = shared {
                    self.give_back(act, &key, replaced_at).await;
                }
            }
            Ok(false) => {}
            Err(fault) => return Ok(Done::Failed(fault, CallPurpose::LookAtPreviousKey)),
        }
        let mut status = self.status();
        status.previous.retain(|key| key.id != id.0);
        let pass = self.tell_of_previous(status, act, decision).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }

    /// A previous key that shares the budget with the served one, as read right before it is revoked, and when the
    /// split began.
    async fn shared(&self, act: &Act<'_, P::Vendor>, id: &KeyId) -> Option<(Listed, Timestamp)> {
        let previous = act.facts.record.previous.iter().find(|key| key.id == id.0)?;
        previous.share.as_ref()?;
        let key = act.account.get(id).await.ok().flatten()?;
        Some((key, previous.replaced_at))
    }

    /// Only a key with the resource's mark is touched: an id in status is no evidence. A key that the vendor does not
    /// list is touched all the same: a listing may lag, and revoking a missing key does no harm.
    async fn is_ours(&self, act: &Act<'_, P::Vendor>, id: &KeyId) -> Result<bool, Fault> {
        let ours = owned(act.account.as_ref(), &self.identity, &listed(act.facts), id).await?;
        if !ours {
            self.ports.measure(Measure::LeftBehind("GatewayApiKey", 1));
            self.ports.notify(self.key.as_ref(), report::key::not_ours(id));
        }
        Ok(ours)
    }

    /// Brown-out: switches a previous key off before it is deleted, or on again when the overlap was extended.
    pub(super) async fn switch_previous(
        &mut self,
        act: &Act<'_, P::Vendor>,
        id: &KeyId,
        on: bool,
        decision: &Decision,
    ) -> Result<Done, Error> {
        match self.is_ours(act, id).await {
            Ok(true) => {}
            Ok(false) => {
                let mut status = self.status();
                status.previous.retain(|key| key.id != id.0);
                let pass = self.publish_as_it_is(status).await?;
                return Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again });
            }
            Err(fault) => return Ok(Done::Failed(fault, CallPurpose::LookAtPreviousKey)),
        }
        if let Err(fault) =
            act.account.amend(id, &Amendment::activity(act.desired.settings.clone(), on)).await
        {
            // The key is gone, or the vendor cannot switch it: the next step deletes it.
            let moot =
                fault.kind.is_rejection() || matches!(fault.kind, FaultKind::NotFound | FaultKind::Conflict);
            if !moot {
                return Ok(Done::Failed(fault, CallPurpose::SwitchPreviousKey));
            }
        }
        self.changed_vendor();
        let now = self.ports.now();
        let mut status = self.status();
        for key in status.previous.iter_mut().filter(|key| key.id == id.0) {
            key.disabled_at = (!on).then_some(time::to_the_second(now));
        }
        let pass = self.tell_of_previous(status, act, decision).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }

    async fn tell_of_previous(
        &mut self,
        mut status: crate::api::GatewayApiKeyStatus,
        act: &Act<'_, P::Vendor>,
        decision: &Decision,
    ) -> Result<Pass, Error> {
        if decision.why == Why::StillInUse {
            let used = report::conditions::still_in_use(&act.desired.policy, self.key.metadata.generation);
            condition::set(&mut status.conditions, used.clone(), self.ports.now());
            self.ports
                .notify(self.key.as_ref(), Notice::warning(EventReason::PreviousKeyInUse, used.message));
        }
        self.publish_as_it_is(status).await
    }

    /// The previous key is deleted: removes its entries from the Secret.
    pub(super) async fn prune_previous(&mut self, act: &Act<'_, P::Vendor>) -> Result<Done, Error> {
        let claimed =
            act.facts.claim.map(|claim| claim.serial).max(act.facts.record.serial).unwrap_or_default();
        match self.secrets.trim(&self.uid, &act.desired.secret, claimed).await {
            Ok(()) => Ok(Done::Again),
            Err(error) => self.undelivered(act, error).await,
        }
    }

    /// Restarts workloads that read the Secret only at start, and records for which content.
    pub(super) async fn restart(&mut self, act: &Act<'_, P::Vendor>, revision: &str) -> Result<Done, Error> {
        let targets: Vec<_> = act.desired.policy.restart.iter().map(workloads::Target::from).collect();
        let namespace = self.namespace();
        let restart =
            workloads::Restart { namespace: &namespace, uid: &self.uid, revision, targets: &targets };
        let outcome = self.ports.restart(&restart).await;
        self.ports.measure(Measure::Restarted(outcome.restarted.len()));
        for notice in report::conditions::restarted(&outcome.restarted, &outcome.missing, &outcome.forbidden)
        {
            self.ports.notify(self.key.as_ref(), notice);
        }
        let (serial, restarted) = (self.serial(), outcome.restarted.len());
        log_about!(info, self.key.as_ref(), serial, revision, restarted, "consumers restarted");
        if let Some(error) = outcome.failed {
            return Err(error.into());
        }
        let mut status = self.status();
        status.internal.restarted_revision = Some(revision.to_owned());
        let pass = self.publish_as_it_is(status).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    /// The API server dropped status fields that its CRD does not know; without a pause, this would repeat in a loop.
    fn unkept(&self, act: &Act<'_, P::Vendor>) -> Done {
        let serial = self.serial();
        log_about!(
            warn,
            self.key.as_ref(),
            serial,
            "status does not keep what was written into it: the definitions (crds) are older than Keysmith; apply those of this version"
        );
        Done::Pass(Pass::Rest(Some(retry::plus(act.facts.now, act.facts.poll))))
    }
}

/// The listed keys that carry the resource's mark.
pub(super) fn listed(facts: &Facts) -> BTreeSet<KeyId> {
    facts.own().map(|own| own.key.id.clone()).collect()
}

/// Whether a key that status names carries the resource's mark, or is not listed at all. Where the name is the
/// identity, the id contains the mark.
pub(super) async fn owned<V: VendorPort>(
    account: &V,
    identity: &Identity,
    listed: &BTreeSet<KeyId>,
    id: &KeyId,
) -> Result<bool, Fault> {
    let ours = |name: &str| identity.serial_in(name).is_some();
    if ours(&id.0) || listed.contains(id) {
        return Ok(true);
    }
    Ok(account.get_to_revoke(id).await?.is_none_or(|key| ours(&key.name)))
}
