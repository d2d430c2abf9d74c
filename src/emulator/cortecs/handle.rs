//! Cortecs as one of the emulated vendors: its row of the table of vendors, and its console.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Cortecs, DataPlaneAnswer, Person};
use crate::emulator::fields::laid_over;
use crate::emulator::handle::{Console, Row, Seen};

/// Its row of the table of vendors.
pub(in crate::emulator) const VENDOR: Row = Row {
    name: "cortecs",
    path: "cortecs",
    gateway_path: "cortecs-gateway",
    collection: "/manage/api-keys",
    calls: |method| (method, "/manage/api-keys"),
    beside: |_| false,
    console: |emulator| Box::new(emulator.cortecs()),
};

impl Console for Cortecs {
    fn add_token(&self, token: &str) {
        self.add_token(token);
    }

    fn add_token_of(&self, token: &str, account: &str) {
        self.add_token_of(token, Person::named(account));
    }

    fn revoke_token(&self, token: &str) -> bool {
        self.revoke_token(token)
    }

    fn keys(&self, now: Timestamp) -> Vec<Seen> {
        self.keys().iter().filter(|key| !key.management).map(|key| key.seen(now)).collect()
    }

    fn keys_of(&self, account: &str, now: Timestamp) -> Vec<Seen> {
        let scope = Person::named(account).scope();
        Console::keys(self, now).into_iter().filter(|key| key.account == scope).collect()
    }

    fn credentials(&self, now: Timestamp) -> Vec<Seen> {
        let keys = self.keys();
        keys.iter().filter(|key| key.management && key.minted).map(|key| key.seen(now)).collect()
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
