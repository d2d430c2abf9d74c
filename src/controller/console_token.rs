//! ConsoleTokens: verified by a listing, which is also the poll for every key of the account.

mod dependants;
mod holding;
mod identity;
mod minting;
mod usage;
mod verify;

pub use holding::release_unneeded;

use super::context::Context;
use super::live::Live;
use super::{Error, Pass, Subject, stale_or, sweep};
use crate::api::condition::{self, EXPIRING_SOON};
use crate::api::shared::LocalRef;
use crate::api::{ConsoleToken, ConsoleTokenStatus, EventReason, FORCE_ORPHAN, LastPass, Reason, Verdict};
use crate::cluster::{self, object};
use crate::gateway::account::{Account, Parts};
use crate::gateway::shares::Membership;
use crate::gateway::{self, http::Wire};
use crate::plan::capability::Capabilities;
use crate::plan::hash;
use crate::plan::identity::{ObjectName, TokenRef};
use crate::plan::naming::Serial;
use crate::plan::report::{self, Notice};
use crate::plan::spec_error::SpecError;
use crate::plan::turns::{Lane, Rank};
use crate::plan::{retry, token};
use crate::protocol;
use crate::protocol::ports::TokenState;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use secrecy::SecretString;
use std::sync::Arc;

/// Longest interval between probes of a rejected token; a changed Secret is read at once.
const LONGEST_PROBE: SignedDuration = SignedDuration::from_mins(10);
/// Interval at which a Secret that RBAC does not allow to read is retried.
const UNREADABLE: SignedDuration = SignedDuration::from_mins(1);

impl Subject for ConsoleToken {
    fn rank(&self) -> Rank {
        Rank::Routine
    }

    fn lane(&self, _: &Context) -> Lane {
        Lane::Poll(TokenRef::of(self))
    }

    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Pass, Error> {
        // The resources record which account a key is in: absence from a store that is not filled means nothing.
        if !context.stores.filled() {
            return Ok(Pass::Stale);
        }
        let mut work = Work { token: object, context, reading: None, account: None };
        if work.token.metadata.deletion_timestamp.is_some() {
            return work.cleanup().await;
        }
        if !object::has_finalizer(work.token.as_ref()) {
            match object::hold(&work.context.client, work.token.as_ref()).await {
                Ok(token) => work.wrote(Arc::new(token)),
                Err(error) => return stale_or(error),
            }
        }
        work.apply().await
    }
}

/// Shortest interval between two passes over one token without an event.
const LEAST: SignedDuration = SignedDuration::from_secs(1);

/// One pass over one token.
struct Work {
    token: Arc<ConsoleToken>,
    context: Arc<Context>,
    /// The usage that was read in this pass.
    reading: Option<usage::Reading>,
    /// The account that was identified in this pass.
    account: Option<identity::Found>,
}

/// A token, its serial where Keysmith minted it, and a spec field that is unsupported although the token works.
type Credential = (SecretString, Option<Serial>, Option<SpecError>);

/// A connection to the vendor, and the hashes of its inputs.
#[derive(Clone, Default)]
struct Connection {
    account: Option<Arc<Account>>,
    fingerprint: String,
    /// Salted hash of the token alone.
    credential: String,
    /// Serial of the token, where Keysmith minted it.
    serial: Option<Serial>,
    /// The token is lost for good.
    lost: bool,
    /// An unsupported spec field that does not disable a token that worked before.
    idle: Option<SpecError>,
}

/// Result of verifying a token.
struct Verification {
    connection: Connection,
    verdict: Verdict,
    /// Verdict for the dependents, without retry times, which change with every probe and would enqueue every
    /// dependent.
    summary: String,
    /// Why the account may not be the one that the keys were made in.
    doubt: Option<String>,
    requeue_at: Option<Timestamp>,
}

impl Work {
    fn namespace(&self) -> String {
        object::namespace(self.token.as_ref())
    }

    fn reference(&self) -> TokenRef {
        TokenRef::of(&self.token)
    }

    fn wrote(&mut self, token: Arc<ConsoleToken>) {
        self.context.memory.wrote(Arc::clone(&token));
        self.token = token;
    }

