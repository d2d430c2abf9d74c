//! The only file that handles HTTP: requests with a credential, a timeout for the whole call, status → `Fault`.
//! Bodies are never logged and never quoted: they are untrusted input, and some contain a key.
//!
//! This is one of the two places where secret bytes are exposed; the other is the Kubernetes Secret.

use super::access::{Access, TokenHeader};
use super::guard;
use super::refusal::{self, Field};
use super::retry_after;
use super::transport::{AtMost, LARGEST_ANSWER, Transport};
use crate::plan::fault::{Fault, FaultKind, Outcome};
use crate::plan::hash;
use crate::runtime::clock::Clock;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use url::Url;

/// Timeout of a whole call, including connection and body. The vendor's own client has the same (contract §1.1).
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Limit of the values of a response.
const MOST_VALUES: usize = 250_000;

/// Size limit of a response with a month's log, which is larger than other responses; a larger log has to be read
/// elsewhere.
pub const LARGEST_EXPORT: usize = 16 * 1024 * 1024;

/// A vendor's management API with the credential for it.
#[derive(Clone)]
pub struct Wire {
    base: Url,
    token: SecretString,
    transport: Arc<dyn Transport>,
    clock: Clock,
    access: Access,
    /// Names of the fields that the driver reads. A fault may name these; names that a vendor made up are not
    /// repeated.
    read: &'static [&'static str],
    /// Number of listing entries that were skipped and not counted yet.
    skipped: Arc<AtomicU64>,
}

/// One call.
pub struct Call<'a> {
    /// HTTP method.
    pub method: Method,
    /// Path segments below the base; each is percent-encoded, so a name cannot break out of its segment.
    pub path: &'a [&'a str],
    /// Query parameters.
    pub query: &'a [(&'a str, &'a str)],
    /// JSON body.
    pub body: Option<Value>,
    /// A body field whose value is a secret.
    pub secret: Option<(&'static str, &'a SecretString)>,
    /// The possible fields of the body, and the spec fields behind them, for a rejection that names them.
    pub fields: &'static [Field],
    /// Whether the path ends in a slash, as some vendors require.
    pub slash: bool,
    /// Size limit of the response, in bytes.
    pub limit: usize,
}

impl<'a> Call<'a> {
    /// A call without query and body.
    pub const fn new(method: Method, path: &'a [&'a str]) -> Self {
        let (query, fields) = (&[] as &[_], &[] as &[_]);
        Self { method, path, query, body: None, secret: None, fields, slash: false, limit: LARGEST_ANSWER }
    }
}

/// A 2xx response.
pub struct Answer {
    body: Bytes,
    /// Names of the fields that the driver reads.
    read: &'static [&'static str],
    /// The secrets that the call was made with; no text of the response may repeat them.
    secrets: Vec<SecretString>,
}

impl Wire {
    /// A wire to `base`, with the token, which is sent there and nowhere else.
    pub fn new(base: Url, token: SecretString, transport: Arc<dyn Transport>, clock: Clock) -> Self {
        Self { base, token, transport, clock, access: Access::PUBLIC, read: &[], skipped: Arc::default() }
    }

    /// A wire with that access.
    #[must_use]
    pub fn accessed(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// A wire for a driver that reads these fields: a fault may name them.
    #[must_use]
    pub fn reading(self, read: &'static [&'static str]) -> Self {
        Self { read, ..self }
    }

    /// Counts malformed entries of a listing. Their content is not logged.
    pub fn count_skipped(&self, entries: usize) {
        if entries > 0 {
            tracing::debug!(
                entries,
                "a listing has entries that cannot be read and are not ours; they are skipped"
            );
            self.skipped.fetch_add(entries as u64, Ordering::Relaxed);
        }
    }

    /// The time, by the operator's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Number of entries skipped since the last call.
    pub fn take_skipped(&self) -> u64 {
        self.skipped.swap(0, Ordering::Relaxed)
    }

