//! Adoption: existing keys that a resource takes over.

use super::{Act, Done, KeyPass};
use crate::cluster::object::log_about;
use crate::gateway::Amendment;
use crate::plan::decision::{Decision, Why};
use crate::plan::desired;
use crate::plan::drift::Field;
use crate::plan::expiry;
use crate::plan::facts::Confirmed;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::ledger;
use crate::plan::listing::KeyId;
use crate::plan::naming::Serial;
use crate::plan::report;
use crate::plan::report::call_purpose::CallPurpose;
use crate::protocol;
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::VendorPort;
use crate::protocol::{Error, Pass};
use kube::ResourceExt;

impl<P: KeyPorts> KeyPass<P> {
    /// Records an existing key; later steps write its Secret and its settings.
    pub(super) async fn record_key(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        id: &KeyId,
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
            Err(fault) => return Ok(Done::Failed(fault, CallPurpose::LookAtKey)),
        };
        let mut status = self.status();
        status.id = Some(id.0.clone());
        status.serial = Some(serial.0);
        let claimed = act.facts.claim.map_or(serial, |claim| claim.serial.max(serial));
        status.internal.settled_serial = status.internal.settled_serial.max(Some(claimed.0));
        status.created_at = key.created_at.or(Some(self.ports.now()));
        status.expires_at = expiry::recorded(status.created_at, key.expires_at, act.desired);
        status.active = key.shown.active;
        if decision.why == Why::TakenOver {
            status.internal.kept_limits = Some(desired::limits(&key, self.ports.now()));
        }
        status.internal.immutable_fields_hash = Some(act.desired.immutable_hash.clone());
        status.last_handled_trigger.clone_from(&act.facts.requests.trigger);
        status.last_handled_rotate_at.clone_from(&act.facts.requests.rotate);
        self.confirmed = Confirmed::Shown(Box::new(key));
        let pass = self.publish(status, &report::key::taking_over()).await?;
        self.forget_left(id).await;
        self.ports.enqueue_provider_keys(self.key.as_ref());
        Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Taken })
    }

    /// Whether the ledger says that a resource of another name left the key: a copied annotation gives no right to it.
    /// While the ledger cannot be read, every key counts as left by another resource.
    async fn left_by_another(&self, id: &KeyId) -> bool {
        let (namespace, name) = (self.namespace(), self.key.name_any());
        let other = |entry: &ledger::Entry| {
            entry.key_id.as_deref() == Some(&id.0)
                && (entry.owner.namespace != namespace || entry.owner.name != name)
        };
        match self.ports.ledger().await {
            Ok(book) => book.entries.iter().any(other),
            Err(error) => {
                let (serial, key) = (self.serial(), &id.0);
                log_about!(warn, self.key.as_ref(), serial, key, %error, "a key is not found again by its mark, because the ledger cannot be read");
                true
            }
        }
    }

    /// Removes the ledger entry of an adopted key. If that fails, the sweep works without it.
    async fn forget_left(&self, id: &KeyId) {
        let token = self.token_ref();
        let entry = protocol::leaving(&self.ports, self.key.as_ref(), &token, ledger::Why::Retain);
        let entry = ledger::Entry { key_id: Some(id.0.clone()), ..entry };
        if let Err(error) = self.ports.strike(&entry).await {
            let (serial, key) = (self.serial(), &id.0);
            log_about!(debug, self.key.as_ref(), serial, key, %error, "an entry of the ledger stays although its key is managed again");
        }
    }

    /// Tags a key at the vendor with the resource's mark, and reads it back.
    pub(super) async fn tag_key(
        &mut self,
        act: &Act<'_, P::Vendor>,
        id: &KeyId,
        serial: Serial,
        display: &str,
    ) -> Result<Done, Error> {
        let name = self.identity.mark.styled(act.desired.names, display, serial);
        let to = act.desired.settings.clone();
        let amendment = Amendment { fields: vec![Field::DisplayName], to, name: name.clone(), left: None };
        if let Err(fault) = act.account.amend(id, &amendment).await {
            return Ok(Done::Failed(fault, CallPurpose::MarkKey));
        }
        self.changed_vendor();
        match act.account.get(id).await {
            Ok(Some(key)) if key.name != name => {
                let fault = FaultKind::Malformed("it accepted a new name of the key and does not show it");
                Ok(Done::Failed(Fault::without_effect(fault), CallPurpose::TakeOverKey))
            }
            Ok(answer) => {
                self.confirmed = answer.into();
                Ok(Done::Again)
            }
            Err(fault) => Ok(Done::Failed(fault, CallPurpose::LookAtKey)),
        }
    }
}
