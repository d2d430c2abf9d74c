//! Console tokens of either kind: verified by a listing, which is also the poll for every key of the account.

mod connect;
mod dependants;
mod holding;
mod identity;
mod minting;
pub mod ports;
mod shared_use;
mod usage;
mod verify;

pub use holding::{ignore_missing, is_refused};

use super::ports::TokenState;
use super::{Error, Pass, stale_or};
use crate::api::condition::{self, EXPIRING_SOON};
use crate::api::shared::LocalRef;
use crate::api::{
    ConsoleTokenStatus, EventReason, FORCE_ORPHAN, LastPass, RECONCILE_REQUESTED, Reason, Verdict,
};
use crate::plan::fault::Fault;
use crate::plan::identity::{AnyToken, ObjectName, TokenRef, log_token, with_token};
use crate::plan::naming::Serial;
use crate::plan::report::{self, Notice};
use crate::plan::spec_error::SpecError;
use crate::plan::{retry, token};
use crate::protocol::ports::VendorPort;
use crate::{cluster, protocol};
use jiff::{SignedDuration, Timestamp};
use ports::{AccountPort, TokenMeasure, TokenPorts};
use std::sync::Arc;

/// Longest interval between probes of a rejected token; a changed Secret is read at once.
const LONGEST_PROBE: SignedDuration = SignedDuration::from_mins(10);
/// Interval at which a Secret or ConfigMap is read again that is missing, wrong, or not allowed to be read.
const UNREADABLE: SignedDuration = SignedDuration::from_mins(1);
/// Shortest interval between two passes over one token without an event.
const LEAST: SignedDuration = SignedDuration::from_secs(1);
/// Interval at which the deletion of a token that is still needed is tried again.
const STILL_NEEDED: SignedDuration = SignedDuration::from_secs(30);

/// One pass over a console token.
pub async fn pass<P: TokenPorts>(token: AnyToken, ports: P) -> Result<Pass, Error> {
    // The resources record which account a key is in: absence from a cache that is not filled means nothing.
    if !ports.caches_filled() {
        return Ok(Pass::Stale);
    }
    let mut pass = TokenPass { token, ports, reading: None, account: None };
    if pass.token.is_deleted() {
        return pass.cleanup().await;
    }
    if !pass.has_finalizer()
        && let Err(error) = pass.add_finalizer().await
    {
        return stale_or(error);
    }
    pass.apply().await
}

/// One pass over one token.
struct TokenPass<P: TokenPorts> {
    token: AnyToken,
    ports: P,
    /// The usage that was read in this pass.
    reading: Option<usage::Reading>,
    /// The account that was identified in this pass.
    account: Option<identity::Found>,
}

/// A connection to the vendor, and the hashes of its inputs.
struct Connection<V> {
    account: Option<Arc<V>>,
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

impl<V> Default for Connection<V> {
    fn default() -> Self {
        Self {
            account: None,
            fingerprint: String::new(),
            credential: String::new(),
            serial: None,
            lost: false,
            idle: None,
        }
    }
}

/// Result of verifying a token.
struct Verification<V> {
    connection: Connection<V>,
    verdict: Verdict,
    /// Verdict for the dependents, without retry times, which change with every probe and would enqueue every
    /// dependent.
    summary: String,
    /// Why the account may not be the one that the keys were made in.
    doubt: Option<String>,
    requeue_at: Option<Timestamp>,
}

impl<P: TokenPorts> TokenPass<P> {
    /// The namespace of the token's Secret: its own, or the operator's for a ClusterConsoleToken.
    fn home(&self) -> String {
        home(&self.token, &self.ports)
    }

    fn reference(&self) -> TokenRef {
        self.token.reference()
    }

    fn uid(&self) -> String {
        self.token.uid().unwrap_or_default()
    }

    fn secrets(&self) -> P::Secrets {
        self.ports.secrets(&self.home())
    }

    fn has_finalizer(&self) -> bool {
        self.token.has_finalizer()
    }

