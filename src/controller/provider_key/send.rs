//! The critical section of a deposit: claim, call, record. It runs to its end although the reconcile that started it is
//! dropped: the vendor may show too little of a deposit for it to be found again.

use super::super::Error;
use super::super::context::Context;
use super::deposited;
use crate::api::ProviderKey;
use crate::cluster::object::log_about;
use crate::cluster::{self, object};
use crate::gateway::account::{Account, Turn};
use crate::gateway::{DepositOrder, Deposited};
use crate::plan::claim::{Claim, Purpose};
use crate::plan::deposit::{self, Recorded, Wanted};
use crate::plan::facts::KeyId;
use crate::plan::fault::{Effect, Fault};
use crate::plan::issuance::SEND_WITHIN;
use crate::plan::naming::{Identity, Serial};
use crate::plan::retry;
use kube::ResourceExt;
use secrecy::SecretString;
use std::sync::Arc;

/// A status that meets another writer's is tried again this often.
const COMMITS: usize = 5;

/// Everything the section needs; it borrows nothing.
pub(super) struct Send {
    pub context: Arc<Context>,
    pub deposit: Arc<ProviderKey>,
    pub account: Arc<Account>,
    pub turn: Turn,
    pub serial: Serial,
    pub display_name: String,
    pub wanted: Wanted,
    pub credential: SecretString,
}

/// How it ended.
pub(super) enum Sent {
    /// It is at the vendor and recorded.
    Done(Box<ProviderKey>),
    /// Another write came in between; what was made is removed or will be found.
    Stale,
    /// The outcome is unknown: it is looked up next.
    Pending(Box<ProviderKey>, Option<Fault>),
    /// The vendor certainly made nothing.
    Failed(Box<ProviderKey>, Fault),
}

impl Send {
    /// Claim, deposit, record.
    pub(super) async fn run(self) -> Result<Sent, Error> {
        let claim = Claim {
            sent: Some(self.wanted.digest()),
            ..Claim::new(self.serial, self.context.clock.now(), Purpose::Create)
        };
        let mark = self.context.mark(self.deposit.as_ref());
        let identity = Identity::from(mark.clone());
        let claimed =
            match object::claim(&self.context.client, self.deposit.as_ref(), &claim, &identity).await {
                Ok(object) => object,
                Err(error) if cluster::is_conflict(&error) || cluster::is_missing(&error) => {
                    return Ok(Sent::Stale);
                }
                Err(error) => return Err(error.into()),
            };
        // A deletion waits for calls that may still be carried out, and counts from the claim.
        if retry::plus(claim.at, SEND_WITHIN) < self.context.clock.now() {
            return Ok(Sent::Pending(Box::new(claimed), None));
        }
        let order = DepositOrder {
            name: mark.name(&self.display_name, self.serial),
            provider: self.deposit.spec.provider.clone(),
            credential: self.credential.clone(),
            keys: self.wanted.assigned_to.iter().cloned().collect(),
        };
        match self.account.deposit(&order, &self.turn).await {
            Ok(deposited) => self.record(claimed, deposited).await,
            Err(fault) if fault.effect == Effect::None => Ok(Sent::Failed(Box::new(claimed), fault)),
            Err(fault) => {
                let serial = self.serial.0;
                log_about!(warn, self.deposit.as_ref(), serial, %fault, "whether the call stored the credential is not known; it is looked up");
                Ok(Sent::Pending(Box::new(claimed), Some(fault)))
            }
        }
    }

    /// Writes status as long as our claim is the newest.
    async fn record(self, claimed: ProviderKey, made: Deposited) -> Result<Sent, Error> {
        let uid = self.deposit.uid().unwrap_or_default();
        self.context.memory.changed_vendor(&uid, self.context.clock.now());
        let api = object::api(&self.context.client, self.deposit.as_ref());
        let identity = Identity::from(self.context.mark(self.deposit.as_ref()));
        let recorded = Recorded { serial: self.serial, id: made.id, created_at: made.created_at };
        let mut object = claimed;
        for _ in 0..COMMITS {
            let status = self.status(&object, &recorded);
            match object::publish(&self.context.client, &object, &status).await {
                Ok(written) => return Ok(Sent::Done(Box::new(written.unwrap_or(object)))),
                Err(error) if cluster::is_missing(&error) => break,
                Err(error) if !cluster::is_conflict(&error) => return Err(error.into()),
                Err(_) => {}
            }
            let Some(newer) = api.get_opt(&self.deposit.name_any()).await? else { break };
            let ours = object::claim_of(&newer, &identity).is_some_and(|claim| claim.serial == self.serial);
            if newer.uid() != self.deposit.uid() {
                break;
            }
            if !ours {
                // A deletion, or another replica: either looks for what carries the mark.
                return Ok(Sent::Stale);
            }
            object = newer;
        }
        self.compensate(&recorded.id).await?;
        Ok(Sent::Stale)
    }

    fn status(&self, object: &ProviderKey, recorded: &Recorded) -> crate::api::ProviderKeyStatus {
        let now = self.context.clock.now();
        let status = deposit::record(object.status.clone().unwrap_or_default(), recorded, &self.wanted, now);
        deposited(status, self.deposit.as_ref(), now)
    }

    /// A deposit whose resource is gone is removed at once: nothing is left that would look for it.
    async fn compensate(&self, id: &KeyId) -> Result<(), Error> {
        let api = object::api(&self.context.client, self.deposit.as_ref());
        let live = api.get_opt(&self.deposit.name_any()).await?;
        if live.is_some_and(|it| it.uid() == self.deposit.uid()) {
            return Ok(());
        }
        if let Err(fault) = self.account.remove(id).await {
            let (serial, id) = (self.serial.0, &id.0);
            log_about!(warn, self.deposit.as_ref(), serial, id, %fault, "a provider key whose resource is gone could not be removed");
        }
        Ok(())
    }
}