    async fn apply(&mut self) -> Result<Pass, Error> {
        let held = self.hold().await?;
        let before = self.context.accounts.state(&self.reference());
        let before = before.filter(|it| Some(&it.uid) == self.token.uid().as_ref());
        let mut verification = match self.connect(before.as_ref()).await? {
            Ok((account, connection)) => self.verify(account, connection).await,
            Err(verdict) => Verification {
                doubt: before.as_ref().and_then(|it| it.doubt.clone()),
                // Keys made before can still be cleaned up with the remembered token.
                connection: before.map_or_else(Connection::default, |it| Connection {
                    account: it.account,
                    fingerprint: it.fingerprint,
                    ..Connection::default()
                }),
                summary: verdict.message.clone(),
                // A change of RBAC sends no event, so the read is retried.
                requeue_at: (verdict.reason == Reason::SecretRefused)
                    .then(|| retry::plus(self.context.clock.now(), UNREADABLE)),
                verdict,
            },
        };
        if let Some(refusal) =
            verification.connection.idle.clone().filter(|_| verification.verdict.reason == Reason::Verified)
        {
            verification.verdict = refusal.verdict().still_ready(true);
        }
        let ready = if verification.verdict.ready { Ok(()) } else { Err(verification.summary) };
        let account = verification.connection.account.clone().filter(|_| ready.is_ok());
        let last = self.last_pass();
        // An unsupported field does not stall a token that works.
        let stalled =
            ready.is_err() && verification.verdict.is_stalled(last.as_ref(), self.context.clock.now());
        self.take(verification.connection, ready, stalled, verification.doubt);
        let usage = match account {
            Some(account) => self.read_usage(&account).await,
            None => None,
        };
        let requeue_at = [verification.requeue_at, usage, held].into_iter().flatten().min();
        let expiry = self.token.spec.expires_at.map(Timestamp::as_second);
        self.context.metrics.token(&self.reference(), verification.verdict.ready, expiry);
        self.publish(&verification.verdict, requeue_at).await
    }

    /// Records the token's state, and enqueues its dependents if it changed.
    fn take(&self, connection: Connection, ready: Result<(), String>, stalled: bool, doubt: Option<String>) {
        let Connection { account, fingerprint, serial, lost, .. } = connection;
        let uid = self.token.uid().unwrap_or_default();
        self.context.metrics.account_doubted(&self.reference(), doubt.is_some());
        let state = TokenState { account, doubt, ready, stalled, lost, uid, serial, fingerprint };
        if self.context.accounts.set(self.reference(), state) {
            self.enqueue_dependants();
            self.enqueue_minter();
        }
    }

    /// Forgets the token: a later one of the same name is a different one, with an account of its own.
    fn forget(&self) {
        let namespace = self.namespace();
        let listing = self.lists();
        self.context.accounts.remove(&self.reference());
        self.context.metrics.forget_token(&self.reference());
        let uid = self.token.uid().unwrap_or_default();
        if let Some(listing) = listing {
            sweep::forget(&self.context, &listing);
        }
        let secret = ObjectName::new(&namespace, self.token.spec.secret_name());
        self.context.queues.enqueue_secret(secret);
        self.context.metrics.spending(&uid, Vec::new());
        self.context.memory.forget(&format!("probe/{uid}"));
        self.context.memory.forget(&uid);
        self.enqueue_minter();
    }

