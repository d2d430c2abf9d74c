//! The command line with API servers of every kind: its output is for people, and its exit code says who has to act.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The answer to a path: code and body.
type Answer = Arc<dyn Fn(&str) -> (u16, String) + Send + Sync>;

/// Texts that a person should not see: the debug forms of library types.
const STRUCTS: [&str; 10] = [
    "Status {",
    "ApiError",
    "Some(",
    "Err(",
    "Error(",
    "HyperError",
    "ServiceError",
    "SerdeError",
    "kind:",
    "None)",
];

/// The output of a command.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn is(&self, code: i32, words: &str) {
        let whole = format!("{}{}", self.out, self.err);
        assert!(
            self.code == code && whole.contains(words),
            "{}, not {code} and {words:?}: {whole}",
            self.code
        );
        for text in STRUCTS {
            assert!(!whole.contains(text), "{text} is in: {whole}");
        }
        let repeated = self.err.lines().any(|line| line.matches("kubeconfig").count() > 2);
        assert!(!repeated, "said more than once: {}", self.err);
    }
}

fn keysmith(arguments: &[&str], kubeconfig: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keysmith"));
    command.args(arguments).env_clear().env("KUBECONFIG", kubeconfig).env("HOME", "/nonexistent");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn file(name: &str, text: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn kubeconfig(server: &str, context: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [
            {"name": "x", "context": {"cluster": "c", "user": "u"}},
            {"name": "lost", "context": {"cluster": "gone", "user": "u"}},
        ],
        "users": [{"name": "u", "user": {"token": "canary-of-the-kubeconfig"}}],
    })
    .to_string()
}

/// Starts an API server of the test; returns a kubeconfig for it.
async fn serve(name: &str, answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move |request: Request| {
        let (code, body) = answer(request.uri().path());
        async move { (StatusCode::from_u16(code).unwrap(), [("content-type", "application/json")], body) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    file(name, &kubeconfig(&format!("http://{address}"), "x"))
}

async fn ask(arguments: &[&str], kubeconfig: &str) -> Said {
    let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
    let kubeconfig = kubeconfig.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        keysmith(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &kubeconfig)
    });
    asked.await.unwrap()
}

fn status(code: u16, reason: &str) -> (u16, String) {
    let message = format!("{reason} \u{1b}[31m by the server");
    (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}).to_string())
}

/// A cluster with these objects, by plural.
fn cluster(objects: Value) -> Answer {
    Arc::new(move |path| {
        let plural = path.rsplit('/').next().unwrap_or_default();
        let list = |kind: &str, items: Value| {
            let version = if kind.starts_with("ConfigMap") || kind.starts_with("Partial") {
                "v1"
            } else {
                "keysmith.dev/v1alpha1"
            };
            (200, json!({"kind": kind, "apiVersion": version, "metadata": {}, "items": items}).to_string())
        };
        match plural {
            "version" => (200, json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}).to_string()),
            "kube-system" | "shop" => {
                (200, json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": plural, "uid": "u"}}).to_string())
            }
            "consoletokens" | "gatewayapikeys" | "providerkeys" | "projectsettings" | "configmaps" => {
                list("List", objects.get(plural).cloned().unwrap_or(json!([])))
            }
            _ => status(404, "NotFound"),
        }
    })
}

fn token(name: &str, endpoint: &str) -> Value {
    json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "ConsoleToken", "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"vendor": {"edgee": {"organizationId": "org_1"}}, "endpoint": endpoint, "secretRef": {"name": "s", "key": "token"}},
    })
}

fn key(name: &str, token: &str) -> Value {
    json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"consoleTokenRef": {"name": token}, "displayName": "x"},
    })
}

