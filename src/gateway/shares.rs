//! State of an account at a vendor that all its ConsoleTokens share: one rate limit with its pause, and the newest
//! listings. Vendors limit accounts, not tokens: eight namespaces with a rate limit each would be eight times too
//! fast.
//!
//! Rate limits outlast a leadership period, so that a pause does. Listings do not, because another replica may have
//! acted since.

use super::budget::{Budget, Rate};
use super::http;
use crate::api::console_token::Vendor;
use crate::plan::capability::Capabilities;
use crate::plan::fault::Fault;
use crate::plan::identity::{AccountId, VendorApi};
use crate::plan::listing::{Listed, Lookup, OwnKey, View};
use crate::plan::models::Catalog;
use crate::plan::naming::Identity;
use crate::plan::notice::Index;
use crate::plan::provider_key::ProviderKeyListing;
use crate::runtime::clock::Clock;
use jiff::Timestamp;
use secrecy::SecretString;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A complete listing.
pub struct Listing {
    /// When it began.
    pub as_of: Timestamp,
    /// Every key of the account.
    pub keys: Vec<Listed>,
    /// Finds keys in it.
    lookup: Lookup,
}

impl Listing {
    /// A listing of these keys, begun at that time.
    pub fn new(as_of: Timestamp, keys: Vec<Listed>) -> Self {
        let lookup = Lookup::new(&keys);
        Self { as_of, keys, lookup }
    }

    /// The ids of all keys.
    pub fn ids(&self) -> BTreeSet<&str> {
        self.keys.iter().map(|it| it.id.0.as_str()).collect()
    }

    /// The key with that id.
    pub fn key(&self, id: &str) -> Option<&Listed> {
        self.lookup.by_id(&self.keys, id)
    }

    /// The keys that carry one of the identity's marks.
    pub fn view(&self, identity: &Identity) -> View {
        let own = self.lookup.own(&self.keys, identity);
        let own = own.into_iter().map(|(serial, key)| OwnKey { serial, key: key.clone() }).collect();
        View { as_of: self.as_of, own }
    }

    /// The listing, to be compared with every resource.
    pub const fn index(&self) -> Index<'_> {
        Index::with(self.as_of, self.keys.as_slice(), &self.lookup)
    }
}

/// What is listed: an account, and which of its collections. A vendor may have several collections, each with a
/// driver of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListingId {
    /// The account.
    pub account: AccountId,
    /// `spec.vendor` of the ConsoleToken.
    vendor: String,
}

impl ListingId {
    /// The listing of the account with the id that the vendor returned.
    #[must_use]
    pub fn of_account(&self, account: &str) -> Self {
        let account = AccountId::organization(self.account.api().clone(), account);
        Self { account, ..self.clone() }
    }
}

/// State that all tokens of one account share.
pub struct Shared {
    /// What is listed.
    pub id: Arc<ListingId>,
    /// The rate limit of the account.
    pub budget: Arc<Budget>,
    /// Listings of keys.
    pub keys: Arc<Newest<Listing>>,
    /// Listings of provider keys.
    pub provider_keys: Arc<Newest<ProviderKeyListing>>,
    /// Listings of models.
    pub models: Arc<Newest<Catalog>>,
    /// Where the listings are those of a single credential: its original entry, which is kept alive so that other tokens with
    /// that credential find the listings.
    base: Option<Arc<Shared>>,
}

impl Shared {
    /// The rate limit of that account, with the listings of this credential: for a vendor that lists by user.
    #[must_use]
    pub fn with_budget_of(self: &Arc<Self>, account: &Self) -> Arc<Self> {
        Arc::new(Self {
            id: Arc::clone(&self.id),
            budget: Arc::clone(&account.budget),
            keys: Arc::clone(&self.keys),
            provider_keys: Arc::clone(&self.provider_keys),
            models: Arc::clone(&self.models),
            base: Some(self.base.clone().unwrap_or_else(|| Arc::clone(self))),
        })
    }
}

