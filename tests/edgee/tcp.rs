//! The real transport over real connections.

use super::world::{KEYS, ORG, TOKEN, clear, driver, id, order, provider_key_order, renamed, wire, world};
use keysmith::emulator::{Effect, Emulator, serve};
use keysmith::gateway::edgee::Edgee;
use keysmith::gateway::http::DEADLINE;
use keysmith::gateway::transport::{Https, LARGEST_ANSWER};
use keysmith::gateway::{Gateway, Reveal};
use keysmith::plan::fault::{Fault, FaultKind, Unreachable};
use keysmith::runtime::clock::Clock;
use std::future::{Future, pending};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const VENDOR: &str = "KEYSMITH_TEST_VENDOR";

/// A server on a loopback port of its own, until it is dropped.
pub struct Served {
    pub base: String,
    pub connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    pub async fn emulator(emulator: &Emulator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/edgee", listener.local_addr().unwrap());
        let emulator = emulator.clone();
        let task = tokio::spawn(async move { serve(emulator, listener, pending()).await.unwrap() });
        let connections = Arc::default();
        Self { base, connections, task }
    }

    /// Hands every connection to that function.
    pub async fn by<F>(scheme: &str, answer: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("{scheme}://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream));
            }
        });
        Self { base, connections, task }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The production transport, with a token that works at the emulator.
pub fn real(base: &str) -> Edgee {
    let clock = Clock::from_fn(|| jiff::Timestamp::UNIX_EPOCH);
    driver(wire(
        base,
        TOKEN,
        Arc::new(Https::new(keysmith::gateway::transport::Network::default()).unwrap()),
        &clock,
    ))
}

/// Reads the request up to the end of its headers.
pub async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn a_key_lives_its_life_over_a_real_connection() {
    let world = world();
    let server = Served::emulator(&world.emulator).await;
    let edgee = real(&server.base);
    let minted = edgee.mint(&order("over tcp")).await.unwrap();
    assert_eq!(edgee.list().await.unwrap().len(), 1);
    let revealed = edgee.recover(&minted.key.id).await.unwrap().unwrap();
    assert_eq!(clear(&revealed), world.only_key().secret);
    edgee.amend(&minted.key.id, &renamed("renamed")).await.unwrap();
    assert_eq!(world.only_key().name, "renamed");
    let order = provider_key_order("team", &[&minted.key.id.0]);
    edgee.provider_keys().unwrap().create(&order).await.unwrap();
    assert_eq!(world.emulator.edgee().provider_keys(ORG).len(), 1);
    edgee.revoke(&minted.key.id).await.unwrap();
    assert!(world.keys().is_empty());
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_was_read_is_ambiguous_and_sent_once() {
    for (effect, left) in [(Effect::DropAfter, 1), (Effect::DropBefore, 0)] {
        let world = world();
        let server = Served::emulator(&world.emulator).await;
        world.fault_once("POST", KEYS, effect);
        let fault = real(&server.base).mint(&order("n")).await.err().unwrap();
        assert_eq!(fault, Fault::ambiguous(FaultKind::Disconnected));
        assert_eq!(world.keys().len(), left);
        assert_eq!(world.emulator.calls().len(), 1);
    }
}

/// The connection pool does not resend either; many clients resend a request on a stale connection.
#[tokio::test]
async fn a_connection_that_served_before_is_not_used_again() {
    let world = world();
    let server = Served::emulator(&world.emulator).await;
    let edgee = real(&server.base);
    edgee.list().await.unwrap();
    world.fault_once("POST", KEYS, Effect::DropAfter);
    let fault = edgee.mint(&order("n")).await.err().unwrap();
    assert_eq!(fault, Fault::ambiguous(FaultKind::Disconnected));
    assert_eq!((world.keys().len(), world.emulator.count("POST", KEYS)), (1, 1));
}

#[tokio::test]
async fn a_refused_connection_had_no_effect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let fault = real(&base).mint(&order("n")).await.err().unwrap();
    let refused = FaultKind::Unreachable(Unreachable::Connect);
    assert_eq!(fault, Fault::without_effect(refused));
}

