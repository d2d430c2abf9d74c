//! GatewayApiKeys: observe, and act on what `plan::issuance` decides.

mod adopt;
mod change;
mod deletion;
mod deliver;
pub mod issue;
mod leak;
mod limits;
mod minting;
mod owned_secret;
pub mod ports;
mod previous_keys;
mod report;

use super::key::ports::KeyPorts;
use super::ports::TokenState;
use super::ports::{Measure, VendorPort};
use super::secret::{Expected, Guard};
use super::{Done, Error, Pass};
use crate::api::console_token::Mint;
use crate::api::{self, GatewayApiKey, GatewayApiKeyStatus};
use crate::cluster::object;
use crate::cluster::object::Managed;
use crate::gateway::account::Listing;
use crate::plan::capability::{Ability, Capabilities};
use crate::plan::claim::{Claim, Purpose};
use crate::plan::contest;
use crate::plan::contest::Mends;
use crate::plan::decision::{Decision, Step, Why};
use crate::plan::desired::{self, Desired};
use crate::plan::drift::{Field, Sent};
use crate::plan::expiry;
use crate::plan::facts::{Bounds, Confirmed, Facts, Record, Target};
use crate::plan::hash;
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::issuance;
use crate::plan::listing::KeyId;
use crate::plan::naming::{Identity, Serial};
use crate::plan::report::Notice;
use crate::plan::requests::{Cause, RotationRequests};
use crate::plan::rotation;
use crate::plan::sighting::Sighting;
use crate::plan::spec_error::SpecError;
use crate::plan::template::Rendering;
use crate::plan::{money, upkeep};
use issue::{Issue, Issued};
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Limit of steps in one pass. No resource needs more to come to rest; one that does is requeued.
const STEPS: usize = 12;

/// One pass over a GatewayApiKey.
pub async fn pass<P: KeyPorts>(key: Arc<GatewayApiKey>, ports: P) -> Result<Pass, Error> {
    let deleting = key.metadata.deletion_timestamp.is_some();
    if deleting && !object::has_finalizer(key.as_ref()) {
        ports.forget(&key.uid().unwrap_or_default());
        return Ok(Pass::Rest(None));
    }
    if deleting && ports.is_released(&key.uid().unwrap_or_default()) {
        return Ok(Pass::Rest(None));
    }
    let mut pass = KeyPass::new(key, ports);
    if deleting { Box::pin(pass.cleanup()).await } else { Box::pin(pass.apply()).await }
}

/// One pass over one key.
struct KeyPass<P: KeyPorts> {
    ports: P,
    key: Arc<GatewayApiKey>,
    uid: String,
    identity: Identity,
    secrets: Guard<P::Secrets>,
    confirmed: Confirmed,
    amended: Vec<Field>,
    gone: BTreeSet<KeyId>,
    disabled: BTreeSet<KeyId>,
    /// Keys that the status names and that do not carry the resource's mark.
    strays: BTreeSet<KeyId>,
    /// Whether this pass has read the Secret. For a first key, its dry run is enough.
    looked: bool,
    /// The key id in the Secret's annotations, if that key does not belong to this resource.
    disowned: Option<KeyId>,
    /// The serial settled in this pass, written with its next report. If the process dies before that, the next one
    /// looks for the serial at the vendor, which is slower and equally correct.
    settled: Option<Serial>,
    /// The settings sent in this pass that the vendor need not return, written with its next report.
    sent: Option<Sent>,
    /// The ConsoleToken with `spec.mint` that this key is made for, if any.
    minting: Option<minting::Minting>,
    /// Whether the replacement of the served key is overdue.
    overdue: bool,
    /// Whether a key was revoked in this pass.
    revoked: bool,
    /// Keys that were created in this pass and could not be used, written with the next report.
    made: u32,
    /// Events of this pass, sent once its report is written.
    notices: Vec<Notice>,
    /// What the limits of a ClusterConsoleToken mean for this key.
    bounds: Bounds,
}

