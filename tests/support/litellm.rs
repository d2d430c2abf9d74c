//! The real LiteLLM: started once per test program by `tests/litellm/server`, ended with it. Each story sees the keys that
//! were made through its own line to it, as if the server were its own.

use super::world::World;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use jiff::Timestamp;
use keysmith::emulator::{Console, Dropped, Emulator, Seen, Upstream, VendorId};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

/// The user of every token here.
const ADMIN: &str = "keysmith";

static SERVER: OnceLock<Server> = OnceLock::new();

/// The running server.
pub struct Server {
    /// Its origin.
    pub origin: String,
    /// Its master key.
    pub master: String,
    /// Its standard input: it ends when this closes, so when this process ends.
    _process: Mutex<Child>,
}

/// What this machine lacks for the server; `None` if it lacks nothing.
pub fn missing() -> Option<String> {
    let output = script().arg("missing").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!said.is_empty()).then_some(said)
}

fn script() -> Command {
    let mut command = Command::new("bash");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/litellm/server"));
    command
}

/// The server, started by the first caller. It takes 20 seconds, and minutes when it has to be installed.
pub fn server() -> &'static Server {
    SERVER.get_or_init(|| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = script()
            .args(["run", &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (origin, master) = line.trim().split_once(' ').expect("the server starts");
        let server =
            Server { origin: origin.to_owned(), master: master.to_owned(), _process: Mutex::new(process) };
        let user = json!({"user_id": ADMIN, "user_role": "proxy_admin", "auto_create_key": false});
        let made = wait(server.call("POST", "/user/new", &server.master, Some(user)));
        assert_eq!(made.0, 200, "{}", made.1);
        server
    })
}

impl Server {
    /// Makes one call. Returns status and JSON.
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> (u16, Value) {
        let builder = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.origin))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header("content-type", "application/json");
        let body = body.map_or_else(Bytes::new, |it| Bytes::from(it.to_string()));
        let response = send(builder.body(body).unwrap()).await.unwrap();
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    }

    async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, &self.master, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// What an application gets for a call with that key: the status, and the type of the error.
    pub async fn complete(&self, secret: &str, model: &str) -> (u16, String) {
        let messages = json!([{"role": "user", "content": "hi"}]);
        let body = json!({"model": model, "max_tokens": 5, "messages": messages});
        let (status, answer) = self.call("POST", "/v1/chat/completions", secret, Some(body)).await;
        (status, answer["error"]["type"].as_str().unwrap_or_default().to_owned())
    }
}

async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        // reqwest wants a provider of cryptography, although nothing here is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
    });
    // Connections belong to the runtime of a test, so none is kept.
    let mut request = reqwest::Request::try_from(request)?;
    request.headers_mut().insert("connection", HeaderValue::from_static("close"));
    let response = client.execute(request).await?;
    let mut answer = Response::new(Bytes::new());
    (*answer.status_mut(), *answer.headers_mut()) = (response.status(), response.headers().clone());
    answer.headers_mut().remove("connection");
    *answer.body_mut() = response.bytes().await?;
    Ok(answer)
}

/// Waits on a thread of its own, because stories look at their vendor between two steps, without waiting.
fn wait<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let run =
            || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
        scope.spawn(run).join().unwrap()
    })
}

impl World {
    /// A new namespace on a real control plane, with a running operator whose vendor is the real LiteLLM.
    pub async fn at_litellm() -> Self {
        Self::real_behind(VendorId::LiteLlm, take_the_place).await
    }
}

/// The line of one story to the server.
pub struct Line {
    server: &'static Server,
    /// Behind each token of the story, so that revoking it does not concern other stories.
    suffix: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: HashMap<String, String>,
    /// The secrets of the keys that were made through this line, by id.
    secrets: BTreeMap<String, String>,
    created: u64,
}

/// Puts the server in the place of the emulated LiteLLM.
fn take_the_place(emulator: &Emulator, story: &str) {
    let state = Mutex::default();
    let line = Arc::new(Line { server: server(), suffix: format!("-{story}"), state });
    emulator.forward(VendorId::LiteLlm, line.clone(), line);
}

impl Line {
    fn token(&self, given: &str) -> String {
        self.state.lock().unwrap().tokens.get(given).cloned().unwrap_or_else(|| given.to_owned())
    }

    fn remember(&self, answer: &Value) {
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        if let (Some(id), Some(secret)) = (text("token").or(text("token_id")), text("key")) {
            let mut state = self.state.lock().unwrap();
            state.secrets.insert(id, secret);
            state.created += u64::from(!answer.as_object().is_some_and(is_token));
        }
    }

    fn rows(&self) -> Vec<Map<String, Value>> {
        let mut rows = Vec::new();
        for page in 1.. {
            let path = format!("/key/list?return_full_object=true&size=100&page={page}");
            let answer = wait(self.server.admin("GET", &path, None));
            let there = answer["keys"].as_array().cloned().unwrap_or_default();
            if there.is_empty() {
                break;
            }
            rows.extend(there.into_iter().filter_map(|it| it.as_object().cloned()));
        }
        // Oldest first.
        rows.reverse();
        rows
    }

    fn seen(&self, management: bool) -> Vec<Seen> {
        let rows = self.rows();
        let state = self.state.lock().unwrap();
        let own = rows.iter().filter(|row| is_token(row) == management);
        own.filter_map(|row| Some(seen(row, state.secrets.get(row["token"].as_str()?)?))).collect()
    }

