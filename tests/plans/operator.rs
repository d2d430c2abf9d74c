//! A pass over the resource, as `controller::gateway_api_key` does it.

use super::cluster::{Object, identity};
use super::ending::show;
use super::mutant::Mutant;
use super::secrets::Secrets;
use super::world::{Kube, Memory, Shared};
use jiff::Timestamp;
use keysmith::api::GatewayApiKeyStatus;
use keysmith::plan::claim::{Claim, Purpose};
use keysmith::plan::contest;
use keysmith::plan::desired::Desired;
use keysmith::plan::drift::Field;
use keysmith::plan::facts::{Facts, KeyId, Listed, Record, Target, View};
use keysmith::plan::fault::Fault;
use keysmith::plan::issuance::{self, Decision, Step, Why};
use keysmith::plan::naming::Serial;
use keysmith::plan::rotation::{self, Cause};
use keysmith::plan::succession;
use std::collections::BTreeSet;
use std::rc::Rc;

const STEPS: usize = 12;

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Rest(Option<Timestamp>),
    Stale,
}

/// How a step ended.
pub enum Done {
    Again,
    Pass(Pass),
    Failed(Fault, &'static str),
}

pub struct Operator {
    pub world: Shared,
    pub me: usize,
    pub mutant: Option<Mutant>,
    pub key: Rc<Object>,
    pub secrets: Secrets,
    #[expect(clippy::option_option, reason = "not asked, gone, there: as in the facts")]
    pub confirmed: Option<Option<Listed>>,
    pub amended: Vec<Field>,
    pub gone: BTreeSet<KeyId>,
    pub disabled: BTreeSet<KeyId>,
    pub strays: BTreeSet<KeyId>,
    pub looked: bool,
    pub disowned: Option<KeyId>,
    pub settled: Option<Serial>,
    pub overdue: bool,
}

impl Operator {
    pub fn new(world: &Shared, me: usize, key: Rc<Object>, mutant: Option<Mutant>) -> Self {
        let secrets = Secrets { world: Rc::clone(world), mutant };
        Self {
            world: Rc::clone(world),
            me,
            mutant,
            key,
            secrets,
            confirmed: None,
            amended: Vec::new(),
            gone: BTreeSet::new(),
            disabled: BTreeSet::new(),
            strays: BTreeSet::new(),
            looked: false,
            disowned: None,
            settled: None,
            overdue: false,
        }
    }

    pub async fn pass(mut self) -> Result<Pass, Kube> {
        if self.key.deleting { self.retire().await } else { self.keep().await }
    }

    pub fn now(&self) -> Timestamp {
        self.world.borrow().now
    }

