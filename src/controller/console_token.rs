//! ConsoleTokens: verified by listing, which is also the poll that serves every key of the account.

use super::accounts::Standing;
use super::context::Context;
use super::{Error, Pass, Subject, stale_or, sweep};
use crate::api::condition::{self, EXPIRING_SOON, READY};
use crate::api::{ConsoleToken, FORCE_ORPHAN, GatewayApiKey, ProviderKey, Reason, Verdict};
use crate::cluster::{self, object, watch};
use crate::gateway::account::{Account, Listing, Parts};
use crate::gateway::{self, http::Wire};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::hash;
use crate::plan::refusal::Refusal;
use crate::plan::report::{self, Notice};
use crate::plan::{retry, token};
use jiff::{SignedDuration, Timestamp};
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use secrecy::SecretString;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A refused token is probed this often at most; a changed Secret is looked at at once.
const LONGEST_PROBE: SignedDuration = SignedDuration::from_mins(10);

impl Subject for ConsoleToken {
    async fn reconcile(object: Arc<Self>, context: Arc<Context>) -> Result<Pass, Error> {
        let mut work = Work { token: object, context };
        if work.token.metadata.deletion_timestamp.is_some() {
            return work.retire().await;
        }
        if !object::has_finalizer(work.token.as_ref()) {
            match object::hold(&work.context.client, work.token.as_ref()).await {
                Ok(token) => work.wrote(token),
                Err(error) => return stale_or(error),
            }
        }
        work.keep().await
    }
}

/// One pass over one token.
struct Work {
    token: Arc<ConsoleToken>,
    context: Arc<Context>,
}

/// What a token was found to be good for.
struct Finding {
    account: Option<Arc<Account>>,
    fingerprint: String,
    verdict: Verdict,
    /// What dependants are told: the verdict without the times that change with every probe, so that a probe is
    /// no news to them.
    summary: String,
    wake: Option<Timestamp>,
}

impl Work {
    fn namespace(&self) -> String {
        self.token.namespace().unwrap_or_default()
    }

    fn wrote(&mut self, token: ConsoleToken) {
        self.token = Arc::new(token);
        self.context.memory.wrote(Arc::clone(&self.token));
    }

    async fn keep(&mut self) -> Result<Pass, Error> {
        let before = self.context.accounts.standing(&self.namespace(), &self.token.name_any());
        let before = before.filter(|it| Some(&it.uid) == self.token.uid().as_ref());
        let finding = match self.connect(before.as_ref()).await? {
            Ok((account, fingerprint)) => self.verify(account, fingerprint).await,
            Err(refusal) => Finding {
                // What it made before can still be cleaned up with the credential we remember.
                account: before.as_ref().and_then(|it| it.account.clone()),
                fingerprint: before.map(|it| it.fingerprint).unwrap_or_default(),
                verdict: refusal.verdict(),
                summary: refusal.to_string(),
                wake: None,
            },
        };
        let ready = if finding.verdict.ready { Ok(()) } else { Err(finding.summary) };
        self.take(finding.account, finding.fingerprint, ready);
        let expiry = self.token.spec.expires_at.map(Timestamp::as_second);
        self.context.metrics.token(&self.namespace(), &self.token.name_any(), finding.verdict.ready, expiry);
        self.publish(&finding.verdict, finding.wake).await
    }

    /// Records what the token is good for, and tells its dependants if that is news.
    fn take(&self, account: Option<Arc<Account>>, fingerprint: String, ready: Result<(), String>) {
        let standing = Standing { account, ready, fingerprint, uid: self.token.uid().unwrap_or_default() };
        if self.context.accounts.set(&self.namespace(), &self.token.name_any(), standing) {
            self.wake_dependants();
        }
    }

