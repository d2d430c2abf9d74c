//! Quirks 8 and 9: the fields named by a refusal, and the answers that mean gone.

use super::stub::{Stub, refusing};
use super::world::{World, id, order, provider_key_order, renamed, world};
use keysmith::api::gateway_api_key::KeyType;
use keysmith::gateway::{Gateway, Order, Reveal};
use keysmith::plan::fault::{Fault, FaultKind, Outcome};

fn rejected(status: u16, fields: &[&'static str]) -> Fault {
    let fields = fields.to_vec();
    Fault::without_effect(FaultKind::Rejected { status, fields })
}

async fn refused(world: &World, order: Order) -> Fault {
    let fault = world.edgee().mint(&order).await.err().unwrap();
    assert!(world.keys().is_empty());
    fault
}

/// Quirk 8. The flat shape names no fields.
#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_fields_of_ours_that_the_vendor_named_in_the_nested_shape() {
    for flat in [false, true] {
        let world = world();
        world.switch(|it| it.flat_errors = flat);
        let named = |fields: &'static [&'static str]| rejected(400, if flat { &[] } else { fields });
        assert_eq!(refused(&world, order(" ")).await, named(&["spec.displayName"]));
        let agent = Order { kind: KeyType::CodingAgent, ..order("agent") };
        assert_eq!(refused(&world, agent).await, named(&["spec.codingAssistant"]));
        let both = Order { expires_in_days: Some(0), ..order("") };
        assert_eq!(refused(&world, both).await, named(&["spec.displayName", "spec.expiresInDays"]));
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_in_both_shapes_are_of_the_same_class() {
    let outsider = "ek_live_emulated-outsider";
    for flat in [false, true] {
        let world = world();
        world.switch(|it| it.flat_errors = flat);
        let edgee = world.edgee();
        let gone = edgee.amend(&id("key_000099"), &renamed("x")).await.unwrap_err();
        assert_eq!(gone, Fault::without_effect(FaultKind::NotFound));
        world.emulator.edgee().add_token(outsider, &["org_other"]);
        let transport = std::sync::Arc::new(crate::support::vendor::InProcess(world.emulator.clone()));
        for (token, kind) in [(outsider, FaultKind::Forbidden), ("nobody", FaultKind::TokenRefused)] {
            let wire = super::world::wire("http://edgee.test/edgee", token, transport.clone(), &world.clock);
            let edgee = super::world::driver(wire);
            let minted = edgee.mint(&order("x")).await.err().unwrap();
            assert_eq!(minted, Fault::without_effect(kind.clone()), "{flat}");
            assert_eq!(edgee.list().await.unwrap_err(), Fault::without_effect(kind), "{flat}");
        }
        assert!(world.keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn only_names_of_our_own_fields_are_taken_from_a_refusal() {
    let canary = "CANARY-a1b2c3";
    let params = format!(
        r#"[{{"param":"{canary}"}},{{"param":"models"}},{{"param":"name {canary}"}},{{"param":7}},
            {{"message":"{canary}"}},"name","{canary}",null,{{"param":"email","message":"{canary}"}},
            {{"param":"provider_key"}},{{"param":"active"}}]"#
    );
    let body = format!(r#"{{"error":{{"type":"{canary}","message":"{canary}","params":{params}}}}}"#);
    let fault = Stub::always(422, body).edgee().mint(&order("n")).await.err().unwrap();
    // `active` is a field of an amendment, and `provider_key` is a field of a provider key; neither was sent here.
    assert_eq!(fault, rejected(422, &["spec.models", "spec.email"]));
    assert!(!format!("{fault} {fault:?}").contains(canary));
}

/// The shape of `FastAPI`.
#[tokio::test(start_paused = true)]
async fn a_refusal_with_the_place_of_each_complaint_names_the_fields_of_the_specification() {
    let complaint =
        |loc: &str| format!(r#"{{"type":"value_error","loc":{loc},"msg":"CANARY","input":"CANARY"}}"#);
    let body = format!(
        r#"{{"detail":[{},{},{}]}}"#,
        complaint(r#"["body","name"]"#),
        complaint(r#"["body","models",0]"#),
        complaint(r#"["body","CANARY"]"#)
    );
    let stub = Stub::always(422, body);
    let fault = stub.edgee().mint(&order("n")).await.err().unwrap();
    assert_eq!(fault, rejected(422, &["spec.displayName", "spec.models"]));
    let edgee = stub.edgee();
    let provider_key =
        edgee.provider_keys().unwrap().create(&provider_key_order("n", &[])).await.unwrap_err();
    assert_eq!(provider_key, rejected(422, &["spec.displayName"]));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_cannot_be_read_is_a_refusal_all_the_same() {
    for body in [
        "",
        "nonsense",
        "<html>",
        "null",
        "[]",
        r#"{"error":null}"#,
        r#"{"error":"Bad Request"}"#,
        r#"{"error":{"params":{}}}"#,
        r#"{"error":{"params":[]}"#,
    ] {
        let stub = Stub::always(400, body);
        let fault = stub.edgee().mint(&order("n")).await.err().unwrap();
        assert_eq!(fault, rejected(400, &[]), "{body}");
    }
}

/// Quirk 9.
#[tokio::test(start_paused = true)]
async fn removing_a_key_succeeds_with_and_without_a_body_and_when_it_is_gone_already() {
    for no_content in [false, true] {
        for flat in [false, true] {
            let world = world();
            world.switch(|it| (it.delete_no_content, it.flat_errors) = (no_content, flat));
            let (key, other) = (world.key_by_hand("a"), world.key_by_hand("b"));
            let edgee = world.edgee();
            edgee.revoke(&id(&key.id)).await.unwrap();
            assert_eq!(world.only_key().id, other.id);
            edgee.revoke(&id(&key.id)).await.unwrap();
            assert!(world.emulator.edgee().delete_key(&other.id));
            edgee.revoke(&id(&other.id)).await.unwrap();
            assert!(world.keys().is_empty());
        }
    }
}

/// "Any other failure must not be read as gone" (contract §1.5): a key mistaken for gone would stay valid for ever.
#[tokio::test(start_paused = true)]
async fn only_an_answer_that_the_key_is_not_found_means_that_it_is_gone() {
    for status in [400, 401, 402, 403, 405, 408, 409, 413, 415, 418, 422, 423, 429, 451, 500, 502, 503, 504] {
        let edgee = refusing(status);
        let key = id("key_1");
        assert!(edgee.revoke(&key).await.is_err(), "{status}");
        assert!(edgee.get(&key).await.is_err(), "{status}");
        assert!(edgee.recover(&key).await.is_err(), "{status}");
    }
    for status in [404, 410] {
        let edgee = refusing(status);
        let key = id("key_1");
        edgee.revoke(&key).await.unwrap();
        assert!(edgee.get(&key).await.unwrap().is_none(), "{status}");
        assert!(edgee.recover(&key).await.unwrap().is_none(), "{status}");
        assert!(edgee.list().await.is_err(), "{status}");
        assert!(edgee.amend(&key, &renamed("x")).await.is_err(), "{status}");
        assert!(edgee.mint(&order("x")).await.is_err(), "{status}");
    }
}

/// An HTML page instead of an answer (a portal, a proxy, maintenance) does not confirm a removal.
#[tokio::test(start_paused = true)]
async fn a_removal_answered_with_a_page_is_not_believed() {
    for body in ["<!DOCTYPE html><html></html>", "OK then", "\u{1f}\u{8b}", r#"{"deleted":tr"#] {
        let fault = Stub::always(200, body).edgee().revoke(&id("key_1")).await;
        let fault = fault.expect_err(body);
        assert_eq!(fault.effect, Outcome::Unknown, "{body}");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
    for body in ["", " \n", r#"{"object":"ai_gateway_api_key","id":"key_1","deleted":true}"#, "{}", "null"] {
        Stub::always(200, body).edgee().revoke(&id("key_1")).await.expect(body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_provider_key_names_the_field_and_never_its_value() {
    let world = world();
    let edgee = world.edgee();
    let provider_keys = edgee.provider_keys().unwrap();
    let long = provider_keys.create(&provider_key_order(&"n".repeat(101), &[])).await.unwrap_err();
    assert_eq!(long, rejected(400, &["spec.displayName"]));
    let azure = keysmith::gateway::ProviderKeyOrder {
        provider: "azure".to_owned(),
        ..provider_key_order("azure", &[])
    };
    let malformed = provider_keys.create(&azure).await.unwrap_err();
    assert_eq!(malformed, rejected(400, &["spec.credentialsRef"]));
    assert!(world.emulator.edgee().provider_keys(super::world::ORG).is_empty());
}
