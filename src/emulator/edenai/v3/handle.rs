//! Eden AI v3 as one of the emulated vendors: its row of the table of vendors, and its console.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::EdenAiV3;
use super::{ManagementKey, NewKey};
use crate::emulator::edenai::DataPlaneAnswer;
use crate::emulator::fields::laid_over;
use crate::emulator::handle::{Console, Row, Seen};

/// Its row of the table of vendors.
pub(in crate::emulator) const VENDOR: Row = Row {
    name: "edenai-v3",
    path: "edenai",
    gateway_path: "edenai-gateway",
    collection: "/manage/keys/",
    calls: |method| (method, "/manage/keys/"),
    beside: |_| false,
    console: |emulator| Box::new(emulator.edenai().v3()),
};

impl Console for EdenAiV3 {
    fn add_token(&self, token: &str) {
        self.add_token(token);
    }

    fn add_token_of(&self, token: &str, account: &str) {
        self.add_token_of(token, account);
    }

    fn add_issuer(&self, token: &str) {
        self.add_issuer(token);
    }

    fn add_issuer_of(&self, token: &str, account: &str) {
        self.add_issuer_of(token, account);
    }

    fn revoke_token(&self, token: &str) -> bool {
        self.revoke_token(token)
    }

    fn keys(&self, now: Timestamp) -> Vec<Seen> {
        self.keys().iter().map(|key| key.seen(now)).filter(|key| key.active).collect()
    }

    fn credentials(&self, _: Timestamp) -> Vec<Seen> {
        let keys = self.management_keys();
        let minted = keys.iter().filter(|key| key.minted);
        minted.map(ManagementKey::seen).filter(|key| key.active).collect()
    }

    fn add_key(&self, name: &str, now: Timestamp) -> Seen {
        self.add_key(NewKey::named(name)).seen(now)
    }

    fn delete_key(&self, id: &str) -> bool {
        self.revoke_key(id)
    }

    fn accepts(&self, secret: &str) -> bool {
        self.check(secret) == DataPlaneAnswer::Accepted
    }

    fn spend(&self, id: &str, micros: u64) -> bool {
        self.spend(id, micros)
    }

    fn unlimit(&self, id: &str) -> bool {
        self.edit_key(id, |key| {
            key.budget.lift();
            key.expires_at = None;
        })
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
