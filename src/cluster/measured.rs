//! A client whose requests to the API server are counted.

use crate::runtime::metrics::Metrics;
use crate::runtime::traces;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Instant;
use tower::{BoxError, Service};

/// The same client, with every request counted. `namespace`: its default namespace.
pub fn measured(client: Client, namespace: &str, metrics: Metrics) -> Client {
    Client::new(Measured { client, metrics }, namespace)
}

#[derive(Clone)]
struct Measured {
    client: Client,
    metrics: Metrics,
}

impl Service<Request<Body>> for Measured {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The client waits in `send` until it has capacity.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.method().as_str().to_owned();
        let (began, metrics, client) = (Instant::now(), self.metrics.clone(), self.client.clone());
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let answer =
                traces::request(&method, &path, client.send(request), |it| it.status().as_u16()).await;
            let code = answer.as_ref().ok().map(|it| it.status().as_u16());
            metrics.kubernetes_request(&method, code, began.elapsed());
            answer.map_err(BoxError::from)
        })
    }
}
