//! The emulated Cortecs and its driver.

use crate::support::driver_contract::stage::Stage;
use crate::support::stub::Stub;
use bytes::Bytes;
use keysmith::emulator::VendorId;
use keysmith::emulator::cortecs::{KeyRecord, Person, Role, Switches};
use keysmith::gateway::cortecs::Cortecs;

pub use crate::support::driver_contract::stage::stage;
pub use crate::support::orders::{budgeted, clear, id, order};

pub const TOKEN: &str = "cortecs-emulated-console-token";
pub const KEYS: &str = "/v1/manage/api-keys";
pub const PROJECT: &str = "project_demo";

impl Stage {
    pub fn cortecs(&self) -> Cortecs {
        self.with(TOKEN)
    }

    pub fn with(&self, token: &str) -> Cortecs {
        Cortecs::new(self.wire(VendorId::Cortecs, token))
    }

    /// The driver of a user with that role in the same project.
    pub fn colleague(&self, role: Role) -> Cortecs {
        let token = "cortecs-emulated-colleague";
        let owner = Person { user: "user_colleague".to_owned(), role, ..Person::default() };
        self.emulator.cortecs().add_token_of(token, owner);
        self.with(token)
    }

    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.emulator.cortecs().set_switches(change);
    }

    /// The keys that were created through the API, oldest first.
    pub fn minted(&self) -> Vec<KeyRecord> {
        self.emulator.cortecs().keys().into_iter().filter(|key| key.minted).collect()
    }

    pub fn only_minted(&self) -> KeyRecord {
        let mut keys = self.minted();
        assert_eq!(keys.len(), 1);
        keys.remove(0)
    }
}

/// A driver whose vendor sends this answer to every request.
pub fn saying(body: impl Into<Bytes>) -> Cortecs {
    Cortecs::new(Stub::always(200, body).wire(TOKEN))
}
