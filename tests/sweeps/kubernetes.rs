//! The operator's connection to Kubernetes, across the line, and the way of events back.

use super::fault::{Fault, Point, Sort};
use super::line::{Line, Passage};
use super::observer::Observer;
use super::wanted::Wanted;
use crate::support::cluster::Cluster;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};
use std::future::pending;

type Reply = Response<UnsyncBoxBody<Bytes, std::io::Error>>;
type Chunk = Result<Frame<Bytes>, std::io::Error>;

/// One operator's connection.
#[derive(Clone)]
pub struct Connection {
    /// The generation of the operator.
    pub generation: u64,
    /// The line it crosses.
    pub line: Line,
    /// The cluster at its end.
    pub cluster: Cluster,
    /// The observer, which checks the world after every write.
    pub observer: Observer,
}

impl Connection {
    /// A client over this connection.
    pub fn client(self) -> kube::Client {
        let behind = self.cluster.client_named("operator");
        let service = tower::service_fn(move |request| self.clone().pass(behind.clone(), request));
        kube::Client::new(service, "default")
    }

    async fn pass(self, behind: kube::Client, request: Request<Body>) -> Result<Reply, std::io::Error> {
        let wanted = Wanted::of(&request);
        let past = wanted.past(&self.cluster);
        let point = Point { sort: wanted.sort(), what: wanted.to_string(), has_past: past.is_some() };
        let Passage::Open(strike) = self.line.arrive(self.generation, point) else {
            return pending().await;
        };
        match strike {
            Some(Fault::Unavailable) => return Ok(refusal(503, "ServiceUnavailable")),
            Some(Fault::Conflict) if wanted.verb == "POST" => return Ok(refusal(409, "AlreadyExists")),
            Some(Fault::Conflict) => return Ok(refusal(409, "Conflict")),
            Some(Fault::Throttled) => return Ok(refusal(429, "TooManyRequests")),
            _ => {}
        }
        let past = past.filter(|_| strike == Some(Fault::Stale));
        let request = if let Some(revision) = past { wanted.of_the_past(request, revision) } else { request };
        // A separate task: a request that was sent is carried out even if its sender is killed.
        let observer = Some(self.observer.clone()).filter(|_| wanted.sort() == Sort::Write);
        let sent = tokio::spawn(async move {
            let answer = behind.send(request).await;
            if let Some(observer) = observer {
                observer.look();
            }
            answer
        });
        let answer = sent.await.map_err(std::io::Error::other)?.map_err(std::io::Error::other)?;
        if !self.line.is_alive(self.generation) {
            return pending().await;
        }
        if strike == Some(Fault::Lost) {
            return Err(reset());
        }
        if past.is_some() && wanted.name.is_some() {
            return the_one(&wanted, answer).await;
        }
        Ok(if wanted.watching { self.watched(answer, wanted.plural) } else { answer.map(plain) })
    }

    /// Every event of a watch crosses the line as well.
    fn watched(self, answer: Response<Body>, plural: String) -> Reply {
        let (parts, body) = answer.into_parts();
        let lines = body.into_data_stream().map_err(std::io::Error::other).boxed();
        Response::from_parts(parts, StreamBody::new(self.events(lines, plural)).boxed_unsync())
    }

    fn events(
        self,
        lines: BoxStream<'static, Result<Bytes, std::io::Error>>,
        plural: String,
    ) -> impl Stream<Item = Chunk> + Send {
        stream::unfold((self, lines, plural), |(this, mut lines, plural)| async move {
            loop {
                let line = match lines.next().await? {
                    Ok(line) => line,
                    Err(error) => return Some((Err(error), (this, lines, plural))),
                };
                let Some(what) = event(&line, &plural) else {
                    return Some((Ok(Frame::data(line)), (this, lines, plural)));
                };
                match this.line.arrive(this.generation, Point::new(Sort::Event, what)) {
                    Passage::Dead => pending().await,
                    Passage::Open(Some(Fault::Dropped)) => {}
                    Passage::Open(Some(Fault::Lost)) => {
                        return Some((Err(reset()), (this, lines, plural)));
                    }
                    Passage::Open(_) => return Some((Ok(Frame::data(line)), (this, lines, plural))),
                }
            }
        })
    }
}

/// The subject of an event; `None` for bookmarks and errors, which are not about objects.
fn event(line: &Bytes, plural: &str) -> Option<String> {
    let event: Value = serde_json::from_slice(line).ok()?;
    let sort = event["type"].as_str().filter(|sort| ["ADDED", "MODIFIED", "DELETED"].contains(sort))?;
    Some(format!(
        "event {sort} {plural} {}",
        event["object"]["metadata"]["name"].as_str().unwrap_or_default()
    ))
}

fn plain(body: Body) -> UnsyncBoxBody<Bytes, std::io::Error> {
    body.map_err(std::io::Error::other).boxed_unsync()
}

fn reset() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset by peer")
}

fn answer(code: u16, body: &Value) -> Reply {
    let whole = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync();
    let reply = Response::builder().status(code).header(header::CONTENT_TYPE, "application/json");
    let reply = if matches!(code, 429 | 503) { reply.header(header::RETRY_AFTER, "1") } else { reply };
    reply.body(whole).expect("the parts of the response are valid")
}

fn refusal(code: u16, reason: &str) -> Reply {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "refused by a fault", "reason": reason, "code": code,
    });
    answer(code, &status)
}

/// A past list of one object as the answer to a get.
async fn the_one(wanted: &Wanted, list: Response<Body>) -> Result<Reply, std::io::Error> {
    let bytes = list.into_body().collect_bytes().await.map_err(std::io::Error::other)?;
    let mut list: Value = serde_json::from_slice(&bytes)?;
    let Some(mut object) = list.pointer_mut("/items/0").map(Value::take) else {
        return Ok(refusal(404, "NotFound"));
    };
    if object["kind"].is_null() {
        object["kind"] = json!(list["kind"].as_str().unwrap_or_default().trim_end_matches("List"));
        object["apiVersion"] = json!(wanted.version);
    }
    Ok(answer(200, &object))
}
