//! The deletion of a key's resource.

use super::previous_keys::{listed, owned};
use super::{Done, KeyPass, STEPS};
use crate::api::rotation::DeletionPolicy;
use crate::api::{FORCE_ORPHAN, GatewayApiKeyStatus};
use crate::cluster::object::log_about;
use crate::cluster::{self, ledger, object};
use crate::gateway::Amendment;
use crate::plan::claim::Claim;
use crate::plan::decision::{Decision, Step, Why as KeyWhy};
use crate::plan::deletion::{self, Ending, Left, LeftWhy};
use crate::plan::facts::{Facts, Target};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::ledger::{Entry, Why};
use crate::plan::limits;
use crate::plan::listing::KeyId;
use crate::plan::naming::{Identity, Serial};
use crate::plan::report::call_purpose::CallPurpose;
use crate::plan::report::deletion::{Blocked, DeletionBlocker};
use crate::plan::report::key::Scene;
use crate::plan::requests::RotationRequests;
use crate::plan::settings::Settings;
use crate::plan::{report, retry, time};
use crate::protocol;
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::{Measure, VendorPort};
use crate::protocol::{Error, Pass, stale_or};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Timeout after which a deletion reports that it waits for a vendor call.
const IMPATIENT: Duration = Duration::from_secs(20);
/// Retry delay after an entry of the ledger could not be written.
const LEDGER_AGAIN: SignedDuration = SignedDuration::from_mins(10);

