//! The emulator over real connections.

use std::time::Duration;

use keysmith::emulator::{Effect, Emulator, Rule, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::support::{KEYS, ORG, TOKEN, world};

struct Server {
    base: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn started(emulator: Emulator) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(emulator, listener, async {
        let _ = stopped.await;
    }));
    Server { base, stop, task }
}

async fn create(server: &Server) -> Result<reqwest::Response, reqwest::Error> {
    // The first test installs it; it is the same for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let request = client.post(format!("{}{KEYS}", server.base)).bearer_auth(TOKEN);
    request.body(r#"{"name":"over tcp"}"#).send().await
}

#[tokio::test]
async fn a_call_dropped_after_closes_the_connection_and_was_applied() {
    let emulator = world().emulator;
    emulator.faults().add(Rule::once("POST", "/api_keys", Effect::DropAfter));
    let server = started(emulator.clone()).await;
    let error = create(&server).await.unwrap_err();
    assert!(!error.is_timeout() && error.status().is_none(), "{error:?}");
    assert_eq!(emulator.edgee().keys(ORG).len(), 1);
    assert_eq!(create(&server).await.unwrap().status(), 200);
    assert_eq!(emulator.edgee().keys(ORG).len(), 2);
    server.stop.send(()).unwrap();
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_ends_connections_that_hang() {
    let emulator = world().emulator;
    emulator.faults().add(Rule::once("POST", "/api_keys", Effect::HangAfter));
    let server = started(emulator.clone()).await;
    let Server { base, stop, task } = server;
    let (idle_stop, idle_task) = (oneshot::channel::<()>().0, tokio::spawn(async { Ok(()) }));
    let caller = tokio::spawn(async move {
        create(&Server { base, stop: idle_stop, task: idle_task }).await.map(|answer| answer.status())
    });
    while emulator.calls().is_empty() {
        assert!(!caller.is_finished(), "the caller gave up: {:?}", caller.await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(()).unwrap();
    task.await.unwrap().unwrap();
    assert!(!caller.await.unwrap().unwrap_err().is_timeout());
    assert_eq!(emulator.edgee().keys(ORG).len(), 1);
}
