//! The account of a token: quirk 11 of v3.

use super::world::{ISSUER_TOKEN, V3_TOKEN, stage, v2_saying, v3_saying};
use crate::support::stub::Stub;
use keysmith::emulator::VendorId;
use keysmith::gateway::Gateway;
use keysmith::gateway::edenai_v3::{EdenAiV3, Issuer};
use keysmith::plan::fault::{Fault, FaultKind, Outcome};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn the_organization_of_an_auth_key_and_of_an_issuer_key_is_asked_for() {
    let stage = stage();
    assert_eq!(stage.v3().whose().await.unwrap().as_deref(), Some("org_demo"));
    assert_eq!(stage.issuer().whose().await.unwrap().as_deref(), Some("org_demo"));
    let handle = stage.emulator.vendor(VendorId::EdenAiV3);
    handle.add_token_of(V3_TOKEN, "globex");
    handle.add_issuer_of(ISSUER_TOKEN, "initech");
    assert_eq!(stage.v3().whose().await.unwrap().as_deref(), Some("globex"));
    assert_eq!(stage.issuer().whose().await.unwrap().as_deref(), Some("initech"));
    assert_eq!(stage.v2().whose().await.unwrap(), None);
    assert_eq!(v2_saying("[]").whose().await.unwrap(), None);
}

#[tokio::test]
async fn an_organization_is_found_wherever_such_ids_are_and_is_a_word() {
    let long = "a".repeat(128);
    let table = [
        (json!({"organization_id": "org_1"}), Some("org_1")),
        (json!({"org_id": "org-1.x"}), Some("org-1.x")),
        (json!({"organization": {"id": "o", "name": "Acme"}}), Some("o")),
        (json!({"org": {"id": 42}}), Some("42")),
        (json!({"organization": "acme"}), Some("acme")),
        (json!({"org": "acme"}), Some("acme")),
        (json!({"organization": "Acme Inc", "org_id": "o"}), Some("o")),
        (json!({"organization_id": null, "organization": "o"}), Some("o")),
        (json!({"organization_id": long}), Some(long.as_str())),
        (json!({"organization_id": format!("{long}a")}), None),
        (json!({"organization_id": ""}), None),
        (json!({"organization": "Acme Inc"}), None),
        (json!({"organization_id": "a\nb"}), None),
        (json!({"organization_id": -1}), None),
        (json!({"organization_id": ["o"]}), None),
        (json!({"scopes": []}), None),
        (json!([]), None),
        (json!("org_1"), None),
    ];
    for (body, expected) in table {
        let found = v3_saying(body.to_string()).whose().await.unwrap();
        assert_eq!(found.as_deref(), expected, "{body}");
        let issuer = Issuer::new(Stub::always(200, body.to_string()).wire(ISSUER_TOKEN));
        assert_eq!(issuer.whose().await.unwrap().as_deref(), expected, "{body}");
    }
}

#[tokio::test]
async fn an_account_that_is_not_shown_is_none_and_a_failed_call_is_a_fault() {
    let saying = |status, body: &'static str| EdenAiV3::new(Stub::always(status, body).wire(V3_TOKEN));
    for status in [403, 404] {
        assert_eq!(saying(status, "{}").whose().await, Ok(None), "{status}");
    }
    let refused = Fault::without_effect(FaultKind::TokenRefused);
    assert_eq!(saying(401, "{}").whose().await, Err(refused));
    for (status, body) in [(500, "{}"), (429, "{}"), (200, "<html>"), (302, ""), (200, "")] {
        let fault = saying(status, body).whose().await.unwrap_err();
        assert_eq!(fault.effect, Outcome::NotApplied, "{status}: {fault}");
    }
}
