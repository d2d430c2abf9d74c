//! `/healthz`, `/readyz` and `/metrics`.

use super::liveness::Liveness;
use super::metrics::Metrics;
use axum::Router;
use axum::extract;
use axum::http::StatusCode;
use axum::routing::get;
use std::sync::{Arc, Mutex, PoisonError};

/// What keeps the operator from being ready.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<Vec<String>>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(vec!["starting".to_owned()])))
    }
}

impl Readiness {
    /// Says what is missing; nothing makes it ready.
    pub fn missing(&self, what: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn answer(&self) -> (StatusCode, String) {
        let missing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.is_empty() {
            return (StatusCode::OK, "ready\n".to_owned());
        }
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join("; ")))
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
            get(|extract::State(state): extract::State<State>| async move { state.metrics.text() }),
        )
        .with_state(state)
}
