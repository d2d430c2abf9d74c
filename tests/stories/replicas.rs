//! The real binary as several replicas.

use crate::stories::binary::{get, serve_vendor, token_at};
use crate::support::plane;
use crate::support::process::{Keysmith, free_port};
use crate::support::rights::Account;
use crate::support::world::World;
use jiff::SignedDuration;
use serde_json::json;
use std::time::Duration;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The binary with leader election.
async fn binary(world: &World, name: &str, vendor: u16) -> (Keysmith, u16) {
    let kubeconfig = plane::kubeconfig_of(&Account::namespaced(&world.namespace)).await;
    let (endpoint, port) = (format!("http://127.0.0.1:{vendor}"), free_port());
    let metrics = format!("127.0.0.1:{port}");
    let arguments = [
        ["run", "--leader-elect"],
        ["--namespaces", &world.namespace],
        ["--leader-election-namespace", &world.namespace],
        ["--lease-duration", "3s"],
        ["--renew-deadline", "2s"],
        ["--retry-period", "500ms"],
        ["--allowed-endpoints", &endpoint],
        ["--metrics-address", &metrics],
        ["--poll-interval", "2s"],
    ];
    (Keysmith::start_as(name, &kubeconfig, &arguments.concat(), &[]), port)
}

/// Waits until the replica that serves on this port reports that it leads; returns how long that took.
async fn until_it_says_so(world: &World, port: u16) -> SignedDuration {
    let start = world.clock.now();
    loop {
        let metrics = get(port, "/metrics").await.unwrap_or_default().1;
        if metrics.lines().any(|line| line == "keysmith_leader 1") {
            return world.clock.now().duration_since(start);
        }
        assert!(world.clock.now().duration_since(start) < SignedDuration::from_mins(1), "it never leads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn the_binary_takes_over_after_sigterm_and_after_sigkill(world: &mut World) {
    world.stop().await;
    let vendor = serve_vendor(world).await;
    let (first, first_port) = binary(world, "first", vendor).await;
    until_it_says_so(world, first_port).await;
    let (second, second_port) = binary(world, "second", vendor).await;
    let ready = async |port| match get(port, "/readyz").await {
        Some((200, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    world.eventually("the second is ready", async || ready(second_port).await).await;
    token_at(world, vendor).await;
    world.key("first", json!({})).await;
    assert!(first.terminate().await.success());
    let took = until_it_says_so(world, second_port).await;
    assert!(took < SECOND, "{took:#}");
    world.key("second", json!({})).await;
    let (third, third_port) = binary(world, "third", vendor).await;
    world.eventually("the third is ready", async || ready(third_port).await).await;
    second.kill();
    let took = until_it_says_so(world, third_port).await;
    assert!(took <= SECOND * 4, "{took:#}");
    world.key("third", json!({})).await;
    assert_eq!(world.keys().len(), 3);
    let transitions = world.lease().await.unwrap().spec.unwrap().lease_transitions;
    assert_eq!(transitions, Some(2));
    assert!(third.terminate().await.success());
}