#[test]
fn a_mistyped_flag_is_exit_code_2_wherever_it_is_parsed() {
    let none = "/nonexistent/kubeconfig";
    for (arguments, words) in [
        (&["run", "--log-level", "inof"][..], "is no level"),
        (&["run", "--log-level", "verbose"], "is no level"),
        (&["crds", "--log-level", "foo=debug"], "logs nothing"),
        (&["run", "--namespaces", "shop,Shop_x"], "no namespace can have this name"),
        (&["orphans", "--namespace", "Shop_x"], "no namespace can have this name"),
        (&["orphans", "--ledger-namespace", "a.b"], "no namespace can have this name"),
        (&["orphans", "--console-token", "A"], "no resource can have this name"),
        (&["orphans", "--key", ""], "is empty"),
        (&["orphans", "--delete"], "add --yes"),
        (&["usage", "-l", "team=(1"], "lacks a closing parenthesis"),
        (&["usage", "--since", "yesterday"], "is no day"),
        (&["usage", "--since", "2999-01-01"], "must not be in the future"),
        (&["usage", "--by", "colour"], "write key, namespace, or label="),
        (&["uninstall-check", "--namespaces", "UP"], "no namespace can have this name"),
        (&["explain", "bogus"], "there are: edgee"),
        (&["explain", "bogus", "-o", "json"], "there are: edgee"),
        (&["run", "--allowed-endpoints", "ftp://x"], "must begin with https:// or http://"),
        (
            &["usage", "--allowed-endpoints", "https://x/edgee"],
            "write the origin only (scheme, host, port): https://x",
        ),
        (&["run", "--poll-interval", "5"], "is no duration"),
        (&["run", "--lease-duration", "1s"], "must be shorter"),
        (&["run", "--renew-deadline", "x"], "is no duration"),
    ] {
        keysmith(arguments, none).is(2, words);
    }
    let said = keysmith(&["run", "--allowed-endpoints", "https://user:hidden@x"], none);
    said.is(2, "scheme, host, port and path only");
    assert!(!said.err.contains("hidden"), "{}", said.err);
}

#[test]
fn an_unusable_kubeconfig_is_reported_in_one_sentence() {
    let commands = [
        &["orphans"][..],
        &["usage"],
        &["uninstall-check"],
        &["run", "--metrics-address", "127.0.0.1:0", "--log-level", "off"],
    ];
    for (config, words) in [
        (
            "/nonexistent/kubeconfig".to_owned(),
            "the kubeconfig /nonexistent/kubeconfig cannot be read: it does not exist",
        ),
        (env!("CARGO_TARGET_TMPDIR").to_owned(), "cannot be read: it is no file that can be read"),
        (
            file("wrong-context", &kubeconfig("http://127.0.0.1:9", "nosuch")),
            "the kubeconfig has no context \"nosuch\"",
        ),
        (file("lost-cluster", &kubeconfig("http://127.0.0.1:9", "lost")), "has no cluster \"gone\""),
        (file("broken", "{: canary-of-the-kubeconfig"), "is not the YAML of a kubeconfig"),
        (file("no-url", &kubeconfig("h t t p", "x")), "names no server, or one that is no URL"),
        (String::new(), "set KUBECONFIG"),
    ] {
        for command in commands {
            let said = keysmith(command, &config);
            said.is(1, words);
            assert_eq!(said.err.lines().count(), 1, "{}", said.err);
            assert!(!said.err.contains("canary"), "{}", said.err);
        }
    }
    for command in &commands[..3] {
        let unreachable = file("nobody", &kubeconfig("http://127.0.0.1:9", "x"));
        keysmith(command, &unreachable)
            .is(1, "http://127.0.0.1:9: the API server cannot be reached: connection refused");
    }
}

