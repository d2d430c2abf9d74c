//! How the steps of a decision are carried out.

use super::KeyPass;
use super::issue::{Issue, Issued};
use super::ports::KeyPorts;
use crate::plan::claim::{Claim, Purpose};
use crate::plan::decision::{Decision, Step, Why};
use crate::plan::desired::Desired;
use crate::plan::facts::{Confirmed, Facts, Target};
use crate::plan::listing::KeyId;
use crate::plan::naming::Serial;
use crate::plan::report::call_purpose::CallPurpose;
use crate::plan::template::Rendering;
use crate::plan::unused_keys;
use crate::protocol::ports::{Measure, VendorPort};
use crate::protocol::{Done, Error, Pass};
use std::sync::Arc;

/// What a step needs besides the step itself.
pub(super) struct Act<'a, V> {
    pub account: Arc<V>,
    pub desired: &'a Desired,
    pub rendering: &'a Rendering,
    pub base_url: &'a str,
    pub facts: &'a Facts,
}

impl<P: KeyPorts> KeyPass<P> {
    pub(super) async fn act(&mut self, act: &Act<'_, P::Vendor>, decision: &Decision) -> Result<Done, Error> {
        match &decision.step {
            Step::Issue(serial) => Box::pin(self.issue(act, *serial, decision)).await,
            Step::Recover(serial, id) => self.recover_key(act, *serial, id).await,
            Step::Commit(serial, id) => self.commit_held(act, *serial, id).await,
            Step::BumpSerial(serial) => {
                self.claim(&Claim::new(*serial, self.ports.now(), Purpose::Restore)).await
            }
            Step::AbandonAttempt(serial) => self.abandon_attempt(act, *serial).await,
            Step::FenceSecret(serial) => self.fence(act, *serial).await,
            Step::RecordKey(serial, id) => self.record_key(act, *serial, id, decision).await,
            Step::TagKey(id, serial, name) => self.tag_key(act, id, *serial, name).await,
            Step::DropLeaked(_) => self.drop_leaked(act).await,
            Step::Retire(id) => self.revoke_previous(act, id, decision).await,
            Step::Switch(id, on) => self.switch_previous(act, id, *on, decision).await,
            Step::Cut(id, share) => self.cut(act, id, *share).await,
            Step::PrunePrevious => self.prune_previous(act).await,
            Step::Restart(revision) => self.restart(act, revision).await,
            Step::Restore(serial, id) => self.restore(act, *serial, id).await,
            Step::Rewrite(serial, id) => self.rewrite(act, *serial, id).await,
            Step::Contest => self.contest(act).await,
            Step::Miss(id) => self.miss(act, id).await,
            Step::Announce(ids) => self.announce(act, ids).await,
            Step::Amend(id, fields) => self.amend(act, id, fields).await,
            Step::Confirm(id) => Ok(match act.account.get(id).await {
                Ok(answer) => {
                    self.confirmed = answer.into();
                    Done::Again
                }
                Err(fault) => Done::Failed(fault, CallPurpose::LookAtKey),
            }),
            Step::Look(since) => self.look(&act.account, *since).await,
            Step::Revoke(ids) => self.revoke_unused(act, ids).await,
            Step::ClaimDeletion(_) | Step::Disable(_) | Step::Release | Step::Rest(_) => {
                Ok(Done::Pass(Pass::Stale))
            }
        }
    }

