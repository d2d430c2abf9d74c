//! The end of an attempt: status names the new key.

use super::{COMMITS, Issue, Issued};
use crate::api::{GatewayApiKey, GatewayApiKeyStatus, Verdict};
use crate::cluster::{self, object};
use crate::plan::decision::{Decision, Step, Why};
use crate::plan::drift::{self, Sent};
use crate::plan::facts::Record;
use crate::plan::identity::TokenRef;
use crate::plan::listing::Listed;
use crate::plan::naming::Serial;
use crate::plan::report::budget::{Evidence, Purse};
use crate::plan::report::key::Scene;
use crate::plan::report::{self, conditions};
use crate::plan::requests::Cause;
use crate::plan::sighting::Sighting;
use crate::plan::{desired, rotation, succession};
use crate::protocol::key::ports::KeyPorts;
use crate::protocol::ports::VendorPort;
use crate::protocol::{self, Error};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

impl<P: KeyPorts> Issue<P> {
    pub(super) async fn record(
        self,
        claimed: Arc<GatewayApiKey>,
        key: Listed,
        sighting: Option<Sighting>,
    ) -> Result<Issued, Error> {
        let settings = &self.desired.settings;
        let complete = drift::drift(settings, &key, &Sent::all(settings)).is_empty();
        let rest = Decision { step: Step::Rest(None), why: Why::Fresh };
        let scene = Scene::new(&self.desired.secret.name, settings.active);
        let verdict = report::key::resting(&rest, &scene)
            .filter(|_| complete)
            .unwrap_or_else(|| report::key::applying().still_ready(self.cause.is_some_and(Cause::overlaps)));
        let generation = self.key.metadata.generation;
        let status = |mut status: GatewayApiKeyStatus| {
            succession::succeed(&mut status, &self.successor(&key.id, self.serial, Some(&key)));
            let new = self.reusable.is_none();
            let filled = desired::filled_in(settings, &self.key.spec, &key, self.ports.now());
            if let Some(filled) = filled.filter(|_| new) {
                desired::keep_too(&mut status.internal.kept_limits, filled);
            }
            if complete {
                status.observed_generation = generation;
                status.internal.applied_generation = generation;
            }
            status.internal.secret =
                sighting.as_ref().and_then(|sighting| sighting.recorded(&Record::from(&status)));
            status
        };
        if let Some(object) = self.commit(&claimed, &verdict, status).await? {
            return Ok(Issued::Done { object, key: Box::new(key), sighting });
        }
        self.compensate(&key.id).await?;
        Ok(Issued::Stale)
    }

    /// Writes what is known of the budget of a first key, which saves a second status write. Where listings contain
    /// the rest of the budget, the next listing reports it.
    pub(super) fn tell_budget(&self, status: &mut GatewayApiKeyStatus, now: Timestamp) {
        let capabilities = self.account.capabilities();
        if status.internal.budget_generation.is_some() || capabilities.tells_remaining {
            return;
        }
        let reference = TokenRef::named_by(self.key.as_ref());
        let name = reference.titled();
        let token = self.ports.token(&reference);
        let read = token.is_some_and(|token| token.spec().usage.is_some());
        let (spent, id) = (self.account.latest_spent().filter(|_| read), status.id.clone());
        let evidence = Evidence {
            seen: None,
            parked: 0,
            spent: spent.as_deref(),
            identity: &self.identity,
            serial: status.serial.map(Serial),
            id: id.as_deref(),
            now,
        };
        let purse = Purse::of(status, capabilities, &name, read);
        let known = purse.as_ref().map(|purse| (purse, report::budget::spent(purse.limit, &evidence)));
        report::budget::tell(status, known, self.key.metadata.generation, now);
    }

    /// Writes status as long as our claim is the newest. `None`: status was not written, because there is a newer claim, the
    /// resource is gone or another one, or every attempt met a conflict.
    pub(super) async fn commit(
        &self,
        claimed: &Arc<GatewayApiKey>,
        verdict: &Verdict,
        change: impl Fn(GatewayApiKeyStatus) -> GatewayApiKeyStatus,
    ) -> Result<Option<Arc<GatewayApiKey>>, Error> {
        let mut object = Arc::clone(claimed);
        for _ in 0..COMMITS {
            let mut status = object.status.clone().unwrap_or_default().moved();
            let claim = object::claim_of(object.as_ref(), &self.identity);
            status.internal.key_count = rotation::counted(status.internal.key_count.as_ref(), claim);
            let mut status = change(status);
            status.mark = Some(self.identity.mark.to_string());
            let (generation, now) = (self.key.metadata.generation, self.ports.now());
            let leaked = conditions::leaked_key(&status).filter(|_| conditions::leak_is_open(&status, None));
            let open = leaked.as_deref().map(|id| conditions::leak_pending(id, false));
            let (conditions, last) = (&mut status.conditions, &mut status.internal.last_pass);
            open.as_ref().unwrap_or(verdict).apply(conditions, last, generation, now);
            self.tell_budget(&mut status, now);
            let tells_use = self.account.capabilities().last_used;
            let rotation = conditions::Rotation { overdue: false, tells_use };
            conditions::tell_of_rotation(&mut status, rotation, generation, now);
            conditions::tell_of_leak(&mut status, open.is_some(), false, generation, now);
            match protocol::publish(&self.ports, &object, &status).await {
                Ok(written) => return Ok(Some(written.unwrap_or(object))),
                Err(error) if cluster::is_missing(&error) => return Ok(None),
                Err(error) if !cluster::is_conflict(&error) => return Err(error.into()),
                Err(_) => {}
            }
            let Some(newer) = self.ports.read(claimed.as_ref()).await? else {
                return Ok(None);
            };
            let ours =
                object::claim_of(&newer, &self.identity).is_some_and(|claim| claim.serial == self.serial);
            if !ours || newer.uid() != self.key.uid() {
                return Ok(None);
            }
            object = Arc::new(newer);
        }
        Ok(None)
    }
}
