//! An account: one ConsoleToken's way to its vendor. Every call goes through the token's breaker and the account's
//! budget, and is counted. Budget and listings are shared by all tokens of an account (`shares`): a listing serves the
//! keys of each token that has proved itself by a listing of its own.

use super::breaker::Breaker;
use super::budget::Purpose;
use super::operation::Operation;
pub use super::shares::Listing;
use super::shares::{ListingId, Membership, Newest, Shared};
use super::{Amendment, CreatedProviderKey, Gateway, Minted, Order, Project, ProviderKeyOrder};
use crate::api::project_settings::ProjectValues;
use crate::plan::capability::Capabilities;
use crate::plan::facts::{KeyId, Listed, OwnKey, View, happened};
use crate::plan::fault::{Fault, FaultKind};
use crate::plan::naming::Identity;
use crate::plan::provider_key::ProviderKeyListing;
use crate::plan::retry;
use crate::plan::usage::{Money, Span, Spent};
use crate::runtime::clock::Clock;
use crate::runtime::metrics::Metrics;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A token proves itself by a listing of its own this often, or with each poll where polls are rarer, whatever other tokens
/// of the account list.
const PROOF: SignedDuration = SignedDuration::from_hours(1);

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
    breaker: Breaker,
    alarm: Alarm,
    clock: Clock,
    metrics: Metrics,
    membership: Membership,
    /// What belongs to the account. Another one once the vendor told whose it is.
    shared: Mutex<Arc<Shared>>,
    /// Whose account it is, once the vendor was asked.
    whose: tokio::sync::OnceCell<Option<String>>,
    proof: Mutex<Proof>,
    latest_spent: Mutex<Option<Arc<Spent>>>,
    /// When spending was asked for last, with success or without.
    usage_asked: Mutex<Option<Timestamp>>,
}

/// What this token itself was seen to be good for.
#[derive(Default)]
struct Proof {
    /// When its own last listing was begun.
    keys: Option<Timestamp>,
    /// When its own last listing of provider keys was begun.
    provider_keys: Option<Timestamp>,
    /// The listing that the dependants of this token were last compared with.
    compared: Option<Arc<Listing>>,
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
    /// By which it meets the other tokens of the account.
    pub membership: Membership,
}

/// A turn in line, for the call that makes one key or one deposit.
#[must_use]
pub struct Permit(());

