//! Watches: their events, and the body that carries them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use http_body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::Cluster;
use super::call::Call;
use super::failure::Failure;
use super::kind::Kind;
use super::read::{selector, shown};
use super::selector::Selector;
use super::state::{Change, State, at_revision};

/// The server's default when a watch names no timeout; the real one picks a time from this on.
const TIMEOUT: Duration = Duration::from_mins(30);

/// A line and when it is due: events take as long as requests, so they come after the answer to the write.
type Line = (Instant, Bytes);

/// One open watch.
pub(super) struct Watch {
    actor: String,
    kind: Arc<Kind>,
    namespace: Option<String>,
    selector: Selector,
    partial: bool,
    lines: UnboundedSender<Line>,
}

impl Watch {
    fn covers(&self, object: &Value) -> bool {
        let namespace = object["metadata"]["namespace"].as_str();
        self.namespace.as_deref().is_none_or(|wanted| namespace == Some(wanted))
            && self.selector.matches(object)
    }

    /// Through a selector, a change may be an addition or a deletion.
    fn event(&self, change: &Change) -> Option<Value> {
        if change.key.resource != self.kind.resource() {
            return None;
        }
        let before = change.before.as_deref().filter(|object| self.covers(object));
        let after = change.after.as_deref().filter(|object| self.covers(object));
        let (sort, object) = match (before, after) {
            (None, None) => return None,
            (None, Some(new)) => ("ADDED", new.clone()),
            (Some(_), Some(new)) => ("MODIFIED", new.clone()),
            (Some(old), None) => ("DELETED", at_revision(old.clone(), change.revision)),
        };
        Some(json!({ "type": sort, "object": shown(&object, self.partial) }))
    }

    fn tell(&self, event: &Value, due: Instant) {
        let _ = self.lines.send((due, line(event)));
    }

    fn bookmark(&self, revision: u64, annotations: &Value) -> Value {
        bookmark(&self.kind, self.partial, revision, annotations)
    }
}

fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

fn bookmark(kind: &Kind, partial: bool, revision: u64, annotations: &Value) -> Value {
    let empty = json!({
        "kind": kind.kind, "apiVersion": kind.api_version(),
        "metadata": { "resourceVersion": revision.to_string(), "annotations": annotations },
    });
    json!({ "type": "BOOKMARK", "object": shown(&empty, partial) })
}

impl State {
    /// Sends a change to every open watch, unless a fault hides it from that actor.
    pub(super) fn deliver(&mut self, change: &Change) {
        self.watches.retain(|watch| !watch.lines.is_closed());
        let due = Instant::now() + self.latency;
        let mut hidden: BTreeMap<String, bool> = BTreeMap::new();
        for watch in &self.watches {
            let Some(event) = watch.event(change) else {
                continue;
            };
            let faults = &mut self.faults;
            let hide = hidden
                .entry(watch.actor.clone())
                .or_insert_with(|| faults.hides_event(&watch.actor, &watch.kind.plural, &change.key.name));
            if !*hide {
                watch.tell(&event, due);
            }
        }
    }

    /// Opens a watch: first the missed events, then every event as it happens.
    pub(super) fn watch(&mut self, call: &Call) -> Result<Tail, Failure> {
        let (lines, inbox) = unbounded_channel();
        let watch = Watch {
            actor: call.actor.clone(),
            kind: call.kind.clone(),
            namespace: call.namespace.clone(),
            selector: selector(call)?,
            partial: call.partial,
            lines,
        };
        let asked = call.query("resourceVersion").unwrap_or("0").parse::<u64>();
        let asked = asked.map_err(|_| Failure::bad_request("invalid resource version"))?;
        let bookmarks = call.flag("allowWatchBookmarks");
        let now = Instant::now();
        if call.flag("sendInitialEvents") {
            if call.query("resourceVersionMatch") != Some("NotOlderThan") || !bookmarks {
                let message =
                    "sendInitialEvents needs resourceVersionMatch=NotOlderThan and allowWatchBookmarks";
                return Err(Failure::new(422, "Invalid", message));
            }
            self.tell_everything(&watch, now);
            let end = json!({ "k8s.io/initial-events-end": "true" });
            watch.tell(&watch.bookmark(self.revision, &end), now);
            self.watches.push(watch);
        } else if asked == 0 {
            self.tell_everything(&watch, now);
            self.watches.push(watch);
        } else if asked < self.compacted {
            // The real server accepts the watch and sends an error event; the watch ends there.
            let message = format!("too old resource version: {asked} ({})", self.compacted);
            watch.tell(&json!({ "type": "ERROR", "object": Failure::expired(message).status() }), now);
        } else {
            let missed = self.changes.iter().filter(|change| change.revision > asked);
            missed.filter_map(|change| watch.event(change)).for_each(|event| watch.tell(&event, now));
            self.watches.push(watch);
        }
        let timeout =
            call.query("timeoutSeconds").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let ends = now + timeout.filter(|timeout| !timeout.is_zero()).unwrap_or(TIMEOUT);
        Ok(Tail { inbox, ends, bookmarks, kind: call.kind.clone(), partial: call.partial, ended: false })
    }

    fn tell_everything(&self, watch: &Watch, now: Instant) {
        for (_, object) in self.of_kind(&watch.kind).filter(|(_, object)| watch.covers(object)) {
            watch.tell(&json!({ "type": "ADDED", "object": shown(object, watch.partial) }), now);
        }
    }
}

/// The reading end of a watch.
pub(super) struct Tail {
    inbox: UnboundedReceiver<Line>,
    ends: Instant,
    bookmarks: bool,
    kind: Arc<Kind>,
    partial: bool,
    ended: bool,
}

/// Whether a watch at its timeout is over, and its last line.
enum Ending {
    NotYet,
    Now(Option<Bytes>),
}

type Chunk = Result<Frame<Bytes>, std::io::Error>;

impl Tail {
    /// The next line, or `None` when the watch has ended: closed by the server, or at its timeout. A bookmark comes
    /// just before the timeout, so that a quiet watch does not resume from a compacted revision.
    async fn next(&mut self, cluster: &Cluster) -> Option<Bytes> {
        while !self.ended {
            let received = tokio::select! {
                biased;
                received = self.inbox.recv() => received,
                () = sleep_until(self.ends) => match self.end(cluster) {
                    Ending::NotYet => continue,
                    Ending::Now(last) => return last,
                },
            };
            let (due, line) = received?;
            sleep_until(due).await;
            return Some(line);
        }
        None
    }

    /// Ends the watch, unless an event came in meanwhile, which the bookmark must not skip.
    fn end(&mut self, cluster: &Cluster) -> Ending {
        let state = cluster.state();
        if !self.inbox.is_empty() {
            return Ending::NotYet;
        }
        self.ended = true;
        self.inbox.close();
        let last = bookmark(&self.kind, self.partial, state.revision, &json!({}));
        Ending::Now(self.bookmarks.then(|| line(&last)))
    }

    pub(super) fn into_stream(self, cluster: Cluster) -> impl Stream<Item = Chunk> + Send {
        stream::unfold((self, cluster), |(mut tail, cluster)| async move {
            let line = tail.next(&cluster).await?;
            Some((Ok(Frame::data(line)), (tail, cluster)))
        })
    }
}
