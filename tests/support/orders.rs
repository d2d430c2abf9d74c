//! Orders, amendments and wires for the drivers of all vendors.

use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::shared::Period;
use keysmith::gateway::http::Wire;
use keysmith::gateway::transport::Transport;
use keysmith::gateway::{Amendment, Order};
use keysmith::plan::drift::Field;
use keysmith::plan::listing::{KeyId, Limit};
use keysmith::plan::settings::Expiry;
use keysmith::plan::settings::Settings;
use keysmith::runtime::clock::Clock;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use url::Url;

pub fn wire(base: &str, token: &str, transport: Arc<dyn Transport>, clock: &Clock) -> Wire {
    let base = Url::parse(base).unwrap();
    Wire::new(base, SecretString::from(token), transport, clock.clone())
}

/// An order for a key with a name only.
pub fn order(name: &str) -> Order {
    Order {
        name: name.to_owned(),
        kind: KeyType::Api,
        coding_assistant: None,
        models: Vec::new(),
        budget: None,
        rate_limit: None,
        active: true,
        left: None,
        expires_in_days: None,
        expires_at: None,
        email: None,
        scopes: Vec::new(),
    }
}

pub fn settings() -> Settings {
    Settings {
        display_name: "checkout".to_owned(),
        active: true,
        models: Vec::new(),
        budget: None,
        rate_limit: None,
        email: None,
        debug_mode: false,
        expiry: Expiry::Uncompared,
    }
}

pub fn amendment(fields: &[Field], to: Settings) -> Amendment {
    Amendment { fields: fields.to_vec(), name: to.display_name.clone(), to, left: None }
}

pub fn renamed(name: &str) -> Amendment {
    let to = Settings { display_name: name.to_owned(), ..settings() };
    amendment(&[Field::DisplayName], to)
}

/// Another budget, or none.
pub fn budgeted(budget: Option<Limit>) -> Amendment {
    amendment(&[Field::Budget], Settings { budget, ..settings() })
}

/// Another date, or none.
pub fn expiring(expiry: Expiry) -> Amendment {
    amendment(&[Field::Expiry], Settings { expiry, ..settings() })
}

pub fn limit(usd: u64, period: Period) -> Limit {
    Limit { micros: usd * 1_000_000, period }
}

pub fn monthly(usd: u64) -> Limit {
    limit(usd, Period::Monthly)
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
