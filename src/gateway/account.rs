//! An account: one ConsoleToken's way to its vendor. Every call goes through its breaker and its budget, is
//! counted, and listings are shared: one serves everybody who waits for one.

use super::breaker::Breaker;
use super::budget::{Budget, Purpose};
use super::operation::Operation;
use super::{Amendment, DepositOrder, Deposited, Gateway, Minted, Order, Project, Projects, ProviderKeys};
use crate::api::project_settings::ProjectValues;
use crate::plan::capability::Capabilities;
use crate::plan::deposit::DepositView;
use crate::plan::facts::{KeyId, Listed, OwnKey, View};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::naming::Identity;
use crate::plan::retry;
use crate::plan::usage::{Money, Span, Spent};
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A complete listing.
pub struct Listing {
    /// When it was begun.
    pub as_of: Timestamp,
    /// Every key of the account.
    pub keys: Vec<Listed>,
}

impl Listing {
    /// The keys that carry one of these marks.
    pub fn view(&self, identity: &Identity) -> View {
        let own = self
            .keys
            .iter()
            .filter_map(|key| Some(OwnKey { serial: identity.serial_in(&key.name)?, key: key.clone() }))
            .collect();
        View { as_of: self.as_of, own }
    }
}

/// Called when a refusal opens the breaker, so that the ConsoleToken is probed.
pub type Alarm = Box<dyn Fn() + Send + Sync>;

/// One ConsoleToken's way to its vendor.
pub struct Account {
    gateway: Box<dyn Gateway>,
    gateway_url: String,
    budget: Budget,
    breaker: Breaker,
    alarm: Alarm,
    clock: Clock,
    metrics: Metrics,
    latest: Mutex<Option<Arc<Listing>>>,
    latest_deposits: Mutex<Option<Arc<DepositView>>>,
    latest_spent: Mutex<Option<Arc<Spent>>>,
    /// When spending was asked for last, with success or without.
    usage_asked: Mutex<Option<Timestamp>>,
    /// Held by whoever lists. The last listing that failed, by its number.
    listing: tokio::sync::Mutex<Option<(u64, Fault)>>,
    /// How many listings were begun.
    begun: AtomicU64,
}

/// What an account is made of.
pub struct Parts {
    /// The vendor.
    pub gateway: Box<dyn Gateway>,
    /// Base URL for applications, without a slash at its end.
    pub gateway_url: String,
    /// Called when a refusal opens the breaker.
    pub alarm: Alarm,
    /// The clock.
    pub clock: Clock,
    /// The counters.
    pub metrics: Metrics,
}

/// A turn in line, for the call that makes one key or one deposit.
#[must_use]
pub struct Turn(());

impl Account {
    /// An account that has not called anybody yet.
    pub fn new(parts: Parts) -> Self {
        let capabilities = parts.gateway.capabilities();
        Self {
            budget: Budget::new(capabilities.calls_per_second, capabilities.burst, parts.clock.clone()),
            gateway: parts.gateway,
            gateway_url: parts.gateway_url,
            breaker: Breaker::default(),
            alarm: parts.alarm,
            clock: parts.clock,
            metrics: parts.metrics,
            latest: Mutex::default(),
            latest_deposits: Mutex::default(),
            latest_spent: Mutex::default(),
            usage_asked: Mutex::default(),
            listing: tokio::sync::Mutex::default(),
            begun: AtomicU64::new(0),
        }
    }

