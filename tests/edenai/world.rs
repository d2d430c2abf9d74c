//! The two emulated APIs of Eden AI and their drivers.

use crate::support::driver_contract::stage::Stage;
use crate::support::stub::Stub;
use bytes::Bytes;
use keysmith::emulator::VendorId;
use keysmith::emulator::edenai::{Budget, v2, v3};
use keysmith::gateway::Gateway;
use keysmith::gateway::edenai_v2::EdenAiV2;
use keysmith::gateway::edenai_v3::{EdenAiV3, Issuer};

pub use crate::support::driver_contract::stage::stage;
pub use crate::support::orders::{amendment, budgeted, clear, expiring, id, limit, order, settings};

pub const V2_TOKEN: &str = "eden-v2-emulated-console-token";
pub const V3_TOKEN: &str = "mgmt-eden-emulated-console-token";
pub const ISSUER_TOKEN: &str = "mgmt-eden-emulated-issuer-token";
pub const TOKENS: &str = "/v2/user/custom_token/";
pub const KEYS: &str = "/v3/manage/keys/";
pub const AUTH_KEYS: &str = "/v3/manage/auth-keys/";

impl Stage {
    pub fn v2(&self) -> EdenAiV2 {
        EdenAiV2::new(self.wire(VendorId::EdenAiV2, V2_TOKEN))
    }

    pub fn v3(&self) -> EdenAiV3 {
        EdenAiV3::new(self.wire(VendorId::EdenAiV3, V3_TOKEN))
    }

    pub fn issuer(&self) -> Issuer {
        Issuer::new(self.wire(VendorId::EdenAiV3, ISSUER_TOKEN))
    }

    pub fn v2_switch(&self, change: impl FnOnce(&mut v2::Switches)) {
        self.emulator.edenai().v2().set_switches(change);
    }

    pub fn v3_switch(&self, change: impl FnOnce(&mut v3::Switches)) {
        self.emulator.edenai().v3().set_switches(change);
    }

    /// The tokens that the account of v2 holds.
    pub fn tokens(&self) -> Vec<v2::CustomToken> {
        self.emulator.edenai().v2().keys()
    }

    pub fn only_token(&self) -> v2::CustomToken {
        let mut tokens = self.tokens();
        assert_eq!(tokens.len(), 1);
        tokens.remove(0)
    }

    /// The keys that the organization of v3 holds, revoked ones included.
    pub fn keys(&self) -> Vec<v3::KeyRecord> {
        self.emulator.edenai().v3().keys()
    }

    pub fn only_key(&self) -> v3::KeyRecord {
        let mut keys = self.keys();
        assert_eq!(keys.len(), 1);
        keys.remove(0)
    }

    /// The auth keys that an issuer minted, revoked ones included.
    pub fn auth_keys(&self) -> Vec<v3::ManagementKey> {
        self.emulator.edenai().v3().management_keys().into_iter().filter(|key| key.minted).collect()
    }
}

/// Drivers whose vendor sends this answer to every request.
pub fn v2_saying(body: impl Into<Bytes>) -> EdenAiV2 {
    EdenAiV2::new(Stub::always(200, body).wire(V2_TOKEN))
}

pub fn v3_saying(body: impl Into<Bytes>) -> EdenAiV3 {
    EdenAiV3::new(Stub::always(200, body).wire(V3_TOKEN))
}

/// One of the two management APIs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Api {
    V2,
    V3,
}

impl Api {
    pub fn driver(self, stage: &Stage) -> Box<dyn Gateway> {
        match self {
            Self::V2 => Box::new(stage.v2()),
            Self::V3 => Box::new(stage.v3()),
        }
    }

    pub fn budget(self, stage: &Stage) -> Budget {
        match self {
            Self::V2 => stage.only_token().budget,
            Self::V3 => stage.only_key().budget,
        }
    }
}
