//! The spending of keys and the balance of the account, on both APIs (§2.9).

use super::world::{ISSUER_TOKEN, V2_TOKEN, V3_TOKEN, id, order, stage, v2_saying, v3_saying};
use crate::support::driver_contract::stage::Stage;
use crate::support::garbage::month;
use crate::support::stub::Stub;
use jiff::Timestamp;
use keysmith::emulator::{Effect, VendorId};
use keysmith::gateway::edenai_v2::EdenAiV2;
use keysmith::gateway::edenai_v3::{EdenAiV3, Issuer};
use keysmith::gateway::http::LARGEST_EXPORT;
use keysmith::gateway::transport::LARGEST_ANSWER;
use keysmith::gateway::{Credit, Gateway, Usage};
use keysmith::plan::fault::{Fault, FaultKind, Outcome as Consequence};
use keysmith::plan::usage::{Money, Span, Spending};
use serde_json::{Value, json};

fn day(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

fn spent(key: &str, micros: u64, calls: u64) -> Spending {
    Spending { key: key.to_owned(), micros, calls: Some(calls), last_used_at: Some(day("2026-11-21")) }
}

/// Two keys on each API; the first made two calls and the second one call.
async fn used() -> Stage {
    let stage = stage();
    let (v2, v3) = (stage.v2(), stage.v3());
    for (name, costs) in [("first", vec![1_500_000, 250_000]), ("second", vec![7])] {
        v2.mint(&order(name)).await.unwrap();
        let key = v3.mint(&order(name)).await.unwrap().key.id;
        for micros in costs {
            assert!(stage.emulator.edenai().v2().spend(name, micros));
            assert!(stage.emulator.edenai().v3().spend(&key.0, micros));
        }
    }
    stage
}

#[tokio::test(start_paused = true)]
async fn one_call_reads_the_spending_of_every_key_by_its_name() {
    for strict_query in [false, true] {
        let stage = used().await;
        stage.v2_switch(|it| it.strict_query = strict_query);
        stage.emulator.clear_calls();
        let expected = [spent("first", 1_750_000, 2), spent("second", 7, 1)];
        // The requested keys make no difference.
        assert_eq!(stage.v2().spending(&month(), &[]).await.unwrap(), expected);
        assert_eq!(stage.v3().spending(&month(), &[id("x")]).await.unwrap(), expected);
        assert_eq!(stage.emulator.calls().len(), 2);
    }
}

/// Whether the last day is included is not documented for v2: a query for one more day loses nothing in either case.
#[tokio::test(start_paused = true)]
async fn spending_of_today_counts_and_spending_before_the_span_does_not() {
    for end_inclusive in [false, true] {
        let stage = used().await;
        stage.v2_switch(|it| it.end_inclusive = end_inclusive);
        let span = month();
        assert_eq!(stage.v2().spending(&span, &[]).await.unwrap().len(), 2, "{end_inclusive}");
        let december: Timestamp = "2026-12-05T00:00:00Z".parse().unwrap();
        let later = Span::month(december);
        assert!(stage.v2().spending(&later, &[]).await.unwrap().is_empty());
        assert!(stage.v3().spending(&later, &[]).await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn days_and_features_of_a_key_are_one_sum_and_the_last_day_with_calls_is_its_last_use() {
    let usage = json!([{"token": "n", "data": {
        "2026-11-02": {"text__chat": {"total_cost": 11.3, "details": 381, "cost_per_provider": {"openai": 11.28}},
            "image__generation": {"total_cost": "0.7", "details": 2}},
        "2026-11-03T00:00:00+01:00": {"text__chat": {"total_cost": null, "details": 4}},
        "2026-11-09": {"text__chat": {"total_cost": 0, "details": 0}, "ocr": {}}}}, {"token": "unused"}]);
    let expected = [
        Spending {
            key: "n".to_owned(),
            micros: 12_000_000,
            calls: Some(387),
            last_used_at: Some(day("2026-11-03")),
        },
        Spending { key: "unused".to_owned(), ..Spending::default() },
    ];
    let v2 = v2_saying(json!({"response": usage}).to_string());
    assert_eq!(v2.spending(&month(), &[]).await.unwrap(), expected);
    let v3 = v3_saying(json!({"usage": usage, "currency": "USD"}).to_string());
    assert_eq!(v3.spending(&month(), &[]).await.unwrap(), expected);
}

/// Spending without a key is returned as such.
#[tokio::test(start_paused = true)]
async fn spending_without_a_key_is_no_keys() {
    let data = json!({"2026-11-02": {"text__chat": {"total_cost": 1, "details": 1}}});
    let body = json!({"usage": [{"token": "base_token", "data": data}, {"token": null, "data": data}, {"data": data}]});
    let result = v3_saying(body.to_string()).spending(&month(), &[]).await.unwrap();
    let keys: Vec<_> = result.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["base_token", "", ""]);
}

/// A sum stays at the largest number, without a panic.
#[tokio::test(start_paused = true)]
async fn sums_that_no_number_holds_stay_at_the_largest() {
    let most = json!({"total_cost": 1e300, "details": 1e300});
    let of_a_day = json!({"a": most, "b": most});
    let body = json!({"usage": [{"token": "n", "data": {"2026-11-02": of_a_day, "2026-11-03": of_a_day}}]});
    let result = v3_saying(body.to_string()).spending(&month(), &[]).await.unwrap();
    assert_eq!((result[0].micros, result[0].calls), (u64::MAX, Some(u64::MAX)));
    let less = json!({"total_cost": -3, "details": -3});
    let body = json!({"usage": [{"token": "n", "data": {"2026-11-02": {"a": less}}}]});
    let result = v3_saying(body.to_string()).spending(&month(), &[]).await.unwrap();
    assert_eq!((result[0].micros, result[0].calls), (0, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn costs_that_cannot_be_read_are_a_fault_and_never_a_smaller_sum() {
    let with = |data: Value| json!({"usage": [{"token": "n", "data": data}]});
    for body in [
        json!(null),
        json!([]),
        json!({}),
        json!({"usage": null}),
        json!({"usage": {}}),
        json!({"costs": []}),
        json!({"usage": [{"token": 7}]}),
        with(json!([])),
        with(json!({"yesterday": {}})),
        with(json!({"": {}})),
        with(json!({"2026-02-30": {}})),
        with(json!({"ääääääääää": {}})),
        with(json!({"2026-11-02": []})),
        with(json!({"2026-11-02": {"a": {"total_cost": "ten"}}})),
        with(json!({"2026-11-02": {"a": {"total_cost": [1]}}})),
        with(json!({"2026-11-02": {"a": {"details": "many"}}})),
        with(json!({"2026-11-02": {"a": 1.5}})),
    ] {
        for driver in [&v2_saying(body.to_string()) as &dyn Usage, &v3_saying(body.to_string())] {
            let fault = driver.spending(&month(), &[]).await.unwrap_err();
            assert_eq!(fault.effect, Consequence::NotApplied, "{body}");
            assert!(fault.kind.is_malformed(), "{body}: {fault}");
        }
    }
}

/// A usage report has a size limit of its own, larger than that of other answers.
#[tokio::test(start_paused = true)]
async fn costs_may_be_larger_than_other_answers_up_to_a_limit_of_their_own() {
    let padded = |bytes: usize| {
        let (open, close) = (r#"{"usage":[],"padding":""#, r#""}"#);
        format!("{open}{}{close}", "x".repeat(bytes - open.len() - close.len()))
    };
    for (bytes, fits) in [(LARGEST_ANSWER + 1, true), (LARGEST_EXPORT, true), (LARGEST_EXPORT + 1, false)] {
        let result = v3_saying(padded(bytes)).spending(&month(), &[]).await;
        let expected = Fault::without_effect(FaultKind::TooLarge { limit: LARGEST_EXPORT });
        assert_eq!(result, if fits { Ok(Vec::new()) } else { Err(expected) }, "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_of_the_vendor_are_faults_without_effect() {
    for effect in [
        Effect::Status { code: 400, retry_after: None },
        Effect::Status { code: 403, retry_after: None },
        Effect::Status { code: 404, retry_after: None },
        Effect::Status { code: 500, retry_after: None },
        Effect::DropAfter,
        Effect::Hang,
        Effect::Html,
        Effect::Truncate,
        Effect::Oversize { bytes: 20 << 20 },
    ] {
        let stage = used().await;
        for path in ["/cost_management/?", "/usage/?", "/credits/"] {
            stage.fault_once("GET", path, effect.clone());
        }
        for fault in [
            stage.v2().spending(&month(), &[]).await.unwrap_err(),
            stage.v3().spending(&month(), &[]).await.unwrap_err(),
            stage.v2().balance().await.unwrap_err(),
        ] {
            assert_eq!(fault.effect, Consequence::NotApplied, "{effect:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_is_asked_for_by_its_days() {
    for (path, connect) in [
        (
            "/v2/cost_management/",
            (|it: &std::sync::Arc<Stub>| Box::new(EdenAiV2::new(it.wire(V2_TOKEN))) as _)
                as fn(&_) -> Box<dyn Usage>,
        ),
        ("/v3/manage/usage/", |it| Box::new(EdenAiV3::new(it.wire(V3_TOKEN)))),
    ] {
        let stub = Stub::by(move |request| {
            let query = "begin=2026-11-01&end=2026-11-22&step=1";
            let right = request.uri().path() == path && request.uri().query() == Some(query);
            (if right { 200 } else { 400 }, r#"{"usage":[]}"#.into())
        });
        connect(&stub).spending(&month(), &[]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn only_v2_reports_the_balance_of_the_account() {
    let stage = stage();
    stage.emulator.edenai().set_credits(42_500_000_000);
    let usd = |micros| Some(Money { micros, currency: "USD".to_owned() });
    assert_eq!(stage.v2().balance().await.unwrap(), usd(42_500_000));
    stage.emulator.edenai().set_credits(-1_250_000_000);
    assert_eq!(stage.v2().balance().await.unwrap(), usd(-1_250_000));
    assert!(stage.v3().credit().is_none() && stage.issuer().credit().is_none());
}

#[tokio::test(start_paused = true)]
async fn credits_are_read_as_numbers_and_as_text_and_are_not_guessed() {
    for (credits, micros) in [
        (json!(42.5), 42_500_000),
        (json!("42.5"), 42_500_000),
        (json!("-0.000001"), -1),
        (json!(-3), -3_000_000),
        (json!(0), 0),
    ] {
        let result = v2_saying(json!({"credits": credits}).to_string()).balance().await.unwrap();
        assert_eq!(result.unwrap().micros, micros, "{credits}");
    }
    for body in [
        json!({}),
        json!({"credits": null}),
        json!({"credits": ""}),
        json!({"credits": "much"}),
        json!({"credits": "--3"}),
        json!({"credits": [1]}),
        json!({"credits": 1e300}),
        json!([42.5]),
        json!(42.5),
    ] {
        let fault = v2_saying(body.to_string()).balance().await.expect_err(&body.to_string());
        assert!(fault.kind.is_malformed(), "{body}: {fault}");
    }
}

/// An issuer may not read the spending of other keys (§2.6).
#[tokio::test(start_paused = true)]
async fn an_issuer_is_not_asked_for_spending() {
    let issuer = Issuer::new(stage().wire(VendorId::EdenAiV3, ISSUER_TOKEN));
    assert!(issuer.usage().is_none());
}
