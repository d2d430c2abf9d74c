//! Keys that take another's place, and what becomes of those whose place was taken.

use super::super::{Error, Pass};
use super::{Act, Done, STEPS, Work};
use crate::api::EventReason;
use crate::api::condition;
use crate::api::gateway_api_key::GatewayApiKeySpec;
use crate::cluster::object::log_about;
use crate::cluster::workloads;
use crate::gateway::Amendment;
use crate::gateway::account::Account;
use crate::plan::capability::Capabilities;
use crate::plan::claim::{Claim, Purpose};
use crate::plan::desired;
use crate::plan::drift::Field;
use crate::plan::expiry;
use crate::plan::facts::{Facts, KeyId, Listed, Target};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::identity::TokenRef;
use crate::plan::issuance::{self, Decision, Step, Why};
use crate::plan::ledger;
use crate::plan::naming::{Identity, Serial};
use crate::plan::report::{self, Notice};
use crate::plan::rotation::Cause;
use crate::plan::template::Rendering;
use crate::plan::{retry, succession};
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Work {
    /// A replacement failed: the served key stays, and the next attempt is written down. `None`: the pass goes on.
    pub(super) async fn replacement_failed(
        &mut self,
        act: &Act<'_>,
        fault: &Fault,
        cause: Cause,
    ) -> Result<Option<Pass>, Error> {
        if fault.kind == FaultKind::BreakerOpen {
            return self.blocked(&fault.to_string()).await.map(Some);
        }
        let mut status = self.status();
        let failures = status.rotation_failures.unwrap_or(0).saturating_add(1);
        let next = retry::after(fault, failures, &self.uid, self.context.clock.now());
        status.rotation_failures = Some(failures);
        status.next_rotation_time = Some(next);
        status.failed_asks = Some(act.facts.asks.fingerprint());
        let verdict = report::key::replacement_failed(fault, cause, &status, self.confirms(fault));
        let verdict = verdict.still_ready(act.facts.works());
        self.context.metrics.rotation_failed(cause.name());
        Ok(match self.publish(status, &verdict).await? {
            Pass::Stale => Some(Pass::Stale),
            Pass::Rest(_) => None,
        })
    }

    /// The last attempt to replace the served key came to nothing, whatever the vendor did not answer.
    pub(super) async fn settle_serial(&mut self, act: &Act<'_>, serial: Serial) -> Result<Done, Error> {
        let next = act.facts.next_serial().max(serial.next());
        let claim = Claim::new(next, self.context.clock.now(), Purpose::Restore);
        if let Done::Pass(pass) = self.claim(&claim).await? {
            return Ok(Done::Pass(pass));
        }
        self.settled = Some(next);
        if act.facts.own().any(|own| own.serial == serial) {
            self.made += 1;
        }
        let fault = self.context.memory.fault_of(&self.uid, Some(serial));
        let fault = fault.unwrap_or(Fault::ambiguous(FaultKind::NoOutcome));
        let cause = act.facts.claim.and_then(|claim| claim.cause).unwrap_or(Cause::Requested);
        let pass = self.replacement_failed(act, &fault, cause).await?;
        Ok(pass.map_or(Done::Again, Done::Pass))
    }

    /// Keeps whoever holds an older claim from putting a key into the Secret that is about to be revoked.
    pub(super) async fn fence(&mut self, act: &Act<'_>, serial: Serial) -> Result<Done, Error> {
        match self.secrets.fence(&self.uid, &act.desired.secret.name, serial).await {
            Ok(_) => Ok(Done::Again),
            Err(error) => self.undelivered(act, error).await,
        }
    }

    /// Records a key that exists already; its Secret and its settings follow.
    pub(super) async fn recognise(
        &mut self,
        act: &Act<'_>,
        (serial, id): (Serial, &KeyId),
        decision: &Decision,
    ) -> Result<Done, Error> {
        if decision.why == Why::Relinked && self.left_by_another(id).await {
            self.gone.insert(id.clone());
            return Ok(Done::Again);
        }
        let key = match act.account.get(id).await {
            Ok(Some(key)) if self.identity.serial_in(&key.name) == Some(serial) => key,
            Ok(_) => {
                self.gone.insert(id.clone());
                return Ok(Done::Again);
            }
            Err(fault) => return Ok(Done::Failed(fault, "look at the key")),
        };
        let mut status = self.status();
        status.id = Some(id.0.clone());
        status.serial = Some(serial.0);
        let claimed = act.facts.claim.map_or(serial, |claim| claim.serial.max(serial));
        status.settled_serial = status.settled_serial.max(Some(claimed.0));
        status.created_at = key.created_at.or(Some(self.context.clock.now()));
        status.expires_at = expiry::recorded(status.created_at, key.expires_at, act.desired);
        status.active = key.shown.active;
        status.made_as = Some(act.desired.made_as.clone());
        status.last_handled_trigger.clone_from(&act.facts.asks.trigger);
        status.last_handled_rotate_at.clone_from(&act.facts.asks.rotate);
        self.confirmed = Some(Some(key));
        let pass = self.publish(status, &report::key::taking_over()).await?;
        self.forget_left(id).await;
        self.wake_deposits();
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }

    /// Whether the ledger says that a resource of another name left the key: a copied annotation is no claim to it. As
    /// long as the ledger cannot be read, nobody's is.
    async fn left_by_another(&self, id: &KeyId) -> bool {
        let (namespace, name) = (self.namespace(), self.key.name_any());
        let other = |entry: &ledger::Entry| {
            entry.key_id.as_deref() == Some(&id.0)
                && (entry.owner.namespace != namespace || entry.owner.name != name)
        };
        match self.context.ledger.list().await {
            Ok(book) => book.entries.iter().any(other),
            Err(error) => {
                let (serial, key) = (self.serial(), &id.0);
                log_about!(warn, self.key.as_ref(), serial, key, %error, "a key is not found again by its mark, because the ledger cannot be read");
                true
            }
        }
    }

    /// Somebody accounts for the key again. Should the entry stay, the sweep does without it.
    async fn forget_left(&self, id: &KeyId) {
        let token = TokenRef::named_by(self.key.as_ref());
        let entry = self.context.leaving(self.key.as_ref(), &token, ledger::Why::Retain);
        let entry = ledger::Entry { key_id: Some(id.0.clone()), ..entry };
        if let Err(error) = self.context.ledger.forget(&entry).await {
            let (serial, key) = (self.serial(), &id.0);
            log_about!(debug, self.key.as_ref(), serial, key, %error, "an entry of the ledger stays although its key is managed again");
        }
    }

    /// Gives a key our mark, so that it is ours from now on, and read back.
    pub(super) async fn brand(
        &mut self,
        act: &Act<'_>,
        (id, serial): (&KeyId, Serial),
        display: &str,
    ) -> Result<Done, Error> {
        let name = self.identity.mark.styled(act.desired.names, display, serial);
        let to = act.desired.settings.clone();
        let amendment = Amendment { fields: vec![Field::DisplayName], to, name: name.clone(), left: None };
        if let Err(fault) = act.account.amend(id, &amendment).await {
            return Ok(Done::Failed(fault, "put Keysmith's mark into the name of the key"));
        }
        self.context.memory.changed_vendor(&self.uid, self.context.clock.now());
        match act.account.get(id).await {
            Ok(Some(key)) if key.name != name => {
                let fault = FaultKind::Strange("it accepted a new name of the key and does not show it");
                Ok(Done::Failed(Fault::without_effect(fault), "take the key over"))
            }
            Ok(answer) => {
                self.confirmed = Some(answer);
                Ok(Done::Again)
            }
            Err(fault) => Ok(Done::Failed(fault, "look at the key")),
        }
    }

    /// The vendor does not show the served key: written down, and decided by a second look.
    pub(super) async fn miss(&mut self, act: &Act<'_>, id: &KeyId) -> Result<Done, Error> {
        let mut status = self.status();
        let now = report::to_the_second(self.context.clock.now());
        status.missing_since = Some(now);
        let verdict = report::key::key_missing(id, now).still_ready(act.facts.doubted && act.facts.serves());
        let pass = self.publish(status, &verdict).await?;
        Ok(match pass {
            Pass::Stale => Done::Pass(pass),
            Pass::Rest(_) if self.status().missing_since.is_none() => self.unkept(act),
            Pass::Rest(_) => Done::Again,
        })
    }

    /// Keys of ours that nothing uses are told a poll before they are revoked.
    pub(super) async fn announce(&mut self, act: &Act<'_>, ids: &[KeyId]) -> Result<Done, Error> {
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
        self.context.notify(self.key.as_ref(), report::key::unused_found(ids, until));
        Ok(Done::Again)
    }

    /// A key that leaked is counted on no more, although no other is there yet.
    pub(super) async fn forsake(&mut self, act: &Act<'_>) -> Result<Done, Error> {
        let mut status = self.status();
        succession::forsake(&mut status, &act.facts.asks, self.context.clock.now());
        let pass = self.publish(status, &report::key::given_up()).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    /// A specification that cannot be carried out keeps a leaked key from being replaced, not from being revoked.
    /// `None`: nothing leaked, or it is dealt with.
    pub(super) async fn revoke_leaked(&mut self, capabilities: &Capabilities) -> Result<Option<Pass>, Error> {
        let Some(account) = self.standing().and_then(|it| it.usable().ok().cloned()) else {
            return Ok(None);
        };
        // What revoking takes of a specification, any would have.
        let mut bare = self.key.as_ref().clone();
        bare.spec = GatewayApiKeySpec::bare(bare.spec.console_token_ref);
        let Ok(desired) = desired::desired(&bare, capabilities, None) else {
            return Ok(None);
        };
        for _ in 0..STEPS {
            let target = match self.secrets.inspect(&self.uid, self.key.secret_name()).await {
                // Nothing is written into it.
                Err(error) if crate::cluster::is_forbidden(&error) => Target::Absent,
                target => target?,
            };
            let facts = self.facts(target, capabilities.ability(), None);
            let Some(decision) = issuance::leak_alone(&facts) else {
                return Ok(None);
            };
            let account = Arc::clone(&account);
            let rendering = Rendering::default();
            let act = Act { account, desired: &desired, rendering: &rendering, base_url: "", facts: &facts };
            let done = match &decision.step {
                Step::Forsake(_) => self.forsake(&act).await?,
                Step::Retire(id) => self.retire_previous(&act, id, &decision).await?,
                Step::Rest(until) => Done::Pass(Pass::Rest(*until)),
                _ => Done::Pass(Pass::Stale),
            };
            match done {
                Done::Taken | Done::Again => {}
                Done::Pass(pass) => return Ok(Some(pass)),
                Done::Failed(fault, doing) => {
                    return self.failed(&fault, doing, Some(&facts)).await.map(Some);
                }
            }
        }
        Ok(Some(Pass::Stale))
    }

    /// Revokes a key whose place another one has taken. Only what carries our mark is touched.
    pub(super) async fn retire_previous(
        &mut self,
        act: &Act<'_>,
        id: &KeyId,
        decision: &Decision,
    ) -> Result<Done, Error> {
        match self.is_ours(act, id).await {
            Ok(true) => {
                let shared = self.shared(act, id).await;
                if let Err(fault) = act.account.revoke(id).await {
                    return Ok(Done::Failed(fault, "revoke the old key"));
                }
                self.gone.insert(id.clone());
                self.context.memory.changed_vendor(&self.uid, self.context.clock.now());
                if let Some((key, replaced_at)) = shared {
                    self.give_back(act, (&key, replaced_at)).await;
                }
            }
            Ok(false) => {}
            Err(fault) => return Ok(Done::Failed(fault, "look at the old key")),
        }
        let mut status = self.status();
        status.previous.retain(|key| key.id != id.0);
        let pass = self.tell_of_previous(status, act, decision).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }

    /// An old key that shares the budget with the served one, as it is right before it goes, and since when it does.
    async fn shared(&self, act: &Act<'_>, id: &KeyId) -> Option<(Listed, Timestamp)> {
        let previous = act.facts.record.previous.iter().find(|key| key.id == id.0)?;
        previous.share.as_ref()?;
        let key = act.account.get(id).await.ok().flatten()?;
        Some((key, previous.replaced_at))
    }

    /// Only what carries our mark is touched: an id in status is no evidence. A key that the vendor does not show is
    /// touched all the same: a listing may lag, and a call for what is gone does no harm.
    async fn is_ours(&self, act: &Act<'_>, id: &KeyId) -> Result<bool, Fault> {
        let ours = owned(&act.account, (&self.identity, &listed(act.facts)), id).await?;
        if !ours {
            self.context.metrics.left_behind("GatewayApiKey", 1);
            self.context.notify(self.key.as_ref(), report::key::not_ours(id));
        }
        Ok(ours)
    }

    /// Switches an old key off before it is deleted, or on again when its time was made longer.
    pub(super) async fn switch_previous(
        &mut self,
        act: &Act<'_>,
        (id, on): (&KeyId, bool),
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
            Err(fault) => return Ok(Done::Failed(fault, "look at the old key")),
        }
        if let Err(fault) =
            act.account.amend(id, &Amendment::activity(act.desired.settings.clone(), on)).await
        {
            // Gone already, or nothing that can be switched: what remains is to delete it, which comes next.
            let moot =
                fault.kind.is_rejection() || matches!(fault.kind, FaultKind::NotFound | FaultKind::Conflict);
            if !moot {
                return Ok(Done::Failed(fault, "switch the old key"));
            }
        }
        self.context.memory.changed_vendor(&self.uid, self.context.clock.now());
        let now = self.context.clock.now();
        let mut status = self.status();
        for key in status.previous.iter_mut().filter(|key| key.id == id.0) {
            key.disabled_at = (!on).then_some(report::to_the_second(now));
        }
        let pass = self.tell_of_previous(status, act, decision).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }

    async fn tell_of_previous(
        &mut self,
        mut status: crate::api::GatewayApiKeyStatus,
        act: &Act<'_>,
        decision: &Decision,
    ) -> Result<Pass, Error> {
        if decision.why == Why::StillInUse {
            let used = report::conditions::still_in_use(&act.desired.policy, self.key.metadata.generation);
            condition::set(&mut status.conditions, used.clone(), self.context.clock.now());
            self.context
                .notify(self.key.as_ref(), Notice::warning(EventReason::PreviousKeyInUse, used.message));
        }
        self.publish_as_it_is(status).await
    }

    /// The old key is retired, and its entries in the Secret with it.
    pub(super) async fn trim(&mut self, act: &Act<'_>) -> Result<Done, Error> {
        let claimed =
            act.facts.claim.map(|claim| claim.serial).max(act.facts.record.serial).unwrap_or_default();
        match self.secrets.trim(&self.uid, &act.desired.secret, claimed).await {
            Ok(()) => Ok(Done::Again),
            Err(error) => self.undelivered(act, error).await,
        }
    }

    /// Restarts what reads the Secret only when it starts, and writes down for which content.
    pub(super) async fn restart(&mut self, act: &Act<'_>, revision: &str) -> Result<Done, Error> {
        let targets: Vec<_> = act.desired.policy.restart.iter().map(workloads::Target::from).collect();
        let namespace = self.namespace();
        let restart =
            workloads::Restart { namespace: &namespace, uid: &self.uid, revision, targets: &targets };
        let outcome = workloads::restart(&self.context.client, &restart).await;
        self.context.metrics.restarted(outcome.restarted.len());
        for notice in report::conditions::restarted(&outcome.restarted, &outcome.missing, &outcome.forbidden)
        {
            self.context.notify(self.key.as_ref(), notice);
        }
        let (serial, restarted) = (self.serial(), outcome.restarted.len());
        log_about!(info, self.key.as_ref(), serial, revision, restarted, "consumers restarted");
        if let Some(error) = outcome.failed {
            return Err(error.into());
        }
        let mut status = self.status();
        status.restarted_for = Some(revision.to_owned());
        let pass = self.publish_as_it_is(status).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    /// The API server left out of status what it does not know, which is found again and again.
    fn unkept(&self, act: &Act<'_>) -> Done {
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

/// The keys that a listing shows with a resource's mark.
pub(super) fn listed(facts: &Facts) -> BTreeSet<KeyId> {
    facts.own().map(|own| own.key.id.clone()).collect()
}

/// Whether a key that a resource names carries its mark, or is not shown at all. Where the name is the identity, the id
/// says it itself.
pub(super) async fn owned(
    account: &Account,
    (identity, listed): (&Identity, &BTreeSet<KeyId>),
    id: &KeyId,
) -> Result<bool, Fault> {
    let ours = |name: &str| identity.serial_in(name).is_some();
    if ours(&id.0) || listed.contains(id) {
        return Ok(true);
    }
    Ok(account.get_to_revoke(id).await?.is_none_or(|key| ours(&key.name)))
}
