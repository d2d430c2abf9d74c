//! `/healthz`, `/readyz` and `/metrics`.

use super::metrics::Metrics;
use axum::Router;
use axum::extract::State;
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

/// The endpoints.
pub fn router(metrics: Metrics, readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route(
            "/readyz",
            get(|State((_, readiness)): State<(Metrics, Readiness)>| async move { readiness.answer() }),
        )
        .route(
            "/metrics",
            get(|State((metrics, _)): State<(Metrics, Readiness)>| async move { metrics.text() }),
        )
        .with_state((metrics, readiness))
}
