//! Values in a URL or a header cannot leave their segment or field.

use super::stub::Stub;
use super::world::{KEYS, TOKEN, driver, id, order, renamed, wire, world};
use crate::support::vendor::InProcess;
use keysmith::gateway::{Gateway, Reveal};
use keysmith::plan::fault::Outcome;
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn no_id_leaves_its_segment_of_the_path() {
    let world = world();
    let key = world.key_by_hand("bystander");
    let edgee = world.edgee();
    for strange in [
        "../api_keys/key_000001",
        "x/../key_000001",
        "key_000001/reveal",
        "key_000001?x=y",
        "key_000001#x",
        "key_000001%2Freveal",
        "%2e%2e",
        ".\n.",
        ".\t",
        "\r",
        "a b\n",
        "ü",
        "\\..\\",
    ] {
        let _ = edgee.amend(&id(strange), &renamed("hit")).await;
        let _ = edgee.revoke(&id(strange)).await;
        assert!(world.only_key() == key, "{strange}");
    }
    for call in world.emulator.calls() {
        let rest = call.path.strip_prefix("/edgee/v1/organizations/org_demo/api_keys/");
        assert!(rest.is_some_and(|it| !it.contains(['/', '?', '#'])), "{}", call.path);
    }
}

/// These ids cannot be a path segment: without them the URL would be another one, such as that of the whole collection.
#[tokio::test(start_paused = true)]
async fn an_id_that_cannot_be_a_segment_is_never_sent() {
    for nothing in ["", ".", "..", ".\n.", "\t", ".\r"] {
        let stub = Stub::always(404, "");
        let edgee = stub.edgee();
        let faults = [
            edgee.revoke(&id(nothing)).await.unwrap_err(),
            edgee.get(&id(nothing)).await.unwrap_err(),
            edgee.recover(&id(nothing)).await.err().unwrap(),
            edgee.amend(&id(nothing), &renamed("x")).await.unwrap_err(),
        ];
        for fault in faults {
            assert_eq!(fault.effect, Outcome::NotApplied, "{nothing:?}");
            assert!(fault.kind.is_malformed(), "{nothing:?}: {fault}");
        }
        assert_eq!(stub.count(), 0, "{nothing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_may_stand_below_a_path_with_and_without_a_slash() {
    for base in ["http://edgee.test/edgee", "http://edgee.test/edgee/"] {
        let world = world();
        let edgee = driver(wire(base, TOKEN, Arc::new(InProcess(world.emulator.clone())), &world.clock));
        edgee.mint(&order("n")).await.unwrap();
        assert_eq!(world.emulator.count("POST", KEYS), 1, "{base}");
        assert_eq!(world.only_key().name, "n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_a_header_is_never_sent_and_not_repeated() {
    for token in ["ek_live\nX-Evil: 1", "ek_live\r\n", "ek_live\u{0}", "ek_live\u{7f}"] {
        let world = world();
        let transport = Arc::new(InProcess(world.emulator.clone()));
        let edgee = driver(wire("http://edgee.test/edgee", token, transport, &world.clock));
        let fault = edgee.mint(&order("n")).await.err().unwrap();
        assert_eq!(fault.effect, Outcome::NotApplied);
        assert!(fault.kind.is_malformed(), "{fault}");
        assert!(!format!("{fault:?} {fault}").contains("ek_live"), "{fault:?}");
        assert!(world.emulator.calls().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn no_token_is_put_into_a_url() {
    let world = world();
    let edgee = world.edgee();
    let minted = edgee.mint(&order("n")).await.unwrap();
    edgee.list().await.unwrap();
    edgee.recover(&minted.key.id).await.unwrap();
    let secret = world.only_key().secret;
    for call in world.emulator.calls() {
        assert!(!call.path.contains(TOKEN) && !call.path.contains(&secret), "{}", call.path);
    }
}
