//! Events: queued, at most one per transition, and the first thing to be dropped under load.

use crate::plan::hash;
use crate::plan::report::Notice;
use crate::runtime::metrics::Metrics;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Length of the queue. If it is full, the API server is overloaded, and events are dropped.
const WAITING: usize = 1024;
/// After an event was stored, the next one waits this many times as long as that took: most of what the API server can do is
/// for keys, and the slower it is, the fewer events it gets.
const PATIENCE: u32 = 4;
/// Kubernetes' limit of an event's note, in bytes.
const LONGEST_NOTE: usize = 1024;

/// A queued event: the object, the serial of its key, and the notice.
type Waiting = (ObjectReference, Option<u64>, Notice);

/// The queue of events; sending never blocks.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Waiting>,
    metrics: Metrics,
}

impl Events {
    /// The queue, and the task that sends its events.
    pub fn new(client: Client, metrics: Metrics) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let sender = Sender { recorder: recorder(&client), client, metrics: metrics.clone() };
        (Self { queue, metrics }, sender.send_all(waiting))
    }

    /// Logs an event and queues it, or drops it if the queue is full. `serial` is that of the key in question.
    pub fn notify(&self, regarding: ObjectReference, serial: Option<u64>, notice: Notice) {
        let (kind, namespace, name) = (&regarding.kind, &regarding.namespace, &regarding.name);
        let (reason, note) = (notice.reason.as_str(), &notice.note);
        if notice.warning {
            tracing::warn!(kind, namespace, name, serial, reason, "{note}");
        } else {
            tracing::info!(kind, namespace, name, serial, reason, "{note}");
        }
        if self.queue.try_send((regarding, serial, notice)).is_err() {
            self.metrics.event_dropped();
        }
    }

    /// Runs the task until `stop`, even if senders remain.
    pub async fn until(task: impl Future<Output = ()>, stop: CancellationToken) {
        tokio::select! {
            () = task => {}
            () = stop.cancelled() => {}
        }
    }
}

struct Sender {
    client: Client,
    recorder: Recorder,
    metrics: Metrics,
}

fn recorder(client: &Client) -> Recorder {
    let reporter = Reporter { controller: "keysmith.dev/operator".to_owned(), instance: None };
    Recorder::new(client.clone(), reporter)
}

impl Sender {
    async fn send_all(mut self, mut waiting: mpsc::Receiver<Waiting>) {
        while let Some((regarding, serial, notice)) = waiting.recv().await {
            let began = Instant::now();
            if let Err(error) = self.send(&regarding, &notice).await {
                self.metrics.event_refused();
                tracing::warn!(
                    kind = regarding.kind,
                    namespace = regarding.namespace,
                    name = regarding.name,
                    serial,
                    reason = notice.reason.as_str(),
                    error = super::brief(&error),
                    "an event was not stored; its text is in the log line before"
                );
            }
            if !waiting.is_empty() {
                tokio::time::sleep(began.elapsed() * PATIENCE).await;
            }
        }
    }

    async fn send(&mut self, regarding: &ObjectReference, notice: &Notice) -> kube::Result<()> {
        let event = event(notice);
        match self.recorder.publish(&event, regarding).await {
            // The recorder increments the count of a remembered event, which was deleted: a new recorder remembers
            // none.
            Err(error) if super::is_missing(&error) => {
                self.recorder = recorder(&self.client);
                self.recorder.publish(&event, regarding).await
            }
            other => other,
        }
    }
}

/// The recorder merges two events with the same reason and action, and keeps the text of the first. The action
/// therefore contains a hash of the text.
fn event(notice: &Notice) -> Event {
    let reason = notice.reason.as_str();
    Event {
        type_: if notice.warning { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
        action: format!("{reason}-{}", hash::base32(&[notice.note.as_bytes()], 8)),
        note: Some(cut(&notice.note)),
        secondary: None,
    }
}

/// The note, truncated to Kubernetes' limit.
fn cut(note: &str) -> String {
    if note.len() <= LONGEST_NOTE {
        return note.to_owned();
    }
    let end = note.floor_char_boundary(LONGEST_NOTE - '…'.len_utf8());
    format!("{}…", &note[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EventReason;

    #[test]
    fn two_texts_are_two_events_and_the_same_text_twice_is_one() {
        let of = |note: &str| event(&Notice::news(EventReason::Updated, note)).action;
        assert_ne!(of("changed in place: spec.budget"), of("changed in place: spec.email"));
        assert_eq!(of("changed in place: spec.budget"), of("changed in place: spec.budget"));
        assert!(of("x").len() <= 128);
    }

    #[test]
    fn a_note_is_no_longer_than_the_api_server_admits() {
        for note in ["x".repeat(5000), "é".repeat(600), "x".repeat(1024)] {
            assert!(cut(&note).len() <= LONGEST_NOTE);
        }
        assert_eq!(cut("short"), "short");
        assert!(cut(&"é".repeat(600)).ends_with('…'));
    }
}
