//! An emulator with one organization, and helpers that call it.

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use keysmith::emulator::{Dropped, Emulator, edgee::KeyRecord};
use serde_json::Value;

pub const ORG: &str = "org_demo";
pub const TOKEN: &str = "ek_live_emulated-console-token";
pub const KEYS: &str = "/edgee/v1/organizations/org_demo/api_keys";
pub const PROVIDER_KEYS: &str = "/edgee/v1/organizations/org_demo/provider-keys";
pub const TOKENS: &str = "/edgee/v1/api_tokens";
pub const CHAT: &str = "/edgee-gateway/v1/chat/completions";

pub struct World {
    pub emulator: Emulator,
}

/// Saturday, 21 November 2026; time passes with tokio's clock, so that it can be paused.
pub fn world() -> World {
    let base: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    let start = tokio::time::Instant::now();
    let emulator = Emulator::new(move || base + start.elapsed());
    let _ = emulator.seed_demo();
    World { emulator }
}

impl World {
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.json("GET", path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.json("POST", path, body).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.json("DELETE", path, Value::Null).await
    }

    pub async fn json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        parsed(&self.raw(request(method, path, body)).await.unwrap())
    }

    pub async fn raw(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Dropped> {
        self.emulator.call(request).await
    }

    pub async fn as_token(&self, token: &str, path: &str) -> (u16, Value) {
        let request =
            with_header(request("GET", path, Value::Null), "authorization", &format!("Bearer {token}"));
        parsed(&self.raw(request).await.unwrap())
    }

    /// A call with that bearer token.
    pub async fn call(&self, token: &str, (method, path): (&str, &str), body: Value) -> (u16, Value) {
        let request = with_header(request(method, path, body), "authorization", &format!("Bearer {token}"));
        parsed(&self.raw(request).await.unwrap())
    }

    /// The answer of the data plane at that path to a call with a key and a cost.
    pub async fn ask(&self, secret: &str, path: &str, cost: &str) -> (u16, Value) {
        let body = serde_json::json!({ "model": "openai/gpt-5.2", "messages": [] });
        let request = with_header(request("POST", path, body), "authorization", &format!("Bearer {secret}"));
        parsed(&self.raw(with_header(request, "x-emulator-cost", cost)).await.unwrap())
    }

    /// A call without any credential.
    pub async fn anonymous(&self, path: &str) -> (u16, Value) {
        let mut request = request("GET", path, Value::Null);
        request.headers_mut().clear();
        parsed(&self.raw(request).await.unwrap())
    }

    /// A data-plane call, with extra headers.
    pub async fn chat(&self, secret: &str, body: Value, headers: &[(&str, &str)]) -> (u16, Value) {
        let mut request = request("POST", CHAT, body);
        request = with_header(request, "authorization", &format!("Bearer {secret}"));
        for (name, value) in headers {
            request = with_header(request, name, value);
        }
        parsed(&self.raw(request).await.unwrap())
    }

    /// The only key.
    pub fn only_key(&self) -> KeyRecord {
        let mut keys = self.emulator.edgee().keys(ORG);
        assert_eq!(keys.len(), 1);
        keys.remove(0)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the body in place")]
pub fn request(method: &str, path: &str, body: Value) -> Request<Bytes> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path);
    request.header("authorization", format!("Bearer {TOKEN}")).body(body).unwrap()
}

pub fn with_header(mut request: Request<Bytes>, name: &str, value: &str) -> Request<Bytes> {
    let name: http::HeaderName = name.parse().unwrap();
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// Status, and the body as JSON if it is JSON.
pub fn parsed(response: &Response<Bytes>) -> (u16, Value) {
    let text = String::from_utf8_lossy(response.body()).into_owned();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (response.status().as_u16(), body)
}

pub fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}
