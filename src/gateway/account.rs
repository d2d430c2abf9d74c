//! An account as one console token reaches it. Every call but a probe goes through the token's circuit breaker, every call
//! goes through the account's rate limit, and is counted. Rate limit and listings are shared by all tokens of an account (`shares`): a
//! listing serves every token that has proven its access by a listing of its own.

mod calls;

use super::breaker::Breaker;
use super::budget::Purpose;
use super::http::hidden_is_none;
use super::operation::Operation;
pub use super::shares::Listing;
use super::shares::{ListingId, Membership, Newest, Shared};
use super::{Gateway, Rank};
use crate::plan::capability::Capabilities;
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::listing::{KeyId, happened};
use crate::plan::models::Catalog;
use crate::plan::provider_key::ProviderKeyListing;
use crate::plan::retry;
use crate::plan::usage::Span;
use crate::plan::usage::Spent;
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;
use crate::runtime::traces;
use jiff::{SignedDuration, Timestamp};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Interval at which a token has to prove its access by a listing of its own, even if other tokens of the account
/// list more often. Where polls are rarer, every poll is such a listing.
const PROOF: SignedDuration = SignedDuration::from_hours(1);

/// Called when a rejection opens the breaker, so that the ConsoleToken is probed.
pub type Alarm = Box<dyn Fn() + Send + Sync>;

/// An account as one console token reaches it.
pub struct Account {
    gateway: Box<dyn Gateway>,
    gateway_url: String,
    /// Calls per second that this token is given; `None` is the driver's number.
    given: Mutex<Option<u32>>,
    /// As long as this is not dropped, `given` counts for the rate limit of the account.
    alive: Arc<()>,
    breaker: Breaker,
    alarm: Alarm,
    clock: Clock,
    metrics: Metrics,
    membership: Membership,
    /// The state shared by the tokens of the account. It is replaced once the vendor returns the account's id.
    shared: Mutex<Arc<Shared>>,
    /// The account's id, once the vendor was asked for it.
    whose: tokio::sync::OnceCell<Option<String>>,
    proof: Mutex<Proof>,
    latest_spent: Mutex<Option<Arc<Spent>>>,
    /// Time of the last usage call, whether or not it succeeded.
    usage_asked: Mutex<Option<Timestamp>>,
}

/// Calls by which this token itself has proven its access.
#[derive(Default)]
struct Proof {
    /// When its own last listing of keys began.
    keys: Option<Timestamp>,
    /// When its own last listing of provider keys began.
    provider_keys: Option<Timestamp>,
    /// The listing that the dependents of this token were last compared with.
    compared: Option<Arc<Listing>>,
    /// The listing of models that the keys of this token were last compared with.
    models: Option<Arc<Catalog>>,
}

/// Inputs of an account.
pub struct Parts {
    /// The vendor's driver.
    pub gateway: Box<dyn Gateway>,
    /// Base URL for applications, without a trailing slash.
    pub gateway_url: String,
    /// Called when a rejection opens the breaker.
    pub alarm: Alarm,
    /// The clock.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Metrics,
    /// How the account finds the other tokens of the same account.
    pub membership: Membership,
}

/// A rate-limit permit for the call that creates one key or one provider key.
#[must_use]
pub struct Permit(());

impl Account {
    /// An account without any call yet.
    pub fn new(parts: Parts) -> Self {
        let capabilities = parts.gateway.capabilities();
        let shared = parts.membership.shares.of(&parts.membership.id, capabilities, &parts.clock);
        Self {
            gateway: parts.gateway,
            gateway_url: parts.gateway_url,
            given: Mutex::default(),
            alive: Arc::default(),
            breaker: Breaker::default(),
            alarm: parts.alarm,
            clock: parts.clock,
            metrics: parts.metrics,
            membership: parts.membership,
            shared: Mutex::new(shared),
            whose: tokio::sync::OnceCell::new(),
            proof: Mutex::default(),
            latest_spent: Mutex::default(),
            usage_asked: Mutex::default(),
        }
    }

    fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn proof(&self) -> MutexGuard<'_, Proof> {
        self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, shares state with the tokens of the same account, if the vendor returns the account's id. The
    /// token must have proven its access first: without that check, any token could name any organization.
    pub async fn join(&self) -> Result<(), Fault> {
        if self.proof().keys.is_none() {
            return Ok(());
        }
        let Some(known) = self.whose().await? else {
            return Ok(());
        };
        let Membership { shares, id } = &self.membership;
        let account = shares.of(&id.of_account(&known), self.capabilities(), &self.clock);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.budget.give(&self.alive, None);
        if !self.capabilities().lists_whole_account {
            *shared = shared.with_budget_of(&account);
        } else if !Arc::ptr_eq(&shared, &account) {
            if let Some(listing) = shared.keys.get() {
                account.keys.put(&listing);
            }
            *shared = account;
        }
        let given = *self.given.lock().unwrap_or_else(PoisonError::into_inner);
        shared.budget.give(&self.alive, given);
        Ok(())
    }

    /// What the account's listings contain: which account, and which collection of keys.
    pub fn lists(&self) -> Arc<ListingId> {
        Arc::clone(&self.shared().id)
    }

    /// Sets the calls per second that this token is given; `None` is the driver's number.
    pub fn give_rate(&self, calls_per_second: Option<u32>) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = calls_per_second;
        self.shared().budget.give(&self.alive, calls_per_second);
    }

    /// The calls per second that the account may make.
    pub fn calls_per_second(&self) -> u32 {
        self.shared().budget.calls_per_second()
    }

    /// Until when the vendor wants no ordinary calls. `None`: it takes them.
    pub fn paused_until(&self) -> Option<Timestamp> {
        self.shared().budget.paused_until()
    }

    /// Capabilities of the vendor.
    pub fn capabilities(&self) -> &'static Capabilities {
        self.gateway.capabilities()
    }

    /// Base URL for applications, without a trailing slash.
    pub fn gateway_url(&self) -> &str {
        &self.gateway_url
    }

    /// Whether the breaker lets a call through: checked before a claim, so that no serial is wasted.
    pub fn usable(&self) -> Result<(), Fault> {
        self.breaker.check()
    }

    /// Waits for a rate-limit permit, before the claim. Waiting after the claim could take longer than the claim
    /// allows, and waste the serial.
    pub async fn permit(&self) -> Result<Permit, Fault> {
        self.acquire_permit(Purpose::Ordinary).await?;
        Ok(Permit(()))
    }

    /// Whether calls are held back because the vendor refused the token.
    pub fn is_held_back(&self) -> bool {
        self.breaker.check().is_err()
    }

    /// Whether calls are not held back any more, since this was asked last.
    pub fn take_recovered(&self) -> bool {
        self.breaker.take_recovered()
    }

    /// When the newest listing of the account began, whichever token made it.
    pub fn listed_at(&self) -> Option<Timestamp> {
        self.shared().keys.get().map(|it| it.as_of)
    }

    /// The newest listing of the account, if there is one. A token that the vendor rejects, or that has not proven
    /// its access, does not get the listings of other tokens: it keeps the one that its resources were last compared with.
    pub fn latest(&self) -> Option<Arc<Listing>> {
        let trusted = self.breaker.check().is_ok() && self.proof().keys.is_some();
        let shared = trusted.then(|| self.shared().keys.get()).flatten();
        shared.or_else(|| self.proof().compared.clone())
    }

    /// Until when the listings of other tokens of the account are sufficient for this token. `None`: this token has
    /// to list now, because it never did, was rejected since, or did so too long ago.
    pub fn proven_until(&self, poll: SignedDuration) -> Option<Timestamp> {
        self.breaker.check().ok()?;
        let proven = self.proof().keys.map(|it| retry::plus(it, PROOF.max(poll)));
        proven.filter(|until| *until > self.clock.now())
    }

    /// Records the listing that the dependents of this token were compared with, whichever token made it.
    pub fn has_compared(&self, listing: &Arc<Listing>) {
        self.proof().compared = Some(Arc::clone(listing));
    }

    /// A listing that began after `since`: a recent one, one in progress, or a new one.
    pub async fn list(&self, since: Timestamp) -> Result<Arc<Listing>, Fault> {
        self.breaker.check()?;
        let shared = self.shared();
        let trusted = || self.proof().keys.is_some();
        let recent = || shared.keys.get().filter(|it| it.as_of > since && trusted());
        if let Some(listing) = recent() {
            return Ok(listing);
        }
        let begun = shared.keys.begun();
        let mut failed = shared.keys.flight.lock().await;
        self.breaker.check()?;
        if let Some(listing) = recent() {
            return Ok(listing);
        }
        // If a listing that started after we queued has failed, share its fault: N waiting callers must not send N
        // requests to a vendor in trouble.
        if let Some((_, fault)) = failed.as_ref().filter(|(number, _)| *number > begun) {
            return Err(fault.clone());
        }
        self.acquire_permit(Purpose::Ordinary).await?;
        self.fetch(&shared.keys, &mut failed).await
    }

    /// The one call that is sent while the breaker is open. A complete listing closes the breaker.
    pub async fn probe(&self) -> Result<Arc<Listing>, Fault> {
        let shared = self.shared();
        let mut failed = shared.keys.flight.lock().await;
        shared.budget.acquire(Purpose::Ordinary).await?;
        self.fetch(&shared.keys, &mut failed).await
    }

    async fn fetch(
        &self,
        keys: &Newest<Listing>,
        failed: &mut Option<(u64, Fault)>,
    ) -> Result<Arc<Listing>, Fault> {
        let number = keys.begin();
        let as_of = self.clock.now();
        let listed = self.counted(Operation::List, self.gateway.list()).await;
        let listed = listed.inspect_err(|fault| note(failed, number, fault))?;
        self.breaker.close();
        self.proof().keys = Some(as_of);
        let now = self.clock.now();
        let listed = listed.into_iter().map(|key| key.as_of(now)).collect();
        let listing = Arc::new(Listing::new(as_of, listed));
        keys.put(&listing);
        Ok(listing)
    }

    /// The account's id, where the vendor returns it. Asked once, and again after a fault.
    pub async fn whose(&self) -> Result<Option<String>, Fault> {
        let ask = || self.call(Operation::Whose, self.gateway.whose());
        self.whose.get_or_try_init(ask).await.cloned()
    }

    /// The rank of the token, where the vendor has several.
    pub async fn rank(&self) -> Result<Option<Rank>, Fault> {
        self.call(Operation::Whose, self.gateway.rank()).await
    }

    /// Sets the account's id that the vendor returned for the same token before, so that it is not asked again.
    pub fn set_whose(&self, whose: &str) {
        // An answer from this process takes precedence.
        let _ = self.whose.set(Some(whose.to_owned()));
    }

    /// Every provider key.
    pub async fn list_provider_keys(&self) -> Result<ProviderKeyListing, Fault> {
        let shared = self.shared();
        let as_of = self.clock.now();
        let keys = self.call(Operation::ListProviderKeys, able(self.gateway.provider_keys())?.list()).await?;
        self.proof().provider_keys = Some(as_of);
        let view = Arc::new(ProviderKeyListing { as_of, keys });
        shared.provider_keys.put(&view);
        Ok(view.as_ref().clone())
    }

    /// A listing of provider keys that began after `since`. It may come from another token of the account, if this
    /// token was allowed to list provider keys within the last hour.
    pub async fn provider_keys_since(&self, since: Timestamp) -> Result<Arc<ProviderKeyListing>, Fault> {
        self.breaker.check()?;
        let shared = self.shared();
        let trusted = || {
            let proven = self.proof().provider_keys.map(|it| retry::plus(it, PROOF));
            proven.is_some_and(|until| until > self.clock.now())
        };
        let recent = || shared.provider_keys.get().filter(|it| it.as_of > since && trusted());
        if let Some(view) = recent() {
            return Ok(view);
        }
        let _flight = shared.provider_keys.flight.lock().await;
        match recent() {
            Some(view) => Ok(view),
            None => self.list_provider_keys().await.map(Arc::new),
        }
    }

    /// The newest listing of provider keys, if there is one that this token is allowed to see.
    pub fn latest_provider_keys(&self) -> Option<Arc<ProviderKeyListing>> {
        let trusted = self.breaker.check().is_ok() && self.proof().provider_keys.is_some();
        trusted.then(|| self.shared().provider_keys.get()).flatten()
    }

    /// The models that the vendor lists, by a reading that began after `since`. `None`: it does not show them to this token.
    pub async fn models_since(&self, since: Timestamp) -> Result<Option<Arc<Catalog>>, Fault> {
        let Some(vendor) = self.gateway.models() else { return Ok(None) };
        let shared = self.shared();
        let recent = || shared.models.get().filter(|it| it.as_of > since);
        if let Some(known) = recent() {
            return Ok(Some(known));
        }
        let _flight = shared.models.flight.lock().await;
        if let Some(known) = recent() {
            return Ok(Some(known));
        }
        shared.models.begin();
        let as_of = self.clock.now();
        let read = hidden_is_none(self.call(Operation::Models, vendor.catalog()).await)?.flatten();
        // An empty list is ignored: by it, every model would count as unknown.
        let read = read.filter(|names| !names.is_empty());
        let catalog = read.map(|names| Arc::new(Catalog::new(as_of, names)));
        if let Some(catalog) = &catalog {
            shared.models.put(catalog);
        }
        Ok(catalog)
    }

    /// Records that the keys of this token were compared with this listing of models. Returns whether they were before.
    pub fn has_compared_models(&self, catalog: &Arc<Catalog>) -> bool {
        let before = self.proof().models.replace(Arc::clone(catalog));
        before.is_some_and(|it| Arc::ptr_eq(&it, catalog))
    }

    /// The newest listing of models, if there is one.
    pub fn latest_models(&self) -> Option<Arc<Catalog>> {
        self.shared().models.get()
    }

    /// Whether the models were asked for, whatever the answer was.
    pub fn models_asked(&self) -> bool {
        self.gateway.models().is_none() || self.shared().models.begun() > 0
    }

    /// What keys spent within the span; the result covers at least the keys named here. `None`: the vendor does not
    /// return spending.
    pub async fn spending(&self, span: Span, keys: &[KeyId]) -> Result<Option<Arc<Spent>>, Fault> {
        let Some(vendor) = self.gateway.usage() else { return Ok(None) };
        let as_of = self.clock.now();
        let mut keys = self.call(Operation::Usage, vendor.spending(&span, keys)).await?;
        for key in &mut keys {
            key.last_used_at = happened(key.last_used_at, self.clock.now());
        }
        let spent = Arc::new(Spent { as_of, span, keys });
        *self.latest_spent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&spent));
        Ok(Some(spent))
    }

    /// When usage is due next. `None`: it is due now, and the caller has to read it.
    pub fn usage_due(&self, every: SignedDuration) -> Option<Timestamp> {
        let now = self.clock.now();
        let mut asked = self.usage_asked.lock().unwrap_or_else(PoisonError::into_inner);
        let next = asked.map(|asked| retry::plus(asked, every)).filter(|next| *next > now);
        if next.is_none() {
            *asked = Some(now);
        }
        next
    }

    /// The newest reading of usage, if there is one.
    pub fn latest_spent(&self) -> Option<Arc<Spent>> {
        self.latest_spent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a permit. The breaker is checked before and after, because it may open while the call waits.
    async fn acquire_permit(&self, purpose: Purpose) -> Result<(), Fault> {
        self.breaker.check()?;
        traces::permit(self.shared().budget.acquire(purpose)).await?;
        self.breaker.check()
    }

    async fn call<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.acquire_permit(Purpose::Ordinary).await?;
        self.counted(operation, call).await
    }

    /// A call that has its permit already. The vendor may have asked for a pause since.
    async fn permitted<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.breaker.check()?;
        self.shared().budget.open()?;
        self.counted(operation, call).await
    }

    async fn revocation<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.acquire_permit(Purpose::Revocation).await?;
        self.counted(operation, call).await
    }

    async fn counted<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let (vendor, call_name) = (self.capabilities().name, operation.label());
        let in_flight = self.metrics.vendor_call_begins(vendor, call_name);
        let outcome = |it: &Result<T, Fault>| it.as_ref().map_or_else(Fault::label, |_| "ok");
        let result = traces::call(vendor, call_name, call, outcome).await;
        drop(in_flight);
        let outcome = outcome(&result);
        self.metrics.vendor_call(vendor, call_name, outcome);
        self.metrics.listing_entries_skipped(vendor, self.gateway.take_skipped());
        if let Err(fault) = &result {
            tracing::debug!(vendor, call = call_name, %fault, "vendor call failed");
            match fault.kind {
                FaultKind::Throttled { until } => self.shared().budget.throttled(until),
                FaultKind::Failed { until: Some(until), .. } => self.shared().budget.pause(Some(until)),
                _ => {}
            }
            let elsewhere = fault.kind == FaultKind::Forbidden && !operation.forbidden_blames_token();
            if !elsewhere && self.breaker.learn(fault) {
                (self.alarm)();
            }
        }
        result
    }
}

/// An ability that the table of capabilities promises. A test checks drivers against their tables, so this fault
/// occurs with no vendor.
fn able<T>(ability: Option<T>) -> Result<T, Fault> {
    ability.ok_or(Fault::without_effect(FaultKind::Malformed("the vendor has no such call")))
}

/// Records that a listing failed. That the vendor rejects this token means nothing for the other tokens, so such a
/// fault is not shared.
fn note(failed: &mut Option<(u64, Fault)>, number: u64, fault: &Fault) {
    if !fault.blames_token() {
        *failed = Some((number, fault.clone()));
    }
}
