//! The calls to the vendor that a pass makes.

use super::cluster::{identity, mark};
use super::fate::turn;
use super::mutant::Mutant;
use super::operator::{Done, Operator, Pass};
use super::vendor::Request;
use super::world::Kube;
use jiff::{SignedDuration, Timestamp};
use keysmith::gateway::account::Listing;
use keysmith::plan::desired::Desired;
use keysmith::plan::facts::{Facts, KeyId, Listed, Target};
use keysmith::plan::fault::Fault;
use keysmith::plan::issuance::{Decision, Step, Why};
use std::rc::Rc;

impl Operator {
    pub async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        turn().await;
        self.world.borrow_mut().ask(|world| world.vendor.shown(id, (world.now, world.roll)))
    }

    pub async fn reveal(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        self.world.borrow_mut().check_reveal(id);
        self.get(id).await
    }

    async fn list(&self, since: Timestamp) -> Result<Rc<Listing>, Fault> {
        let recent = self.remember(|memory| memory.latest.clone());
        if let Some(listing) = recent.filter(|it| it.as_of > since) {
            return Ok(listing);
        }
        // It shows what was there before, so it begins after it.
        self.world.borrow_mut().advance(SignedDuration::from_millis(1));
        let as_of = self.now();
        turn().await;
        let mut world = self.world.borrow_mut();
        let roll = world.roll;
        let keys = world.ask(|world| world.vendor.list(world.now, roll))?;
        let listing = Rc::new(Listing { as_of, keys });
        world.operators[self.me].latest = Some(Rc::clone(&listing));
        Ok(listing)
    }

    pub async fn look(&self, since: Timestamp) -> Result<Done, Kube> {
        // A listing begun before our last call shows what is gone already, and is not believed.
        let since = self.remember(|memory| memory.floor).max(Some(since)).unwrap_or(since);
        Ok(match self.list(since).await {
            Ok(_) => Done::Again,
            Err(fault) => Done::Failed(fault, "list the keys"),
        })
    }

    pub async fn revoke_spares(&mut self, desired: &Desired, ids: &[KeyId]) -> Result<Done, Kube> {
        match self.mutant {
            Some(Mutant::RevokesNoSpares) => {
                let rest = Decision { step: Step::Rest(None), why: Why::Fresh };
                let facts = self.facts(Target::Absent);
                return Ok(Done::Pass(self.rest(&facts, &rest, desired, None).await?));
            }
            Some(Mutant::ReadsBeforeListing) => {
                let Ok(listing) = self.list(self.now()).await else {
                    return Ok(Done::Pass(Pass::Stale));
                };
                let status = &self.key.status;
                let previous = status.previous.iter().map(|key| &key.id);
                let named: Vec<_> = previous.chain(&status.id).cloned().map(KeyId).collect();
                let view = listing.view(&identity());
                let spares = view.own.into_iter().map(|own| own.key.id).filter(|id| !named.contains(id));
                return self.revoke(&spares.collect::<Vec<_>>()).await;
            }
            _ => {}
        }
        turn().await;
        let live = self.world.borrow_mut().read(super::world::World::live)?;
        if live.ok_or(Kube::Missing)?.version != self.key.version {
            return Ok(Done::Pass(Pass::Stale));
        }
        self.revoke(ids).await
    }

    /// Whether a key that the resource names carries its mark, or is not shown at all.
    pub async fn owned(&self, facts: &Facts, id: &KeyId) -> Result<bool, Fault> {
        if facts.own().any(|own| own.key.id == *id) {
            return Ok(true);
        }
        let shown = self.get(id).await?;
        Ok(shown.is_none_or(|key| identity().serial_in(&key.name).is_some()))
    }

    /// What is recorded is revoked whatever a listing shows, unless it carries another mark or none.
    pub async fn revoke_recorded(&mut self, facts: &Facts, ids: &[KeyId]) -> Result<Done, Kube> {
        for id in ids {
            match self.owned(facts, id).await {
                Ok(true) => {}
                Ok(false) => {
                    self.strays.insert(id.clone());
                    continue;
                }
                Err(fault) => return Ok(Done::Failed(fault, "look at a key")),
            }
            let done = self.revoke(std::slice::from_ref(id)).await?;
            if !matches!(done, Done::Again) {
                return Ok(done);
            }
        }
        Ok(Done::Again)
    }

    pub async fn revoke(&mut self, ids: &[KeyId]) -> Result<Done, Kube> {
        for id in ids {
            turn().await;
            let sent = self.world.borrow_mut().send(&Request::Revoke(id.clone()));
            if let Err(fault) = sent {
                return Ok(Done::Failed(fault, "revoke a key"));
            }
            self.gone.insert(id.clone());
            self.changed_vendor();
        }
        Ok(Done::Again)
    }

    pub async fn amend(
        &mut self,
        facts: &Facts,
        desired: &Desired,
        (id, decision): (&KeyId, &Decision),
    ) -> Result<Done, Kube> {
        let Step::Amend(_, fields) = &decision.step else {
            return Ok(Done::Again);
        };
        let serial = facts.record.serial.unwrap_or_default();
        let request = Request::Amend {
            id: id.clone(),
            fields: fields.clone(),
            name: mark().name(&desired.settings.display_name, serial),
            to: desired.settings.clone(),
        };
        turn().await;
        let sent = self.world.borrow_mut().send(&request);
        if let Err(fault) = sent {
            return Ok(Done::Failed(fault, "change the key"));
        }
        self.amended.extend_from_slice(fields);
        self.changed_vendor();
        match self.get(id).await {
            Ok(answer) => {
                self.confirmed = Some(answer);
                Ok(Done::Again)
            }
            Err(fault) => Ok(Done::Failed(fault, "read back the changed key")),
        }
    }
}