    /// A token of the same name that comes later is another one, with an account of its own.
    fn forget(&self) {
        let (namespace, name) = (self.namespace(), self.token.name_any());
        self.context.accounts.remove(&namespace, &name);
        self.context.metrics.forget_token(&namespace, &name);
        let uid = self.token.uid().unwrap_or_default();
        sweep::forget(&self.context, &uid);
        self.context.memory.forget(&format!("probe/{uid}"));
        self.context.memory.forget(&uid);
    }

    /// The account for this token: the one there is while nothing it is made of changed.
    async fn connect(
        &self,
        before: Option<&Standing>,
    ) -> Result<Result<(Arc<Account>, String), Refusal>, Error> {
        let spec = &self.token.spec;
        let Some(capabilities) = (self.context.settings.vendors.capabilities)(&spec.vendor) else {
            let known: Vec<_> = gateway::DRIVERS.iter().map(|it| it.name).collect();
            let message = format!("unknown vendor; set exactly one of: {}", known.join(", "));
            return Ok(Err(Refusal::invalid("spec.vendor", message)));
        };
        let base =
            match self.context.settings.endpoints.admit(spec.endpoint.as_deref(), capabilities.endpoint) {
                Ok(base) => base,
                Err(refusal) => return Ok(Err(refusal)),
            };
        let secret = match self.context.secrets(self.token.as_ref()).token(&spec.secret_ref).await? {
            Ok(secret) => secret,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let fingerprint = fingerprint(&self.token, base.as_str(), &secret);
        if let Some(account) =
            before.filter(|it| it.fingerprint == fingerprint).and_then(|it| it.account.clone())
        {
            return Ok(Ok((account, fingerprint)));
        }
        let clock = self.context.clock.clone();
        let wire = Wire::new(base, secret, Arc::clone(&self.context.transport), clock.clone());
        let Some(gateway) = (self.context.settings.vendors.connect)(&spec.vendor, wire) else {
            return Ok(Err(Refusal::invalid("spec.vendor", "unknown vendor")));
        };
        let gateway_url =
            spec.gateway_url.as_deref().unwrap_or(capabilities.gateway_url).trim_end_matches('/').to_owned();
        let waker = self.context.wakers.tokens.clone();
        let this = ObjectRef::new(&self.token.name_any()).within(&self.namespace());
        let alarm = Box::new(move || {
            // The receiver lives as long as the operator.
            let _ = waker.send(this.clone());
        });
        let metrics = self.context.metrics.clone();
        Ok(Ok((Arc::new(Account::new(Parts { gateway, gateway_url, alarm, clock, metrics })), fingerprint)))
    }

    /// A listing is the harmless call, and the poll. It is skipped while the last one is recent and good.
    async fn verify(&self, account: Arc<Account>, fingerprint: String) -> Finding {
        let now = self.context.clock.now();
        let uid = self.token.uid().unwrap_or_default();
        let poll = retry::jittered(self.context.settings.poll, &uid);
        let asked = object::requested(self.token.as_ref())
            != self.token.status.as_ref().and_then(|it| it.last_handled_reconcile_at.as_ref());
        let seen = account.latest();
        let due = seen.as_ref().is_none_or(|it| retry::plus(it.as_of, poll) <= now);
        if let Some(seen) = seen.as_ref().filter(|_| !due && !asked && account.usable().is_ok()) {
            let wake = Some(retry::plus(seen.as_of, poll));
            return Finding {
                account: Some(account),
                fingerprint,
                verdict: self.verified(),
                summary: String::new(),
                wake,
            };
        }
        let was_refused = account.usable().is_err();
        match account.probe().await {
            Ok(listing) => {
                self.context.memory.rested(&format!("probe/{uid}"));
                if was_refused {
                    // They were told that the breaker is open, and wait to be told that it is not.
                    self.wake_dependants();
                }
                self.wake_changed(seen.as_deref(), &listing);
                self.poll_deposits(&account).await;
                sweep::after_listing(&self.context, &self.token, &account, &listing).await;
                let wake = Some(retry::plus(self.context.clock.now(), poll));
                Finding {
                    account: Some(account),
                    fingerprint,
                    verdict: self.verified(),
                    summary: String::new(),
                    wake,
                }
            }
            Err(fault) => {
                let now = self.context.clock.now();
                let wait = self.context.memory.failed(&format!("probe/{uid}"));
                let wait = SignedDuration::try_from(wait).unwrap_or(LONGEST_PROBE).min(LONGEST_PROBE);
                let next = retry::after(&fault, 1, &uid, now).max(retry::plus(now, wait));
                let next = next.min(retry::plus(now, LONGEST_PROBE.max(wait)));
                let was_ready = self.is_ready() && !fault.blames_token();
                let verdict = self.refused(&fault, next).still_ready(was_ready);
                Finding {
                    account: Some(account),
                    fingerprint,
                    verdict,
                    summary: fault.to_string(),
                    wake: Some(next),
                }
            }
        }
    }

    fn is_ready(&self) -> bool {
        let conditions = self.token.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
        condition::find(conditions, READY).is_some_and(|it| it.status == "True")
    }

    fn verified(&self) -> Verdict {
        Verdict::settled(
            Reason::Verified,
            format!("the vendor accepts the token in Secret {}", self.token.spec.secret_ref.name),
        )
    }

    fn refused(&self, fault: &Fault, next: Timestamp) -> Verdict {
        let place =
            format!("Secret {}, key {}", self.token.spec.secret_ref.name, self.token.spec.secret_ref.key);
        let next = report::clock(next);
        let message = match &fault.kind {
            FaultKind::TokenRefused => format!(
                "{fault}; create a new token in the vendor's console and put it into {place}; picked up at once, otherwise tried again at {next}"
            ),
            FaultKind::Forbidden => format!(
                "{fault}; check that spec.vendor names the organization the token in {place} belongs to, and what the token may do; tried again at {next}"
            ),
            FaultKind::NotFound => {
                format!("{fault}; check spec.vendor and spec.endpoint; tried again at {next}")
            }
            FaultKind::Unreachable(_)
            | FaultKind::Redirected { .. }
            | FaultKind::Strange(_)
            | FaultKind::TooLarge { .. } => {
                format!("{fault}; check spec.endpoint and what stands between; tried again at {next}")
            }
            _ => format!("{fault}; tried again at {next}"),
        };
        Verdict::reconciling(fault.reason(), message)
    }

    /// Keys whose entries in the listing differ from the last one's, keys whose status names one that the listing
    /// lacks, and keys for which the last one was begun too early to be believed; all of them after the first listing.
    fn wake_changed(&self, before: Option<&Listing>, after: &Listing) {
        let marks = before.map(|before| changed_marks(before, after));
        let listed: HashSet<&str> = after.keys.iter().map(|key| key.id.0.as_str()).collect();
        let (namespace, name) = (self.namespace(), self.token.name_any());
        let missing = |it: &GatewayApiKey| {
            let id = it.status.as_ref().and_then(|status| status.id.as_deref());
            id.is_some_and(|id| !listed.contains(id))
        };
        let unbelieved = |it: &GatewayApiKey| {
            let floor = self.context.memory.floor(&it.uid().unwrap_or_default());
            floor.is_some() && floor >= before.map(|before| before.as_of)
        };
        let refers = |it: &GatewayApiKey| {
            it.namespace().as_deref() == Some(&namespace)
                && it.spec.console_token_ref.name == name
                && marks.as_ref().is_none_or(|marks| {
                    let external = it.spec.external_id.as_ref().is_some_and(|id| marks.contains(id));
                    external
                        || marks.contains(&self.context.mark(it).to_string())
                        || missing(it)
                        || unbelieved(it)
                })
        };
        for key in watch::select(&self.context.stores.keys, refers) {
            let _ = self.context.wakers.keys.send(key);
        }
    }

    /// One listing serves every deposit of the account; there is none where nobody deposits anything.
    async fn poll_deposits(&self, account: &Account) {
        let (namespace, name) = (self.namespace(), self.token.name_any());
        let refers = |it: &ProviderKey| {
            it.namespace().as_deref() == Some(&namespace) && it.spec.console_token_ref.name == name
        };
        if watch::select(&self.context.stores.deposits, refers).is_empty() {
            return;
        }
        let view = match account.deposits().await {
            Ok(view) => view,
            Err(fault) => {
                tracing::debug!(%fault, "deposits could not be listed; they are with the next poll");
                return;
            }
        };
        let differs =
            |it: &ProviderKey| refers(it) && it.status.as_ref().is_some_and(|status| view.differs(status));
        for deposit in watch::select(&self.context.stores.deposits, differs) {
            let _ = self.context.wakers.deposits.send(deposit);
        }
    }

    fn wake_dependants(&self) {
        let (namespace, name) = (self.namespace(), self.token.name_any());
        let ours = |place: Option<String>, reference: &str| {
            place.as_deref() == Some(&namespace) && reference == name
        };
        let keys = |it: &GatewayApiKey| ours(it.namespace(), &it.spec.console_token_ref.name);
        for key in watch::select(&self.context.stores.keys, keys) {
            let _ = self.context.wakers.keys.send(key);
        }
        let deposits = |it: &ProviderKey| ours(it.namespace(), &it.spec.console_token_ref.name);
        for deposit in watch::select(&self.context.stores.deposits, deposits) {
            let _ = self.context.wakers.deposits.send(deposit);
        }
    }

    async fn publish(&mut self, verdict: &Verdict, wake: Option<Timestamp>) -> Result<Pass, Error> {
        let now = self.context.clock.now();
        let generation = self.token.metadata.generation;
        let mut status = self.token.status.clone().unwrap_or_default();
        status.observed_generation = generation;
        status.last_handled_reconcile_at = object::requested(self.token.as_ref()).cloned();
        if let Some(capabilities) = (self.context.settings.vendors.capabilities)(&self.token.spec.vendor) {
            status.vendor = Some(capabilities.name.to_owned());
            status.endpoint =
                Some(self.token.spec.endpoint.clone().unwrap_or_else(|| capabilities.endpoint.to_owned()));
        }
        status.orphans = self.context.sweeps.count(&self.token.uid().unwrap_or_default(), status.orphans);
        let mut notices = Vec::new();
        if verdict.apply(&mut status.conditions, generation, now) {
            let (reason, note) = (verdict.reason.as_str(), verdict.message.clone());
            notices.push(if verdict.ready {
                Notice::news(reason, note)
            } else {
                Notice::warning(reason, note)
            });
        }
        let wake = match token::expiry(&self.token, now) {
            None => {
                status.conditions.retain(|it| it.type_ != EXPIRING_SOON);
                wake
            }
            Some((expiring, look_again)) => {
                let notice = Notice::warning("ExpiringSoon", expiring.message.clone());
                if condition::set(&mut status.conditions, expiring.clone(), now) && expiring.status == "True"
                {
                    notices.push(notice);
                }
                [wake, look_again].into_iter().flatten().min()
            }
        };
        match object::publish(&self.context.client, self.token.as_ref(), &status).await {
            Ok(Some(token)) => self.wrote(token),
            Ok(None) => {}
            Err(error) => return stale_or(error),
        }
        for notice in notices {
            self.context.notify(self.token.as_ref(), notice);
        }
        Ok(Pass::Rest(wake))
    }

    /// Stays until nothing needs it any more to clean up. Asked of the API server, not of a cache.
    async fn retire(&mut self) -> Result<Pass, Error> {
        let (namespace, name) = (self.namespace(), self.token.name_any());
        if !object::has_finalizer(self.token.as_ref()) {
            self.forget();
            return Ok(Pass::Rest(None));
        }
        // What depends on it needs a working account to clean up: after a restart nobody has looked at it yet, and a
        // refused token may have been replaced meanwhile.
        let before = self.context.accounts.standing(&namespace, &name);
        if before.as_ref().is_none_or(|it| it.usable().is_err())
            && let Ok((account, fingerprint)) = self.connect(before.as_ref()).await?
        {
            let finding = self.verify(account, fingerprint).await;
            self.take(finding.account, finding.fingerprint, Ok(()));
        }
        let forced = object::annotation(self.token.as_ref(), FORCE_ORPHAN).is_some();
        let dependants = if forced { Vec::new() } else { self.dependants().await? };
        if dependants.is_empty() {
            return match object::release(&self.context.client, self.token.as_ref()).await {
                Err(error) if !cluster::is_missing(&error) => stale_or(error),
                _ => {
                    self.forget();
                    Ok(Pass::Rest(None))
                }
            };
        }
        let shown = dependants.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = dependants.len().saturating_sub(3);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!(
            "kept until these are gone, which need it to clean up: {shown}{more}; delete them, or leave this token in place, or let it go by the annotation keysmith.dev/force-orphan: \
             they can then not be cleaned up at the vendor"
        );
        let verdict = Verdict::reconciling(Reason::InUse, message).still_ready(self.is_ready());
        let next = retry::plus(self.context.clock.now(), SignedDuration::from_secs(30));
        self.publish(&verdict, Some(next)).await
    }

    async fn dependants(&self) -> Result<Vec<String>, Error> {
        let namespace = self.namespace();
        let selector = format!("spec.consoleTokenRef.name={}", self.token.name_any());
        let params = ListParams::default().fields(&selector);
        let keys: Api<kube::core::PartialObjectMeta<GatewayApiKey>> =
            Api::namespaced(self.context.client.clone(), &namespace);
        let deposits: Api<kube::core::PartialObjectMeta<ProviderKey>> =
            Api::namespaced(self.context.client.clone(), &namespace);
        let mut names: Vec<_> =
            keys.list(&params).await?.iter().map(|it| format!("GatewayApiKey {}", it.name_any())).collect();
        names.extend(deposits.list(&params).await?.iter().map(|it| format!("ProviderKey {}", it.name_any())));
        Ok(names)
    }
}

/// Recognises a credential, where it goes and as whom, without holding any of it.
fn fingerprint(token: &ConsoleToken, base: &str, secret: &SecretString) -> String {
    let vendor = serde_json::to_string(&token.spec.vendor).unwrap_or_default();
    let gateway_url = token.spec.gateway_url.clone().unwrap_or_default();
    let uid = token.uid().unwrap_or_default();
    let credential = gateway::http::fingerprint(secret, &uid);
    hash::base32(
        &[uid.as_bytes(), base.as_bytes(), vendor.as_bytes(), gateway_url.as_bytes(), credential.as_bytes()],
        26,
    )
}

/// Marks of ours, and ids of unmarked keys, whose keys appeared, went, or changed in a way that somebody would act on.
fn changed_marks(before: &Listing, after: &Listing) -> HashSet<String> {
    let digest = |listing: &Listing| {
        let mut marks: HashMap<String, Vec<String>> = HashMap::new();
        for key in &listing.keys {
            // A key without a mark may be one that somebody looks at by its id.
            let mark = crate::plan::naming::Mark::parse(&key.name);
            let mark = mark.map_or_else(|| key.id.0.clone(), |(mark, _)| mark.to_string());
            let used = report::to_the_hour(None, key.last_used_at);
            let entry = format!("{} {} {:?} {used:?} {:?}", key.id, key.name, key.expires_at, key.shown);
            marks.entry(mark).or_default().push(entry);
        }
        marks
    };
    let (before, after) = (digest(before), digest(after));
    let names: HashSet<_> = before.keys().chain(after.keys()).cloned().collect();
    names.into_iter().filter(|mark| before.get(mark) != after.get(mark)).collect()
}
