//! The emulated OpenRouter and its driver.

use crate::support::driver_contract::stage::Stage;
use keysmith::api::console_token::OpenRouterVendor;
use keysmith::emulator::VendorId;
use keysmith::emulator::openrouter::{KeyRecord, Switches};
use keysmith::gateway::http::Wire;
use keysmith::gateway::openrouter::{DRIVER, OpenRouter};

pub use crate::support::driver_contract::stage::stage;
pub use crate::support::orders::{amendment, budgeted, clear, id, limit, order, settings};

pub const TOKEN: &str = "sk-or-v1-emulated-console-token";
/// The answer about a key that does not exist.
pub const UNKNOWN: &str = r#"{"error":{"code":404,"message":"Resource not found"}}"#;

/// The driver over a wire with the access of the registry's row.
pub fn driver(wire: Wire) -> OpenRouter {
    OpenRouter::new(&OpenRouterVendor::default(), wire.accessed(DRIVER.access))
}

impl Stage {
    pub fn openrouter(&self) -> OpenRouter {
        driver(self.wire(VendorId::OpenRouter, TOKEN))
    }

    pub fn in_workspace(&self, workspace: &str) -> OpenRouter {
        let place = OpenRouterVendor { workspace_id: Some(workspace.to_owned()) };
        OpenRouter::new(&place, self.wire(VendorId::OpenRouter, TOKEN).accessed(DRIVER.access))
    }

    pub fn switch_openrouter(&self, change: impl FnOnce(&mut Switches)) {
        self.emulator.openrouter().set_switches(change);
    }

    pub fn openrouter_keys(&self) -> Vec<KeyRecord> {
        self.emulator.openrouter().keys()
    }
}