#[tokio::test]
async fn every_answer_of_an_api_server_is_a_sentence() {
    let version = r#"{"major":"1","minor":"36","gitVersion":"v","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;
    let except = |what: &'static str, answer: (u16, String)| -> Answer {
        let rest = cluster(json!({}));
        Arc::new(move |path| if path.ends_with(what) { answer.clone() } else { rest(path) })
    };
    let (forbidden, missing) = (status(403, "Forbidden"), status(404, "NotFound"));
    for (name, answer, command, words) in [
        (
            "identity",
            except("kube-system", forbidden.clone()),
            &["orphans"][..],
            "grant the right to get namespaces in namespace kube-system",
        ),
        (
            "tokens",
            except("consoletokens", forbidden.clone()),
            &["orphans"],
            "ConsoleTokens cannot be read: forbidden (403); grant the right to list consoletokens of keysmith.dev in all namespaces",
        ),
        (
            "keys",
            except("gatewayapikeys", forbidden.clone()),
            &["usage", "-n", "shop"],
            "grant the right to list gatewayapikeys of keysmith.dev in namespace shop",
        ),
        (
            "everything",
            except("gatewayapikeys", forbidden.clone()),
            &["orphans"],
            "grant the right to list consoletokens and gatewayapikeys",
        ),
        (
            "ledger",
            except("/configmaps", forbidden.clone()),
            &["orphans"],
            "grant the right to get, list and patch configmaps",
        ),
        (
            "check",
            except("providerkeys", forbidden),
            &["uninstall-check"],
            "grant the right to list providerkeys",
        ),
        (
            "crds",
            except("consoletokens", missing.clone()),
            &["orphans"],
            "Keysmith is not installed in this cluster",
        ),
        (
            "crds-usage",
            except("gatewayapikeys", missing),
            &["usage"],
            "Keysmith is not installed in this cluster",
        ),
        (
            "who",
            except("kube-system", status(401, "Unauthorized")),
            &["usage"],
            "does not accept these credentials (401)",
        ),
        (
            "ill",
            except("consoletokens", status(500, "InternalError")),
            &["orphans"],
            "the API server answers InternalError (500); try again later",
        ),
        (
            "html",
            except("consoletokens", (200, "<html>".to_owned())),
            &["orphans"],
            "the answer cannot be decoded",
        ),
        (
            "odd",
            Arc::new(
                move |path| {
                    if path == "/version" { (200, version.to_owned()) } else { (502, "<html>".to_owned()) }
                },
            ),
            &["usage"],
            "(502)",
        ),
    ] {
        let config = serve(name, answer).await;
        let said = ask(command, &config).await;
        said.is(1, words);
        assert!(said.out.is_empty() && !said.err.contains('\u{1b}'), "{}{}", said.out, said.err);
        assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    }
}

