//! The quirks of v2: requests, answers, and authorization.

use super::world::{V2_TOKEN, budgeted, clear, id, limit, order, stage, v2_saying};
use crate::support::driver_contract::stage::Stage;
use crate::support::stub::Stub;
use jiff::SignedDuration;
use keysmith::api::gateway_api_key::KeyType;
use keysmith::api::shared::Period;
use keysmith::emulator::Effect;
use keysmith::emulator::edenai::v2::{NewToken, Switches};
use keysmith::emulator::edenai::{Budget, DataPlaneAnswer, TokenType};
use keysmith::gateway::edenai_v2::EdenAiV2;
use keysmith::gateway::{Credit, Gateway, Order, Reveal, Usage};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};
use keysmith::plan::listing::Setting;
use keysmith::plan::naming::{ClusterId, Mark, NameStyle, Serial};
use serde_json::json;

fn rejected(fields: &[&'static str]) -> Fault {
    let fields = fields.to_vec();
    Fault::without_effect(FaultKind::Rejected { status: 400, fields })
}

/// A human creates a token in the vendor's console.
fn by_hand(stage: &Stage, name: &str) {
    stage.emulator.edenai().v2().add_key(NewToken::named(name));
}

/// Quirk 1.
#[tokio::test(start_paused = true)]
async fn every_path_ends_in_a_slash() {
    let stage = stage();
    let v2 = stage.v2();
    v2.mint(&order("n")).await.unwrap();
    v2.list().await.unwrap();
    v2.get(&id("n")).await.unwrap().unwrap();
    v2.recover(&id("n")).await.unwrap().unwrap();
    v2.amend(&id("n"), &budgeted(None)).await.unwrap();
    v2.balance().await.unwrap();
    v2.spending(&crate::support::garbage::month(), &[]).await.unwrap();
    v2.revoke(&id("n")).await.unwrap();
    let paths: Vec<_> = stage.emulator.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths.len(), 9);
    assert!(paths.iter().all(|it| it.split('?').next().unwrap().ends_with('/')), "{paths:?}");
}

