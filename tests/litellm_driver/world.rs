//! The emulated LiteLLM and its driver.

use crate::support::driver_contract::stage::Stage;
use bytes::Bytes;
use http::Request;
use keysmith::api::console_token::LiteLlmVendor;
use keysmith::emulator::VendorId;
use keysmith::emulator::litellm::{KeyRecord, Switches};
use keysmith::gateway::http::Wire;
use keysmith::gateway::litellm::{DRIVER, LiteLlm};

pub use crate::support::driver_contract::stage::stage;
pub use crate::support::orders::{budgeted, clear, id, order};

pub const TOKEN: &str = "sk-litellm-emulated-console-token";
pub const MASTER: &str = "sk-litellm-emulated-master-key";
/// The answer about a key that does not exist.
pub const UNKNOWN: &str = r#"{"error":{"message":"Key not found in database","type":"not_found_error","param":"key","code":"404"}}"#;

/// The driver over a wire with the access of the registry's row.
pub fn driver(wire: Wire) -> LiteLlm {
    LiteLlm::new(&LiteLlmVendor::default(), wire.accessed(DRIVER.access))
}

/// The rank of a master key, which is asked before each listing.
pub fn rank_of_a_master_key(request: &Request<Bytes>) -> Option<(u16, Bytes)> {
    match (request.uri().path(), request.uri().query()) {
        ("/key/info", None) => Some((404, UNKNOWN.into())),
        ("/user/list", _) => Some((200, r#"{"users":[],"total":0}"#.into())),
        _ => None,
    }
}

impl Stage {
    pub fn litellm(&self) -> LiteLlm {
        self.with_token(TOKEN)
    }

    pub fn with_token(&self, token: &str) -> LiteLlm {
        driver(self.wire(VendorId::LiteLlm, token))
    }

    pub fn switch_litellm(&self, change: impl FnOnce(&mut Switches)) {
        self.emulator.litellm().set_switches(change);
    }

    /// The keys that were created through the API, oldest first.
    pub fn made(&self) -> Vec<KeyRecord> {
        self.emulator.litellm().keys().into_iter().filter(|key| key.minted).collect()
    }

    pub fn only_made(&self) -> KeyRecord {
        let mut keys = self.made();
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys.remove(0)
    }
}
