//! Nothing a vendor says and nothing that is secret leaves by a fault, a `Debug`, or a log line.

use super::account::{Client, mint};
use super::canned::Canned;
use super::tcp::Served;
use super::world::{KEYS, TOKEN, deposit_order, driver, full_order, id, order, renamed, wire, world};
use crate::support::hostile::{CANARY, Probe, STATUSES, WithoutDebug as _, bodies, silent};
use crate::support::ordeals::Asked;
use keysmith::emulator::Effect;
use keysmith::gateway::Gateway;
use keysmith::gateway::edgee::Edgee;
use keysmith::gateway::transport::Https;
use keysmith::plan::fault::Fault;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

async fn every_fault(edgee: &Edgee) -> Vec<Fault> {
    let key = id("key_1");
    let deposits = edgee.provider_keys().unwrap();
    let outcomes = [
        edgee.list().await.err(),
        edgee.get(&key).await.err(),
        edgee.mint(&full_order("n")).await.err(),
        edgee.recover(&key).await.err(),
        edgee.amend(&key, &renamed("x")).await.err(),
        edgee.revoke(&key).await.err(),
        deposits.list().await.err(),
        deposits.deposit(&deposit_order("n", &[])).await.err(),
        deposits.reassign(&key, &[]).await.err(),
        deposits.remove(&key).await.err(),
    ];
    outcomes.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn no_fault_repeats_a_byte_of_what_the_vendor_said() {
    let mut seen = 0;
    for body in bodies() {
        for status in STATUSES {
            let edgee = Canned::always(status, body.clone()).edgee();
            for fault in every_fault(&edgee).await {
                silent(&format!("{fault} {fault:?} {fault:#?}"));
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

#[tokio::test(start_paused = true)]
async fn no_fault_of_the_emulated_vendor_repeats_it_either() {
    for effect in [
        Effect::Status { code: 400, retry_after: Some(CANARY.to_owned()) },
        Effect::Status { code: 429, retry_after: Some(CANARY.to_owned()) },
        Effect::Redirect { location: format!("https://{CANARY}.test/") },
        Effect::Truncate,
        Effect::DropAfter,
        Effect::Html,
    ] {
        let world = world();
        world.emulator.faults().add(keysmith::emulator::Rule {
            method: None,
            path_contains: String::new(),
            skip: 0,
            times: None,
            effect,
        });
        for fault in every_fault(&world.edgee()).await {
            silent(&format!("{fault} {fault:?}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_value_that_holds_a_secret_shows_it_by_debug() {
    let world = world();
    let (wire, edgee, client) = (world.wire(), world.edgee(), Client::of(&world));
    let minted = edgee.mint(&order("n")).await.unwrap();
    let revealed = edgee.recover(&minted.key.id).await.unwrap();
    let deposit = deposit_order("n", &[]);
    silent(&Probe(&wire).shown());
    silent(&Probe(&edgee).shown());
    silent(&Probe(&client.account).shown());
    silent(&Probe(&minted).shown());
    silent(&Probe(&minted.key).shown());
    silent(&Probe(&revealed).shown());
    silent(&Probe(&deposit).shown());
    assert_eq!(Probe(&7).shown(), "7 7", "the probe itself sees a Debug");
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_log_line_of_the_loudest_level_holds_a_secret() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    // For the whole process: with a subscriber of one thread, tracing may settle that a line is never wanted when
    // another thread comes to it first. That the other tests are heard as well only adds to what is searched.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let world = world();
    let server = Served::emulator(&world.emulator).await;
    let edgee = driver(wire(&server.base, TOKEN, Arc::new(Https::new().unwrap()), &world.clock));
    let minted = edgee.mint(&full_order("n")).await.unwrap();
    edgee.recover(&minted.key.id).await.unwrap();
    edgee.provider_keys().unwrap().deposit(&deposit_order("n", &[])).await.unwrap();
    for effect in [Effect::DropAfter, Effect::Truncate, Effect::Status { code: 401, retry_after: None }] {
        world.fault_once("POST", KEYS, effect);
        edgee.mint(&order("n")).await.err().unwrap();
    }
    let client = Client::of(&world);
    world.fault_once("POST", KEYS, Effect::Truncate);
    mint(&client.account, "n").await.err().unwrap();
    let text = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(text.contains("vendor call failed"), "the log is empty, so it proves nothing: {text}");
    let mut secrets: Vec<_> = world.keys().into_iter().map(|key| key.secret).collect();
    secrets.extend([TOKEN.to_owned(), "sk-ant-emulated-credential".to_owned()]);
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in the log:\n{text}");
    }
}
