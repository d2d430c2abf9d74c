//! Critical sections, which run to their end even if their caller is dropped: a future dropped between claim and
//! delivery would leave an unknown key at the vendor.

use std::future::Future;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Runs critical sections, and waits for them at shutdown.
#[derive(Clone, Debug, Default)]
pub struct Critical(TaskTracker);

impl Critical {
    /// Runs `section` as a task of its own and waits for it. Dropping the returned future does not stop the section.
    /// `None`: it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        section: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.0.spawn(section.in_current_span()).await.ok()
    }

    /// Waits until no section is running.
    pub async fn drained(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_section_ends_although_its_caller_was_dropped_and_shutdown_waits_for_it() {
        let critical = Critical::default();
        let done = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&done);
        let section = critical.run(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            flag.store(true, Ordering::SeqCst);
        });
        assert!(tokio::time::timeout(Duration::from_secs(1), section).await.is_err());
        critical.drained().await;
        assert!(done.load(Ordering::SeqCst));
    }
}