    /// What the vendor can do.
    pub fn capabilities(&self) -> &'static Capabilities {
        self.gateway.capabilities()
    }

    /// Base URL for applications, without a slash at its end.
    pub fn gateway_url(&self) -> &str {
        &self.gateway_url
    }

    /// Whether a call has a chance now: asked before a claim, so that no serial is burnt for nothing.
    pub fn usable(&self) -> Result<(), Fault> {
        self.breaker.check()
    }

    /// Waits in line for a call that is made after a claim. Whoever waited after it would burn the serial where the line
    /// is long.
    pub async fn line_up(&self) -> Result<Turn, Fault> {
        self.turn(Purpose::Ordinary).await?;
        Ok(Turn(()))
    }

    /// The newest listing, if there is one.
    pub fn latest(&self) -> Option<Arc<Listing>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A listing begun after `since`: a recent one, one that is under way, or a new one.
    pub async fn list(&self, since: Timestamp) -> Result<Arc<Listing>, Fault> {
        let recent = || self.latest().filter(|it| it.as_of > since);
        if let Some(listing) = recent() {
            return Ok(listing);
        }
        let begun = self.begun.load(Ordering::Relaxed);
        let mut failed = self.listing.lock().await;
        if let Some(listing) = recent() {
            return Ok(listing);
        }
        // What was begun after we had come failed for us as well: a vendor in trouble is not asked by everybody.
        if let Some((_, fault)) = failed.as_ref().filter(|(number, _)| *number > begun) {
            return Err(fault.clone());
        }
        self.turn(Purpose::Ordinary).await?;
        self.fetch(&mut failed).await
    }

    /// The one call that goes out while the breaker is open. An answer closes it.
    pub async fn probe(&self) -> Result<Arc<Listing>, Fault> {
        let mut failed = self.listing.lock().await;
        self.budget.turn(Purpose::Ordinary).await?;
        self.fetch(&mut failed).await
    }

    async fn fetch(&self, failed: &mut Option<(u64, Fault)>) -> Result<Arc<Listing>, Fault> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let as_of = self.clock.now();
        let keys = self.counted(Operation::List, self.gateway.list()).await;
        let keys = keys.inspect_err(|fault| *failed = Some((number, fault.clone())))?;
        self.breaker.close();
        let listing = Arc::new(Listing { as_of, keys });
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&listing));
        Ok(listing)
    }

    /// Whose account the token leads to, where the vendor tells.
    pub async fn whose(&self) -> Result<Option<String>, Fault> {
        self.call(Operation::Whose, self.gateway.whose()).await
    }

    /// One key. `None`: the vendor says it is gone.
    pub async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        self.call(Operation::Get, self.gateway.get(id)).await
    }

    /// Makes a key: one request, whatever happens.
    pub async fn mint(&self, order: &Order, _: &Turn) -> Result<Minted, Fault> {
        self.admitted(Operation::Mint, self.gateway.mint(order)).await
    }

    /// Makes the key of an order out of one that was never delivered. `None`: it cannot be used for that.
    pub async fn reissue(&self, id: &KeyId, order: &Order, _: &Turn) -> Result<Option<Minted>, Fault> {
        self.admitted(Operation::Reissue, self.gateway.reissue(id, order)).await
    }

    /// The secret of an existing key. `None`: the vendor says the key is gone.
    pub async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        self.call(Operation::Recover, self.gateway.recover(id)).await
    }

    /// Changes settings of a key.
    pub async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        self.call(Operation::Amend, self.gateway.amend(id, amendment)).await
    }

    /// Removes a key; one that is gone already is a success.
    pub async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        self.revocation(Operation::Revoke, self.gateway.revoke(id)).await
    }

    fn provider_keys(&self) -> Result<&dyn ProviderKeys, Fault> {
        let none = Fault::without_effect(FaultKind::Strange("the vendor has no provider keys"));
        self.gateway.provider_keys().ok_or(none)
    }

    /// Every deposit.
    pub async fn deposits(&self) -> Result<DepositView, Fault> {
        let as_of = self.clock.now();
        let deposits = self.call(Operation::ListProviderKeys, self.provider_keys()?.list()).await?;
        let view = DepositView { as_of, deposits };
        *self.latest_deposits.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(view.clone()));
        Ok(view)
    }

    /// The newest listing of deposits, if there is one.
    pub fn latest_deposits(&self) -> Option<Arc<DepositView>> {
        self.latest_deposits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What keys spent within the span, those named here at least.
    pub async fn spending(&self, span: Span, keys: &[KeyId]) -> Result<Arc<Spent>, Fault> {
        let as_of = self.clock.now();
        let keys = self.call(Operation::Usage, self.gateway.spending(&span, keys)).await?;
        let spent = Arc::new(Spent { as_of, span, keys });
        *self.latest_spent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&spent));
        Ok(spent)
    }

    /// When spending may be asked for again. `None`: now, and whoever was told so does.
    pub fn usage_due(&self, every: SignedDuration) -> Option<Timestamp> {
        let now = self.clock.now();
        let mut asked = self.usage_asked.lock().unwrap_or_else(PoisonError::into_inner);
        let next = asked.map(|asked| retry::plus(asked, every)).filter(|next| *next > now);
        if next.is_none() {
            *asked = Some(now);
        }
        next
    }

    /// What was read last of spending, if anything was.
    pub fn latest_spent(&self) -> Option<Arc<Spent>> {
        self.latest_spent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the account has left, where the vendor tells.
    pub async fn balance(&self) -> Result<Option<Money>, Fault> {
        self.call(Operation::Balance, self.gateway.balance()).await
    }

    fn projects(&self) -> Result<&dyn Projects, Fault> {
        let none = Fault::without_effect(FaultKind::Strange("the vendor has no settings of projects"));
        self.gateway.projects().ok_or(none)
    }

    /// The settings of the project.
    pub async fn project(&self) -> Result<Project, Fault> {
        self.call(Operation::ProjectSettings, self.projects()?.read()).await
    }

    /// Changes settings of the project that was just read.
    pub async fn change_project(&self, project: Project, wanted: &ProjectValues) -> Result<(), Fault> {
        self.call(Operation::ChangeProjectSettings, self.projects()?.write(project, wanted)).await
    }

    /// Deposits a credential: one request, whatever happens.
    pub async fn deposit(&self, order: &DepositOrder, _: &Turn) -> Result<Deposited, Fault> {
        self.admitted(Operation::CreateProviderKey, self.provider_keys()?.deposit(order)).await
    }

    /// Tries to change what a deposit is assigned to.
    pub async fn reassign(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault> {
        self.call(Operation::AssignProviderKey, self.provider_keys()?.reassign(id, keys)).await
    }

    /// Tries to remove a deposit.
    pub async fn remove(&self, id: &KeyId) -> Result<(), Fault> {
        self.revocation(Operation::DeleteProviderKey, self.provider_keys()?.remove(id)).await
    }

    /// Waits for a turn. The breaker is asked before and after, because it may open meanwhile.
    async fn turn(&self, purpose: Purpose) -> Result<(), Fault> {
        self.breaker.check()?;
        self.budget.turn(purpose).await?;
        self.breaker.check()
    }

    async fn call<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.turn(Purpose::Ordinary).await?;
        self.counted(operation, call).await
    }

    /// A call that has had its turn. The vendor may have asked for a pause since.
    async fn admitted<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.breaker.check()?;
        self.budget.open()?;
        self.counted(operation, call).await
    }

    async fn revocation<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.turn(Purpose::Revocation).await?;
        self.counted(operation, call).await
    }

    async fn counted<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let result = call.await;
        let outcome = result.as_ref().map_or_else(Fault::label, |_| "ok");
        let (vendor, call) = (self.capabilities().name, operation.label());
        self.metrics.vendor_call(vendor, call, outcome);
        self.metrics.listing_entries_skipped(vendor, self.gateway.take_skipped());
        if let Err(fault) = &result {
            tracing::debug!(vendor, call, %fault, "vendor call failed");
            if let FaultKind::Throttled { until } = fault.kind {
                self.budget.pause(until);
            }
            let elsewhere = fault.kind == FaultKind::Forbidden && !operation.forbidden_blames_token();
            if !elsewhere && self.breaker.learn(fault) {
                (self.alarm)();
            }
        }
        result
    }
}
