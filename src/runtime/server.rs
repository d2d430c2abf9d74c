//! `/healthz`, `/readyz` and `/metrics`.

use super::liveness::Liveness;
use super::metrics::Metrics;
use axum::Router;
use axum::extract;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Content type of the metrics; with another one, Prometheus would parse its older format, in which counters are
/// named differently.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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
            get(|extract::State(state): extract::State<State>| async move {
                ([(CONTENT_TYPE, OPEN_METRICS)], state.metrics.text())
            }),
        )
        .with_state(state)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let request =
            axum::extract::Request::builder().uri("/metrics").body(axum::body::Body::empty()).unwrap();
        let answer = router(State::default()).oneshot(request).await.unwrap();
        assert_eq!(answer.headers()[CONTENT_TYPE], OPEN_METRICS);
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert!(body.ends_with(b"# EOF\n"));
    }
}
