//! `/healthz`, `/readyz` and `/metrics`.

use super::liveness::Liveness;
use super::metrics::{Metrics, text};
use axum::Router;
use axum::extract;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A part of the operator that may be unready. Each part reports for itself, so that none overwrites another's
/// report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The operator was asked to stop.
    Stopping,
    /// The custom resource definitions, and the id of the cluster.
    Definitions,
    /// The caches.
    Caches,
}

/// Why the operator is not ready, and notes to show although it is ready.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<Said>>);

#[derive(Debug)]
struct Said {
    missing: BTreeMap<Part, Vec<String>>,
    notes: Vec<String>,
}

impl Default for Readiness {
    fn default() -> Self {
        // Caches are filled last, so this is the state until the operator's first report.
        let missing = BTreeMap::from([(Part::Caches, vec!["starting".to_owned()])]);
        Self(Arc::new(Mutex::new(Said { missing, notes: Vec::new() })))
    }
}

impl Readiness {
    /// Sets what a part lacks; an empty list makes it ready.
    pub fn missing(&self, part: Part, what: Vec<String>) {
        let mut said = self.lock();
        if what.is_empty() {
            said.missing.remove(&part);
        } else {
            said.missing.insert(part, what);
        }
    }

    /// Sets the notes, which do not affect readiness.
    pub fn note(&self, notes: Vec<String>) {
        self.lock().notes = notes;
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self) -> (StatusCode, String) {
        let said = self.lock();
        let missing: Vec<_> = said.missing.values().flatten().map(String::as_str).collect();
        if !missing.is_empty() {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join("; ")));
        }
        let mut lines = vec!["ready"];
        lines.extend(said.notes.iter().map(String::as_str));
        (StatusCode::OK, lines.join("\n") + "\n")
    }
}

/// Inputs of the endpoints.
#[derive(Clone, Default)]
pub struct State {
    /// The metrics.
    pub metrics: Metrics,
    /// Readiness of the operator.
    pub readiness: Readiness,
    /// Liveness of its loops.
    pub liveness: Liveness,
}

impl State {
    fn healthz(&self) -> (StatusCode, String) {
        match self.liveness.ask() {
            Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
            Err(ill) => (StatusCode::SERVICE_UNAVAILABLE, format!("not alive: {ill}\n")),
        }
    }

    /// A process that is not alive is not ready either.
    fn readyz(&self) -> (StatusCode, String) {
        match self.healthz() {
            (StatusCode::OK, _) => self.readiness.answer(),
            ill => ill,
        }
    }
}

/// The endpoints.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/healthz", get(|extract::State(state): extract::State<State>| async move { state.healthz() }))
        .route("/readyz", get(|extract::State(state): extract::State<State>| async move { state.readyz() }))
        .route(
            "/metrics",
            get(|extract::State(state): extract::State<State>, headers: HeaderMap| async move {
                let accept = headers.get(ACCEPT).and_then(|it| it.to_str().ok());
                let open = state.metrics.text();
                if text::reads_open_metrics(accept) {
                    ([(CONTENT_TYPE, text::OPEN_METRICS)], open)
                } else {
                    ([(CONTENT_TYPE, text::CLASSIC)], text::classic(&open))
                }
            }),
        )
        .with_state(state)
}

/// Limit of open connections. The port is open to every pod unless a policy of the network closes it.
const CONNECTIONS: usize = 128;
/// Limit of open connections of one address, so that no client keeps the probes of the kubelet out.
const CONNECTIONS_OF_ONE: usize = 8;
/// Timeout of a request's header, and of an idle connection.
const HEADER: Duration = Duration::from_secs(5);
/// Longest life of a connection.
const LIFE: Duration = Duration::from_mins(2);

/// Serves the endpoints until `stop`. A connection beyond the limits is closed at once.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let open = Open::default();
    let tracker = TaskTracker::new();
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => {
                // No file descriptor is left, or the client is gone already.
                let Ok(accepted) = accepted else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                accepted
            }
            () = stop.cancelled() => break,
        };
        let Some(slot) = open.enter(address.ip()) else { continue };
        let (router, stop) = (router.clone(), stop.clone());
        tracker.spawn(async move {
            let _slot = slot;
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER);
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
            tokio::pin!(connection);
            let stopping = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(LIFE) => {}
                }
            };
            tokio::select! {
                _ = connection.as_mut() => return,
                () = stopping => connection.as_mut().graceful_shutdown(),
            }
            // Requests in progress are finished.
            let _ = tokio::time::timeout(HEADER, connection).await;
        });
    }
    tracker.close();
    tracker.wait().await;
}