    pub(super) async fn issue(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        decision: &Decision,
    ) -> Result<Done, Error> {
        let permit = match act.account.permit().await {
            Ok(permit) => permit,
            Err(fault) => return Ok(Done::Failed(fault, CallPurpose::MakeKey)),
        };
        // When an attempt is repeated for a resource that serves no key yet, the cause of the attempt before still
        // applies.
        let cause = match decision.why {
            Why::Rotation(cause) => Some(cause),
            _ => act.facts.claim.and_then(|claim| claim.cause),
        };
        if let Some(done) = self.rehearse(act, serial, cause).await? {
            return Ok(done);
        }
        let shares = match self.shares(act, cause).await {
            Ok(shares) => shares,
            Err(fault) => return Ok(Done::Failed(fault, CallPurpose::ReadBudget)),
        };
        let issue = Issue {
            ports: self.ports.clone(),
            key: Arc::clone(&self.key),
            account: Arc::clone(&act.account),
            permit,
            secrets: self.secrets.clone(),
            desired: act.desired.clone(),
            rendering: act.rendering.clone(),
            base_url: act.base_url.to_owned(),
            serial,
            name: self.identity.mark.styled(act.desired.names, &act.desired.settings.display_name, serial),
            reusable: unused_keys::reusable(act.facts),
            identity: self.identity.clone(),
            absent: act.facts.target == Target::Absent,
            requests: act.facts.requests.clone(),
            shares,
            cause,
            spread: act.facts.spread,
        };
        let issued = self.ports.issue(issue).await.ok_or(Error::Panicked)?;
        Ok(match issued? {
            Issued::Done { object, key, sighting } => {
                self.wrote(object);
                self.sighted(sighting);
                self.confirmed = Confirmed::Shown(key);
                self.overdue = false;
                if let Some(cause) = cause {
                    self.ports.measure(Measure::Rotated(cause));
                }
                self.ports.enqueue_provider_keys(self.key.as_ref());
                Done::Taken
            }
            Issued::Stale => Done::Pass(Pass::Stale),
            Issued::Pending { object, fault } => {
                self.wrote(object);
                self.ports.remember(&self.uid, |it| it.unanswered(serial, fault));
                // The served key may have changed; then the confirmation of the old one no longer applies.
                if self.record().id != act.facts.record.id {
                    self.confirmed = Confirmed::NotRead;
                }
                self.ports.enqueue_provider_keys(self.key.as_ref());
                Done::Again
            }
            Issued::Refused { object, verdict } => {
                self.wrote(object);
                self.settled = Some(serial);
                let verdict = verdict.still_ready(act.facts.works());
                Done::Pass(self.wait_with(&verdict, act.facts).await?)
            }
            Issued::Failed { object, fault } => {
                self.wrote(object);
                self.settled = Some(serial);
                Done::Failed(fault, CallPurpose::MakeKey)
            }
            Issued::Undelivered { object, verdict } => {
                self.wrote(object);
                self.made += 1;
                let verdict = verdict.still_ready(act.facts.works());
                Done::Pass(self.wait_with(&verdict, act.facts).await?)
            }
        })
    }

    pub(super) fn send_event(&self, act: &Act<'_, P::Vendor>, decision: &Decision) {
        let previous = self.key.status.iter().flat_map(|status| &status.previous);
        let until = previous.max_by_key(|key| key.serial).map(|key| key.retire_after);
        let Some(mut notice) = crate::plan::report::key::taken(
            decision,
            &act.desired.secret.name,
            until,
            act.account.capabilities().last_used,
        ) else {
            return;
        };
        if let (Step::Issue(_), Some(status)) = (&decision.step, &self.key.status) {
            let currency = act.account.capabilities().budget.currency;
            notice.note.push_str(&crate::plan::report::key::spendable(status, currency).unwrap_or_default());
        }
        let unseen = |id: &KeyId| {
            act.facts.record.previous.iter().any(|it| it.id == id.0 && it.missing_since.is_some())
        };
        if matches!(&decision.step, Step::Retire(id) if unseen(id)) {
            notice.note.push_str(crate::plan::report::key::UNSEEN);
        }
        if matches!(decision.step, Step::Retire(_) | Step::Switch(_, false)) {
            let lag = act.facts.ability.revocation_lag;
            notice.note.push_str(&crate::plan::report::key::lingering(lag).unwrap_or_default());
        }
        self.ports.notify(self.key.as_ref(), notice);
    }
}