    /// Adds the finalizer, without a claim.
    async fn add_finalizer(&mut self) -> kube::Result<()> {
        let written: AnyToken =
            with_token!(&self.token, token => self.ports.hold(token.as_ref()).await?.into());
        self.wrote(written);
        Ok(())
    }

    fn wrote(&mut self, token: AnyToken) {
        with_token!(&token, token => self.ports.wrote(token));
        self.token = token;
    }

    /// Logs a fault that the next pass handles.
    fn log(&self, what: &'static str, fault: &Fault) {
        log_token!(debug, self.token, %fault, "{what}");
    }

    fn notify(&self, notice: Notice) {
        with_token!(&self.token, token => self.ports.notify(token.as_ref(), notice));
    }

    async fn apply(&mut self) -> Result<Pass, Error> {
        let held = self.hold().await?;
        let before = self.ports.token_state(&self.reference());
        let before = before.filter(|it| Some(&it.uid) == self.token.meta().uid.as_ref());
        let mut verification = match self.connect(before.as_ref()).await? {
            Ok((account, connection)) => {
                account.give_rate(self.token.spec().calls_per_second);
                self.verify(account, connection).await
            }
            Err(verdict) => Verification {
                doubt: before.as_ref().and_then(|it| it.doubt.clone()),
                // Keys made before can still be cleaned up with the remembered token.
                connection: before.map_or_else(Connection::default, |it| Connection {
                    account: it.account,
                    fingerprint: it.fingerprint,
                    ..Connection::default()
                }),
                summary: verdict.message.clone(),
                // No event tells of a change of RBAC, of a ConfigMap, or of a Secret that is not watched.
                requeue_at: matches!(
                    verdict.reason,
                    Reason::SecretRefused | Reason::SecretMissing | Reason::SecretInvalid
                )
                .then(|| retry::plus(self.ports.now(), UNREADABLE)),
                verdict,
            },
        };
        if let Some(refusal) =
            verification.connection.idle.clone().filter(|_| verification.verdict.reason == Reason::Verified)
        {
            verification.verdict = refusal.verdict().still_ready(true);
        }
        // The account stays known: keys made before are cleaned up with it.
        if let Some(refusal) = self.refused_kind().filter(|_| verification.verdict.ready) {
            verification.verdict = refusal.verdict();
            verification.summary.clone_from(&verification.verdict.message);
        }
        let ready = if verification.verdict.ready { Ok(()) } else { Err(verification.summary) };
        let account = verification.connection.account.clone().filter(|_| ready.is_ok());
        let last = self.last_pass();
        // An unsupported field does not stall a token that works.
        let stalled = ready.is_err() && verification.verdict.is_stalled(last.as_ref(), self.ports.now());
        self.take(verification.connection, ready, stalled, verification.doubt);
        let usage = match account {
            Some(account) => self.read_usage(&account).await,
            None => None,
        };
        let requeue_at = [verification.requeue_at, usage, held].into_iter().flatten().min();
        self.publish(&verification.verdict, requeue_at).await
    }

    /// Records the token's state, and enqueues its dependents if it changed.
    fn take(
        &self,
        connection: Connection<P::Vendor>,
        ready: Result<(), String>,
        stalled: bool,
        doubt: Option<String>,
    ) {
        let Connection { account, fingerprint, serial, lost, .. } = connection;
        let (uid, generation) = (self.uid(), self.token.meta().generation);
        let state = TokenState { account, doubt, ready, stalled, lost, uid, generation, serial, fingerprint };
        if self.ports.set_token_state(&self.reference(), state) {
            self.ports.enqueue_dependants(&self.reference());
            self.enqueue_minter();
        }
    }

    /// Forgets the token: a later one of the same name is a different one, with an account of its own.
    fn forget(&self) {
        self.ports.forget_token(&self.reference());
        self.ports.measure_token(&self.reference(), TokenMeasure::Spending(self.uid(), Vec::new()));
        self.ports.measure_token(&self.reference(), TokenMeasure::Forgotten);
        self.ports.enqueue_secret(ObjectName::new(&self.home(), self.token.spec().secret_name()));
        self.ports.verification_succeeded(&self.uid());
        self.ports.forget(&self.uid());
        self.enqueue_minter();
    }

