//! The emulator is held against the real server: the same requests go to both, and status, shape, fields, order and formats of
//! their answers are compared. What differs is listed, each with its reason.

use crate::support::litellm::server;
use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use jiff::{SignedDuration, Timestamp};
use keysmith::emulator::{Emulator, VendorId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const MASTER: &str = "sk-litellm-emulated-0-master";

/// One request: a name under which its answer is remembered, method, path, token, body. `{name.field}` stands for a field of an
/// earlier answer.
type Step = (&'static str, &'static str, &'static str, &'static str, Option<Value>);

/// Fields of answers that are not compared, and why.
const APART: [(&str, &str); 13] = [
    ("key", "a secret, or what was asked for"),
    ("token", "the hash of a secret"),
    ("token_id", "the hash of a secret"),
    ("deleted_keys", "hashes of secrets"),
    ("key_name", "the end of a secret"),
    ("id", "a row of the database that deleted keys have"),
    ("message", "texts, in which secrets are"),
    ("msg", "texts of the library that checks types"),
    ("type", "of a complaint about a type: the library's word for it"),
    ("ctx", "of a complaint about a type: the library's own"),
    ("input", "of a complaint about a type: what was sent"),
    ("key_count", "keys of other stories"),
    ("total", "users of other stories"),
];

#[expect(clippy::too_many_lines, reason = "a list of requests")]
fn script() -> Vec<Step> {
    let full = json!({
        "key_alias": "same [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]", "key_type": "llm_api", "models": ["gpt-small"], "max_budget": 5,
        "budget_duration": "30d", "spend": 2, "duration": "7d", "rpm_limit": 10, "tpm_limit": 1000, "max_parallel_requests": 3,
        "blocked": true,
    });
    let user =
        |id: &str, role: &str| Some(json!({"user_id": id, "user_role": role, "auto_create_key": false}));
    vec![
        ("full", "POST", "/key/generate", "", Some(full.clone())),
        ("again", "POST", "/key/generate", "", Some(full)),
        ("bare", "POST", "/key/generate", "", Some(json!({"key_alias": "same bare", "key_type": "llm_api"}))),
        ("default", "POST", "/key/generate", "", Some(json!({"key_alias": "same default"}))),
        (
            "daily",
            "POST",
            "/key/generate",
            "",
            Some(json!({"key_alias": "same d", "max_budget": 1, "budget_duration": "1d"})),
        ),
        (
            "weekly",
            "POST",
            "/key/generate",
            "",
            Some(json!({"key_alias": "same w", "max_budget": 1, "budget_duration": "7d"})),
        ),
        ("info", "GET", "/key/info?key={full.token}", "", None),
        ("info_daily", "GET", "/key/info?key={daily.token}", "", None),
        ("info_weekly", "GET", "/key/info?key={weekly.token}", "", None),
        ("unknown", "GET", "/key/info?key=0000", "", None),
        ("own_of_master", "GET", "/key/info", "", None),
        (
            "rename",
            "POST",
            "/key/update",
            "",
            Some(json!({"key": "{full.token}", "key_alias": "same renamed"})),
        ),
        ("taken", "POST", "/key/update", "", Some(json!({"key": "{full.token}", "key_alias": "same bare"}))),
        ("models", "POST", "/key/update", "", Some(json!({"key": "{full.token}", "models": []}))),
        (
            "budget",
            "POST",
            "/key/update",
            "",
            Some(json!({"key": "{full.token}", "max_budget": 7.5, "spend": 1})),
        ),
        (
            "no_budget",
            "POST",
            "/key/update",
            "",
            Some(json!({"key": "{full.token}", "max_budget": null, "budget_duration": null})),
        ),
        ("expiry", "POST", "/key/update", "", Some(json!({"key": "{full.token}", "duration": "3600s"}))),
        ("no_expiry", "POST", "/key/update", "", Some(json!({"key": "{full.token}", "duration": "-1"}))),
        (
            "no_rates",
            "POST",
            "/key/update",
            "",
            Some(
                json!({"key": "{full.token}", "rpm_limit": null, "tpm_limit": null, "max_parallel_requests": null}),
            ),
        ),
        ("on", "POST", "/key/update", "", Some(json!({"key": "{full.token}", "blocked": false}))),
        ("nobody", "POST", "/key/update", "", Some(json!({"key": "0000", "blocked": false}))),
        ("wrong_type", "POST", "/key/generate", "", Some(json!({"key_alias": 7}))),
        ("negative", "POST", "/key/generate", "", Some(json!({"max_budget": -1}))),
        ("control", "POST", "/key/generate", "", Some(json!({"key_alias": "a\u{1}b"}))),
        ("admin", "POST", "/user/new", "", user("same-admin", "proxy_admin")),
        ("viewer", "POST", "/user/new", "", user("same-viewer", "proxy_admin_viewer")),
        ("worker", "POST", "/user/new", "", user("same-worker", "internal_user")),
        (
            "of_admin",
            "POST",
            "/key/generate",
            "",
            Some(json!({"key_alias": "same ta", "user_id": "same-admin", "key_type": "management"})),
        ),
        (
            "of_viewer",
            "POST",
            "/key/generate",
            "",
            Some(json!({"key_alias": "same tv", "user_id": "same-viewer"})),
        ),
        (
            "of_worker",
            "POST",
            "/key/generate",
            "",
            Some(json!({"key_alias": "same tw", "user_id": "same-worker"})),
        ),
        ("users_admin", "GET", "/user/list?page_size=1&user_ids=same-admin", "{of_admin.key}", None),
        ("users_viewer", "GET", "/user/list?page_size=1&user_ids=same-viewer", "{of_viewer.key}", None),
        ("users_worker", "GET", "/user/list?page_size=1&user_ids=same-worker", "{of_worker.key}", None),
        ("users_app", "GET", "/user/list?page_size=1", "{bare.key}", None),
        ("users_nobody", "GET", "/user/list?page_size=1", "{default.key}", None),
        ("users_stranger", "GET", "/user/list?page_size=1", "sk-none", None),
        ("users_nonsense", "GET", "/user/list?page_size=1", "nonsense", None),
        ("own_admin", "GET", "/key/info", "{of_admin.key}", None),
        ("list_worker", "GET", "/key/list?size=10&return_full_object=true", "{of_worker.key}", None),
        ("list_nobody", "GET", "/key/list?size=10", "{default.key}", None),
        ("list_app", "GET", "/key/list?size=10", "{bare.key}", None),
        ("list_large", "GET", "/key/list?size=101", "", None),
        ("make_viewer", "POST", "/key/generate", "{of_viewer.key}", Some(json!({"key_type": "llm_api"}))),
        ("make_nobody", "POST", "/key/generate", "{default.key}", Some(json!({"key_type": "llm_api"}))),
        ("make_app", "POST", "/key/generate", "{bare.key}", Some(json!({"key_type": "llm_api"}))),
        ("models_app", "GET", "/v1/models", "{bare.key}", None),
        ("bad_path", "GET", "/no/such", "", None),
        ("info_worker", "GET", "/key/info?key={bare.token}", "{of_worker.key}", None),
        ("info_viewer", "GET", "/key/info?key={bare.token}", "{of_viewer.key}", None),
        (
            "update_worker",
            "POST",
            "/key/update",
            "{of_worker.key}",
            Some(json!({"key": "{bare.token}", "blocked": true})),
        ),
        (
            "update_viewer",
            "POST",
            "/key/update",
            "{of_viewer.key}",
            Some(json!({"key": "{bare.token}", "blocked": true})),
        ),
        (
            "update_nobody",
            "POST",
            "/key/update",
            "{default.key}",
            Some(json!({"key": "{bare.token}", "blocked": true})),
        ),
        ("delete_worker", "POST", "/key/delete", "{of_worker.key}", Some(json!({"keys": ["{bare.token}"]}))),
        ("delete_viewer", "POST", "/key/delete", "{of_viewer.key}", Some(json!({"keys": ["{bare.token}"]}))),
        ("delete_nobody", "POST", "/key/delete", "{default.key}", Some(json!({"keys": ["{bare.token}"]}))),
        ("delete", "POST", "/key/delete", "", Some(json!({"keys": ["{full.token}"]}))),
        ("delete_again", "POST", "/key/delete", "", Some(json!({"keys": ["{full.token}"]}))),
        ("delete_none", "POST", "/key/delete", "", Some(json!({"keys": []}))),
        ("deleted", "GET", "/key/info?key={full.token}", "", None),
        (
            "delete_admin_itself",
            "POST",
            "/key/delete",
            "{of_admin.key}",
            Some(json!({"keys": ["{of_admin.token}"]})),
        ),
        (
            "teamless",
            "POST",
            "/key/generate",
            "",
            Some(json!({"key_alias": "same team", "team_id": "nowhere"})),
        ),
        ("of_no_team", "POST", "/key/update", "", Some(json!({"key": "{teamless.token}", "blocked": true}))),
        ("no_team", "GET", "/team/info?team_id=nowhere", "", None),
        ("dates", "GET", "/user/daily/activity", "", None),
    ]
}

type Answers = BTreeMap<&'static str, (u16, Value)>;

fn filled(text: &str, answers: &Answers) -> String {
    let Some((before, rest)) = text.split_once('{') else { return text.to_owned() };
    let Some((name, after)) = rest.split_once('}') else { return text.to_owned() };
    let Some((step, field)) = name.split_once('.') else { return text.to_owned() };
    let value = answers.get(step).and_then(|it| it.1[field].as_str()).unwrap_or("missing");
    format!("{before}{value}{after}")
}

fn body_of(body: &Value, answers: &Answers) -> Value {
    match body {
        Value::String(text) => json!(filled(text, answers)),
        Value::Array(list) => list.iter().map(|it| body_of(it, answers)).collect(),
        Value::Object(map) => map.iter().map(|(name, it)| (name.clone(), body_of(it, answers))).collect(),
        other => other.clone(),
    }
}

async fn play(call: impl AsyncFn(&str, &str, &str, Option<Value>) -> (u16, Value)) -> Answers {
    let mut answers = Answers::new();
    for (name, method, path, token, body) in script() {
        let (path, token) = (filled(path, &answers), filled(token, &answers));
        let body = body.map(|it| body_of(&it, &answers));
        let answer = call(method, &path, &token, body).await;
        answers.insert(name, answer);
    }
    answers
}

/// The time of one text: the digits that its format shows after the second, and its zone. Boundaries of the calendar are
/// compared as they are, so they are no times here.
fn time(text: &str) -> Option<(usize, String)> {
    static TIME: LazyLock<regex::Regex> = LazyLock::new(|| {
        regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$").unwrap()
    });
    let found = TIME.captures(text).filter(|_| !text.contains("T00:00:00"))?;
    let digits = found.get(1).map_or("", |it| it.as_str());
    // Python writes six digits, or none; the database keeps three.
    Some((digits.trim_end_matches("000").trim_start_matches('.').len(), found[2].to_owned()))
}

/// What differs between two answers, each with its place.
#[derive(Default)]
struct Found {
    certain: Vec<String>,
    /// One in a thousand times ends on three zeros, and then shows fewer digits than its format has. By the time: one time
    /// stands in several answers.
    chance: BTreeMap<String, Vec<String>>,
}

impl Found {
    /// Two different times that end on zeros are no chance: such is the format.
    fn differences(self) -> Vec<String> {
        let chance = self.chance.into_values();
        let doubted = if chance.len() > 1 { chance.flatten().collect() } else { Vec::new() };
        [self.certain, doubted].concat()
    }

    fn texts(&mut self, at: &str, real: &str, emulated: &str) {
        let (Some(one), Some(other)) = (time(real), time(emulated)) else {
            if real != emulated {
                self.certain.push(format!("{at}: {real:?}, and the emulator says {emulated:?}"));
            }
            return;
        };
        if one == other {
            return;
        }
        let difference = format!("{at}: a time of {one:?} digits, and the emulator's has {other:?}");
        if one.1 == other.1 && one.0 < other.0 {
            self.chance.entry(real.to_owned()).or_default().push(difference);
        } else {
            self.certain.push(difference);
        }
    }

    fn compare(&mut self, at: &str, real: &Value, emulated: &Value) {
        match (real, emulated) {
            (Value::Object(one), Value::Object(other)) => {
                for name in one.keys().chain(other.keys().filter(|it| !one.contains_key(*it))) {
                    let place = format!("{at}/{name}");
                    match (one.get(name), other.get(name)) {
                        (Some(one), Some(other)) if APART.iter().any(|it| it.0 == name) => {
                            self.compare(&place, &json!(one.is_null()), &json!(other.is_null()));
                        }
                        (Some(one), Some(other)) => self.compare(&place, one, other),
                        (Some(one), None) => {
                            self.certain.push(format!("{place}: {one}, and the emulator has no such field"));
                        }
                        _ => self.certain.push(format!("{place}: only the emulator has it")),
                    }
                }
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
                for (number, (one, other)) in one.iter().zip(other).enumerate() {
                    self.compare(&format!("{at}/{number}"), one, other);
                }
            }
            (Value::String(one), Value::String(other)) => self.texts(at, one, other),
            (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
            (one, other) if one == other => {}
            (one, other) => self.certain.push(format!("{at}: {one}, and the emulator says {other}")),
        }
    }
}

/// Now, on no whole second and no whole thousandth of it: at the emulator no time ends on zeros by chance.
fn uneven_time() -> Timestamp {
    let now = Timestamp::now();
    let zeros = |micros: i64| micros % 1_000 == 0 || micros / 1_000 % 1_000 == 0;
    if zeros(now.as_microsecond()) { now + SignedDuration::from_micros(1_001) } else { now }
}

#[test]
fn a_time_that_ends_on_zeros_is_a_chance_once_and_a_format_twice() {
    let differences = |real: [&str; 3], emulated: [&str; 3]| {
        let mut found = Found::default();
        for (number, (real, emulated)) in real.iter().zip(emulated).enumerate() {
            found.texts(&number.to_string(), real, emulated);
        }
        found.differences().len()
    };
    let [whole, other, thousandths] =
        ["2026-11-03T10:11:12+00:00", "2026-11-03T10:11:13+00:00", "2026-11-03T10:11:12.345000+00:00"];
    assert_eq!(differences([whole, whole, thousandths], [thousandths; 3]), 0);
    assert_eq!(differences([whole, other, thousandths], [thousandths; 3]), 2);
    assert_eq!(differences([thousandths; 3], [whole, thousandths, thousandths]), 1);
    assert_eq!(differences(["2026-11-03T10:11:12Z", whole, whole], [whole; 3]), 1);
    assert_eq!(differences(["2026-11-03T00:00:00Z"; 3], ["2026-11-04T00:00:00Z"; 3]), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emulator_answers_as_the_real_server() {
    if !crate::possible() {
        return;
    }
    let real = server();
    let of_real = play(async |method, path, token, body| {
        let token = if token.is_empty() { real.master.clone() } else { token.to_owned() };
        real.call(method, path, &token, body).await
    })
    .await;
    let emulator = Emulator::new(uneven_time);
    emulator.litellm().add_master(MASTER);
    let of_emulator = play(async |method, path, token, body| {
        let token = if token.is_empty() { MASTER } else { token };
        let body = body.map_or_else(Bytes::new, |it| Bytes::from(it.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(format!("http://emulator.test/{}{path}", VendorId::LiteLlm.path()))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(body)
            .unwrap();
        let response = emulator.call(request).await.unwrap();
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    })
    .await;
    let mut found = Found::default();
    for (name, (status, answer)) in &of_real {
        let (emulated, said) = &of_emulator[name];
        if status != emulated {
            found.certain.push(format!("{name}: status {status}, and the emulator says {emulated}: {said}"));
            continue;
        }
        found.compare(name, answer, said);
    }
    let found = found.differences();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    for name in ["of_viewer", "of_worker", "default", "daily", "weekly", "bare", "teamless"] {
        let body = json!({"keys": [of_real[name].1["token"]]});
        real.call("POST", "/key/delete", &real.master, Some(body)).await;
    }
}
