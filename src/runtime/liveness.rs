//! Liveness: whether the loops of the process still run. A check asks each loop, and the loop answers in its next
//! iteration, so that liveness costs nothing without checks. A loop that has owed an answer for too long hangs.

use futures::{Stream, stream};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Timeout of an answer; no loop is busy with one thing for this long.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Part {
    name: String,
    number: u64,
    /// Since when an answer is due.
    asked: Option<Instant>,
    question: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Parts {
    present: Vec<Part>,
    dead: Vec<String>,
    count: u64,
}

/// The loops of a process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Liveness(Arc<Mutex<Parts>>);

impl Liveness {
    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a loop. Dropping the pulse deregisters it.
    pub fn part(&self, name: impl Into<String>) -> Pulse {
        let question = Arc::new(Notify::new());
        let mut parts = self.lock();
        parts.count += 1;
        let number = parts.count;
        parts.present.push(Part { name: name.into(), number, asked: None, question: Arc::clone(&question) });
        Pulse { liveness: self.clone(), number, question }
    }

    /// Records that a loop ended that never should; only a restart of the process repairs that.
    pub fn died(&self, name: impl Into<String>) {
        let name = name.into();
        tracing::error!(
            part = %name,
            "a loop ended by itself; this process says so at /healthz and has to be restarted"
        );
        self.lock().dead.push(name);
    }

    fn answered(&self, number: u64) {
        for part in &mut self.lock().present {
            if part.number == number {
                part.asked = None;
            }
        }
    }

    /// Whether all loops have answered the checks before this one. Starts the next check.
    pub fn ask(&self) -> Result<(), String> {
        let mut parts = self.lock();
        let now = Instant::now();
        let mut ill: Vec<_> = parts.dead.iter().map(|name| format!("{name} has ended")).collect();
        for part in &mut parts.present {
            let asked = *part.asked.get_or_insert(now);
            part.question.notify_one();
            if now.duration_since(asked) >= PATIENCE {
                ill.push(format!("{} has not moved for {} s", part.name, PATIENCE.as_secs()));
            }
        }
        if ill.is_empty() { Ok(()) } else { Err(ill.join("; ")) }
    }
}

/// A loop's means to answer.
#[derive(Debug)]
pub struct Pulse {
    liveness: Liveness,
    number: u64,
    question: Arc<Notify>,
}

impl Pulse {
    /// Answers a check whenever the loop polls this stream, which yields no items.
    pub fn answers(&self) -> impl Stream<Item = Infallible> + Send + 'static {
        let (liveness, number, question) = (self.liveness.clone(), self.number, Arc::clone(&self.question));
        stream::once(async move {
            loop {
                question.notified().await;
                liveness.answered(number);
            }
        })
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.liveness.lock().present.retain(|part| part.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    async fn pass(time: Duration) {
        tokio::time::sleep(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_turns_is_alive_however_rarely_it_is_asked() {
        let liveness = Liveness::default();
        let pulse = liveness.part("loop");
        let turning = tokio::spawn(pulse.answers().for_each(|never| async move { match never {} }));
        for _ in 0..3 {
            assert_eq!(liveness.ask(), Ok(()));
            pass(Duration::from_hours(1)).await;
        }
        turning.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_is_named_and_one_that_goes_on_is_well_again() {
        let liveness = Liveness::default();
        let pulse = liveness.part("loop");
        let mut hanging = Box::pin(pulse.answers());
        assert_eq!(liveness.ask(), Ok(()));
        pass(Duration::from_secs(29)).await;
        assert_eq!(liveness.ask(), Ok(()));
        pass(Duration::from_secs(1)).await;
        assert_eq!(liveness.ask(), Err("loop has not moved for 30 s".to_owned()));
        assert!(futures::poll!(hanging.next()).is_pending());
        assert_eq!(liveness.ask(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_was_ended_owes_nothing_and_one_that_died_is_never_forgotten() {
        let liveness = Liveness::default();
        let ended = liveness.part("ended");
        assert_eq!(liveness.ask(), Ok(()));
        drop(ended);
        pass(PATIENCE).await;
        assert_eq!(liveness.ask(), Ok(()));
        liveness.died("dead");
        assert_eq!(liveness.ask(), Err("dead has ended".to_owned()));
    }
}
