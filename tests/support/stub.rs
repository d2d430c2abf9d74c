//! A stub of a vendor: the test writes every answer, for answers that no correct vendor sends.

use super::orders::wire;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use jiff::Timestamp;
use keysmith::gateway::http::Wire;
use keysmith::gateway::transport::Transport;
use keysmith::plan::fault::Fault;
use keysmith::runtime::clock::Clock;
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Answers calls that a driver makes beside the one that a test is about.
pub type Aside = fn(&Request<Bytes>) -> Option<(u16, Bytes)>;

struct Beside {
    stub: Arc<Stub>,
    aside: Aside,
}

#[async_trait]
impl Transport for Beside {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        let Some((status, body)) = (self.aside)(&request) else { return self.stub.send(request).await };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}

type Script = Box<dyn Fn(&Request<Bytes>) -> (u16, Bytes) + Send + Sync>;

/// Answers every request by a function, and records the requests.
pub struct Stub {
    script: Script,
    count: AtomicUsize,
    last_body: Mutex<Bytes>,
}

#[async_trait]
impl Transport for Stub {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Fault> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let (status, body) = (self.script)(&request);
        *self.last_body.lock().unwrap() = request.into_body();
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}

impl Stub {
    pub fn by(script: impl Fn(&Request<Bytes>) -> (u16, Bytes) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { script: Box::new(script), count: AtomicUsize::new(0), last_body: Mutex::default() })
    }

    /// Sends the same answer to every request.
    pub fn always(status: u16, body: impl Into<Bytes>) -> Arc<Self> {
        let body = body.into();
        Self::by(move |_| (status, body.clone()))
    }

    /// A wire to this stub, with that token.
    pub fn wire(self: &Arc<Self>, token: &str) -> Wire {
        let clock = Clock::from_fn(|| Timestamp::UNIX_EPOCH);
        wire("http://vendor.test", token, self.clone(), &clock)
    }

    /// A wire to this stub, except for the calls that `aside` answers.
    pub fn wire_beside(self: &Arc<Self>, token: &str, aside: Aside) -> Wire {
        let clock = Clock::from_fn(|| Timestamp::UNIX_EPOCH);
        let transport = Arc::new(Beside { stub: self.clone(), aside });
        wire("http://vendor.test", token, transport, &clock)
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The JSON of the last request.
    pub fn sent(&self) -> Value {
        serde_json::from_slice(&self.last_body.lock().unwrap()).unwrap()
    }
}
