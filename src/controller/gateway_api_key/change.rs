//! What is looked at and changed at the vendor, beside making keys.

use super::super::{Error, Pass};
use super::{Act, Done, Work};
use crate::cluster::object;
use crate::gateway::Amendment;
use crate::gateway::account::Account;
use crate::plan::drift::{self, Field};
use crate::plan::facts::KeyId;
use jiff::Timestamp;
use kube::ResourceExt;

impl Work {
    pub(super) async fn amend(&mut self, act: &Act<'_>, id: &KeyId, fields: &[Field]) -> Result<Done, Error> {
        let serial = act.facts.record.serial.unwrap_or_default();
        let settings = &act.desired.settings;
        let name = self.identity.mark.styled(act.desired.names, &settings.display_name, serial);
        let amendment = Amendment { fields: fields.to_vec(), to: settings.clone(), name, left: None };
        if let Err(fault) = act.account.amend(id, &amendment).await {
            return Ok(Done::Failed(fault, "change the key"));
        }
        self.amended.extend_from_slice(fields);
        self.context.memory.changed_vendor(&self.uid, self.context.clock.now());
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
                self.confirmed = Some(answer);
                Ok(if shown { Done::Taken } else { Done::Again })
            }
            Err(fault) => Ok(Done::Failed(fault, "read back the changed key")),
        }
    }

    pub(super) async fn look(&mut self, account: &Account, since: Timestamp) -> Result<Done, Error> {
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
    pub(super) async fn revoke_spares(&mut self, act: &Act<'_>, ids: &[KeyId]) -> Result<Done, Error> {
        let api = object::api(&self.context.client, self.key.as_ref());
        let live = api.get(&self.key.name_any()).await?;
        if live.resource_version() != self.key.resource_version() {
            return Ok(Done::Pass(Pass::Stale));
        }
        self.revoke(&act.account, ids).await
    }

    pub(super) async fn revoke(&mut self, account: &Account, ids: &[KeyId]) -> Result<Done, Error> {
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
