//! A running operator, one of several or alone, and what can be seen of it from outside.

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
    told: State,
    calls: Calls,
    hangs: Arc<AtomicBool>,
}

/// How often one operator called the vendors.
#[derive(Clone, Default)]
pub struct Calls(Arc<AtomicUsize>);

/// The vendors as one operator reaches them.
pub struct Line {
    vendors: InProcess,
    calls: Calls,
    limit: Option<Limit>,
}

/// A vendor that admits so many calls per second, and as many at once.
#[derive(Clone)]
pub struct Limit {
    per_second: f64,
    state: Arc<Mutex<(f64, Instant)>>,
    refused: Calls,
}

impl Limit {
    /// Nothing was spent yet.
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        let state = Arc::new(Mutex::new((per_second, Instant::now())));
        Self { per_second, state, refused: Calls::default() }
    }

    /// How many calls were refused.
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
    /// A way to the vendors that is counted here.
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

/// The usual times of an election, or some that one can wait for where time is not paused.
pub fn times(simulated: bool) -> Times {
    let times = if simulated { [15_000, 10_000, 2_000] } else { [3_000, 2_000, 500] };
    let [lease, renew, retry] = times.map(SignedDuration::from_millis);
    Times::new(lease, renew, retry).unwrap()
}

impl Replica {
    /// Starts an operator whose calls are counted there.
    pub fn start(operator: Operator, calls: Calls) -> Self {
        let told = State {
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
        Self { task, stop, told, calls, hangs }
    }

    /// From now on its loops do not turn, as if one of them waited for something that never comes.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Asks it to stop, and waits until everything under way is finished.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Asks it to stop.
    pub fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// Kills it in the middle of whatever it does.
    pub fn kill(self) {
        self.task.abort();
    }

    /// Whether it acts.
    pub fn leads(&self) -> bool {
        self.told.metrics.text().lines().any(|line| line == "keysmith_leader 1")
    }

    /// How often it called the vendors.
    pub fn calls(&self) -> usize {
        self.calls.0.load(Ordering::SeqCst)
    }

    /// What it serves there: code and text.
    pub async fn serves(&self, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let answer = server::router(self.told.clone()).oneshot(request).await.unwrap();
        let code = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// Takes the lead away from whoever has it, at moments that meet everything.
pub async fn usurp(leases: Api<Lease>) {
    while !matches!(leases.get_opt(lease::NAME).await, Ok(Some(_))) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for millis in [60, 30, 400, 150, 1500, 4000, 700, 11_000, 23_000, 180_000].into_iter().cycle() {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let nobody = Patch::Merge(json!({"spec": {"holderIdentity": ""}}));
        // One that fails is made up for by the next.
        let _ = leases.patch(lease::NAME, &PatchParams::default(), &nobody).await;
    }
}
