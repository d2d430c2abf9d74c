//! The emulated vendor of the driver tests, and the optional abilities of a driver behind one trait.

use crate::support::orders::wire;
use crate::support::vendor::InProcess;
use async_trait::async_trait;
use jiff::Timestamp;
use keysmith::emulator::{Effect, Emulator, Rule, VendorId};
use keysmith::gateway::http::Wire;
use keysmith::gateway::{Gateway, Minted, Order};
use keysmith::plan::fault::{Fault, FaultKind};
use keysmith::plan::listing::KeyId;
use keysmith::plan::usage::{Money, Span, Spending};
use keysmith::runtime::clock::Clock;
use secrecy::SecretString;
use std::sync::Arc;

/// The optional calls, on every driver: a driver without the ability answers as a vendor without the endpoint would.
#[allow(dead_code, reason = "not every program uses all of it")]
#[async_trait]
pub trait OptionalCalls: Sync {
    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault>;
    async fn reissue(&self, id: &KeyId, order: &Order) -> Result<Option<Minted>, Fault>;
    async fn spending(&self, span: &Span, keys: &[KeyId]) -> Result<Vec<Spending>, Fault>;
    async fn balance(&self) -> Result<Option<Money>, Fault>;
}

const LACKING: Fault = Fault {
    kind: FaultKind::Malformed("there is no such call"),
    effect: keysmith::plan::fault::Outcome::NotApplied,
};

#[async_trait]
impl<T: Gateway + ?Sized> OptionalCalls for T {
    async fn recover(&self, id: &KeyId) -> Result<Option<SecretString>, Fault> {
        self.reveal().ok_or(LACKING)?.recover(id).await
    }

    async fn reissue(&self, id: &KeyId, order: &Order) -> Result<Option<Minted>, Fault> {
        let Some(vendor) = self.another_secret() else { return Ok(None) };
        vendor.reissue(id, order).await
    }

    async fn spending(&self, span: &Span, keys: &[KeyId]) -> Result<Vec<Spending>, Fault> {
        self.usage().ok_or(LACKING)?.spending(span, keys).await
    }

    async fn balance(&self) -> Result<Option<Money>, Fault> {
        let Some(vendor) = self.credit() else { return Ok(None) };
        vendor.balance().await
    }
}

/// A vendor with the demo's tokens. Time starts on Saturday, 21 November 2026, and passes with tokio's clock.
pub struct Stage {
    pub emulator: Emulator,
    pub clock: Clock,
}

pub fn stage() -> Stage {
    let base: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    let start = tokio::time::Instant::now();
    let now = move || base + start.elapsed();
    let emulator = Emulator::new(now);
    let _ = emulator.seed_demo();
    Stage { emulator, clock: Clock::from_fn(now) }
}

impl Stage {
    pub fn wire(&self, vendor_id: VendorId, token: &str) -> Wire {
        let transport = Arc::new(InProcess(self.emulator.clone()));
        wire(&format!("http://vendor.test/{}", vendor_id.path()), token, transport, &self.clock)
    }

    pub fn fault_once(&self, method: &str, path: &str, effect: Effect) {
        self.emulator.faults().add(Rule::once(method, path, effect));
    }
}