impl<P: KeyPorts> KeyPass<P> {
    /// A pass over a key whose resource is being deleted.
    pub(super) async fn cleanup(&mut self) -> Result<Pass, Error> {
        let ending = self.ending();
        // A console token must outlive the keys that were made with it, so those are deleted first.
        if let Some(verdict) = self.needed().filter(|_| !ending.forced) {
            return self.publish(self.unfailed(), &verdict).await;
        }
        for _ in 0..STEPS {
            let target = match self.secrets.inspect(&self.uid, self.key.secret_name()).await {
                // 403 on the Secret does not block revocation: a deletion writes nothing into the Secret.
                Err(error) if cluster::is_forbidden(&error) => Target::Absent,
                target => target?,
            };
            let token_state = self.token_state();
            let doubt = token_state.as_ref().and_then(|it| it.doubt.clone()).filter(|_| !ending.forced);
            let account = token_state.and_then(|it| it.account);
            let ability = account.as_ref().map(|it| it.capabilities().ability()).unwrap_or_default();
            let facts = self.facts(target, ability, None);
            let decision = deletion::decide(&facts, ending);
            self.ports.decided(self.key.as_ref(), &decision);
            if let Some(next) = self.blocked_until(&facts, &decision) {
                return Ok(Pass::Rest(Some(next)));
            }
            let done = match (&decision.step, &account) {
                (Step::ClaimDeletion(claim), _) => self.claim(claim).await?,
                (Step::Release, _) => return self.release(&facts, &decision).await,
                (Step::Rest(until), _) => return self.rest_deleting(&decision, *until).await,
                (_, None) => return self.deletion_blocked(DeletionBlocker::TokenUnusable, None).await,
                // In a different account, every key would look deleted.
                (_, Some(_)) if let Some(doubt) = doubt => {
                    return self.deletion_blocked(DeletionBlocker::Doubted(doubt), None).await;
                }
                (step, Some(account)) => match self.remove(account, step, &facts).await? {
                    Some(done) => done,
                    None => return Ok(Pass::Stale),
                },
            };
            match done {
                Done::Taken | Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, purpose) => {
                    return self.call_failed(fault, purpose, &facts.requests).await;
                }
            }
        }
        Ok(Pass::Unfinished)
    }

    /// Time before which a failed deletion is not retried, even if an event enqueues the resource earlier.
    fn blocked_until(&self, facts: &Facts, decision: &Decision) -> Option<Timestamp> {
        let status = self.key.status.as_ref()?;
        let open = self.leak_is_open(status);
        self.ports.measure(Measure::LeakOpen(&self.uid, open));
        let internal = status.read_internal();
        // The generation rises with the deletion. A leak that was declared since the failure skips the backoff.
        let failed = internal.last_pass.and_then(|it| it.generation) == self.key.metadata.generation
            && internal.failed_requests_hash == Some(facts.requests.fingerprint());
        let free = matches!(decision.step, Step::Release | Step::ClaimDeletion(_) | Step::Rest(_));
        status.next_attempt_at.filter(|next| failed && !free && *next > self.ports.now())
    }

    /// Whether another account was accepted for the ConsoleToken, and no recorded key was listed there yet.
    fn has_moved(&self) -> bool {
        let account = self.token().and_then(|token| token.status()?.account.clone());
        account.is_some_and(|it| it.accepted.is_some())
    }

    fn ending(&self) -> Ending {
        let may_retain = limits::may_retain(self.token().as_ref());
        // With managementPolicy Observe the key is left alone, even if it was managed before, where Retain is permitted.
        let observed = self.is_observed() && (may_retain || self.status().serial.is_none());
        let policy = match self.key.spec.deletion_policy.unwrap_or_default() {
            _ if observed => DeletionPolicy::Retain,
            // A leaked key is revoked whatever the policy says.
            _ if self.leak_is_open(&self.status()) => DeletionPolicy::Delete,
            DeletionPolicy::Retain if !may_retain => DeletionPolicy::Delete,
            written => written,
        };
        Ending { policy, forced: self.is_forced() }
    }

    /// Whether the annotation that lets the resource go at once is set and has an effect.
    fn is_forced(&self) -> bool {
        object::annotation(self.key.as_ref(), FORCE_ORPHAN).is_some()
            && limits::may_force_orphan(self.token().as_ref())
    }

    /// One step at the vendor. `None`: the decision is not about the vendor.
    async fn remove(
        &mut self,
        account: &Arc<P::Vendor>,
        step: &Step,
        facts: &Facts,
    ) -> Result<Option<Done>, Error> {
        // If the vendor hangs, the status must still say that the deletion is blocked.
        let stale_before = self.ports.remember(&self.uid, |it| it.stale_before());
        let (ids, action) = match step {
            Step::Revoke(ids) => (ids.clone(), Action::Revoke),
            Step::Disable(ids) => (ids.clone(), Action::Disable),
            Step::Look(since) => (Vec::new(), Action::Look(stale_before.map_or(*since, |it| it.max(*since)))),
            _ => return Ok(None),
        };
        let removal = Calls {
            account: Arc::clone(account),
            identity: self.identity.clone(),
            listed: listed(facts),
            moved: self.has_moved(),
        };
        let call = removal.run(ids, action);
        tokio::pin!(call);
        let outcome = tokio::select! {
            biased;
            outcome = &mut call => outcome,
            () = self.ports.slow_call(IMPATIENT) => {
                if self.deletion_blocked(DeletionBlocker::Slow(IMPATIENT.as_secs()), None).await? == Pass::Stale {
                    return Ok(Some(Done::Pass(Pass::Stale)));
                }
                call.await
            }
        };
        if !outcome.done.is_empty() {
            self.changed_vendor();
        }
        self.strays.extend(outcome.strays);
        match action {
            Action::Revoke => {
                self.revoked |= !outcome.done.is_empty();
                self.gone.extend(outcome.done);
            }
            Action::Disable => self.disabled.extend(outcome.done),
            Action::Look(_) => {}
        }
        Ok(Some(match outcome.result {
            Ok(()) => Done::Taken,
            Err(fault) => Done::Failed(fault, action.purpose()),
        }))
    }

    /// A call of a deletion failed: writes the reason and the time of the retry into status.
    async fn call_failed(
        &mut self,
        fault: Fault,
        purpose: CallPurpose,
        requests: &RotationRequests,
    ) -> Result<Pass, Error> {
        if fault.waits_for_token() {
            return self.deletion_blocked(DeletionBlocker::Paused(fault), None).await;
        }
        let mut status = self.status();
        let failures = status.failures.unwrap_or(0).saturating_add(1);
        let next = self.next_attempt(&fault, failures, &status);
        status.failures = Some(failures);
        status.next_attempt_at = Some(next);
        status.internal.failed_requests_hash = Some(requests.fingerprint());
        self.deletion_blocked(DeletionBlocker::Failed(purpose, fault), Some(status)).await
    }

    pub(super) async fn claim(&mut self, claim: &Claim) -> Result<Done, Error> {
        match self.ports.claim(self.key.as_ref(), claim, &self.identity).await {
            Ok(key) => {
                self.wrote(Arc::new(key));
                Ok(Done::Again)
            }
            Err(error) => stale_or(error).map(Done::Pass),
        }
    }

    async fn release(&mut self, facts: &Facts, decision: &Decision) -> Result<Pass, Error> {
        let left = self.left_behind(facts, decision);
        if let Some(why) = self.write_down(&left).await? {
            let mut status = self.status();
            status.next_attempt_at = Some(time::to_the_second(retry::plus(self.ports.now(), LEDGER_AGAIN)));
            return self.deletion_blocked(why, Some(status)).await;
        }
        match self.ports.release(self.key.as_ref()).await {
            Ok(_) => {}
            // An earlier pass released the resource, and sent the events then.
            Err(error) if cluster::is_missing(&error) => return Ok(Pass::Rest(None)),
            Err(error) => return stale_or(error),
        }
        self.ports.measure(Measure::LeftBehind("GatewayApiKey", left.len()));
        self.ports.measure(Measure::RotationOverdue(&self.uid, false));
        self.ports.measure(Measure::LeakOpen(&self.uid, false));
        if let Some(mut notice) = report::deletion::released(&left, self.revoked) {
            let off = left.iter().any(|it| it.why == LeftWhy::Policy(DeletionPolicy::Disable));
            let lag = report::key::lingering(facts.ability.revocation_lag).filter(|_| off || left.is_empty());
            notice.note.push_str(&lag.unwrap_or_default());
            self.ports.notify(self.key.as_ref(), notice);
        }
        self.ports.enqueue_provider_keys(self.key.as_ref());
        self.ports.released(&self.uid);
        self.ports.enqueue_token(&self.token_ref());
        Ok(Pass::Rest(None))
    }

    async fn rest_deleting(&mut self, decision: &Decision, until: Option<Timestamp>) -> Result<Pass, Error> {
        let serial = object::claim_of(self.key.as_ref(), &self.identity).map(|claim| claim.serial);
        let scene = Scene {
            unanswered: self.ports.remember(&self.uid, |it| it.fault_of(serial)),
            ..Scene::new(self.key.secret_name(), true)
        };
        match report::key::resting(decision, &scene) {
            Some(verdict) => Ok(self.publish(self.unfailed(), &verdict).await?.until(until)),
            None => Ok(Pass::Rest(until)),
        }
    }

    /// Status without the time of a retry: one from before the deletion must not hold the deletion up.
    fn unfailed(&self) -> GatewayApiKeyStatus {
        let mut status = self.status();
        status.next_attempt_at = None;
        status.internal.failed_requests_hash = None;
        status
    }

    /// Writes what stays at the vendor into the ledger before the resource goes. Returns why that is
    /// impossible, if the policy leaves a key: without an entry, a later sweep would treat it as an orphan. With
    /// `keysmith.dev/force-orphan` the failure is only recorded, and the event names the keys.
    async fn write_down(&self, left: &[Left]) -> Result<Option<DeletionBlocker>, Error> {
        if left.is_empty() {
            return Ok(None);
        }
        let token = self.token_ref();
        let entries = left.iter().map(|left| Entry {
            key_id: Some(left.id.0.clone()),
            serial: left.serial.map(|serial| serial.0),
            ..protocol::leaving(&self.ports, self.key.as_ref(), &token, why(left.why))
        });
        let entries: Vec<_> = entries.collect();
        match self.ports.enter(&entries).await {
            Ok(()) => Ok(None),
            Err(ledger::Error::Kubernetes { source, .. }) if cluster::is_transient(&source) => {
                Err((*source).into())
            }
            Err(error) => {
                let serial = self.serial();
                log_about!(warn, self.key.as_ref(), serial, %error, "what stays at the vendor could not be written down in the ledger");
                let by_policy = left.iter().any(|left| matches!(left.why, LeftWhy::Policy(_)));
                if !by_policy {
                    self.note_missing(&entries).await;
                }
                let keys = || left.iter().map(|left| left.id.clone()).collect();
                Ok(by_policy.then(|| DeletionBlocker::Unrecorded { keys: keys(), error: error.to_string() }))
            }
        }
    }

    /// Marks the ledger as one that lacks these entries. If that fails as well, this process must not sweep any more.
    async fn note_missing(&self, entries: &[Entry]) {
        if let Err(error) = self.ports.note_missing(entries).await {
            let serial = self.serial();
            log_about!(warn, self.key.as_ref(), serial, %error, "no sweep for orphaned keys until the operator restarts: the ledger lacks a key, and cannot be marked");
            self.ports.stop_sweeps();
        }
    }

    /// Keys that stay at the vendor: everything that status names, unless it is known to be deleted.
    fn left_behind(&self, facts: &Facts, decision: &Decision) -> Vec<Left> {
        if decision.why != KeyWhy::LeftBehind {
            let stray = |id: &KeyId| Left { id: id.clone(), serial: None, why: LeftWhy::NotOurs };
            return self.strays.iter().map(stray).collect();
        }
        let why = if self.ending().forced { LeftWhy::Forced } else { LeftWhy::Policy(self.ending().policy) };
        let served = facts.record.id.iter().cloned().map(|id| (id, facts.record.serial));
        let previous = facts.record.previous.iter().map(|it| (KeyId(it.id.clone()), Some(Serial(it.serial))));
        let listed = facts.own().map(|own| (own.key.id.clone(), Some(own.serial)));
        let held = facts.target.held().and_then(|held| Some((held.key_id.clone()?, held.serial)));
        let mut left: BTreeMap<KeyId, Option<Serial>> = listed.collect();
        // Only keys that were listed or recorded: a claim is no proof of a key, and a user who may annotate the resource
        // could fill the ledger with claims. A key that a lost answer left is in no Secret, and may be swept.
        left.extend(served.chain(previous).chain(held).filter(|(id, _)| !facts.gone.contains(id)));
        left.into_iter().map(|(id, serial)| Left { id, serial, why }).collect()
    }

    /// Writes that the deletion is blocked, why, and which ways out there are. `retrying`: status with the time of the next
    /// attempt.
    async fn deletion_blocked(
        &mut self,
        why: DeletionBlocker,
        retrying: Option<GatewayApiKeyStatus>,
    ) -> Result<Pass, Error> {
        let token = self.token_ref().titled();
        let next = retrying.as_ref().and_then(|it| it.next_attempt_at);
        let lost = self.token_state().filter(|it| it.lost).and_then(|it| it.ready.err());
        let verdict = if let Some(why) = &lost {
            report::deletion::token_lost(why)
        } else {
            let status = self.status();
            let leaked = self.leak_is_open(&status);
            let blocked = Blocked { why: &why, token: &token, retry: next, status: &status, leaked };
            report::deletion::blocked(&blocked)
        };
        let permitted = limits::may_force_orphan(self.token().as_ref());
        let verdict = if permitted { verdict } else { report::deletion::without_force(&verdict, &token) };
        let waiting = || GatewayApiKeyStatus { next_attempt_at: None, ..self.status() };
        let status = retrying.unwrap_or_else(waiting);
        Ok(self.publish(status, &verdict).await?.until(next))
    }
}