    /// A secret from a response, or the fault if it is masked.
    #[expect(clippy::disallowed_methods, reason = "the wire is where secrets come from")]
    pub fn shown(&self, secret: SecretString, masked: &'static str) -> Result<SecretString, FaultKind> {
        if looks_masked(&secret) {
            return Err(FaultKind::Malformed(masked));
        }
        if self.token.expose_secret().eq_ignore_ascii_case(secret.expose_secret()) {
            return Err(FaultKind::Malformed("it shows the console token in place of a key"));
        }
        Ok(secret)
    }

    /// Sends one request, without retry. Every response except a readable 2xx is a fault.
    pub async fn send(&self, call: Call<'_>) -> Result<Answer, Fault> {
        let fields = call.fields;
        let secrets = std::iter::once(&self.token).chain(call.secret.map(|it| it.1)).cloned().collect();
        let read_only = call.method == Method::GET;
        let limit = call.limit;
        let mut request = self.request(call)?;
        request.extensions_mut().insert(AtMost(limit));
        let answer = tokio::time::timeout(DEADLINE, self.transport.send(request)).await;
        let result = match answer {
            Err(_) => Err(Fault::ambiguous(FaultKind::Timeout { seconds: DEADLINE.as_secs() })),
            Ok(Err(fault)) => Err(fault),
            Ok(Ok(response)) if response.body().len() > limit => {
                Err(Fault::ambiguous(FaultKind::TooLarge { limit }))
            }
            Ok(Ok(response)) => {
                let answer = Answer { body: response.body().clone(), read: self.read, secrets };
                self.judge(answer, &response, fields)
            }
        };
        // A read has no effect, so its outcome is never unknown.
        result.map_err(|fault| if read_only { Fault { effect: Outcome::NotApplied, ..fault } } else { fault })
    }

    #[expect(clippy::disallowed_methods, reason = "the wire is where secrets go")]
    fn request(&self, call: Call<'_>) -> Result<Request<Bytes>, Fault> {
        let unwritable = |_| Fault::without_effect(FaultKind::Malformed("the request cannot be written"));
        if !call.path.iter().all(|it| is_segment(it)) {
            return Err(Fault::without_effect(FaultKind::Malformed("an id cannot be part of a path")));
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
            if call.slash {
                segments.push("");
            }
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(call.query);
        }
        let (header, token) = self.credential()?;
        let mut body = call.body;
        if let (Some(Value::Object(map)), Some((field, secret))) = (&mut body, call.secret) {
            map.insert(field.to_owned(), Value::String(secret.expose_secret().to_owned()));
        }
        let builder = Request::builder()
            .method(call.method)
            .uri(url.as_str())
            .header(header, token)
            .header(ACCEPT, "application/json")
            // Without this header, the server may choose any coding (RFC 9110, section 12.5.3).
            .header(ACCEPT_ENCODING, "identity")
            .header(USER_AGENT, concat!("keysmith/", env!("CARGO_PKG_VERSION")));
        match body {
            None => builder.body(Bytes::new()).map_err(unwritable),
            Some(body) => builder
                .header(CONTENT_TYPE, "application/json")
                .body(Bytes::from(body.to_string()))
                .map_err(unwritable),
        }
    }

