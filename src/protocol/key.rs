//! GatewayApiKeys: observe, and act on what `plan::issuance` decides.

mod act;
mod adopt;
mod change;
mod deletion;
mod deliver;
pub mod issue;
mod leak;
mod limits;
mod minting;
mod observe;
mod owned_secret;
pub mod ports;
mod previous_keys;
mod report;

use super::key::ports::KeyPorts;
use super::ports::{TokenState, VendorPort};
use super::secret::{Expected, Guard};
use super::{Done, Error, Pass};
use crate::api::console_token::Mint;
use crate::api::{self, GatewayApiKey, GatewayApiKeyStatus};
use crate::cluster::object::{self, Managed};
use crate::plan::capability::Capabilities;
use crate::plan::claim::Claim;
use crate::plan::decision::{Decision, Step, Why};
use crate::plan::desired::{self, Desired};
use crate::plan::drift::{Field, Sent};
use crate::plan::facts::{Bounds, Confirmed, Facts, Record};
use crate::plan::identity::{AnyToken, TokenRef};
use crate::plan::listing::KeyId;
use crate::plan::naming::{Identity, Serial};
use crate::plan::report::Notice;
use crate::plan::requests::Cause;
use crate::plan::spec_error::SpecError;
use crate::plan::{expiry, issuance, money, rotation};
use act::Act;
use kube::ResourceExt;
use observe::revision;
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
    /// For a first key: whether the Secret has to be read, because its dry run was not enough.
    must_read: bool,
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
            must_read: false,
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

    /// The serial of the served key, for logs.
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
        let (mut read_now, mut steps) = (self.demands_a_look(), 0);
        while steps < STEPS {
            // The key may have been taken over in this pass.
            if let Some(limits) = self.status().internal.kept_limits {
                desired.keep(&self.key.spec, &limits);
                let refusal = desired::unknown_cap(&self.key.spec, &limits);
                self.bounds.refusal = self.bounds.refusal.take().or(refusal);
            }
            let expected = Expected { plan: &desired.secret, rendering: &rendering };
            let first = self.is_new(&desired) && !self.must_read;
            let known = if read_now { None } else { self.remembered_secret(first, expected) };
            let remembered = known.is_some();
            let target = match self.target(known, expected).await {
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
            // The remembered state of the Secret is enough for two decisions: a first key, whose dry run fails if there is
            // a Secret, and `Rest`. For every other step the Secret is read, and the decision is made again.
            let enough = if first { matches!(decision.step, Step::Issue(_)) } else { rests(&decision) };
            if remembered && !enough {
                self.must_read |= first;
                read_now = true;
                continue;
            }
            (read_now, steps) = (false, steps + 1);
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
                Done::Taken => self.send_event(&act, &decision),
                Done::Again => {}
                Done::Pass(pass) => return Ok(pass),
                Done::Failed(fault, purpose) => match replacing(&facts, &decision) {
                    Some(cause) => {
                        if let Some(pass) = self.replacement_failed(&act, &fault, cause).await? {
                            return Ok(pass);
                        }
                    }
                    None => return self.failed(&fault, purpose, Some(&facts)).await,
                },
            }
        }
        Ok(Pass::Unfinished)
    }

    /// The desired state by the specification. A refusal is remembered per generation, so that a large template is not parsed
    /// in each pass. The refusal of a minted token is not remembered, because it depends on its ConsoleToken as well.
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
}

/// The marks of a resource: its own, and the mark of the resource it was restored from, unless that resource still
/// exists. A resource that cannot be decoded counts as existing.
pub fn identity<P: KeyPorts>(key: &GatewayApiKey, ports: &P) -> Identity {
    let mark = super::mark(ports, key);
    let claim = object::annotation(key, api::CLAIM).map(String::as_str);
    let former = Claim::former(claim, &mark).filter(|former| !ports.may_exist(former));
    Identity { mark, former }
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