const fn why(left: LeftWhy) -> Why {
    match left {
        LeftWhy::Policy(DeletionPolicy::Disable) => Why::Disable,
        LeftWhy::Policy(_) => Why::Retain,
        LeftWhy::Forced => Why::ForceOrphan,
        LeftWhy::NotOurs => Why::Unsure,
    }
}

/// What a deletion does to each key.
#[derive(Clone, Copy)]
enum Action {
    Revoke,
    Disable,
    Look(Timestamp),
}

impl Action {
    const fn purpose(self) -> CallPurpose {
        match self {
            Self::Revoke => CallPurpose::RevokeKey,
            Self::Disable => CallPurpose::SwitchKeyOff,
            Self::Look(_) => CallPurpose::ListKeys,
        }
    }
}

/// The vendor calls of a deletion.
struct Calls<V> {
    account: Arc<V>,
    identity: Identity,
    /// Keys that a listing shows with the resource's mark.
    listed: BTreeSet<KeyId>,
    /// Whether this account was accepted in place of the one that the keys were made in.
    moved: bool,
}

/// Result of a deletion's calls.
struct Outcome {
    /// The keys that were handled, even if a later one failed.
    done: Vec<KeyId>,
    /// Keys without the resource's mark, left alone.
    strays: Vec<KeyId>,
    result: Result<(), Fault>,
}

