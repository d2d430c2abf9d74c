//! An emulated Edgee with one organization, and its driver.

use crate::support::vendor::InProcess;
use jiff::Timestamp;
use keysmith::api::console_token::EdgeeVendor;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::emulator::edgee::{KeyRecord, NewKey, Switches};
use keysmith::emulator::{Effect, Emulator, Rule};
use keysmith::gateway::edgee::Edgee;
use keysmith::gateway::http::Wire;
use keysmith::gateway::{Order, ProviderKeyOrder};
use keysmith::runtime::clock::Clock;
use secrecy::SecretString;
use std::sync::Arc;

pub use crate::support::orders::{amendment, clear, id, monthly, order, renamed, settings, wire};

pub const ORG: &str = "org_demo";
pub const TOKEN: &str = "ek_live_emulated-console-token";
pub const KEYS: &str = "/api_keys";
pub const PROVIDER_KEYS: &str = "/provider-keys";

pub struct World {
    pub emulator: Emulator,
    pub clock: Clock,
}

/// Saturday, 21 November 2026; time passes with tokio's clock, so that it can be paused.
pub fn world() -> World {
    let base: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    let start = tokio::time::Instant::now();
    let now = move || base + start.elapsed();
    let emulator = Emulator::new(now);
    let _ = emulator.seed_demo();
    World { emulator, clock: Clock::from_fn(now) }
}

impl World {
    pub fn edgee(&self) -> Edgee {
        driver(self.wire())
    }

    pub fn wire(&self) -> Wire {
        self.wire_with(TOKEN)
    }

    /// A wire with another token.
    pub fn wire_with(&self, token: &str) -> Wire {
        let transport = Arc::new(InProcess(self.emulator.clone()));
        wire("http://edgee.test/edgee", token, transport, &self.clock)
    }

    /// The keys that the vendor holds, oldest first.
    pub fn keys(&self) -> Vec<KeyRecord> {
        self.emulator.edgee().keys(ORG)
    }

    pub fn only_key(&self) -> KeyRecord {
        let mut keys = self.keys();
        assert_eq!(keys.len(), 1);
        keys.remove(0)
    }

    /// A human creates a key in the vendor's console.
    pub fn key_by_hand(&self, name: &str) -> KeyRecord {
        self.emulator.edgee().add_key(ORG, NewKey::named(name))
    }

    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.emulator.edgee().set_switches(change);
    }

    pub fn fault_once(&self, method: &str, path: &str, effect: Effect) {
        self.emulator.faults().add(Rule::once(method, path, effect));
    }

    pub fn fault_always(&self, method: &str, path: &str, effect: Effect) {
        self.emulator.faults().add(Rule::always(method, path, effect));
    }
}

pub fn driver(wire: Wire) -> Edgee {
    let place = EdgeeVendor { organization_id: ORG.to_owned() };
    Edgee::new(&place, wire)
}

/// An order for a key with every field.
pub fn full_order(name: &str) -> Order {
    Order {
        kind: KeyType::CodingAgent,
        coding_assistant: Some("claude_code".to_owned()),
        models: vec!["openai/gpt-5.2".to_owned()],
        budget: Some(monthly(250)),
        expires_in_days: Some(90),
        email: Some("dev@example.com".to_owned()),
        ..order(name)
    }
}

pub fn provider_key_order(name: &str, keys: &[&str]) -> ProviderKeyOrder {
    ProviderKeyOrder {
        name: name.to_owned(),
        provider: "anthropic".to_owned(),
        credential: SecretString::from("sk-ant-emulated-credential"),
        keys: keys.iter().copied().map(id).collect(),
    }
}