impl<P: KeyPorts> KeyPass<P> {
    fn new(key: Arc<GatewayApiKey>, ports: P) -> Self {
        // RotationOverdue stays until a decision clears it, also while an error keeps the pass from deciding.
        let overdue = key.status.as_ref().is_some_and(|it| it.read_internal().rotation_overdue);
        let minting = minting::of(key.as_ref(), &ports);
        Self {
            uid: key.uid().unwrap_or_default(),
            identity: identity(key.as_ref(), &ports),
            secrets: Guard(ports.secrets(&key.namespace().unwrap_or_default())),
            key,
            ports,
            confirmed: Confirmed::NotRead,
            amended: Vec::new(),
            gone: BTreeSet::new(),
            disabled: BTreeSet::new(),
            strays: BTreeSet::new(),
            looked: false,
            disowned: None,
            settled: None,
            sent: None,
            minting,
            overdue,
            revoked: false,
            made: 0,
            notices: Vec::new(),
            bounds: Bounds::default(),
        }
    }

    fn namespace(&self) -> String {
        self.key.namespace().unwrap_or_default()
    }

    /// The serial of the key in the Secret, for logs.
    fn serial(&self) -> Option<u64> {
        Managed::serial(self.key.as_ref())
    }

    /// The console token that the key names.
    fn token_ref(&self) -> TokenRef {
        TokenRef::named_by(self.key.as_ref())
    }

    /// The console token that the key names, if it exists.
    fn token(&self) -> Option<AnyToken> {
        self.ports.token(&self.token_ref())
    }

    /// State of the ConsoleToken that acts for this key.
    fn token_state(&self) -> Option<TokenState<P::Vendor>> {
        let issuer = self.ports.token_state(&self.token_ref());
        let own = self.minting.as_ref().filter(|_| self.key.metadata.deletion_timestamp.is_none());
        own.and_then(|own| own.acting(&self.ports)).or(issuer)
    }

    /// Records a vendor call that just changed something: older listings do not show the change.
    fn changed_vendor(&self) {
        let now = self.ports.now();
        self.ports.remember(&self.uid, |it| it.changed_vendor(now));
    }

    fn status(&self) -> GatewayApiKeyStatus {
        let mut status = self.key.status.clone().unwrap_or_default().moved();
        status.internal.settled_serial = status.internal.settled_serial.max(self.settled.map(|it| it.0));
        if let Some(sent) = &self.sent {
            status.email.clone_from(&sent.email);
            status.budget = sent.budget.map(money::budget);
            status.internal.carried_spend = None;
        }
        status.internal.key_count = rotation::counted(
            status.internal.key_count.as_ref(),
            object::claim_of(self.key.as_ref(), &self.identity),
        );
        for _ in 0..self.made {
            status.internal.key_count = rotation::made(status.internal.key_count.take());
        }
        status
    }

    fn record(&self) -> Record {
        Record::from(&self.status())
    }

