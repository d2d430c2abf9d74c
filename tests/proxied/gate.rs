//! A gate that holds a request until the test opens or closes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a test waits for a request that its story always sends.
const PATIENCE: Duration = Duration::from_secs(60);

/// Holds one request. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    arrived: CancellationToken,
    opened: CancellationToken,
    lost: AtomicBool,
}

impl Gate {
    /// For the proxy: waits, and returns whether the request is forwarded.
    pub async fn pass(&self) -> bool {
        self.0.arrived.cancel();
        self.0.opened.cancelled().await;
        !self.0.lost.load(Ordering::SeqCst)
    }

    /// Waits until the request has arrived.
    pub async fn reached(&self) -> Result<(), String> {
        let waited = tokio::time::timeout(PATIENCE, self.0.arrived.cancelled()).await;
        waited.map_err(|_| "the request in question was never sent".to_owned())
    }

    /// Lets the request pass.
    pub fn open(&self) {
        self.0.opened.cancel();
    }

    /// Closes the connection of the request.
    pub fn lose(&self) {
        self.0.lost.store(true, Ordering::SeqCst);
        self.0.opened.cancel();
    }
}