#[tokio::test]
async fn an_unanswered_survey_does_not_report_that_nothing_is_left() {
    let empty = serve("empty", cluster(json!({}))).await;
    for (arguments, code, words) in [
        (&["orphans"][..], 0, "there are no ConsoleTokens to ask; there is no ledger"),
        (&["usage"], 0, "there are no GatewayApiKeys to ask for"),
        (&["usage", "-o", "csv"], 0, "there are no GatewayApiKeys to ask for"),
        (&["uninstall-check"], 0, "no resources of Keysmith are left"),
        (&["orphans", "-n", "nosuch"], 1, "--namespace nosuch: there is no such namespace"),
        (&["usage", "-n", "nosuch"], 1, "--namespace nosuch: there is no such namespace"),
        (
            &["orphans", "--ledger-namespace", "nosuch"],
            1,
            "--ledger-namespace nosuch: there is no such namespace",
        ),
        (
            &["orphans", "--console-token", "nosuch"],
            1,
            "--console-token nosuch: there is no such console token",
        ),
        (&["orphans", "--key", "key_none"], 1, "--key key_none: no key that is left has this id"),
        (
            &["usage", "--console-token", "nosuch"],
            1,
            "--console-token nosuch: there is no such console token",
        ),
        (&["usage", "-l", "team=nosuch"], 1, "--selector team=nosuch: no GatewayApiKey"),
        (&["orphans", "-n", "shop"], 0, "there are no ConsoleTokens to ask"),
    ] {
        ask(arguments, &empty).await.is(code, words);
    }
    let objects = json!({
        "consoletokens": [token("far", "http://elsewhere.test")],
        "gatewayapikeys": [key("ci", "far"), key("lost", "gone"), {"apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey",
            "metadata": {"name": "odd", "namespace": "shop"}, "spec": {"consoleTokenRef": 1}}],
    });
    let deaf = serve("deaf", cluster(objects)).await;
    let said = ask(&["orphans"], &deaf).await;
    said.is(1, "nothing could be asked: 0 of 1 ConsoleTokens answered");
    assert!(
        said.err.contains("ConsoleToken shop/far could not be asked: ")
            && !said.out.contains("no orphaned keys"),
        "{}",
        said.out
    );
    let said = ask(&["usage"], &deaf).await;
    said.is(1, "nothing could be asked: 0 of 1 ConsoleTokens answered");
    assert!(!said.out.contains("VENDOR"), "no empty table: {}", said.out);
    said.is(1, "ConsoleToken shop/gone does not exist; 1 GatewayApiKey is not counted");
    said.is(1, "GatewayApiKey shop/odd does not fit the present type");
    let said = ask(&["usage", "-o", "csv"], &deaf).await;
    assert!(
        said.out.lines().count() == 1 && said.err.contains("0 of 1 ConsoleTokens answered"),
        "{}{}",
        said.out,
        said.err
    );
    for command in ["orphans", "usage"] {
        let said = ask(&[command, "-o", "json"], &deaf).await;
        let json: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((&json["asked"], &json["answered"], said.code), (&json!(1), &json!(0), 1), "{json}");
        assert_eq!(json["unanswered"][0]["consoleToken"], "shop/far", "{json}");
    }
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let empty = serve("pipe", cluster(json!({}))).await;
    for arguments in [
        &["explain"][..],
        &["explain", "-o", "json"],
        &["crds"],
        &["orphans"],
        &["usage"],
        &["uninstall-check"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keysmith"))
            .args(arguments)
            .env("KUBECONFIG", &empty)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        let mut stderr = child.stderr.take().unwrap();
        let code = tokio::task::spawn_blocking(move || {
            stderr.read_to_string(&mut err).unwrap();
            (child.wait().unwrap().code(), err)
        });
        let (code, err) = code.await.unwrap();
        assert!(code == Some(0) && !err.contains("panicked"), "{arguments:?}: {code:?} {err}");
    }
    // Standard error is closed as well.
    let mut child = Command::new(env!("CARGO_BIN_EXE_keysmith"))
        .args(["explain", "bogus"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[tokio::test]
async fn ready_asks_until_the_operator_is_and_says_what_it_lacks() {
    let state = keysmith::runtime::server::State::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/readyz", listener.local_addr().unwrap());
    let router = keysmith::runtime::server::router(state.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let ready = |url: String, timeout: &'static str| {
        tokio::task::spawn_blocking(move || keysmith(&["ready", "--url", &url, "--timeout", timeout], ""))
    };
    ready(url.clone(), "1s").await.unwrap().is(1, "503: not ready: starting");
    let late = ready(url.clone(), "30s");
    tokio::time::sleep(Duration::from_millis(500)).await;
    state.readiness.missing(keysmith::runtime::server::Part::Caches, Vec::new());
    late.await.unwrap().is(0, "ready");
    ready("http://127.0.0.1:1/readyz".into(), "1s").await.unwrap().is(1, "no connection; check that");
    ready("https://127.0.0.1:1/readyz".into(), "1s").await.unwrap().is(2, "https is not served");
}

#[test]
fn completion_and_manual_pages_are_printed_for_the_name_that_was_called() {
    keysmith(&["completion", "bash"], "").is(0, "_keysmith()");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("manual");
    keysmith(&["man", folder.to_str().unwrap()], "").is(0, "");
    assert!(std::fs::read_to_string(folder.join("keysmith-status.1")).unwrap().contains("workloads"));
    let plugin = folder.join("kubectl-keysmith");
    let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_keysmith"), &plugin);
    let output = Command::new(&plugin).arg("--help").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: kubectl keysmith"));
}

/// The log of the operator until it is stopped.
async fn log(arguments: &[&str], kubeconfig: &str) -> String {
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_keysmith"))
        .args(["run", "--metrics-address", "127.0.0.1:0"])
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    child.start_kill().unwrap();
    let output = child.wait_with_output().await.unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn the_first_line_says_what_is_in_effect_and_no_line_holds_a_structure() {
    let refusing = serve("refusing", Arc::new(|_| status(403, "Forbidden"))).await;
    let text = log(
        &[
            "--allowed-endpoints",
            "https://llm.example.com",
            "--namespaces",
            "shop,shop",
            "--poll-interval",
            "2m",
            "--leader-elect",
        ],
        &refusing,
    )
    .await;
    let first = text.lines().next().unwrap_or_default();
    for words in [
        concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""),
        "namespaces=\"shop\"",
        "api_server=\"http://127.0.0.1:",
        "metrics_address=127.0.0.1:0",
        "poll_interval=\"2m\"",
        "sweep_interval=\"none\"",
        "concurrency=8",
        "max_keys_per_day=20",
        "allowed_endpoints=\"https://llm.example.com\"",
        "leader_elect=true",
        "lease_duration=\"15s\"",
        "log_level=info",
    ] {
        assert!(first.contains(words), "{words} is not in: {first}");
    }
    assert!(!text.contains("canary"), "{text}");
    assert!(
        text.lines().count() > 1 && text.contains("not ready: the API server: Forbidden (403)"),
        "{text}"
    );
    for line in text.lines() {
        assert!(!STRUCTS.iter().any(|it| line.contains(it)), "{line}");
    }
    let all = log(&[], &refusing).await;
    assert!(all.lines().next().unwrap_or_default().contains("namespaces=\"all\""), "{all}");
}