/// Number of open connections, by address.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One open connection.
struct Slot {
    open: Open,
    address: IpAddr,
}

impl Open {
    /// Counts a connection. `None`: there are too many.
    fn enter(&self, address: IpAddr) -> Option<Slot> {
        let mut open = self.lock();
        let of_one = open.get(&address).copied().unwrap_or_default();
        if of_one >= CONNECTIONS_OF_ONE || open.values().sum::<usize>() >= CONNECTIONS {
            return None;
        }
        open.insert(address, of_one + 1);
        drop(open);
        Some(Slot { open: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        match open.get(&self.address).copied() {
            Some(count) if count > 1 => drop(open.insert(self.address, count - 1)),
            _ => drop(open.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_takes_the_connections_of_others() {
        let open = Open::default();
        let of = |last: u8| open.enter(IpAddr::from([10, 0, 0, last]));
        let mut greedy: Vec<_> = (0..20).filter_map(|_| of(1)).collect();
        assert_eq!(greedy.len(), CONNECTIONS_OF_ONE);
        let kubelet = of(2);
        assert!(kubelet.is_some());
        greedy.pop();
        assert!(of(1).is_some(), "a slot is free again");
        drop((greedy, kubelet));
        assert!(open.lock().is_empty());
        let all: Vec<_> = (0..=255).flat_map(|last| [of(last), of(last)]).flatten().collect();
        assert_eq!(all.len(), CONNECTIONS);
    }

    /// Real sockets: the header timeout is hyper's.
    #[tokio::test]
    async fn a_client_that_sends_no_header_is_cut_off_and_others_are_served() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router(State::default()), stop.clone()));
        let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
        silent.write_all(b"GET /metrics HTTP/1.1\r\nHost").await.unwrap();
        let mut scrape = tokio::net::TcpStream::connect(address).await.unwrap();
        scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        scrape.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
        let mut rest = Vec::new();
        silent.read_to_end(&mut rest).await.unwrap();
        stop.cancel();
        server.await.unwrap();
    }

    #[test]
    fn a_part_that_is_ready_again_does_not_take_back_what_another_part_says() {
        let readiness = Readiness::default();
        assert_eq!(readiness.answer().1, "not ready: starting\n");
        let say = |part, what: &str| readiness.missing(part, vec![what.to_owned()]);
        say(Part::Caches, "caches");
        readiness.missing(Part::Definitions, Vec::new());
        assert_eq!(readiness.answer().1, "not ready: caches\n");
        readiness.missing(Part::Caches, Vec::new());
        readiness.note(vec!["namespace late does not exist".to_owned()]);
        let ready = (StatusCode::OK, "ready\nnamespace late does not exist\n".to_owned());
        assert_eq!(readiness.answer(), ready);
        say(Part::Definitions, "definition");
        say(Part::Stopping, "stopping");
        assert_eq!(readiness.answer().1, "not ready: stopping; definition\n");
        readiness.missing(Part::Definitions, Vec::new());
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n".to_owned()));
    }

    #[tokio::test]
    async fn metrics_are_served_as_the_format_that_they_are_in() {
        use tower::ServiceExt;
        for (accept, kind, open) in [
            ("application/openmetrics-text;version=1.0.0,*/*;q=0.1", text::OPEN_METRICS, true),
            ("text/plain", text::CLASSIC, false),
        ] {
            let request = axum::extract::Request::builder().uri("/metrics").header(ACCEPT, accept);
            let request = request.body(axum::body::Body::empty()).unwrap();
            let answer = router(State::default()).oneshot(request).await.unwrap();
            assert_eq!(answer.headers()[CONTENT_TYPE], kind);
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            assert_eq!(body.ends_with(b"# EOF\n"), open);
        }
    }
}