impl<V: VendorPort> Calls<V> {
    /// Handles the keys one after the other.
    async fn run(self, ids: Vec<KeyId>, action: Action) -> Outcome {
        let mut outcome = Outcome { done: Vec::new(), strays: Vec::new(), result: Ok(()) };
        if let Action::Look(since) = action {
            outcome.result = self.account.list(since).await.map(drop);
            return outcome;
        }
        for id in ids {
            match self.one(&id, action).await {
                Ok(true) => outcome.done.push(id),
                Ok(false) => outcome.strays.push(id),
                Err(fault) => {
                    outcome.result = Err(fault);
                    break;
                }
            }
        }
        outcome
    }

    /// Carries the action out for one key. `false`: the key has no mark of this resource, or is in another account, and was
    /// left alone. The call is sent for a key that the listing does not show as well, because listings lag.
    async fn one(&self, id: &KeyId, action: Action) -> Result<bool, Fault> {
        if !owned(self.account.as_ref(), &self.identity, &self.listed, id).await? {
            return Ok(false);
        }
        if self.moved && !self.listed.contains(id) && self.account.get(id).await?.is_none() {
            return Ok(false);
        }
        if !matches!(action, Action::Disable) {
            return self.account.revoke(id).await.map(|()| true);
        }
        match self.account.amend(id, &Amendment::activity(Settings::default(), false)).await {
            Err(fault) if fault.kind != FaultKind::NotFound => Err(fault),
            _ => Ok(true),
        }
    }
}