    /// The token, in the vendor's header.
    #[expect(clippy::disallowed_methods, reason = "the wire is where secrets go")]
    fn credential(&self) -> Result<(HeaderName, HeaderValue), Fault> {
        let malformed = |what| Fault::without_effect(FaultKind::Malformed(what));
        let token = self.token.expose_secret();
        let (header, text) = match self.access.header {
            TokenHeader::Bearer => (Ok(AUTHORIZATION), format!("Bearer {token}")),
            TokenHeader::Named(name) => (HeaderName::try_from(name), token.to_owned()),
        };
        let header = header.map_err(|_| malformed("the name of the token's header is none"))?;
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| malformed("the token cannot be a header"))?;
        value.set_sensitive(true);
        Ok((header, value))
    }

    fn judge(&self, answer: Answer, response: &Response<Bytes>, fields: &[Field]) -> Result<Answer, Fault> {
        let status = response.status();
        let coded = coding(response).map(FaultKind::Malformed);
        if status.is_success() {
            return coded.map_or(Ok(answer), |kind| Err(Fault::ambiguous(kind)));
        }
        if let Some(fault) = (self.access.verdict)(status, response.body()) {
            return Err(fault);
        }
        Err(match status {
            StatusCode::UNAUTHORIZED => Fault::without_effect(FaultKind::TokenRefused),
            StatusCode::FORBIDDEN => Fault::without_effect(FaultKind::Forbidden),
            // A vendor answers "gone" in JSON or with an empty body; an HTML page comes from a proxy.
            StatusCode::NOT_FOUND | StatusCode::GONE if coded.is_some() || !answer.is_plain() => {
                Fault::without_effect(coded.unwrap_or(FaultKind::Malformed("it is not JSON")))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Fault::without_effect(FaultKind::NotFound),
            StatusCode::CONFLICT => Fault::without_effect(FaultKind::Conflict),
            StatusCode::TOO_MANY_REQUESTS => {
                let until = retry_after::read(response.headers(), self.clock.now());
                Fault::without_effect(FaultKind::Throttled { until })
            }
            StatusCode::PAYMENT_REQUIRED => Fault::without_effect(FaultKind::NoCredit),
            StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY => {
                Fault::without_effect(refusal::of(status.as_u16(), response.body(), fields))
            }
            _ if status.is_redirection() => {
                Fault::ambiguous(FaultKind::Redirected { status: status.as_u16() })
            }
            _ => {
                let until = retry_after::read(response.headers(), self.clock.now());
                Fault::ambiguous(FaultKind::Failed { status: status.as_u16(), until })
            }
        })
    }
}

/// The coding of a body that is compressed although `identity` was requested.
fn coding(response: &Response<Bytes>) -> Option<&'static str> {
    let codings: Vec<_> = response.headers().get_all(CONTENT_ENCODING).iter().collect();
    let text = |value: &HeaderValue| value.to_str().unwrap_or("other").to_ascii_lowercase();
    let codings: Vec<_> = codings.into_iter().map(text).collect();
    let applied = codings.iter().flat_map(|it| it.split(',')).map(str::trim);
    let applied: Vec<_> = applied.filter(|it| !matches!(*it, "" | "identity")).collect();
    Some(match applied.as_slice() {
        [] => return None,
        ["gzip" | "x-gzip"] => "it is compressed with gzip, although it was asked for without",
        ["deflate"] => "it is compressed with deflate, although it was asked for without",
        ["br"] => "it is compressed with br, although it was asked for without",
        ["zstd"] => "it is compressed with zstd, although it was asked for without",
        _ => "it is compressed with other codings, although it was asked for without",
    })
}

/// The field that makes a response malformed, if it is a single one: without it, the response can be read, or the
/// error is that it is missing.
fn blamed<T: DeserializeOwned>(
    body: Value,
    read: &'static [&'static str],
    complaint: &str,
) -> Option<&'static str> {
    let missing = |complaint: &str| {
        read.iter().copied().find(|field| complaint.starts_with(&format!("missing field `{field}`")))
    };
    if let Some(field) = missing(complaint) {
        return Some(field);
    }
    let Value::Object(mut body) = body else {
        return None;
    };
    let mut suspect = None;
    for field in read {
        let Some((name, value)) = body.remove_entry(*field) else { continue };
        match T::deserialize(Value::Object(body.clone())) {
            Ok(_) => return Some(field),
            Err(error) if missing(&error.to_string()) == Some(field) => suspect = suspect.or(Some(*field)),
            Err(_) => {}
        }
        body.insert(name, value);
    }
    suspect
}

/// 404 on the object itself means that it is gone; no other fault does.
pub fn gone_is_none<T>(result: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(fault) if fault.kind == FaultKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// 403 and 404 on an optional endpoint mean that the vendor does not return the information.
pub fn hidden_is_none<T>(result: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match gone_is_none(result) {
        Err(fault) if fault.kind == FaultKind::Forbidden => Ok(None),
        other => other,
    }
}

/// Hash of a secret, salted with `salt`: compares secrets without storing them.
#[expect(clippy::disallowed_methods, reason = "what leaves here is a hash")]
pub fn fingerprint(secret: &SecretString, salt: &str) -> String {
    hash::base32(&[salt.as_bytes(), secret.expose_secret().as_bytes()], 26)
}

/// Whether the text can be a segment of a path. An empty segment or dots lead elsewhere, such as to the whole
/// collection; line breaks and tabs are dropped from a URL, which changes the segment.
pub fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains(char::is_control)
}

