//! Traces as a collector gets them from the real binary: one from the event of a watch to the call to the vendor.

use crate::support::canary;
use crate::support::ground::{Ground, TOKEN};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// The spans that came, and the bodies they came in.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    services: Arc<Mutex<BTreeSet<String>>>,
}

async fn take(State(collector): State<Collector>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    collector.bodies.lock().unwrap().push(body);
    for resource in request.resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let service = attributes.iter().find(|it| it.key == "service.name").and_then(|it| it.value.clone());
        collector.services.lock().unwrap().insert(format!("{service:?}"));
        let spans = resource.scope_spans.into_iter().flat_map(|it| it.spans);
        collector.spans.lock().unwrap().extend(spans);
    }
}

/// An attribute as text.
fn attribute(span: &Span, name: &str) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let value = span.attributes.iter().find(|it| it.key == name).and_then(|it| it.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// The trace in which a key was made, if all of it has come.
fn of_the_mint(spans: &[Span]) -> Result<Vec<Span>, String> {
    let mint = spans.iter().find(|it| it.name == "call to the vendor" && attribute(it, "call") == "mint");
    let Some(mint) = mint else { return Err(format!("no call that makes a key, of {} spans", spans.len())) };
    let trace: Vec<_> = spans.iter().filter(|it| it.trace_id == mint.trace_id).cloned().collect();
    let whole = trace.iter().any(|it| it.name == "reconcile");
    if whole { Ok(trace) } else { Err("the trace goes on".to_owned()) }
}

/// A console token and a key.
fn apply(ground: &Ground) {
    ground.secret("edgee-console", "token", TOKEN);
    let token = json!({"vendor": {"edgee": {"organizationId": "org_12345"}}, "secretRef": {"name": "edgee-console", "key": "token"},
        "endpoint": format!("http://127.0.0.1:{}/edgee", ground.port)});
    for (kind, name, spec) in [
        ("ConsoleToken", "edgee", token),
        ("GatewayApiKey", "checkout", json!({"consoleTokenRef": {"name": "edgee"}})),
    ] {
        let metadata = json!({"name": name, "namespace": "shop"});
        ground.apply(
            name,
            &json!({"apiVersion": "keysmith.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_one_trace_from_the_watch_to_the_vendor() {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let ground = Ground::with("traces", &["--otlp-endpoint", &endpoint, "--log-level", "debug"]).await;
    apply(&ground);
    ground.until_keys("a key is made", |keys| keys.len() == 1).await;
    let spans = || collector.spans.lock().unwrap().clone();
    let trace = ground.eventually("its trace has come", async || of_the_mint(&spans())).await;
    let named = |name: &str| -> Vec<&Span> { trace.iter().filter(|it| it.name == name).collect() };
    let (reconcile, pass) = (named("reconcile"), named("pass"));
    assert_eq!((reconcile.len(), pass.len()), (1, 1), "{trace:#?}");
    assert!(reconcile[0].parent_span_id.is_empty());
    assert_eq!(
        (attribute(reconcile[0], "kind"), attribute(reconcile[0], "name")),
        ("GatewayApiKey".into(), "checkout".into())
    );
    let wait = named("wait for its turn");
    assert_eq!((wait.len(), &wait[0].parent_span_id), (1, &reconcile[0].span_id));
    assert_eq!(pass[0].parent_span_id, reconcile[0].span_id);
    assert!(wait[0].end_time_unix_nano <= pass[0].start_time_unix_nano + 1_000_000);
    let calls = named("call to the vendor");
    assert!(
        calls.iter().all(|it| it.parent_span_id == pass[0].span_id && attribute(it, "vendor") == "edgee")
    );
    assert!(calls.iter().any(|it| attribute(it, "call") == "mint" && attribute(it, "outcome") == "ok"));
    let requests = named("request to the API server");
    let written = |path: &str| {
        let is = |it: &&&Span| {
            attribute(it, "http.request.method") == "PATCH" && attribute(it, "url.path").ends_with(path)
        };
        requests.iter().filter(is).any(|it| attribute(it, "http.response.status_code") == "200")
    };
    assert!(written("/gatewayapikeys/checkout/status"), "{requests:#?}");
    // What has ended when the operator stops is sent, and nothing of it is a secret.
    ground.stop_operator().await;
    for body in collector.bodies.lock().unwrap().iter() {
        assert_eq!(canary::secret_in(&String::from_utf8_lossy(body)), None);
    }
    let services = collector.services.lock().unwrap().clone();
    assert!(services.len() == 1 && services.first().unwrap().contains("keysmith"), "{services:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_collector_the_operator_works_and_says_so_once() {
    let ground = Ground::with("no-collector", &["--otlp-endpoint", "http://127.0.0.1:9"]).await;
    let said = "the collector of traces does not take them";
    let printed = || ground.operator.lock().unwrap().as_ref().unwrap().printed();
    // Something to trace.
    apply(&ground);
    ground
        .eventually("it is said", async || match printed().matches(said).count() {
            0 => Err(printed()),
            _ => Ok(()),
        })
        .await;
    ground.until_keys("keys are made all the same", |keys| keys.len() == 1).await;
    // A few batches later.
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    assert_eq!(printed().matches(said).count(), 1, "{}", printed());
    ground.stop_operator().await;
}