/// A listing with its time.
pub trait Dated {
    /// When it began.
    fn as_of(&self) -> Timestamp;
}

impl Dated for Listing {
    fn as_of(&self) -> Timestamp {
        self.as_of
    }
}

impl Dated for Catalog {
    fn as_of(&self) -> Timestamp {
        self.as_of
    }
}

impl Dated for ProviderKeyListing {
    fn as_of(&self) -> Timestamp {
        self.as_of
    }
}

/// The newest listing of one kind, and the lock that lets one caller at a time request a newer one.
pub struct Newest<T> {
    latest: Mutex<Option<Arc<T>>>,
    /// Lock of the caller that lists. Contains the last listing that failed, by its sequence number.
    pub flight: tokio::sync::Mutex<Option<(u64, Fault)>>,
    begun: AtomicU64,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self { latest: Mutex::default(), flight: tokio::sync::Mutex::default(), begun: AtomicU64::new(0) }
    }
}

impl<T: Dated> Newest<T> {
    /// The newest listing, if there is one.
    pub fn get(&self) -> Option<Arc<T>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores a listing, unless there is a newer one.
    pub fn put(&self, listing: &Arc<T>) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.as_ref().is_none_or(|it| it.as_of() <= listing.as_of()) {
            *latest = Some(Arc::clone(listing));
        }
    }

    /// Number of listings that were started.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Counts a listing that starts. Returns its sequence number.
    pub fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The shared state of all accounts of this process.
pub struct Shares {
    known: Mutex<Accounts>,
    /// Random per process: equal credentials have equal hashes here, but no hash can be compared with one of another
    /// process.
    salt: String,
}

#[derive(Default)]
struct Accounts {
    /// Vendors limit the account, whatever is listed of it.
    budgets: HashMap<AccountId, Arc<Budget>>,
    listings: HashMap<ListingId, Weak<Shared>>,
}

impl Default for Shares {
    fn default() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self { known: Mutex::default(), salt: format!("{:016x}{:016x}", random(), random()) }
    }
}

impl Shares {
    /// The account of a credential, before the vendor returned its id.
    pub fn of_credential(
        &self,
        vendor: &Vendor,
        driver: &str,
        endpoint: &str,
        secret: &SecretString,
    ) -> ListingId {
        let hash = http::fingerprint(secret, &self.salt);
        let account = AccountId::OfCredential { api: VendorApi::new(driver, endpoint), hash };
        ListingId { account, vendor: serde_json::to_string(vendor).unwrap_or_default() }
    }

    /// Forgets all listings. Existing accounts keep theirs.
    pub fn forget_listings(&self) {
        self.known().listings.clear();
    }

    /// The shared state of the tokens with this listing.
    pub fn of(&self, id: &ListingId, capabilities: &Capabilities, clock: &Clock) -> Arc<Shared> {
        let mut known = self.known();
        known.listings.retain(|_, shared| shared.strong_count() > 0);
        // An unused rate limit is kept only while it differs from a new one.
        known.budgets.retain(|_, budget| Arc::strong_count(budget) > 1 || !budget.is_full());
        if let Some(shared) = known.listings.get(id).and_then(Weak::upgrade) {
            return shared;
        }
        let new = || Arc::new(Budget::new(Rate::of(capabilities), clock.clone()));
        let budget = known.budgets.entry(id.account.clone()).or_insert_with(new);
        let shared = Arc::new(Shared {
            id: Arc::new(id.clone()),
            budget: Arc::clone(budget),
            keys: Arc::default(),
            provider_keys: Arc::default(),
            models: Arc::default(),
            base: None,
        });
        known.listings.insert(id.clone(), Arc::downgrade(&shared));
        shared
    }

    fn known(&self) -> MutexGuard<'_, Accounts> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a token's account finds the other tokens of the same account.
#[derive(Clone)]
pub struct Membership {
    /// The shared state of all accounts of this process.
    pub shares: Arc<Shares>,
    /// The listing, as far as the credential alone identifies it.
    pub id: ListingId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::budget::Purpose;
    use crate::plan::retry::plus;
    use jiff::SignedDuration;