    pub fn remember<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.world.borrow_mut().operators[self.me])
    }

    pub fn changed_vendor(&self) {
        let now = self.now();
        self.remember(|memory| memory.floor = memory.floor.max(Some(now)));
    }

    pub fn wrote(&mut self, object: Rc<Object>) {
        self.remember(|memory| memory.written = Some(Rc::clone(&object)));
        self.key = object;
    }

    pub fn status(&self) -> GatewayApiKeyStatus {
        let mut status = self.key.status.clone();
        status.settled_serial = status.settled_serial.max(self.settled.map(|it| it.0));
        status.key_count = rotation::counted(status.key_count.as_ref(), self.key.claim());
        status
    }

    pub fn facts(&self, mut target: Target) -> Facts {
        if let Target::Ours(held) = &mut target {
            held.key_id.take_if(|id| Some(&*id) == self.disowned.as_ref());
            if self.mutant == Some(Mutant::RaisesNoFence) {
                held.fence = held.fence.max(self.key.claim().map(|claim| claim.serial));
            }
        }
        let object = Object { status: self.status(), ..(*self.key).clone() };
        let (floor, latest) = self.remember(|memory| (memory.floor, memory.latest.clone()));
        let view =
            latest.filter(|it| floor.is_none_or(|floor| it.as_of > floor)).map(|it| it.view(&identity()));
        let mut object = object;
        if let Some(seen) = self.confirmed.clone().flatten() {
            show(&mut object.status, &seen);
        }
        let (now, elsewhere) = (self.now(), self.world.borrow().elsewhere);
        let facts = object.facts(now, target, view);
        let state = contest::state(&facts).to_owned();
        let mended = self.remember(|memory| contest::Mends::count(&mut memory.mends, &state, now));
        Facts {
            mended,
            strays: self.strays.clone(),
            doubted: elsewhere,
            requested: facts.requested && self.confirmed.is_none(),
            confirmed: self.confirmed.clone(),
            amended: self.amended.clone(),
            gone: self.gone.clone(),
            disabled: self.disabled.clone(),
            ..facts
        }
    }

    async fn keep(&mut self) -> Result<Pass, Kube> {
        if let Some(pass) = self.hold().await? {
            return Ok(pass);
        }
        let desired = self.key.spec.desired();
        for _ in 0..STEPS {
            let template = Some(self.key.spec.template());
            let unseen = !self.looked && self.is_new();
            let target = if unseen {
                Target::Absent
            } else {
                self.secrets.get().await?.map_or(Target::Absent, |secret| secret.target(template))
            };
            let mut facts = self.facts(target);
            facts.asks.trigger.clone_from(&desired.policy.trigger);
            facts.revision = revision(&facts, self.key.spec.template());
            self.overdue = rotation::overdue(&facts, &desired);
            let decision = self.decide(&facts, &desired);
            if unseen && !matches!(decision.step, Step::Issue(_)) {
                self.looked = true;
                continue;
            }
            self.note(&decision);
            if let Step::Rest(until) = decision.step {
                return self.rest(&facts, &decision, &desired, until).await;
            }
            if facts.doubted {
                return Ok(Pass::Rest(None));
            }
            match self.act(&facts, &desired, &decision).await? {
                Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => match replacing(&facts, &decision) {
                    Some(cause) => {
                        if let Some(pass) = self.replacement_failed(&facts, &fault, cause).await? {
                            return Ok(pass);
                        }
                    }
                    None => return self.failed(&fault, doing, Some(&facts)).await,
                },
            }
        }
        Ok(self.spun())
    }

    fn decide(&self, facts: &Facts, desired: &Desired) -> Decision {
        let mut facts = facts.clone();
        if self.mutant == Some(Mutant::BelievesOneLook) && facts.confirmed == Some(None) {
            facts.record.missing_since = facts.record.missing_since.or(Some(Timestamp::UNIX_EPOCH));
            facts.view = facts.view.map(|view| View { as_of: facts.now, ..view });
        }
        if let (Some(Mutant::RemakesOnMetadata), Target::Ours(held)) = (self.mutant, &mut facts.target) {
            held.key = held.key.filter(|_| held.intact && held.current);
        }
        issuance::decide(&facts, desired)
    }

    async fn hold(&mut self) -> Result<Option<Pass>, Kube> {
        if self.mutant == Some(Mutant::ForgetsTheFinalizer) {
            return Ok(None);
        }
        let record = Record::from(&self.status());
        let Some(claim) = issuance::hold(&record, (self.key.finalizer, self.key.claim()), self.now()) else {
            return Ok(None);
        };
        Ok(match self.claim_again(&claim).await? {
            Done::Pass(pass) => Some(pass),
            _ => None,
        })
    }

    fn is_new(&self) -> bool {
        let record = Record::from(&self.status());
        let blank = record.id.is_none() && record.settled == Serial(0) && record.previous.is_empty();
        blank && self.key.claim().is_none()
    }

    pub fn note(&self, decision: &Decision) {
        let (me, version) = (self.me, self.key.version);
        self.world
            .borrow_mut()
            .note(|| format!("operator {me} at v{version}: {:?} {:?}", decision.step, decision.why));
    }

    /// No pass should run out of steps: it would go on like that.
    pub fn spun(&self) -> Pass {
        self.world.borrow_mut().break_rule(|| "a pass did not come to rest".into());
        Pass::Stale
    }

    async fn act(&mut self, facts: &Facts, desired: &Desired, decision: &Decision) -> Result<Done, Kube> {
        match &decision.step {
            Step::Issue(_) => self.issue(facts, desired, decision).await,
            Step::Adopt(serial, id) => self.adopt(facts, desired, (*serial, id)).await,
            Step::Commit(serial, id) => self.commit_held(facts, desired, (*serial, id)).await,
            Step::Outrank(serial) => {
                self.claim_again(&Claim::new(*serial, self.now(), Purpose::Restore)).await
            }
            Step::Settle(serial) => self.settle_serial(facts, *serial).await,
            Step::Fence(serial) => self.fence(facts, *serial).await,
            Step::Forsake(_) => self.forsake(facts).await,
            Step::Retire(id) => self.retire_previous(facts, desired, (id, decision)).await,
            Step::Switch(id, on) => self.switch_previous(desired, (id, *on), decision).await,
            Step::Trim => self.trim(facts).await,
            Step::Restart(revision) => self.restart(revision).await,
            Step::Restore(serial, id) => self.restore(facts, desired, (*serial, id)).await,
            Step::Rewrite(serial, id) => self.put_right(facts, desired, (*serial, id, true)).await,
            Step::Contest => self.contest(facts).await,
            Step::Miss(_) => self.miss().await,
            Step::Announce(ids) => {
                let mut status = self.status();
                succession::announce(&mut status, ids, self.now());
                let pass = self.publish_as_it_is(status).await?;
                Ok(if pass == Pass::Stale { Done::Pass(pass) } else { Done::Again })
            }
            Step::Amend(id, _) => self.amend(facts, desired, (id, decision)).await,
            Step::Confirm(id) => self.confirm(id).await,
            Step::Look(since) => self.look(*since).await,
            Step::Revoke(ids) => self.revoke_spares(desired, ids).await,
            Step::Recognise(..)
            | Step::Brand(..)
            | Step::Cut(..)
            | Step::ClaimDeletion(_)
            | Step::Disable(_)
            | Step::Release
            | Step::Rest(_) => Ok(Done::Pass(Pass::Stale)),
        }
    }

    pub async fn confirm(&mut self, id: &KeyId) -> Result<Done, Kube> {
        Ok(match self.get(id).await {
            Ok(answer) => {
                self.confirmed = Some(answer);
                Done::Again
            }
            Err(fault) => Done::Failed(fault, "look at the key"),
        })
    }
}

/// Recognises what readers of the Secret should have by now, while it is as it should be.
fn revision(facts: &Facts, template: (u8, u8)) -> Option<String> {
    let left = matches!(contest::judge(facts), contest::Contest::Left(_));
    let held = facts.target.held().filter(|held| held.intact && held.current || left)?;
    Some(format!("{}-{template:?}", held.serial?))
}

/// Why the served key is being replaced, while it still works.
fn replacing(facts: &Facts, decision: &Decision) -> Option<Cause> {
    match (&decision.step, &decision.why) {
        (Step::Issue(_), Why::Rotation(cause)) if facts.record.id.is_some() => {
            Some(*cause).filter(|cause| !matches!(cause, Cause::KeyLost | Cause::Expired))
        }
        _ => None,
    }
}
