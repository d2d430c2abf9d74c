//! LiteLLM as one of the emulated vendors: its row of the table of vendors, and its console.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::record::Kind;
use super::{DataPlaneAnswer, LiteLlm};
use crate::emulator::fields::laid_over;
use crate::emulator::handle::{Console, Row, Seen};

/// Its row of the table of vendors.
pub(in crate::emulator) const VENDOR: Row = Row {
    name: "litellm",
    path: "litellm",
    gateway_path: "litellm-gateway",
    collection: "/key/",
    calls: |method| match method {
        "GET" => ("GET", "/key/list"),
        "DELETE" => ("POST", "/key/delete"),
        "PATCH" => ("POST", "/key/update"),
        _ => ("POST", "/key/generate"),
    },
    beside: |path| path.ends_with("/key/info") || path.contains("/user/list"),
    console: |emulator| Box::new(emulator.litellm()),
};

/// The account of the demo.
pub(super) const DEMO: &str = "proxy";

impl Console for LiteLlm {
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
        self.keys().iter().filter(|key| key.kind != Kind::Management).map(|key| key.seen(now)).collect()
    }

    fn credentials(&self, now: Timestamp) -> Vec<Seen> {
        let keys = self.keys();
        keys.iter()
            .filter(|key| key.kind == Kind::Management && key.minted)
            .map(|key| key.seen(now))
            .collect()
    }

    fn add_key(&self, name: &str, now: Timestamp) -> Seen {
        self.add_key(name).seen(now)
    }

    fn delete_key(&self, id: &str) -> bool {
        self.delete_key(id)
    }

    fn accepts(&self, secret: &str) -> bool {
        self.check(secret, None) == DataPlaneAnswer::Accepted
    }

    fn spend(&self, id: &str, micros: u64) -> bool {
        self.spend(id, micros)
    }

    fn unlimit(&self, id: &str) -> bool {
        self.edit_key(id, |key| {
            key.budget = None;
            key.reset_at = None;
            key.rhythm = None;
            key.expires = None;
        })
    }

    fn switch_off(&self, id: &str) -> bool {
        self.edit_key(id, |key| key.blocked = Some(true))
    }

    fn expire(&self, id: &str, at: Option<Timestamp>) -> bool {
        self.edit_key(id, |key| key.expires = at)
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