/// Quirk 1. Humans choose any name for a token.
#[tokio::test(start_paused = true)]
async fn a_name_is_one_segment_of_the_path_whatever_is_in_it() {
    for name in ["a b", "a/b", "a?b=c", "a#b", "a%2Fb", "ü", "x/../y"] {
        let stage = stage();
        by_hand(&stage, name);
        by_hand(&stage, "bystander");
        let v2 = stage.v2();
        // The id is not repeated in the fault.
        let fault = v2.get(&id(name)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::MalformedField { entry: None, field: "name" });
        v2.revoke(&id(name)).await.unwrap();
        assert_eq!(stage.only_token().name, "bystander", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_a_segment_is_never_sent_and_not_listed() {
    for nothing in ["", ".", "..", "\t"] {
        let stub = Stub::always(404, "");
        let v2 = EdenAiV2::new(stub.wire(V2_TOKEN));
        for fault in [
            v2.revoke(&id(nothing)).await.unwrap_err(),
            v2.get(&id(nothing)).await.unwrap_err(),
            v2.amend(&id(nothing), &budgeted(None)).await.unwrap_err(),
        ] {
            assert!(fault.kind.is_malformed(), "{nothing:?}: {fault}");
            assert_eq!(fault.effect, Consequence::NotApplied);
        }
        assert_eq!(stub.count(), 0, "{nothing:?}");
        let listed = v2_saying(json!([{"name": nothing}, {"name": "n"}]).to_string()).list().await.unwrap();
        assert_eq!(listed.len(), 1, "{nothing:?}");
    }
}

/// Quirk 2.
#[tokio::test(start_paused = true)]
async fn a_new_token_comes_with_the_secret_that_works_whether_or_not_it_is_in_the_answer() {
    for (in_create, reads) in [(false, 1), (true, 0)] {
        let stage = stage();
        stage.v2_switch(|it| it.token_in_create = in_create);
        let minted = stage.v2().mint(&order("n")).await.unwrap();
        assert_eq!((minted.key.id, minted.key.name.as_str()), (id("n"), "n"));
        assert_eq!(clear(&minted.secret), stage.only_token().secret);
        let answer = stage.emulator.edenai().v2().check(clear(&minted.secret));
        assert_eq!(answer, DataPlaneAnswer::Accepted);
        assert_eq!(stage.emulator.edenai().v2().counts().reveals_total, reads);
    }
}

/// Quirk 2. The token exists, and its secret can be read later.
#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_read_after_it_was_made_may_have_been_made() {
    for effect in [
        Effect::Status { code: 500, retry_after: None },
        Effect::Status { code: 401, retry_after: None },
        Effect::Status { code: 404, retry_after: None },
        Effect::Status { code: 429, retry_after: Some("30".to_owned()) },
        Effect::DropAfter,
        Effect::Hang,
        Effect::Html,
        Effect::Truncate,
    ] {
        let stage = stage();
        stage.fault_once("GET", "/custom_token/n/", effect.clone());
        let v2 = stage.v2();
        let fault = v2.mint(&order("n")).await.err().unwrap();
        assert_eq!(fault.effect, Consequence::Unknown, "{effect:?}: {fault}");
        let secret = v2.recover(&id("n")).await.unwrap().unwrap();
        assert_eq!(clear(&secret), stage.only_token().secret, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_another_token_makes_none() {
    for body in [
        json!({"name": "other", "token": "eden-1"}),
        json!({"token": "eden-1"}),
        json!({"name": "n", "token": "eden-****"}),
        json!({"name": "n", "token": ""}),
        json!({"name": "n", "token": "eden…1"}),
        json!({"name": "n", "token": "eden-1", "revoked": true}),
    ] {
        let fault = v2_saying(body.to_string()).mint(&order("n")).await.err().expect("it was believed");
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
        assert_eq!(fault.effect, Consequence::Unknown, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_arrives_with_every_field_the_vendor_has() {
    for (kind, expected) in
        [(KeyType::Api, TokenType::ApiToken), (KeyType::Sandbox, TokenType::SandboxApiToken)]
    {
        let stage = stage();
        let expires_at = Some(stage.clock.now() + SignedDuration::from_hours(48));
        let budget = Some(limit(12, Period::Once));
        let minted = stage.v2().mint(&Order { kind, budget, expires_at, ..order("n") }).await.unwrap();
        let token = stage.only_token();
        assert_eq!(token.token_type, expected);
        assert_eq!(minted.key.expires_at, token.expires_at);
        assert!(token.expires_at >= expires_at);
        assert_eq!((token.budget.balance, token.budget.active), (Some(12_000_000_000), true));
        assert_eq!(minted.key.remaining, Some(12_000_000));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_is_what_the_vendor_documents() {
    let stub = Stub::always(201, r#"{"name":"n","token":"eden-1"}"#);
    let v2 = EdenAiV2::new(stub.wire(V2_TOKEN));
    v2.mint(&order("n")).await.unwrap();
    let plain = json!({"name": "n", "token_type": "api_token", "expire_time": null, "active_balance": false,
        "balance_reset_period": "none"});
    assert_eq!(stub.sent(), plain);
    // A balance is text in a create and a number in an update: quirk 3.
    let half = |period| keysmith::plan::listing::Limit { micros: 2_500_000, period };
    v2.mint(&Order { budget: Some(half(Period::Once)), ..order("n") }).await.unwrap();
    assert_eq!(stub.sent()["balance"], json!("2.50"));
    v2.amend(&id("n"), &budgeted(Some(half(Period::Once)))).await.unwrap();
    let changed = json!({"active_balance": true, "balance": 2.5, "balance_reset_period": "none"});
    assert_eq!(stub.sent(), changed);
    v2.amend(&id("n"), &budgeted(Some(half(Period::Weekly)))).await.unwrap();
    let renewed = json!({"active_balance": true, "balance": 2.5, "balance_reset_period": "weekly",
        "balance_reset_amount": "2.50"});
    assert_eq!(stub.sent(), renewed);
}

/// Quirk 3.
#[tokio::test(start_paused = true)]
async fn a_balance_is_an_amount_as_text_and_as_a_number() {
    for (balance, remaining) in [
        (json!("50.000000000"), Some(50_000_000)),
        (json!(87.45), Some(87_450_000)),
        (json!(3), Some(3_000_000)),
        (json!("0"), Some(0)),
        (json!(-0.5), Some(0)),
        (json!("-12.5"), Some(0)),
        (json!(null), None),
        (json!(""), None),
    ] {
        let body = json!({"name": "n", "balance": balance, "active_balance": true, "token": "eden-1"});
        let got = v2_saying(body.to_string()).get(&id("n")).await.unwrap().unwrap();
        assert_eq!(got.remaining, remaining, "{balance}");
        assert_eq!(v2_saying(format!("[{body}]")).list().await.unwrap(), [got], "{balance}");
        let minted = v2_saying(body.to_string()).mint(&order("n")).await.unwrap();
        assert_eq!(minted.key.remaining, remaining, "{balance}");
    }
    for no_amount in [json!("ten"), json!("NaN"), json!([]), json!(true), json!({})] {
        let body = json!({"name": "n", "balance": no_amount, "active_balance": true});
        let key = v2_saying(body.to_string()).get(&id("n")).await.unwrap().unwrap();
        assert_eq!(
            (key.remaining, key.shown.capped, key.unread_fields()),
            (None, None, vec!["balance"]),
            "{no_amount}"
        );
    }
}

/// Quirk 4. The server gives every token 50 USD that do not limit it.
#[tokio::test(start_paused = true)]
async fn a_balance_that_does_not_count_is_no_budget() {
    let stage = stage();
    by_hand(&stage, "n");
    assert_eq!(stage.only_token().budget.balance, Some(50_000_000_000));
    let listed = stage.v2().list().await.unwrap().remove(0);
    assert_eq!((listed.remaining, listed.shown.budget, listed.shown.capped), (None, Setting::Unset, None));
    let edit = |it: &mut keysmith::emulator::edenai::v2::CustomToken| it.budget.active = true;
    assert!(stage.emulator.edenai().v2().edit_key("n", edit));
    let listed = stage.v2().list().await.unwrap().remove(0);
    assert_eq!((listed.remaining, listed.shown.budget), (Some(50_000_000), Setting::Hidden));
    assert_eq!(listed.shown.capped, Some(true));
}

/// Quirk 5.
#[tokio::test(start_paused = true)]
async fn a_budget_that_starts_anew_counts_and_is_shown_exactly() {
    for period in [Period::Daily, Period::Weekly, Period::Monthly] {
        let stage = stage();
        let budget = limit(9, period);
        let v2 = stage.v2();
        let minted = v2.mint(&Order { budget: Some(budget), ..order("n") }).await.unwrap();
        let held: Budget = stage.only_token().budget;
        assert!(held.active && held.period.is_some());
        assert_eq!((held.balance, held.amount), (Some(9_000_000_000), Some(9_000_000_000)));
        assert_eq!(minted.key.shown.budget, Setting::Set(budget));
        assert!(stage.emulator.edenai().v2().spend("n", 4_000_000));
        let used = v2.get(&id("n")).await.unwrap().unwrap();
        // The rest falls with use, the granted amount stays.
        assert_eq!((used.remaining, used.shown.budget), (Some(5_000_000), Setting::Set(budget)));
    }
}

/// Quirk 5. Before July 2026 budgets had no reset: a reset that is not shown is not assumed.
#[tokio::test(start_paused = true)]
async fn a_server_without_resets_shows_none() {
    let stage = stage();
    stage.v2_switch(|it| it.resets = false);
    let budget = Some(limit(9, Period::Daily));
    let minted = stage.v2().mint(&Order { budget, ..order("n") }).await.unwrap();
    assert_eq!((minted.key.shown.budget, minted.key.shown.capped), (Setting::Hidden, Some(true)));
}

/// Quirk 6.
#[tokio::test(start_paused = true)]
async fn a_taken_name_is_a_refusal_that_names_the_field() {
    let stage = stage();
    by_hand(&stage, "n");
    let before = stage.only_token();
    let fault = stage.v2().mint(&order("n")).await.err().unwrap();
    assert_eq!(fault, rejected(&["spec.displayName"]));
    assert!(stage.only_token() == before);
}

/// Quirk 6. One field per complaint; other text is not repeated.
#[tokio::test(start_paused = true)]
async fn a_refusal_names_fields_in_every_shape_that_has_names() {
    let refused = |body: &'static str| async move {
        let v2 = EdenAiV2::new(Stub::always(400, body).wire(V2_TOKEN));
        v2.mint(&order("n")).await.err().unwrap()
    };
    let nested = r#"{"error":{"type":"validation_error","message":{"name":["taken"],"balance":["x"]}}}"#;
    assert_eq!(refused(nested).await, rejected(&["spec.displayName", "spec.budget.amount"]));
    assert_eq!(refused(r#"{"expire_time":["too soon"]}"#).await, rejected(&["spec.expiresInDays"]));
    for nameless in [
        r#"{"error":{"type":"permission_error","message":"name"}}"#,
        r#"{"details":"Not Found"}"#,
        r#"{"detail":"name"}"#,
        r#"["name"]"#,
        "name",
        "",
    ] {
        assert_eq!(refused(nameless).await, rejected(&[]), "{nameless}");
    }
    let stage = stage();
    let soon = Some(stage.clock.now() + SignedDuration::from_hours(1));
    let fault = stage.v2().mint(&Order { expires_at: soon, ..order("n") }).await.err().unwrap();
    assert_eq!(fault, rejected(&["spec.expiresInDays"]));
    assert!(stage.tokens().is_empty());
}

/// Quirk 7.
#[tokio::test(start_paused = true)]
async fn no_name_of_ours_is_that_of_another_endpoint() {
    let mark = Mark::new(&ClusterId("c-1".to_owned()), "uid-1");
    for display in ["me", "legacy", "", "ME", "rotate"] {
        let stage = stage();
        let name = mark.styled(NameStyle::Slug, display, Serial(1));
        let minted = stage.v2().mint(&order(&name)).await.unwrap();
        assert_eq!(mark.serial_in(&minted.key.name), Some(Serial(1)), "{name}");
        assert!(!["me", "legacy"].contains(&name.as_str()));
        assert_eq!(stage.v2().get(&minted.key.id).await.unwrap().unwrap().name, name);
    }
}

/// Quirk 8.
#[tokio::test(start_paused = true)]
async fn a_vendor_that_takes_sessions_only_refuses_the_token_before_anything_happens() {
    let refusals = [(401, FaultKind::TokenRefused), (403, FaultKind::Forbidden)];
    for (refusal_status, kind) in refusals {
        let stage = stage();
        by_hand(&stage, "n");
        let before = stage.only_token();
        stage.v2_switch(|it| *it = Switches { refusal_status, ..Switches::september_2026() });
        let v2 = stage.v2();
        for fault in [
            v2.list().await.unwrap_err(),
            v2.get(&id("n")).await.unwrap_err(),
            v2.mint(&order("new")).await.err().unwrap(),
            v2.recover(&id("n")).await.err().unwrap(),
            v2.amend(&id("n"), &budgeted(None)).await.unwrap_err(),
            v2.revoke(&id("n")).await.unwrap_err(),
        ] {
            assert_eq!(fault, Fault::without_effect(kind.clone()));
            assert!(fault.blames_token());
        }
        assert!(stage.only_token() == before);
        // Sessions do not read costs and credits, and unknown parameters are refused since then.
        v2.balance().await.unwrap();
        v2.spending(&crate::support::garbage::month(), &[]).await.unwrap();
    }
}

/// Quirk 8.
#[tokio::test(start_paused = true)]
async fn a_vendor_that_shows_no_token_says_what_to_use_instead() {
    let stage = stage();
    stage.v2_switch(|it| it.token_in_reads = false);
    let v2 = stage.v2();
    let minting = v2.mint(&order("n")).await.err().unwrap();
    assert_eq!(minting.effect, Consequence::Unknown);
    assert_eq!(stage.only_token().name, "n");
    let reading = v2.recover(&id("n")).await.err().unwrap();
    assert_eq!(reading.effect, Consequence::NotApplied);
    for fault in [minting, reading] {
        assert!(fault.to_string().contains("use api V3"), "{fault}");
    }
    assert_eq!(v2.list().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_custom_token_is_no_console_token() {
    let stage = stage();
    let secret = stage.v2().mint(&order("n")).await.unwrap().secret;
    let wire = stage.wire(keysmith::emulator::VendorId::EdenAiV2, clear(&secret));
    let fault = EdenAiV2::new(wire).mint(&order("x")).await.err().unwrap();
    assert_eq!(fault, Fault::without_effect(FaultKind::Forbidden));
    assert_eq!(stage.only_token().name, "n");
}

#[tokio::test(start_paused = true)]
async fn a_removal_succeeds_with_and_without_a_body_and_when_it_is_gone_already() {
    for delete_ok in [false, true] {
        let stage = stage();
        stage.v2_switch(|it| it.delete_ok = delete_ok);
        let v2 = stage.v2();
        let secret = v2.mint(&order("n")).await.unwrap().secret;
        by_hand(&stage, "other");
        for _ in 0..2 {
            v2.revoke(&id("n")).await.unwrap();
            assert_eq!(stage.only_token().name, "other");
        }
        let answer = stage.emulator.edenai().v2().check(clear(&secret));
        assert_eq!(answer, DataPlaneAnswer::UnknownKey);
        assert!(v2.recover(&id("n")).await.unwrap().is_none());
        assert!(v2.get(&id("n")).await.unwrap().is_none());
    }
}

/// The fields that list items of September 2026 have instead of the token are ignored.
#[tokio::test(start_paused = true)]
async fn revoked_tokens_are_no_tokens_and_unknown_fields_do_no_harm() {
    let item = |name: &str, revoked: bool| {
        json!({"name": name, "label": name, "masked": "sk-eden-…1", "key_prefix": "sk-eden-", "last4": "8a90",
            "revoked": revoked, "token_type": "api_token", "balance": null, "active_balance": false,
            "expire_time": null, "legacy": false, "synthesized": {"a": [1]}, "token": null})
    };
    let v2 = v2_saying(json!([item("n", false), item("gone", true)]).to_string());
    let listed = v2.list().await.unwrap();
    assert_eq!(listed.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["n"]);
    let gone = v2_saying(item("gone", true).to_string());
    assert!(gone.get(&id("gone")).await.unwrap().is_none());
    assert!(gone.recover(&id("gone")).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_malformed_entry_without_our_mark_is_skipped_and_counted() {
    for bad in [
        r#"{"label":"no name"}"#,
        r#"{"name":7}"#,
        r#"{"name":"n","expire_time":"tomorrow"}"#,
        r#"{"name":"n","active_balance":"yes"}"#,
        r#"{"name":"n","revoked":"no"}"#,
        r#"["n"]"#,
        "null",
    ] {
        let v2 = v2_saying(format!(r#"[{{"name":"good"}},{bad}]"#));
        let names: Vec<_> = v2.list().await.expect(bad).into_iter().map(|key| key.name).collect();
        assert_eq!((names, v2.take_skipped()), (vec!["good".to_owned()], 1), "{bad}");
    }
}

/// Malformed other fields do not prevent reading a secret again.
#[tokio::test(start_paused = true)]
async fn a_malformed_entry_with_our_mark_is_read_as_far_as_possible() {
    let name = "n-ks-aaaaaa-aaaaaaaaaaaaaaaa-1";
    let odd = [
        ("expire_time", json!("tomorrow")),
        ("balance", json!([])),
        ("active_balance", json!("yes")),
        ("balance_reset_period", json!(7)),
        ("balance_reset_amount", json!({})),
        ("revoked", json!("no")),
    ];
    for (field, value) in odd {
        let mut token = json!({"name": name, "token": "eden-1", "active_balance": true, "balance": 5,
            "balance_reset_period": "daily", "balance_reset_amount": 9});
        token[field] = value;
        let listed = v2_saying(json!([token]).to_string()).list().await.unwrap().remove(0);
        assert_eq!(listed.unread_fields(), [field]);
        let tells_budget = field.starts_with("balance") || field == "active_balance";
        assert_eq!(listed.shown.budget == Setting::Hidden, tells_budget, "{field}");
        let v2 = v2_saying(token.to_string());
        assert_eq!(v2.get(&id(name)).await.unwrap().unwrap().unread_fields(), [field]);
        assert_eq!(clear(&v2.recover(&id(name)).await.unwrap().unwrap()), "eden-1", "{field}");
    }
}
