//! A proxy that forwards requests, unless a rule says otherwise.

use super::wires::{Act, Side, Wires};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keysmith::emulator::Emulator;
use kube::Client;
use serde_json::json;
use std::io;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// The server behind a proxy.
#[derive(Clone)]
pub enum Upstream {
    /// The API server, with the client's own certificate.
    Kubernetes(Client),
    /// The vendor.
    Vendor(Emulator),
}

/// A listening proxy. It ends when dropped.
pub struct Proxy {
    /// Its port, on loopback.
    pub port: u16,
    serving: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

#[derive(Clone)]
struct Line {
    upstream: Arc<Upstream>,
    wires: Wires,
}

impl Proxy {
    /// Listens on a free port.
    pub async fn start(upstream: Upstream, wires: Wires) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Line { upstream: Arc::new(upstream), wires };
        let serving = tokio::spawn(serve(listener, line)).abort_handle();
        Self { port, serving }
    }
}

async fn serve(listener: TcpListener, line: Line) {
    // The connections are closed when this task is dropped.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(connection(stream, line.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, line: Line) {
    let service = service_fn(move |request| exchange(line.clone(), request));
    // The error of a client that was killed, or of an answer that was lost on purpose.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Forwards in a task of its own: a server goes on working for a caller that has hung up.
async fn exchange(line: Line, request: Request<Incoming>) -> io::Result<Answer> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (number, act) = line.wires.arrived(side(&line.upstream), &parts, &body);
    let request = Request::from_parts(parts, body);
    tokio::spawn(async move { line.carry(number, act, request).await }).await.map_err(io::Error::other)?
}

fn side(upstream: &Upstream) -> Side {
    match upstream {
        Upstream::Kubernetes(_) => Side::Kubernetes,
        Upstream::Vendor(_) => Side::Vendor,
    }
}

fn lost() -> io::Error {
    io::Error::other("lost on purpose")
}

impl Line {
    async fn carry(&self, number: usize, act: Option<Act>, request: Request<Bytes>) -> io::Result<Answer> {
        match act {
            None => self.forward(number, request).await,
            Some(Act::Refuse(code)) => Ok(self.refusal(code, request.method())),
            Some(Act::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.forward(number, request).await
            }
            Some(Act::HoldRequest(gate)) if gate.pass().await => self.forward(number, request).await,
            Some(Act::LoseRequest | Act::HoldRequest(_)) => Err(lost()),
            Some(Act::Replay) => {
                let first = self.forward(number, request.clone()).await;
                // The answer to the repeated request is discarded.
                let _ = self.forward(number, request).await;
                first
            }
            Some(Act::LoseAnswer) => self.forward(number, request).await.and_then(|_| Err(lost())),
            Some(Act::Truncate(bytes)) => truncated(self.forward(number, request).await?, bytes).await,
            Some(Act::HoldAnswer(gate)) => {
                let answer = self.forward(number, request).await;
                if gate.pass().await { answer } else { Err(lost()) }
            }
        }
    }

    async fn forward(&self, number: usize, request: Request<Bytes>) -> io::Result<Answer> {
        let mut request = request;
        strip(request.headers_mut());
        let mut answer = match self.upstream.as_ref() {
            Upstream::Kubernetes(client) => {
                let body = |bytes: Bytes| kube::client::Body::from(bytes.to_vec());
                let answer = client.send(request.map(body)).await.map_err(io::Error::other)?;
                answer.map(|body| body.map_err(io::Error::other).boxed_unsync())
            }
            Upstream::Vendor(emulator) => {
                let answer = emulator.call(request).await.map_err(io::Error::other)?;
                answer.map(whole)
            }
        };
        strip(answer.headers_mut());
        self.wires.answered(number, answer.status().as_u16());
        Ok(answer)
    }

    fn refusal(&self, code: u16, method: &Method) -> Answer {
        let body = match self.upstream.as_ref() {
            Upstream::Kubernetes(_) => json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                "message": "refused on purpose", "reason": reason(code, method),
            }),
            Upstream::Vendor(_) => json!({"error": {"code": "refused", "message": "refused on purpose"}}),
        };
        let body = whole(Bytes::from(body.to_string()));
        Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
    }
}

fn reason(code: u16, method: &Method) -> &'static str {
    match code {
        409 if *method == Method::POST => "AlreadyExists",
        409 => "Conflict",
        429 => "TooManyRequests",
        _ => "ServiceUnavailable",
    }
}

fn whole(bytes: Bytes) -> UnsyncBoxBody<Bytes, io::Error> {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The first bytes of an answer with its full content length, followed by the end of the connection.
async fn truncated(answer: Answer, bytes: usize) -> io::Result<Answer> {
    let (mut parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    parts.headers.insert(CONTENT_LENGTH, body.len().into());
    let kept = body.slice(..bytes.min(body.len().saturating_sub(1)));
    let frames = [Ok(Frame::data(kept)), Err(lost())];
    Ok(Response::from_parts(parts, StreamBody::new(futures::stream::iter(frames)).boxed_unsync()))
}

/// Removes hop-by-hop headers: each connection has its own message framing.
fn strip(headers: &mut HeaderMap) {
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}