#[tokio::test]
async fn a_redirect_takes_the_token_nowhere() {
    let elsewhere = Served::by("http", |_| async {}).await;
    let world = world();
    let server = Served::emulator(&world.emulator).await;
    let edgee = real(&server.base);
    for method in ["GET", "POST", "DELETE"] {
        let location = format!("{}/steal", elsewhere.base);
        world.fault_always(method, KEYS, Effect::Redirect { location });
    }
    let kind = FaultKind::Redirected { status: 307 };
    assert_eq!(edgee.list().await.unwrap_err(), Fault::without_effect(kind.clone()));
    let minted = edgee.mint(&order("n")).await.err().unwrap();
    assert_eq!(minted, Fault::ambiguous(kind.clone()));
    assert_eq!(edgee.revoke(&id("key_1")).await.unwrap_err(), Fault::ambiguous(kind));
    assert_eq!(elsewhere.connections(), 0);
    assert_eq!(world.emulator.calls().len(), 3);
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_cut_off_at_the_limit() {
    let world = world();
    let server = Served::emulator(&world.emulator).await;
    world.fault_once("GET", KEYS, Effect::Oversize { bytes: 10 << 20 });
    let fault = real(&server.base).list().await.unwrap_err();
    let kind = FaultKind::TooLarge { limit: LARGEST_ANSWER };
    assert_eq!(fault, Fault::without_effect(kind));
}

#[tokio::test]
async fn a_body_without_end_is_left_at_the_limit() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let server = Served::by("http", move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
            let chunk = vec![b' '; 64 << 10];
            while stream.write_all(&chunk).await.is_ok() {
                count.fetch_add(chunk.len(), Ordering::SeqCst);
            }
            // Set only when the client has closed its end.
            count.fetch_or(1, Ordering::SeqCst);
        }
    })
    .await;
    let fault = real(&server.base).mint(&order("n")).await.err().unwrap();
    let kind = FaultKind::TooLarge { limit: LARGEST_ANSWER };
    assert_eq!(fault, Fault::ambiguous(kind));
    while written.load(Ordering::SeqCst) & 1 == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    // The socket buffers come on top of the limit.
    assert!(written.load(Ordering::SeqCst) < LARGEST_ANSWER + (16 << 20));
}

#[tokio::test]
async fn a_compressed_body_is_not_expanded() {
    let world = world();
    let server = Served::emulator(&world.emulator).await;
    world.fault_once("GET", KEYS, Effect::GzipBomb);
    let fault = real(&server.base).list().await.unwrap_err();
    let gzip = FaultKind::Malformed("it is compressed with gzip, although it was asked for without");
    assert_eq!(fault, Fault::without_effect(gzip));
}

#[tokio::test]
async fn an_answer_shorter_than_announced_or_no_http_at_all_is_a_broken_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}",
        "HTTP/1.1 200 OK\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "",
    ] {
        let server = Served::by("http", move |mut stream| async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        let fault = real(&server.base).mint(&order("n")).await.err().unwrap();
        assert_eq!(fault, Fault::ambiguous(FaultKind::Disconnected), "{answer:?}");
        assert_eq!(server.connections(), 1, "{answer:?}");
    }
}

/// The clock is paused only after the request has arrived: a paused clock would run out while bytes travel.
#[tokio::test]
async fn a_vendor_that_dribbles_or_says_nothing_has_thirty_seconds_for_the_whole_call() {
    for (begin, drop_by_drop) in [
        ("", false),
        ("HTTP/1.1 200 OK\r\nx-slow: ", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", true),
    ] {
        let (arrived, mut requests) = tokio::sync::mpsc::unbounded_channel();
        let server = Served::by("http", move |mut stream| {
            let arrived = arrived.clone();
            async move {
                read_head(&mut stream).await;
                stream.write_all(begin.as_bytes()).await.unwrap();
                arrived.send(()).unwrap();
                while !drop_by_drop || stream.write_all(b"x").await.is_ok() {
                    sleep(Duration::from_secs(1)).await;
                }
            }
        })
        .await;
        let edgee = real(&server.base);
        let call = tokio::spawn(async move { edgee.mint(&order("n")).await.err() });
        requests.recv().await.unwrap();
        tokio::time::pause();
        let start = Instant::now();
        let fault = call.await.unwrap().unwrap();
        assert_eq!(fault, Fault::ambiguous(FaultKind::Timeout { seconds: 30 }), "{begin:?}");
        let late = DEADLINE.saturating_sub(start.elapsed());
        assert!(late < Duration::from_secs(2), "{begin:?}: {late:?} too early");
        tokio::time::resume();
    }
}

/// The test below runs this in a process of its own, because the environment belongs to a whole process.
#[tokio::test]
async fn child_that_lists_a_vendor_named_in_its_environment() {
    if let Ok(base) = std::env::var(VENDOR) {
        assert_eq!(real(&base).list().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_proxy_in_the_environment_is_ignored() {
    let proxy = Served::by("http", |_| async {}).await;
    let world = world();
    world.key_by_hand("old");
    let server = Served::emulator(&world.emulator).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.arg("--exact");
    child.arg("edgee::tcp::child_that_lists_a_vendor_named_in_its_environment");
    child.env(VENDOR, &server.base).stdin(Stdio::null());
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(variable, &proxy.base);
        child.env(variable.to_lowercase(), &proxy.base);
    }
    // These variables would exempt a loopback address, or make the library ignore HTTP_PROXY.
    for variable in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        child.env_remove(variable);
    }
    let output = child.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(world.emulator.count("GET", KEYS), 1);
    assert_eq!(proxy.connections(), 0);
}
