//! A running operator, alone or one of several, and its state as seen from outside.

use super::vendor::InProcess;
use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use keysmith::cluster::lease;
use keysmith::emulator::Emulator;
use keysmith::gateway::transport::Transport;
use keysmith::operator::Operator;
use keysmith::plan::fault::Fault;
use keysmith::plan::leadership::Times;
use keysmith::runtime::server::{self, State};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// A running operator.
pub struct Replica {
    task: JoinHandle<()>,
    stop: CancellationToken,
    state: State,
    calls: Calls,
    hangs: Arc<AtomicBool>,
}

/// The number of vendor calls of one operator.
#[derive(Clone, Default)]
pub struct Calls(Arc<AtomicUsize>);

/// The transport of one operator to the vendors.
pub struct Line {
    vendors: InProcess,
    calls: Calls,
    limit: Option<Limit>,
}

/// A vendor with a rate limit of so many calls per second, and a burst of as many.
#[derive(Clone)]
pub struct Limit {
    per_second: f64,
    state: Arc<Mutex<(f64, Instant)>>,
    refused: Calls,
}

impl Limit {
    /// A limit with its whole burst left.
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        let state = Arc::new(Mutex::new((per_second, Instant::now())));
        Self { per_second, state, refused: Calls::default() }
    }

    /// The number of refused calls.
    pub fn refused(&self) -> usize {
        self.refused.0.load(Ordering::SeqCst)
    }

    fn admits(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let (left, at) = *state;
        let left = (left + at.elapsed().as_secs_f64() * self.per_second).min(self.per_second);
        let admitted = left >= 1.0;
        *state = (if admitted { left - 1.0 } else { left }, Instant::now());
        if !admitted {
            self.refused.0.fetch_add(1, Ordering::SeqCst);
        }
        admitted
    }
}

impl Calls {
    /// A transport to the vendors that counts its calls here.
    pub fn line(&self, emulator: &Emulator, limit: Option<Limit>) -> Arc<dyn Transport> {
        Arc::new(Line { vendors: InProcess(emulator.clone()), calls: self.clone(), limit })
    }
}

#[async_trait]
impl Transport for Line {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        self.calls.0.fetch_add(1, Ordering::SeqCst);
        if self.limit.as_ref().is_some_and(|limit| !limit.admits()) {
            return Ok(Response::builder()
                .status(429)
                .header("retry-after", "1")
                .body(Bytes::new())
                .unwrap());
        }
        self.vendors.send(request).await
    }
}

/// The usual times of an election, or short ones if time is not paused.
pub fn times(simulated: bool) -> Times {
    let times = if simulated { [15_000, 10_000, 2_000] } else { [3_000, 2_000, 500] };
    let [lease, renew, retry] = times.map(SignedDuration::from_millis);
    Times::new(lease, renew, retry).unwrap()
}

impl Replica {
    /// Starts an operator whose calls are counted in `calls`.
    pub fn start(operator: Operator, calls: Calls) -> Self {
        let state = State {
            metrics: operator.metrics.clone(),
            readiness: operator.readiness.clone(),
            liveness: operator.liveness.clone(),
        };
        let (stop, hangs) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let mut running = Box::pin(operator.run(stop.clone()));
        let stuck = Arc::clone(&hangs);
        let task = tokio::spawn(poll_fn(move |context| {
            if stuck.load(Ordering::SeqCst) { Poll::Pending } else { running.poll_unpin(context) }
        }));
        Self { task, stop, state, calls, hangs }
    }

    /// Stops its loops, as if one of them waited for ever.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Requests a stop, and waits until all work under way is finished.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Requests a stop.
    pub fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// Kills it, whatever it is doing.
    pub fn kill(self) {
        self.task.abort();
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.state.metrics.text().lines().any(|line| line == "keysmith_leader 1")
    }

    /// The number of its vendor calls.
    pub fn calls(&self) -> usize {
        self.calls.0.load(Ordering::SeqCst)
    }

    /// The answer of its HTTP server: status and text.
    pub async fn serves(&self, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = server::router(self.state.clone()).oneshot(request).await.unwrap();
        let code = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// Takes the Lease from its holder, at intervals that hit every moment of a pass.
pub async fn usurp(leases: Api<Lease>) {
    while !matches!(leases.get_opt(lease::NAME).await, Ok(Some(_))) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for millis in [60, 30, 400, 150, 1500, 4000, 700, 11_000, 23_000, 180_000].into_iter().cycle() {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let no_holder = Patch::Merge(json!({"spec": {"holderIdentity": ""}}));
        // A failed attempt is ignored: the next one follows.
        let _ = leases.patch(lease::NAME, &PatchParams::default(), &no_holder).await;
    }
}