    /// The account of this token: the existing one while none of its inputs changed.
    async fn connect(
        &self,
        before: Option<&TokenState<Account>>,
    ) -> Result<Result<(Arc<Account>, Connection), Verdict>, Error> {
        let spec = &self.token.spec;
        let vendors = self.context.settings.vendors;
        let Some(driver) = vendors.driver(&spec.vendor) else {
            let message = format!("unknown vendor; set exactly one of: {}", vendors.fields().join(", "));
            return Ok(Err(SpecError::invalid("spec.vendor", message).verdict()));
        };
        let capabilities = driver.capabilities;
        // A token that is being deleted is still needed by the keys made with it.
        let going = self.token.metadata.deletion_timestamp.is_some();
        let proven = self.token.status.as_ref().is_some_and(|it| it.account.is_some());
        let mut idle = token::check_spec(spec).err().filter(|_| !going);
        if let Some(refusal) = idle.as_ref().filter(|refusal| !(refusal.tolerated && proven)) {
            return Ok(Err(refusal.verdict()));
        }
        let base =
            match self.context.settings.endpoints.admit(spec.endpoint.as_deref(), capabilities.endpoint) {
                Ok(base) => base,
                Err(refusal) => return Ok(Err(refusal.verdict())),
            };
        let gateways = &self.context.settings.gateways;
        let admitted = gateways.admit(spec.gateway_url.as_deref(), capabilities.gateway_url.own(), &base);
        // A token that is being deleted keeps the address that was admitted last.
        let kept = match admitted {
            Ok(()) => None,
            Err(refusal) if !going => return Ok(Err(refusal.verdict())),
            Err(_) => {
                let before = before.and_then(|it| it.account.as_ref()).map(|it| it.gateway_url().to_owned());
                let recorded = || self.token.status.as_ref()?.internal.admitted_gateway_url.clone();
                let own = || capabilities.gateway_url.own().unwrap_or(base.as_str()).to_owned();
                Some(before.or_else(recorded).unwrap_or_else(own))
            }
        };
        let (secret, serial) = match self.credential(capabilities).await? {
            Ok((secret, serial, refusal)) => {
                idle = idle.or(refusal);
                (secret, serial)
            }
            Err(verdict) => return Ok(Err(verdict)),
        };
        let credential = gateway::http::fingerprint(&secret, &self.token.uid().unwrap_or_default());
        let fingerprint = fingerprint(&self.token, base.as_str(), &credential);
        let connection = |account: &Arc<Account>| Connection {
            account: Some(Arc::clone(account)),
            fingerprint: fingerprint.clone(),
            credential: credential.clone(),
            serial,
            lost: false,
            idle: idle.clone(),
        };
        if let Some(account) =
            before.filter(|it| it.fingerprint == fingerprint).and_then(|it| it.account.clone())
        {
            let connection = connection(&account);
            return Ok(Ok((account, connection)));
        }
        let clock = self.context.clock.clone();
        let shares = Arc::clone(&self.context.shares);
        let id = shares.of_credential(&spec.vendor, capabilities.name, base.as_str(), &secret);
        let wire = Wire::new(base, secret, Arc::clone(&self.context.transport), clock.clone());
        let gateway = driver.connect(&spec.vendor, wire);
        let gateway_url = kept.unwrap_or_else(|| capabilities.base_url(spec).to_owned());
        let (queues, this) = (self.context.queues.clone(), self.reference());
        let alarm = Box::new(move || queues.enqueue_token(&this));
        let metrics = self.context.metrics.clone();
        let membership = Membership { shares, id };
        let account =
            Arc::new(Account::new(Parts { gateway, gateway_url, alarm, clock, metrics, membership }));
        let connection = connection(&account);
        Ok(Ok((account, connection)))
    }

    /// The token, and its serial where Keysmith minted it. Otherwise the reason why there is none.
    async fn credential(&self, capabilities: &Capabilities) -> Result<Result<Credential, Verdict>, Error> {
        if let Some(mint) = &self.token.spec.mint {
            return self.minted(mint, capabilities).await;
        }
        let Some(place) = &self.token.spec.secret_ref else {
            let message = "set exactly one of spec.secretRef and spec.mint";
            return Ok(Err(SpecError::invalid("spec.secretRef", message).verdict()));
        };
        let secret = match self.context.secrets(self.token.as_ref()).token(place).await {
            Err(error) if cluster::is_forbidden(&error) => return Ok(Err(self.unreadable(&error))),
            secret => secret?,
        };
        Ok(secret.map(|secret| (secret, None, None)).map_err(|refusal| refusal.verdict()))
    }

    /// RBAC does not allow the Secret to be read.
    fn unreadable(&self, error: &kube::Error) -> Verdict {
        report::key::secret_unreadable(
            self.token.spec.secret_name(),
            &self.namespace(),
            &cluster::brief(error),
        )
    }

    fn is_ready(&self) -> bool {
        self.last_pass().is_some_and(|it| it.works)
    }

    /// What the last pass concluded.
    fn last_pass(&self) -> Option<LastPass> {
        self.token.status.as_ref().and_then(ConsoleTokenStatus::last_pass)
    }

