//! Vendors at which a story can move a token to another account at any time: the real drivers, with listings and
//! account names that the story controls. One thread is one story.

use async_trait::async_trait;
use keysmith::api::console_token::Vendor;
use keysmith::gateway::http::Wire;
use keysmith::gateway::{
    self, Amendment, Credit, Driver, Gateway, Minted, Order, Projects, ProviderKeys, Reissue, Reveal, Usage,
    Vendors,
};
use keysmith::plan::capability::Capabilities;
use keysmith::plan::fault::Fault;
use keysmith::plan::listing::{KeyId, Listed};
use secrecy::SecretString;
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::LazyLock;

#[derive(Default)]
struct Place {
    account: Option<String>,
    hidden: HashSet<String>,
}

thread_local! {
    static PLACE: RefCell<Place> = RefCell::default();
}

/// The registry of an operator whose tokens belong to the account that [`lead`] sets.
pub fn vendors() -> Vendors {
    static DRIVERS: LazyLock<Vec<Driver>> =
        LazyLock::new(|| gateway::DRIVERS.iter().map(|row| Driver { open, ..*row }).collect());
    Vendors::of(&DRIVERS)
}

fn open(vendor: &Vendor, wire: Wire) -> Box<dyn Gateway> {
    let driver = Vendors::default().driver(vendor).unwrap();
    Box::new(Elsewhere(driver.connect(vendor, wire)))
}

/// Moves every token to an account with the name `account` at the vendor, which has none of the `hidden` keys.
pub fn lead(account: Option<&str>, hidden: impl IntoIterator<Item = String>) {
    let place = Place { account: account.map(str::to_owned), hidden: hidden.into_iter().collect() };
    PLACE.with_borrow_mut(|it| *it = place);
}

fn is_hidden(id: &KeyId) -> bool {
    PLACE.with_borrow(|place| place.hidden.contains(&id.0))
}

struct Elsewhere(Box<dyn Gateway>);

#[async_trait]
impl Gateway for Elsewhere {
    fn capabilities(&self) -> &'static Capabilities {
        self.0.capabilities()
    }

    async fn whose(&self) -> Result<Option<String>, Fault> {
        Ok(PLACE.with_borrow(|place| place.account.clone()))
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        let mut keys = self.0.list().await?;
        keys.retain(|key| !is_hidden(&key.id));
        Ok(keys)
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        if is_hidden(id) { Ok(None) } else { self.0.get(id).await }
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        self.0.mint(order).await
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        self.0.amend(id, amendment).await
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        if is_hidden(id) { Ok(()) } else { self.0.revoke(id).await }
    }

    fn reveal(&self) -> Option<&dyn Reveal> {
        self.0.reveal().map(|_| self as &dyn Reveal)
    }

    fn another_secret(&self) -> Option<&dyn Reissue> {
        self.0.another_secret().map(|_| self as &dyn Reissue)
    }

    fn usage(&self) -> Option<&dyn Usage> {
        self.0.usage()
    }

    fn credit(&self) -> Option<&dyn Credit> {
        self.0.credit()
    }

    fn projects(&self) -> Option<&dyn Projects> {
        self.0.projects()
    }

    fn provider_keys(&self) -> Option<&dyn ProviderKeys> {
        self.0.provider_keys()
    }
}

#[async_trait]
impl Reveal for Elsewhere {
    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        if is_hidden(id) { Ok(None) } else { self.0.reveal().unwrap().recover(id).await }
    }
}

#[async_trait]
impl Reissue for Elsewhere {
    async fn reissue(&self, id: &KeyId, order: &Order) -> Result<Option<Minted>, Fault> {
        if is_hidden(id) { Ok(None) } else { self.0.another_secret().unwrap().reissue(id, order).await }
    }
}
