//! Vendor calls other than those that create keys: reads, changes and revocations.

use super::{Act, Done, KeyPass, report};
use crate::api::shared::Period;
use crate::cluster::object::log_about;
use crate::gateway::Amendment;
use crate::plan::budget::{self, Shares};
use crate::plan::drift::{self, Field};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::{KeyId, Limit, Listed};
use crate::plan::report::call_purpose::CallPurpose;
use crate::plan::requests::Cause;
use crate::plan::settings::Settings;
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::VendorPort;
use crate::protocol::{Error, Pass};
use jiff::Timestamp;
use kube::ResourceExt;

impl<P: KeyPorts> KeyPass<P> {
    pub(super) async fn amend(
        &mut self,
        act: &Act<'_, P::Vendor>,
        id: &KeyId,
        fields: &[Field],
    ) -> Result<Done, Error> {
        let serial = act.facts.record.serial.unwrap_or_default();
        let settings = &act.desired.settings;
        let name = self.identity.mark.styled(act.desired.names, &settings.display_name, serial);
        // An earlier version reduced the budget by what was spent. The full budget is restored, and what is left of
        // it stays the same.
        let left =
            act.facts.record.carried.as_ref().and(report::seen(act.facts)).and_then(|key| key.remaining);
        let amendment = Amendment { fields: fields.to_vec(), to: settings.clone(), name, left };
        if let Err(fault) = act.account.amend(id, &amendment).await {
            return Ok(Done::Failed(fault, CallPurpose::ChangeKey));
        }
        self.amended.extend_from_slice(fields);
        self.changed_vendor();
        let mut sent = self.record().sent;
        if fields.contains(&Field::Email) {
            sent.email.clone_from(&settings.email);
        }
        if fields.contains(&Field::Budget) {
            sent.budget = settings.budget;
        }
        self.sent = Some(sent.clone());
        match act.account.get(id).await {
            Ok(answer) => {
                let shown = answer.as_ref().is_some_and(|key| drift::drift(settings, key, &sent).is_empty());
                self.confirmed = answer.into();
                Ok(if shown { Done::Taken } else { Done::Again })
            }
            Err(fault) => Ok(Done::Failed(fault, CallPurpose::ReadBackKey)),
        }
    }

    /// What is left of the served key's budget, read right before its successor is created, and split between the
    /// two. The successor of a leaked key does not wait for the answer.
    pub(super) async fn shares(
        &self,
        act: &Act<'_, P::Vendor>,
        cause: Option<Cause>,
    ) -> Result<Option<Shares>, Fault> {
        let now = self.ports.now();
        let Some(id) = act.facts.record.id.as_ref().filter(|_| budget::is_told(act.facts, act.desired))
        else {
            return Ok(None);
        };
        let seen = match act.account.get(id).await {
            Ok(seen) => seen,
            Err(_) if cause == Some(Cause::Leaked) => None,
            Err(fault) => return Err(fault),
        };
        let seen = seen.or_else(|| report::seen(act.facts));
        Ok(budget::shares(seen.as_ref(), act.desired, cause, now))
    }

    /// What is left of the served key's budget, split with a key that an earlier pass created and that is about to
    /// replace it: that key's budget may not have been reduced yet.
    pub(super) async fn share_out(
        &self,
        act: &Act<'_, P::Vendor>,
        id: &KeyId,
        seen: Option<&Listed>,
    ) -> Result<Option<Shares>, Fault> {
        let cause = act.facts.claim.and_then(|claim| claim.cause);
        let Some(shares) = self.shares(act, cause).await? else { return Ok(None) };
        if seen.and_then(|key| key.remaining).is_none_or(|left| left > shares.new) {
            act.account.amend(id, &leaving(act, shares.new)).await?;
            self.changed_vendor();
        }
        Ok(Some(shares))
    }

    /// Limits a previous key to its share of the budget during the overlap.
    pub(super) async fn cut(
        &mut self,
        act: &Act<'_, P::Vendor>,
        id: &KeyId,
        share: u64,
    ) -> Result<Done, Error> {
        let limit = Limit { micros: share.max(1), period: Period::Once };
        let to = Settings { budget: Some(limit), ..act.desired.settings.clone() };
        let left = Some(limit.micros);
        let amendment = Amendment { fields: vec![Field::Budget], to, name: String::new(), left };
        let sent = act.account.amend(id, &amendment).await;
        let moot = |fault: &Fault| fault.kind == FaultKind::NotFound || fault.kind.is_rejection();
        if let Err(fault) = &sent
            && !moot(fault)
        {
            return Ok(Done::Failed(fault.clone(), CallPurpose::ShareBudget));
        }
        self.changed_vendor();
        let mut status = self.status();
        for key in status.previous.iter_mut().filter(|key| key.id == id.0) {
            key.share = key.cut_to.take().filter(|_| sent.is_ok());
        }
        let pass = self.publish_as_it_is(status).await?;
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
    }

    /// Returns the unspent share of a previous key to the served key. If the call fails, the served key has less
    /// until the next budget period begins.
    pub(super) async fn give_back(&self, act: &Act<'_, P::Vendor>, retired: &Listed, replaced_at: Timestamp) {
        let Some(id) = act.facts.record.id.as_ref() else { return };
        let now = self.ports.now();
        let given = match act.account.get(id).await {
            Ok(Some(served)) => {
                budget::given_back(retired, &served, replaced_at, act.desired, now).map(|left| (served, left))
            }
            _ => None,
        };
        let Some((_, left)) = given else { return };
        match act.account.amend(id, &leaving(act, left)).await {
            Ok(()) => self.changed_vendor(),
            Err(fault) => {
                let serial = self.serial();
                log_about!(warn, self.key.as_ref(), serial, %fault, "what an old key did not spend of the budget could not be given back");
            }
        }
    }

    pub(super) async fn look(&mut self, account: &P::Vendor, since: Timestamp) -> Result<Done, Error> {
        // A listing that began before our last vendor call still shows deleted keys, so it is not used.
        let stale_before = self.ports.remember(&self.uid, |it| it.stale_before());
        let since = stale_before.map_or(since, |stale_before| stale_before.max(since));
        Ok(match account.list(since).await {
            Ok(_) => Done::Again,
            Err(fault) => Done::Failed(fault, CallPurpose::ListKeys),
        })
    }

    /// Revokes unused keys. The vendor is listed first and the resource read afterwards: in the other order, a key
    /// that is just being created would count as unused.
    pub(super) async fn revoke_unused(
        &mut self,
        act: &Act<'_, P::Vendor>,
        ids: &[KeyId],
    ) -> Result<Done, Error> {
        let live = self.ports.read(self.key.as_ref()).await?;
        if live.is_none_or(|live| live.resource_version() != self.key.resource_version()) {
            return Ok(Done::Pass(Pass::Stale));
        }
        self.revoke(&act.account, ids).await
    }

    pub(super) async fn revoke(&mut self, account: &P::Vendor, ids: &[KeyId]) -> Result<Done, Error> {
        for id in ids {
            if let Err(fault) = account.revoke(id).await {
                return Ok(Done::Failed(fault, CallPurpose::RevokeUnusedKey));
            }
            self.gone.insert(id.clone());
            self.changed_vendor();
        }
        Ok(Done::Taken)
    }
}

/// Sets the desired budget, of which `left` remains.
fn leaving<V>(act: &Act<'_, V>, left: u64) -> Amendment {
    let to = act.desired.settings.clone();
    Amendment { fields: vec![Field::Budget], to, name: String::new(), left: Some(left) }
}
