//! Edgee as one of the emulated vendors: its row of the table of vendors, and its console in the organization
//! `org_test`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{DataPlaneAnswer, Edgee, KeyRecord, NewKey, TokenRecord};
use crate::emulator::fields::laid_over;
use crate::emulator::handle::{Console, Row, Seen};

/// Its row of the table of vendors.
pub(in crate::emulator) const VENDOR: Row = Row {
    name: "edgee",
    path: "edgee",
    gateway_path: "edgee-gateway",
    collection: "/api_keys",
    calls: |method| (method, "/api_keys"),
    beside: |_| false,
    console: |emulator| Box::new(emulator.edgee()),
};

/// The organization of the console: credentials belong to organizations that users create themselves.
const ORGANIZATION: &str = "org_test";

impl Console for Edgee {
    fn add_token(&self, token: &str) {
        self.add_token(token, &[ORGANIZATION]);
    }

    fn add_token_of(&self, token: &str, account: &str) {
        self.add_token(token, &[account]);
    }

    fn revoke_token(&self, token: &str) -> bool {
        self.revoke_token(token)
    }

    fn keys(&self, now: Timestamp) -> Vec<Seen> {
        self.keys_of(ORGANIZATION, now)
    }

    fn keys_of(&self, account: &str, _: Timestamp) -> Vec<Seen> {
        self.keys(account).iter().map(KeyRecord::seen).collect()
    }

    fn credentials(&self, _: Timestamp) -> Vec<Seen> {
        self.tokens().iter().filter(|token| token.minted).map(TokenRecord::seen).collect()
    }

    fn add_key(&self, name: &str, _: Timestamp) -> Seen {
        self.add_key(ORGANIZATION, NewKey::named(name)).seen()
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
        self.edit_key(id, |key| key.max_usage = None)
    }

    fn switch_off(&self, id: &str) -> bool {
        self.edit_key(id, |key| key.active = false)
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
