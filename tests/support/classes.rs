//! Classes of vendors without a driver: Edgee with fewer abilities.

use async_trait::async_trait;
use keysmith::emulator::Emulator;
use keysmith::emulator::edgee::Support;
use keysmith::gateway::{Amendment, Driver, Gateway, Minted, Order, Vendors, edgee};
use keysmith::plan::capability::{Capabilities, Recovery};
use keysmith::plan::fault::Fault;
use keysmith::plan::listing::{KeyId, Listed};

/// How a vendor shows the secret of a created key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It reveals the secret again.
    Reveal,
    /// It reveals the secret again, and names are unique.
    Named,
    /// It shows the secret once.
    Once,
}

impl Class {
    /// The registry of an operator for such a vendor.
    pub fn vendors(self) -> Vendors {
        match self {
            Self::Reveal | Self::Named => Vendors::default(),
            Self::Once => Vendors::of(&DRIVERS),
        }
    }

    /// Switches the emulator to such a vendor.
    pub fn switch(self, emulator: &Emulator) {
        emulator.edgee().set_switches(|switches| {
            switches.unique_names = self == Self::Named;
            switches.reveal = if self == Self::Once { Support::UnknownPath } else { Support::Full };
        });
    }
}

static ONCE: Capabilities = Capabilities { name: "once", recovery: Recovery::Once, ..edgee::CAPABILITIES };

static DRIVERS: [Driver; 1] = [Driver {
    name: "once",
    capabilities: &ONCE,
    open: |vendor, wire| Box::new(Once(edgee::DRIVER.connect(vendor, wire))),
    ..edgee::DRIVER
}];

struct Once(Box<dyn Gateway>);

#[async_trait]
impl Gateway for Once {
    fn capabilities(&self) -> &'static Capabilities {
        &ONCE
    }

    async fn list(&self) -> Result<Vec<Listed>, Fault> {
        self.0.list().await
    }

    async fn get(&self, id: &KeyId) -> Result<Option<Listed>, Fault> {
        self.0.get(id).await
    }

    async fn mint(&self, order: &Order) -> Result<Minted, Fault> {
        self.0.mint(order).await
    }

    async fn amend(&self, id: &KeyId, amendment: &Amendment) -> Result<(), Fault> {
        self.0.amend(id, amendment).await
    }

    async fn revoke(&self, id: &KeyId) -> Result<(), Fault> {
        self.0.revoke(id).await
    }
}
