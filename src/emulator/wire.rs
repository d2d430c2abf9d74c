//! Requests as the handlers read them, and the few shapes of answers.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Serialize;

pub(super) type Reply = Response<Bytes>;

/// One parsed request.
pub(super) struct Inbound {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Path segments, decoded; `/` is one empty segment.
    pub(super) segments: Vec<String>,
    uri: Uri,
    query: Vec<(String, String)>,
}

impl Inbound {
    pub(super) fn new(request: Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let segments = segments(parts.uri.path());
        let query = parts.uri.query().unwrap_or_default();
        let query = serde_urlencoded::from_str(query).unwrap_or_default();
        Self { method: parts.method, headers: parts.headers, body, segments, uri: parts.uri, query }
    }

    /// Path and query, as sent.
    pub(super) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// The path without the query, and without the prefix that names the vendor.
    pub(super) fn vendor_path(&self) -> &str {
        let path = self.uri.path().trim_start_matches('/');
        path.find('/').map_or("/", |slash| &path[slash..])
    }

    /// Decoded path segments from the given one on, ready for a slice pattern.
    pub(super) fn segments_from(&self, first: usize) -> Vec<&str> {
        self.segments.iter().skip(first).map(String::as_str).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The bearer token; the scheme is case-insensitive (RFC 9110).
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// The first value of a query parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.params(name).first().copied()
    }

    /// The names of all query parameters.
    pub(super) fn param_names(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|(name, _)| name.as_str())
    }

    /// All values of a query parameter.
    pub(super) fn params(&self, name: &str) -> Vec<&str> {
        self.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }
}

fn segments(path: &str) -> Vec<String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}

/// A JSON answer.
pub(super) fn json(status: u16, body: &impl Serialize) -> Reply {
    // Only maps with non-string keys fail to serialize, and there is none.
    let body = serde_json::to_vec(body).unwrap_or_default();
    bytes(status, "application/json", body)
}

/// An answer of another kind.
pub(super) fn bytes(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// Whole seconds, as in every vendor's examples.
pub(super) fn stamp(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// An answer without a body.
pub(super) fn no_content() -> Reply {
    let mut reply = Response::new(Bytes::new());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// Adds a header, unless the value is no header value.
pub(super) fn with_header(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}