    /// A pass over a key that is not being deleted.
    async fn apply(&mut self) -> Result<Pass, Error> {
        if !self.ports.caches_filled() {
            return Ok(Pass::Stale);
        }
        // The finalizer comes first: without it, a deletion would leave keys at the vendor.
        if let Some(pass) = self.hold().await? {
            return Ok(pass);
        }
        let Some(token) = self.token() else {
            return self.without_token().await;
        };
        let Some(capabilities) = self.ports.capabilities(&token.spec().vendor) else {
            return self.blocked("its vendor is unknown").await;
        };
        let mint = self.minting.as_ref().map(|it| &it.mint);
        let desired = self.read(capabilities, mint);
        self.bounds = self.bounds(&token);
        let mut desired = match desired.and_then(|desired| self.check_secret(&token).map(|()| desired)) {
            Ok(desired) => desired,
            Err(refusal) => {
                return match self.revoke_leaked(capabilities).await? {
                    Some(pass) => Ok(pass),
                    None => self.refused_spec(&refusal).await,
                };
            }
        };
        let (record, now) = (self.record(), self.ports.now());
        desired.settings.expiry = expiry::wanted(&record, &desired, now);
        desired.policy.max_previous = desired.policy.max_previous.min(self.bounds.most_previous);
        let known = self.ports.token_state(&self.token_ref()).and_then(|it| it.account);
        let base_url =
            known.as_ref().map_or_else(|| capabilities.base_url(token.spec()), |it| it.gateway_url());
        let rendering = desired.secret.rendering(base_url, &desired.settings.models);
        // A request to look at the key is one to look at its Secret as well.
        let (mut unread, mut steps) = (self.demands_a_look(), 0);
        while steps < STEPS {
            // The key may have been taken over in this pass.
            if let Some(limits) = self.status().internal.kept_limits {
                desired.keep(&self.key.spec, &limits);
                let refusal = desired::unknown_cap(&self.key.spec, &limits);
                self.bounds.refusal = self.bounds.refusal.take().or(refusal);
            }
            let expected = Expected { plan: &desired.secret, rendering: &rendering };
            let unseen = self.is_new(&desired) && !self.looked;
            let glance = if unread { None } else { self.glance(unseen, expected) };
            let glanced = glance.is_some();
            let target = match self.target(glance, expected).await {
                Err(error) if crate::cluster::is_forbidden(&error) => {
                    return match self.revoke_leaked(capabilities).await? {
                        Some(pass) => Ok(pass),
                        None => self.unreadable(&error).await,
                    };
                }
                target => target?,
            };
            let mut facts = self.facts(target, capabilities.ability(), Some(&desired));
            facts.requests.trigger.clone_from(&desired.policy.trigger);
            facts.revision = revision(&facts);
            self.overdue = rotation::overdue(&facts, &desired);
            let decision = issuance::decide(&facts, &desired);
            self.ports.decided(self.key.as_ref(), &decision);
            // What was not read is enough for a first key, whose dry run would meet a Secret, and to see that nothing is
            // to do. Everything else is decided again with the Secret as it is now.
            let enough = if unseen { matches!(decision.step, Step::Issue(_)) } else { rests(&decision) };
            if glanced && !enough {
                self.looked |= unseen;
                unread = true;
                continue;
            }
            (unread, steps) = (false, steps + 1);
            if let Step::Rest(until) = decision.step {
                return Box::pin(self.rest(&facts, &decision, &desired, until)).await;
            }
            let account = match self
                .token_state()
                .filter(|it| Some(&it.uid) == token.meta().uid.as_ref() || self.works_with_itself(it))
                .map(|it| it.usable().cloned())
            {
                // The token's controller has not verified it yet; it will enqueue this key.
                None => return Ok(Pass::Rest(None)),
                Some(Err(message)) => return self.blocked(&message).await,
                Some(Ok(account)) => account,
            };
            let act = Act { account, desired: &desired, rendering: &rendering, base_url, facts: &facts };
            // Boxed like the other large parts: a pass holds the memory of the part that it is in, and of no other.
            match Box::pin(self.act(&act, &decision)).await? {
                Done::Taken => self.tell(&act, &decision),
                Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, doing) => match replacing(&facts, &decision) {
                    Some(cause) => {
                        if let Some(pass) = self.replacement_failed(&act, &fault, cause).await? {
                            return Ok(pass);
                        }
                    }
                    None => return self.failed(&fault, doing, Some(&facts)).await,
                },
            }
        }
        Ok(Pass::Unfinished)
    }

    /// The desired state by the specification. A refusal is remembered: a large template is not read anew in each pass.
    /// That of a minted token depends on its ConsoleToken, too.
    fn read(&self, capabilities: &Capabilities, mint: Option<&Mint>) -> Result<Desired, SpecError> {
        let generation = self.key.metadata.generation.filter(|_| mint.is_none());
        if let Some(refusal) = self.ports.remember(&self.uid, |it| it.refusal(generation, capabilities.name))
        {
            return Err(refusal);
        }
        let desired = desired::read(&self.key, capabilities, mint);
        if let Err(refusal) = &desired {
            self.ports.remember(&self.uid, |it| it.refused(generation, capabilities.name, refusal));
        }
        desired
    }

    /// State of the Secret for this resource, if it is known without reading it: nobody changed it since it was last
    /// read or written. `unseen`: there was never a key, so the dry run finds out whether a Secret exists.
    fn glance(&self, unseen: bool, expected: Expected<'_>) -> Option<Target> {
        if unseen {
            return Some(Target::Absent);
        }
        let remembered = self.ports.remember(&self.uid, |it| it.sighting());
        let recorded = || {
            let status = self.key.status.as_ref()?;
            Sighting::read(status.internal.secret.as_ref()?, &Record::from(status))
        };
        let known = self.secrets.unchanged(&self.uid, expected, remembered.into_iter().chain(recorded()))?;
        Some(Target::Ours(known.held))
    }

    /// State of the Secret for this resource: as it is known already, or else as it is read.
    async fn target(&self, glance: Option<Target>, expected: Expected<'_>) -> kube::Result<Target> {
        if let Some(known) = glance {
            return Ok(known);
        }
        let (target, sighting) = self.secrets.observe(&self.uid, expected).await?;
        self.sighted(sighting);
        Ok(target)
    }

    /// Remembers what was read of the Secret, or written into it, unless status records the same.
    fn sighted(&self, sighting: Option<Sighting>) {
        let status = self.key.status.as_ref();
        let recorded = status.and_then(|it| Some((it.internal.secret.as_ref()?, Record::from(it))));
        let same = |it: &Sighting| {
            recorded.as_ref().is_some_and(|(record, served)| it.recorded(served).as_ref() == Some(record))
        };
        let sighting = sighting.filter(|it| !same(it));
        self.ports.remember(&self.uid, |it| it.sighted(sighting));
    }

    /// Whether an annotation requests a look at the key that was not taken yet.
    fn demands_a_look(&self) -> bool {
        let requested = object::requested(self.key.as_ref());
        requested.is_some() && requested != self.status().last_handled_reconcile_at.as_ref()
    }

    /// Restores finalizer and claim where they are missing, such as after `kubectl replace`. `None`: the pass goes
    /// on.
    async fn hold(&mut self) -> Result<Option<Pass>, Error> {
        let key = self.key.as_ref();
        let claim = object::claim_of(key, &self.identity);
        let Some(claim) = issuance::hold(&self.record(), object::has_finalizer(key), claim, self.ports.now())
        else {
            return Ok(None);
        };
        Ok(match self.claim(&claim).await? {
            Done::Pass(pass) => Some(pass),
            _ => None,
        })
    }

    /// Whether there was never a key, so that the Secret need not be read before its dry run.
    fn is_new(&self, desired: &Desired) -> bool {
        let record = self.record();
        let blank = record.id.is_none() && record.settled == Serial(0) && record.previous.is_empty();
        blank
            && object::claim_of(self.key.as_ref(), &self.identity).is_none()
            && desired.external_id.is_none()
    }

    fn tell(&self, act: &Act<'_, P::Vendor>, decision: &Decision) {
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

    /// The observed facts. With `desired`, what the vendor returned for the served key counts as recorded already, so
    /// that the decision and the status written after it agree.
    fn facts(&self, mut target: Target, ability: Ability, desired: Option<&Desired>) -> Facts {
        let key = self.key.as_ref();
        if let Target::Ours(held) = &mut target {
            held.key_id.take_if(|id| Some(&*id) == self.disowned.as_ref());
        }
        let stale_before = self.ports.remember(&self.uid, |it| it.stale_before());
        let latest = self.token_state().and_then(|it| it.account).and_then(|it| it.latest());
        let latest = latest.filter(|it| stale_before.is_none_or(|stale_before| it.as_of > stale_before));
        if let Some(latest) = &latest {
            self.ports.remember(&self.uid, |it| it.saw_listing(latest.as_of));
        }
        let view = latest.as_ref().map(|it| it.view(&self.identity));
        let external = key.spec.external_id.as_ref();
        let external = external.and_then(|id| latest.as_ref()?.key(id).cloned());
        let asked = |name| object::annotation(key, name).cloned();
        let mut facts = Facts {
            now: self.ports.now(),
            deleting: key.metadata.deletion_timestamp.is_some(),
            finalizer: object::has_finalizer(key),
            generation: key.metadata.generation,
            requested: self.demands_a_look() && self.confirmed == Confirmed::NotRead,
            claim: object::claim_of(key, &self.identity),
            record: self.record(),
            target,
            view,
            confirmed: self.confirmed.clone(),
            amended: self.amended.clone(),
            gone: self.gone.clone(),
            disabled: self.disabled.clone(),
            strays: self.strays.clone(),
            poll: self.ports.poll(),
            doubted: false,
            mended: Mends::default(),
            ability,
            identity: self.identity.clone(),
            requests: RotationRequests {
                trigger: None,
                rotate: asked(api::ROTATE_REQUESTED),
                leaked: asked(api::LEAKED),
            },
            external,
            spread: hash::fraction(&[b"rotation", self.uid.as_bytes()]),
            lost_since: None,
            proven: self.minting.as_ref().is_none_or(|it| it.proven(&self.ports, self.record().serial)),
            revision: None,
            under_name: self.ports.made_today(key),
            keys_per_day: self.ports.keys_per_day(),
            bounds: self.bounds.clone(),
        };
        if let Some((desired, seen)) = desired.zip(report::seen(&facts)) {
            let mut status = self.status();
            report::show(&mut status, &seen, desired);
            facts.record = Record { missing_since: facts.record.missing_since, ..Record::from(&status) };
        }
        facts.doubted = self.doubted(&facts, latest.as_deref());
        let lost = issuance::is_lost(&facts);
        facts.lost_since = self.ports.remember(&self.uid, |it| it.saw_secret(lost, facts.now));
        let state = contest::state(&facts).to_owned();
        facts.mended = self.ports.remember(&self.uid, |it| it.mends(&state, facts.now));
        facts
    }

    /// Whether the account may differ from the one that the keys were made in. The listing is checked only where the
    /// key is missing: in all other cases the ConsoleToken's controller reports the doubt.
    fn doubted(&self, facts: &Facts, latest: Option<&Listing>) -> bool {
        let missing = facts.confirmed == Confirmed::Gone || facts.record.missing_since.is_some();
        let shown = || Some(self.ports.doubt(&self.token()?, latest?).is_some());
        self.token_state().is_some_and(|it| it.doubt.is_some()) || missing && shown().unwrap_or(false)
    }

    async fn act(&mut self, act: &Act<'_, P::Vendor>, decision: &Decision) -> Result<Done, Error> {
        match &decision.step {
            Step::Issue(serial) => Box::pin(self.issue(act, *serial, decision)).await,
            Step::Adopt(serial, id) => self.adopt(act, *serial, id).await,
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
                Err(fault) => Done::Failed(fault, "look at the key"),
            }),
            Step::Look(since) => self.look(&act.account, *since).await,
            Step::Revoke(ids) => self.revoke_unused(act, ids).await,
            Step::ClaimDeletion(_) | Step::Disable(_) | Step::Release | Step::Rest(_) => {
                Ok(Done::Pass(Pass::Stale))
            }
        }
    }

    async fn issue(
        &mut self,
        act: &Act<'_, P::Vendor>,
        serial: Serial,
        decision: &Decision,
    ) -> Result<Done, Error> {
        let permit = match act.account.permit().await {
            Ok(permit) => permit,
            Err(fault) => return Ok(Done::Failed(fault, "make a key")),
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
            Err(fault) => return Ok(Done::Failed(fault, "see what is left of the budget")),
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
            reusable: upkeep::reusable(act.facts),
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
                Done::Failed(fault, "make a key")
            }
            Issued::Undelivered { object, verdict } => {
                self.wrote(object);
                self.made += 1;
                let verdict = verdict.still_ready(act.facts.works());
                Done::Pass(self.wait_with(&verdict, act.facts).await?)
            }
        })
    }
}

