//! Events: off the path, at most one per transition, the first thing dropped under load.

use crate::plan::report::Notice;
use crate::runtime::metrics::Metrics;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// More than this many waiting events mean that the API server has better things to do.
const WAITING: usize = 256;

/// Takes events and never makes anybody wait.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<(ObjectReference, Notice)>,
    metrics: Metrics,
}

impl Events {
    /// The queue, and the task that empties it.
    pub fn new(client: Client, metrics: Metrics) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let recorder = Recorder::new(
            client,
            Reporter { controller: "keysmith.dev/operator".to_owned(), instance: None },
        );
        (Self { queue, metrics }, send_all(recorder, waiting))
    }

    /// Sends an event some time, or drops it.
    pub fn notify(&self, regarding: ObjectReference, notice: Notice) {
        let log = format!(
            "{}/{}",
            regarding.kind.as_deref().unwrap_or_default(),
            regarding.name.as_deref().unwrap_or_default()
        );
        tracing::info!(
            object = log,
            namespace = regarding.namespace,
            reason = notice.reason,
            "{}",
            notice.note
        );
        if self.queue.try_send((regarding, notice)).is_err() {
            self.metrics.event_dropped();
        }
    }

    /// Stops when told to, although senders remain.
    pub async fn until(task: impl Future<Output = ()>, stop: CancellationToken) {
        tokio::select! {
            () = task => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn send_all(recorder: Recorder, mut waiting: mpsc::Receiver<(ObjectReference, Notice)>) {
    while let Some((regarding, notice)) = waiting.recv().await {
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason.to_owned(),
            action: notice.reason.to_owned(),
            note: Some(notice.note),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, &regarding).await {
            tracing::debug!(error = super::brief(&error), "an event was not taken");
        }
    }
}