impl Account {
    /// An account that has not called anybody yet.
    pub fn new(parts: Parts) -> Self {
        let capabilities = parts.gateway.capabilities();
        let shared = parts.membership.shares.of(&parts.membership.id, capabilities, &parts.clock);
        Self {
            gateway: parts.gateway,
            gateway_url: parts.gateway_url,
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

    /// Shares with the tokens of the same account from now on, if the vendor tells which one it is. Only a token that the
    /// vendor was seen to accept does: anybody can name an organization.
    pub async fn join(&self) -> Result<(), Fault> {
        if self.proof().keys.is_none() {
            return Ok(());
        }
        let Some(told) = self.whose().await? else {
            return Ok(());
        };
        let Membership { shares, id } = &self.membership;
        let account = shares.of(&id.told(&told), self.capabilities(), &self.clock);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.capabilities().lists_whole_account {
            *shared = shared.with_budget_of(&account);
        } else if !Arc::ptr_eq(&shared, &account) {
            if let Some(listing) = shared.keys.get() {
                account.keys.put(&listing);
            }
            *shared = account;
        }
        Ok(())
    }

    /// What its listings show: which account, and whose keys of it.
    pub fn lists(&self) -> Arc<ListingId> {
        Arc::clone(&self.shared().id)
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
    pub async fn permit(&self) -> Result<Permit, Fault> {
        self.turn(Purpose::Ordinary).await?;
        Ok(Permit(()))
    }

    /// The newest listing of the account, if there is one. A token that the vendor refuses, or that has not proved itself,
    /// has no part in what other tokens list.
    pub fn latest(&self) -> Option<Arc<Listing>> {
        let trusted = self.breaker.check().is_ok() && self.proof().keys.is_some();
        let shared = trusted.then(|| self.shared().keys.get()).flatten();
        shared.or_else(|| self.proof().compared.clone())
    }

    /// Until when listings of other tokens of the account do for this one. `None`: it lists by itself now, for it never
    /// did, was refused since, or did so too long ago.
    pub fn proven_until(&self, poll: SignedDuration) -> Option<Timestamp> {
        self.breaker.check().ok()?;
        let proven = self.proof().keys.map(|it| retry::plus(it, PROOF.max(poll)));
        proven.filter(|until| *until > self.clock.now())
    }

    /// The dependants of this token were compared with that listing, whoever made it.
    pub fn has_compared(&self, listing: &Arc<Listing>) {
        self.proof().compared = Some(Arc::clone(listing));
    }

    /// A listing begun after `since`: a recent one, one that is under way, or a new one.
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
        // What was begun after we had come failed for us as well: a vendor in trouble is not asked by everybody.
        if let Some((_, fault)) = failed.as_ref().filter(|(number, _)| *number > begun) {
            return Err(fault.clone());
        }
        self.turn(Purpose::Ordinary).await?;
        self.fetch(&shared.keys, &mut failed).await
    }

    /// The one call that goes out while the breaker is open. An answer closes it.
    pub async fn probe(&self) -> Result<Arc<Listing>, Fault> {
        let shared = self.shared();
        let mut failed = shared.keys.flight.lock().await;
        shared.budget.turn(Purpose::Ordinary).await?;
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
        let listing = Arc::new(Listing { as_of, keys: listed });
        keys.put(&listing);
        Ok(listing)
    }

    /// Whose account the token leads to, where the vendor tells. Asked once, and again after a fault.
    pub async fn whose(&self) -> Result<Option<String>, Fault> {
        let ask = || self.call(Operation::Whose, self.gateway.whose());
        self.whose.get_or_try_init(ask).await.cloned()
    }

    /// Whose account it is, as the vendor told of the same credential before: it need not be asked again.
    pub fn was_told(&self, whose: &str) {
        // Where it was asked in this process, that answer stands.
        let _ = self.whose.set(Some(whose.to_owned()));
    }

    /// One key. `None`: the vendor says it is gone.
    pub async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        let key = self.call(Operation::Get, self.gateway.get(id)).await?;
        Ok(key.map(|key| key.as_of(self.clock.now())))
    }

    /// The same, as part of a revocation: before a key is touched it is looked at, and neither waits for a pause.
    pub async fn get_to_revoke(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        let key = self.revocation(Operation::Get, self.gateway.get(id)).await?;
        Ok(key.map(|key| key.as_of(self.clock.now())))
    }

    /// Makes a key: one request, whatever happens.
    pub async fn mint(&self, order: &Order, _: &Permit) -> Result<Minted, Fault> {
        let minted = self.admitted(Operation::Mint, self.gateway.mint(order)).await?;
        Ok(self.dated(minted))
    }

    fn dated(&self, minted: Minted) -> Minted {
        Minted { key: minted.key.as_of(self.clock.now()), ..minted }
    }

    /// Makes the key of an order out of one that was never delivered. `None`: it cannot be used for that.
    pub async fn reissue(&self, id: &KeyId, order: &Order, _: &Permit) -> Result<Option<Minted>, Fault> {
        let Some(vendor) = self.gateway.another_secret() else { return Ok(None) };
        let minted = self.admitted(Operation::Reissue, vendor.reissue(id, order)).await?;
        Ok(minted.map(|minted| self.dated(minted)))
    }

    /// The secret of an existing key, where the vendor shows it (`Recovery::Reveal`). `None`: the vendor says the key is
    /// gone.
    pub async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        self.call(Operation::Recover, able(self.gateway.reveal())?.recover(id)).await
    }