    async fn publish(&mut self, verdict: &Verdict, requeue_at: Option<Timestamp>) -> Result<Pass, Error> {
        let now = self.context.clock.now();
        let generation = self.token.metadata.generation;
        let mut status = self.token.status.clone().unwrap_or_default().moved();
        status.observed_generation = generation;
        status.last_handled_reconcile_at = object::requested(self.token.as_ref()).cloned();
        if let Some(capabilities) = self.context.settings.vendors.capabilities(&self.token.spec.vendor) {
            status.vendor = Some(capabilities.name.to_owned());
            status.endpoint = capabilities.endpoint_of(&self.token.spec).map(str::to_owned);
        }
        let minted_by = || LocalRef { name: token::minted_name(&self.token.name_any()) };
        status.minted_by = self.token.spec.mint.as_ref().map(|_| minted_by());
        status.orphans = self.context.sweeps.count(self.lists().as_deref(), status.orphans);
        let mut notices = Vec::new();
        let (conditions, last) = (&mut status.conditions, &mut status.internal.last_pass);
        notices.extend(report::transition(conditions, last, verdict, generation, now));
        let gives_up_at = last.as_ref().and_then(|it| it.gives_up_at(now));
        let requeue_at = [requeue_at, gives_up_at].into_iter().flatten().min();
        self.report_account(&mut status);
        if let Some(account) = self.context.accounts.state(&self.reference()).and_then(|it| it.account) {
            let admitted = self.token.spec.gateway_url.as_ref().map(|_| account.gateway_url().to_owned());
            status.internal.admitted_gateway_url = admitted;
        }
        if let Some(today) = self.context.minted_today(&self.token, now) {
            status.internal.keys_today = Some(today);
        }
        self.report_usage(&mut status, &mut notices);
        let requeue_at = match token::expiry(&self.token, now) {
            None => {
                status.conditions.retain(|it| it.type_ != EXPIRING_SOON);
                requeue_at
            }
            Some((expiring, look_again)) => {
                let notice = Notice::warning(EventReason::ExpiringSoon, expiring.message.clone());
                if condition::set(&mut status.conditions, expiring.clone(), now) && expiring.status == "True"
                {
                    notices.push(notice);
                }
                [requeue_at, look_again].into_iter().flatten().min()
            }
        };
        let live = Live(Arc::clone(&self.context));
        match protocol::publish(&live, &self.token, &status).await {
            Ok(Some(token)) => self.wrote(token),
            Ok(None) => {}
            Err(error) => return stale_or(error),
        }
        for notice in notices {
            self.context.notify(self.token.as_ref(), notice);
        }
        Ok(Pass::Rest(requeue_at))
    }

    /// Dependents of a token that is being deleted need a working account for their cleanup. After a restart the
    /// token is not verified yet, and a rejected token may have been replaced. Returns why there is no working
    /// account.
    async fn reconnect(&mut self) -> Result<Option<String>, Error> {
        let before = self.context.accounts.state(&self.reference());
        if before.as_ref().is_some_and(|it| it.usable().is_ok()) {
            return Ok(None);
        }
        match self.connect(before.as_ref()).await? {
            Ok((account, connection)) => {
                let verification = self.verify(account, connection).await;
                let ready = verification.doubt.clone().map_or(Ok(()), Err);
                self.take(verification.connection, ready, false, verification.doubt);
                Ok(None)
            }
            Err(_) if before.as_ref().is_some_and(|it| it.account.is_some()) => Ok(None),
            Err(verdict) => {
                let lost = self.is_lost().await?;
                let message = if lost { token::lost(&self.token) } else { verdict.message };
                self.take(Connection { lost, ..Connection::default() }, Err(message.clone()), true, None);
                Ok(Some(message))
            }
        }
    }

    /// The cleanup of the finalizer: the token stays until no dependent needs it. Dependents are read from the API
    /// server, not from a cache.
    async fn cleanup(&mut self) -> Result<Pass, Error> {
        if !object::has_finalizer(self.token.as_ref()) {
            self.forget();
            return Ok(Pass::Rest(None));
        }
        let missing = self.reconnect().await?;
        let forced = object::annotation(self.token.as_ref(), FORCE_ORPHAN).is_some();
        let dependants = if forced { Vec::new() } else { self.dependants().await? };
        if dependants.is_empty() {
            // The Secret is released first, because without the token nothing would release it.
            self.release_unless_shared().await?;
            return match object::release(&self.context.client, self.token.as_ref()).await {
                Err(error) if !cluster::is_missing(&error) => stale_or(error),
                _ => {
                    self.forget();
                    Ok(Pass::Rest(None))
                }
            };
        }
        self.hold().await?;
        let works = self.is_ready() && missing.is_none();
        let verdict = report::deletion::token_in_use(&dependants, missing.as_deref()).still_ready(works);
        let next = retry::plus(self.context.clock.now(), SignedDuration::from_secs(30));
        self.publish(&verdict, Some(next)).await
    }
}

/// Fingerprint of a token, its endpoint and its account id; the token cannot be derived from it.
fn fingerprint(token: &ConsoleToken, base: &str, credential: &str) -> String {
    let vendor = serde_json::to_string(&token.spec.vendor).unwrap_or_default();
    let gateway_url = token.spec.gateway_url.clone().unwrap_or_default();
    let uid = token.uid().unwrap_or_default();
    hash::base32(
        &[uid.as_bytes(), base.as_bytes(), vendor.as_bytes(), gateway_url.as_bytes(), credential.as_bytes()],
        26,
    )
}
