//! Applications: calls to the gateway with the key in a Secret.

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use k8s_openapi::api::core::v1::Secret;
use keysmith::gateway::transport::{Https, Transport};
use kube::Api;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The interval between two calls of one application.
const PAUSE: Duration = Duration::from_millis(10);
/// How long an application uses the key that it has read: one application reads before each call, the other one as
/// slowly as a mounted Secret may be updated within the overlap.
const READINGS: [Duration; 2] = [Duration::ZERO, Duration::from_secs(1)];

/// Running applications.
pub struct Traffic {
    count: Arc<Mutex<Count>>,
    stop: CancellationToken,
    applications: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Count {
    sent: usize,
    refused: Vec<String>,
}

impl Traffic {
    /// Starts the applications.
    pub fn start(secrets: &Api<Secret>, name: &'static str) -> Self {
        let (count, stop) = (Arc::default(), CancellationToken::new());
        let applications = READINGS.map(|reading| {
            let application = Application {
                secrets: secrets.clone(),
                name,
                reading,
                count: Arc::clone(&count),
                wire: Https::new(keysmith::gateway::transport::Network::default()).unwrap(),
            };
            tokio::spawn(application.work(stop.clone()))
        });
        Self { count, stop, applications: Mutex::new(applications.into()) }
    }

    /// Stops the applications. Fails if one of them panicked.
    pub async fn stop(&self) {
        self.stop.cancel();
        let applications = std::mem::take(&mut *self.applications.lock().unwrap());
        for application in applications {
            application.await.unwrap();
        }
    }

    /// The number of calls.
    pub fn sent(&self) -> usize {
        self.count.lock().unwrap_or_else(PoisonError::into_inner).sent
    }

    /// The calls with another answer than 200.
    pub fn refused(&self) -> Vec<String> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }
}

struct Application {
    secrets: Api<Secret>,
    name: &'static str,
    reading: Duration,
    count: Arc<Mutex<Count>>,
    wire: Https,
}

impl Application {
    async fn work(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let secret = self.secrets.get(self.name).await.unwrap();
            let read = tokio::time::Instant::now();
            loop {
                self.call(&secret).await;
                tokio::time::sleep(PAUSE).await;
                if read.elapsed() >= self.reading || stop.is_cancelled() {
                    break;
                }
            }
        }
    }

    async fn call(&self, secret: &Secret) {
        let entry = |name: &str| {
            let bytes = secret.data.as_ref().and_then(|data| data.get(name)).unwrap();
            String::from_utf8(bytes.0.clone()).unwrap()
        };
        let request = Request::post(format!("{}/chat/completions", entry("OPENAI_BASE_URL")))
            .header(AUTHORIZATION, format!("Bearer {}", entry("OPENAI_API_KEY")))
            .body(Bytes::from_static(br#"{"model": "openai/gpt-5.2"}"#));
        let answer = self.wire.send(request.unwrap()).await;
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.sent += 1;
        match answer {
            Ok(answer) if answer.status() == 200 => {}
            Ok(answer) => {
                let serial = secret.metadata.annotations.clone().unwrap_or_default();
                count.refused.push(format!("{} to the key of {serial:?}", answer.status()));
            }
            Err(fault) => count.refused.push(format!("no answer: {fault}")),
        }
    }
}