    /// Changes settings of a key.
    pub async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        self.call(Operation::Amend, self.gateway.amend(id, amendment)).await
    }

    /// Removes a key; one that is gone already is a success.
    pub async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        self.revocation(Operation::Revoke, self.gateway.revoke(id)).await
    }

    /// Every deposit.
    pub async fn list_provider_keys(&self) -> Result<ProviderKeyListing, Fault> {
        let shared = self.shared();
        let as_of = self.clock.now();
        let keys = self.call(Operation::ListProviderKeys, able(self.gateway.provider_keys())?.list()).await?;
        self.proof().provider_keys = Some(as_of);
        let view = Arc::new(ProviderKeyListing { as_of, keys });
        shared.provider_keys.put(&view);
        Ok(view.as_ref().clone())
    }

    /// A listing of provider_keys begun after `since`, by another token of the account if this one was allowed the same within
    /// the last hour.
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

    /// The newest listing of provider_keys, if there is one that this token may know.
    pub fn latest_provider_keys(&self) -> Option<Arc<ProviderKeyListing>> {
        let trusted = self.breaker.check().is_ok() && self.proof().provider_keys.is_some();
        trusted.then(|| self.shared().provider_keys.get()).flatten()
    }

    /// What keys spent within the span, those named here at least. `None`: the vendor does not tell.
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
        let Some(vendor) = self.gateway.credit() else { return Ok(None) };
        self.call(Operation::Balance, vendor.balance()).await
    }

    /// The settings of the project.
    pub async fn project(&self) -> Result<Project, Fault> {
        self.call(Operation::ProjectSettings, able(self.gateway.projects())?.read()).await
    }

    /// Changes settings of the project that was just read.
    pub async fn change_project(&self, project: Project, wanted: &ProjectValues) -> Result<(), Fault> {
        self.call(Operation::ChangeProjectSettings, able(self.gateway.projects())?.write(project, wanted))
            .await
    }

    /// Deposits a credential: one request, whatever happens.
    pub async fn create_provider_key(
        &self,
        order: &ProviderKeyOrder,
        _: &Permit,
    ) -> Result<CreatedProviderKey, Fault> {
        let made = self
            .admitted(Operation::CreateProviderKey, able(self.gateway.provider_keys())?.deposit(order))
            .await?;
        Ok(CreatedProviderKey { created_at: happened(made.created_at, self.clock.now()), ..made })
    }

    /// Tries to change what a deposit is assigned to.
    pub async fn assign_provider_key(&self, id: &KeyId, keys: &[KeyId]) -> Result<(), Fault> {
        self.call(Operation::AssignProviderKey, able(self.gateway.provider_keys())?.reassign(id, keys)).await
    }

    /// Tries to remove a deposit.
    pub async fn delete_provider_key(&self, id: &KeyId) -> Result<(), Fault> {
        self.revocation(Operation::DeleteProviderKey, able(self.gateway.provider_keys())?.remove(id)).await
    }

    /// Waits for a turn. The breaker is asked before and after, because it may open meanwhile.
    async fn turn(&self, purpose: Purpose) -> Result<(), Fault> {
        self.breaker.check()?;
        self.shared().budget.turn(purpose).await?;
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
        self.shared().budget.open()?;
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
            match fault.kind {
                FaultKind::Throttled { until } => self.shared().budget.pause(until),
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

/// An ability that is asked for only where the table of capabilities has it: that drivers agree with their tables is
/// tested, so that this is refused by no vendor.
fn able<T>(ability: Option<T>) -> Result<T, Fault> {
    ability.ok_or(Fault::without_effect(FaultKind::Malformed("the vendor has no such call")))
}

/// A listing failed. That the vendor refuses this token says nothing to the others.
fn note(failed: &mut Option<(u64, Fault)>, number: u64, fault: &Fault) {
    if !fault.blames_token() {
        *failed = Some((number, fault.clone()));
    }
}
