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

/// What the text of the metrics is; with another type Prometheus would read it as its older format, which knows no counters
/// by name.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A part of the operator that may keep it from being ready. Each says so for itself, so that none takes back what another
/// one said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// It has been asked to stop.
    Stopping,
    /// The custom resource definitions, and which cluster this is.
    Definitions,
    /// The caches.
    Caches,
}

/// What keeps the operator from being ready, and what is worth knowing although it is ready.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<Said>>);

#[derive(Debug)]
struct Said {
    missing: BTreeMap<Part, Vec<String>>,
    notes: Vec<String>,
}

impl Default for Readiness {
    fn default() -> Self {
        // Caches are waited for last, so this is what is true until the first word of the operator.
        let missing = BTreeMap::from([(Part::Caches, vec!["starting".to_owned()])]);
        Self(Arc::new(Mutex::new(Said { missing, notes: Vec::new() })))
    }
}

impl Readiness {
    /// Says what is missing of a part; nothing makes that part ready.
    pub fn missing(&self, part: Part, what: Vec<String>) {
        let mut said = self.lock();
        if what.is_empty() {
            said.missing.remove(&part);
        } else {
            said.missing.insert(part, what);
        }
    }

    /// Says what is worth knowing and keeps nobody from working.
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

/// What the endpoints tell of.
#[derive(Clone, Default)]
pub struct State {
    /// Counters.
    pub metrics: Metrics,
    /// What keeps the operator from being ready.
    pub readiness: Readiness,
    /// Whether its loops turn.
    pub liveness: Liveness,
}

impl State {
    fn healthz(&self) -> (StatusCode, String) {
        match self.liveness.ask() {
            Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
            Err(ill) => (StatusCode::SERVICE_UNAVAILABLE, format!("not alive: {ill}\n")),
        }
    }

    /// Who is not alive is not ready either.
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
