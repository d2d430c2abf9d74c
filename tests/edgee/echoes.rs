//! A vendor or an intermediary that repeats a secret in the place of an id or a name.

use super::stub::Stub;
use super::world::{TOKEN, clear, id, order, provider_key_order};
use keysmith::gateway::{Gateway, Reveal};
use keysmith::plan::fault::{FaultKind, Outcome};
use serde_json::{Value, json};

const KEY: &str = "sk-edgee-0123456789abcdef";
const MARKED: &str = "n [ks-aaaaaa-aaaaaaaaaaaaaaaa-1]";

fn saying(body: &Value) -> keysmith::gateway::edgee::Edgee {
    Stub::always(200, body.to_string()).edgee()
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_create_call_whose_id_repeats_a_secret_is_not_believed() {
    for bad in [TOKEN, KEY, &format!("x.{TOKEN}"), &KEY.to_uppercase(), &KEY[3..], "a b", ""] {
        let edgee = saying(&json!({"id": bad, "name": MARKED, "key": KEY}));
        let fault = edgee.mint(&order(MARKED)).await.err().expect(bad);
        assert_eq!(fault.kind, FaultKind::MalformedField { entry: None, field: "id" }, "{bad}");
        assert_eq!(fault.effect, Outcome::Unknown, "{bad}");
    }
    for bad in [TOKEN, "sk-ant-emulated-credential", "x-sk-ant-emulated-credential"] {
        let edgee = saying(&json!({"id": bad, "created_at": "2026-11-21T08:00:00Z"}));
        let fault =
            edgee.provider_keys().unwrap().create(&provider_key_order("n", &[])).await.expect_err(bad);
        assert_eq!(fault.kind, FaultKind::MalformedField { entry: None, field: "id" }, "{bad}");
        assert_eq!(fault.effect, Outcome::Unknown, "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_console_token_is_no_key() {
    let edgee = saying(&json!({"id": "key_1", "name": MARKED, "key": TOKEN}));
    assert_eq!(edgee.mint(&order(MARKED)).await.err().unwrap().effect, Outcome::Unknown);
    assert!(edgee.recover(&id("key_1")).await.is_err());
    let edgee = saying(&json!({"id": "key_1", "name": MARKED, "key": KEY}));
    assert_eq!(clear(&edgee.mint(&order(MARKED)).await.unwrap().secret), KEY);
}

/// The mark beside the secret is still found.
#[tokio::test(start_paused = true)]
async fn a_name_loses_the_secret_in_it_and_keeps_its_mark() {
    let name = format!("{TOKEN} {MARKED}");
    let edgee = saying(&json!([{"id": "key_1", "name": name}, {"id": "key_2", "name": KEY, "key": KEY}]));
    let listed = edgee.list().await.unwrap();
    assert_eq!(listed[0].name, format!("(withheld) {MARKED}"));
    assert_eq!(listed[1].name, "(withheld)");
    assert!(!format!("{listed:?}").contains(TOKEN));
}