    fn row(&self, id: &str) -> Option<Map<String, Value>> {
        self.rows().into_iter().find(|row| row["token"] == id)
    }

    fn update(&self, id: &str, mut fields: Value) -> bool {
        fields["key"] = json!(id);
        wait(self.server.call("POST", "/key/update", &self.server.master, Some(fields))).0 == 200
    }
}

/// Whether a key is a token. Older versions tell the type by the routes only.
fn is_token(row: &Map<String, Value>) -> bool {
    let of = |field: &str| row.get(field).cloned().unwrap_or_default();
    of("key_type") == "management" || of("allowed_routes") == json!(["management_routes"])
}

fn micros(value: &Value) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as-casts of floats saturate"
    )]
    value.as_f64().map(|usd| (usd * 1_000_000.0).round() as u64)
}

fn seen(row: &Map<String, Value>, secret: &str) -> Seen {
    let of = |name: &str| row.get(name).unwrap_or(&Value::Null);
    let text = |name: &str| of(name).as_str().unwrap_or_default().to_owned();
    let time = |name: &str| of(name).as_str().and_then(|it| it.parse::<Timestamp>().ok());
    let (budget, spend) = (micros(of("max_budget")), micros(of("spend")).unwrap_or_default());
    Seen {
        id: text("token"),
        name: text("key_alias"),
        account: "proxy".to_owned(),
        secret: secret.to_owned(),
        created_at: time("created_at").unwrap(),
        expires_at: time("expires"),
        active: *of("blocked") != true,
        remaining_micros: budget.map(|budget| budget.saturating_sub(spend)),
        budget_micros: budget,
    }
}

#[async_trait]
impl Upstream for Line {
    async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Dropped> {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        let made = path == "/key/generate";
        parts.uri = format!("{}{path}", self.server.origin).parse().unwrap();
        let given = parts.headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let token = self.token(given.trim_start_matches("Bearer "));
        parts.headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        let answer = send(Request::from_parts(parts, body)).await.map_err(|_| Dropped)?;
        if made && answer.status().is_success() {
            self.remember(&serde_json::from_slice(answer.body()).unwrap_or_default());
        }
        Ok(answer)
    }
}

impl Console for Line {
    fn add_token(&self, token: &str) {
        let key = format!("{token}{}", self.suffix);
        let alias = format!("token of {}", &key[key.len().saturating_sub(24)..]);
        let body = json!({"key": key, "key_alias": alias, "key_type": "management", "user_id": ADMIN});
        wait(self.server.admin("POST", "/key/generate", Some(body)));
        self.state.lock().unwrap().tokens.insert(token.to_owned(), key);
    }

    fn add_token_of(&self, token: &str, _: &str) {
        self.add_token(token);
    }

    fn revoke_token(&self, token: &str) -> bool {
        let body = json!({"keys": [self.token(token)]});
        wait(self.server.call("POST", "/key/delete", &self.server.master, Some(body))).0 == 200
    }

    fn keys(&self, _: Timestamp) -> Vec<Seen> {
        self.seen(false)
    }

    fn credentials(&self, _: Timestamp) -> Vec<Seen> {
        self.seen(true)
    }

    fn add_key(&self, name: &str, _: Timestamp) -> Seen {
        let body = json!({"key_alias": name, "key_type": "llm_api"});
        let answer = wait(self.server.admin("POST", "/key/generate", Some(body)));
        let secret = answer["key"].as_str().unwrap().to_owned();
        self.state
            .lock()
            .unwrap()
            .secrets
            .insert(answer["token"].as_str().unwrap().to_owned(), secret.clone());
        seen(answer.as_object().unwrap(), &secret)
    }

    fn delete_key(&self, id: &str) -> bool {
        let body = json!({"keys": [id]});
        wait(self.server.call("POST", "/key/delete", &self.server.master, Some(body))).0 == 200
    }

    /// A call that costs nothing.
    fn accepts(&self, secret: &str) -> bool {
        wait(self.server.call("GET", "/v1/models", secret, None)).0 == 200
    }

    fn spend(&self, id: &str, amount: u64) -> bool {
        let Some(row) = self.row(id) else { return false };
        #[expect(clippy::cast_precision_loss, reason = "the server counts in doubles")]
        let spend = (micros(&row["spend"]).unwrap_or_default() + amount) as f64 / 1_000_000.0;
        self.update(id, json!({ "spend": spend }))
    }

    fn unlimit(&self, id: &str) -> bool {
        self.update(id, json!({"max_budget": null, "budget_duration": null, "duration": "-1"}))
    }

    fn switch_off(&self, id: &str) -> bool {
        self.update(id, json!({"blocked": true}))
    }

    fn expire(&self, id: &str, at: Option<Timestamp>) -> bool {
        let seconds = |at: Timestamp| at.duration_since(Timestamp::now()).as_secs().max(1);
        self.update(id, json!({"duration": at.map_or("-1".to_owned(), |at| format!("{}s", seconds(at)))}))
    }

    fn created_total(&self) -> u64 {
        self.state.lock().unwrap().created
    }

    fn switches(&self) -> Value {
        json!({})
    }

    fn switch(&self, _: Map<String, Value>) -> Result<(), serde_json::Error> {
        Ok(())
    }
}
