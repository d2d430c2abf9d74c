//! The critical section of a provider key: claim, call, record. It runs to its end even if the reconcile that started
//! it is dropped, because the vendor may return too few fields for the provider key to be found again.

use crate::api::{ProviderKey, ProviderKeyStatus};
use crate::cluster::object::log_about;
use crate::cluster::{self, object};
use crate::gateway::{CreatedProviderKey, ProviderKeyOrder};
use crate::plan::claim::{Claim, Purpose};
use crate::plan::decision::SEND_WITHIN;
use crate::plan::fault::{Fault, Outcome};
use crate::plan::listing::KeyId;
use crate::plan::naming::{Identity, Serial};
use crate::plan::provider_key::{self, Recorded, Wanted};
use crate::plan::report;
use crate::plan::retry;
use crate::protocol::ports::VendorPort;
use crate::protocol::provider_key::ports::ProviderKeyPorts;
use crate::protocol::{self, Error};
use jiff::Timestamp;
use kube::ResourceExt;
use secrecy::SecretString;
use std::sync::Arc;

/// Retries of a status write after a conflict.
const COMMITS: usize = 5;

/// Input of the section; it borrows nothing.
pub struct Store<P: ProviderKeyPorts> {
    /// The ports.
    pub ports: P,
    /// The resource as it was read.
    pub object: Arc<ProviderKey>,
    /// The account at the vendor.
    pub account: Arc<P::Vendor>,
    /// The rate-limit permit for the call that stores the credential.
    pub permit: <P::Vendor as VendorPort>::Permit,
    /// The serial to claim.
    pub serial: Serial,
    /// The human-readable part of the name at the vendor.
    pub display_name: String,
    /// The desired state at the vendor.
    pub wanted: Wanted,
    /// The credential in the vendor's format.
    pub credential: SecretString,
}

/// Result of the section.
pub enum Stored {
    /// The provider key is stored and recorded.
    Done(Arc<ProviderKey>),
    /// Another writer got in between; what was created is deleted now or found later by its mark.
    Stale,
    /// The outcome is unknown; the next pass looks the provider key up.
    Pending(Arc<ProviderKey>, Option<Fault>),
    /// The vendor created nothing for certain.
    Failed(Arc<ProviderKey>, Fault),
}

impl<P: ProviderKeyPorts> Store<P> {
    /// Claim, store, record.
    pub async fn run(self) -> Result<Stored, Error> {
        let claim = Claim {
            sent: Some(self.wanted.digest()),
            ..Claim::new(self.serial, self.ports.now(), Purpose::Create)
        };
        let mark = protocol::mark(&self.ports, self.object.as_ref());
        let identity = Identity::from(mark.clone());
        let claimed = match self.ports.claim(self.object.as_ref(), &claim, &identity).await {
            Ok(object) => Arc::new(object),
            Err(error) if cluster::is_conflict(&error) || cluster::is_missing(&error) => {
                return Ok(Stored::Stale);
            }
            Err(error) => return Err(error.into()),
        };
        // A deletion waits for calls in flight and counts from the claim's time, so no call may be sent after
        // `SEND_WITHIN`.
        if retry::plus(claim.at, SEND_WITHIN) < self.ports.now() {
            return Ok(Stored::Pending(claimed, None));
        }
        let order = ProviderKeyOrder {
            name: mark.name(&self.display_name, self.serial),
            provider: self.object.spec.provider.clone(),
            credential: self.credential.clone(),
            keys: self.wanted.assigned_to.iter().cloned().collect(),
        };
        match self.account.create_provider_key(&order, &self.permit).await {
            Ok(stored) => self.record(claimed, stored).await,
            Err(fault) if fault.effect == Outcome::NotApplied => Ok(Stored::Failed(claimed, fault)),
            Err(fault) => {
                let serial = self.serial.0;
                log_about!(warn, self.object.as_ref(), serial, %fault, "whether the call stored the credential is not known; it is looked up");
                Ok(Stored::Pending(claimed, Some(fault)))
            }
        }
    }

    /// Writes status while our claim is the newest.
    async fn record(self, claimed: Arc<ProviderKey>, made: CreatedProviderKey) -> Result<Stored, Error> {
        let uid = self.object.uid().unwrap_or_default();
        let now = self.ports.now();
        self.ports.remember(&uid, |it| it.changed_vendor(now));
        let identity = Identity::from(protocol::mark(&self.ports, self.object.as_ref()));
        let recorded = Recorded { serial: self.serial, id: made.id, created_at: made.created_at };
        let mut object = claimed;
        for _ in 0..COMMITS {
            let status = self.status(&object, &recorded);
            match protocol::publish(&self.ports, &object, &status).await {
                Ok(written) => return Ok(Stored::Done(written.unwrap_or(object))),
                Err(error) if cluster::is_missing(&error) => break,
                Err(error) if !cluster::is_conflict(&error) => return Err(error.into()),
                Err(_) => {}
            }
            let Some(newer) = self.ports.read(self.object.as_ref()).await? else { break };
            let ours = object::claim_of(&newer, &identity).is_some_and(|claim| claim.serial == self.serial);
            if newer.uid() != self.object.uid() {
                break;
            }
            if !ours {
                // A deletion or another replica wrote the resource; either of them looks for provider keys with the
                // mark.
                return Ok(Stored::Stale);
            }
            object = Arc::new(newer);
        }
        self.compensate(&recorded.id).await?;
        Ok(Stored::Stale)
    }

    fn status(&self, object: &ProviderKey, recorded: &Recorded) -> ProviderKeyStatus {
        let now = self.ports.now();
        let status = provider_key::record(
            object.status.clone().unwrap_or_default().moved(),
            recorded,
            &self.wanted,
            now,
        );
        stored(status, self.object.as_ref(), now)
    }

    /// Deletes the provider key at once if its resource is deleted or being deleted: no later pass would look for it.
    async fn compensate(&self, id: &KeyId) -> Result<(), Error> {
        let live = self.ports.read(self.object.as_ref()).await?;
        let stays =
            |it: &ProviderKey| it.uid() == self.object.uid() && it.metadata.deletion_timestamp.is_none();
        if live.as_ref().is_some_and(stays) {
            return Ok(());
        }
        if let Err(fault) = self.account.delete_provider_key(id).await {
            let (serial, id) = (self.serial.0, &id.0);
            log_about!(warn, self.object.as_ref(), serial, id, %fault, "a provider key whose resource is gone could not be removed");
        }
        Ok(())
    }
}

/// Status and verdict of a provider key that was just recorded.
pub(super) fn stored(
    mut status: ProviderKeyStatus,
    object: &ProviderKey,
    now: Timestamp,
) -> ProviderKeyStatus {
    let outdated = status.internal.credential_hash.as_ref().is_none_or(String::is_empty);
    let verdict = if status.superseded.is_empty() && !outdated {
        status.observed_generation = object.metadata.generation;
        status.last_handled_reconcile_at = object::requested(object).cloned();
        report::provider_key::at_rest(&[])
    } else {
        report::provider_key::replacing()
    };
    let (conditions, last) = (&mut status.conditions, &mut status.internal.last_pass);
    verdict.apply(conditions, last, object.metadata.generation, now);
    status
}
