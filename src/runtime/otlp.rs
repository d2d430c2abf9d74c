//! Traces to a collector, over OTLP by HTTP with protobuf; of the feature `otlp`. Variables of OpenTelemetry's SDK are read by
//! the SDK: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and others.

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

/// Where a collector takes traces, below its endpoint.
const PATH: &str = "v1/traces";
/// How long a batch may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most of a collector's answer that is to be read, in bytes.
pub const ANSWER: usize = 64 * 1024;

/// Sends a request to the collector. Returns its answer, or why there is none.
pub type Post =
    Arc<dyn Fn(Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, String>> + Send + Sync>;

/// The traces of this process, sent in batches.
#[derive(Clone, Debug)]
pub struct Export(SdkTracerProvider);

impl Export {
    /// To the collector at that endpoint, such as `http://collector:4318`.
    pub fn new(endpoint: &Url, post: Post) -> Result<Self, String> {
        let wrong = |error: &dyn fmt::Display| format!("--otlp-endpoint {endpoint}: {error}");
        let url = endpoint.as_str().trim_end_matches('/').to_owned() + "/" + PATH;
        let client = Client { post, handle: Handle::current(), failing: AtomicBool::new(false) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .build()
            .map_err(|error| wrong(&error))?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource());
        Ok(Self(provider.build()))
    }

    /// Takes Keysmith's own spans. Lines of the log stay in the log.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let ours = filter_fn(|it| it.is_span() && it.target().starts_with("keysmith"));
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("keysmith"))
            .with_location(false)
            .with_threads(false)
            .with_filter(ours)
    }

    /// Sends what has ended, and stops. It waits for the collector, for seconds at most.
    pub async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::debug!("the last traces may not have reached the collector");
        }
    }
}

/// What the traces are of.
fn resource() -> Resource {
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|it| !it.is_empty());
    if named { resource.build() } else { resource.with_service_name("keysmith").build() }
}

/// Sends batches on the runtime of the process: the SDK has a thread of its own, without one.
struct Client {
    post: Post,
    handle: Handle,
    /// Whether the last batch failed, so that a collector that is away is logged once.
    failing: AtomicBool,
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Client")
    }
}

impl Client {
    fn log_failure(&self, why: Option<String>) {
        let failed = self.failing.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(why) if !failed => {
                tracing::warn!(
                    why,
                    "the collector of traces does not take them; they are dropped until it does"
                );
            }
            None if failed => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let post = Arc::clone(&self.post);
        // Made on the runtime, too: a timer needs one.
        let sent = async move { tokio::time::timeout(PATIENCE, post(request)).await };
        let Ok(sent) = self.handle.spawn(sent).await? else {
            self.log_failure(Some(format!("no answer for {} s", PATIENCE.as_secs())));
            return Err("the collector does not answer".into());
        };
        match sent {
            Ok(answer) if answer.status().is_success() => {
                self.log_failure(None);
                Ok(answer)
            }
            Ok(answer) => {
                self.log_failure(Some(answer.status().to_string()));
                Ok(answer)
            }
            Err(why) => {
                self.log_failure(Some(why.clone()));
                Err(why.into())
            }
        }
    }
}