    fn is_ready(&self) -> bool {
        self.last_pass().is_some_and(|it| it.works)
    }

    /// What the last pass concluded.
    fn last_pass(&self) -> Option<LastPass> {
        self.token.status().and_then(ConsoleTokenStatus::last_pass)
    }

    async fn publish(&mut self, verdict: &Verdict, requeue_at: Option<Timestamp>) -> Result<Pass, Error> {
        let now = self.ports.now();
        let generation = self.token.meta().generation;
        let mut status = self.token.status().cloned().unwrap_or_default().moved();
        status.observed_generation = generation;
        status.last_handled_reconcile_at = self.token.annotation(RECONCILE_REQUESTED).cloned();
        if let Some(capabilities) = self.ports.capabilities(&self.token.spec().vendor) {
            status.vendor = Some(capabilities.name.to_owned());
            status.endpoint = capabilities.endpoint_of(self.token.spec()).map(str::to_owned);
        }
        let minted_by = || LocalRef { name: token::minted_name(self.token.name()) };
        status.minted_by = self.token.spec().mint.as_ref().map(|_| minted_by());
        status.orphans = self.ports.orphans(self.lists().as_deref(), status.orphans);
        let mut notices = Vec::new();
        let (conditions, last) = (&mut status.conditions, &mut status.internal.last_pass);
        notices.extend(report::transition(conditions, last, verdict, generation, now));
        let gives_up_at = last.as_ref().and_then(|it| it.gives_up_at(now));
        let requeue_at = [requeue_at, gives_up_at].into_iter().flatten().min();
        self.report_account(&mut status);
        if let Some(account) = self.ports.token_state(&self.reference()).and_then(|it| it.account) {
            let admitted = self.token.spec().gateway_url.as_ref().map(|_| account.gateway_url().to_owned());
            status.internal.admitted_gateway_url = admitted;
        }
        status.internal.last_secret = Some(self.token.spec().secret_name().to_owned());
        if let Some(today) = self.ports.made_today_with(&self.token) {
            status.internal.keys_today = Some(today);
        }
        self.report_usage(&mut status, &mut notices);
        self.report_namespaces(&mut status);
        let requeue_at = match report::token::expiry(&self.token, now) {
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
        match self.write_status(&status).await {
            Ok(Some(token)) => self.wrote(token),
            Ok(None) => {}
            Err(error) => return stale_or(error),
        }
        for notice in notices {
            self.notify(notice);
        }
        Ok(Pass::Rest(requeue_at))
    }

    async fn write_status(&self, status: &ConsoleTokenStatus) -> kube::Result<Option<AnyToken>> {
        Ok(with_token!(&self.token, token => {
            protocol::publish(&self.ports, token, status).await?.map(AnyToken::from)
        }))
    }

    /// Dependents of a token that is being deleted need a working account for their cleanup. After a restart the
    /// token is not verified yet, and a rejected token may have been replaced. Returns why there is no working
    /// account.
    async fn reconnect(&mut self) -> Result<Option<String>, Error> {
        let before = self.ports.token_state(&self.reference());
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
        if !self.has_finalizer() {
            self.forget();
            return Ok(Pass::Rest(None));
        }
        let missing = self.reconnect().await?;
        let forced = self.token.annotation(FORCE_ORPHAN).is_some();
        let dependants = if forced { Vec::new() } else { self.ports.dependants(&self.reference()).await? };
        if dependants.is_empty() {
            // The Secret is released first, because without the token nothing would release it.
            self.release_unless_shared().await?;
            let released =
                with_token!(&self.token, token => self.ports.release(token.as_ref()).await.map(drop));
            return match released {
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
        let next = retry::plus(self.ports.now(), STILL_NEEDED);
        self.publish(&verdict, Some(next)).await
    }
}

/// The namespace of a token's Secret: its own, or the operator's for a ClusterConsoleToken.
fn home<P: TokenPorts>(token: &AnyToken, ports: &P) -> String {
    token.reference().namespace.unwrap_or_else(|| ports.home().to_owned())
}
