//! One request from arrival to answer: it is logged, delayed, hit by faults, and carried out.

use bytes::Bytes;
use http::{Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::client::Body;
use serde_json::Value;
use tokio::time::sleep;

use super::call::{self, Call, Target};
use super::failure::Failure;
use super::fault::Effect;
use super::read::shown;
use super::watch::Tail;
use super::{Cluster, Request};

pub(super) type ServerBody = UnsyncBoxBody<Bytes, std::io::Error>;
pub(super) type Answered = Result<Response<ServerBody>, std::io::Error>;

/// The result of a request before it becomes an HTTP response.
enum Answer {
    Object(u16, Value),
    Text(u16, &'static str),
    Watch(Tail),
}

impl Answer {
    fn code(&self) -> u16 {
        match self {
            Self::Object(code, _) | Self::Text(code, _) => *code,
            Self::Watch(_) => 200,
        }
    }
}

impl Cluster {
    pub(super) async fn serve(
        self,
        actor: String,
        connection: u64,
        request: http::Request<Body>,
    ) -> Answered {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.map_err(std::io::Error::other)?;
        let target = call::parse(&self.state(), &actor, &parts.method, &parts.uri, &parts.headers, body);
        let sequence = self.log_arrival(actor, connection, parts.method.as_str(), &target);
        let effect = match &target {
            Target::Resource(call) => self.state().faults.of(call),
            _ => None,
        };
        self.arrive(effect.as_ref(), &target).await;
        let answer = match &effect {
            Some(Effect::DropBefore) => return Err(reset()),
            Some(Effect::Status { code, reason }) => {
                refuse(&Failure::new(*code, reason, "refused by a fault"))
            }
            _ => self.carry_out(sequence, &target),
        };
        self.schedule_settling();
        let answer = match effect {
            Some(Effect::DropAfter) => return Err(reset()),
            Some(Effect::AppliedStatus { code }) => refuse(&Failure::new(
                code,
                "Timeout",
                "Timeout: request did not complete within the allotted timeout",
            )),
            Some(Effect::Silence) => return Ok(silence()),
            Some(Effect::DelayAnswer(delay)) => {
                sleep(delay).await;
                answer
            }
            _ => answer,
        };
        self.log_answer(sequence, answer.code());
        Ok(self.respond(answer))
    }

    /// The way to the server. Every request yields and takes time, so that other requests can come in between.
    async fn arrive(&self, effect: Option<&Effect>, target: &Target) {
        let latency = self.state().latency;
        sleep(latency).await;
        tokio::task::yield_now().await;
        let watching = matches!(target, Target::Resource(call) if call.verb == "watch");
        match effect {
            Some(Effect::Delay(delay)) => sleep(*delay).await,
            Some(Effect::Hang) => std::future::pending().await,
            Some(Effect::Silence) if !watching => std::future::pending().await,
            _ => {}
        }
    }

    fn carry_out(&self, sequence: usize, target: &Target) -> Answer {
        match target {
            Target::Nothing => refuse(&Failure::no_such_resource()),
            Target::Other(path) if ["/healthz", "/livez", "/readyz"].contains(&path.as_str()) => {
                Answer::Text(200, "ok")
            }
            Target::Other(path) => match self.state().discover(path) {
                Some(found) => Answer::Object(200, found),
                None => Answer::Text(404, "404 page not found\n"),
            },
            Target::Resource(call) => self.act(sequence, call).unwrap_or_else(|failure| refuse(&failure)),
        }
    }

    fn act(&self, sequence: usize, call: &Call) -> Result<Answer, Failure> {
        let mut state = self.state();
        match call.verb {
            "get" => state.get(call).map(|object| Answer::Object(200, object)),
            "list" => state.list(call).map(|list| Answer::Object(200, list)),
            "watch" => state.watch(call).map(Answer::Watch),
            _ => {
                let written = state.write(call)?;
                let entry = &mut state.requests[sequence];
                entry.applied = !entry.dry_run;
                entry.changed = written.changed;
                let partial = call.partial && written.body["kind"] != "Status";
                Ok(Answer::Object(written.code, shown(&written.body, partial)))
            }
        }
    }

    fn log_arrival(&self, actor: String, connection: u64, method: &str, target: &Target) -> usize {
        let mut state = self.state();
        let sequence = state.requests.len();
        let (verb, resource, namespace, name, dry_run) = match target {
            Target::Resource(call) => (
                call.verb.to_owned(),
                call.resource(),
                call.namespace.clone(),
                call.name.clone(),
                call.dry_run()
                    || call.verb.starts_with("delete")
                        && call.options().is_ok_and(|o| !o["dryRun"].is_null()),
            ),
            Target::Other(path) => (method.to_lowercase(), path.clone(), None, None, false),
            Target::Nothing => (method.to_lowercase(), String::new(), None, None, false),
        };
        let at = state.now();
        state.requests.push(Request {
            sequence: sequence as u64,
            at,
            actor,
            connection,
            verb,
            resource,
            namespace,
            name,
            dry_run,
            status: 0,
            applied: false,
            changed: false,
        });
        sequence
    }

    fn log_answer(&self, sequence: usize, code: u16) {
        self.state().requests[sequence].status = code;
    }

    fn respond(&self, answer: Answer) -> Response<ServerBody> {
        let code = answer.code();
        let response = Response::builder().status(code);
        let json = response.header(header::CONTENT_TYPE, "application/json");
        let response = match answer {
            Answer::Text(_, text) => Response::builder().status(code).body(whole(text.into())),
            Answer::Object(_, value) => {
                let json =
                    if matches!(code, 429 | 503) { json.header(header::RETRY_AFTER, "1") } else { json };
                json.body(whole(value.to_string().into()))
            }
            Answer::Watch(tail) => json.body(StreamBody::new(tail.into_stream(self.clone())).boxed_unsync()),
        };
        response.expect("the parts of the response are valid")
    }
}

fn refuse(failure: &Failure) -> Answer {
    Answer::Object(failure.code, failure.status())
}

fn whole(bytes: Bytes) -> ServerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A watch that was accepted and never sends anything.
fn silence() -> Response<ServerBody> {
    let stream = futures::stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
    Response::new(StreamBody::new(stream).boxed_unsync())
}

fn reset() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "connection reset by peer")
}
