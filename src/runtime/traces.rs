//! Traces of passes: each begins when its object is enqueued, such as by the event of a watch, and has the wait for its turn,
//! the pass, the requests to the API server and the calls to the vendor. They are spans of `tracing`, which cost nothing unless
//! something takes them: the log at level trace, or a collector (`otlp`).
//!
//! A span has names, methods, statuses and the path of a request to the API server. It never has a body, a key or an id of a
//! vendor's key.

use crate::plan::identity::ObjectName;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::field::Empty;
use tracing::{Instrument, Level, Span, trace_span};

/// The traces that began and whose pass has not.
#[derive(Clone, Default)]
pub struct Traces(Arc<Mutex<HashMap<(&'static str, ObjectName), Begun>>>);

/// A trace, and the wait that ends with the beginning of its pass.
struct Begun {
    whole: Span,
    _wait: Span,
}

impl Traces {
    /// Begins the trace of an object's next pass, unless it has begun.
    pub fn begin(&self, kind: &'static str, object: impl FnOnce() -> ObjectName) {
        if !tracing::span_enabled!(Level::TRACE) {
            return;
        }
        let object = object();
        self.begun().entry((kind, object)).or_insert_with_key(|(kind, ObjectName { namespace, name })| {
            let whole = trace_span!(parent: None, "reconcile", kind, namespace, name);
            let wait = trace_span!(parent: &whole, "wait for its turn");
            Begun { whole, _wait: wait }
        });
    }

    /// The trace of a pass that begins now; a disabled span, if traces are not taken.
    pub fn take(&self, kind: &'static str, object: &ObjectName) -> Span {
        let mut begun = self.begun();
        if begun.is_empty() {
            return Span::none();
        }
        begun.remove(&(kind, object.clone())).map_or_else(Span::none, |it| it.whole)
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<(&'static str, ObjectName), Begun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request to the API server as a part of a trace. Without a trace, such as for a watch, no span is created.
pub async fn request<T, E>(
    method: &str,
    path: &str,
    request: impl Future<Output = Result<T, E>>,
    status: impl FnOnce(&T) -> u16,
) -> Result<T, E> {
    if Span::current().is_none() {
        return request.await;
    }
    let span = trace_span!(
        "request to the API server",
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method,
        url.path = path,
        http.response.status_code = Empty
    );
    let answer = request.instrument(span.clone()).await;
    match &answer {
        Ok(answer) => drop(span.record("http.response.status_code", status(answer))),
        Err(_) => drop(span.record("otel.status_code", "ERROR")),
    }
    answer
}

/// A call to a vendor as a part of a trace; `outcome`: its label in the metrics.
pub async fn call<T, E>(
    vendor: &str,
    operation: &str,
    call: impl Future<Output = Result<T, E>>,
    outcome: impl FnOnce(&Result<T, E>) -> &'static str,
) -> Result<T, E> {
    let span = trace_span!(
        "call to the vendor",
        otel.kind = "client",
        otel.status_code = Empty,
        vendor,
        call = operation,
        outcome = Empty
    );
    let answer = call.instrument(span.clone()).await;
    span.record("outcome", outcome(&answer));
    if answer.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    answer
}

/// The wait for the permit of an account's rate limit.
pub async fn permit<T>(wait: impl Future<Output = T>) -> T {
    wait.instrument(trace_span!("wait for a permit")).await
}
