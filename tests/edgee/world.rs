//! A vendor with one organization, and the driver that works for it.

use crate::support::vendor::InProcess;
use jiff::Timestamp;
use keysmith::api::console_token::EdgeeVendor;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::shared::Period;
use keysmith::emulator::edgee::{KeyRecord, NewKey, Switches};
use keysmith::emulator::{Effect, Emulator, Rule};
use keysmith::gateway::edgee::Edgee;
use keysmith::gateway::http::Wire;
use keysmith::gateway::transport::Transport;
use keysmith::gateway::{Amendment, DepositOrder, Order};
use keysmith::plan::desired::Settings;
use keysmith::plan::drift::Field;
use keysmith::plan::expiry::Expiry;
use keysmith::plan::facts::{KeyId, Limit};
use keysmith::runtime::clock::Clock;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use url::Url;

pub const ORG: &str = "org_demo";
pub const TOKEN: &str = "ek_live_emulated-console-token";
pub const KEYS: &str = "/api_keys";
pub const PROVIDER_KEYS: &str = "/provider-keys";

pub struct World {
    pub emulator: Emulator,
    pub clock: Clock,
}

/// Saturday, 21 November 2026; time goes on as tokio's does, so that it can be paused.
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
        let transport = Arc::new(InProcess(self.emulator.clone()));
        wire("http://edgee.test/edgee", TOKEN, transport, &self.clock)
    }

    /// What the vendor holds, oldest first.
    pub fn keys(&self) -> Vec<KeyRecord> {
        self.emulator.edgee().keys(ORG)
    }

    pub fn only_key(&self) -> KeyRecord {
        let mut keys = self.keys();
        assert_eq!(keys.len(), 1);
        keys.remove(0)
    }

    /// A human makes a key in the vendor's console.
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

pub fn wire(base: &str, token: &str, transport: Arc<dyn Transport>, clock: &Clock) -> Wire {
    let base = Url::parse(base).unwrap();
    Wire::new(base, SecretString::from(token), transport, clock.clone())
}

pub fn driver(wire: Wire) -> Edgee {
    let place = EdgeeVendor { organization_id: ORG.to_owned() };
    Edgee::new(&place, wire)
}

/// An order for a key with nothing but a name.
pub fn order(name: &str) -> Order {
    Order {
        name: name.to_owned(),
        kind: KeyType::Api,
        coding_assistant: None,
        models: Vec::new(),
        budget: None,
        expires_in_days: None,
        expires_at: None,
        email: None,
        scopes: Vec::new(),
    }
}

/// An order for a key with everything.
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

pub fn deposit_order(name: &str, keys: &[&str]) -> DepositOrder {
    DepositOrder {
        name: name.to_owned(),
        provider: "anthropic".to_owned(),
        credential: SecretString::from("sk-ant-emulated-credential"),
        keys: keys.iter().copied().map(id).collect(),
    }
}

pub fn settings() -> Settings {
    Settings {
        display_name: "checkout".to_owned(),
        active: true,
        models: Vec::new(),
        budget: None,
        email: None,
        debug_mode: false,
        expiry: Expiry::Uncompared,
    }
}

pub fn amendment(fields: &[Field], to: Settings) -> Amendment {
    Amendment { fields: fields.to_vec(), name: to.display_name.clone(), to }
}

pub fn renamed(name: &str) -> Amendment {
    let to = Settings { display_name: name.to_owned(), ..settings() };
    amendment(&[Field::DisplayName], to)
}

pub fn monthly(usd: u64) -> Limit {
    Limit { micros: usd * 1_000_000, period: Period::Monthly }
}

pub fn id(id: &str) -> KeyId {
    KeyId(id.to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is compared here works at no vendor but the emulated one"
)]
pub fn clear(secret: &SecretString) -> &str {
    secret.expose_secret()
}