    fn id(shares: &Shares, endpoint: &str, secret: &str) -> ListingId {
        shares.of_credential(&Vendor::default(), "edgee", endpoint, &SecretString::from(secret.to_owned()))
    }

    fn shared(shares: &Shares, id: &ListingId) -> Arc<Shared> {
        shares.of(id, &crate::gateway::edgee::CAPABILITIES, &Clock::system())
    }

    #[test]
    fn tokens_of_one_account_share_and_tokens_of_others_do_not() {
        let shares = Shares::default();
        let one = id(&shares, "https://a", "canary-1");
        let held = shared(&shares, &one);
        assert!(Arc::ptr_eq(&held, &shared(&shares, &id(&shares, "https://a", "canary-1"))));
        for other in [id(&shares, "https://a", "canary-2"), id(&shares, "https://b", "canary-1")] {
            assert!(!Arc::ptr_eq(&held, &shared(&shares, &other)));
            assert_ne!(
                one.of_account("o") == other.of_account("o"),
                one.account.api() != other.account.api()
            );
        }
        assert_ne!(one, id(&Shares::default(), "https://a", "canary-1"), "the salt is the process's own");
    }

    #[test]
    fn what_is_listed_of_one_account_with_another_driver_shares_its_budget_only() {
        let shares = Shares::default();
        let keys = id(&shares, "https://a", "canary-1").of_account("o");
        let tokens = ListingId { vendor: "the issuer".to_owned(), ..keys.clone() };
        let [keys, tokens] = [&keys, &tokens].map(|id| shared(&shares, id));
        assert!(Arc::ptr_eq(&keys.budget, &tokens.budget) && !Arc::ptr_eq(&keys.keys, &tokens.keys));
    }

    #[test]
    fn where_a_vendor_lists_by_user_only_the_budget_is_shared_with_other_credentials() {
        let shares = Shares::default();
        let [one, two] = ["canary-1", "canary-2"].map(|secret| id(&shares, "https://a", secret));
        let account = shared(&shares, &one.of_account("o"));
        let [mut first, second] = [&one, &two].map(|id| shared(&shares, id).with_budget_of(&account));
        first = first.with_budget_of(&account);
        assert!(Arc::ptr_eq(&first.budget, &second.budget) && !Arc::ptr_eq(&first.keys, &second.keys));
        assert!(Arc::ptr_eq(&first.keys, &shared(&shares, &one).keys), "another token with that credential");
    }

    #[tokio::test]
    async fn a_pause_outlasts_a_leadership_period_and_a_listing_does_not() {
        let shares = Shares::default();
        let id = id(&shares, "https://a", "canary-1");
        let before = shared(&shares, &id);
        before.keys.put(&Arc::new(Listing::new(Timestamp::UNIX_EPOCH, Vec::new())));
        before.budget.pause(Some(plus(Clock::system().now(), SignedDuration::from_secs(60))));
        shares.forget_listings();
        let after = shared(&shares, &id);
        assert!(after.keys.get().is_none() && before.keys.get().is_some());
        drop((before, after));
        shares.forget_listings();
        assert!(shared(&shares, &id).budget.acquire(Purpose::Ordinary).await.is_err());
    }

    #[test]
    fn what_nobody_uses_is_not_kept() {
        let shares = Shares::default();
        for number in 0..100 {
            drop(shared(&shares, &id(&shares, &format!("https://{number}"), "canary-1")));
        }
        let known = shares.known();
        assert_eq!((known.budgets.len(), known.listings.len()), (1, 1));
    }

    #[test]
    fn an_older_listing_replaces_no_newer_one() {
        let newest = Newest::default();
        let at = |second| Arc::new(Listing::new(Timestamp::from_second(second).unwrap(), Vec::new()));
        newest.put(&at(2));
        newest.put(&at(1));
        assert_eq!(newest.get().map(|it| it.as_of), Some(at(2).as_of));
    }
}
