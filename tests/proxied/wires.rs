//! The record of the requests through both proxies of a story, in one order, and the rules for later requests.

use super::gate::Gate;
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// One of the proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Towards the API server.
    Kubernetes,
    /// Towards the vendor.
    Vendor,
}

/// The treatment of a request.
#[derive(Clone)]
pub enum Act {
    /// The connection is closed without forwarding the request.
    LoseRequest,
    /// The request is forwarded, then the connection is closed without an answer.
    LoseAnswer,
    /// The request is forwarded twice; the client gets the first answer.
    Replay,
    /// The request is forwarded later.
    Delay(Duration),
    /// The answer is cut off after that byte.
    Truncate(usize),
    /// The proxy answers with that status.
    Refuse(u16),
    /// The request is held before it is forwarded.
    HoldRequest(Gate),
    /// The request is forwarded, and its answer is held.
    HoldAnswer(Gate),
}

/// A request, identified by its shape, such as `PATCH gatewayapikeys/status`, and by the number of earlier requests of
/// that shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// The proxy.
    pub side: Side,
    /// Method and resource.
    pub shape: String,
    /// The sequence number, from 1.
    pub nth: usize,
}

impl std::fmt::Display for Point {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?} {} #{}", self.side, self.shape, self.nth)
    }
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The proxy.
    pub side: Side,
    /// Method and resource.
    pub shape: String,
    /// The claim in a patch, or the name in a create call.
    pub subject: Option<String>,
    /// The status of the answer, once there is one.
    pub status: Option<u16>,
}

impl Entry {
    /// Whether the request changes state. Events do not count as state.
    pub fn writes(&self) -> bool {
        !self.shape.starts_with("GET") && !self.shape.ends_with(" events")
    }
}

/// The requests that a rule matches.
enum Requests {
    /// Requests of a side and a shape.
    Like(Side, String),
    /// All requests of a side.
    Of(Side),
    /// All requests that change state.
    Writes,
}

impl Requests {
    fn meet(&self, entry: &Entry) -> bool {
        match self {
            Self::Like(side, shape) => entry.side == *side && entry.shape == *shape,
            Self::Of(side) => entry.side == *side,
            Self::Writes => entry.writes(),
        }
    }
}

struct Rule {
    requests: Requests,
    /// The number of the matching request on which the rule acts, 1 for the next; `None` acts on all.
    countdown: Option<usize>,
    act: Act,
}

/// The record and the rules. Clones share both.
#[derive(Clone, Default)]
pub struct Wires {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    rules: Vec<Rule>,
    fired: usize,
}

impl Wires {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies an act once, to the request at that point, counted from now.
    pub fn at(&self, point: &Point, act: Act) {
        let requests = Requests::Like(point.side, point.shape.clone());
        self.state().rules.push(Rule { requests, countdown: Some(point.nth), act });
    }

    /// Applies an act once, to the next request that changes state.
    pub fn at_next_write(&self, act: Act) {
        self.state().rules.push(Rule { requests: Requests::Writes, countdown: Some(1), act });
    }

    /// Applies an act to every request of a side.
    pub fn always(&self, side: Side, act: Act) {
        self.state().rules.push(Rule { requests: Requests::Of(side), countdown: None, act });
    }

    /// Removes every rule.
    pub fn clear(&self) {
        self.state().rules.clear();
    }

    /// The number of requests that met a rule.
    pub fn fired(&self) -> usize {
        self.state().fired
    }

    /// Every recorded request.
    pub fn entries(&self) -> Vec<Entry> {
        self.state().entries.clone()
    }

    /// The number of recorded requests.
    pub fn len(&self) -> usize {
        self.state().entries.len()
    }

    /// For a proxy: records a request. Returns its number and its treatment.
    pub fn arrived(&self, side: Side, parts: &Parts, body: &Bytes) -> (usize, Option<Act>) {
        // A dry run stores nothing, and has a shape of its own.
        let rehearsed =
            if parts.uri.query().is_some_and(|it| it.contains("dryRun=All")) { "rehearsed " } else { "" };
        let shape = format!("{rehearsed}{} {}", parts.method, resource(side, parts.uri.path()));
        let mut state = self.state();
        let entry = Entry { side, shape, subject: subject(parts, body), status: None };
        let act = state.judge(&entry);
        state.entries.push(entry);
        (state.entries.len() - 1, act)
    }

    /// For a proxy: records the status of the server's answer.
    pub fn answered(&self, number: usize, status: u16) {
        let mut state = self.state();
        let entry = &mut state.entries[number];
        // For a request that was forwarded twice, the first answer counts.
        entry.status.get_or_insert(status);
        if entry.side == Side::Vendor && entry.writes() && entry.shape.contains("api_keys") {
            self.changed.notify_one();
        }
    }

    /// Waits for the next change at the vendor, or returns at once if there was one since the last call.
    pub async fn vendor_changed(&self) {
        self.changed.notified().await;
    }
}

impl State {
    fn judge(&mut self, entry: &Entry) -> Option<Act> {
        let mut due = None;
        for (index, rule) in self.rules.iter_mut().enumerate() {
            if !rule.requests.meet(entry) {
                continue;
            }
            if let Some(left) = &mut rule.countdown {
                *left = left.saturating_sub(1);
                if *left > 0 {
                    continue;
                }
            }
            due = due.or(Some(index));
        }
        let index = due?;
        self.fired += 1;
        let act = self.rules[index].act.clone();
        if self.rules[index].countdown.is_some() {
            self.rules.remove(index);
        }
        Some(act)
    }
}

/// The resource of a path, without the names in it.
fn resource(side: Side, path: &str) -> String {
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let anchor = match side {
        Side::Kubernetes => "namespaces",
        Side::Vendor => "organizations",
    };
    let after = parts.iter().position(|it| *it == anchor).map_or(0, |at| at + 2);
    let rest = parts.get(after..).unwrap_or_default();
    let (kind, subresource) = (rest.first().copied().unwrap_or_default(), rest.get(2));
    match (side, rest.get(1), subresource) {
        (_, _, Some(subresource)) => format!("{kind}/{subresource}"),
        // The vendor's updates are POST requests as well.
        (Side::Vendor, Some(_), None) => format!("{kind}/*"),
        _ => kind.to_owned(),
    }
}

/// The name of the resource and the claim in a patch; the name of the key in a create call.
fn subject(parts: &Parts, body: &Bytes) -> Option<String> {
    if parts.method == Method::GET {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let Some(claim) = body["metadata"]["annotations"]["keysmith.dev/claim"].as_str() else {
        return body["name"].as_str().map(str::to_owned);
    };
    Some(format!("{} {claim}", parts.uri.path().rsplit('/').next().unwrap_or_default()))
}