/// What a step needs besides the step itself.
struct Act<'a, V> {
    account: Arc<V>,
    desired: &'a Desired,
    rendering: &'a Rendering,
    base_url: &'a str,
    facts: &'a Facts,
}

/// The marks of a resource: its own, and the mark of the resource it was restored from, unless that resource still
/// exists. A resource that cannot be decoded counts as existing.
pub fn identity<P: KeyPorts>(key: &GatewayApiKey, ports: &P) -> Identity {
    let mark = super::mark(ports, key);
    let claim = object::annotation(key, api::CLAIM).map(String::as_str);
    let former = Claim::former(claim, &mark).filter(|former| !ports.may_exist(former));
    Identity { mark, former }
}

/// Hash of the content that readers of the Secret should have by now. `None` while the Secret is not as it should be.
fn revision(facts: &Facts) -> Option<String> {
    // If another controller keeps changing the Secret and it is left that way, readers have that content.
    let left = matches!(contest::judge(facts), contest::Contest::Left(_));
    let held = facts.target.held().filter(|held| held.intact && held.current || left)?;
    Some(format!("{}-{}", held.serial?, held.read.as_ref()?))
}

/// Whether nothing is to do.
fn rests(decision: &Decision) -> bool {
    matches!(decision.step, Step::Rest(_))
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
