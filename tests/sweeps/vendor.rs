//! The operator's connection to the vendor, across the line.

use super::fault::{Fault as Strike, Point, Sort};
use super::line::{Line, Passage};
use super::observer::{Observer, is_collection};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use keysmith::emulator::{Effect, Emulator, Rule};
use keysmith::gateway::transport::Transport;
use keysmith::plan::fault::{Fault, FaultKind, Unreachable};
use std::future::pending;
use std::time::Duration;

/// The lag of a stale listing; less than the lag in the driver's table.
const LAG_MILLIS: u64 = 25_000;
/// The latency of a call, in each direction.
const LATENCY: Duration = Duration::from_millis(1);

/// The transport of one operator.
pub struct Vendor {
    /// The generation of the operator.
    pub generation: u64,
    /// The line it crosses.
    pub line: Line,
    /// The vendor at its end.
    pub emulator: Emulator,
    /// The observer, which checks the world after every call that may change state.
    pub observer: Observer,
}

fn broken() -> Fault {
    Fault::ambiguous(FaultKind::Disconnected)
}

fn sort(request: &Request<Bytes>) -> Sort {
    let reading = request.method() == Method::GET || request.uri().path().ends_with("/reveal");
    if reading { Sort::VendorRead } else { Sort::VendorWrite }
}

fn point(request: &Request<Bytes>) -> Point {
    let path = request.uri().path();
    let below = path.find("/organizations/").map_or(path, |at| &path[at + "/organizations/".len()..]);
    let listing = request.method() == Method::GET && is_collection(path);
    Point { sort: sort(request), what: format!("vendor {} {below}", request.method()), has_past: listing }
}

impl Vendor {
    /// Sends the request with a fault of the emulator; it hits this call, because no other call comes in between.
    async fn call(&self, request: Request<Bytes>, effect: Option<Effect>) -> Result<Response<Bytes>, Fault> {
        if let Some(effect) = effect {
            self.emulator.faults().add(Rule::once(request.method().as_str(), "", effect));
        }
        let writes = sort(&request) == Sort::VendorWrite;
        let answer = self.emulator.call(request).await.map_err(|_| broken());
        if writes {
            self.observer.look();
        }
        answer
    }
}

fn refusal(code: u16, retry_after: Option<&str>) -> Effect {
    Effect::Status { code, retry_after: retry_after.map(str::to_owned) }
}

#[async_trait]
impl Transport for Vendor {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        let passage = self.line.arrive(self.generation, point(&request));
        let Passage::Open(strike) = passage else {
            return pending().await;
        };
        if strike == Some(Strike::Refused) {
            return Err(Fault::without_effect(FaultKind::Unreachable(Unreachable::Connect)));
        }
        self.observer.sent(&request);
        let effect = match strike {
            Some(Strike::Unavailable) => Some(refusal(503, None)),
            Some(Strike::Conflict) => Some(refusal(409, None)),
            Some(Strike::Throttled) => Some(refusal(429, Some("7"))),
            Some(Strike::Stale) => Some(Effect::LagListing { millis: LAG_MILLIS }),
            _ => None,
        };
        // Killing the caller must not withhold a request that was sent, so nothing is awaited before it.
        let answer = self.call(request, effect).await;
        tokio::time::sleep(LATENCY).await;
        if !self.line.is_alive(self.generation) {
            return pending().await;
        }
        if strike == Some(Strike::Lost) { Err(broken()) } else { answer }
    }
}
