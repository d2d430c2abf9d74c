//! OpenRouter as one of the emulated vendors: its row of the table of vendors, and its console.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{DataPlaneAnswer, OpenRouter};
use crate::emulator::fields::laid_over;
use crate::emulator::handle::{Console, Row, Seen};

/// Its row of the table of vendors.
pub(in crate::emulator) const VENDOR: Row = Row {
    name: "openrouter",
    path: "openrouter",
    gateway_path: "openrouter-gateway",
    collection: "/v1/keys",
    calls: |method| (method, "/v1/keys"),
    beside: |path| path.contains("offset="),
    console: |emulator| Box::new(emulator.openrouter()),
};

/// The account of the demo.
pub(super) const DEMO: &str = "demo";

impl Console for OpenRouter {
    fn add_token(&self, token: &str) {
        self.add_token_of(token, DEMO);
    }

    fn add_token_of(&self, token: &str, account: &str) {
        self.add_token_of(token, account);
    }

    fn revoke_token(&self, token: &str) -> bool {
        self.revoke_token(token)
    }

    fn keys(&self, now: Timestamp) -> Vec<Seen> {
        self.keys().iter().map(|key| key.seen(now)).collect()
    }

    fn add_key(&self, name: &str, now: Timestamp) -> Seen {
        self.add_key(name).seen(now)
    }

    fn delete_key(&self, id: &str) -> bool {
        self.delete_key(id)
    }

    fn accepts(&self, secret: &str) -> bool {
        self.check(secret) == DataPlaneAnswer::Accepted
    }

    fn spend(&self, id: &str, micros: u64) -> bool {
        self.spend(id, micros)
    }

    fn unlimit(&self, id: &str) -> bool {
        self.edit_key(id, |key| {
            key.limit = None;
            key.limit_reset = None;
        })
    }

    fn switch_off(&self, id: &str) -> bool {
        self.edit_key(id, |key| key.disabled = true)
    }

    fn expire(&self, id: &str, at: Option<Timestamp>) -> bool {
        self.edit_key(id, |key| key.expires_at = at)
    }

    fn created_total(&self) -> u64 {
        self.counts().created_total
    }

    fn switches(&self) -> Value {
        json!(self.switches())
    }

    fn switch(&self, patch: Map<String, Value>) -> Result<(), serde_json::Error> {
        let switches = laid_over(&self.switches(), patch)?;
        self.set_switches(|current| *current = switches);
        Ok(())
    }
}