/// Whether the text is a masked secret: empty, or with an ellipsis or stars.
#[expect(clippy::disallowed_methods, reason = "the wire is where secrets come from")]
pub fn looks_masked(secret: &SecretString) -> bool {
    let text = secret.expose_secret();
    text.is_empty()
        || text.contains(['*', '\u{2026}', '\u{2022}'])
        || text.contains("...")
        || !text.bytes().all(|b| b.is_ascii_graphic())
}

impl Answer {
    /// Parses the body of a read; if it is malformed, nothing was applied.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.parse().map_err(Fault::without_effect)
    }

    /// The body, if it is not JSON.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Parses the whole body of a read without removing secrets, to be sent back; what is shown of it is parsed by
    /// `read`.
    pub fn whole<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let body = std::str::from_utf8(&self.body)
            .map_err(|_| Fault::without_effect(FaultKind::Malformed("it is not JSON")))?;
        let malformed =
            |_| Fault::without_effect(FaultKind::Malformed("a field is missing or of another type"));
        serde_json::from_str(body).map_err(malformed)
    }

    /// Parses the body of a create call; if it is malformed, the outcome is unknown.
    pub fn created<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.parse().map_err(Fault::ambiguous)
    }

    /// Checks the body of a delete call: any JSON except an error, or an empty body. Other bodies, such as a proxy's
    /// page, do not confirm the deletion.
    pub fn acknowledged(&self) -> Result<(), Fault> {
        if self.body.trim_ascii().is_empty() {
            return Ok(());
        }
        match self.created::<Value>()? {
            Value::Object(answer) => denies(&answer),
            _ => Ok(()),
        }
    }

    /// Whether the body may confirm that something does not exist: JSON, or empty.
    fn is_plain(&self) -> bool {
        self.body.trim_ascii().is_empty() || serde_json::from_slice::<IgnoredAny>(&self.body).is_ok()
    }

    /// Parses the body of an update: empty, or an object, which is returned. Other bodies, such as a proxy's page or
    /// an error with a 2xx status, do not confirm the update.
    pub fn updated(&self) -> Result<Map<String, Value>, Fault> {
        if self.body.trim_ascii().is_empty() {
            return Ok(Map::new());
        }
        let answer: Map<String, Value> = self.created()?;
        denies(&answer)?;
        Ok(answer)
    }

    #[expect(clippy::disallowed_methods, reason = "they are looked for, so that they do not leave here")]
    fn parse<T: DeserializeOwned>(&self) -> Result<T, FaultKind> {
        // A parsed value takes up to forty times its bytes: `[0,0,…]` of 4 MiB would take 64 MiB.
        if memchr::memchr_iter(b',', &self.body).count() > MOST_VALUES {
            return Err(FaultKind::Malformed("it has more than 250,000 values"));
        }
        let mut document: Value =
            serde_json::from_slice(&self.body).map_err(|error| match error.classify() {
                serde_json::error::Category::Eof => FaultKind::Malformed("it is cut short"),
                _ => FaultKind::Malformed("it is not JSON"),
            })?;
        let secrets: Vec<_> = self.secrets.iter().map(ExposeSecret::expose_secret).collect();
        guard::withhold(&mut document, &secrets);
        T::deserialize(&document).map_err(|error| {
            match blamed::<T>(document, self.read, &error.to_string()) {
                Some(field) => FaultKind::MalformedField { entry: None, field },
                None => FaultKind::Malformed("a field is missing or of another type"),
            }
        })
    }
}

/// Fails if a 2xx response says that nothing was done.
fn denies(answer: &Map<String, Value>) -> Result<(), Fault> {
    let refused = ["success", "deleted"].iter().any(|it| answer.get(*it) == Some(&Value::Bool(false)));
    if refused || answer.get("error").is_some_and(|it| !it.is_null()) {
        return Err(Fault::ambiguous(FaultKind::Malformed("it reports an error with a status of success")));
    }
    Ok(())
}
