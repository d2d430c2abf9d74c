//! One vendor call from its arrival to its answer, with the fault that hits it.

use std::future::pending;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, LOCATION, RETRY_AFTER};
use tokio::time::sleep;

use super::faults::{Effect, Verdict, judge};
use super::route::{Moment, Route};
use super::wire::{self, Inbound, Reply};
use super::{Dropped, Emulator, distorted, forward};

const BOMB_BYTES: usize = 32 << 20;
const HTML: &str =
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>";

/// A logged call, and the verdict of the fault rules on it.
pub(super) struct Exchange {
    emulator: Emulator,
    route: Route,
    inbound: Inbound,
    sequence: u64,
    verdict: Verdict,
}

impl Exchange {
    pub(super) fn arrive(emulator: &Emulator, route: Route, inbound: Inbound) -> Self {
        let (sequence, verdict) = emulator.shared.with(|state, now| {
            let verdict = judge(&mut state.faults, &inbound, route.is_listing(&inbound), now);
            let sequence = state.log.arrived(now, inbound.method.as_str(), inbound.target().to_owned());
            (sequence, verdict)
        });
        Self { emulator: emulator.clone(), route, inbound, sequence, verdict }
    }

    pub(super) async fn run(mut self) -> Result<Reply, Dropped> {
        let Some(effect) = self.verdict.effect.take() else {
            return Ok(self.answer(self.apply().await?));
        };
        tracing::debug!(sequence = self.sequence, ?effect, "fault");
        match effect {
            Effect::DropBefore => Err(Dropped),
            Effect::DropAfter => {
                let _ = self.apply().await;
                Err(Dropped)
            }
            Effect::Hang => pending().await,
            Effect::HangAfter => {
                let _ = self.apply().await;
                pending().await
            }
            Effect::Delay { millis } => self.apply_late(millis).await,
            Effect::DelayAfter { millis } => {
                let reply = self.apply().await?;
                sleep(Duration::from_millis(millis)).await;
                Ok(self.answer(reply))
            }
            effect => Ok(self.answer(self.distort(&effect).await?)),
        }
    }

    /// The effects that answer at once, without the result.
    async fn distort(&self, effect: &Effect) -> Result<Reply, Dropped> {
        Ok(match effect {
            Effect::Status { code, retry_after } => {
                let reply = self.trouble(*code);
                match retry_after {
                    Some(after) => wire::with_header(reply, RETRY_AFTER, after),
                    None => reply,
                }
            }
            Effect::AppliedStatus { code } => {
                self.apply().await?;
                self.trouble(*code)
            }
            Effect::Html => wire::bytes(200, "text/html; charset=utf-8", HTML),
            Effect::Oversize { bytes } => wire::bytes(200, "application/json", padding(*bytes)),
            Effect::GzipBomb => {
                wire::with_header(wire::bytes(200, "application/json", bomb()), CONTENT_ENCODING, "gzip")
            }
            Effect::Redirect { location } => {
                wire::with_header(wire::bytes(307, "text/plain", ""), LOCATION, location)
            }
            Effect::Truncate => halved(self.apply().await?),
            _ => self.apply().await?,
        })
    }

    /// Runs in a task of its own, because a vendor goes on working after the caller has hung up.
    async fn apply_late(self, millis: u64) -> Result<Reply, Dropped> {
        let late = tokio::spawn(async move {
            sleep(Duration::from_millis(millis)).await;
            Ok(self.answer(self.apply().await?))
        });
        late.await.map_err(|_| Dropped)?
    }

    async fn apply(&self) -> Result<Reply, Dropped> {
        let forward = self.route.replaceable().and_then(|it| self.emulator.shared.forward_of(it));
        if let Some(forward) = forward {
            self.emulator.shared.with(|state, _| state.log.applied(self.sequence));
            let reply = forward.upstream.call(forward::request_of(&self.inbound)).await?;
            return Ok(distorted::listing(reply, &self.verdict.listing));
        }
        Ok(self.apply_here())
    }

    fn apply_here(&self) -> Reply {
        self.emulator.shared.with(|state, now| {
            state.log.applied(self.sequence);
            let moment = Moment { now, lag: self.verdict.lag };
            let reply = self.route.apply(state, &self.inbound, moment);
            self.route.paged(state, &self.inbound, distorted::listing(reply, &self.verdict.listing))
        })
    }

    fn trouble(&self, code: u16) -> Reply {
        self.emulator.shared.with(|state, _| self.route.trouble(state, code))
    }

    fn answer(&self, reply: Reply) -> Reply {
        let status = reply.status().as_u16();
        tracing::debug!(sequence = self.sequence, method = %self.inbound.method, status, "answered");
        self.emulator.shared.with(|state, _| state.log.answered(self.sequence, status));
        reply
    }
}

fn halved(mut reply: Reply) -> Reply {
    let half = reply.body().len() / 2;
    reply.body_mut().truncate(half);
    reply
}

/// A JSON document of exactly that size, as far as its frame fits.
fn padding(bytes: usize) -> Vec<u8> {
    let (open, close) = (r#"{"object":"list","data":[],"padding":""#, r#""}"#);
    let fill = bytes.saturating_sub(open.len() + close.len());
    let mut body = Vec::with_capacity(bytes);
    body.extend_from_slice(open.as_bytes());
    body.resize(open.len() + fill, b'x');
    body.extend_from_slice(close.as_bytes());
    body.truncate(bytes);
    body
}

/// The body is compressed once, because compressing 32 MiB is slow in a debug build.
fn bomb() -> Bytes {
    static BOMB: OnceLock<Bytes> = OnceLock::new();
    BOMB.get_or_init(|| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing into memory cannot fail; an empty body would show in the test of this effect.
        let written = encoder.write_all(&padding(BOMB_BYTES)).and_then(|()| encoder.finish());
        Bytes::from(written.unwrap_or_default())
    })
    .clone()
}
